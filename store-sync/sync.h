/*
 * Copyright (C) 2026 the ngx_http_apikey_module authors
 *
 * Keeps a table the same as the store: the daemon's work, from the outside.
 */

#ifndef APIKEY_SYNC_H
#define APIKEY_SYNC_H

#include <stddef.h>

#include <uv.h>

#include "conf.h"

typedef struct apikey_sync_s apikey_sync_t;


/*
 * Opens the table and begins.  Takes a copy of conf.  Returns NULL with a
 * sentence in error if the table can't be used.
 */
apikey_sync_t *apikey_sync_start(uv_loop_t *loop, const apikey_conf_t *conf,
                                 char *error, size_t error_size);

/*
 * Takes over what may change while running: the store's URL, user and
 * password (and connects anew if they did), and the log level.
 */
void apikey_sync_reconfigure(apikey_sync_t *sync, const apikey_conf_t *conf);

/*
 * Lets go of the store and of the table, which stays as it is; the loop ends
 * once it has closed the handles.  Then apikey_sync_free().
 */
void apikey_sync_stop(apikey_sync_t *sync);

void apikey_sync_free(apikey_sync_t *sync);

#endif /* APIKEY_SYNC_H */
