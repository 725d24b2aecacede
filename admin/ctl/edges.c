/*
 * Copyright (C) 2026 the ngx_http_apikey_module authors
 *
 * apikeyctl edges: who is there, how far, and for how long; and one that is
 * gone for good.
 */

#include <stdio.h>
#include <string.h>

#include "edges.h"
#include "fail.h"
#include "json.h"
#include "options.h"
#include "output.h"
#include "receipt.h"
#include "session.h"


static int edges_list(ctl_t *ctl, int argc, char **argv);
static int edges_say(ctl_t *ctl, const ctl_edges_t *edges);
static int edges_forget(ctl_t *ctl, int argc, char **argv);


static const ctl_verb_t verbs[] = {
    { "edges forget", "NAME",
      "Strike off an edge that is gone for good and whose lease has run out",
      CTL_CHANGES, "01234568", edges_forget },
    { 0 },
};


/* A word of its own first is a command; without one it lists. */
int
ctl_edges(ctl_t *ctl, int argc, char **argv)
{
    return argc && argv[0][0] != '-'
               ? ctl_dispatch(ctl, verbs, "edges", argc, argv)
               : edges_list(ctl, argc, argv);
}


static int
edges_list(ctl_t *ctl, int argc, char **argv)
{
    int         operands, code;
    ctl_edges_t edges;

    operands = ctl_options(ctl, argc, argv, NULL, 0);

    if (operands == -1 || ctl_no_operands(ctl, operands) == -1
        || ctl_session(ctl) == -1)
    {
        return ctl->exit;
    }

    if (ctl_edges_look(ctl, &edges) == -1) {
        code = ctl_fail_ops(ctl, NULL, NULL);

    } else {
        code = edges_say(ctl, &edges);
    }

    ctl_edges_free(&edges);

    return code;
}


static int
edges_say(ctl_t *ctl, const ctl_edges_t *edges)
{
    int    code = CTL_DONE;
    size_t i;

    if (ctl->json) {
        ctl_json(ctl_edges_json(edges));

    } else if (!ctl->quiet) {
        ctl_edges_show(edges);
    }

    for (i = 0; i < edges->list.count; i++) {
        const apikey_ops_edge_t *edge = &edges->list.edge[i];

        if (ctl_edge_left(edges, edge) == 0
            || edge->verdict != APIKEY_VERDICT_OK) {
            code = CTL_WRONG;
        }

        if (ctl->quiet && !ctl->json) {
            ctl_put(stdout, edge->name);
            putchar('\n');
        }
    }

    return code;
}


static int
edges_forget(ctl_t *ctl, int argc, char **argv)
{
    int                 operands;
    apikey_ops_change_t change;

    operands = ctl_options(ctl, argc, argv, NULL, 0);

    if (operands == -1) {
        return ctl->exit;
    }

    if (operands != 1) {
        ctl_usage(ctl, "name one edge");
        return ctl->exit;
    }

    if (ctl_session(ctl) == -1) {
        return ctl->exit;
    }

    if (apikey_ops_edge_forget(&ctl->ops, argv[0], &change) == -1) {
        return ctl_fail_ops(ctl, argv[0], "look: apikeyctl edges");
    }

    return ctl_receipt_one(ctl, argv[0], "forgotten", &change,
                           json_pack("{s:s,s:I,s:s,s:o}", "name", argv[0],
                                     "version", (json_int_t) change.version,
                                     "epoch", change.epoch, "at",
                                     ctl_json_time(change.at)));
}
