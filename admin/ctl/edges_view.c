/*
 * Copyright (C) 2026 the ngx_http_apikey_module authors
 *
 * The edges at one moment of the store; see edges.h.
 */

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "admin/ops_log.h"
#include "admin/ops_time.h"
#include "edges.h"
#include "json.h"
#include "output.h"
#include "table.h"


static int edges_late(ctl_t *ctl, ctl_edges_t *edges, size_t i);
static uint64_t
edge_behind(const ctl_edges_t *edges, const apikey_ops_edge_t *edge);
static void edge_row(const ctl_edges_t *edges, size_t i, ctl_table_t *table);


/* The edges first: what they have applied is then never ahead of the head. */
int
ctl_edges_look(ctl_t *ctl, ctl_edges_t *edges)
{
    size_t i;

    memset(edges, 0, sizeof(*edges));

    if (apikey_ops_edges(&ctl->ops, &edges->list) == -1
        || apikey_ops_meta(&ctl->ops, &edges->meta) == -1)
    {
        return -1;
    }

    edges->late = calloc(edges->list.count + 1, sizeof(*edges->late));
    if (edges->late == NULL) {
        return apikey_ops_fail(&ctl->ops, APIKEY_OPS_LOCAL, "out of memory");
    }

    for (i = 0; i < edges->list.count; i++) {
        if (edges_late(ctl, edges, i) == -1) {
            return -1;
        }
    }

    return 0;
}


void
ctl_edges_free(ctl_edges_t *edges)
{
    apikey_ops_edges_free(&edges->list);
    free(edges->late);
    edges->late = NULL;
}


/* By the first entry that it lacks. */
static int
edges_late(ctl_t *ctl, ctl_edges_t *edges, size_t i)
{
    int                      rc;
    uint64_t                 at = 0;
    apikey_log_page_t        page;
    const apikey_ops_edge_t *edge = &edges->list.edge[i];

    if (edge->verdict != APIKEY_VERDICT_OK
        || edge->version >= edges->meta.version) {
        return 0;
    }

    rc = apikey_ops_log(&ctl->ops, edge->version, 1, &page);

    if (rc == 0 && page.count) {
        at = apikey_log_entry_at(&page.entry[0]);
    }

    apikey_log_page_free(&page);

    if (at && at < edges->meta.time) {
        edges->late[i] = edges->meta.time - at;
    }

    return rc;
}


uint64_t
ctl_edge_age(const ctl_edges_t *edges, const apikey_ops_edge_t *edge)
{
    return edges->meta.time > edge->at ? edges->meta.time - edge->at : 0;
}


uint64_t
ctl_edge_left(const ctl_edges_t *edges, const apikey_ops_edge_t *edge)
{
    return apikey_edge_left(edge, edges->meta.time, edges->meta.lease);
}


static uint64_t
edge_behind(const ctl_edges_t *edges, const apikey_ops_edge_t *edge)
{
    return edges->meta.version > edge->version
               ? edges->meta.version - edge->version
               : 0;
}


void
ctl_edges_show(const ctl_edges_t *edges)
{
    size_t      i;
    ctl_table_t table;

    static const char *const heads[] = { "EDGE",    "STATE",   "VERSION",
                                         "BEHIND",  "LEASE",   "RENEWED",
                                         "VERDICT", "ADDRESS", "SOFTWARE" };

    ctl_table_begin(&table, 9, heads);

    for (i = 0; i < edges->list.count; i++) {
        edge_row(edges, i, &table);
    }

    if (ctl_table_end(&table, 1) == -1) {
        fputs("(out of memory: edges are missing)\n", stdout);
    }
}


static void
edge_row(const ctl_edges_t *edges, size_t i, ctl_table_t *table)
{
    char                     text[64], at[APIKEY_TIME_SIZE];
    uint64_t                 left;
    const apikey_ops_edge_t *edge = &edges->list.edge[i];

    left = ctl_edge_left(edges, edge);

    ctl_table_cell(table, NULL, edge->name);
    ctl_table_cell(table, left ? CTL_GREEN : CTL_RED,
                   left ? "live" : "silent");

    snprintf(text, sizeof(text), "%" PRIu64, edge->version);
    ctl_table_cell(table, NULL, text);

    snprintf(text, sizeof(text), "%" PRIu64, edge_behind(edges, edge));
    ctl_table_cell(table, NULL, text);

    snprintf(text, sizeof(text), "%.1f s left", (double) left / 1e3);
    ctl_table_cell(table, NULL, left ? text : "over");

    if (left) {
        snprintf(text, sizeof(text), "%.1f s ago",
                 (double) ctl_edge_age(edges, edge) / 1e3);

    } else {
        apikey_time_show_ms(at, edge->at);
        snprintf(text, sizeof(text), "%s", edge->at ? at : "never");
    }

    ctl_table_cell(table, NULL, text);
    ctl_table_cell(table, edge->verdict == APIKEY_VERDICT_OK ? NULL : CTL_RED,
                   apikey_verdict_name(edge->verdict));
    ctl_table_cell(table, NULL, edge->address);
    ctl_table_cell(table, NULL, edge->software);
}


json_t *
ctl_edges_json(const ctl_edges_t *edges)
{
    size_t  i;
    json_t *array;

    array = json_array();

    for (i = 0; i < edges->list.count; i++) {
        const apikey_ops_edge_t *edge = &edges->list.edge[i];
        uint64_t                 left = ctl_edge_left(edges, edge);

        json_array_append_new(
            array, json_pack("{s:o,s:s,s:I,s:I,s:I,s:I,s:o?,s:I,s:s,s:o,s:o}",
                             "name", ctl_json_text(edge->name), "state",
                             left ? "live" : "silent", "version",
                             (json_int_t) edge->version, "behind",
                             (json_int_t) edge_behind(edges, edge), "late_ms",
                             (json_int_t) edges->late[i], "lease_left_ms",
                             (json_int_t) left, "renewed",
                             edge->at ? ctl_json_time(edge->at) : NULL,
                             "age_ms", (json_int_t) ctl_edge_age(edges, edge),
                             "verdict", apikey_verdict_name(edge->verdict),
                             "address", ctl_json_text(edge->address),
                             "software", ctl_json_text(edge->software)));
    }

    return array;
}
