/*
 * Copyright (C) 2026 the ngx_http_apikey_module authors
 *
 * What an administrator does to keys; see ops_key.h.
 */

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <sodium.h>

#include "admin/ops_check.h"
#include "admin/ops_key.h"
#include "admin/ops_store.h"


static int create_check(apikey_ops_t *ops, const apikey_ops_create_t *request,
                        char scopes[static APIKEY_SCOPES_SIZE]);
static int create_text(apikey_ops_t *ops, const apikey_ops_create_t *request,
                       apikey_ops_created_t *created);
static int create_send(apikey_ops_t *ops, const apikey_ops_create_t *request,
                       const apikey_pepper_t *pepper, const char *digest,
                       apikey_ops_created_t *created);
static int filter_check(apikey_ops_t *ops, const apikey_ops_filter_t *filter);
static int
list_page(apikey_ops_t *ops, const redisReply *reply,
          char cursor[static APIKEY_CURSOR_MAX + 1],
          void (*each)(void *ctx, const apikey_record_t *record), void *ctx);
static void
digest_hex(char hex[static 2 * APIKEY_DIGEST_LEN + 1], const char *text,
           size_t len, const apikey_pepper_t *pepper);


int
apikey_ops_create(apikey_ops_t *ops, const apikey_ops_create_t *request,
                  const apikey_pepper_t *pepper, apikey_ops_created_t *created)
{
    int         rc;
    size_t      len;
    char        digest[2 * APIKEY_DIGEST_LEN + 1];
    const char *text;

    sodium_memzero(created, sizeof(*created));

    if (create_check(ops, request, created->scopes) == -1
        || create_text(ops, request, created) == -1)
    {
        return -1;
    }

    text = request->text ? request->text : created->text;
    len = request->text ? request->text_len : strlen(created->text);

    digest_hex(digest, text, len, pepper);
    apikey_id_make(created->id);

    rc = create_send(ops, request, pepper, digest, created);

    sodium_memzero(digest, sizeof(digest));

    if (rc == -1) {
        sodium_memzero(created->text, sizeof(created->text));
    }

    return rc;
}


static int
create_check(apikey_ops_t *ops, const apikey_ops_create_t *request,
             char scopes[static APIKEY_SCOPES_SIZE])
{
    if (apikey_check_word(ops, "the member", request->member) == -1
        || apikey_check_text(ops, "the name", request->name, 1,
                             APIKEY_NAME_MAX)
               == -1
        || apikey_check_scopes(ops, request->scopes ? request->scopes : "",
                               scopes)
               == -1)
    {
        return -1;
    }

    if (request->expires > APIKEY_EXPIRES_MAX) {
        return apikey_ops_fail(ops, APIKEY_OPS_ARGUMENT,
                               "the expiry is too far away");
    }

    return 0;
}


/*
 * The text and the hint, for which the store's prefix is needed: the first
 * thing that is asked of it.
 */
static int
create_text(apikey_ops_t *ops, const apikey_ops_create_t *request,
            apikey_ops_created_t *created)
{
    size_t              len;
    apikey_ops_meta_t   meta;
    apikey_text_error_t error;

    if (request->text) {
        error = apikey_text_syntax((const uint8_t *) request->text,
                                   request->text_len);
        if (error != APIKEY_TEXT_OK) {
            return apikey_ops_fail(ops, APIKEY_OPS_ARGUMENT, "the key: %s",
                                   apikey_text_strerror(error));
        }
    }

    if (apikey_ops_meta(ops, &meta) == -1) {
        return -1;
    }

    if (request->text) {
        error = apikey_text_check((const uint8_t *) request->text,
                                  request->text_len, meta.prefix);
        if (error != APIKEY_TEXT_OK) {
            return apikey_ops_fail(ops, APIKEY_OPS_ARGUMENT, "the key: %s",
                                   apikey_text_strerror(error));
        }

        apikey_text_hint(created->hint, request->text, request->text_len,
                         meta.prefix);
        return 0;
    }

    len = apikey_text_make(created->text, meta.prefix);
    apikey_text_hint(created->hint, created->text, len, meta.prefix);

    return 0;
}


static int
create_send(apikey_ops_t *ops, const apikey_ops_create_t *request,
            const apikey_pepper_t *pepper, const char *digest,
            apikey_ops_created_t *created)
{
    char          fingerprint[APIKEY_PEPPER_NAME_SIZE];
    char          expires[24];
    apikey_args_t args;

    apikey_pepper_name(pepper, fingerprint);
    snprintf(expires, sizeof(expires), "%" PRIu64, request->expires);

    apikey_args_function(&args, 1, "apikey_create", ops->store);
    apikey_args_add(&args, created->id);
    apikey_args_pair(&args, "digest", digest);
    apikey_args_pair(&args, "pepper", fingerprint);
    apikey_args_pair(&args, "hint", created->hint);
    apikey_args_pair(&args, "name", request->name);
    apikey_args_pair(&args, "member", request->member);
    apikey_args_pair(&args, "scopes",
                     created->scopes[0] ? created->scopes : NULL);
    apikey_args_pair(&args, "expires", request->expires ? expires : NULL);
    apikey_args_pair(&args, "status",
                     request->disabled ? "disabled" : "enabled");

    return apikey_ops_change(ops, "apikey_create", &args, &created->change);
}


static void
digest_hex(char hex[static 2 * APIKEY_DIGEST_LEN + 1], const char *text,
           size_t len, const apikey_pepper_t *pepper)
{
    uint8_t digest[APIKEY_DIGEST_LEN];

    apikey_digest(digest, (const uint8_t *) text, len, pepper->secret);
    sodium_bin2hex(hex, 2 * APIKEY_DIGEST_LEN + 1, digest, sizeof(digest));
    sodium_memzero(digest, sizeof(digest));
}


int
apikey_ops_set_status(apikey_ops_t *ops, const char *id,
                      apikey_key_status_t status, apikey_ops_change_t *change)
{
    apikey_args_t args;

    if (apikey_check_id(ops, id) == -1) {
        return -1;
    }

    apikey_args_function(&args, 1, "apikey_set_status", ops->store);
    apikey_args_add(&args, id);
    apikey_args_add(&args, apikey_status_name(status));

    return apikey_ops_change(ops, "apikey_set_status", &args, change);
}


int
apikey_ops_get(apikey_ops_t *ops, const char *id, apikey_record_t *record)
{
    int           rc;
    char          error[APIKEY_RECORD_ERROR_LEN];
    redisReply   *reply;
    apikey_args_t args;

    if (apikey_check_id(ops, id) == -1) {
        return -1;
    }

    apikey_args_function(&args, 0, "apikey_get", ops->store);
    apikey_args_add(&args, id);

    reply = apikey_ops_command(ops, 0, &args);
    if (reply == NULL) {
        return -1;
    }

    rc = apikey_record_from_reply(record, reply, error);

    if (rc == -1) {
        apikey_ops_misread(ops, "apikey_get", error);
    }

    freeReplyObject(reply);

    return rc;
}


int
apikey_ops_list(apikey_ops_t *ops, const apikey_ops_filter_t *filter,
                unsigned count, char cursor[static APIKEY_CURSOR_MAX + 1],
                void (*each)(void *ctx, const apikey_record_t *record),
                void *ctx)
{
    int           rc;
    char          number[16];
    redisReply   *reply;
    apikey_args_t args;

    if (filter_check(ops, filter) == -1) {
        return -1;
    }

    snprintf(number, sizeof(number), "%u", count);

    apikey_args_function(&args, 0, "apikey_list", ops->store);
    apikey_args_pair(&args, "status", apikey_status_name(filter->status));
    apikey_args_pair(&args, "member", filter->member);
    apikey_args_pair(&args, "tenant", filter->tenant);
    apikey_args_pair(&args, "cursor", cursor[0] ? cursor : NULL);
    apikey_args_pair(&args, "count", number);

    reply = apikey_ops_command(ops, 0, &args);
    if (reply == NULL) {
        return -1;
    }

    rc = list_page(ops, reply, cursor, each, ctx);

    freeReplyObject(reply);

    return rc;
}


static int
filter_check(apikey_ops_t *ops, const apikey_ops_filter_t *filter)
{
    if (filter->member
        && apikey_check_word(ops, "the member", filter->member) == -1)
    {
        return -1;
    }

    if (filter->tenant
        && apikey_check_word(ops, "the tenant", filter->tenant) == -1)
    {
        return -1;
    }

    return 0;
}


static int
list_page(apikey_ops_t *ops, const redisReply *reply,
          char cursor[static APIKEY_CURSOR_MAX + 1],
          void (*each)(void *ctx, const apikey_record_t *record), void *ctx)
{
    size_t            i;
    char              error[APIKEY_RECORD_ERROR_LEN];
    apikey_record_t   record;
    const redisReply *keys;

    keys = apikey_ops_page(reply, cursor);
    if (keys == NULL) {
        return apikey_ops_misread(ops, "apikey_list", "a cursor and records");
    }

    for (i = 0; i < keys->elements; i++) {
        if (apikey_record_from_reply(&record, keys->element[i], error) == -1) {
            return apikey_ops_misread(ops, "apikey_list", error);
        }

        each(ctx, &record);
    }

    return 0;
}
