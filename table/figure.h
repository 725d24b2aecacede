/*
 * Copyright (C) 2026 the ngx_http_apikey_module authors
 *
 * The names of the figures, causes and states of the control page:
 * the ones by which the daemon's log, apikeyctl and the documents know them.
 */

#ifndef APIKEY_TABLE_FIGURE_H
#define APIKEY_TABLE_FIGURE_H

#include "apikey_table.h"

/* What the daemon is doing; the value of APIKEY_FIGURE_STATE. */
typedef enum {
    APIKEY_SYNC_CONNECT = 0, /* there is no connection for commands */
    APIKEY_SYNC_SNAPSHOT,    /* reads all keys */
    APIKEY_SYNC_CATCHUP,     /* reads the log, or makes sure of its place */
    APIKEY_SYNC_FOLLOW,      /* applies changes as they are made */
    APIKEY_SYNC_FROZEN       /* the store is not initialised, or was emptied */
} apikey_sync_state_t;

/* "connect" …; "" for what is no state.  Static. */
const char *apikey_state_name(uint64_t state);

/* "pid", "cause_lost"; "" for what is no figure.  Static. */
const char *apikey_figure_name(apikey_figure_t figure);

/* "lost"; "none" for APIKEY_CAUSE_NONE.  Static. */
const char *apikey_cause_name(apikey_cause_t cause);

#endif /* APIKEY_TABLE_FIGURE_H */
