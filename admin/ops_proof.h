/*
 * Copyright (C) 2026 the ngx_http_apikey_module authors
 *
 * When a change is proven: the rule of --wait, on what the store answered and
 * on the time, and on nothing else.  It asks nobody and reads no clock.
 *
 * A change is proven when, in one answer of apikey_acks, it is part of the
 * history as the store has it, and each edge that any answer has named
 *
 *   - has acknowledged: its renewal is of that history too, and of the
 *     change's version or a later one; or
 *   - can have no lease any more from before the change: the answer was asked
 *     for later than lease * 1.02 + 100 ms after the change was answered.  An
 *     edge that renewed since then has applied the change first, for a lease
 *     is extended only behind the head that its renewal was answered with.
 *
 * An acknowledgement of another history counts for nothing: after a failover
 * that lost writes, versions are given out again.
 */

#ifndef APIKEY_ADMIN_OPS_PROOF_H
#define APIKEY_ADMIN_OPS_PROOF_H

#include <stddef.h>
#include <stdint.h>

#include "admin/ops_edge.h"

typedef enum {
    APIKEY_ACK_WAITING = 0,
    APIKEY_ACK_GIVEN,  /* it has acknowledged */
    APIKEY_ACK_EXPIRED /* its lease has run out */
} apikey_ack_t;

typedef struct {
    char         name[APIKEY_EDGE_MAX + 1];
    apikey_ack_t ack;
    uint64_t     us;      /* GIVEN: until then, after the change's answer */
    uint64_t     given;   /* GIVEN: the renewal's time, the store's clock */
    uint64_t     version; /* of its last renewal */
    uint64_t     at;      /* of that, milliseconds since 1970, the store's */
} apikey_proof_edge_t;

typedef enum {
    APIKEY_PROOF_OPEN = 0, /* not yet */
    APIKEY_PROOF_PROVEN,
    APIKEY_PROOF_UNKNOWN /* the change is not in the history (any more): what
                            came of it, nobody can say */
} apikey_proof_state_t;

typedef struct {
    uint64_t version;  /* of the head after the change */
    uint64_t answered; /* microseconds, as apikey_boottime() gives them */

    apikey_proof_state_t state;
    apikey_verdict_t     verdict; /* of the last answer, on the change */
    uint64_t             lease;   /* milliseconds; 0: no answer yet */
    uint64_t             asked;   /* when the last answer was asked for */
    uint64_t             time;    /* the store's in it */
    size_t               count;
    apikey_proof_edge_t *edge; /* all that were ever named */
} apikey_proof_t;

/* For a change; apikey_proof_free() is due. */
void
apikey_proof_begin(apikey_proof_t *proof, uint64_t version, uint64_t answered);
void apikey_proof_free(apikey_proof_t *proof);

/*
 * Judges one more answer, which was asked for at `asked` and was there at
 * `now`.  UNKNOWN is final.  Returns the state, or -1 if memory is short.
 */
int apikey_proof_judge(apikey_proof_t *proof, const apikey_acks_t *acks,
                       uint64_t asked, uint64_t now);

/* When the leases from before the change have run out at the latest, as
   apikey_boottime(); 0 if no answer has told the lease yet. */
uint64_t apikey_proof_bound(const apikey_proof_t *proof);

/* The same by the store's clock, milliseconds since 1970. */
uint64_t apikey_proof_safe(const apikey_proof_t *proof);

/* How many edges are in a state. */
size_t apikey_proof_count(const apikey_proof_t *proof, apikey_ack_t ack);

#endif /* APIKEY_ADMIN_OPS_PROOF_H */
