/*
 * Copyright (C) 2026 the ngx_http_apikey_module authors
 *
 * Changes shown as they happen, until somebody stops it: what `watch` and
 * `log --follow` have in common.
 */

#ifndef APIKEY_CTL_FOLLOW_H
#define APIKEY_CTL_FOLLOW_H

#include "admin/ops_follow.h"
#include "ctl.h"
#include "entry.h"

/*
 * Shows every entry behind the follower's place that the filter lets through:
 * a row of the table, which is begun, or an object a line.  With acks also
 * when each edge has acknowledged it.  Returns the exit code: DONE if it was
 * stopped by a signal, or if nobody reads on.
 */
int ctl_follow(ctl_t *ctl, apikey_follow_t *follow,
               const ctl_entry_filter_t *filter, ctl_table_t *table, int acks);

#endif /* APIKEY_CTL_FOLLOW_H */
