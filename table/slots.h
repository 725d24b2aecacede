/*
 * Copyright (C) 2026 the ngx_http_apikey_module authors
 *
 * The slots of a generation and the records that they name: the only code that
 * stores into them.  For write.c and carry.c.
 */

#ifndef APIKEY_TABLE_SLOTS_H
#define APIKEY_TABLE_SLOTS_H

#include "generation.h"

/* How a put may change a generation. */
typedef enum {
    APIKEY_PUT_ALL,     /* as the change says */
    APIKEY_PUT_STRICTER /* only to refuse more: an old view, maybe of another
                           history */
} apikey_put_mode_t;


/*
 * Applies one key's state.  FULL: no room.  If a newer change would bring a
 * revoked key back, it stays revoked, and *held says by which revocation.
 * *changed is set to 1 if readers see something new.  With `grow`, the record
 * area of a generation that is not sealed yet is extended as needed.
 */
apikey_write_t apikey_gen_put(apikey_gen_t *gen, const apikey_put_t *put,
                              apikey_put_mode_t mode, int grow,
                              apikey_table_revocation_t *held, int *changed);


/* ---- for carry.c ---- */

/* The slot with this digest, or the empty one where it belongs; NULL: the
   table is too crowded there. */
apikey_slot_t *
apikey_slot_find(const apikey_gen_t *gen, const uint64_t digest[static 4]);

/* A slot's status and record; EMPTY if there is no key, or if it is damaged
   (then *damaged is 1). */
apikey_status_t
apikey_slot_status(const apikey_slot_t *slot, uint64_t *offset, int *damaged);

/* The revocation that a revoked slot holds to. */
apikey_table_revocation_t apikey_slot_held(const apikey_slot_t *slot);

/*
 * W1, its last store: one word, and the key has another status or record, or
 * both, for every reader.  held is looked at where `to` is REVOKED.
 */
void apikey_slot_set(apikey_gen_t *gen, apikey_slot_t *slot, uint64_t version,
                     uint64_t offset, apikey_status_t from, apikey_status_t to,
                     const apikey_table_revocation_t *held);

/* An empty slot gets its key, W1 likewise. */
void apikey_slot_fill(apikey_gen_t *gen, apikey_slot_t *slot,
                      const uint64_t digest[static 4], uint64_t version,
                      uint64_t offset, apikey_status_t status,
                      const apikey_table_revocation_t *held);

/* Room for one more key and its record of this size: *slot is where it
   belongs.  `grow` as above. */
apikey_write_t
apikey_slot_room(apikey_gen_t *gen, const uint64_t digest[static 4],
                 uint64_t size, int grow, apikey_slot_t **slot);

/* Takes `size` bytes of the record area, for which there is room; their
   offset. */
uint64_t apikey_record_take(apikey_gen_t *gen, uint64_t size);

/* Bytes that a record with these texts takes. */
uint64_t apikey_record_size(const apikey_put_t *put);

/* Writes a record to p, which has room for it, and returns its size. */
uint64_t apikey_record_make(unsigned char *p, const apikey_put_t *put,
                            uint64_t digest0);

#endif /* APIKEY_TABLE_SLOTS_H */
