/*
 * Copyright (C) 2026 the ngx_http_apikey_module authors
 *
 * apikeyctl status: how the store, its edges and the pepper on this machine
 * are, and what of it needs somebody.
 */

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "admin/ops_store.h"
#include "admin/ops_time.h"
#include "options.h"
#include "output.h"
#include "session.h"
#include "table.h"

#define PROBLEM_SIZE 384


typedef struct {
    char     name[65];
    char     epoch[APIKEY_EPOCH_HEX + 1];
    char     address[129];
    char     software[129];
    uint64_t version;
    uint64_t at;
} status_edge_t;

typedef enum {
    STATUS_PEPPER_ABSENT = 0, /* no file here */
    STATUS_PEPPER_UNREADABLE, /* not for us */
    STATUS_PEPPER_REFUSED,    /* bad mode, bad line */
    STATUS_PEPPER_DIFFERS,
    STATUS_PEPPER_FITS
} status_pepper_t;

/* Everything that is looked at, and what is wrong with it. */
typedef struct {
    apikey_ops_meta_t meta;
    int               library_known; /* 0: no right to ask */
    apikey_library_t  library;
    status_pepper_t   pepper;
    char              pepper_text[APIKEY_PEPPER_ERROR_LEN];
    status_edge_t    *edges;
    size_t            edges_count;
    int               failed; /* out of memory */
    char (*problems)[PROBLEM_SIZE];
    size_t problems_count;
} status_t;


static int  status_look(ctl_t *ctl, status_t *status);
static int  status_library(ctl_t *ctl, status_t *status);
static void status_edge(void *ctx, const apikey_ops_edge_t *edge);
static int  status_by_name(const void *a, const void *b);
static void status_pepper(const ctl_t *ctl, status_t *status);
static void status_compare(status_t *status, const apikey_pepper_ring_t *ring);
static int  status_has(const char *peppers, const char *name);
static int  status_ring_has(const apikey_pepper_ring_t *ring, const char *name,
                            size_t len);
static void status_judge(const ctl_t *ctl, status_t *status);
static void status_judge_edge(status_t *status, const status_edge_t *edge);
static void status_problem(status_t *status, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
static uint64_t status_age(const status_t *status, const status_edge_t *edge);
static uint64_t
            status_behind(const status_t *status, const status_edge_t *edge);
static void status_print(const ctl_t *ctl, const status_t *status);
static void status_print_edges(const status_t *status);
static void status_json(const ctl_t *ctl, const status_t *status);


static const char *const library_names[] = { "current", "missing",
                                             "different" };
static const char *const pepper_names[] = { "absent", "unreadable", "refused",
                                            "differs", "fits" };


int
ctl_status(ctl_t *ctl, int argc, char **argv)
{
    int      operands, code;
    status_t status = { 0 };

    operands = ctl_options(ctl, argc, argv, NULL, 0);

    if (operands == -1 || ctl_no_operands(ctl, operands) == -1
        || ctl_session(ctl) == -1)
    {
        return ctl->exit;
    }

    code = status_look(ctl, &status);

    if (code == CTL_DONE) {
        status_judge(ctl, &status);

        if (status.failed) {
            code = ctl_fail(ctl, CTL_LOCAL, "", NULL, "out of memory");
            goto done;
        }

        if (ctl->json) {
            status_json(ctl, &status);

        } else if (!ctl->quiet) {
            status_print(ctl, &status);
        }

        code = status.problems_count ? CTL_WRONG : CTL_DONE;
    }

done:

    free(status.edges);
    free(status.problems);

    return code;
}


/* The edges first: what they have applied is then never ahead of the head. */
static int
status_look(ctl_t *ctl, status_t *status)
{
    if (status_library(ctl, status) == -1
        || apikey_ops_edges(&ctl->ops, status_edge, status) == -1
        || apikey_ops_meta(&ctl->ops, &status->meta) == -1)
    {
        return ctl_fail_ops(ctl, NULL, NULL);
    }

    if (status->edges_count) {
        qsort(status->edges, status->edges_count, sizeof(*status->edges),
              status_by_name);
    }

    status_pepper(ctl, status);

    return CTL_DONE;
}


static int
status_library(ctl_t *ctl, status_t *status)
{
    if (apikey_ops_library(&ctl->ops, &status->library) == 0) {
        status->library_known = 1;
        return 0;
    }

    /* whoever may not ask can do without */
    return strcmp(ctl->ops.name, "NOPERM") == 0 ? 0 : -1;
}


static void
status_edge(void *ctx, const apikey_ops_edge_t *edge)
{
    status_t      *status = ctx;
    status_edge_t *edges, *copy;

    edges = realloc(status->edges,
                    (status->edges_count + 1) * sizeof(*status->edges));
    if (edges == NULL) {
        status->failed = 1;
        return;
    }

    status->edges = edges;
    copy = &edges[status->edges_count++];

    snprintf(copy->name, sizeof(copy->name), "%s", edge->name);
    snprintf(copy->epoch, sizeof(copy->epoch), "%s", edge->epoch);
    snprintf(copy->address, sizeof(copy->address), "%s", edge->address);
    snprintf(copy->software, sizeof(copy->software), "%s", edge->software);
    copy->version = edge->version;
    copy->at = edge->at;
}


static int
status_by_name(const void *a, const void *b)
{
    const status_edge_t *x = a, *y = b;

    return strcmp(x->name, y->name);
}


/* No pepper here is no problem: not every administrator creates keys. */
static void
status_pepper(const ctl_t *ctl, status_t *status)
{
    const char          *path = ctl_pepper_path(ctl);
    apikey_pepper_ring_t ring;

    if (access(path, R_OK) == -1) {
        status->pepper =
            errno == ENOENT ? STATUS_PEPPER_ABSENT : STATUS_PEPPER_UNREADABLE;
        snprintf(status->pepper_text, sizeof(status->pepper_text), "%s: %s",
                 path, strerror(errno));
        return;
    }

    if (apikey_pepper_ring_load(&ring, path, status->pepper_text) == -1) {
        status->pepper = STATUS_PEPPER_REFUSED;
        status_problem(status, "%s", status->pepper_text);
        return;
    }

    status->pepper = STATUS_PEPPER_FITS;
    snprintf(status->pepper_text, sizeof(status->pepper_text), "%s", path);

    status_compare(status, &ring);

    apikey_pepper_ring_wipe(&ring);
}


static void
status_compare(status_t *status, const apikey_pepper_ring_t *ring)
{
    char        name[APIKEY_PEPPER_NAME_SIZE];
    size_t      len;
    const char *p;

    apikey_pepper_name(&ring->pepper[0], name);

    if (!status_has(status->meta.peppers, name)) {
        status->pepper = STATUS_PEPPER_DIFFERS;
        status_problem(status,
                       "%s has %s first, which the store does not know: keys "
                       "cannot be created with it",
                       status->pepper_text, name);
    }

    for (p = status->meta.peppers; *p; p += len + strspn(p + len, " ")) {
        len = strcspn(p, " ");

        if (!status_ring_has(ring, p, len)) {
            status->pepper = STATUS_PEPPER_DIFFERS;
            status_problem(status,
                           "%s does not have %.*s, which the store's keys "
                           "need: a gate with this file answers them as "
                           "unknown",
                           status->pepper_text, (int) len, p);
        }
    }
}


static int
status_has(const char *peppers, const char *name)
{
    size_t len;

    for (; *peppers; peppers += len + strspn(peppers + len, " ")) {
        len = strcspn(peppers, " ");

        if (len == strlen(name) && memcmp(peppers, name, len) == 0) {
            return 1;
        }
    }

    return 0;
}


static int
status_ring_has(const apikey_pepper_ring_t *ring, const char *name, size_t len)
{
    size_t i;
    char   have[APIKEY_PEPPER_NAME_SIZE];

    for (i = 0; i < ring->count; i++) {
        apikey_pepper_name(&ring->pepper[i], have);

        if (strlen(have) == len && memcmp(have, name, len) == 0) {
            return 1;
        }
    }

    return 0;
}


static void
status_judge(const ctl_t *ctl, status_t *status)
{
    size_t i;

    if (ctl->ops.client.replica) {
        status_problem(status, "this server is a replica: changes go to the "
                               "master");
    }

    if (status->library_known && status->library != APIKEY_LIBRARY_CURRENT) {
        status_problem(status, "the function library is another one than this "
                               "program's: apikeyctl library loads it");
    }

    for (i = 0; i < status->edges_count; i++) {
        status_judge_edge(status, &status->edges[i]);
    }
}


static void
status_judge_edge(status_t *status, const status_edge_t *edge)
{
    if (strcmp(edge->epoch, status->meta.epoch) != 0) {
        status_problem(status, "edge %s has last renewed in another epoch, %s",
                       edge->name, edge->epoch);
    }

    if (status_age(status, edge) > status->meta.lease) {
        status_problem(status,
                       "edge %s is silent: it has not renewed for %.1f s, and "
                       "the lease is %.1f s; it allows nothing any more",
                       edge->name, (double) status_age(status, edge) / 1e3,
                       (double) status->meta.lease / 1e3);
    }
}


static void
status_problem(status_t *status, const char *format, ...)
{
    char(*problems)[PROBLEM_SIZE];
    va_list args;

    problems = realloc(status->problems,
                       (status->problems_count + 1) * sizeof(*problems));
    if (problems == NULL) {
        status->failed = 1;
        return;
    }

    status->problems = problems;

    va_start(args, format);
    vsnprintf(problems[status->problems_count++], PROBLEM_SIZE, format, args);
    va_end(args);
}


static uint64_t
status_age(const status_t *status, const status_edge_t *edge)
{
    return status->meta.time > edge->at ? status->meta.time - edge->at : 0;
}


static uint64_t
status_behind(const status_t *status, const status_edge_t *edge)
{
    return status->meta.version > edge->version
               ? status->meta.version - edge->version
               : 0;
}


static void
status_print(const ctl_t *ctl, const status_t *status)
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
status_print_edges(const status_t *status)
{
    char        text[32];
    size_t      i;
    ctl_table_t table;

    static const char *const heads[] = { "EDGE",    "VERSION", "BEHIND",
                                         "RENEWED", "ADDRESS", "SOFTWARE" };

    if (status->edges_count == 0) {
        ctl_field("Edges", "none has ever renewed");
        return;
    }

    ctl_field("Edges", "%zu", status->edges_count);
    putchar('\n');

    ctl_table_begin(&table, 6, heads);

    for (i = 0; i < status->edges_count; i++) {
        const status_edge_t *edge = &status->edges[i];

        ctl_table_cell(&table, NULL, edge->name);

        snprintf(text, sizeof(text), "%" PRIu64, edge->version);
        ctl_table_cell(&table, NULL, text);

        snprintf(text, sizeof(text), "%" PRIu64, status_behind(status, edge));
        ctl_table_cell(&table, NULL, text);

        snprintf(text, sizeof(text), "%.1f s ago",
                 (double) status_age(status, edge) / 1e3);
        ctl_table_cell(&table,
                       status_age(status, edge) > status->meta.lease
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


static void
status_json(const ctl_t *ctl, const status_t *status)
{
    size_t                   i;
    json_t                  *edges, *problems, *peppers;
    const apikey_ops_meta_t *meta = &status->meta;

    edges = json_array();
    problems = json_array();
    peppers = ctl_words_json(meta->peppers);

    for (i = 0; i < status->edges_count; i++) {
        const status_edge_t *edge = &status->edges[i];

        json_array_append_new(
            edges,
            json_pack("{s:o,s:I,s:I,s:b,s:I,s:o,s:o}", "name",
                      ctl_json_text(edge->name), "version",
                      (json_int_t) edge->version, "behind",
                      (json_int_t) status_behind(status, edge), "same_epoch",
                      strcmp(edge->epoch, meta->epoch) == 0, "age_ms",
                      (json_int_t) status_age(status, edge), "address",
                      ctl_json_text(edge->address), "software",
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
