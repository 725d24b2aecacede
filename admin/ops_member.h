/*
 * Copyright (C) 2026 the ngx_http_apikey_module authors
 *
 * What an administrator does to members, for whom keys are created: put, get,
 * list.  Results as in ops.h.
 */

#ifndef APIKEY_ADMIN_OPS_MEMBER_H
#define APIKEY_ADMIN_OPS_MEMBER_H

#include <stdint.h>

#include "admin/ops.h"
#include "admin/ops_change.h"
#include "admin/ops_check.h"

typedef struct {
    char     id[APIKEY_WORD_MAX + 1];
    char     name[APIKEY_NAME_MAX + 1];
    char     email[APIKEY_EMAIL_MAX + 1]; /* or "" */
    char     tenant[APIKEY_WORD_MAX + 1];
    uint64_t created; /* milliseconds since 1970 */
    uint64_t updated;
    uint64_t keys; /* of apikey_ops_member_get() alone: their count */
} apikey_ops_member_t;

/* NULL: as it is, or for a new member none, which only `email` may be. */
typedef struct {
    const char *name;
    const char *email;
    const char *tenant;
} apikey_ops_member_put_t;

/* Creates a member, or changes what is named of one.  *created becomes 1 if
   there was no such member. */
int apikey_ops_member_put(apikey_ops_t *ops, const char *id,
                          const apikey_ops_member_put_t *request, int *created,
                          apikey_ops_change_t *change);

int apikey_ops_member_get(apikey_ops_t *ops, const char *id,
                          apikey_ops_member_t *member);

/* One page of members, ordered by id; otherwise as apikey_ops_list(). */
int
apikey_ops_members(apikey_ops_t *ops, const char *tenant, unsigned count,
                   char cursor[static APIKEY_CURSOR_MAX + 1],
                   void (*each)(void *ctx, const apikey_ops_member_t *member),
                   void *ctx);

#endif /* APIKEY_ADMIN_OPS_MEMBER_H */
