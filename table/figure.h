/*
 * Copyright (C) 2026 the ngx_http_apikey_module authors
 *
 * The names of the figures and causes of the control page (apikey_table.h):
 * the ones by which the daemon's log, apikeyctl and the documents know them.
 */

#ifndef APIKEY_TABLE_FIGURE_H
#define APIKEY_TABLE_FIGURE_H

#include "apikey_table.h"

/* "pid", "cause_lost"; "" for what is no figure.  Static. */
const char *apikey_figure_name(apikey_figure_t figure);

/* "lost"; "none" for APIKEY_CAUSE_NONE.  Static. */
const char *apikey_cause_name(apikey_cause_t cause);

#endif /* APIKEY_TABLE_FIGURE_H */
