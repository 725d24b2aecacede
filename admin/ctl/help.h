/*
 * Copyright (C) 2026 the ngx_http_apikey_module authors
 *
 * What --help shows, all of it from the tables of verbs and options.
 */

#ifndef APIKEY_CTL_HELP_H
#define APIKEY_CTL_HELP_H

#include "options.h"

/* The verbs of a table and, of "" alone, common options and exit codes. */
void ctl_help(ctl_t *ctl, const ctl_verb_t *verbs, const char *of);

/* ctl->verb, with its own options (count of them). */
void ctl_help_verb(ctl_t *ctl, const ctl_option_t *own, size_t count);

#endif /* APIKEY_CTL_HELP_H */
