/*
 * Copyright (C) 2026 the ngx_http_apikey_module authors
 *
 * One way to send a change, whatever it is of: with a token by which the store
 * knows it again (docs/store.md, "Tokens"), so that a lost answer is asked for
 * once more and never guessed.  Results as in ops.h.
 */

#ifndef APIKEY_ADMIN_OPS_CHANGE_H
#define APIKEY_ADMIN_OPS_CHANGE_H

#include <stdint.h>

#include "admin/ops.h"
#include "store/record.h"

/* A change as it was answered: where it stands in the store's history. */
typedef struct {
    char     epoch[APIKEY_EPOCH_HEX + 1];
    uint64_t version; /* of the change; of an older one if !changed */
    uint64_t at;      /* of that, milliseconds since 1970, the store's clock */
    int      changed; /* 0: it was so already */

    /* the history's head after it, which has the change in it */
    uint64_t head;
    char     chain[APIKEY_CHAIN_LEN + 1];

    uint64_t answered;   /* apikey_boottime() when the answer was there */
    unsigned connection; /* of ops->connection, which wrote it; 0: nobody
                            knows, for the answer had to be asked for again */
} apikey_ops_change_t;

/*
 * Sends a change: adds actor, reason and a new token to args, and sends it.
 * If the answer is lost, connects again and sends the same, until the store
 * has answered or the session's time-out has passed once more: only then the
 * error is UNKNOWN.
 */
int apikey_ops_change(apikey_ops_t *ops, const char *function,
                      apikey_args_t *args, apikey_ops_change_t *change);

/*
 * Microseconds of a clock that never goes back and also runs while the
 * machine sleeps (CLOCK_BOOTTIME): what leases are measured by.
 */
uint64_t apikey_boottime(void);

/* Sleeps; a signal that is handled ends it early. */
void apikey_pause(uint64_t microseconds);

#endif /* APIKEY_ADMIN_OPS_CHANGE_H */
