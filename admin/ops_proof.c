/*
 * Copyright (C) 2026 the ngx_http_apikey_module authors
 *
 * When a change is proven; see ops_proof.h.
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "admin/ops_proof.h"


static apikey_proof_edge_t *
proof_edge(apikey_proof_t *proof, const char *name);


void
apikey_proof_begin(apikey_proof_t *proof, uint64_t version, uint64_t answered)
{
    memset(proof, 0, sizeof(*proof));

    proof->version = version;
    proof->answered = answered;
}


void
apikey_proof_free(apikey_proof_t *proof)
{
    free(proof->edge);
    memset(proof, 0, sizeof(*proof));
}


int
apikey_proof_judge(apikey_proof_t *proof, const apikey_acks_t *acks,
                   uint64_t asked, uint64_t now)
{
    size_t                   i;
    apikey_proof_edge_t     *edge;
    const apikey_ops_edge_t *renewal;

    if (proof->state == APIKEY_PROOF_UNKNOWN) {
        return (int) proof->state;
    }

    /* A2 */
    proof->verdict = acks->verdict;

    if (acks->verdict != APIKEY_VERDICT_OK) {
        proof->state = APIKEY_PROOF_UNKNOWN;
        return (int) proof->state;
    }

    proof->asked = asked;
    proof->time = acks->time;

    /* it does not change; should it, the longer one is the safe one */
    if (acks->lease > proof->lease) {
        proof->lease = acks->lease;
    }

    for (i = 0; i < acks->edges.count; i++) {
        renewal = &acks->edges.edge[i];

        edge = proof_edge(proof, renewal->name);
        if (edge == NULL) {
            return -1;
        }

        edge->version = renewal->version;
        edge->at = renewal->at;

        if (renewal->verdict != APIKEY_VERDICT_OK
            || renewal->version < proof->version) {
            edge->ack = APIKEY_ACK_WAITING;

        } else if (edge->ack != APIKEY_ACK_GIVEN) {
            edge->ack = APIKEY_ACK_GIVEN;
            edge->us = now - proof->answered;
            edge->given = renewal->at;
        }
    }

    /* A3: by an answer that was asked for after it had run out */

    for (i = 0; i < proof->count; i++) {
        if (proof->edge[i].ack == APIKEY_ACK_WAITING
            && asked > apikey_proof_bound(proof))
        {
            proof->edge[i].ack = APIKEY_ACK_EXPIRED;
        }
    }

    proof->state = apikey_proof_count(proof, APIKEY_ACK_WAITING)
                       ? APIKEY_PROOF_OPEN
                       : APIKEY_PROOF_PROVEN;

    return (int) proof->state;
}


/* By name: one that is no longer listed has not acknowledged by that. */
static apikey_proof_edge_t *
proof_edge(apikey_proof_t *proof, const char *name)
{
    size_t               i;
    apikey_proof_edge_t *edges;

    for (i = 0; i < proof->count; i++) {
        if (strcmp(proof->edge[i].name, name) == 0) {
            return &proof->edge[i];
        }
    }

    edges = realloc(proof->edge, (proof->count + 1) * sizeof(*edges));
    if (edges == NULL) {
        return NULL;
    }

    proof->edge = edges;

    memset(&edges[proof->count], 0, sizeof(*edges));
    snprintf(edges[proof->count].name, sizeof(edges->name), "%s", name);

    return &edges[proof->count++];
}


uint64_t
apikey_proof_bound(const apikey_proof_t *proof)
{
    return proof->lease ? proof->answered + APIKEY_LEASE_BOUND_US(proof->lease)
                        : 0;
}


uint64_t
apikey_proof_safe(const apikey_proof_t *proof)
{
    int64_t left =
        (int64_t) apikey_proof_bound(proof) - (int64_t) proof->asked;

    /* the store has read its clock after it was asked: no earlier than this */
    return (uint64_t) ((int64_t) proof->time + left / 1000 + 1);
}


size_t
apikey_proof_count(const apikey_proof_t *proof, apikey_ack_t ack)
{
    size_t i, count = 0;

    for (i = 0; i < proof->count; i++) {
        count += proof->edge[i].ack == ack;
    }

    return count;
}
