/*
 * Copyright (C) 2026 the ngx_http_apikey_module authors
 *
 * Applies entries of the store's log to the table, each exactly after the one
 * before it, whether they are pushed or have to be read.
 */

#include "state.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "table/failpoint.h"

/* Entries read at once.  Pushes wait for as long as it takes to apply them; but
   who is far behind must read faster than changes are made. */
#define FOLLOW_PAGE     "100"
#define FOLLOW_PAGE_FAR "1000"
#define FOLLOW_FAR      1000 /* versions */

/* A renewal may tell of a version some moments before its push arrives. */
#define FOLLOW_GRACE 10 /* milliseconds */

typedef enum {
    ENTRY_DONE = 0, /* applied, or it was before */
    ENTRY_GAP,      /* there are others before it */
    ENTRY_FORK,     /* of another history than ours */
    ENTRY_BAD,      /* cannot be read */
    ENTRY_ROOM,     /* finds no room in the generation that is being built */
    ENTRY_TABLE     /* the table does not take it */
} entry_result_t;


static apikey_status_t
table_status(apikey_key_status_t status)
{
    switch (status) {
    case APIKEY_STATUS_ENABLED:
        return APIKEY_ENABLED;
    case APIKEY_STATUS_DISABLED:
        return APIKEY_DISABLED;
    case APIKEY_STATUS_REVOKED:
        return APIKEY_REVOKED;
    case APIKEY_STATUS_NONE:
        break;
    }

    return APIKEY_EMPTY; /* which the writer refuses */
}


/* Points into record and into accepted. */
static void
table_put(apikey_put_t *put, const apikey_record_t *record,
          apikey_table_revocation_t accepted[static APIKEY_ACCEPTED_MAX])
{
    unsigned i;

    for (i = 0; i < record->accepted_count; i++) {
        accepted[i].version = record->accepted[i].version;
        accepted[i].stamp = record->accepted[i].stamp;
    }

    put->accepted = accepted;
    put->accepted_count = record->accepted_count;
    memcpy(put->digest, record->digest, sizeof(put->digest));
    put->status = table_status(record->status);
    put->version = record->version;
    put->stamp = record->updated;
    put->expires = record->expires;
    put->id = record->id;
    put->member = record->member;
    put->tenant = record->tenant;
    put->name = record->name;
    put->scopes = record->scopes;
}


apikey_write_t
apikey_follow_put(apikey_sync_t *sync, const apikey_record_t *record)
{
    apikey_put_t              put;
    apikey_write_t            rc;
    apikey_table_revocation_t held, accepted[APIKEY_ACCEPTED_MAX];

    table_put(&put, record, accepted);

    rc = apikey_writer_put(sync->writer, &put, &held);

    if (rc != APIKEY_WRITE_ERROR) {
        apikey_conflicts_put(sync, record, &held);
        apikey_canary_applied(sync->canary, record);
    }

    return rc;
}


/* F2: a change that finds no room stays out of the current generation until it
   has grown; the ones after it, which may be revocations, do not wait. */
static void
follow_full(apikey_sync_t *sync)
{
    if (!sync->follow.replay) {
        sync->follow.replay = 1;
        sync->follow.replay_from = sync->at;
    }
}


/* Of what can't be followed; whoever asks has his own way with gaps. */
static apikey_cause_t
follow_cause(entry_result_t rc)
{
    switch (rc) {
    case ENTRY_DONE:
        break;
    case ENTRY_GAP:
        return APIKEY_CAUSE_TRIMMED;
    case ENTRY_FORK:
        return APIKEY_CAUSE_FORK;
    case ENTRY_BAD:
        return APIKEY_CAUSE_UNREADABLE;
    case ENTRY_ROOM:
        return APIKEY_CAUSE_ROOM;
    case ENTRY_TABLE:
        return APIKEY_CAUSE_TABLE;
    }

    return APIKEY_CAUSE_NONE;
}


static entry_result_t
follow_bad(apikey_sync_t *sync, uint64_t version, const char *reason)
{
    apikey_sync_unusable(sync, "a change cannot be applied",
                         (apikey_log_pair_t) apikey_number("version", version),
                         reason);

    return ENTRY_BAD;
}


static entry_result_t
follow_apply(apikey_sync_t *sync, uint64_t version, const char *json,
             size_t len)
{
    char                  error[APIKEY_RECORD_ERROR_LEN];
    uint64_t              pepper[APIKEY_STORE_PEPPERS];
    apikey_store_entry_t *entry = &sync->entry;

    if (apikey_entry_decode(entry, version, json, len, error) != 0) {
        return follow_bad(sync, version, error);
    }

    if (entry->has_key) {
        apikey_revoked_seen(sync, &entry->key);

        switch (apikey_follow_put(sync, &entry->key)) {
        case APIKEY_WRITE_OK:
        case APIKEY_WRITE_MORE:
            break;

        case APIKEY_WRITE_FULL:
            if (apikey_building(sync, APIKEY_BUILD_SNAPSHOT)) {
                /* it is the next generation that is full */
                sync->build.keys *= 2;
                return ENTRY_ROOM;
            }

            follow_full(sync);
            break;

        case APIKEY_WRITE_ERROR:
            follow_bad(sync, version, apikey_writer_error(sync->writer));
            return ENTRY_TABLE;
        }
    }

    if (entry->peppers[0] != '\0'
        && apikey_peppers_parse(pepper, entry->peppers) == 0)
    {
        memcpy(sync->snapshot.pepper, pepper, sizeof(pepper));

        if (sync->published) {
            apikey_writer_peppers(sync->writer, pepper);
        }
    }

    return ENTRY_DONE;
}


/* F1: the one way by which `at` moves on. */
static entry_result_t
follow_entry(apikey_sync_t *sync, uint64_t version, const char *previous,
             const char *chain, const char *json, size_t len)
{
    entry_result_t rc;

    if (version < sync->at.version) {
        return ENTRY_DONE;
    }

    if (version == sync->at.version) {
        return strcmp(chain, sync->at.chain) == 0 ? ENTRY_DONE : ENTRY_FORK;
    }

    if (version > sync->at.version + 1) {
        return ENTRY_GAP;
    }

    if (strcmp(previous, sync->at.chain) != 0
        || (version == sync->follow.passed.version
            && strcmp(chain, sync->follow.passed.chain) != 0))
    {
        return ENTRY_FORK;
    }

    rc = follow_apply(sync, version, json, len);

    apikey_failpoint("entry-applied");

    if (rc == ENTRY_DONE) {
        sync->at.version = version;
        strcpy(sync->at.chain, chain);
        apikey_sync_count(sync, APIKEY_FIGURE_APPLIED);
        apikey_failpoint("entry-followed");
    }

    return rc;
}


/* Readers use a generation that is not what `at` says: it may even be behind
   versions that `at` has passed.  Or the message is not the next one.  Whatever
   is pushed makes it stricter at once, in which order ever; the next
   generation, or the log, has its own ways to know. */
static void
follow_tighten(apikey_sync_t *sync, uint64_t version, const char *json,
               size_t len)
{
    char                      error[APIKEY_RECORD_ERROR_LEN];
    apikey_put_t              put;
    apikey_table_revocation_t accepted[APIKEY_ACCEPTED_MAX];

    if (apikey_entry_decode(&sync->entry, version, json, len, error) != 0
        || !sync->entry.has_key)
    {
        return;
    }

    table_put(&put, &sync->entry.key, accepted);

    if (apikey_writer_tighten(sync->writer, &put) != APIKEY_WRITE_OK) {
        follow_bad(sync, version, apikey_writer_error(sync->writer));
        return;
    }

    apikey_canary_applied(sync->canary, &sync->entry.key);
}


/* The first page of a snapshot is still to come, and with it the place to
   follow from. */
static void
follow_early(apikey_sync_t *sync, uint64_t version, const char *json,
             size_t len)
{
    char error[APIKEY_RECORD_ERROR_LEN];

    if (!apikey_building(sync, APIKEY_BUILD_SNAPSHOT)) {
        return;
    }

    apikey_follow_want(sync, version, 1);

    if (sync->build.phase == APIKEY_PHASE_PREPARE
        && apikey_entry_decode(&sync->entry, version, json, len, error) == 0
        && sync->entry.has_key)
    {
        apikey_follow_put(sync, &sync->entry.key);
    }
}


/* Counts a message that did not come in its turn. */
static void
follow_pushed(apikey_sync_t *sync, uint64_t version)
{
    switch (apikey_window_pushed(&sync->window, version)) {
    case APIKEY_PUSH_FINE:
        return;

    case APIKEY_PUSH_DUPLICATED:
        apikey_cause(sync, APIKEY_CAUSE_DUPLICATED,
                     &sync->pushes[APIKEY_CAUSE_DUPLICATED],
                     "a message came twice",
                     apikey_number("version", version));
        return;

    case APIKEY_PUSH_REORDERED:
        apikey_cause(sync, APIKEY_CAUSE_REORDERED,
                     &sync->pushes[APIKEY_CAUSE_REORDERED],
                     "a message came late", apikey_number("version", version));
        return;
    }
}


void
apikey_follow_lost(apikey_sync_t *sync)
{
    uint64_t version;
    unsigned lost = apikey_window_lost(&sync->window, &version);

    for (; lost > 0; lost--) {
        apikey_cause(sync, APIKEY_CAUSE_LOST, &sync->pushes[APIKEY_CAUSE_LOST],
                     "a message was lost", apikey_number("version", version));
    }
}


void
apikey_follow_message(apikey_sync_t *sync, const char *text, size_t len)
{
    char           previous[APIKEY_CHAIN_LEN + 1], chain[APIKEY_CHAIN_LEN + 1];
    size_t         json_len;
    uint64_t       version;
    const char    *json;
    entry_result_t rc;

    if (sync->writer == NULL) {
        return;
    }

    if (apikey_event_split(text, len, &version, previous, chain, &json,
                           &json_len)
        != 0)
    {
        follow_bad(sync, sync->at.version + 1,
                   "the message is not what the store's contract says");

        /* it is no entry: if it stood for one, the log has that */
        apikey_sync_doubt(sync);
        return;
    }

    follow_pushed(sync, version);

    if (!sync->published) {
        follow_tighten(sync, version, json, json_len);
    }

    if (!sync->following) {
        follow_early(sync, version, json, json_len);
        return;
    }

    rc = follow_entry(sync, version, previous, chain, json, json_len);

    if (rc == ENTRY_DONE) {
        apikey_lease_settle(sync);
        return;
    }

    /* what it refuses need not wait until it is known where it belongs */
    follow_tighten(sync, version, json, json_len);

    if (rc == ENTRY_GAP) {
        apikey_follow_want(sync, version, 1);
    } else {
        apikey_sync_resync(sync, follow_cause(rc));
    }
}


void
apikey_follow_want(apikey_sync_t *sync, uint64_t version, int urgent)
{
    if (version > sync->follow.want) {
        sync->follow.want = version;
        sync->follow.since = uv_now(sync->loop);
    }

    if (urgent && version > sync->at.version) {
        sync->follow.urgent = 1;
    }
}


uint64_t
apikey_follow_version(const redisReply *reply)
{
    char              *end;
    unsigned long long version;

    if (reply->type != REDIS_REPLY_STRING || reply->str[0] < '0'
        || reply->str[0] > '9')
    {
        return 0;
    }

    version = strtoull(reply->str, &end, 10);

    return *end == '\0' && version <= APIKEY_VERSION_MAX ? version : 0;
}


static int
is_text(const redisReply *reply, size_t max)
{
    return reply->type == REDIS_REPLY_STRING && (size_t) reply->len <= max;
}


/* One [version, previous, chain, entry] of apikey_since. */
static entry_result_t
follow_logged(apikey_sync_t *sync, const redisReply *item)
{
    if (item->type != REDIS_REPLY_ARRAY || item->elements != 4
        || apikey_follow_version(item->element[0]) == 0
        || !is_text(item->element[1], APIKEY_CHAIN_LEN)
        || !is_text(item->element[2], APIKEY_CHAIN_LEN)
        || item->element[3]->type != REDIS_REPLY_STRING)
    {
        return follow_bad(sync, sync->at.version + 1,
                          "the log's entry is not what the store's contract "
                          "says");
    }

    /* the log was trimmed right behind `at`: nobody can tell whether it leads
       on from there */
    if (item->element[1]->len == 0
        && apikey_follow_version(item->element[0]) == sync->at.version + 1)
    {
        return ENTRY_GAP;
    }

    if (sync->follow.gap && apikey_link_ready(&sync->events)) {
        apikey_window_read(&sync->window,
                           apikey_follow_version(item->element[0]));
    }

    return follow_entry(sync, apikey_follow_version(item->element[0]),
                        item->element[1]->str, item->element[2]->str,
                        item->element[3]->str, (size_t) item->element[3]->len);
}


/* All that the log had was applied. */
static void
follow_head(apikey_sync_t *sync, uint64_t head)
{
    apikey_sync_lease_t  *lease = &sync->lease;
    apikey_sync_follow_t *follow = &sync->follow;

    /* what was pushed before we asked must have been there */
    if (head < follow->from_want) {
        follow_bad(sync, follow->from_want,
                   "it was pushed, but the store's log does not have it");
        apikey_window_clear(&sync->window);

        if (follow->want == follow->from_want) {
            follow->want = sync->at.version;
        }

        /* the head that a lease waits for is none any more */
        if (lease->head > head && lease->head <= follow->from_want) {
            lease->pending = 0;
        }
    }

    if (sync->at.version >= follow->want) {
        sync->verified = follow->doubts == sync->doubts;
        follow->urgent = 0;
    }
}


/* NONE, or why this answer can't be followed from where it was asked. */
static apikey_cause_t
follow_answer(apikey_sync_t *sync, const redisReply *reply)
{
    size_t                   i;
    uint64_t                 head;
    entry_result_t           rc;
    const redisReply        *items;
    const apikey_position_t *from = &sync->follow.from;

    if (reply->type != REDIS_REPLY_ARRAY || reply->elements != 4
        || !is_text(reply->element[0], APIKEY_EPOCH_HEX)
        || !is_text(reply->element[2], APIKEY_CHAIN_LEN)
        || reply->element[3]->type != REDIS_REPLY_ARRAY)
    {
        return APIKEY_CAUSE_UNREADABLE;
    }

    head = apikey_follow_version(reply->element[1]);
    items = reply->element[3];

    if (strcmp(reply->element[0]->str, from->epoch) != 0) {
        return APIKEY_CAUSE_EPOCH;
    }

    if (head < from->version || head < sync->follow.passed.version) {
        return APIKEY_CAUSE_AHEAD;
    }

    if (head == from->version
        && strcmp(reply->element[2]->str, from->chain) != 0) {
        return APIKEY_CAUSE_FORK;
    }

    for (i = 0; i < items->elements; i++) {
        rc = follow_logged(sync, items->element[i]);

        if (rc != ENTRY_DONE) {
            return follow_cause(rc);
        }
    }

    if (sync->at.version < head) {
        if (items->elements == 0) {
            return APIKEY_CAUSE_TRIMMED;
        }

        apikey_follow_want(sync, head, 1);
        return APIKEY_CAUSE_NONE;
    }

    follow_head(sync, head);

    return APIKEY_CAUSE_NONE;
}


static void
follow_on_since(void *ctx, const redisReply *reply)
{
    apikey_cause_t cause;
    apikey_sync_t *sync = ctx;

    sync->follow.asked = 0;

    if (sync->follow.life != sync->life) {
        return;
    }

    if (reply->type == REDIS_REPLY_ERROR) {
        apikey_sync_refused(sync, "apikey_since", reply);
        return;
    }

    sync->frozen = 0;

    /* a growth has sent us back since: ask again from there */
    if (sync->follow.from.version > sync->at.version) {
        return;
    }

    cause = follow_answer(sync, reply);

    if (cause != APIKEY_CAUSE_NONE) {
        apikey_sync_resync(sync, cause);
        return;
    }

    apikey_lease_settle(sync);
}


void
apikey_follow_step(apikey_sync_t *sync)
{
    char                  version[24];
    const char           *argv[] = { version, FOLLOW_PAGE };
    uint64_t              waited;
    apikey_sync_follow_t *follow = &sync->follow;

    if (follow->asked || !sync->following) {
        return;
    }

    if (follow->want <= sync->at.version) {
        follow->urgent = 0;

        if (sync->verified) {
            return;
        }

    } else if (sync->verified) {
        waited = uv_now(sync->loop) - follow->since;

        if (!follow->urgent && apikey_link_ready(&sync->events)
            && waited < FOLLOW_GRACE)
        {
            apikey_sync_soon(sync, FOLLOW_GRACE - waited);
            return;
        }

        apikey_sync_count(sync, APIKEY_FIGURE_CATCHUPS);
        apikey_log(APIKEY_LOG_DEBUG, "reading the log",
                   apikey_number("from", sync->at.version),
                   apikey_number("to", follow->want));
    }

    follow->gap = sync->verified && !follow->replay;
    if (follow->want > sync->at.version + FOLLOW_FAR) {
        argv[1] = FOLLOW_PAGE_FAR;
    }

    follow->life = sync->life;
    follow->from = sync->at;
    follow->from_want = follow->want;
    follow->doubts = sync->doubts;

    snprintf(version, sizeof(version), "%llu",
             (unsigned long long) sync->at.version);
    follow->asked =
        apikey_sync_call(sync, follow_on_since, 0, "apikey_since", 2, argv)
        == 0;
}


/* F3 */
void
apikey_follow_replay(apikey_sync_t *sync)
{
    sync->follow.replay = 0;
    apikey_follow_want(sync, sync->at.version, 0);

    if (sync->at.version > sync->follow.passed.version) {
        sync->follow.passed = sync->at;
    }

    sync->at = sync->follow.replay_from;
    sync->follow.urgent = 1;
}
