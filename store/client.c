/*
 * Copyright (C) 2026 the ngx_http_apikey_module authors
 *
 * The store's synchronous client, on hiredis; see client.h.
 */

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "store/client.h"


static void client_fail(apikey_client_t *client, apikey_client_error_t error,
                        const char *name, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
static void client_refused(apikey_client_t *client, const redisReply *reply);
static void client_lost(apikey_client_t *client);
static int  client_timed_out(const redisContext *context);
static int  client_hello(apikey_client_t *client, const apikey_url_t *url);
static int  client_select(apikey_client_t *client, int db);
static redisReply *
client_greet(apikey_client_t *client, const apikey_args_t *args);
static const redisReply *
reply_value(const redisReply *reply, const char *name);


int
apikey_client_connect(apikey_client_t *client, const apikey_url_t *url,
                      int timeout_ms)
{
    struct timeval limit = { timeout_ms / 1000, timeout_ms % 1000 * 1000 };

    memset(client, 0, sizeof(*client));

    if (url->tls) {
        client_fail(client, APIKEY_CLIENT_CONNECT, "",
                    "rediss:// (TLS) is not built in yet");
        return -1;
    }

    client->context =
        url->port ? redisConnectWithTimeout(url->host, url->port, limit)
                  : redisConnectUnixWithTimeout(url->host, limit);

    if (client->context == NULL) {
        client_fail(client, APIKEY_CLIENT_CONNECT, "", "out of memory");
        return -1;
    }

    if (client->context->err) {
        client_fail(client, APIKEY_CLIENT_CONNECT, "", "%s",
                    client_timed_out(client->context)
                        ? "the connection was not accepted in time"
                        : client->context->errstr);
        return -1;
    }

    if (redisSetTimeout(client->context, limit) != REDIS_OK) {
        client_fail(client, APIKEY_CLIENT_CONNECT, "",
                    "cannot set a time limit: %s", client->context->errstr);
        return -1;
    }

    if (client_hello(client, url) == -1) {
        return -1;
    }

    return url->db ? client_select(client, url->db) : 0;
}


void
apikey_client_limit(apikey_client_t *client, int timeout_ms)
{
    struct timeval limit = { timeout_ms / 1000, timeout_ms % 1000 * 1000 };

    /* the system takes any limit for a socket that is open */
    if (client->context) {
        (void) redisSetTimeout(client->context, limit);
    }
}


void
apikey_client_close(apikey_client_t *client)
{
    if (client->context) {
        redisFree(client->context);
        client->context = NULL;
    }
}


/*
 * HELLO is always permitted, says what the server is, and proves that it
 * answers: a command that changes something is never the first one sent into
 * a connection that nobody reads.
 */
static int
client_hello(apikey_client_t *client, const apikey_url_t *url)
{
    apikey_args_t args = { 0 };
    redisReply   *reply;
    char          server[16], version[32], role[16];

    apikey_args_add(&args, "HELLO");
    apikey_args_add(&args, "2");

    if (url->user[0] || url->password[0]) {
        apikey_args_add(&args, "AUTH");
        apikey_args_add(&args, url->user[0] ? url->user : "default");
        apikey_args_add(&args, url->password);
    }

    reply = client_greet(client, &args);
    if (reply == NULL) {
        return -1;
    }

    if (apikey_reply_copy(reply, "server", server, sizeof(server)) == 0
        && apikey_reply_copy(reply, "version", version, sizeof(version)) == 0)
    {
        snprintf(client->server, sizeof(client->server), "%s %s", server,
                 version);
    }

    client->replica = apikey_reply_copy(reply, "role", role, sizeof(role)) == 0
                      && strcmp(role, "replica") == 0;

    freeReplyObject(reply);

    return 0;
}


static int
client_select(apikey_client_t *client, int db)
{
    apikey_args_t args = { 0 };
    redisReply   *reply;
    char          number[16];

    snprintf(number, sizeof(number), "%d", db);

    apikey_args_add(&args, "SELECT");
    apikey_args_add(&args, number);

    reply = client_greet(client, &args);
    if (reply == NULL) {
        return -1;
    }

    freeReplyObject(reply);

    return 0;
}


/*
 * A command of the greeting.  Whatever becomes of it, nothing was changed and
 * there is no connection to go on with: all its errors are CONNECT.
 */
static redisReply *
client_greet(apikey_client_t *client, const apikey_args_t *args)
{
    redisReply *reply;

    reply = apikey_client_command(client, args);

    if (reply == NULL) {
        client->error = APIKEY_CLIENT_CONNECT;
        apikey_client_close(client);
    }

    return reply;
}


redisReply *
apikey_client_command(apikey_client_t *client, const apikey_args_t *args)
{
    redisReply *reply;

    if (client->context == NULL) {
        if (client->error == APIKEY_CLIENT_OK) {
            client_fail(client, APIKEY_CLIENT_CONNECT, "", "not connected");
        }
        return NULL;
    }

    client->error = APIKEY_CLIENT_OK;
    client->name[0] = '\0';
    client->text[0] = '\0';

    if (args->overflow) {
        client_fail(client, APIKEY_CLIENT_CONNECT, "",
                    "a command has more than %d arguments",
                    APIKEY_CLIENT_ARGS_MAX);
        return NULL;
    }

    /* hiredis changes neither the pointers nor what they point to */
    reply = redisCommandArgv(client->context, args->count,
                             (const char **) args->argument, args->length);
    if (reply == NULL) {
        client_lost(client);
        return NULL;
    }

    if (reply->type == REDIS_REPLY_ERROR) {
        client_refused(client, reply);
        freeReplyObject(reply);
        return NULL;
    }

    return reply;
}


static void
client_fail(apikey_client_t *client, apikey_client_error_t error,
            const char *name, const char *format, ...)
{
    va_list args;

    client->error = error;
    snprintf(client->name, sizeof(client->name), "%s", name);

    va_start(args, format);
    vsnprintf(client->text, sizeof(client->text), format, args);
    va_end(args);

    if (error != APIKEY_CLIENT_REFUSED) {
        apikey_client_close(client);
    }
}


/* An error reply is "NAME text"; a first word in small letters is no name. */
static void
client_refused(apikey_client_t *client, const redisReply *reply)
{
    size_t      len;
    const char *text;
    char        name[APIKEY_CLIENT_NAME_MAX + 1];

    text = reply->str;
    len = strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_");

    if (len == 0 || len >= sizeof(name) || (text[len] && text[len] != ' ')) {
        client_fail(client, APIKEY_CLIENT_REFUSED, "ERR", "%s", text);
        return;
    }

    memcpy(name, text, len);
    name[len] = '\0';

    text += len;
    text += strspn(text, " ");

    client_fail(client, APIKEY_CLIENT_REFUSED, name, "%s", text);
}


static void
client_lost(apikey_client_t *client)
{
    redisContext *context = client->context;

    if (context->err == REDIS_ERR_PROTOCOL) {
        client_fail(client, APIKEY_CLIENT_PROTOCOL, "",
                    "this is no Redis server: %s", context->errstr);

    } else if (client_timed_out(context)) {
        client_fail(client, APIKEY_CLIENT_LOST, "",
                    "the server did not answer in time");

    } else {
        client_fail(client, APIKEY_CLIENT_LOST, "",
                    "the connection was lost: %s", context->errstr);
    }
}


/* hiredis has a code of its own for this from 1.0 on; errno says it in all. */
static int
client_timed_out(const redisContext *context)
{
#ifdef REDIS_ERR_TIMEOUT
    if (context->err == REDIS_ERR_TIMEOUT) {
        return 1;
    }
#endif

    return context->err == REDIS_ERR_IO
           && (errno == EAGAIN || errno == EWOULDBLOCK || errno == ETIMEDOUT);
}


void
apikey_args_function(apikey_args_t *args, int write, const char *function,
                     const char *store)
{
    memset(args, 0, sizeof(*args));

    apikey_args_add(args, write ? "FCALL" : "FCALL_RO");
    apikey_args_add(args, function);
    apikey_args_add(args, "1");
    apikey_args_add(args, store);
}


void
apikey_args_add(apikey_args_t *args, const char *argument)
{
    apikey_args_add_bytes(args, argument, strlen(argument));
}


void
apikey_args_add_bytes(apikey_args_t *args, const char *argument, size_t length)
{
    if (args->count == APIKEY_CLIENT_ARGS_MAX) {
        args->overflow = 1;
        return;
    }

    args->argument[args->count] = argument;
    args->length[args->count] = length;
    args->count++;
}


void
apikey_args_pair(apikey_args_t *args, const char *name, const char *value)
{
    if (value) {
        apikey_args_add(args, name);
        apikey_args_add(args, value);
    }
}


static const redisReply *
reply_value(const redisReply *reply, const char *name)
{
    size_t            i;
    const redisReply *key;

    if (reply->type != REDIS_REPLY_ARRAY) {
        return NULL;
    }

    for (i = 0; i + 1 < reply->elements; i += 2) {
        key = reply->element[i];

        if (key->type == REDIS_REPLY_STRING && strcmp(key->str, name) == 0) {
            return reply->element[i + 1];
        }
    }

    return NULL;
}


int
apikey_reply_copy(const redisReply *reply, const char *name, char *buffer,
                  size_t size)
{
    const redisReply *value;

    value = reply_value(reply, name);

    if (value == NULL || value->type != REDIS_REPLY_STRING
        || value->len >= size || memchr(value->str, '\0', value->len))
    {
        return -1;
    }

    memcpy(buffer, value->str, value->len + 1);

    return 0;
}


int
apikey_reply_number(const redisReply *reply, const char *name,
                    uint64_t *number)
{
    size_t            i;
    uint64_t          n;
    const redisReply *value;

    value = reply_value(reply, name);

    if (value == NULL) {
        return -1;
    }

    if (value->type == REDIS_REPLY_INTEGER && value->integer >= 0) {
        *number = (uint64_t) value->integer;
        return 0;
    }

    if (value->type != REDIS_REPLY_STRING || value->len == 0
        || value->len > 19) {
        return -1;
    }

    n = 0;

    for (i = 0; i < value->len; i++) {
        if (value->str[i] < '0' || value->str[i] > '9') {
            return -1;
        }
        n = n * 10 + (uint64_t) (value->str[i] - '0');
    }

    *number = n;

    return 0;
}
