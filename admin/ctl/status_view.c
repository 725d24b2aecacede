/*
 * Copyright (C) 2026 the ngx_http_apikey_module authors
 *
 * What apikeyctl status shows, to people and to programs; see status.h.
 */

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "json.h"
#include "output.h"
#include "session.h"
#include "status.h"
#include "table.h"


static void status_print_edges(const ctl_status_t *status);


static const char *const library_names[] = { "current", "missing",
                                             "different" };
static const char *const pepper_names[] = { "absent", "unreadable", "refused",
                                            "differs", "fits" };


void
ctl_status_print(const ctl_t *ctl, const ctl_status_t *status)
{
    size_t                   i;
    const char              *server = ctl->ops.client.server;
    const apikey_ops_meta_t *meta = &status->meta;

    ctl_field("Store", "%s at %s%s%s%s", ctl->ops.store, ctl_session_where(),
              server[0] ? " (" : "", server, server[0] ? ")" : "");
    ctl_field("Epoch", "%s", meta->epoch);
    ctl_field("Version", "%" PRIu64 ", log from %" PRIu64, meta->version,
              meta->log_first);
    ctl_field("Lease", "%" PRIu64 " ms", meta->lease);
    ctl_field("Prefix", "%s", meta->prefix[0] ? meta->prefix : "none");
    ctl_field("Keys",
              "%" PRIu64 " enabled, %" PRIu64 " disabled, %" PRIu64 " revoked",
              meta->enabled, meta->disabled, meta->revoked);
    ctl_field("Members", "%" PRIu64, meta->members);
    ctl_field("Peppers", "%s", meta->peppers);
    ctl_field("Pepper file", "%s (%s)", status->pepper_text,
              pepper_names[status->pepper]);
    ctl_field("Library", "%s",
              status->library_known ? library_names[status->library]
                                    : "not known: no right to FUNCTION LIST");

    status_print_edges(status);

    for (i = 0; i < status->problems_count; i++) {
        fputs(i == 0 ? "\n" : "", stdout);
        ctl_colour(CTL_RED);
        fputs("Problem      ", stdout);
        ctl_colour_end(CTL_RED);
        ctl_put(stdout, status->problems[i]);
        putchar('\n');
    }
}


static void
status_print_edges(const ctl_status_t *status)
{
    char        text[32];
    size_t      i;
    ctl_table_t table;

    static const char *const heads[] = { "EDGE",    "VERSION", "BEHIND",
                                         "RENEWED", "ADDRESS", "SOFTWARE" };

    if (status->edges.count == 0) {
        ctl_field("Edges", "none has ever renewed");
        return;
    }

    ctl_field("Edges", "%zu", status->edges.count);
    putchar('\n');

    ctl_table_begin(&table, 6, heads);

    for (i = 0; i < status->edges.count; i++) {
        const apikey_ops_edge_t *edge = &status->edges.edge[i];

        ctl_table_cell(&table, NULL, edge->name);

        snprintf(text, sizeof(text), "%" PRIu64, edge->version);
        ctl_table_cell(&table, NULL, text);

        snprintf(text, sizeof(text), "%" PRIu64,
                 ctl_status_behind(status, edge));
        ctl_table_cell(&table, NULL, text);

        snprintf(text, sizeof(text), "%.1f s ago",
                 (double) ctl_status_age(status, edge) / 1e3);
        ctl_table_cell(&table,
                       ctl_status_age(status, edge) > status->meta.lease
                           ? CTL_RED
                           : CTL_GREEN,
                       text);

        ctl_table_cell(&table, NULL, edge->address);
        ctl_table_cell(&table, NULL, edge->software);
    }

    if (ctl_table_end(&table, 1) == -1) {
        fputs("(out of memory: edges are missing)\n", stdout);
    }
}


void
ctl_status_json(const ctl_t *ctl, const ctl_status_t *status)
{
    size_t                   i;
    json_t                  *edges, *problems, *peppers;
    const apikey_ops_meta_t *meta = &status->meta;

    edges = json_array();
    problems = json_array();
    peppers = ctl_words_json(meta->peppers);

    for (i = 0; i < status->edges.count; i++) {
        const apikey_ops_edge_t *edge = &status->edges.edge[i];

        json_array_append_new(
            edges,
            json_pack("{s:o,s:I,s:I,s:b,s:I,s:o,s:o}", "name",
                      ctl_json_text(edge->name), "version",
                      (json_int_t) edge->version, "behind",
                      (json_int_t) ctl_status_behind(status, edge),
                      "same_epoch", strcmp(edge->epoch, meta->epoch) == 0,
                      "age_ms", (json_int_t) ctl_status_age(status, edge),
                      "address", ctl_json_text(edge->address), "software",
                      ctl_json_text(edge->software)));
    }

    for (i = 0; i < status->problems_count; i++) {
        json_array_append_new(problems, ctl_json_text(status->problems[i]));
    }

    ctl_json(json_pack(
        "{s:s,s:o,s:o,s:b,s:s,s:I,s:I,s:I,s:I,s:o,s:s,s:{s:I,s:I,s:I},s:I,"
        "s:o,s:{s:s,s:o},s:s?,s:o,s:o}",
        "store", ctl->ops.store, "address", ctl_json_text(ctl_session_where()),
        "server", ctl_json_text(ctl->ops.client.server), "replica",
        ctl->ops.client.replica, "epoch", meta->epoch, "version",
        (json_int_t) meta->version, "log_first", (json_int_t) meta->log_first,
        "log_length", (json_int_t) meta->log_length, "lease_ms",
        (json_int_t) meta->lease, "time", ctl_json_time(meta->time), "prefix",
        meta->prefix, "keys", "enabled", (json_int_t) meta->enabled,
        "disabled", (json_int_t) meta->disabled, "revoked",
        (json_int_t) meta->revoked, "members", (json_int_t) meta->members,
        "peppers", peppers, "pepper_here", "state",
        pepper_names[status->pepper], "text",
        ctl_json_text(status->pepper_text), "library",
        status->library_known ? library_names[status->library] : NULL, "edges",
        edges, "problems", problems));
}
