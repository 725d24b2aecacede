/*
 * Copyright (C) 2026 the ngx_http_apikey_module authors
 *
 * An entry of the log; see entry.h.
 */

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "admin/ops_time.h"
#include "entry.h"
#include "json.h"
#include "output.h"
#include "record.h"
#include "store/record.h"


static const char *entry_text(const ctl_entry_t *entry, const char *name);
static const char *
entry_inner(const ctl_entry_t *entry, const char *object, const char *name);
static const char *entry_subject(const ctl_entry_t *entry);
static json_t     *entry_key_json(const ctl_entry_t *entry);


int
ctl_entry_begin(ctl_entry_t *entry, const apikey_log_entry_t *raw,
                const ctl_entry_filter_t *filter)
{
    entry->entry = raw;
    entry->json = json_loadb(raw->json, raw->len, 0, NULL);

    return (filter->key == NULL
            || strcmp(entry_inner(entry, "key", "id"), filter->key) == 0)
           && (filter->actor == NULL
               || strcmp(entry_text(entry, "actor"), filter->actor) == 0);
}


void
ctl_entry_end(ctl_entry_t *entry)
{
    json_decref(entry->json);
    entry->json = NULL;
}


static const char *
entry_text(const ctl_entry_t *entry, const char *name)
{
    const char *text;

    text = json_string_value(json_object_get(entry->json, name));

    return text ? text : "";
}


static const char *
entry_inner(const ctl_entry_t *entry, const char *object, const char *name)
{
    const char *text;

    text = json_string_value(
        json_object_get(json_object_get(entry->json, object), name));

    return text ? text : "";
}


uint64_t
ctl_entry_at(const ctl_entry_t *entry)
{
    json_int_t at;

    at = json_integer_value(json_object_get(entry->json, "at"));

    return at > 0 ? (uint64_t) at : 0;
}


void
ctl_entry_table(ctl_table_t *table)
{
    static const char *const heads[CTL_ENTRY_COLUMNS] = {
        "VERSION", "TIME", "OP", "OF", "STATUS", "ACTOR", "REASON"
    };

    size_t i;

    /* of a version, a time, an op, an id and a status: rows that come later
       stand under those that are shown */
    static const size_t widths[] = { 8, 24, 10, 24, 8 };

    ctl_table_begin(table, CTL_ENTRY_COLUMNS, heads);

    for (i = 0; i < sizeof(widths) / sizeof(widths[0]); i++) {
        table->width[i] = widths[i];
    }
}


void
ctl_entry_row(const ctl_entry_t *entry, ctl_table_t *table)
{
    char text[APIKEY_TIME_SIZE];

    snprintf(text, sizeof(text), "%" PRIu64, entry->entry->version);
    ctl_table_cell(table, NULL, text);

    apikey_time_show_ms(text, ctl_entry_at(entry));
    ctl_table_cell(table, NULL, ctl_entry_at(entry) ? text : "-");

    ctl_table_cell(table, NULL,
                   entry->json ? entry_text(entry, "op") : "unreadable");
    ctl_table_cell(table, NULL, entry_subject(entry));
    ctl_table_cell(table, NULL, entry_inner(entry, "key", "status"));
    ctl_table_cell(table, NULL, entry_text(entry, "actor"));
    ctl_table_cell(table, NULL, entry_text(entry, "reason"));
}


/* The key, the member or the edge. */
static const char *
entry_subject(const ctl_entry_t *entry)
{
    const char *subject;

    subject = entry_inner(entry, "key", "id");

    if (subject[0] == '\0') {
        subject = entry_inner(entry, "member", "id");
    }

    if (subject[0] == '\0') {
        subject = entry_inner(entry, "edge", "name");
    }

    return subject;
}


json_t *
ctl_entry_json(const ctl_entry_t *entry)
{
    size_t   i;
    json_t  *json, *value;
    uint64_t at = ctl_entry_at(entry);

    static const char *const objects[] = { "member", "edge", "meta" };

    json = json_pack("{s:I,s:o?,s:o?,s:s,s:s,s:o}", "version",
                     (json_int_t) entry->entry->version, "at",
                     at ? ctl_json_time(at) : NULL, "op",
                     entry->json ? json_string(entry_text(entry, "op")) : NULL,
                     "actor", entry_text(entry, "actor"), "reason",
                     entry_text(entry, "reason"), "chain",
                     ctl_json_text(entry->entry->chain));

    if (json_object_get(entry->json, "key")) {
        json_object_set_new(json, "key", entry_key_json(entry));
    }

    for (i = 0; i < sizeof(objects) / sizeof(objects[0]); i++) {
        value = json_object_get(entry->json, objects[i]);

        if (value) {
            json_object_set(json, objects[i], value);
        }
    }

    return json;
}


/* As everywhere: without the digest.  null for one that is no record. */
static json_t *
entry_key_json(const ctl_entry_t *entry)
{
    char                 error[APIKEY_RECORD_ERROR_LEN];
    apikey_store_entry_t decoded;

    if (apikey_entry_decode(&decoded, entry->entry->version,
                            entry->entry->json, entry->entry->len, error)
            == -1
        || !decoded.has_key)
    {
        return json_null();
    }

    return ctl_record_json(&decoded.key);
}
