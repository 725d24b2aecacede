/*
 * Copyright (C) 2026 the ngx_http_apikey_module authors
 *
 * The edges at one moment of the store, for people and for programs: what
 * `edges` and `status` have in common.
 */

#ifndef APIKEY_CTL_EDGES_H
#define APIKEY_CTL_EDGES_H

#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "admin/ops_edge.h"
#include "admin/ops_store.h"
#include "ctl.h"

typedef struct {
    apikey_ops_meta_t  meta;
    apikey_ops_edges_t list;
    uint64_t *late; /* of each, milliseconds: how old the oldest change
                                is that it has not applied; 0: it has them all,
                                or it is of another history */
} ctl_edges_t;

/* Returns 0, or -1 with the error in ctl->ops; ctl_edges_free() is due. */
int  ctl_edges_look(ctl_t *ctl, ctl_edges_t *edges);
void ctl_edges_free(ctl_edges_t *edges);

/* Milliseconds since it has renewed, and for which its lease may last still;
   0: it is silent. */
uint64_t ctl_edge_age(const ctl_edges_t *edges, const apikey_ops_edge_t *edge);
uint64_t
ctl_edge_left(const ctl_edges_t *edges, const apikey_ops_edge_t *edge);

/* A table, and an array of objects. */
void    ctl_edges_show(const ctl_edges_t *edges);
json_t *ctl_edges_json(const ctl_edges_t *edges);

#endif /* APIKEY_CTL_EDGES_H */
