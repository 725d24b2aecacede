/*
 * Copyright (C) 2026 the ngx_http_apikey_module authors
 *
 * hiredis's event hooks on a uv_poll_t.
 */

#include "adapter.h"

#include <stdlib.h>

#include "table/failpoint.h"

typedef struct {
    redisAsyncContext *context; /* NULL once hiredis is done with it */
    uv_poll_t          poll;
    int                events;
} adapter_t;


static void
adapter_poll(uv_poll_t *poll, int status, int events)
{
    adapter_t *adapter = poll->data;

    if (status != 0) {
        /* libuv has stopped polling; reading finds out what the error is */
        adapter->events = 0;
        events = UV_READABLE;
    }

    /* either call may end the connection, and then cleanup was called */

    if (adapter->context != NULL && (events & UV_READABLE)) {
        redisAsyncHandleRead(adapter->context);
    }

    if (adapter->context != NULL && (events & UV_WRITABLE)) {
        redisAsyncHandleWrite(adapter->context);
        apikey_failpoint("link-written");
    }
}


static void
adapter_want(adapter_t *adapter, int events)
{
    if (adapter->context == NULL || events == adapter->events) {
        return;
    }

    adapter->events = events;

    if (events) {
        uv_poll_start(&adapter->poll, events, adapter_poll);
    } else {
        uv_poll_stop(&adapter->poll);
    }
}


static void
adapter_add_read(void *data)
{
    adapter_want(data, ((adapter_t *) data)->events | UV_READABLE);
}


static void
adapter_del_read(void *data)
{
    adapter_want(data, ((adapter_t *) data)->events & ~UV_READABLE);
}


static void
adapter_add_write(void *data)
{
    adapter_want(data, ((adapter_t *) data)->events | UV_WRITABLE);
}


static void
adapter_del_write(void *data)
{
    adapter_want(data, ((adapter_t *) data)->events & ~UV_WRITABLE);
}


static void
adapter_free(uv_handle_t *handle)
{
    free(handle->data);
}


/* hiredis closes the socket right after this; uv_close() lets go of it now,
   and the memory lives until the loop has seen the handle off. */
static void
adapter_cleanup(void *data)
{
    adapter_t *adapter = data;

    if (adapter->context == NULL) {
        return;
    }

    adapter->context->ev.cleanup = NULL;
    adapter->context = NULL;
    uv_close((uv_handle_t *) &adapter->poll, adapter_free);
}


int
apikey_adapter_attach(redisAsyncContext *ac, uv_loop_t *loop)
{
    int        rc;
    adapter_t *adapter;

    adapter = calloc(1, sizeof(adapter_t));

    if (adapter == NULL) {
        return UV_ENOMEM;
    }

    rc = uv_poll_init(loop, &adapter->poll, ac->c.fd);

    if (rc != 0) {
        free(adapter);
        return rc;
    }

    adapter->context = ac;
    adapter->poll.data = adapter;

    ac->ev.data = adapter;
    ac->ev.addRead = adapter_add_read;
    ac->ev.delRead = adapter_del_read;
    ac->ev.addWrite = adapter_add_write;
    ac->ev.delWrite = adapter_del_write;
    ac->ev.cleanup = adapter_cleanup;

    return 0;
}
