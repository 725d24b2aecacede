/*
 * Copyright (C) 2026 the ngx_http_apikey_module authors
 *
 * What an administrator does to keys: create, get, list, set a status.
 * Results as in ops.h.
 */

#ifndef APIKEY_ADMIN_OPS_KEY_H
#define APIKEY_ADMIN_OPS_KEY_H

#include <stddef.h>
#include <stdint.h>

#include "admin/ops.h"
#include "admin/ops_change.h"
#include "admin/ops_check.h"
#include "key/key.h"
#include "key/pepper.h"
#include "store/record.h"

/* What to create.  The caller's memory; imported text is the caller's to
   wipe. */
typedef struct {
    const char *name;
    const char *member;
    const char *scopes;  /* blanks between; NULL or "" for none */
    uint64_t    expires; /* seconds since 1970; 0: never */
    int         disabled;
    const char *text; /* a key that exists elsewhere; NULL: make a new one */
    size_t      text_len;
} apikey_ops_create_t;

typedef struct {
    char text[APIKEY_TEXT_MAX + 1]; /* the new key; "" for an imported one.  It
                                       exists nowhere else */
    char id[APIKEY_ID_LEN + 1];
    char hint[APIKEY_HINT_SIZE];
    char scopes[APIKEY_SCOPES_SIZE]; /* one blank between */
    apikey_ops_change_t change;
} apikey_ops_created_t;

/*
 * Creates a key whose digest is made with this pepper.  The caller wipes
 * *created (sodium_memzero) after the text was shown, and in any case.
 *
 * If the error is UNKNOWN, created->id is the id that the key has if it was
 * created; its text is wiped, for nobody should use a key that may not exist.
 */
int apikey_ops_create(apikey_ops_t *ops, const apikey_ops_create_t *request,
                      const apikey_pepper_t *pepper,
                      apikey_ops_created_t  *created);


int
apikey_ops_set_status(apikey_ops_t *ops, const char *id,
                      apikey_key_status_t status, apikey_ops_change_t *change);

int apikey_ops_get(apikey_ops_t *ops, const char *id, apikey_record_t *record);


typedef struct {
    apikey_key_status_t status; /* NONE: any */
    const char         *member; /* NULL: any */
    const char         *tenant; /* NULL: any */
} apikey_ops_filter_t;

/*
 * One page of keys, newest first, at most `count` (1 to APIKEY_PAGE_MAX).
 * Calls each(ctx, record) for every key; the record is good until it returns.
 * cursor is "" to begin with, holds where to go on afterwards, and is "" when
 * that was all; a page may be short, or empty, before that.
 */
int apikey_ops_list(apikey_ops_t *ops, const apikey_ops_filter_t *filter,
                    unsigned count, char cursor[static APIKEY_CURSOR_MAX + 1],
                    void (*each)(void *ctx, const apikey_record_t *record),
                    void *ctx);

#endif /* APIKEY_ADMIN_OPS_KEY_H */
