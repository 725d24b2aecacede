/*
 * Copyright (C) 2026 the ngx_http_apikey_module authors
 *
 * What edges hold against a key, for whoever is about to settle it.
 */

#ifndef APIKEY_CTL_CONFLICTS_H
#define APIKEY_CTL_CONFLICTS_H

#include <stdio.h>

#include "admin/ops_conflict.h"
#include "ctl.h"

/* A line an edge that has seen it revoked.  0, or -1 with the error in
   ctl->ops. */
int ctl_conflicts_show(ctl_t *ctl, FILE *file, const char *id);

#endif /* APIKEY_CTL_CONFLICTS_H */
