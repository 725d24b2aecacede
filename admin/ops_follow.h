/*
 * Copyright (C) 2026 the ngx_http_apikey_module authors
 *
 * Following the log: every change, once, in order, as it happens.
 *
 * What is pushed on the store's channel only wakes the follower; what it tells
 * is read from the log, from its place on.  So a push that is lost, doubled or
 * late changes nothing but the moment.
 */

#ifndef APIKEY_ADMIN_OPS_FOLLOW_H
#define APIKEY_ADMIN_OPS_FOLLOW_H

#include <stdint.h>

#include "admin/ops.h"
#include "admin/ops_log.h"
#include "admin/ops_store.h"
#include "store/client.h"
#include "store/record.h"

typedef struct {
    apikey_ops_t   *ops;
    apikey_client_t events; /* the subscription */

    /* its place: the last entry that it has told */
    char     epoch[APIKEY_EPOCH_HEX + 1];
    uint64_t version;
    char     chain[APIKEY_CHAIN_LEN + 1];

    int      heard; /* something was pushed since the log was read */
    int      away;
    uint64_t pause; /* microseconds, until the next try */
} apikey_follow_t;

typedef enum {
    APIKEY_FOLLOW_IDLE = 0, /* nothing has happened, for wait_ms at most */
    APIKEY_FOLLOW_ENTRIES,  /* they are in the page */
    APIKEY_FOLLOW_TRIMMED,  /* the same, but between its place and them the log
                               was trimmed */
    APIKEY_FOLLOW_REPLACED, /* the history is another one: its place is the
                               head of that now */
    APIKEY_FOLLOW_AWAY,     /* the store is away; said once */
    APIKEY_FOLLOW_BACK,     /* and back; what happened meanwhile comes next */
    APIKEY_FOLLOW_FAILED    /* the error is in ops, and will stay */
} apikey_follow_event_t;

/* Begins behind the log's head as it is now: 0, or -1 with the error in ops,
   which is connected.  apikey_follow_end() is due in any case. */
int  apikey_follow_begin(apikey_follow_t *follow, apikey_ops_t *ops);
void apikey_follow_end(apikey_follow_t *follow);

/* Sets its place to an entry that was read from this log. */
void
apikey_follow_from(apikey_follow_t *follow, const apikey_log_entry_t *entry);

/*
 * What happens next, within about wait_ms; a signal that is handled ends it
 * early.  apikey_log_page_free() is due for the page after each.
 */
apikey_follow_event_t apikey_follow_step(apikey_follow_t   *follow,
                                         apikey_log_page_t *page, int wait_ms);

#endif /* APIKEY_ADMIN_OPS_FOLLOW_H */
