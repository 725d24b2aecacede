/*
 * Copyright (C) 2026 the ngx_http_apikey_module authors
 *
 * What an administrator does to the store as a whole; see ops_store.h.
 */

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <sodium.h>

#include "admin/ops_store.h"

/* store/apikey.lua, as the build embeds it */
#include "store/apikey_lua.h"


static int library_compare(const redisReply *reply, apikey_library_t *library);
static int meta_read(const redisReply *reply, apikey_ops_meta_t *meta);


void
apikey_pepper_name(const apikey_pepper_t *pepper,
                   char                   name[static APIKEY_PEPPER_NAME_SIZE])
{
    snprintf(name, APIKEY_PEPPER_NAME_SIZE, "%s:%016" PRIx64, pepper->id,
             pepper->fingerprint);
}


int
apikey_ops_library(apikey_ops_t *ops, apikey_library_t *library)
{
    int           rc;
    redisReply   *reply;
    apikey_args_t args = { 0 };

    apikey_args_add(&args, "FUNCTION");
    apikey_args_add(&args, "LIST");
    apikey_args_add(&args, "LIBRARYNAME");
    apikey_args_add(&args, "apikey");
    apikey_args_add(&args, "WITHCODE");

    reply = apikey_ops_command(ops, 0, &args);
    if (reply == NULL) {
        return -1;
    }

    rc = library_compare(reply, library);

    if (rc == -1) {
        apikey_ops_misread(ops, "FUNCTION LIST", "the library's code");
    }

    freeReplyObject(reply);

    return rc;
}


static int
library_compare(const redisReply *reply, apikey_library_t *library)
{
    size_t            i;
    const redisReply *fields, *code;

    if (reply->type != REDIS_REPLY_ARRAY) {
        return -1;
    }

    if (reply->elements == 0) {
        *library = APIKEY_LIBRARY_MISSING;
        return 0;
    }

    fields = reply->element[0];

    if (fields->type != REDIS_REPLY_ARRAY) {
        return -1;
    }

    for (i = 0; i + 1 < fields->elements; i += 2) {
        code = fields->element[i + 1];

        if (fields->element[i]->type != REDIS_REPLY_STRING
            || strcmp(fields->element[i]->str, "library_code") != 0
            || code->type != REDIS_REPLY_STRING)
        {
            continue;
        }

        *library = code->len == apikey_lua_len
                           && memcmp(code->str, apikey_lua, code->len) == 0
                       ? APIKEY_LIBRARY_CURRENT
                       : APIKEY_LIBRARY_OTHER;
        return 0;
    }

    return -1;
}


int
apikey_ops_library_load(apikey_ops_t *ops)
{
    redisReply   *reply;
    apikey_args_t args = { 0 };

    apikey_args_add(&args, "FUNCTION");
    apikey_args_add(&args, "LOAD");
    apikey_args_add(&args, "REPLACE");
    apikey_args_add_bytes(&args, (const char *) apikey_lua, apikey_lua_len);

    reply = apikey_ops_command(ops, 1, &args);
    if (reply == NULL) {
        return -1;
    }

    freeReplyObject(reply);

    return 0;
}


int
apikey_ops_initialised(apikey_ops_t *ops, int *initialised)
{
    int           rc;
    char          key[APIKEY_STORE_NAME_MAX + 8];
    redisReply   *reply;
    apikey_args_t args = { 0 };

    snprintf(key, sizeof(key), "%s:meta", ops->store);

    apikey_args_add(&args, "EXISTS");
    apikey_args_add(&args, key);

    reply = apikey_ops_command(ops, 0, &args);
    if (reply == NULL) {
        return -1;
    }

    rc = 0;

    if (reply->type == REDIS_REPLY_INTEGER) {
        *initialised = reply->integer == 1;

    } else {
        rc = apikey_ops_misread(ops, "EXISTS", "a number");
    }

    freeReplyObject(reply);

    return rc;
}


int
apikey_ops_init_check(apikey_ops_t *ops, const apikey_ops_init_t *request)
{
    if (request->prefix && !apikey_prefix_check(request->prefix)) {
        return apikey_ops_fail(ops, APIKEY_OPS_ARGUMENT,
                               "the prefix must be 0 to %d of A-Z a-z 0-9 _ -",
                               APIKEY_PREFIX_MAX);
    }

    if (request->lease
        && (request->lease < APIKEY_LEASE_MIN
            || request->lease > APIKEY_LEASE_MAX))
    {
        return apikey_ops_fail(ops, APIKEY_OPS_ARGUMENT,
                               "the lease must be 200ms to 1h");
    }

    if (request->log_length
        && (request->log_length < APIKEY_LOG_LENGTH_MIN
            || request->log_length > APIKEY_LOG_LENGTH_MAX))
    {
        return apikey_ops_fail(ops, APIKEY_OPS_ARGUMENT,
                               "the length of the log must be %d to %d "
                               "entries",
                               APIKEY_LOG_LENGTH_MIN, APIKEY_LOG_LENGTH_MAX);
    }

    return 0;
}


int
apikey_ops_init(apikey_ops_t *ops, const apikey_ops_init_t *request,
                apikey_ops_inited_t *inited)
{
    int           rc;
    char          epoch[APIKEY_EPOCH_HEX + 1];
    char          pepper[APIKEY_PEPPER_NAME_SIZE];
    char          lease[24], log_length[24];
    uint8_t       random[APIKEY_EPOCH_HEX / 2];
    redisReply   *reply;
    apikey_args_t args;

    memset(inited, 0, sizeof(*inited));

    if (apikey_ops_init_check(ops, request) == -1) {
        return -1;
    }

    randombytes_buf(random, sizeof(random));
    sodium_bin2hex(epoch, sizeof(epoch), random, sizeof(random));
    apikey_pepper_name(request->pepper, pepper);
    snprintf(lease, sizeof(lease), "%" PRIu64, request->lease);
    snprintf(log_length, sizeof(log_length), "%" PRIu64, request->log_length);

    apikey_args_function(&args, 1, "apikey_init", ops->store);
    apikey_args_pair(&args, "epoch", epoch);
    apikey_args_pair(&args, "pepper", pepper);
    apikey_args_pair(&args, "prefix", request->prefix);
    apikey_args_pair(&args, "lease", request->lease ? lease : NULL);
    apikey_args_pair(&args, "log_length",
                     request->log_length ? log_length : NULL);
    apikey_ops_sign(ops, &args);

    reply = apikey_ops_command(ops, 1, &args);
    if (reply == NULL) {
        return -1;
    }

    rc = 0;

    if (apikey_reply_copy(reply, "epoch", inited->epoch, sizeof(inited->epoch))
            == -1
        || apikey_reply_copy(reply, "prefix", inited->prefix,
                             sizeof(inited->prefix))
               == -1
        || apikey_reply_number(reply, "version", &inited->version) == -1
        || apikey_reply_number(reply, "lease", &inited->lease) == -1)
    {
        apikey_ops_misread(ops, "apikey_init",
                           "epoch, prefix, version, lease");
        ops->error = APIKEY_OPS_UNKNOWN;
        rc = -1;
    }

    freeReplyObject(reply);

    return rc;
}


int
apikey_ops_writable(apikey_ops_t *ops,
                    char          name[static APIKEY_CLIENT_NAME_MAX + 1])
{
    redisReply   *reply;
    apikey_args_t args;

    apikey_args_function(&args, 1, "apikey_set_status", ops->store);

    reply = apikey_ops_command(ops, 0, &args);

    if (reply) {
        freeReplyObject(reply);
        return apikey_ops_misread(ops, "apikey_set_status", "an error");
    }

    if (ops->error != APIKEY_OPS_REFUSED) {
        return -1;
    }

    snprintf(name, APIKEY_CLIENT_NAME_MAX + 1, "%s",
             strcmp(ops->name, "BADARG") == 0 ? "" : ops->name);

    return 0;
}


int
apikey_ops_meta(apikey_ops_t *ops, apikey_ops_meta_t *meta)
{
    int           rc;
    redisReply   *reply;
    apikey_args_t args;

    memset(meta, 0, sizeof(*meta));

    apikey_args_function(&args, 0, "apikey_meta", ops->store);

    reply = apikey_ops_command(ops, 0, &args);
    if (reply == NULL) {
        return -1;
    }

    rc = meta_read(reply, meta);

    if (rc == -1) {
        apikey_ops_misread(ops, "apikey_meta", "the fields of meta");
    }

    freeReplyObject(reply);

    return rc;
}


static int
meta_read(const redisReply *reply, apikey_ops_meta_t *meta)
{
    size_t i;

    const struct {
        const char *name;
        uint64_t   *number;
    } numbers[] = {
        { "version", &meta->version }, { "lease", &meta->lease },
        { "time", &meta->time },       { "log_length", &meta->log_length },
        { "enabled", &meta->enabled }, { "disabled", &meta->disabled },
        { "revoked", &meta->revoked }, { "members", &meta->members },
        { "edges", &meta->edges },
    };

    for (i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        if (apikey_reply_number(reply, numbers[i].name, numbers[i].number)
            == -1) {
            return -1;
        }
    }

    /* empty where the log is */
    (void) apikey_reply_number(reply, "log_first", &meta->log_first);

    if (apikey_reply_copy(reply, "epoch", meta->epoch, sizeof(meta->epoch))
            == -1
        || apikey_reply_copy(reply, "prefix", meta->prefix,
                             sizeof(meta->prefix))
               == -1
        || apikey_reply_copy(reply, "peppers", meta->peppers,
                             sizeof(meta->peppers))
               == -1
        || !apikey_prefix_check(meta->prefix))
    {
        return -1;
    }

    return 0;
}
