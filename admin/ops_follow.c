/*
 * Copyright (C) 2026 the ngx_http_apikey_module authors
 *
 * Following the log; see ops_follow.h.
 */

#include <poll.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "admin/ops_change.h"
#include "admin/ops_follow.h"

#define PAUSE_MIN 50000   /* microseconds between two tries to connect */
#define PAUSE_MAX 2000000 /* microseconds */


static int follow_subscribe(apikey_follow_t *follow);
static int follow_lost(const apikey_ops_t *ops);
static apikey_follow_event_t
follow_read(apikey_follow_t *follow, apikey_log_page_t *page);
static void
follow_to_head(apikey_follow_t *follow, const apikey_log_page_t *page);
static void follow_listen(apikey_follow_t *follow, int wait_ms);
static apikey_follow_event_t follow_again(apikey_follow_t *follow);


int
apikey_follow_begin(apikey_follow_t *follow, apikey_ops_t *ops)
{
    int               rc;
    apikey_ops_meta_t meta;
    apikey_log_page_t page;

    memset(follow, 0, sizeof(*follow));

    follow->ops = ops;
    follow->pause = PAUSE_MIN;

    /* the subscription first: nothing can happen between it and the log */
    if (follow_subscribe(follow) == -1 || apikey_ops_meta(ops, &meta) == -1) {
        return -1;
    }

    rc = apikey_ops_log(ops, meta.version, 1, &page);

    if (rc == 0) {
        follow_to_head(follow, &page);
    }

    apikey_log_page_free(&page);

    return rc;
}


void
apikey_follow_end(apikey_follow_t *follow)
{
    apikey_client_close(&follow->events);
}


void
apikey_follow_from(apikey_follow_t *follow, const apikey_log_entry_t *entry)
{
    follow->version = entry->version;
    snprintf(follow->chain, sizeof(follow->chain), "%s", entry->chain);
}


static void
follow_to_head(apikey_follow_t *follow, const apikey_log_page_t *page)
{
    follow->version = page->head;
    snprintf(follow->epoch, sizeof(follow->epoch), "%s", page->epoch);
    snprintf(follow->chain, sizeof(follow->chain), "%s", page->chain);
}


static int
follow_subscribe(apikey_follow_t *follow)
{
    char          channel[APIKEY_STORE_NAME_MAX + 8];
    redisReply   *reply;
    apikey_ops_t *ops = follow->ops;
    apikey_args_t args = { 0 };

    apikey_client_close(&follow->events);

    snprintf(channel, sizeof(channel), "%s:events", ops->store);

    apikey_args_add(&args, "SUBSCRIBE");
    apikey_args_add(&args, channel);

    if (apikey_client_connect(&follow->events, &ops->url, ops->timeout_ms) == 0
        && (reply = apikey_client_command(&follow->events, &args)) != NULL)
    {
        freeReplyObject(reply);
        return 0;
    }

    apikey_ops_fail(ops,
                    follow->events.error == APIKEY_CLIENT_REFUSED
                        ? APIKEY_OPS_REFUSED
                        : APIKEY_OPS_UNREACHABLE,
                    "%s", follow->events.text);
    snprintf(ops->name, sizeof(ops->name), "%s", follow->events.name);

    return -1;
}


/* Whether it is worth trying again: the store is away, or has only begun. */
static int
follow_lost(const apikey_ops_t *ops)
{
    return ops->error == APIKEY_OPS_UNREACHABLE
           || (ops->error == APIKEY_OPS_REFUSED
               && (strcmp(ops->name, "LOADING") == 0
                   || strcmp(ops->name, "BUSY") == 0
                   || strcmp(ops->name, "MASTERDOWN") == 0));
}


apikey_follow_event_t
apikey_follow_step(apikey_follow_t *follow, apikey_log_page_t *page,
                   int wait_ms)
{
    int                   heard;
    apikey_follow_event_t event;

    memset(page, 0, offsetof(apikey_log_page_t, entry));
    page->reply = NULL;

    if (follow->away) {
        return follow_again(follow);
    }

    event = follow_read(follow, page);

    if (event != APIKEY_FOLLOW_IDLE) {
        return event;
    }

    follow_listen(follow, wait_ms);

    heard = follow->heard;
    follow->heard = 0;

    event = follow_read(follow, page);

    /* a change that was not pushed: is anybody there still? */
    if (event == APIKEY_FOLLOW_ENTRIES && !heard) {
        apikey_client_close(&follow->events);
    }

    return event;
}


static apikey_follow_event_t
follow_read(apikey_follow_t *follow, apikey_log_page_t *page)
{
    int                   rc;
    apikey_follow_event_t event = APIKEY_FOLLOW_ENTRIES;

    apikey_log_page_free(page);

    rc = apikey_ops_log(follow->ops, follow->version, APIKEY_LOG_PAGE_MAX,
                        page);

    if (rc == 0 && follow->events.context == NULL) {
        rc = follow_subscribe(follow);
    }

    if (rc == -1) {
        page->count = 0;

        if (!follow_lost(follow->ops)) {
            return APIKEY_FOLLOW_FAILED;
        }

        follow->away = 1;
        return APIKEY_FOLLOW_AWAY;
    }

    if (strcmp(page->epoch, follow->epoch) != 0 || page->head < follow->version
        || (page->head == follow->version
            && strcmp(page->chain, follow->chain) != 0)
        || (page->count && page->entry[0].previous[0]
            && strcmp(page->entry[0].previous, follow->chain) != 0))
    {
        follow_to_head(follow, page);
        page->count = 0;
        return APIKEY_FOLLOW_REPLACED;
    }

    if (page->count == 0) {
        return APIKEY_FOLLOW_IDLE;
    }

    if (page->entry[0].version != follow->version + 1) {
        event = APIKEY_FOLLOW_TRIMMED;
    }

    apikey_follow_from(follow, &page->entry[page->count - 1]);

    return event;
}


/* What is pushed is dropped: it has been heard. */
static void
follow_listen(apikey_follow_t *follow, int wait_ms)
{
    void         *reply;
    redisContext *context = follow->events.context;
    struct pollfd fd;

    if (context == NULL) {
        return;
    }

    fd.fd = context->fd;
    fd.events = POLLIN;

    if (poll(&fd, 1, wait_ms) <= 0) {
        return;
    }

    if (redisBufferRead(context) != REDIS_OK) {
        apikey_client_close(&follow->events);
        return;
    }

    while (redisGetReplyFromReader(context, &reply) == REDIS_OK && reply) {
        freeReplyObject(reply);
        follow->heard = 1;
    }
}


static apikey_follow_event_t
follow_again(apikey_follow_t *follow)
{
    if (apikey_ops_reconnect(follow->ops, follow->ops->timeout_ms) == 0
        && follow_subscribe(follow) == 0)
    {
        follow->away = 0;
        follow->pause = PAUSE_MIN;
        return APIKEY_FOLLOW_BACK;
    }

    apikey_pause(follow->pause);
    follow->pause =
        follow->pause * 2 < PAUSE_MAX ? follow->pause * 2 : PAUSE_MAX;

    return APIKEY_FOLLOW_IDLE;
}
