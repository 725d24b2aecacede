/*
 * Copyright (C) 2026 the ngx_http_apikey_module authors
 *
 * Causes: why the daemon had to do more than follow (apikey_table.h has the
 * list), each with a sentence and an advice.  One function counts and tells.
 */

#ifndef APIKEY_SYNC_CAUSE_H
#define APIKEY_SYNC_CAUSE_H

#include "log.h"
#include "sync.h"
#include "table/figure.h"

#define APIKEY_CAUSE_PAIRS_MAX 6

/*
 * Counts the cause on the control page and writes a line:
 *
 *   msg="message" cause=NAME PAIRS why="..." advice="..."
 *
 * unless the throttle holds a line of the same cause and, if there is a pair
 * `error`, of the same error.  pairs end with a NULL key.
 */
void apikey_cause_tell(apikey_sync_t *sync, apikey_cause_t cause,
                       apikey_log_throttle_t *throttle, const char *message,
                       const apikey_log_pair_t *pairs);

#define apikey_cause(sync, cause, throttle, message, ...) \
    apikey_cause_tell(                                    \
        sync, cause, throttle, message,                   \
        (const apikey_log_pair_t[]){ __VA_ARGS__, { NULL, NULL, 0 } })

/* Of an answer of apikey_renew that is not `ok`. */
apikey_cause_t apikey_cause_of_verdict(const char *verdict);

/*
 * Of an error that the server answered.  seen: 1 if its store was seen
 * initialised before.
 */
apikey_cause_t apikey_cause_of_error(const char *error, int seen);

#endif /* APIKEY_SYNC_CAUSE_H */
