/*
 * Copyright (C) 2026 the ngx_http_apikey_module authors
 *
 * Reads every key of the store into the next generation, in pages of ids and
 * pipelined batches of records, while changes go on being applied.
 *
 * The steps: apikey_meta says how many keys to make room for; once there is
 * room, the first page says where to follow from; each page is asked for
 * ahead of the records of the one before it, so that the store is never idle
 * and no more than two pages are under way.  Whoever revokes a key meanwhile
 * waits for what Redis serves of this connection in one go: the ids of a page,
 * or what it reads at once, some hundred of the records' commands.  With few in
 * a page it would be less, but then Redis and we would wait for each other.
 */

#include "state.h"

#include <stdio.h>
#include <string.h>

#include "store/client.h"
#include "table/failpoint.h"

#define stringify(number)  stringify_(number)
#define stringify_(number) #number


static void snapshot_on_page(void *ctx, const redisReply *reply);


/* It can't be finished: once more, from the start. */
static void
snapshot_fail(apikey_sync_t *sync, apikey_cause_t cause, const char *id,
              const char *error)
{
    apikey_sync_unusable(sync, "the snapshot failed",
                         (apikey_log_pair_t) apikey_text("key", id), error);
    apikey_sync_resync(sync, cause);
}


/* 1 if this answer belongs to a snapshot that was given up. */
static int
snapshot_stale(const apikey_sync_t *sync)
{
    return sync->snapshot.life != sync->life;
}


static void
snapshot_on_meta(void *ctx, const redisReply *reply)
{
    uint64_t                enabled, disabled, revoked;
    char                    epoch[APIKEY_EPOCH_HEX + 1], peppers[128];
    apikey_sync_t          *sync = ctx;
    apikey_sync_snapshot_t *snapshot = &sync->snapshot;

    snapshot->asked = 0;

    if (snapshot_stale(sync)) {
        return;
    }

    if (reply->type == REDIS_REPLY_ERROR) {
        apikey_sync_refused(sync, "apikey_meta", reply);
        return;
    }

    sync->frozen = 0;

    if (apikey_reply_copy(reply, "epoch", epoch, sizeof(epoch)) != 0
        || strlen(epoch) != APIKEY_EPOCH_HEX
        || apikey_reply_copy(reply, "peppers", peppers, sizeof(peppers)) != 0
        || apikey_peppers_parse(snapshot->pepper, peppers) != 0
        || apikey_reply_number(reply, "enabled", &enabled) != 0
        || apikey_reply_number(reply, "disabled", &disabled) != 0
        || apikey_reply_number(reply, "revoked", &revoked) != 0)
    {
        snapshot_fail(sync, APIKEY_CAUSE_UNREADABLE, "none",
                      "apikey_meta's answer is not what the store's "
                      "contract says");
        return;
    }

    strcpy(snapshot->epoch, epoch);
    snapshot->keys = enabled + disabled + revoked;

    if (apikey_log_again(&sync->build.begins, apikey_cause_name(sync->cause)))
    {
        apikey_log(APIKEY_LOG_NOTICE, "snapshot begins",
                   apikey_text("cause", apikey_cause_name(sync->cause)),
                   apikey_number("keys", snapshot->keys));
    }

    if (apikey_build_begin(sync, APIKEY_BUILD_SNAPSHOT, epoch, snapshot->keys)
        != 0)
    {
        apikey_sync_resync(sync, APIKEY_CAUSE_ROOM);
    }
}


void
apikey_snapshot_start(apikey_sync_t *sync)
{
    apikey_sync_snapshot_t *snapshot = &sync->snapshot;

    if (snapshot->asked || snapshot->pages > 0 || snapshot->count > 0) {
        return;
    }

    snapshot->life = sync->life;
    snapshot->version = 0;
    snapshot->last = 0;
    snapshot->read = 0;

    snapshot->asked =
        apikey_sync_call(sync, snapshot_on_meta, 0, "apikey_meta", 0, NULL)
        == 0;
}


/* 0, or -1 if it could not be asked. */
static int
snapshot_ask_page(apikey_sync_t *sync, const char *cursor)
{
    const char *argv[] = { cursor, stringify(APIKEY_SNAPSHOT_PAGE) };

    if (apikey_sync_call(sync, snapshot_on_page, 0, "apikey_snapshot", 2, argv)
        != 0)
    {
        return -1;
    }

    sync->snapshot.pages++;

    return 0;
}


/* What could not be asked is never answered: once more, from the start. */
static void
snapshot_unasked(apikey_sync_t *sync)
{
    apikey_sync_resync(sync, APIKEY_CAUSE_LINK);
}


void
apikey_snapshot_read(apikey_sync_t *sync)
{
    if (snapshot_ask_page(sync, "0") != 0) {
        snapshot_unasked(sync);
    }
}


static void
snapshot_on_record(void *ctx, const redisReply *reply)
{
    char                    error[APIKEY_RECORD_ERROR_LEN];
    const char             *id;
    apikey_sync_t          *sync = ctx;
    apikey_sync_snapshot_t *snapshot = &sync->snapshot;

    id = snapshot->ids[snapshot->first];
    snapshot->first = (snapshot->first + 1) % APIKEY_SNAPSHOT_RING;
    snapshot->count--;

    if (snapshot_stale(sync)) {
        return;
    }

    if (reply->type == REDIS_REPLY_ERROR) {
        apikey_sync_refused(sync, "HMGET", reply);
        return;
    }

    if (apikey_record_from_brief(&sync->record, reply, error) != 0) {
        snapshot_fail(sync, APIKEY_CAUSE_UNREADABLE, id, error);
        return;
    }

    if (strcmp(sync->record.id, id) != 0) {
        snapshot_fail(sync, APIKEY_CAUSE_UNREADABLE, id,
                      "its record is that of another key");
        return;
    }

    switch (apikey_follow_put(sync, &sync->record)) {
    case APIKEY_WRITE_OK:
    case APIKEY_WRITE_MORE:
        break;

    case APIKEY_WRITE_FULL:
        sync->build.keys *= 2;
        apikey_sync_resync(sync, APIKEY_CAUSE_ROOM);
        return;

    case APIKEY_WRITE_ERROR:
        snapshot_fail(sync, APIKEY_CAUSE_TABLE, id,
                      apikey_writer_error(sync->writer));
        return;
    }

    snapshot->read++;
    apikey_failpoint("snapshot-record");

    if (snapshot->last && snapshot->count == 0) {
        apikey_build_carry(sync);
    }
}


/* 0, or -1 if not all could be asked for. */
static int
snapshot_ask_records(apikey_sync_t *sync, const redisReply *ids)
{
    char                    key[APIKEY_STORE_NAME_MAX + 32];
    size_t                  i, prefix, len[2 + APIKEY_BRIEF_FIELDS];
    unsigned                last;
    const char             *argv[2 + APIKEY_BRIEF_FIELDS] = { "HMGET", key };
    apikey_sync_snapshot_t *snapshot = &sync->snapshot;

    prefix =
        (size_t) snprintf(key, sizeof(key), "%s:key:", sync->conf.store_name);
    len[0] = strlen(argv[0]);
    len[1] = prefix + 24;

    for (i = 0; i < APIKEY_BRIEF_FIELDS; i++) {
        argv[2 + i] = apikey_brief_fields[i];
        len[2 + i] = strlen(argv[2 + i]);
    }

    for (i = 0; i < ids->elements; i++) {
        last = (snapshot->first + snapshot->count) % APIKEY_SNAPSHOT_RING;

        memcpy(snapshot->ids[last], ids->element[i]->str, 25);
        memcpy(key + prefix, snapshot->ids[last], 25);

        if (apikey_link_send(&sync->commands, snapshot_on_record,
                             2 + APIKEY_BRIEF_FIELDS, argv, len)
            != 0)
        {
            return -1;
        }

        snapshot->count++;
    }

    return 0;
}


static int
snapshot_page_check(const apikey_sync_t *sync, const redisReply *reply)
{
    size_t            i;
    const redisReply *ids;

    if (reply->type != REDIS_REPLY_ARRAY || reply->elements != 5) {
        return -1;
    }

    for (i = 0; i < 4; i++) {
        if (reply->element[i]->type != REDIS_REPLY_STRING) {
            return -1;
        }
    }

    ids = reply->element[4];

    if (reply->element[2]->len != APIKEY_CHAIN_LEN
        || ids->type != REDIS_REPLY_ARRAY
        || ids->elements > APIKEY_SNAPSHOT_RING - sync->snapshot.count)
    {
        return -1;
    }

    for (i = 0; i < ids->elements; i++) {
        if (ids->element[i]->type != REDIS_REPLY_STRING
            || ids->element[i]->len != 24) {
            return -1;
        }
    }

    return 0;
}


static void
snapshot_on_page(void *ctx, const redisReply *reply)
{
    uint64_t                version;
    apikey_sync_t          *sync = ctx;
    apikey_sync_snapshot_t *snapshot = &sync->snapshot;

    snapshot->pages--;

    if (snapshot_stale(sync)) {
        return;
    }

    if (reply->type == REDIS_REPLY_ERROR) {
        apikey_sync_refused(sync, "apikey_snapshot", reply);
        return;
    }

    if (snapshot_page_check(sync, reply) != 0) {
        snapshot_fail(sync, APIKEY_CAUSE_UNREADABLE, "none",
                      "apikey_snapshot's answer is not what the store's "
                      "contract says");
        return;
    }

    if (strcmp(reply->element[0]->str, snapshot->epoch) != 0) {
        apikey_sync_resync(sync, APIKEY_CAUSE_EPOCH);
        return;
    }

    version = apikey_follow_version(reply->element[1]);

    if (version == 0 || version < snapshot->version) {
        apikey_sync_resync(sync, APIKEY_CAUSE_AHEAD);
        return;
    }

    /* S1 */

    if (snapshot->version == 0) {
        strcpy(sync->at.epoch, snapshot->epoch);
        sync->at.version = version;
        strcpy(sync->at.chain, reply->element[2]->str);
        sync->following = 1;
    }

    snapshot->version = version;
    apikey_failpoint("snapshot-page");

    snapshot->last = strcmp(reply->element[3]->str, "0") == 0;

    if ((!snapshot->last
         && snapshot_ask_page(sync, reply->element[3]->str) != 0)
        || snapshot_ask_records(sync, reply->element[4]) != 0)
    {
        snapshot_unasked(sync);
        return;
    }

    if (snapshot->last && snapshot->count == 0) {
        apikey_build_carry(sync);
    }
}


void
apikey_snapshot_publish(apikey_sync_t *sync)
{
    if (apikey_writer_publish(sync->writer) != APIKEY_WRITE_OK) {
        snapshot_fail(sync, APIKEY_CAUSE_TABLE, "none",
                      apikey_writer_error(sync->writer));
        return;
    }

    apikey_failpoint("snapshot-published");

    apikey_writer_peppers(sync->writer, sync->snapshot.pepper);
    sync->published = 1;

    apikey_sync_count(sync, APIKEY_FIGURE_SNAPSHOTS);
    apikey_log(APIKEY_LOG_NOTICE, "snapshot published",
               apikey_number("keys", sync->snapshot.read),
               apikey_number("version", sync->at.version),
               apikey_number("ms", uv_now(sync->loop) - sync->build.began));

    apikey_build_done(sync);
    apikey_conflicts_publish(sync);
    apikey_revoked_publish(sync);
}


void
apikey_snapshot_lost(apikey_sync_t *sync)
{
    sync->snapshot.asked = 0;
    sync->snapshot.pages = 0;
    sync->snapshot.count = 0;

    /* S2: also before anything was asked: what PREPARE makes room for was said by
       a server that may not be the next one; and after all was read: a record
       may be newer than the page that says where to follow from, and of a
       history that the next server has not got, under the same versions */
    if (apikey_building(sync, APIKEY_BUILD_SNAPSHOT)) {
        apikey_sync_resync(sync, APIKEY_CAUSE_LINK);
    }
}
