/*
 * Copyright (C) 2026 the ngx_http_apikey_module authors
 *
 * A round: disable, look into the table as the change is applied, enable.  The
 * look takes place where the daemon applies changes, so that it costs nothing
 * between rounds and adds nothing to what it measures.
 */

#include "canary.h"

#include "state.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store/client.h"
#include "table/read.h"

#define CANARY_SAMPLES 1000             /* the last ones that are looked at */
#define CANARY_REPORT  (3600ULL * 1000) /* milliseconds between log lines */
#define CANARY_ACTOR   "canary:"

typedef enum {
    CANARY_IDLE = 0,
    CANARY_DISABLING, /* until it was answered, and seen in the table */
    CANARY_ENABLING
} canary_step_t;

struct apikey_canary_s {
    apikey_sync_t *sync;
    uv_loop_t     *loop;
    apikey_url_t   url;
    char           store_name[APIKEY_STORE_NAME_MAX + 1];
    char           key[APIKEY_RECORD_ID_MAX + 1];
    char           actor[sizeof(CANARY_ACTOR) + APIKEY_CONF_EDGE_MAX];

    apikey_link_t  link;
    char           error[APIKEY_LINK_ERROR_LEN]; /* why there is none */
    uv_timer_t     timer;                        /* the next round */
    apikey_table_t table;                        /* as nginx reads it */

    canary_step_t step;
    unsigned      unanswered;
    uint64_t      sent;    /* nanoseconds, uv_hrtime() */
    uint64_t      version; /* of the disabling, as answered; 0 not yet */
    uint64_t      seen;    /* the version that was seen to be refused; or 0 */
    uint64_t      took;    /* microseconds, until then */

    uint64_t              count;
    uint64_t              sample[CANARY_SAMPLES]; /* microseconds */
    uint64_t              reported;               /* uv_now(); 0 never */
    apikey_log_throttle_t trouble;
};


static void canary_on_answer(void *ctx, const redisReply *reply);


static void
canary_fail(apikey_canary_t *canary, const char *error)
{
    canary->step = CANARY_IDLE;

    apikey_cause(canary->sync, APIKEY_CAUSE_CANARY, &canary->trouble,
                 "the canary was not measured",
                 apikey_text("key", canary->key), apikey_text("error", error));
}


static void
canary_send(apikey_canary_t *canary, canary_step_t step)
{
    const char *argv[] = {
        "FCALL",     "apikey_set_status",
        "1",         canary->store_name,
        canary->key, step == CANARY_DISABLING ? "disabled" : "enabled",
        "actor",     canary->actor,
        "reason",    "canary"
    };

    canary->step = step;

    if (apikey_link_send(&canary->link, canary_on_answer,
                         sizeof(argv) / sizeof(argv[0]), argv, NULL)
        != 0)
    {
        canary_fail(canary, canary->error);
        return;
    }

    canary->unanswered++;
}


static int
canary_compare(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *) a, y = *(const uint64_t *) b;

    return x < y ? -1 : x > y;
}


/* The nearest rank: the smallest sample that so many of a hundred are not
   above. */
static uint64_t
canary_rank(const uint64_t *sorted, uint64_t n, unsigned percent)
{
    return sorted[(n * percent + 99) / 100 - 1];
}


static void
canary_report(apikey_canary_t *canary)
{
    uint64_t n, now, sorted[CANARY_SAMPLES];

    n = canary->count < CANARY_SAMPLES ? canary->count : CANARY_SAMPLES;
    memcpy(sorted, canary->sample, n * sizeof(sorted[0]));
    qsort(sorted, n, sizeof(sorted[0]), canary_compare);

    apikey_sync_figure(canary->sync, APIKEY_FIGURE_CANARY_COUNT,
                       canary->count);
    apikey_sync_figure(canary->sync, APIKEY_FIGURE_CANARY_P50,
                       canary_rank(sorted, n, 50));
    apikey_sync_figure(canary->sync, APIKEY_FIGURE_CANARY_P99,
                       canary_rank(sorted, n, 99));
    apikey_sync_figure(canary->sync, APIKEY_FIGURE_CANARY_MAX, sorted[n - 1]);

    now = uv_now(canary->loop);

    if (canary->reported != 0 && now - canary->reported < CANARY_REPORT) {
        return;
    }

    canary->reported = now;
    apikey_log(APIKEY_LOG_INFO, "the canary is refused in time",
               apikey_number("samples", n),
               apikey_number("p50_us", canary_rank(sorted, n, 50)),
               apikey_number("p99_us", canary_rank(sorted, n, 99)),
               apikey_number("max_us", sorted[n - 1]));
}


/* Once the store has told which version the disabling has, and that one was
   seen: in whichever order. */
static void
canary_measured(apikey_canary_t *canary)
{
    if (canary->version == 0 || canary->seen != canary->version) {
        return;
    }

    canary->sample[canary->count++ % CANARY_SAMPLES] = canary->took;
    canary_report(canary);
    canary_send(canary, CANARY_ENABLING);
}


static void
canary_on_answer(void *ctx, const redisReply *reply)
{
    char             changed[2];
    apikey_canary_t *canary = ctx;

    canary->unanswered--;

    if (reply->type == REDIS_REPLY_ERROR) {
        canary_fail(canary, reply->str);
        return;
    }

    if (canary->step == CANARY_ENABLING) {
        canary->step = CANARY_IDLE;
        canary->trouble.written = 0;
        return;
    }

    if (canary->step == CANARY_IDLE) {
        return; /* that round was given up */
    }

    if (apikey_reply_copy(reply, "changed", changed, sizeof(changed)) != 0
        || apikey_reply_number(reply, "version", &canary->version) != 0)
    {
        canary_fail(canary,
                    "the answer is not what the store's contract says");
        return;
    }

    /* a round before has left it so: there is nothing to see */
    if (changed[0] != '1') {
        canary_send(canary, CANARY_ENABLING);
        return;
    }

    canary_measured(canary);
}


static void *
canary_scratch(void *ctx, size_t size)
{
    static _Alignas(16) unsigned char memory[APIKEY_RECORD_SIZE_MAX];

    (void) ctx;

    return size <= sizeof(memory) ? memory : NULL;
}


void
apikey_canary_applied(apikey_canary_t *canary, const apikey_record_t *record)
{
    apikey_entry_t entry;

    if (canary == NULL || canary->step != CANARY_DISABLING
        || record->status != APIKEY_STATUS_DISABLED
        || strcmp(record->id, canary->key) != 0
        || strcmp(record->updated_by, canary->actor) != 0)
    {
        return;
    }

    if (apikey_table_lookup(&canary->table, record->digest, &entry,
                            canary_scratch, NULL)
            != APIKEY_LOOKUP_FOUND
        || entry.status == APIKEY_ENABLED)
    {
        return;
    }

    canary->took = (uv_hrtime() - canary->sent) / 1000;
    canary->seen = record->version;
    canary_measured(canary);
}


static void
canary_on_timer(uv_timer_t *timer)
{
    apikey_canary_t *canary = timer->data;

    if (canary->step == CANARY_DISABLING && canary->version != 0) {
        canary_fail(canary, "it was not refused before the next round");
    }

    /* what is not answered for long is the link's to give up */
    if (!apikey_link_ready(&canary->link) || canary->unanswered > 0) {
        canary_fail(canary, apikey_link_ready(&canary->link)
                                ? "the store has not answered yet"
                                : canary->error);
        return;
    }

    /* not to be measured: a generation that is new to us is mapped */
    apikey_table_attach(&canary->table);

    canary->version = 0;
    canary->seen = 0;
    canary->sent = uv_hrtime();
    canary_send(canary, CANARY_DISABLING);
}


static void
canary_on_ready(void *ctx, apikey_link_t *link)
{
    (void) ctx;
    (void) link;
}


static void
canary_on_lost(void *ctx, apikey_link_t *link, const apikey_link_loss_t *loss)
{
    apikey_canary_t *canary = ctx;

    (void) link;

    snprintf(canary->error, sizeof(canary->error), "%s", loss->error);
    canary->unanswered = 0;

    if (canary->step != CANARY_IDLE) {
        canary_fail(canary, canary->error);
    }
}


static const apikey_link_events_t canary_link_events = {
    .ready = canary_on_ready,
    .lost = canary_on_lost,
};


apikey_canary_t *
apikey_canary_start(apikey_sync_t *sync, uv_loop_t *loop,
                    const apikey_conf_t *conf)
{
    apikey_canary_t *canary;

    if (conf->canary[0] == '\0') {
        return NULL;
    }

    canary = calloc(1, sizeof(apikey_canary_t));

    if (canary == NULL) {
        apikey_log(APIKEY_LOG_ERROR, "no memory for the canary");
        return NULL;
    }

    canary->sync = sync;
    canary->loop = loop;
    canary->url = conf->canary_url;
    strcpy(canary->store_name, conf->store_name);
    strcpy(canary->key, conf->canary);
    strcpy(canary->error, "not connected yet");
    snprintf(canary->actor, sizeof(canary->actor), CANARY_ACTOR "%s",
             conf->edge);
    apikey_table_init(&canary->table, conf->table);

    uv_timer_init(loop, &canary->timer);
    canary->timer.data = canary;
    uv_timer_start(&canary->timer, canary_on_timer, conf->canary_interval,
                   conf->canary_interval);

    apikey_link_init(&canary->link, loop, "canary", NULL, &canary_link_events,
                     canary);
    apikey_link_open(&canary->link, &canary->url);

    return canary;
}


void
apikey_canary_reconfigure(apikey_canary_t *canary, const apikey_conf_t *conf)
{
    if (canary == NULL
        || memcmp(&canary->url, &conf->canary_url, sizeof(canary->url)) == 0)
    {
        return;
    }

    canary->url = conf->canary_url;
    canary->step = CANARY_IDLE;
    canary->unanswered = 0;
    apikey_link_open(&canary->link, &canary->url);
}


void
apikey_canary_stop(apikey_canary_t *canary)
{
    if (canary != NULL) {
        canary->step = CANARY_IDLE;
        apikey_link_close(&canary->link);
        uv_close((uv_handle_t *) &canary->timer, NULL);
    }
}


void
apikey_canary_free(apikey_canary_t *canary)
{
    if (canary != NULL) {
        apikey_table_detach(&canary->table);
        apikey_url_wipe(&canary->url);
        free(canary);
    }
}
