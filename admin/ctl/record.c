/*
 * Copyright (C) 2026 the ngx_http_apikey_module authors
 *
 * A key's record, for people and for programs; see record.h.
 */

#include <time.h>

#include "admin/ops_time.h"
#include "json.h"
#include "output.h"
#include "record.h"


static int record_expired(const apikey_record_t *record);


json_t *
ctl_record_json(const apikey_record_t *record)
{
    return json_pack(
        "{s:s,s:s,s:b,s:o,s:o,s:o,s:o,s:o,s:s,s:o,s:o,s:o,s:I,s:o,s:o,s:I,"
        "s:o}",
        "id", record->id, "status", apikey_status_name(record->status),
        "expired", record_expired(record), "name", ctl_json_text(record->name),
        "member", ctl_json_text(record->member), "tenant",
        ctl_json_text(record->tenant), "scopes",
        ctl_words_json(record->scopes), "hint", ctl_json_text(record->hint),
        "pepper", record->pepper, "expires", ctl_expires_json(record->expires),
        "created", ctl_json_time(record->created), "created_by",
        ctl_json_text(record->created_by), "created_version",
        (json_int_t) record->created_version, "updated",
        ctl_json_time(record->updated), "updated_by",
        ctl_json_text(record->updated_by), "version",
        (json_int_t) record->version, "reason", ctl_json_text(record->reason));
}


void
ctl_record_show(const apikey_record_t *record)
{
    char        at[APIKEY_TIME_SIZE];
    const char *status = apikey_status_name(record->status);

    ctl_field("Id", "%s", record->id);
    ctl_field("Name", "%s", record->name);
    ctl_field("Member", "%s", record->member);
    ctl_field("Tenant", "%s", record->tenant);
    ctl_field("Status", "%s%s", status,
              record_expired(record) ? ", but expired" : "");
    ctl_field("Scopes", "%s", record->scopes[0] ? record->scopes : "none");
    ctl_field("Hint", "%s", record->hint);
    ctl_field("Pepper", "%s", record->pepper);
    ctl_field("Expires", "%s", ctl_expires_show(at, record->expires));

    apikey_time_show_ms(at, record->created);
    ctl_field("Created", "%s by %s", at, record->created_by);

    apikey_time_show_ms(at, record->updated);
    ctl_field("Changed", "%s by %s", at, record->updated_by);

    if (record->reason[0]) {
        ctl_field("Reason", "%s", record->reason);
    }

    ctl_field("Version", "%llu", (unsigned long long) record->version);
}


const char *
ctl_record_status(const apikey_record_t *record)
{
    return record->status == APIKEY_STATUS_ENABLED && record_expired(record)
               ? "expired"
               : apikey_status_name(record->status);
}


const char *
ctl_record_colour(const apikey_record_t *record)
{
    if (record->status == APIKEY_STATUS_REVOKED) {
        return CTL_RED;
    }

    return record->status == APIKEY_STATUS_ENABLED && !record_expired(record)
               ? CTL_GREEN
               : CTL_YELLOW;
}


static int
record_expired(const apikey_record_t *record)
{
    return record->expires && record->expires <= (uint64_t) time(NULL);
}


const char *
ctl_expires_show(char *buffer, uint64_t expires)
{
    if (expires == 0) {
        return "never";
    }

    apikey_time_show(buffer, expires);

    return buffer;
}


json_t *
ctl_expires_json(uint64_t expires)
{
    char text[APIKEY_TIME_SIZE];

    if (expires == 0) {
        return json_null();
    }

    apikey_time_show(text, expires);

    return json_string(text);
}
