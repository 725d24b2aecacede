/*
 * Copyright (C) 2026 the ngx_http_apikey_module authors
 *
 * What goes over from one generation to the next, and what was seen revoked
 * elsewhere.
 */

#include "carry.h"
#include "slots.h"

#include <errno.h>
#include <string.h>

#include "failpoint.h"


/* The record at this offset if it belongs to the digest, or NULL if it is
   damaged. */
static const unsigned char *
sound_record(const apikey_gen_t *gen, uint64_t offset, uint64_t digest0,
             uint64_t *size)
{
    const unsigned char *record = gen->area + offset;

    *size = apikey_record_claim(gen->area, gen->records, offset);

    return *size
                   && apikey_valid_record(
                       (const apikey_table_record_t *) record, *size, digest0)
               ? record
               : NULL;
}


/* Room for a key that is copied, and its record; *offset is where the bytes
   of the record go, and they count as taken. */
static apikey_write_t
room_for_copy(apikey_gen_t *to, const uint64_t digest[static 4], uint64_t size,
              apikey_slot_t **slot, uint64_t *offset)
{
    apikey_write_t rc;

    rc = apikey_slot_room(to, digest, size, 1, slot);

    if (rc == APIKEY_WRITE_OK) {
        *offset = apikey_record_take(to, size);
    }

    return rc;
}


apikey_write_t
apikey_gen_carry(apikey_gen_t *to, const apikey_gen_t *from, uint64_t i)
{
    int                       damaged;
    uint64_t                  digest[4], offset, size;
    apikey_slot_t            *slot;
    apikey_write_t            rc;
    apikey_status_t           status;
    apikey_table_revocation_t held;
    const unsigned char      *record;
    const apikey_slot_t      *old = &from->slot[i];

    status = apikey_slot_status(old, &offset, &damaged);

    if (status == APIKEY_EMPTY && !damaged) {
        return APIKEY_WRITE_OK;
    }

    memcpy(digest, (const void *) old->digest, sizeof(digest));

    record = damaged ? NULL : sound_record(from, offset, digest[0], &size);

    if (record == NULL) {
        return apikey_gen_error(
            to, "the one before it is damaged; restart apikey-sync", EIO);
    }

    slot = apikey_slot_find(to, digest);

    if (slot && slot->state != 0) {
        return APIKEY_WRITE_OK; /* a change was faster, and is newer */
    }

    rc = room_for_copy(to, digest, size, &slot, &offset);
    if (rc != APIKEY_WRITE_OK) {
        return rc;
    }

    held = apikey_slot_held(old);
    memcpy(to->area + offset, record, size);
    apikey_slot_fill(to, slot, digest, old->version, offset, status, &held);

    apikey_failpoint("carry-filled");

    return APIKEY_WRITE_OK;
}


/* The id that a record has; "" where there is none. */
static void
record_id(const unsigned char *record,
          char                 id[static APIKEY_RECORD_ID_MAX + 1])
{
    size_t len;

    id[0] = '\0';

    if (record == NULL) {
        return;
    }

    len = ((const apikey_table_record_t *) record)->id_len;

    if (len <= APIKEY_RECORD_ID_MAX) {
        memcpy(id, record + sizeof(apikey_table_record_t), len);
        id[len] = '\0';
    }
}


int
apikey_gen_revoked(const apikey_gen_t *gen, uint64_t i, apikey_held_t *held,
                   const unsigned char **record, uint64_t *size)
{
    int                  damaged;
    uint64_t             offset;
    const apikey_slot_t *slot = &gen->slot[i];

    if (apikey_slot_status(slot, &offset, &damaged) != APIKEY_REVOKED) {
        return 0;
    }

    memcpy(held->digest, (const void *) slot->digest, sizeof(held->digest));
    held->revocation = apikey_slot_held(slot);

    *record = sound_record(gen, offset, slot->digest[0], size);
    record_id(*record, held->id);

    return 1;
}


int
apikey_gen_alive(const apikey_gen_t *gen,
                 const uint8_t       digest[static APIKEY_TABLE_DIGEST_LEN])
{
    int             damaged;
    uint64_t        words[4], offset;
    apikey_slot_t  *slot;
    apikey_status_t status;

    memcpy(words, digest, sizeof(words));

    slot = apikey_slot_find(gen, words);
    status = slot ? apikey_slot_status(slot, &offset, &damaged) : APIKEY_EMPTY;

    return status != APIKEY_EMPTY && status != APIKEY_REVOKED;
}


/* The key is not in `to`: it gets there as revoked. */
static apikey_write_t
hold_new(apikey_gen_t *to, const apikey_held_t *held, uint64_t version,
         const unsigned char *record, uint64_t size)
{
    uint64_t     digest[4], offset;
    apikey_put_t nameless = {
        .id = held->id, .member = "", .tenant = "", .name = "", .scopes = ""
    };
    apikey_slot_t *slot;
    apikey_write_t rc;

    memcpy(digest, held->digest, sizeof(digest));

    /* a revocation counts whatever its texts were */
    rc = room_for_copy(to, digest,
                       record ? size : apikey_record_size(&nameless), &slot,
                       &offset);
    if (rc != APIKEY_WRITE_OK) {
        return rc;
    }

    if (record) {
        memcpy(to->area + offset, record, size);

    } else {
        apikey_record_make(to->area + offset, &nameless, digest[0]);
    }

    apikey_slot_fill(to, slot, digest, version, offset, APIKEY_REVOKED,
                     &held->revocation);

    apikey_failpoint("carry-filled");

    return APIKEY_WRITE_OK;
}


apikey_write_t
apikey_gen_hold(apikey_gen_t *to, apikey_held_t *held, uint64_t version,
                const unsigned char *record, uint64_t size,
                apikey_status_t *has, int *known)
{
    int                       damaged;
    uint64_t                  digest[4], offset;
    apikey_slot_t            *slot;
    apikey_table_revocation_t other;

    *has = APIKEY_EMPTY;
    *known = 0;

    memcpy(digest, held->digest, sizeof(digest));

    slot = apikey_slot_find(to, digest);

    if (slot) {
        *has = apikey_slot_status(slot, &offset, &damaged);
    }

    if (*has == APIKEY_EMPTY) {
        return hold_new(to, held, version, record, size);
    }

    if (*has == APIKEY_REVOKED) {
        other = apikey_slot_held(slot);
        *known = other.version == held->revocation.version
                 && other.stamp == held->revocation.stamp;
        return APIKEY_WRITE_OK;
    }

    record_id(sound_record(to, offset, digest[0], &size), held->id);
    apikey_slot_set(to, slot, slot->version, offset, *has, APIKEY_REVOKED,
                    &held->revocation);

    apikey_failpoint("carry-tightened");

    return APIKEY_WRITE_OK;
}
