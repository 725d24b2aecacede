/*
 * Copyright (C) 2026 the ngx_http_apikey_module authors
 *
 * Keeps the revocations that this edge has seen where the loss of its table
 * does not reach them, nor, with the option `state`, a reboot: when what is
 * written, and how far that has come.  What is written, and how, is in
 * journal.h.
 *
 * A revocation takes effect at once; only the acknowledgement of it waits for
 * the disk.  Writing to one is the work of another thread, one job at a time.
 */

#ifndef APIKEY_SYNC_REVOKED_H
#define APIKEY_SYNC_REVOKED_H

#include <stddef.h>
#include <stdint.h>

#include <uv.h>

#include "journal.h"
#include "log.h"
#include "position.h"

typedef struct {
    unsigned char *data; /* packed records */
    size_t         count, room;
} apikey_packed_t;

typedef struct {
    int              disk; /* 1: there is a state directory */
    int              open;
    apikey_journal_t journal;
    uv_idle_t        slices; /* of a rewriting */

    /* the job of the other thread, while there is one */
    uv_work_t work;
    int       busy;
    int       rewrite; /* 1: `flight` is for the file's successor; 0: append */
    int       first, last; /* of a rewriting */
    unsigned  of;          /* which rewriting */
    int       result;

    apikey_packed_t   pending; /* seen, and not handed to a job yet */
    apikey_packed_t   flight;
    apikey_position_t flying; /* where the table was when `flight` was taken */
    unsigned          life;
    apikey_position_t durable; /* may be acknowledged; version 0: nothing */

    int      rewriting;
    unsigned rewritings;
    uint64_t generation, cursor; /* of the table: what to write next */

    int                   failed; /* 1: the disk refuses; see there */
    uint64_t              since;  /* uv_now(): it has worked; 0: it does not */
    int                   late;   /* 1: it takes too long */
    uint64_t              not_before; /* uv_now(): try again then */
    apikey_log_throttle_t trouble;

    uint64_t holding; /* records of the file that a snapshot was given */
    uint64_t known;   /* of them: no news to the snapshot */
    uint64_t damaged;
} apikey_sync_revoked_t;

#endif /* APIKEY_SYNC_REVOKED_H */
