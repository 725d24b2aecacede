/*
 * Copyright (C) 2026 the ngx_http_apikey_module authors
 *
 * How long to wait before trying again: 50 ms at first, twice as long each
 * time up to a limit, and less by chance, so that many edges do not come at
 * once.
 */

#ifndef APIKEY_SYNC_BACKOFF_H
#define APIKEY_SYNC_BACKOFF_H

#include <stdint.h>

#define APIKEY_BACKOFF_FIRST 50 /* milliseconds */

typedef struct {
    uint64_t next; /* milliseconds; 0: the next try is the first */
} apikey_backoff_t;

/* The milliseconds to wait before this try, at most max; the next one waits
   longer. */
uint64_t apikey_backoff(apikey_backoff_t *backoff, uint64_t max);

/* It went well. */
void apikey_backoff_reset(apikey_backoff_t *backoff);

#endif /* APIKEY_SYNC_BACKOFF_H */
