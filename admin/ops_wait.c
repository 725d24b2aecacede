/*
 * Copyright (C) 2026 the ngx_http_apikey_module authors
 *
 * Waiting for the proof of changes; see ops_wait.h.
 */

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "admin/ops_wait.h"

#define PAUSE_MIN 500    /* microseconds between two questions */
#define PAUSE_MAX 10000  /* microseconds */
#define PAUSE_FAR 100000 /* microseconds, once leases alone are waited for */
#define FAR       2000000

#define PATIENCE_MIN 250 /* milliseconds that a question has in any case */


static int wait_connected(apikey_wait_t *wait);
static int wait_replicas(apikey_wait_t *wait);
static int wait_ask(apikey_wait_t *wait);
static int wait_ask_earlier(apikey_wait_t *wait);
static int wait_trouble(apikey_wait_t *wait);
static int wait_limit(const apikey_wait_t *wait);
static apikey_proof_state_t
wait_unknown(apikey_wait_t *wait, const char *format, ...)
    __attribute__((format(printf, 2, 3)));


void
apikey_wait_begin(apikey_wait_t *wait, apikey_ops_t *ops,
                  const apikey_ops_change_t *change, size_t count,
                  unsigned replicas, uint64_t limit_ms)
{
    const apikey_ops_change_t *last = &change[count - 1];

    memset(wait, 0, sizeof(*wait));

    wait->ops = ops;
    wait->change = change;
    wait->count = count;
    wait->replicas = replicas;
    wait->pause = PAUSE_MIN;
    wait->end = limit_ms ? last->answered + limit_ms * 1000 : 0;

    apikey_proof_begin(&wait->proof, last->head, last->answered);
}


void
apikey_wait_free(apikey_wait_t *wait)
{
    apikey_proof_free(&wait->proof);
}


apikey_proof_state_t
apikey_wait_step(apikey_wait_t *wait)
{
    if (wait_connected(wait) == -1 || wait_replicas(wait) == -1
        || wait_ask(wait) == -1)
    {
        return wait->proof.state;
    }

    if (wait->proof.state != APIKEY_PROOF_PROVEN) {
        return wait->proof.state;
    }

    if (wait->replicas_have < wait->replicas || wait_ask_earlier(wait) == -1) {
        return wait->proof.state == APIKEY_PROOF_UNKNOWN ? APIKEY_PROOF_UNKNOWN
                                                         : APIKEY_PROOF_OPEN;
    }

    return APIKEY_PROOF_PROVEN;
}


static int
wait_connected(apikey_wait_t *wait)
{
    if (wait->ops->client.context == NULL
        && apikey_ops_reconnect(wait->ops, wait_limit(wait)) == -1)
    {
        return wait_trouble(wait);
    }

    apikey_ops_limit(wait->ops, wait_limit(wait));

    return 0;
}


/*
 * A4: Redis counts the replicas that have what this connection has written: on
 * another one its answer would be about nothing.
 */
static int
wait_replicas(apikey_wait_t *wait)
{
    size_t        i;
    char          number[16];
    redisReply   *reply;
    apikey_args_t args = { 0 };

    if (wait->replicas_have >= wait->replicas) {
        return 0;
    }

    for (i = 0; i < wait->count; i++) {
        if (wait->change[i].connection != wait->ops->connection) {
            wait_unknown(wait, "the connection that made the change was lost, "
                               "and on another one Redis does not say "
                               "which replicas have it");
            return -1;
        }
    }

    snprintf(number, sizeof(number), "%u", wait->replicas);

    apikey_args_add(&args, "WAIT");
    apikey_args_add(&args, number);
    apikey_args_add(&args, "5");

    reply = apikey_ops_command(wait->ops, 0, &args);
    if (reply == NULL) {
        return wait_trouble(wait);
    }

    if (reply->type == REDIS_REPLY_INTEGER && reply->integer >= 0) {
        wait->replicas_have = (unsigned) reply->integer;
    }

    freeReplyObject(reply);

    return 0;
}


static int
wait_ask(apikey_wait_t *wait)
{
    int           rc;
    uint64_t      asked;
    apikey_acks_t acks;

    asked = apikey_boottime();

    if (apikey_ops_acks(wait->ops, &wait->change[wait->count - 1], &acks)
        == -1) {
        apikey_acks_free(&acks);
        return wait_trouble(wait);
    }

    wait->away = 0;

    rc = apikey_proof_judge(&wait->proof, &acks, asked, apikey_boottime());

    apikey_acks_free(&acks);

    if (rc == -1) {
        wait_unknown(wait, "out of memory");

    } else if (rc == APIKEY_PROOF_UNKNOWN) {
        wait_unknown(wait,
                     "the change is not part of the store's history any more "
                     "(%s): it was lost, or cannot be looked up",
                     apikey_verdict_name(wait->proof.verdict));
    }

    return 0;
}


/*
 * The chain of the last change has all before it in it, so each of the others
 * is proven with it if it is of the same history: a failover between two
 * changes may have lost the first.  The last one is asked about once more, so
 * that the history has not changed in between.
 */
static int
wait_ask_earlier(apikey_wait_t *wait)
{
    int              rc;
    size_t           i;
    apikey_acks_t    acks;
    apikey_verdict_t verdict;

    for (i = 0; wait->count > 1 && i < wait->count; i++) {
        rc = apikey_ops_acks(wait->ops, &wait->change[i], &acks);
        verdict = acks.verdict;

        apikey_acks_free(&acks);

        if (rc == -1) {
            return wait_trouble(wait);
        }

        if (verdict != APIKEY_VERDICT_OK) {
            wait_unknown(wait,
                         "change %zu of %zu is not part of the store's "
                         "history any more (%s): it was lost, or cannot be "
                         "looked up",
                         i + 1, wait->count, apikey_verdict_name(verdict));
            return -1;
        }
    }

    return 0;
}


/*
 * A question that was not answered.  A store that is away, or has only begun,
 * may be back in time; one that answers otherwise will do so again.
 */
static int
wait_trouble(apikey_wait_t *wait)
{
    const apikey_ops_t *ops = wait->ops;

    if (ops->error == APIKEY_OPS_UNREACHABLE
        || (ops->error == APIKEY_OPS_REFUSED
            && (strcmp(ops->name, "LOADING") == 0
                || strcmp(ops->name, "BUSY") == 0
                || strcmp(ops->name, "MASTERDOWN") == 0)))
    {
        if (wait->away == 0) {
            wait->away = apikey_boottime();
        }

        snprintf(wait->why, sizeof(wait->why), "%s", ops->text);

    } else {
        wait_unknown(wait, "%s%s%s%s", ops->text, ops->name[0] ? " (" : "",
                     ops->name, ops->name[0] ? ")" : "");
    }

    return -1;
}


static apikey_proof_state_t
wait_unknown(apikey_wait_t *wait, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vsnprintf(wait->why, sizeof(wait->why), format, args);
    va_end(args);

    wait->proof.state = APIKEY_PROOF_UNKNOWN;

    return APIKEY_PROOF_UNKNOWN;
}


/* Milliseconds for the next question: no longer than there is time, but not
   so short that a store that is there could be taken for one that is away. */
static int
wait_limit(const apikey_wait_t *wait)
{
    uint64_t now, left;

    if (wait->end == 0) {
        return wait->ops->timeout_ms;
    }

    now = apikey_boottime();
    left = wait->end > now ? (wait->end - now) / 1000 : 0;

    if (left < PATIENCE_MIN) {
        return PATIENCE_MIN;
    }

    return left < (uint64_t) wait->ops->timeout_ms ? (int) left
                                                   : wait->ops->timeout_ms;
}


int
apikey_wait_over(const apikey_wait_t *wait)
{
    uint64_t now, bound, patience;

    now = apikey_boottime();

    if (wait->end) {
        return now >= wait->end;
    }

    bound = apikey_proof_bound(&wait->proof);
    patience = (uint64_t) wait->ops->timeout_ms * 1000;

    if (wait->away) {
        return now > (bound > wait->away ? bound : wait->away) + patience;
    }

    /* the last answer is from behind it: only replicas can be missing */
    return bound && wait->proof.asked > bound;
}


apikey_proof_state_t
apikey_wait_end(apikey_wait_t *wait)
{
    if (wait->away) {
        wait->proof.state = APIKEY_PROOF_UNKNOWN;
    }

    if (wait->proof.state == APIKEY_PROOF_PROVEN) {
        wait->proof.state = APIKEY_PROOF_OPEN;
    }

    return wait->proof.state;
}


/*
 * Close together at first, for an edge that hears a push acknowledges within
 * a millisecond or two; far apart when there is only a lease to wait for, but
 * with one question right behind its end.
 */
void
apikey_wait_pause(apikey_wait_t *wait)
{
    uint64_t now, bound, pause = wait->pause;

    now = apikey_boottime();
    bound = apikey_proof_bound(&wait->proof) + 1;

    if (bound > now && pause > bound - now) {
        pause = bound - now;
    }

    if (wait->end && wait->end > now && pause > wait->end - now) {
        pause = wait->end - now;
    }

    apikey_pause(pause);

    wait->pause += wait->pause / 4;

    if (now - wait->proof.answered < FAR) {
        wait->pause = wait->pause < PAUSE_MAX ? wait->pause : PAUSE_MAX;

    } else {
        wait->pause = wait->pause < PAUSE_FAR ? wait->pause : PAUSE_FAR;
    }
}
