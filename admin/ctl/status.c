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

#include "fail.h"
#include "options.h"
#include "session.h"
#include "status.h"

/* Milliseconds for which an edge may lack a change without being behind: a
   push arrives within one, and what was not pushed with the next renewal. */
#define LATE 1000


static int  status_look(ctl_t *ctl, ctl_status_t *status);
static int  status_library(ctl_t *ctl, ctl_status_t *status);
static void status_pepper(const ctl_t *ctl, ctl_status_t *status);
static void
status_compare(ctl_status_t *status, const apikey_pepper_ring_t *ring);
static int  status_has(const char *peppers, const char *name);
static int  status_ring_has(const apikey_pepper_ring_t *ring, const char *name,
                            size_t len);
static int  status_conflicts(ctl_t *ctl, ctl_status_t *status);
static int  status_writable(ctl_t *ctl, ctl_status_t *status);
static void status_judge(ctl_status_t *status);
static void status_judge_edge(ctl_status_t *status, size_t i);
static void
status_problem(ctl_status_t *status, ctl_promise_t promise, const char *format,
               ...) __attribute__((format(printf, 3, 4)));


int
ctl_status(ctl_t *ctl, int argc, char **argv)
{
    int          operands, code;
    ctl_status_t status = { 0 };

    operands = ctl_options(ctl, argc, argv, NULL, 0);

    if (operands == -1 || ctl_no_operands(ctl, operands) == -1
        || ctl_session(ctl) == -1)
    {
        return ctl->exit;
    }

    code = status_look(ctl, &status);

    if (code == CTL_DONE) {
        status_judge(&status);

        if (status.failed) {
            code = ctl_fail(ctl, CTL_LOCAL, "", NULL, "out of memory");
            goto done;
        }

        if (ctl->json) {
            ctl_status_json(ctl, &status);

        } else if (!ctl->quiet) {
            ctl_status_print(ctl, &status);
        }

        code = status.problems_count ? CTL_WRONG : CTL_DONE;
    }

done:

    ctl_edges_free(&status.edges);
    free(status.problems);

    return code;
}


static int
status_look(ctl_t *ctl, ctl_status_t *status)
{
    if (status_library(ctl, status) == -1
        || ctl_edges_look(ctl, &status->edges) == -1
        || status_conflicts(ctl, status) == -1
        || status_writable(ctl, status) == -1)
    {
        return ctl_fail_ops(ctl, NULL, NULL);
    }

    status_pepper(ctl, status);

    return CTL_DONE;
}


static int
status_library(ctl_t *ctl, ctl_status_t *status)
{
    if (apikey_ops_library(&ctl->ops, &status->library) == 0) {
        status->library_known = 1;
        return 0;
    }

    /* whoever may not ask can do without */
    return strcmp(ctl->ops.name, "NOPERM") == 0 ? 0 : -1;
}


/* No pepper here is no problem: not every administrator creates keys. */
static void
status_pepper(const ctl_t *ctl, ctl_status_t *status)
{
    const char          *path = ctl_pepper_path(ctl);
    apikey_pepper_ring_t ring;

    if (access(path, R_OK) == -1) {
        status->pepper =
            errno == ENOENT ? CTL_PEPPER_ABSENT : CTL_PEPPER_UNREADABLE;
        snprintf(status->pepper_text, sizeof(status->pepper_text), "%s: %s",
                 path, strerror(errno));
        return;
    }

    if (apikey_pepper_ring_load(&ring, path, status->pepper_text) == -1) {
        status->pepper = CTL_PEPPER_REFUSED;
        status_problem(status, CTL_PROMISE_HOLDS, "%s", status->pepper_text);
        return;
    }

    status->pepper = CTL_PEPPER_FITS;
    snprintf(status->pepper_text, sizeof(status->pepper_text), "%s", path);

    status_compare(status, &ring);

    apikey_pepper_ring_wipe(&ring);
}


static void
status_compare(ctl_status_t *status, const apikey_pepper_ring_t *ring)
{
    char        name[APIKEY_PEPPER_NAME_SIZE];
    size_t      len;
    const char *p;

    apikey_pepper_name(&ring->pepper[0], name);

    if (!status_has(status->edges.meta.peppers, name)) {
        status->pepper = CTL_PEPPER_DIFFERS;
        status_problem(status, CTL_PROMISE_HOLDS,
                       "%s has %s first, which the store does not know: keys "
                       "cannot be created with it",
                       status->pepper_text, name);
    }

    for (p = status->edges.meta.peppers; *p; p += len + strspn(p + len, " ")) {
        len = strcspn(p, " ");

        if (!status_ring_has(ring, p, len)) {
            status->pepper = CTL_PEPPER_DIFFERS;
            status_problem(status, CTL_PROMISE_HOLDS,
                           "%s does not have %.*s, which the store's keys "
                           "need: a gate with this file answers 503, "
                           "unavailable",
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


/* An older library has none, and is a problem by itself. */
static int
status_conflicts(ctl_t *ctl, ctl_status_t *status)
{
    int                    rc;
    size_t                 i;
    apikey_ops_conflicts_t conflicts;

    rc = apikey_ops_conflicts(&ctl->ops, &conflicts);

    if (rc == -1 && strcmp(ctl->ops.name, APIKEY_OPS_NOLIBRARY) == 0) {
        rc = 0;
    }

    for (i = 0; i < conflicts.count; i++) {
        const apikey_report_t *report = &conflicts.report[i];

        status->conflicts += report->total;

        status_problem(status, CTL_PROMISE_BROKEN,
                       "edge %s refuses %" PRIu64 " key%s that it has seen "
                       "revoked and that the store has forgotten to be: "
                       "apikeyctl conflicts",
                       report->edge, report->total,
                       report->total == 1 ? "" : "s");
    }

    apikey_ops_conflicts_free(&conflicts);

    return rc;
}


static int
status_writable(ctl_t *ctl, ctl_status_t *status)
{
    char name[APIKEY_CLIENT_NAME_MAX + 1];

    if (ctl->ops.client.replica) {
        status_problem(status, CTL_PROMISE_BROKEN,
                       "this server is a replica: changes go to the master, "
                       "and what is seen here may be old");
        return 0;
    }

    if (apikey_ops_writable(&ctl->ops, name) == -1) {
        return -1;
    }

    /* who may only look cannot find out */
    if (name[0] && strcmp(name, "NOPERM") != 0) {
        status_problem(status, CTL_PROMISE_BROKEN,
                       "the store takes no changes, and edges cannot renew "
                       "their leases (%s)",
                       name);
    }

    return 0;
}


static void
status_judge(ctl_status_t *status)
{
    size_t i;

    if (status->library_known && status->library != APIKEY_LIBRARY_CURRENT) {
        status_problem(status, CTL_PROMISE_BROKEN,
                       "the function library is another one than this "
                       "program's: apikeyctl library loads it");
    }

    for (i = 0; i < status->edges.list.count; i++) {
        status_judge_edge(status, i);
    }
}


static void
status_judge_edge(ctl_status_t *status, size_t i)
{
    const apikey_ops_edge_t *edge = &status->edges.list.edge[i];

    if (edge->at == 0) {
        status_problem(status, CTL_PROMISE_BOUNDED,
                       "edge %s has an entry that cannot be read (one that is "
                       "gone for good: apikeyctl edges forget %s)",
                       edge->name, edge->name);

    } else if (ctl_edge_left(&status->edges, edge) == 0) {
        status_problem(
            status, CTL_PROMISE_BOUNDED,
            "edge %s is silent: it has not renewed for %.1f s, and the lease "
            "is %.1f s; it allows nothing any more (one that is gone for "
            "good: apikeyctl edges forget %s)",
            edge->name, (double) ctl_edge_age(&status->edges, edge) / 1e3,
            (double) status->edges.meta.lease / 1e3, edge->name);

    } else if (edge->verdict != APIKEY_VERDICT_OK) {
        status_problem(status, CTL_PROMISE_BOUNDED,
                       "edge %s has last acknowledged another history than "
                       "the store's (%s)",
                       edge->name, apikey_verdict_name(edge->verdict));

    } else if (status->edges.late[i] > LATE) {
        status_problem(status, CTL_PROMISE_BOUNDED,
                       "edge %s is behind: it has not acknowledged a change "
                       "that is %.1f s old",
                       edge->name, (double) status->edges.late[i] / 1e3);
    }
}


static void
status_problem(ctl_status_t *status, ctl_promise_t promise, const char *format,
               ...)
{
    char(*problems)[CTL_PROBLEM_SIZE];
    va_list args;

    if (promise > status->promise) {
        status->promise = promise;
    }

    problems = realloc(status->problems,
                       (status->problems_count + 1) * sizeof(*problems));
    if (problems == NULL) {
        status->failed = 1;
        return;
    }

    status->problems = problems;

    va_start(args, format);
    vsnprintf(problems[status->problems_count++], CTL_PROBLEM_SIZE, format,
              args);
    va_end(args);
}
