/*
 * Copyright (C) 2026 the ngx_http_apikey_module authors
 *
 * apikeyctl conflicts: keys that edges have seen revoked, and that the store
 * has forgotten to be.
 */

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "admin/ops_key.h"
#include "admin/ops_time.h"
#include "conflicts.h"
#include "fail.h"
#include "json.h"
#include "options.h"
#include "output.h"
#include "record.h"
#include "session.h"
#include "table.h"


static int conflicts_say(ctl_t *ctl, const apikey_ops_conflicts_t *conflicts);
static int conflicts_each(ctl_t *ctl, const apikey_ops_conflicts_t *conflicts,
                          ctl_table_t *table, json_t *keys);
static int
conflicts_first(const apikey_ops_conflicts_t *conflicts, size_t r, size_t s);
static void
conflict_rows(const apikey_ops_conflicts_t *conflicts, const char *id,
              const char *name, const char *status, ctl_table_t *table);
static json_t *
conflict_json(const apikey_ops_conflicts_t *conflicts, const char *id,
              const char *name, const char *status);
static json_t *reports_json(const apikey_ops_conflicts_t *conflicts);


int
ctl_conflicts(ctl_t *ctl, int argc, char **argv)
{
    int                    operands, code;
    apikey_ops_conflicts_t conflicts;

    operands = ctl_options(ctl, argc, argv, NULL, 0);

    if (operands == -1 || ctl_no_operands(ctl, operands) == -1
        || ctl_session(ctl) == -1)
    {
        return ctl->exit;
    }

    if (apikey_ops_conflicts(&ctl->ops, &conflicts) == -1) {
        code = ctl_fail_ops(ctl, NULL, NULL);

    } else {
        code = conflicts_say(ctl, &conflicts);
    }

    apikey_ops_conflicts_free(&conflicts);

    return code;
}


static int
conflicts_say(ctl_t *ctl, const apikey_ops_conflicts_t *conflicts)
{
    int         rc;
    size_t      i;
    json_t     *keys;
    ctl_table_t table;

    static const char *const heads[] = { "KEY",  "NAME",    "STATUS",
                                         "EDGE", "REVOKED", "VERSION" };

    keys = json_array();
    ctl_table_begin(&table, 6, heads);

    rc = conflicts_each(ctl, conflicts, &table, keys);

    if (ctl_table_end(&table,
                      rc == 0 && conflicts->count && !ctl->json && !ctl->quiet)
        == -1)
    {
        fputs("(out of memory: conflicts are missing)\n", stdout);
    }

    if (rc == -1) {
        json_decref(keys);
        return ctl_fail_ops(ctl, NULL, NULL);
    }

    if (ctl->json) {
        ctl_json(json_pack("{s:o,s:o}", "conflicts", keys, "edges",
                           reports_json(conflicts)));

    } else {
        json_decref(keys);
    }

    if (conflicts->count == 0) {
        return CTL_DONE;
    }

    if (!ctl->json && !ctl->quiet) {
        for (i = 0; i < conflicts->count; i++) {
            const apikey_report_t *report = &conflicts->report[i];

            if (report->total > report->count) {
                ctl_put(stdout, report->edge);
                printf(" has %" PRIu64 " more, named once these are settled\n",
                       report->total - report->count);
            }
        }

        fputs("\nThese edges go on refusing these keys.  To end it: apikeyctl "
              "settle KEY --revoke, or --accept\n",
              stdout);
    }

    return CTL_WRONG;
}


/* Each key once, with all edges that report it. */
static int
conflicts_each(ctl_t *ctl, const apikey_ops_conflicts_t *conflicts,
               ctl_table_t *table, json_t *keys)
{
    size_t          r, s;
    const char     *name, *status;
    apikey_record_t record;

    for (r = 0; r < conflicts->count; r++) {
        for (s = 0; s < conflicts->report[r].count; s++) {
            const char *id = conflicts->report[r].seen[s].id;

            if (!conflicts_first(conflicts, r, s)) {
                continue;
            }

            if (apikey_ops_get(&ctl->ops, id, &record) == 0) {
                name = record.name;
                status = ctl_record_status(&record);

            } else if (strcmp(ctl->ops.name, "NOKEY") == 0) {
                name = "";
                status = "missing";

            } else {
                return -1;
            }

            if (ctl->quiet && !ctl->json) {
                puts(id);
            }

            conflict_rows(conflicts, id, name, status, table);
            json_array_append_new(keys,
                                  conflict_json(conflicts, id, name, status));
        }
    }

    return 0;
}


static int
conflicts_first(const apikey_ops_conflicts_t *conflicts, size_t r, size_t s)
{
    size_t      i, j;
    const char *id = conflicts->report[r].seen[s].id;

    for (i = 0; i <= r; i++) {
        for (j = 0; j < conflicts->report[i].count; j++) {
            if (strcmp(conflicts->report[i].seen[j].id, id) == 0) {
                return i == r && j == s;
            }
        }
    }

    return 0;
}


static void
conflict_rows(const apikey_ops_conflicts_t *conflicts, const char *id,
              const char *name, const char *status, ctl_table_t *table)
{
    char   text[APIKEY_TIME_SIZE];
    size_t r, s;

    for (r = 0; r < conflicts->count; r++) {
        for (s = 0; s < conflicts->report[r].count; s++) {
            const apikey_conflict_t *seen = &conflicts->report[r].seen[s];

            if (strcmp(seen->id, id) != 0) {
                continue;
            }

            ctl_table_cell(table, NULL, id);
            ctl_table_cell(table, NULL, name);
            ctl_table_cell(table, CTL_RED, status);
            ctl_table_cell(table, NULL, conflicts->report[r].edge);
            apikey_time_show_ms(text, seen->at);
            ctl_table_cell(table, NULL, text);
            snprintf(text, sizeof(text), "%" PRIu64, seen->version);
            ctl_table_cell(table, NULL, text);
        }
    }
}


static json_t *
conflict_json(const apikey_ops_conflicts_t *conflicts, const char *id,
              const char *name, const char *status)
{
    size_t  r, s;
    json_t *edges;

    edges = json_array();

    for (r = 0; r < conflicts->count; r++) {
        for (s = 0; s < conflicts->report[r].count; s++) {
            const apikey_conflict_t *seen = &conflicts->report[r].seen[s];

            if (strcmp(seen->id, id) == 0) {
                json_array_append_new(
                    edges, json_pack("{s:o,s:I,s:o}", "name",
                                     ctl_json_text(conflicts->report[r].edge),
                                     "version", (json_int_t) seen->version,
                                     "revoked", ctl_json_time(seen->at)));
            }
        }
    }

    return json_pack("{s:s,s:o,s:s,s:o}", "id", id, "name",
                     ctl_json_text(name), "status", status, "edges", edges);
}


static json_t *
reports_json(const apikey_ops_conflicts_t *conflicts)
{
    size_t  r;
    json_t *array;

    array = json_array();

    for (r = 0; r < conflicts->count; r++) {
        const apikey_report_t *report = &conflicts->report[r];

        json_array_append_new(array,
                              json_pack("{s:o,s:I,s:I,s:o}", "name",
                                        ctl_json_text(report->edge), "total",
                                        (json_int_t) report->total, "named",
                                        (json_int_t) report->count, "reported",
                                        ctl_json_time(report->at)));
    }

    return array;
}


int
ctl_conflicts_show(ctl_t *ctl, FILE *file, const char *id)
{
    char                   at[APIKEY_TIME_SIZE];
    size_t                 r, s;
    apikey_ops_conflicts_t conflicts;

    if (apikey_ops_conflicts(&ctl->ops, &conflicts) == -1) {
        apikey_ops_conflicts_free(&conflicts);
        return -1;
    }

    for (r = 0; r < conflicts.count; r++) {
        for (s = 0; s < conflicts.report[r].count; s++) {
            const apikey_conflict_t *seen = &conflicts.report[r].seen[s];

            if (strcmp(seen->id, id) == 0) {
                apikey_time_show_ms(at, seen->at);
                ctl_put(file, conflicts.report[r].edge);
                fprintf(file, " saw it revoked at %s, version %" PRIu64 "\n",
                        at, seen->version);
            }
        }
    }

    apikey_ops_conflicts_free(&conflicts);

    return 0;
}
