/*
 * Copyright (C) 2026 the ngx_http_apikey_module authors
 *
 * Conflicts; see ops_conflict.h.
 */

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "admin/ops_check.h"
#include "admin/ops_conflict.h"


static int
conflicts_read(const redisReply *reply, apikey_ops_conflicts_t *conflicts);
static int report_read(const redisReply *pair, apikey_report_t *report);
static int report_keys(const char *keys, apikey_report_t *report);


int
apikey_ops_conflicts(apikey_ops_t *ops, apikey_ops_conflicts_t *conflicts)
{
    int           rc;
    redisReply   *reply;
    apikey_args_t args;

    memset(conflicts, 0, sizeof(*conflicts));

    apikey_args_function(&args, 0, "apikey_conflicts", ops->store);

    reply = apikey_ops_command(ops, 0, &args);
    if (reply == NULL) {
        return -1;
    }

    rc = conflicts_read(reply, conflicts);

    if (rc == -1) {
        apikey_ops_misread(ops, "apikey_conflicts", "names and reports");
    }

    freeReplyObject(reply);

    return rc;
}


void
apikey_ops_conflicts_free(apikey_ops_conflicts_t *conflicts)
{
    free(conflicts->report);
    memset(conflicts, 0, sizeof(*conflicts));
}


static int
conflicts_read(const redisReply *reply, apikey_ops_conflicts_t *conflicts)
{
    size_t i;

    if (reply->type != REDIS_REPLY_ARRAY) {
        return -1;
    }

    if (reply->elements == 0) {
        return 0;
    }

    conflicts->report = calloc(reply->elements, sizeof(*conflicts->report));
    if (conflicts->report == NULL) {
        return -1;
    }

    for (i = 0; i < reply->elements; i++) {
        if (report_read(reply->element[i], &conflicts->report[i]) == -1) {
            return -1;
        }

        conflicts->count++;
    }

    return 0;
}


static int
report_read(const redisReply *pair, apikey_report_t *report)
{
    json_t     *json;
    const char *total, *keys;

    if (pair->type != REDIS_REPLY_ARRAY || pair->elements != 2
        || pair->element[0]->type != REDIS_REPLY_STRING
        || pair->element[1]->type != REDIS_REPLY_STRING)
    {
        return -1;
    }

    snprintf(report->edge, sizeof(report->edge), "%s", pair->element[0]->str);

    json = json_loadb(pair->element[1]->str, pair->element[1]->len, 0, NULL);
    total = json_string_value(json_object_get(json, "total"));
    keys = json_string_value(json_object_get(json, "keys"));

    if (json_integer_value(json_object_get(json, "at")) > 0) {
        report->at =
            (uint64_t) json_integer_value(json_object_get(json, "at"));
    }

    report->total = total ? strtoull(total, NULL, 10) : 0;

    if (report->total == 0 || keys == NULL || report_keys(keys, report) == -1)
    {
        report->total = 1;
        report->count = 0;
    }

    json_decref(json);

    return 0;
}


/* "<key id>:<version>:<stamp>", one blank between. */
static int
report_keys(const char *keys, apikey_report_t *report)
{
    int                n;
    apikey_conflict_t *seen;

    for (; *keys; keys += n, keys += *keys == ' ') {
        if (report->count == APIKEY_CONFLICTS_NAMED) {
            return -1;
        }

        seen = &report->seen[report->count];
        n = -1;

        /* NOLINTNEXTLINE(cert-err34-c): ids are checked, numbers are the
           store's */
        if (sscanf(keys, "%24[^: ]:%" SCNu64 ":%" SCNu64 "%n", seen->id,
                   &seen->version, &seen->at, &n)
                != 3
            || n <= 0 || (keys[n] && keys[n] != ' ')
            || !apikey_id_check(seen->id, strlen(seen->id)))
        {
            return -1;
        }

        report->count++;
    }

    return 0;
}


int
apikey_ops_settle(apikey_ops_t *ops, const char *id, int accept,
                  apikey_ops_change_t *change)
{
    apikey_args_t args;

    if (apikey_check_id(ops, id) == -1) {
        return -1;
    }

    apikey_args_function(&args, 1, "apikey_settle", ops->store);
    apikey_args_add(&args, id);
    apikey_args_pair(&args, "as", accept ? "accepted" : "revoked");

    return apikey_ops_change(ops, "apikey_settle", &args, change);
}
