/*
 * Copyright (C) 2026 the ngx_http_apikey_module authors
 *
 * A place in the store's history.
 */

#ifndef APIKEY_SYNC_POSITION_H
#define APIKEY_SYNC_POSITION_H

#include <stdint.h>

#include "store/record.h"

typedef struct {
    char     epoch[APIKEY_EPOCH_HEX + 1];
    uint64_t version;
    char     chain[APIKEY_CHAIN_LEN + 1];
} apikey_position_t;

#endif /* APIKEY_SYNC_POSITION_H */
