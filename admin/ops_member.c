/*
 * Copyright (C) 2026 the ngx_http_apikey_module authors
 *
 * What an administrator does to members; see ops_member.h.
 */

#include <stdio.h>
#include <string.h>

#include "admin/ops_member.h"


static int put_check(apikey_ops_t *ops, const char *id,
                     const apikey_ops_member_put_t *request);
static int put_complete(apikey_ops_t *ops, const char *id,
                        const apikey_ops_member_put_t *request,
                        apikey_ops_member_t *member, int *created);
static int member_read(const redisReply *reply, apikey_ops_member_t *member);


int
apikey_ops_member_put(apikey_ops_t *ops, const char *id,
                      const apikey_ops_member_put_t *request, int *created,
                      apikey_ops_change_t *change)
{
    apikey_args_t       args;
    apikey_ops_member_t member;

    if (put_check(ops, id, request) == -1
        || put_complete(ops, id, request, &member, created) == -1)
    {
        return -1;
    }

    apikey_args_function(&args, 1, "apikey_member_put", ops->store);
    apikey_args_add(&args, member.id);
    apikey_args_pair(&args, "name", member.name);
    apikey_args_pair(&args, "email", member.email);
    apikey_args_pair(&args, "tenant", member.tenant);

    return apikey_ops_change(ops, "apikey_member_put", &args, change);
}


static int
put_check(apikey_ops_t *ops, const char *id,
          const apikey_ops_member_put_t *request)
{
    if (apikey_check_word(ops, "the member's id", id) == -1) {
        return -1;
    }

    if (request->name
        && apikey_check_text(ops, "the name", request->name, 1,
                             APIKEY_NAME_MAX)
               == -1)
    {
        return -1;
    }

    if (request->email
        && apikey_check_text(ops, "the e-mail address", request->email, 0,
                             APIKEY_EMAIL_MAX)
               == -1)
    {
        return -1;
    }

    if (request->tenant
        && apikey_check_word(ops, "the tenant", request->tenant) == -1)
    {
        return -1;
    }

    return 0;
}


/* The function replaces a member as a whole; what is not named stays. */
static int
put_complete(apikey_ops_t *ops, const char *id,
             const apikey_ops_member_put_t *request,
             apikey_ops_member_t *member, int *created)
{
    *created = 0;

    if (apikey_ops_member_get(ops, id, member) == -1) {
        if (strcmp(ops->name, "NOMEMBER") != 0) {
            return -1;
        }

        if (request->name == NULL || request->tenant == NULL) {
            return apikey_ops_fail(ops, APIKEY_OPS_ARGUMENT,
                                   "the member is a new one, and needs a name "
                                   "and a tenant");
        }

        memset(member, 0, sizeof(*member));
        snprintf(member->id, sizeof(member->id), "%s", id);
        *created = 1;
    }

    if (request->name) {
        snprintf(member->name, sizeof(member->name), "%s", request->name);
    }

    if (request->email) {
        snprintf(member->email, sizeof(member->email), "%s", request->email);
    }

    if (request->tenant) {
        snprintf(member->tenant, sizeof(member->tenant), "%s",
                 request->tenant);
    }

    return 0;
}


int
apikey_ops_member_get(apikey_ops_t *ops, const char *id,
                      apikey_ops_member_t *member)
{
    int           rc;
    redisReply   *reply;
    apikey_args_t args;

    if (apikey_check_word(ops, "the member's id", id) == -1) {
        return -1;
    }

    apikey_args_function(&args, 0, "apikey_member_get", ops->store);
    apikey_args_add(&args, id);

    reply = apikey_ops_command(ops, 0, &args);
    if (reply == NULL) {
        return -1;
    }

    rc = member_read(reply, member);

    if (rc == -1 || apikey_reply_number(reply, "keys", &member->keys) == -1) {
        rc = apikey_ops_misread(ops, "apikey_member_get",
                                "the fields of a member");
    }

    freeReplyObject(reply);

    return rc;
}


int
apikey_ops_members(apikey_ops_t *ops, const char *tenant, unsigned count,
                   char cursor[static APIKEY_CURSOR_MAX + 1],
                   void (*each)(void *ctx, const apikey_ops_member_t *member),
                   void *ctx)
{
    int                 rc;
    size_t              i;
    char                number[16];
    redisReply         *reply;
    apikey_args_t       args;
    const redisReply   *members;
    apikey_ops_member_t member;

    if (tenant && apikey_check_word(ops, "the tenant", tenant) == -1) {
        return -1;
    }

    snprintf(number, sizeof(number), "%u", count);

    apikey_args_function(&args, 0, "apikey_members", ops->store);
    apikey_args_pair(&args, "tenant", tenant);
    apikey_args_pair(&args, "cursor", cursor[0] ? cursor : NULL);
    apikey_args_pair(&args, "count", number);

    reply = apikey_ops_command(ops, 0, &args);
    if (reply == NULL) {
        return -1;
    }

    members = apikey_ops_page(reply, cursor);
    rc = members ? 0 : -1;

    for (i = 0; rc == 0 && i < members->elements; i++) {
        rc = member_read(members->element[i], &member);

        if (rc == 0) {
            each(ctx, &member);
        }
    }

    if (rc == -1) {
        apikey_ops_misread(ops, "apikey_members", "a cursor and members");
    }

    freeReplyObject(reply);

    return rc;
}


static int
member_read(const redisReply *reply, apikey_ops_member_t *member)
{
    memset(member, 0, sizeof(*member));

    if (apikey_reply_copy(reply, "id", member->id, sizeof(member->id)) == -1
        || apikey_reply_copy(reply, "name", member->name, sizeof(member->name))
               == -1
        || apikey_reply_copy(reply, "email", member->email,
                             sizeof(member->email))
               == -1
        || apikey_reply_copy(reply, "tenant", member->tenant,
                             sizeof(member->tenant))
               == -1
        || apikey_reply_number(reply, "created", &member->created) == -1
        || apikey_reply_number(reply, "updated", &member->updated) == -1)
    {
        return -1;
    }

    return 0;
}
