/*
 * Copyright (C) 2026 the ngx_http_apikey_module authors
 *
 * One generation as its writer holds it: its file and its blocks.  What is in
 * them is slots.h's.  For write.c.
 */

#ifndef APIKEY_TABLE_GENERATION_H
#define APIKEY_TABLE_GENERATION_H

#include "valid.h"
#include "write.h"

#define APIKEY_WRITE_ERROR_LEN 512

typedef struct {
    uint64_t             number; /* 0: there is none */
    int                  fd;
    int                  adopted; /* 1: left by an earlier daemon */
    uint64_t             slots;
    uint64_t             keys;      /* slots in use */
    uint64_t             records;   /* bytes, allocated and mapped */
    uint64_t             used;      /* bytes of records */
    uint64_t             allocated; /* bytes of the file that have blocks */
    apikey_generation_t *head;      /* NULL until all blocks are there */
    apikey_slot_t       *slot;
    unsigned char       *area; /* records */
    uint64_t             seed[4];
    uint8_t              epoch[APIKEY_EPOCH_LEN];
    char                 error[APIKEY_WRITE_ERROR_LEN];
} apikey_gen_t;


/*
 * Creates keys.<number> in the directory for `slots` slots and `records` bytes
 * of records.
 */
apikey_write_t
apikey_gen_create(apikey_gen_t *gen, int dir, gid_t gid, uint64_t number,
                  const uint8_t epoch[APIKEY_EPOCH_LEN], uint64_t slots,
                  uint64_t records);

/* Allocates at most a megabyte, if the file system has room for all; OK
   once the generation is mapped. */
apikey_write_t apikey_gen_prepare(apikey_gen_t *gen);

/*
 * Maps what an earlier daemon left: 1.  0 if it is not there or not valid: no
 * harm, there is just nothing to adopt.  -1 if it can't be told, with a
 * sentence in gen->error: to go on would forget its revocations.
 */
int apikey_gen_adopt(apikey_gen_t *gen, int dir, uint64_t number);

/* 1 if the file of a sealed generation is still there, as long as it was and
   nobody else's to write, and its header as it was written. */
int apikey_gen_sound(const apikey_gen_t *gen, int dir);

/* Writes the header: from now on readers accept the file. */
apikey_write_t apikey_gen_seal(apikey_gen_t *gen);

/* Takes the file out of the directory; who has it open keeps it. */
void apikey_gen_unlink(const apikey_gen_t *gen, int dir);

/*
 * Gives back a megabyte of blocks, in less than a millisecond: MORE.  OK
 * when there are none left, and then the generation is unmapped and closed.
 * It must be retired, or never have been published (W4); its first page stays
 * until the last reader has closed it.
 */
apikey_write_t apikey_gen_release(apikey_gen_t *gen);

/* Unmaps and closes, all blocks at once. */
void apikey_gen_drop(apikey_gen_t *gen);

/* Extends the record area of a generation that no reader has yet; the mapping
   may move. */
apikey_write_t apikey_gen_extend(apikey_gen_t *gen);

/* Leaves a sentence in gen->error: what, and the errno. */
apikey_write_t apikey_gen_error(apikey_gen_t *gen, const char *what, int err);

#endif /* APIKEY_TABLE_GENERATION_H */
