/*
 * Copyright (C) 2026 the ngx_http_apikey_module authors
 *
 * apikeyctl disable: refused from now on, until it is enabled again.
 */

#include <limits.h>

#include "change.h"
#include "options.h"
#include "session.h"


int
ctl_disable(ctl_t *ctl, int argc, char **argv)
{
    int count;

    count = ctl_options(ctl, argc, argv, NULL, 0);

    if (count == -1 || ctl_ids(ctl, count, argv, INT_MAX) == -1
        || ctl_session(ctl) == -1)
    {
        return ctl->exit;
    }

    return ctl_change(ctl, APIKEY_STATUS_DISABLED, count, argv);
}
