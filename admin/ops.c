/*
 * Copyright (C) 2026 the ngx_http_apikey_module authors
 *
 * The session of an administrator with the store; see ops.h.
 */

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "admin/ops.h"
#include "admin/ops_check.h"


static void ops_refused(apikey_ops_t *ops);


int
apikey_ops_begin(apikey_ops_t *ops, const char *store, const char *actor,
                 const char *reason)
{
    memset(ops, 0, sizeof(*ops));

    if (!apikey_store_name_check(store)) {
        return apikey_ops_fail(ops, APIKEY_OPS_ARGUMENT,
                               "the store's name must be 1 to 64 of A-Z a-z "
                               "0-9 _ . - in braces, as in {apikey}");
    }

    if (apikey_check_text(ops, "the actor", actor, 1, APIKEY_ACTOR_MAX) == -1
        || apikey_check_text(ops, "the reason", reason, 0, APIKEY_REASON_MAX)
               == -1)
    {
        return -1;
    }

    snprintf(ops->store, sizeof(ops->store), "%s", store);
    snprintf(ops->actor, sizeof(ops->actor), "%s", actor);
    snprintf(ops->reason, sizeof(ops->reason), "%s", reason);

    return 0;
}


int
apikey_ops_connect(apikey_ops_t *ops, const apikey_url_t *url, int timeout_ms)
{
    ops->url = *url;
    ops->timeout_ms = timeout_ms;

    return apikey_ops_reconnect(ops, timeout_ms);
}


int
apikey_ops_reconnect(apikey_ops_t *ops, int limit_ms)
{
    char where[APIKEY_URL_PART_MAX + 32];

    apikey_client_close(&ops->client);

    if (limit_ms > ops->timeout_ms) {
        limit_ms = ops->timeout_ms;
    }

    if (apikey_client_connect(&ops->client, &ops->url, limit_ms) == 0) {
        apikey_ops_limit(ops, 0);
        ops->connection++;
        return 0;
    }

    apikey_url_show(&ops->url, where, sizeof(where));

    if (ops->client.name[0]) {
        apikey_ops_fail(ops, APIKEY_OPS_UNREACHABLE,
                        "the store at %s does not let us in: %s", where,
                        ops->client.text);

    } else {
        apikey_ops_fail(ops, APIKEY_OPS_UNREACHABLE,
                        "cannot reach the store at %s: %s", where,
                        ops->client.text);
    }

    memcpy(ops->name, ops->client.name, sizeof(ops->name));

    return -1;
}


void
apikey_ops_limit(apikey_ops_t *ops, int limit_ms)
{
    if (limit_ms == 0 || limit_ms > ops->timeout_ms) {
        limit_ms = ops->timeout_ms;
    }

    apikey_client_limit(&ops->client, limit_ms);
}


void
apikey_ops_close(apikey_ops_t *ops)
{
    apikey_client_close(&ops->client);
    apikey_url_wipe(&ops->url);
}


int
apikey_ops_fail(apikey_ops_t *ops, apikey_ops_error_t error,
                const char *format, ...)
{
    va_list args;

    ops->error = error;
    ops->name[0] = '\0';

    va_start(args, format);
    vsnprintf(ops->text, sizeof(ops->text), format, args);
    va_end(args);

    return -1;
}


int
apikey_ops_misread(apikey_ops_t *ops, const char *function, const char *what)
{
    return apikey_ops_fail(ops, APIKEY_OPS_LOCAL,
                           "the answer of %s is not understood (%s): the "
                           "function library in the store is of another "
                           "version, or the store is damaged",
                           function, what);
}


redisReply *
apikey_ops_command(apikey_ops_t *ops, int write, const apikey_args_t *args)
{
    redisReply      *reply;
    apikey_client_t *client = &ops->client;

    ops->error = APIKEY_OPS_OK;

    reply = apikey_client_command(client, args);
    if (reply) {
        return reply;
    }

    switch (client->error) {
    case APIKEY_CLIENT_REFUSED:
        ops_refused(ops);
        break;

    case APIKEY_CLIENT_LOST:
    case APIKEY_CLIENT_PROTOCOL:
        if (write) {
            apikey_ops_fail(ops, APIKEY_OPS_UNKNOWN,
                            "%s; whether the change was made is not known",
                            client->text);
            break;
        }

        /* fall through */

    default:
        apikey_ops_fail(ops, APIKEY_OPS_UNREACHABLE, "%s", client->text);
    }

    return NULL;
}


static void
ops_refused(apikey_ops_t *ops)
{
    const char *name = ops->client.name;
    const char *text = ops->client.text;

    if (strncmp(text, "Function not found", 18) == 0) {
        name = APIKEY_OPS_NOLIBRARY;
        text = "the function library is not loaded in this server";

    } else if (strncmp(text, "unknown command", 15) == 0) {
        name = APIKEY_OPS_NOFUNCTIONS;
        text = "this server has no functions: it must be Redis 7.0 or Valkey "
               "7.2, or later";
    }

    apikey_ops_fail(ops, APIKEY_OPS_REFUSED, "%s", text);
    snprintf(ops->name, sizeof(ops->name), "%s", name);
}


void
apikey_ops_sign(const apikey_ops_t *ops, apikey_args_t *args)
{
    apikey_args_pair(args, "actor", ops->actor);
    apikey_args_pair(args, "reason", ops->reason[0] ? ops->reason : NULL);
}


int
apikey_ops_number(const redisReply *text, uint64_t *number)
{
    if (text->type != REDIS_REPLY_STRING || text->len == 0 || text->len > 19
        || strspn(text->str, "0123456789") != text->len)
    {
        return -1;
    }

    *number = strtoull(text->str, NULL, 10);

    return 0;
}


const redisReply *
apikey_ops_page(const redisReply *reply,
                char              cursor[static APIKEY_CURSOR_MAX + 1])
{
    const redisReply *next;

    if (reply->type != REDIS_REPLY_ARRAY || reply->elements != 2
        || reply->element[0]->type != REDIS_REPLY_STRING
        || reply->element[0]->len > APIKEY_CURSOR_MAX
        || reply->element[1]->type != REDIS_REPLY_ARRAY)
    {
        return NULL;
    }

    next = reply->element[0];
    memcpy(cursor, next->str, next->len);
    cursor[next->len] = '\0';

    return reply->element[1];
}
