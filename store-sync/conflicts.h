/*
 * Copyright (C) 2026 the ngx_http_apikey_module authors
 *
 * Keys that this edge has seen revoked and that the store calls alive: which
 * they are now, and the report of them to the store, where apikeyctl conflicts
 * finds it.
 */

#ifndef APIKEY_SYNC_CONFLICTS_H
#define APIKEY_SYNC_CONFLICTS_H

#include <stddef.h>
#include <stdint.h>

#include "table/write.h"

#define APIKEY_CONFLICTS_TOLD 100 /* in one report; the others by number */

typedef struct {
    apikey_held_t *item;
    size_t         count, room;
} apikey_held_list_t;

typedef struct {
    apikey_held_list_t open;      /* of the generation that readers use */
    apikey_held_list_t found;     /* of the snapshot that is being built */
    uint64_t           forgotten; /* by the store, of that snapshot */

    uint64_t serial;     /* raised with each change of `open` */
    uint64_t told;       /* the serial that the store has */
    uint64_t telling;    /* the serial that was sent last */
    int      asked;      /* 1: apikey_conflicts_put is out */
    uint64_t not_before; /* uv_now(): it was refused, try again then */
    apikey_log_throttle_t refused;
} apikey_sync_conflicts_t;

#endif /* APIKEY_SYNC_CONFLICTS_H */
