/*
 * Copyright (C) 2026 the ngx_http_apikey_module authors
 *
 * What an argument may be (docs/store.md), said to a person before the store
 * has to say it.
 *
 * Each returns 0, or -1 with ARGUMENT in the session and a sentence that
 * begins with `what`, in which the value itself is not repeated.
 */

#ifndef APIKEY_ADMIN_OPS_CHECK_H
#define APIKEY_ADMIN_OPS_CHECK_H

#include <stddef.h>

#include "admin/ops.h"

#define APIKEY_NAME_MAX    128 /* bytes, of a key's or a member's name */
#define APIKEY_WORD_MAX    64  /* bytes, of a member's id or a tenant */
#define APIKEY_EMAIL_MAX   254 /* bytes */
#define APIKEY_EXPIRES_MAX 9999999999ULL /* seconds since 1970 */
#define APIKEY_SCOPES_MAX  16            /* scopes of a key */
#define APIKEY_SCOPE_MAX   64            /* bytes of each */

/* 16 scopes, one blank between, and a terminator */
#define APIKEY_SCOPES_SIZE (APIKEY_SCOPES_MAX * (APIKEY_SCOPE_MAX + 1))

/* min to max bytes of UTF-8 (RFC 3629) without control characters. */
int apikey_check_text(apikey_ops_t *ops, const char *what, const char *value,
                      size_t min, size_t max);

/* A member's id or a tenant: 1 to 64 of A-Z a-z 0-9 _ . : @ - */
int apikey_check_word(apikey_ops_t *ops, const char *what, const char *value);

/* An edge's name: 1 to 64 of A-Z a-z 0-9 _ . : - */
int apikey_check_edge(apikey_ops_t *ops, const char *value);

/* A key's public id. */
int apikey_check_id(apikey_ops_t *ops, const char *value);

/*
 * Scope tokens (RFC 6749, 3.3) with any blanks between; writes them to scopes
 * with one blank between, as the store wants them.
 */
int apikey_check_scopes(apikey_ops_t *ops, const char *value,
                        char scopes[static APIKEY_SCOPES_SIZE]);

#endif /* APIKEY_ADMIN_OPS_CHECK_H */
