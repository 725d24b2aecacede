/*
 * Copyright (C) 2026 the ngx_http_apikey_module authors
 *
 * Gives keys a status, one after the other, and reports each: what disable,
 * enable and revoke have in common.
 */

#ifndef APIKEY_CTL_CHANGE_H
#define APIKEY_CTL_CHANGE_H

#include "ctl.h"
#include "store/record.h"

/*
 * The session is connected and the ids are checked.  Goes on after a refusal;
 * stops when the store is gone, and says which keys were not tried.  Makes all
 * changes first; with --wait then waits once for all of them.  Returns the
 * worst exit code.
 */
int ctl_change(ctl_t *ctl, apikey_key_status_t status, int count, char **ids);

#endif /* APIKEY_CTL_CHANGE_H */
