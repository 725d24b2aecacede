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


static void status_print_edges(const ctl_status_t *status);


static const char *const promise_names[] = { "holds", "bounded", "broken" };
static const char *const promise_texts[] = {
    "a change is refused or allowed at once on every edge",
    "not at once on every edge: the lease is the bound there",
    "it needs somebody now",
};
static const char *const promise_colours[] = { CTL_GREEN, CTL_YELLOW,
                                               CTL_RED };
static const char *const library_names[] = { "current", "missing",
                                             "different" };
static const char *const pepper_names[] = { "absent", "unreadable", "refused",
                                            "differs", "fits" };


void
ctl_status_print(const ctl_t *ctl, const ctl_status_t *status)
{
    size_t                   i;
    const char              *server = ctl->ops.client.server;
    const apikey_ops_meta_t *meta = &status->edges.meta;

    ctl_colour(promise_colours[status->promise]);
    fputs(promise_names[status->promise], stdout);
    ctl_colour_end(promise_colours[status->promise]);
    printf(": %s\n", promise_texts[status->promise]);

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
    if (status->edges.list.count == 0) {
        ctl_field("Edges", "none has ever renewed");
        return;
    }

    ctl_field("Edges", "%zu", status->edges.list.count);
    putchar('\n');
    ctl_edges_show(&status->edges);
}


void
ctl_status_json(const ctl_t *ctl, const ctl_status_t *status)
{
    size_t                   i;
    json_t                  *problems, *peppers;
    const apikey_ops_meta_t *meta = &status->edges.meta;

    problems = json_array();
    peppers = ctl_words_json(meta->peppers);

    for (i = 0; i < status->problems_count; i++) {
        json_array_append_new(problems, ctl_json_text(status->problems[i]));
    }

    ctl_json(json_pack(
        "{s:s,s:s,s:o,s:o,s:b,s:s,s:I,s:I,s:I,s:I,s:o,s:s,s:{s:I,s:I,s:I},s:I,"
        "s:o,s:{s:s,s:o},s:s?,s:o,s:I,s:o}",
        "promise", promise_names[status->promise], "store", ctl->ops.store,
        "address", ctl_json_text(ctl_session_where()), "server",
        ctl_json_text(ctl->ops.client.server), "replica",
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
        ctl_edges_json(&status->edges), "conflicts",
        (json_int_t) status->conflicts, "problems", problems));
}
