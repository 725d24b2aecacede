/*
 * Copyright (C) 2026 the ngx_http_apikey_module authors
 *
 * What goes over from one generation to the next, and what was seen revoked
 * elsewhere.  For write.c.
 */

#ifndef APIKEY_TABLE_CARRY_H
#define APIKEY_TABLE_CARRY_H

#include "generation.h"

/* Copies the key in slot i of `from` into `to`, if it holds one. */
apikey_write_t
apikey_gen_carry(apikey_gen_t *to, const apikey_gen_t *from, uint64_t i);

/* What the slot i holds revoked: 1, or 0 if it holds no revoked key.
   *record is its record, or NULL if that is damaged, of *size bytes. */
int
apikey_gen_revoked(const apikey_gen_t *gen, uint64_t i, apikey_held_t *held,
                   const unsigned char **record, uint64_t *size);

/* 1 if the generation has this digest, and not as revoked. */
int apikey_gen_alive(const apikey_gen_t *gen,
                     const uint8_t digest[static APIKEY_TABLE_DIGEST_LEN]);

/*
 * Makes a key revoked that was seen so elsewhere; record as above.  version is
 * what later changes of it are compared with if `to` has not got it.  Sets
 * *has to what `to` said of it before, held->id to what it calls the key if
 * it had it alive, and *known to 1 if it held to this very revocation.
 */
apikey_write_t
apikey_gen_hold(apikey_gen_t *to, apikey_held_t *held, uint64_t version,
                const unsigned char *record, uint64_t size,
                apikey_status_t *has, int *known);

#endif /* APIKEY_TABLE_CARRY_H */
