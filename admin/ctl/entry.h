/*
 * Copyright (C) 2026 the ngx_http_apikey_module authors
 *
 * An entry of the log, for people and for programs; and which are wanted.
 */

#ifndef APIKEY_CTL_ENTRY_H
#define APIKEY_CTL_ENTRY_H

#include <jansson.h>

#include "admin/ops_log.h"
#include "table.h"

#define CTL_ENTRY_COLUMNS 7

/* NULL: any. */
typedef struct {
    const char *key;
    const char *actor;
} ctl_entry_filter_t;

/* An entry and its JSON; NULL if that cannot be read. */
typedef struct {
    const apikey_log_entry_t *entry;
    json_t                   *json;
} ctl_entry_t;

/* Decodes; returns 1 if the filter lets it through.  ctl_entry_end() is due in
   any case. */
int  ctl_entry_begin(ctl_entry_t *entry, const apikey_log_entry_t *raw,
                     const ctl_entry_filter_t *filter);
void ctl_entry_end(ctl_entry_t *entry);

/* Milliseconds since 1970; 0 if it cannot be read. */
uint64_t ctl_entry_at(const ctl_entry_t *entry);

/* A table of entries, a row of it, and the object of docs/admin.md, "An
   entry". */
void    ctl_entry_table(ctl_table_t *table);
void    ctl_entry_row(const ctl_entry_t *entry, ctl_table_t *table);
json_t *ctl_entry_json(const ctl_entry_t *entry);

#endif /* APIKEY_CTL_ENTRY_H */
