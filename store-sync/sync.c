/*
 * Copyright (C) 2026 the ngx_http_apikey_module authors
 *
 * Decides what to do next: the states of the daemon, its two links, and what
 * becomes of trouble.
 *
 *   connect → snapshot → follow → (gap) catch-up | (fork, trimmed, epoch, …)
 *   snapshot
 *
 * Nothing here waits.  Answers and messages change what is known; once a turn
 * of the loop sync_step() looks at it and begins what is missing.
 */

#include "sync.h"

#include "notify.h"
#include "state.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include "table/failpoint.h"

/* Trouble after so long a peace may be met at once. */
#define SYNC_PEACE    10000 /* milliseconds */
#define SYNC_WAIT_MAX 2000  /* milliseconds */
#define SYNC_ARGS_MAX 24


void
apikey_sync_figure(apikey_sync_t *sync, apikey_figure_t figure, uint64_t value)
{
    sync->figure[figure] = value;

    if (sync->writer != NULL) {
        atomic_store_explicit(
            &apikey_writer_control(sync->writer)->figure[figure], value,
            memory_order_relaxed);
    }
}


void
apikey_sync_count(apikey_sync_t *sync, apikey_figure_t figure)
{
    apikey_sync_figure(sync, figure, sync->figure[figure] + 1);
}


int
apikey_sync_call(apikey_sync_t *sync, apikey_reply_pt handler, int write,
                 const char *function, int argc, const char **argv)
{
    int         i;
    const char *args[SYNC_ARGS_MAX] = { write ? "FCALL" : "FCALL_RO", function,
                                        "1", sync->conf.store_name };

    for (i = 0; i < argc; i++) {
        args[4 + i] = argv[i];
    }

    return apikey_link_send(&sync->commands, handler, 4 + argc, args, NULL);
}


/* The turn of the loop that it caused is all that was wanted. */
static void
sync_on_soon(uv_timer_t *timer)
{
    (void) timer;
}


void
apikey_sync_soon(apikey_sync_t *sync, uint64_t milliseconds)
{
    if (!uv_is_active((uv_handle_t *) &sync->soon)) {
        uv_timer_start(&sync->soon, sync_on_soon, milliseconds, 0);
    }
}


static void
sync_on_retry(uv_timer_t *timer)
{
    apikey_sync_t *sync = timer->data;

    sync->waiting = 0;
}


/* Nothing is asked of the store for a while; not at all if trouble is rare. */
static void
sync_wait(apikey_sync_t *sync, int rare_is_fine)
{
    int      rare;
    uint64_t now = uv_now(sync->loop);

    rare = sync->trouble_at == 0 || now - sync->trouble_at >= SYNC_PEACE;
    sync->trouble_at = now;

    if (rare) {
        apikey_backoff_reset(&sync->backoff);

        if (rare_is_fine) {
            return;
        }
    }

    sync->waiting = 1;
    uv_timer_start(&sync->retry, sync_on_retry,
                   apikey_backoff(&sync->backoff, SYNC_WAIT_MAX), 0);
}


void
apikey_sync_wait(apikey_sync_t *sync)
{
    sync_wait(sync, 0);
}


void
apikey_sync_doubt(apikey_sync_t *sync)
{
    sync->verified = 0;
    sync->doubts++;
}


/* What is known of the store is not true any more. */
static void
sync_forget(apikey_sync_t *sync)
{
    apikey_build_abort(sync);

    sync->life++;
    sync->published = 0;
    sync->following = 0;
    apikey_sync_doubt(sync);
    sync->follow.want = 0;
    sync->follow.urgent = 0;
    sync->follow.replay = 0;
    sync->follow.passed.version = 0;
    sync->lease.pending = 0;
    sync->lease.acked = 0;
    apikey_window_clear(&sync->window);
    apikey_revoked_forget(sync);
}


void
apikey_sync_resync(apikey_sync_t *sync, apikey_cause_t cause)
{
    apikey_cause(sync, cause, &sync->resyncs, "a full resync is needed",
                 apikey_number("version", sync->at.version));

    sync_forget(sync);
    sync->cause = cause;
    sync_wait(sync, 1);
}


void
apikey_sync_unusable(apikey_sync_t *sync, const char *message,
                     apikey_log_pair_t what, const char *error)
{
    apikey_sync_count(sync, APIKEY_FIGURE_ERRORS);

    if (apikey_log_again(&sync->unusable, error)) {
        apikey_log(APIKEY_LOG_ERROR, message, what,
                   apikey_text("error", error));
    }
}


void
apikey_sync_refused(apikey_sync_t *sync, const char *function,
                    const redisReply *reply)
{
    apikey_cause_t cause = apikey_cause_of_error(reply->str, sync->seen);

    apikey_cause(sync, cause, &sync->trouble, "the store refuses",
                 apikey_text("function", function),
                 apikey_text("error", reply->str));

    sync->frozen = cause == APIKEY_CAUSE_EMPTIED
                   || cause == APIKEY_CAUSE_NOINIT
                   || cause == APIKEY_CAUSE_NOLIBRARY;
    apikey_sync_doubt(sync);
    sync->lease.pending = 0;

    /* a snapshot that lost a page or a record is none */
    if (apikey_building(sync, APIKEY_BUILD_SNAPSHOT)) {
        sync_forget(sync);
    }

    sync_wait(sync, 0);

    if (cause == APIKEY_CAUSE_READONLY) {
        apikey_link_drop(&sync->commands, APIKEY_CAUSE_NONE, reply->str);
        apikey_link_drop(&sync->events, APIKEY_CAUSE_NONE, reply->str);
    }
}


void
apikey_sync_live(apikey_sync_t *sync)
{
    sync->trouble.written = 0;
    sync->resyncs.written = 0;

    if (!sync->ready) {
        sync->ready = 1;
        apikey_notify("READY=1");
    }
}


static void
sync_hex(char *hex, const uint8_t *bytes, size_t len)
{
    size_t i;

    for (i = 0; i < len; i++) {
        snprintf(hex + 2 * i, 3, "%02x", bytes[i]);
    }
}


/* Whose place we take with this table: their leases are on its page. */
static void
sync_enter(apikey_sync_t *sync)
{
    char    hex[2 * APIKEY_DAEMON_LEN + 1];
    size_t  i, count;
    uint8_t before[APIKEY_DAEMONS - 1][APIKEY_DAEMON_LEN];

    count = apikey_writer_enter(sync->writer, sync->id, before);
    sync->after[0] = '\0';

    for (i = 0; i < count; i++) {
        sync_hex(hex, before[i], APIKEY_DAEMON_LEN);
        strcat(sync->after, i ? " " : "");
        strcat(sync->after, hex);
    }
}


/* Opens the table, and tells on its control page who we are. */
static int
sync_open_table(apikey_sync_t *sync, char *error, size_t error_size)
{
    int figure;

    sync->writer = apikey_writer_open(sync->conf.table, error, error_size);

    if (sync->writer == NULL) {
        return -1;
    }

    for (figure = 0; figure < APIKEY_FIGURE_COUNT; figure++) {
        apikey_sync_figure(sync, (apikey_figure_t) figure,
                           sync->figure[figure]);
    }

    sync_enter(sync);

    return 0;
}


void
apikey_sync_table_lost(apikey_sync_t *sync)
{
    apikey_cause(sync, APIKEY_CAUSE_TABLE, &sync->resyncs,
                 "the table was lost; it is made anew",
                 apikey_text("table", sync->conf.table),
                 apikey_text("error", apikey_writer_error(sync->writer)));

    sync_forget(sync);
    apikey_writer_close(sync->writer);

    apikey_failpoint("table-lost");

    sync->writer = NULL;
    sync->lease.probed = 0;
    sync->cause = APIKEY_CAUSE_TABLE;
    sync_wait(sync, 0);
}


static void
sync_reopen_table(apikey_sync_t *sync)
{
    char error[512];

    if (sync_open_table(sync, error, sizeof(error)) == 0) {
        return;
    }

    if (apikey_log_again(&sync->trouble, error)) {
        apikey_log(APIKEY_LOG_ERROR, "the table cannot be opened",
                   apikey_text("table", sync->conf.table),
                   apikey_text("error", error));
    }

    sync_wait(sync, 0);
}


/* 1 once the subscription stands, or has failed: then changes are found at
   the next renewals. */
static int
sync_subscribed(const apikey_sync_t *sync)
{
    return apikey_link_ready(&sync->events) || sync->events.failures > 0;
}


/* Looks at what is, and begins what is missing. */
static void
sync_step(apikey_sync_t *sync)
{
    if (sync->waiting) {
        return;
    }

    if (sync->writer == NULL) {
        sync_reopen_table(sync);
        return;
    }

    apikey_build_step(sync);

    if (!apikey_link_ready(&sync->commands)) {
        return;
    }

    if (!sync->lease.probed) {
        apikey_lease_probe(sync);
        return;
    }

    if (!sync->following && sync->build.phase == APIKEY_PHASE_NONE) {
        if (sync_subscribed(sync)) {
            apikey_snapshot_start(sync);
        }

        return;
    }

    apikey_follow_step(sync);

    /* S4 */

    if (sync->build.phase == APIKEY_PHASE_CLOSE && sync->verified
        && sync->follow.want <= sync->at.version)
    {
        apikey_snapshot_publish(sync);
    }

    apikey_revoked_step(sync);
    apikey_lease_step(sync);
    apikey_conflicts_step(sync);
}


static apikey_sync_state_t
sync_state(const apikey_sync_t *sync)
{
    if (!apikey_link_ready(&sync->commands)) {
        return APIKEY_SYNC_CONNECT;
    }

    if (sync->frozen) {
        return APIKEY_SYNC_FROZEN;
    }

    if (!sync->published) {
        return APIKEY_SYNC_SNAPSHOT;
    }

    if (!sync->verified || sync->follow.want > sync->at.version) {
        return APIKEY_SYNC_CATCHUP;
    }

    return APIKEY_SYNC_FOLLOW;
}


/* Comes right before the loop looks for input, so after everything that may
   have changed what is known. */
static void
sync_on_turn(uv_prepare_t *turn)
{
    apikey_sync_t      *sync = turn->data;
    apikey_sync_state_t state;

    sync_step(sync);

    state = sync_state(sync);

    if (state != sync->state) {
        sync->state = state;
        apikey_sync_figure(sync, APIKEY_FIGURE_STATE, state);
        apikey_log(APIKEY_LOG_DEBUG, "state",
                   apikey_text("state", apikey_state_name(state)),
                   apikey_number("version", sync->at.version));
    }

    if (sync->published
        && sync->figure[APIKEY_FIGURE_VERSION] != sync->at.version) {
        apikey_sync_figure(sync, APIKEY_FIGURE_VERSION, sync->at.version);
    }
}


static void
sync_on_pulse(uv_timer_t *timer)
{
    apikey_sync_t *sync = timer->data;

    apikey_link_ping(&sync->events);
    apikey_lease_watch(sync);
    apikey_follow_lost(sync);
}


/* Answers that were to come over the commands' connection will not. */
static void
sync_commands_lost(apikey_sync_t *sync)
{
    sync->follow.asked = 0;
    sync->lease.asked = 0;
    apikey_sync_doubt(sync);
    apikey_snapshot_lost(sync);
    apikey_conflicts_lost(sync);
}


static void
sync_on_ready(void *ctx, apikey_link_t *link)
{
    apikey_sync_t *sync = ctx;
    apikey_link_t *other;

    other = link == &sync->commands ? &sync->events : &sync->commands;

    /* pushes may have been missed; or the log may be another one's */
    apikey_sync_doubt(sync);

    if (strcmp(sync->run_id, link->run_id) != 0) {
        if (sync->run_id[0] != '\0') {
            apikey_cause(sync, APIKEY_CAUSE_SERVER, &sync->trouble,
                         "the store's server was restarted or is another one",
                         apikey_text("was", sync->run_id),
                         apikey_text("is", link->run_id));
        }

        strcpy(sync->run_id, link->run_id);
        sync->lease.pending = 0;
    }

    /* L5 */

    if (apikey_link_ready(other) && strcmp(other->run_id, link->run_id) != 0) {
        apikey_link_drop(other, APIKEY_CAUSE_SERVER,
                         "it leads to another server than the other link");
    }
}


static void
sync_on_lost(void *ctx, apikey_link_t *link, const apikey_link_loss_t *loss)
{
    char           shown[APIKEY_URL_PART_MAX + 32];
    apikey_sync_t *sync = ctx;

    if (loss->was_ready) {
        apikey_sync_count(sync, APIKEY_FIGURE_RECONNECTS);
    }

    if (loss->cause != APIKEY_CAUSE_NONE) {
        apikey_url_show(link->url, shown, sizeof(shown));
        apikey_cause(sync, loss->cause, &link->trouble,
                     loss->was_ready ? "connection to the store lost"
                                     : "cannot connect to the store",
                     apikey_text("link", link->name),
                     apikey_text("store", shown),
                     apikey_text("error", loss->error),
                     apikey_number("retry_ms", loss->retry));
    }

    if (link == &sync->commands) {
        sync_commands_lost(sync);
    } else {
        apikey_window_clear(&sync->window);
    }
}


static void
sync_on_message(void *ctx, const char *text, size_t len)
{
    apikey_follow_message(ctx, text, len);
}


static const apikey_link_events_t sync_link_events = {
    .ready = sync_on_ready,
    .lost = sync_on_lost,
    .message = sync_on_message,
};


static int
sync_boot(apikey_sync_t *sync)
{
    if (getrandom(sync->id, sizeof(sync->id), 0) != sizeof(sync->id)) {
        return -1;
    }

    sync_hex(sync->boot, sync->id, sizeof(sync->id));

    return 0;
}


static void
sync_handles(apikey_sync_t *sync)
{
    uv_prepare_init(sync->loop, &sync->turn);
    uv_timer_init(sync->loop, &sync->pulse);
    uv_timer_init(sync->loop, &sync->soon);
    uv_timer_init(sync->loop, &sync->retry);
    uv_idle_init(sync->loop, &sync->slices);

    sync->turn.data = sync;
    sync->pulse.data = sync;
    sync->soon.data = sync;
    sync->retry.data = sync;
    sync->slices.data = sync;
    apikey_revoked_handles(sync);

    uv_prepare_start(&sync->turn, sync_on_turn);
    uv_timer_start(&sync->pulse, sync_on_pulse, 1000, 1000);
}


apikey_sync_t *
apikey_sync_start(uv_loop_t *loop, const apikey_conf_t *conf, char *error,
                  size_t error_size)
{
    apikey_sync_t *sync;

    sync = calloc(1, sizeof(apikey_sync_t));

    if (sync == NULL) {
        snprintf(error, error_size, "no memory");
        return NULL;
    }

    sync->loop = loop;
    sync->conf = *conf;
    sync->cause = APIKEY_CAUSE_START;
    snprintf(sync->channel, sizeof(sync->channel), "%s:events",
             conf->store_name);

    sync->figure[APIKEY_FIGURE_PID] = (uint64_t) getpid();
    sync->figure[APIKEY_FIGURE_STARTED] = (uint64_t) time(NULL);

    if (sync_boot(sync) != 0) {
        snprintf(error, error_size, "the system gives no random bytes");
        goto failed;
    }

    if (apikey_revoked_open(sync, error, error_size) != 0
        || sync_open_table(sync, error, error_size) != 0)
    {
        goto failed;
    }

    if (apikey_writer_missed(sync->writer) != 0) {
        apikey_log(
            APIKEY_LOG_WARNING,
            "the table that was left is damaged, of another layout, or "
            "not ours alone to write: what it knew of revocations is "
            "known from the store and the state directory alone",
            apikey_number("generation", apikey_writer_missed(sync->writer)));
    }

    sync_handles(sync);
    apikey_cause(sync, APIKEY_CAUSE_START, &sync->resyncs,
                 "a full resync is needed", apikey_number("version", 0));

    apikey_link_init(&sync->commands, loop, "commands", NULL,
                     &sync_link_events, sync);
    apikey_link_init(&sync->events, loop, "events", sync->channel,
                     &sync_link_events, sync);
    apikey_link_open(&sync->commands, &sync->conf.url);
    apikey_link_open(&sync->events, &sync->conf.url);
    sync->canary = apikey_canary_start(sync, loop, &sync->conf);

    return sync;

failed:

    apikey_sync_free(sync);

    return NULL;
}


void
apikey_sync_reconfigure(apikey_sync_t *sync, const apikey_conf_t *conf)
{
    if (strcmp(conf->table, sync->conf.table) != 0
        || strcmp(conf->edge, sync->conf.edge) != 0
        || strcmp(conf->state, sync->conf.state) != 0
        || strcmp(conf->canary, sync->conf.canary) != 0
        || conf->canary_interval != sync->conf.canary_interval
        || strcmp(conf->store_name, sync->conf.store_name) != 0)
    {
        apikey_log(APIKEY_LOG_WARNING,
                   "table, state, edge, store-name, canary and "
                   "canary-interval change only with a restart; the ones that "
                   "run stay",
                   apikey_text("table", sync->conf.table),
                   apikey_text("state", sync->conf.state),
                   apikey_text("edge", sync->conf.edge),
                   apikey_text("store_name", sync->conf.store_name));
    }

    sync->conf.log_level = conf->log_level;
    apikey_log_limit(conf->log_level);
    apikey_canary_reconfigure(sync->canary, conf);

    if (memcmp(&conf->url, &sync->conf.url, sizeof(conf->url)) == 0) {
        return;
    }

    sync->conf.url = conf->url;
    sync->seen = 0;
    apikey_window_clear(&sync->window);
    sync_commands_lost(sync);
    apikey_link_open(&sync->commands, &sync->conf.url);
    apikey_link_open(&sync->events, &sync->conf.url);
}


void
apikey_sync_stop(apikey_sync_t *sync)
{
    sync->stopping = 1;
    apikey_sync_figure(sync, APIKEY_FIGURE_PID, 0);

    apikey_link_close(&sync->commands);
    apikey_link_close(&sync->events);
    apikey_canary_stop(sync->canary);

    uv_close((uv_handle_t *) &sync->turn, NULL);
    uv_close((uv_handle_t *) &sync->pulse, NULL);
    uv_close((uv_handle_t *) &sync->soon, NULL);
    uv_close((uv_handle_t *) &sync->retry, NULL);
    uv_close((uv_handle_t *) &sync->slices, NULL);
    apikey_revoked_stop(sync);

    apikey_writer_close(sync->writer);
    sync->writer = NULL;
}


void
apikey_sync_free(apikey_sync_t *sync)
{
    apikey_conflicts_free(sync);
    apikey_revoked_free(sync);
    apikey_canary_free(sync->canary);
    apikey_conf_wipe(&sync->conf);
    free(sync);
}
