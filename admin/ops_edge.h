/*
 * Copyright (C) 2026 the ngx_http_apikey_module authors
 *
 * What the store knows of the edges: their last renewals, and how these stand
 * to a change.  Results as in ops.h.
 */

#ifndef APIKEY_ADMIN_OPS_EDGE_H
#define APIKEY_ADMIN_OPS_EDGE_H

#include <stddef.h>
#include <stdint.h>

#include "admin/ops.h"
#include "admin/ops_change.h"
#include "store/record.h"

#define APIKEY_EDGE_MAX 64 /* bytes, of an edge's name */

/* How a version with its chain stands to the history as the store has it
   now (docs/store.md, apikey_renew). */
typedef enum {
    APIKEY_VERDICT_OTHER = 0, /* one that this program does not know */
    APIKEY_VERDICT_OK,        /* it is part of it */
    APIKEY_VERDICT_EPOCH,
    APIKEY_VERDICT_AHEAD,
    APIKEY_VERDICT_FORK,
    APIKEY_VERDICT_TRIMMED
} apikey_verdict_t;

/* Static; "other" for OTHER. */
const char *apikey_verdict_name(apikey_verdict_t verdict);

/* An edge's last renewal.  One that cannot be read is of version 0, at 0. */
typedef struct {
    char             name[APIKEY_EDGE_MAX + 1];
    char             epoch[APIKEY_EPOCH_HEX + 1];
    char             address[128 + 1];
    char             software[128 + 1];
    apikey_verdict_t verdict; /* on what it has applied */
    uint64_t         version; /* that it has applied */
    uint64_t         at;      /* milliseconds since 1970, the store's clock */
} apikey_ops_edge_t;

typedef struct {
    size_t             count;
    apikey_ops_edge_t *edge; /* by name */
} apikey_ops_edges_t;

/* Reads all of them; apikey_ops_edges_free() is due in any case. */
int  apikey_ops_edges(apikey_ops_t *ops, apikey_ops_edges_t *edges);
void apikey_ops_edges_free(apikey_ops_edges_t *edges);


/* An answer of apikey_acks: one moment of the store. */
typedef struct {
    apikey_verdict_t   verdict; /* on the change that was asked about */
    uint64_t           head;
    uint64_t           time;  /* the store's, milliseconds since 1970 */
    uint64_t           lease; /* milliseconds */
    apikey_ops_edges_t edges;
} apikey_acks_t;

/* Asks about the head after a change; apikey_acks_free() is due in any
   case. */
int  apikey_ops_acks(apikey_ops_t *ops, const apikey_ops_change_t *change,
                     apikey_acks_t *acks);
void apikey_acks_free(apikey_acks_t *acks);


/*
 * For how long after a moment an edge may go on deciding by a lease that began
 * no later: its clock may be 2 % slow, and 100 ms are for what lies between
 * two clocks being read (design: Wait; the store holds names for as long).
 * Milliseconds and microseconds.
 */
#define APIKEY_LEASE_BOUND(lease_ms)    ((lease_ms) *102 / 100 + 100)
#define APIKEY_LEASE_BOUND_US(lease_ms) ((lease_ms) *1020 + 100000)

/* Milliseconds for which it may, after `time` of the store's clock; 0: its
   lease has run out, and it allows nothing until it renews. */
uint64_t apikey_edge_left(const apikey_ops_edge_t *edge, uint64_t time,
                          uint64_t lease_ms);

/* Strikes one off whose lease has run out; REFUSED with LIVE if it may last,
   with NOEDGE if there is none of this name. */
int apikey_ops_edge_forget(apikey_ops_t *ops, const char *name,
                           apikey_ops_change_t *change);

#endif /* APIKEY_ADMIN_OPS_EDGE_H */
