/*
 * Copyright (C) 2026 the ngx_http_apikey_module authors
 *
 * The log of changes, read in pages (docs/store.md, "Versions, the log and its
 * chain").  Results as in ops.h.
 */

#ifndef APIKEY_ADMIN_OPS_LOG_H
#define APIKEY_ADMIN_OPS_LOG_H

#include <stddef.h>
#include <stdint.h>

#include "admin/ops.h"

#define APIKEY_LOG_PAGE_MAX 1000 /* entries of a page */

/* An entry as it stands in the store, which nobody has checked. */
typedef struct {
    uint64_t    version;
    const char *previous; /* the chain before it; "" where that was trimmed */
    const char *chain;    /* as the log has it */
    const char *json;
    size_t      len;
} apikey_log_entry_t;

/* One moment of the store: its head, and entries of its log. */
typedef struct {
    const char        *epoch;
    const char        *chain; /* of the head */
    uint64_t           head;
    size_t             count;
    apikey_log_entry_t entry[APIKEY_LOG_PAGE_MAX];

    redisReply *reply; /* what all of it points into */
} apikey_log_page_t;

/* Reads at most `count` entries after a version; apikey_log_page_free() is due
   in any case. */
int  apikey_ops_log(apikey_ops_t *ops, uint64_t after, unsigned count,
                    apikey_log_page_t *page);
void apikey_log_page_free(apikey_log_page_t *page);

/* The time of an entry, milliseconds since 1970; 0 if it cannot be read. */
uint64_t apikey_log_entry_at(const apikey_log_entry_t *entry);

#endif /* APIKEY_ADMIN_OPS_LOG_H */
