/*
 * Copyright (C) 2026 the ngx_http_apikey_module authors
 *
 * The whole log, checked.
 */

#ifndef APIKEY_CTL_LOG_H
#define APIKEY_CTL_LOG_H

#include "ctl.h"

/* The session is connected.  Says what was checked and what was found, and
   returns the exit code. */
int ctl_log_verify(ctl_t *ctl);

#endif /* APIKEY_CTL_LOG_H */
