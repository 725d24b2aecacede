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

static int  status_look(ctl_t *ctl, ctl_status_t *status);
static int  status_library(ctl_t *ctl, ctl_status_t *status);
static void status_pepper(const ctl_t *ctl, ctl_status_t *status);
static void
status_compare(ctl_status_t *status, const apikey_pepper_ring_t *ring);
static int  status_has(const char *peppers, const char *name);
static int  status_ring_has(const apikey_pepper_ring_t *ring, const char *name,
                            size_t len);
static void status_judge(const ctl_t *ctl, ctl_status_t *status);
static void status_judge_edge(const ctl_t *ctl, ctl_status_t *status,
                              const apikey_ops_edge_t *edge);
static void status_problem(ctl_status_t *status, const char *format, ...)
    __attribute__((format(printf, 2, 3)));


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
        status_judge(ctl, &status);

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

    apikey_ops_edges_free(&status.edges);
    free(status.problems);

    return code;
}


/* The edges first: what they have applied is then never ahead of the head. */
static int
status_look(ctl_t *ctl, ctl_status_t *status)
{
    if (status_library(ctl, status) == -1
        || apikey_ops_edges(&ctl->ops, &status->edges) == -1
        || apikey_ops_meta(&ctl->ops, &status->meta) == -1)
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
        status_problem(status, "%s", status->pepper_text);
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

    if (!status_has(status->meta.peppers, name)) {
        status->pepper = CTL_PEPPER_DIFFERS;
        status_problem(status,
                       "%s has %s first, which the store does not know: keys "
                       "cannot be created with it",
                       status->pepper_text, name);
    }

    for (p = status->meta.peppers; *p; p += len + strspn(p + len, " ")) {
        len = strcspn(p, " ");

        if (!status_ring_has(ring, p, len)) {
            status->pepper = CTL_PEPPER_DIFFERS;
            status_problem(status,
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


static void
status_judge(const ctl_t *ctl, ctl_status_t *status)
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

    for (i = 0; i < status->edges.count; i++) {
        status_judge_edge(ctl, status, &status->edges.edge[i]);
    }
}


static void
status_judge_edge(const ctl_t *ctl, ctl_status_t *status,
                  const apikey_ops_edge_t *edge)
{
    if (strcmp(edge->epoch, status->meta.epoch) != 0) {
        status_problem(status, "edge %s has last renewed in another epoch, %s",
                       edge->name, edge->epoch);
    }

    if (ctl_status_age(status, edge) > status->meta.lease) {
        status_problem(status,
                       "edge %s is silent: it has not renewed for %.1f s, and "
                       "the lease is %.1f s; it allows nothing any more (one "
                       "that is gone for good: redis-cli HDEL '%s:edges' %s)",
                       edge->name, (double) ctl_status_age(status, edge) / 1e3,
                       (double) status->meta.lease / 1e3, ctl->ops.store,
                       edge->name);
    }
}


static void
status_problem(ctl_status_t *status, const char *format, ...)
{
    char(*problems)[CTL_PROBLEM_SIZE];
    va_list args;

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


uint64_t
ctl_status_age(const ctl_status_t *status, const apikey_ops_edge_t *edge)
{
    return status->meta.time > edge->at ? status->meta.time - edge->at : 0;
}


uint64_t
ctl_status_behind(const ctl_status_t *status, const apikey_ops_edge_t *edge)
{
    return status->meta.version > edge->version
               ? status->meta.version - edge->version
               : 0;
}
