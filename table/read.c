/*
 * Copyright (C) 2026 the ngx_http_apikey_module authors
 *
 * One decision's look-up.  R1 to R4 are the steps of apikey_table.h.
 */

#include "read.h"
#include "attach.h"

#include <string.h>

#define LOOKUP_TRIES 3 /* generations that may pass by under one look-up */


static apikey_lookup_t
find(apikey_table_t *table, const uint64_t digest[static 4],
     const apikey_slot_t **slot, uint64_t *state);
static apikey_lookup_t
read_state(apikey_table_t *table, uint64_t state, uint64_t digest0,
           apikey_entry_t *entry, apikey_alloc_pt alloc, void *ctx);


static uint64_t
load(const apikey_word_t *word)
{
    return atomic_load_explicit(word, memory_order_acquire);
}


/* for words that another acquire load has already made visible */
static uint64_t
peek(const apikey_word_t *word)
{
    return atomic_load_explicit(word, memory_order_relaxed);
}


static apikey_lookup_t
fail(apikey_table_t *table, apikey_table_error_t error)
{
    table->error = error;

    return APIKEY_LOOKUP_UNAVAILABLE;
}


/* Returns 0 if the generation is no longer the current one: begin again. */
static int
look(apikey_table_t *table, const uint64_t digest[static 4],
     apikey_entry_t *entry, apikey_alloc_pt alloc, void *ctx,
     apikey_lookup_t *result)
{
    uint64_t             deadline, state, now;
    const apikey_slot_t *slot;

    /* as in R3; its slots may be gone already (W4) */

    if (load(&table->generation->retired)) {
        return 0;
    }

    /* R1: everything that this deadline vouches for is visible below (W3) */

    if (!apikey_unseal(load(&table->control->deadline), &deadline)) {
        *result = fail(table, APIKEY_TABLE_DAMAGED);
        return 1;
    }

    /* R2 */

    *result = find(table, digest, &slot, &state);

    if (*result == APIKEY_LOOKUP_FOUND) {
        entry->version = peek(&slot->version);
        *result = read_state(table, state, digest[0], entry, alloc, ctx);
    }

    /*
     * R3: if the deadline came after a newer generation, this sees it (W2).
     * The fence: not even the copy of a record is read later than this, and a
     * zero that W4 left there is read after `retired` was set.
     */

    atomic_thread_fence(memory_order_acquire);

    if (load(&table->generation->retired)
        || load(&table->control->generation) != table->generation_word)
    {
        return 0;
    }

    if (*result == APIKEY_LOOKUP_UNAVAILABLE) {
        return 1;
    }

    /*
     * R4: the clock last.  The loads above are acquire loads, and the vDSO
     * orders its counter after them; a pause anywhere above ends up here
     * with a clock past the deadline.
     */

    now = apikey_boottime();
    entry->late = (int64_t) (now - deadline);

    if (entry->late < -APIKEY_LEASE_MAX) {
        *result = fail(table, APIKEY_TABLE_DAMAGED);
    }

    if (table->left != NULL) {
        apikey_table_forget(table, now);
    }

    return 1;
}


apikey_lookup_t
apikey_table_lookup(apikey_table_t *table,
                    const uint8_t   digest[static APIKEY_TABLE_DIGEST_LEN],
                    apikey_entry_t *entry, apikey_alloc_pt alloc, void *ctx)
{
    int             i;
    uint64_t        words[4];
    apikey_lookup_t result;

    memcpy(words, digest, sizeof(words));

    for (i = 0; i < LOOKUP_TRIES; i++) {
        if (table->generation == NULL
            && apikey_table_reattach(table) != APIKEY_TABLE_OK)
        {
            return APIKEY_LOOKUP_UNAVAILABLE;
        }

        if (!look(table, words, entry, alloc, ctx, &result)) {
            /* a publication, no failure: attach at once, whatever the time */
            if (apikey_table_attach(table) != APIKEY_TABLE_OK) {
                table->tried = apikey_boottime();
                return APIKEY_LOOKUP_UNAVAILABLE;
            }

            continue;
        }

        if (result != APIKEY_LOOKUP_UNAVAILABLE && entry->late < 0) {
            return result;
        }

        /* damaged or out of lease: is there another page by now? */

        if (!apikey_table_replaced(table, apikey_boottime())) {
            return result;
        }

        apikey_table_detach(table);
    }

    return fail(table, APIKEY_TABLE_CROWDED);
}


/*
 * Sets *slot and the state that was seen in it.  The comparison looks at all
 * 32 bytes whatever they are; that a probe's length can be timed tells
 * nothing, because digests are keyed hashes.
 */
static apikey_lookup_t
find(apikey_table_t *table, const uint64_t digest[static 4],
     const apikey_slot_t **slot, uint64_t *state)
{
    uint64_t             i, n, differ;
    const apikey_slot_t *s;

    i = apikey_slot_home(digest, table->seed, table->slots);

    for (n = 0; n < APIKEY_PROBES_MAX && n < table->slots; n++) {
        s = &table->slot[i];

        /* pairs with the release in apikey_slot_set(): digest and record are
           there too */
        *state = load(&s->state);

        if (*state == 0) {
            return APIKEY_LOOKUP_UNKNOWN;
        }

        differ = (peek(&s->digest[0]) ^ digest[0])
                 | (peek(&s->digest[1]) ^ digest[1])
                 | (peek(&s->digest[2]) ^ digest[2])
                 | (peek(&s->digest[3]) ^ digest[3]);

        if (differ == 0) {
            *slot = s;
            return APIKEY_LOOKUP_FOUND;
        }

        if (++i == table->slots) {
            i = 0;
        }
    }

    return fail(table, APIKEY_TABLE_CROWDED);
}


/* Fills entry from one word of a slot and the record that it names. */
static apikey_lookup_t
read_state(apikey_table_t *table, uint64_t state, uint64_t digest0,
           apikey_entry_t *entry, apikey_alloc_pt alloc, void *ctx)
{
    void    *copy;
    uint64_t offset, size;

    if (!apikey_state_split(state, &offset, &entry->status)) {
        return fail(table, APIKEY_TABLE_DAMAGED);
    }

    size = apikey_record_claim(table->records, table->records_size, offset);
    if (size == 0) {
        return fail(table, APIKEY_TABLE_DAMAGED);
    }

    copy = alloc(ctx, size);
    if (copy == NULL) {
        return fail(table, APIKEY_TABLE_SYSTEM);
    }

    /* what is checked is the copy, and only the copy is used */
    memcpy(copy, table->records + offset, size);

    if (!apikey_valid_record(copy, size, digest0)) {
        return fail(table, APIKEY_TABLE_DAMAGED);
    }

    entry->record = copy;

    return APIKEY_LOOKUP_FOUND;
}


void
apikey_table_peppers(const apikey_table_t *table,
                     uint64_t              pepper[static APIKEY_TABLE_PEPPERS])
{
    int i;

    for (i = 0; i < APIKEY_TABLE_PEPPERS; i++) {
        pepper[i] = table->control ? load(&table->control->pepper[i]) : 0;
    }
}


void
apikey_table_texts(const apikey_table_record_t *record, apikey_texts_t *texts)
{
    const char *p = (const char *) (record + 1);

    texts->id = p;
    texts->id_len = record->id_len;
    p += record->id_len;

    texts->member = p;
    texts->member_len = record->member_len;
    p += record->member_len;

    texts->tenant = p;
    texts->tenant_len = record->tenant_len;
    p += record->tenant_len;

    texts->name = p;
    texts->name_len = record->name_len;
    p += record->name_len;

    texts->scopes = p;
    texts->scopes_len = record->scopes_len;
}
