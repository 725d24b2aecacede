/*
 * Copyright (C) 2026 the ngx_http_apikey_module authors
 *
 * Renews.  A renewal tells the store what this edge has applied, and brings
 * the edge a lease: the time is taken before it is sent, and the lease is
 * published when the table has come as far as the store was when it answered
 * (W3 of apikey_table.h).  From sending to publishing there is one at a time.
 */

#include "state.h"

#include <stdio.h>
#include <string.h>

#include "store/client.h"
#include "store/version.h"
#include "table/failpoint.h"

#define LEASE_PARTS      5    /* renewals in a lease */
#define LEASE_PULSE      1000 /* milliseconds at most between pings */
#define LEASE_HOLDER_MAX 128
#define LEASE_SOFTWARE   "apikey-sync/" APIKEY_RELEASE


/* A lease, and what the clocks of two hosts may drift in it. */
static uint64_t
lease_over(const apikey_sync_t *sync)
{
    return sync->lease.length * 1020;
}


static void
lease_set_length(apikey_sync_t *sync, uint64_t milliseconds)
{
    uint64_t pulse;

    if (milliseconds == sync->lease.length) {
        return;
    }

    sync->lease.length = milliseconds;
    apikey_sync_figure(sync, APIKEY_FIGURE_LEASE, milliseconds);

    /* a silent connection is given up well before the lease ends: a ping is
       sent every fifth of it, and answered within half of it */
    apikey_link_patience(&sync->commands, milliseconds / 2);
    apikey_link_patience(&sync->events, milliseconds / 2);

    pulse = milliseconds / LEASE_PARTS;
    pulse = pulse < LEASE_PULSE ? pulse : LEASE_PULSE;
    uv_timer_set_repeat(&sync->pulse, pulse);
    uv_timer_again(&sync->pulse);
}


static void
lease_send(apikey_sync_t *sync, apikey_reply_pt handler, const char *epoch,
           const char *version, const char *chain)
{
    const char *argv[] = { sync->conf.edge,
                           "boot",
                           sync->boot,
                           "epoch",
                           epoch,
                           "version",
                           version,
                           "chain",
                           chain,
                           "address",
                           sync->commands.address,
                           "software",
                           LEASE_SOFTWARE,
                           "after",
                           sync->after };

    sync->lease.life = sync->life;
    sync->lease.sent_at = uv_now(sync->loop);

    apikey_failpoint("renewal-begun");

    /* L1: before it is written, so that no delay counts in our favour */
    sync->lease.sent = apikey_boottime();

    sync->lease.asked = apikey_sync_call(sync, handler, 1, "apikey_renew",
                                         sizeof(argv) / sizeof(argv[0]), argv)
                        == 0;

    apikey_failpoint("renewal-queued");
}


/* What the store answers to a renewal. */
typedef struct {
    char     verdict[16];
    char     epoch[APIKEY_EPOCH_HEX + 1];
    uint64_t version;
    char     chain[APIKEY_CHAIN_LEN + 1];
    uint64_t length;
} lease_answer_t;


/* 0, or -1 if a part is missing. */
static int
lease_answer(lease_answer_t *answer, const redisReply *reply)
{
    return apikey_reply_copy(reply, "verdict", answer->verdict,
                             sizeof(answer->verdict))
                       == 0
                   && apikey_reply_copy(reply, "epoch", answer->epoch,
                                        sizeof(answer->epoch))
                          == 0
                   && apikey_reply_copy(reply, "chain", answer->chain,
                                        sizeof(answer->chain))
                          == 0
                   && apikey_reply_number(reply, "version", &answer->version)
                          == 0
                   && apikey_reply_number(reply, "lease", &answer->length) == 0
                   && answer->length > 0
                   && answer->length * 1000 <= APIKEY_LEASE_MAX
               ? 0
               : -1;
}


/* Takes in what each answer to apikey_renew has; 0, or -1 if there is nothing
   to go by. */
static int
lease_take(apikey_sync_t *sync, const redisReply *reply,
           lease_answer_t *answer)
{
    sync->lease.asked = 0;

    if (sync->lease.life != sync->life) {
        return -1;
    }

    if (reply->type == REDIS_REPLY_ERROR) {
        apikey_sync_refused(sync, "apikey_renew", reply);
        return -1;
    }

    if (lease_answer(answer, reply) != 0) {
        apikey_sync_count(sync, APIKEY_FIGURE_ERRORS);
        apikey_sync_resync(sync, APIKEY_CAUSE_UNREADABLE);
        return -1;
    }

    sync->frozen = 0;
    sync->seen = 1;
    lease_set_length(sync, answer->length);

    return 0;
}


/*
 * L7: readers of a control page that was lost may live on until its lease ends:
 * until then an acknowledgement would be a lie.  The page was lost before
 * ours was created; and its last renewal was `previous` ago, or earlier.
 */
static void
lease_hold(apikey_sync_t *sync, const redisReply *reply)
{
    uint64_t previous, by_page, by_store, now = apikey_boottime();

    if (apikey_reply_number(reply, "previous", &previous) != 0) {
        return; /* this edge never had a lease */
    }

    by_page = apikey_writer_created(sync->writer) + lease_over(sync);
    by_store = previous * 1000 < lease_over(sync)
                   ? now + lease_over(sync) - previous * 1000
                   : 0;

    sync->lease.hold = by_page < by_store ? by_page : by_store;

    if (sync->lease.hold > now) {
        apikey_log(APIKEY_LOG_NOTICE,
                   "the table's control page is new: waiting until nobody can "
                   "hold a lease of the one before",
                   apikey_number("ms", (sync->lease.hold - now) / 1000));
    }
}


static void
lease_on_probe(void *ctx, const redisReply *reply)
{
    apikey_sync_t *sync = ctx;
    lease_answer_t answer;

    if (lease_take(sync, reply, &answer) == 0) {
        lease_hold(sync, reply);
        sync->lease.probed = 1;
    }
}


void
apikey_lease_probe(apikey_sync_t *sync)
{
    if (!sync->lease.asked) {
        lease_send(sync, lease_on_probe, "", "", "");
    }
}


/* The store takes no renewal of ours. */
static void
lease_denied(apikey_sync_t *sync, apikey_cause_t cause,
             const redisReply *reply)
{
    char holder[LEASE_HOLDER_MAX + 1];

    if (cause != APIKEY_CAUSE_NAME) {
        apikey_sync_resync(sync, cause);
        return;
    }

    /* our view is as good as before, but nobody would know whose it is */
    if (apikey_reply_copy(reply, "holder", holder, sizeof(holder)) != 0) {
        strcpy(holder, "unknown");
    }

    apikey_cause(sync, cause, &sync->trouble, "the lease is not renewed",
                 apikey_text("edge", sync->conf.edge),
                 apikey_text("holder", holder));
    apikey_sync_wait(sync);
}


static void
lease_on_renew(void *ctx, const redisReply *reply)
{
    apikey_sync_t *sync = ctx;
    lease_answer_t answer;

    apikey_failpoint("renewal-answered");

    if (lease_take(sync, reply, &answer) != 0) {
        return;
    }

    /* L3 */

    if (strcmp(answer.verdict, "ok") != 0) {
        lease_denied(sync, apikey_cause_of_verdict(answer.verdict), reply);
        return;
    }

    if (strcmp(answer.epoch, sync->at.epoch) != 0) {
        apikey_sync_resync(sync, APIKEY_CAUSE_EPOCH);
        return;
    }

    if (answer.version == sync->at.version
        && strcmp(answer.chain, sync->at.chain) != 0)
    {
        apikey_sync_resync(sync, APIKEY_CAUSE_FORK);
        return;
    }

    sync->lease.acked = sync->lease.version;
    sync->lease.pending = 1;
    sync->lease.head = answer.version;

    apikey_follow_want(sync, answer.version, 0);
    apikey_lease_settle(sync);
}


/* 1 if `at` is true of the table and of the store, as far as we know. */
static int
lease_sound(const apikey_sync_t *sync)
{
    return sync->published && sync->following && !sync->follow.replay;
}


void
apikey_lease_settle(apikey_sync_t *sync)
{
    uint64_t             deadline, now;
    apikey_sync_lease_t *lease = &sync->lease;

    /* L4 */

    if (!lease->pending || !lease_sound(sync)
        || sync->at.version < lease->head) {
        return;
    }

    lease->pending = 0;
    deadline = lease->sent + lease->length * 1000;

    apikey_failpoint("lease-granted");

    if (apikey_writer_renew(sync->writer, deadline) != APIKEY_WRITE_OK) {
        apikey_sync_table_lost(sync);
        return;
    }

    apikey_failpoint("lease-published");

    now = apikey_boottime();

    if (lease->deadline == 0 || lease->over) {
        apikey_log(APIKEY_LOG_NOTICE, "the table is live",
                   apikey_number("version", sync->at.version),
                   apikey_number("lease_ms", lease->length));
    }

    lease->deadline = deadline;
    lease->over = 0;
    apikey_sync_figure(sync, APIKEY_FIGURE_RENEWED, now);
    apikey_sync_live(sync);
}


void
apikey_lease_step(apikey_sync_t *sync)
{
    char                     version[24];
    uint64_t                 ago, now = uv_now(sync->loop);
    apikey_sync_lease_t     *lease = &sync->lease;
    const apikey_position_t *position = apikey_revoked_position(sync);

    if (position == NULL || lease->asked || lease->pending
        || !lease_sound(sync) || !sync->verified
        || sync->follow.want > sync->at.version
        || apikey_boottime() < lease->hold)
    {
        return;
    }

    ago = now - lease->sent_at;

    if (lease->acked == position->version && lease->deadline != 0
        && ago + uv_timer_get_repeat(&sync->pulse) / 2
               < lease->length / LEASE_PARTS)
    {
        return;
    }

    /* under load one acknowledgement stands for many changes */
    if (ago == 0) {
        apikey_sync_soon(sync, 1);
        return;
    }

    lease->version = position->version;
    snprintf(version, sizeof(version), "%llu",
             (unsigned long long) lease->version);

    lease_send(sync, lease_on_renew, position->epoch, version,
               position->chain);
}


void
apikey_lease_watch(apikey_sync_t *sync)
{
    apikey_sync_lease_t *lease = &sync->lease;

    if (lease->deadline == 0 || lease->over
        || apikey_boottime() < lease->deadline) {
        return;
    }

    lease->over = 1;
    apikey_log(APIKEY_LOG_ERROR,
               "the lease has run out: nginx answers 503 until it is renewed",
               apikey_text("state", apikey_state_name(sync->state)));
}
