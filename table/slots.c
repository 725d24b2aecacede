/*
 * Copyright (C) 2026 the ngx_http_apikey_module authors
 *
 * The slots of a generation, and the records that they name: how a change is
 * stored.  W1 is a step of apikey_table.h.
 */

#include "slots.h"

#include <errno.h>
#include <string.h>

#include "failpoint.h"

/* Keys per 100 slots: beyond, probes get long. */
#define SLOTS_LOAD 70


apikey_slot_t *
apikey_slot_find(const apikey_gen_t *gen, const uint64_t digest[static 4])
{
    uint64_t       i, n;
    apikey_slot_t *slot;

    i = apikey_slot_home(digest, gen->seed, gen->slots);

    for (n = 0; n < APIKEY_PROBES_MAX && n < gen->slots; n++) {
        slot = &gen->slot[i];

        if (slot->state == 0
            || (slot->digest[0] == digest[0] && slot->digest[1] == digest[1]
                && slot->digest[2] == digest[2]
                && slot->digest[3] == digest[3]))
        {
            return slot;
        }

        if (++i == gen->slots) {
            i = 0;
        }
    }

    return NULL;
}


apikey_status_t
apikey_slot_status(const apikey_slot_t *slot, uint64_t *offset, int *damaged)
{
    apikey_status_t status = APIKEY_EMPTY;

    *damaged = 0;

    if (slot->state != 0 && !apikey_state_split(slot->state, offset, &status))
    {
        *damaged = 1;
        return APIKEY_EMPTY;
    }

    return status;
}


/* The books: how many keys have this status. */
static void
gen_count(apikey_gen_t *gen, apikey_status_t status, int add)
{
    apikey_word_t *count;

    switch (status) {
    case APIKEY_ENABLED:
        count = &gen->head->enabled;
        break;
    case APIKEY_DISABLED:
        count = &gen->head->disabled;
        break;
    case APIKEY_REVOKED:
        count = &gen->head->revoked;
        break;
    default:
        return;
    }

    atomic_store_explicit(count,
                          atomic_load_explicit(count, memory_order_relaxed)
                              + (uint64_t) add,
                          memory_order_relaxed);
}


uint64_t
apikey_record_take(apikey_gen_t *gen, uint64_t size)
{
    uint64_t offset = gen->used;

    gen->used += size;
    atomic_store_explicit(&gen->head->records_used, gen->used,
                          memory_order_relaxed);

    apikey_failpoint("record-taken");

    return offset;
}


void
apikey_slot_set(apikey_gen_t *gen, apikey_slot_t *slot, uint64_t version,
                uint64_t offset, apikey_status_t from, apikey_status_t to,
                const apikey_table_revocation_t *held)
{
    gen_count(gen, from, -1);
    gen_count(gen, to, 1);

    apikey_failpoint("state-counted");

    atomic_store_explicit(&slot->version, version, memory_order_relaxed);

    if (to == APIKEY_REVOKED) {
        atomic_store_explicit(&slot->held[0], held->version,
                              memory_order_relaxed);
        atomic_store_explicit(&slot->held[1], held->stamp,
                              memory_order_relaxed);
    }

    apikey_failpoint("state-version");

    /* pairs with the acquire in find() */
    atomic_store_explicit(&slot->state, apikey_state(offset, to),
                          memory_order_release);

    apikey_failpoint("state-stored");
}


/* The revocation that a change is, if it is one. */
static apikey_table_revocation_t
put_revocation(const apikey_put_t *put)
{
    return (apikey_table_revocation_t){ put->version, put->stamp };
}


apikey_table_revocation_t
apikey_slot_held(const apikey_slot_t *slot)
{
    return (apikey_table_revocation_t){ slot->held[0], slot->held[1] };
}


void
apikey_slot_fill(apikey_gen_t *gen, apikey_slot_t *slot,
                 const uint64_t digest[static 4], uint64_t version,
                 uint64_t offset, apikey_status_t status,
                 const apikey_table_revocation_t *held)
{
    int i;

    for (i = 0; i < 4; i++) {
        atomic_store_explicit(&slot->digest[i], digest[i],
                              memory_order_relaxed);

        apikey_failpoint("digest-word");
    }

    apikey_slot_set(gen, slot, version, offset, APIKEY_EMPTY, status, held);

    gen->keys++;
}


uint64_t
apikey_record_size(const apikey_put_t *put)
{
    return (sizeof(apikey_table_record_t) + strlen(put->id)
            + strlen(put->member) + strlen(put->tenant) + strlen(put->name)
            + strlen(put->scopes) + 7)
           & ~7ULL;
}


static unsigned char *
add_text(unsigned char *p, const char *text, size_t len)
{
    memcpy(p, text, len);

    return p + len;
}


uint64_t
apikey_record_make(unsigned char *p, const apikey_put_t *put, uint64_t digest0)
{
    uint64_t               size = apikey_record_size(put);
    apikey_table_record_t *record = (apikey_table_record_t *) p;

    memset(p, 0, size);

    record->digest = digest0;
    record->expires = put->expires;
    record->size = (uint16_t) size;
    record->id_len = (uint8_t) strlen(put->id);
    record->member_len = (uint8_t) strlen(put->member);
    record->tenant_len = (uint8_t) strlen(put->tenant);
    record->name_len = (uint8_t) strlen(put->name);
    record->scopes_len = (uint16_t) strlen(put->scopes);

    p = add_text((unsigned char *) (record + 1), put->id, record->id_len);
    p = add_text(p, put->member, record->member_len);
    p = add_text(p, put->tenant, record->tenant_len);
    p = add_text(p, put->name, record->name_len);
    add_text(p, put->scopes, record->scopes_len);

    record->check =
        apikey_check((unsigned char *) record + sizeof(record->check),
                     size - sizeof(record->check));

    return size;
}


/* Room for one more record of this size, extending the area if that's ours to
   do. */
static apikey_write_t
gen_room(apikey_gen_t *gen, uint64_t size, int grow)
{
    if (gen->used > APIKEY_OFFSET_MAX) {
        return APIKEY_WRITE_FULL;
    }

    if (gen->records - gen->used >= size) {
        return APIKEY_WRITE_OK;
    }

    return grow ? apikey_gen_extend(gen) : APIKEY_WRITE_FULL;
}


apikey_write_t
apikey_slot_room(apikey_gen_t *gen, const uint64_t digest[static 4],
                 uint64_t size, int grow, apikey_slot_t **slot)
{
    apikey_write_t rc;

    if ((gen->keys + 1) * 100 > gen->slots * SLOTS_LOAD) {
        return APIKEY_WRITE_FULL;
    }

    rc = gen_room(gen, size, grow);
    if (rc != APIKEY_WRITE_OK) {
        return rc;
    }

    *slot = apikey_slot_find(gen, digest);

    return *slot ? APIKEY_WRITE_OK : APIKEY_WRITE_FULL;
}


/* A key that this generation does not have yet. */
static apikey_write_t
put_new(apikey_gen_t *gen, const apikey_put_t *put,
        const uint64_t digest[static 4], int grow)
{
    uint64_t                  size;
    apikey_slot_t            *slot;
    apikey_write_t            rc;
    apikey_table_revocation_t held = put_revocation(put);

    rc = apikey_slot_room(gen, digest, apikey_record_size(put), grow, &slot);
    if (rc != APIKEY_WRITE_OK) {
        return rc;
    }

    size = apikey_record_make(gen->area + gen->used, put, digest[0]);

    apikey_failpoint("record-made");

    apikey_slot_fill(gen, slot, digest, put->version,
                     apikey_record_take(gen, size), put->status, &held);

    return APIKEY_WRITE_OK;
}


/* How much a status refuses; what may only get stricter never goes down. */
static int
strictness(apikey_status_t status)
{
    switch (status) {
    case APIKEY_ENABLED:
        return 0;
    case APIKEY_DISABLED:
        return 1;
    default:
        return 2;
    }
}


/* A stricter status, and nothing else: the version stays, so that the whole
   change can still be put.  1 if that changed anything. */
static int
tighten(apikey_gen_t *gen, apikey_slot_t *slot, uint64_t offset,
        apikey_status_t from, const apikey_put_t *put)
{
    apikey_table_revocation_t held = put_revocation(put);

    if (strictness(put->status) <= strictness(from)) {
        return 0;
    }

    apikey_slot_set(gen, slot, slot->version, offset, from, put->status,
                    &held);

    return 1;
}


/* A newer state of a key that this generation has; its texts are appended
   only if they differ. */
static apikey_write_t
put_newer(apikey_gen_t *gen, const apikey_put_t *put,
          const uint64_t digest[static 4], apikey_status_t status,
          uint64_t offset, int grow)
{
    uint64_t                  size;
    apikey_write_t            rc;
    apikey_table_revocation_t held = put_revocation(put);
    unsigned char             record[APIKEY_RECORD_SIZE_MAX]
        __attribute__((aligned(_Alignof(apikey_table_record_t))));

    size = apikey_record_make(record, put, digest[0]);

    if (apikey_record_claim(gen->area, gen->records, offset) != size
        || memcmp(gen->area + offset, record, size) != 0)
    {
        rc = gen_room(gen, size, grow);
        if (rc != APIKEY_WRITE_OK) {
            tighten(gen, apikey_slot_find(gen, digest), offset, status, put);
            return rc;
        }

        memcpy(gen->area + gen->used, record, size);

        apikey_failpoint("record-appended");

        offset = apikey_record_take(gen, size);
    }

    /* found again, for the mapping may have moved */
    apikey_slot_set(gen, apikey_slot_find(gen, digest), put->version, offset,
                    status, put->status, &held);

    return APIKEY_WRITE_OK;
}


/* 1 if an operator has taken this revocation back. */
static int
put_accepts(const apikey_put_t *put, apikey_table_revocation_t held)
{
    size_t i;

    for (i = 0; i < put->accepted_count; i++) {
        if (put->accepted[i].version == held.version
            && put->accepted[i].stamp == held.stamp)
        {
            return 1;
        }
    }

    return 0;
}


apikey_write_t
apikey_gen_put(apikey_gen_t *gen, const apikey_put_t *put,
               apikey_put_mode_t mode, int grow,
               apikey_table_revocation_t *held, int *changed)
{
    int             damaged = 0;
    uint64_t        digest[4], offset = 0;
    apikey_slot_t  *slot;
    apikey_write_t  rc;
    apikey_status_t status = APIKEY_EMPTY;

    memcpy(digest, put->digest, sizeof(digest));

    slot = apikey_slot_find(gen, digest);

    if (slot) {
        status = apikey_slot_status(slot, &offset, &damaged);
    }

    if (mode == APIKEY_PUT_STRICTER) {
        /* a damaged slot refuses already, and goes with this generation */
        /* versions of two histories can't be compared, strictness can */
        if (status != APIKEY_EMPTY && tighten(gen, slot, offset, status, put))
        {
            *changed = 1;
        }

        return APIKEY_WRITE_OK;
    }

    if (damaged) {
        return apikey_gen_error(gen, "a slot is damaged", EIO);
    }

    if (status == APIKEY_EMPTY) {
        rc = put_new(gen, put, digest, grow);

    } else if (put->version <= slot->version) {
        return APIKEY_WRITE_OK;

    } else if (status == APIKEY_REVOKED && put->status != APIKEY_REVOKED
               && !put_accepts(put, apikey_slot_held(slot)))
    {
        *held = apikey_slot_held(slot);
        return APIKEY_WRITE_OK;

    } else {
        rc = put_newer(gen, put, digest, status, offset, grow);
    }

    if (rc == APIKEY_WRITE_OK) {
        *changed = 1;
    }

    return rc;
}
