/*
 * Copyright (C) 2026 the ngx_http_apikey_module authors
 *
 * The canary: disables and enables one key on a schedule, as an admin would,
 * and measures how long it takes until the table that nginx reads refuses it.
 * Over a connection and with credentials of its own; the keys of callers and
 * the daemon's own work go on whatever becomes of it.
 */

#ifndef APIKEY_SYNC_CANARY_H
#define APIKEY_SYNC_CANARY_H

#include "conf.h"
#include "store/record.h"
#include "sync.h"

typedef struct apikey_canary_s apikey_canary_t;


/* NULL if conf names no canary, or there is no memory for one, which is then
   logged. */
apikey_canary_t *apikey_canary_start(apikey_sync_t *sync, uv_loop_t *loop,
                                     const apikey_conf_t *conf);

/* The store's URL or the credentials may have changed. */
void
apikey_canary_reconfigure(apikey_canary_t *canary, const apikey_conf_t *conf);

/* A change was applied to the table just now.  canary may be NULL, here and
   below. */
void
apikey_canary_applied(apikey_canary_t *canary, const apikey_record_t *record);

/* Its handles are closed once the loop has turned; then free. */
void apikey_canary_stop(apikey_canary_t *canary);
void apikey_canary_free(apikey_canary_t *canary);

#endif /* APIKEY_SYNC_CANARY_H */
