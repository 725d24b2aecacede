/*
 * Copyright (C) 2026 the ngx_http_apikey_module authors
 *
 * Gives a hiredis connection to a libuv loop.
 *
 * hiredis brings an adapter of its own, hiredis/adapters/libuv.h, but that of
 * 0.14 (Debian 12) returns without a word when libuv reports an error of the
 * socket (a refused or reset TCP connection), after which the connection is
 * silent for ever; it leaks if the poll handle can't be made; and it takes
 * the socket out of the epoll set and puts it back on each read.  This one is
 * the same for all versions.
 */

#ifndef APIKEY_SYNC_ADAPTER_H
#define APIKEY_SYNC_ADAPTER_H

#include <hiredis/async.h>
#include <hiredis/hiredis.h>
#include <uv.h>

/*
 * Returns 0 or an error of libuv.  Before any command is sent; what it
 * allocates goes with the connection, one turn of the loop later.
 */
int apikey_adapter_attach(redisAsyncContext *ac, uv_loop_t *loop);

#endif /* APIKEY_SYNC_ADAPTER_H */
