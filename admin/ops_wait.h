/*
 * Copyright (C) 2026 the ngx_http_apikey_module authors
 *
 * Waiting for the proof of changes: asks the store, again and again, until
 * ops_proof.h's rule says so.  One question a step, so that a face can show
 * how it goes, and end it.
 */

#ifndef APIKEY_ADMIN_OPS_WAIT_H
#define APIKEY_ADMIN_OPS_WAIT_H

#include <stddef.h>
#include <stdint.h>

#include "admin/ops.h"
#include "admin/ops_change.h"
#include "admin/ops_proof.h"

#define APIKEY_REPLICAS_MAX 100

typedef struct {
    apikey_ops_t              *ops;
    const apikey_ops_change_t *change; /* `count` of them, in their order */
    size_t                     count;

    unsigned replicas;      /* that must have the changes too */
    unsigned replicas_have; /* as Redis' WAIT says */

    apikey_proof_t proof; /* of the last change; of all if it is PROVEN */
    uint64_t       end;   /* apikey_boottime(); 0: see apikey_wait_over() */
    uint64_t       away; /* since when the store does not answer; 0: it does */
    uint64_t       pause;                        /* microseconds */
    char           why[APIKEY_OPS_TEXT_MAX + 1]; /* it is UNKNOWN, or the store
                                                    is away: a sentence */
} apikey_wait_t;

/*
 * Begins to wait for `count` changes that one session has made, one or more,
 * which live on meanwhile; connects nothing and asks nothing.  limit_ms is the
 * time for it, from the last change's answer; 0: as long as a proof can take.
 * apikey_wait_free() is due.
 */
void apikey_wait_begin(apikey_wait_t *wait, apikey_ops_t *ops,
                       const apikey_ops_change_t *change, size_t count,
                       unsigned replicas, uint64_t limit_ms);
void apikey_wait_free(apikey_wait_t *wait);

/*
 * Asks once; connects again first where that is needed.  Returns the state:
 * PROVEN and UNKNOWN are final.  Trouble that may pass leaves it OPEN.
 */
apikey_proof_state_t apikey_wait_step(apikey_wait_t *wait);

/*
 * 1 if the time is over.  Without a limit that is when no question will be
 * answered otherwise any more: the leases have run out, and what is missing
 * still is replicas; or the store has been away for the session's time-out
 * beyond that.
 */
int apikey_wait_over(const apikey_wait_t *wait);

/* Ends it where it is OPEN: it stays so, or becomes UNKNOWN if the store was
   away.  The final state. */
apikey_proof_state_t apikey_wait_end(apikey_wait_t *wait);

/* Sleeps until the next question is worth asking; a signal that is handled
   ends it early. */
void apikey_wait_pause(apikey_wait_t *wait);

#endif /* APIKEY_ADMIN_OPS_WAIT_H */
