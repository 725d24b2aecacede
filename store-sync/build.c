/*
 * Copyright (C) 2026 the ngx_http_apikey_module authors
 *
 * Builds the next generation in slices of half a millisecond, one a turn of
 * the loop, so that changes are applied in between; and gives the memory of
 * the one before back in the same way.
 */

#include "state.h"

#include <string.h>

#include "table/failpoint.h"

#define BUILD_SLICE 500000 /* nanoseconds, for carrying */
#define BUILD_CARRY 64     /* slots between two looks at the clock */

/* Growing failed: the file system is full, most likely. */
#define BUILD_PAUSE 5000 /* milliseconds */


static void build_slice(uv_idle_t *idle);


static int
hex_value(char c)
{
    return c <= '9' ? c - '0' : c - 'a' + 10;
}


/* hex is what apikey_meta or a page told, of the right length. */
static void
build_epoch(uint8_t epoch[static APIKEY_EPOCH_LEN], const char *hex)
{
    size_t i;

    for (i = 0; i < APIKEY_EPOCH_LEN; i++) {
        epoch[i] = (uint8_t) (hex_value(hex[2 * i]) << 4
                              | (hex_value(hex[2 * i + 1]) & 15));
    }
}


static void
build_trouble(apikey_sync_t *sync)
{
    const char *error = apikey_writer_error(sync->writer);

    if (apikey_log_again(&sync->build.trouble, error)) {
        apikey_log(APIKEY_LOG_ERROR, "the table cannot be extended",
                   apikey_text("error", error));
    }
}


int
apikey_build_begin(apikey_sync_t *sync, apikey_build_t kind, const char *epoch,
                   uint64_t keys)
{
    uint8_t              bytes[APIKEY_EPOCH_LEN];
    apikey_sync_build_t *build = &sync->build;

    build_epoch(bytes, epoch);

    if (keys > build->keys) {
        build->keys = keys;
    }

    if (apikey_writer_begin(sync->writer, kind, bytes, build->keys, 0)
        != APIKEY_WRITE_OK)
    {
        build_trouble(sync);
        return -1;
    }

    build->phase = APIKEY_PHASE_PREPARE;
    build->kind = kind;
    build->began = uv_now(sync->loop);

    if (kind == APIKEY_BUILD_SNAPSHOT) {
        apikey_conflicts_begin(sync);
        apikey_revoked_begin(sync);
    }

    uv_idle_start(&sync->slices, build_slice);

    return 0;
}


/* The slices go on until what this leaves was given back. */
void
apikey_build_done(apikey_sync_t *sync)
{
    sync->build.phase = APIKEY_PHASE_NONE;
    sync->build.keys = 0;
    sync->build.trouble.written = 0;
    sync->build.begins.written = 0;
    uv_idle_start(&sync->slices, build_slice);
}


void
apikey_build_abort(apikey_sync_t *sync)
{
    if (sync->writer != NULL) {
        apikey_writer_abort(sync->writer);
    }

    sync->build.phase = APIKEY_PHASE_NONE;
    uv_idle_start(&sync->slices, build_slice);
}


/* What was built can't be used. */
static void
build_fail(apikey_sync_t *sync)
{
    build_trouble(sync);

    sync->build.keys = 0;

    if (sync->build.kind == APIKEY_BUILD_SNAPSHOT) {
        apikey_sync_resync(sync, APIKEY_CAUSE_ROOM);
        return;
    }

    apikey_build_abort(sync);
    sync->build.not_before = uv_now(sync->loop) + BUILD_PAUSE;
}


static void
build_prepare(apikey_sync_t *sync)
{
    switch (apikey_writer_prepare(sync->writer)) {
    case APIKEY_WRITE_MORE:
        return;

    case APIKEY_WRITE_FULL:
    case APIKEY_WRITE_ERROR:
        build_fail(sync);
        return;

    case APIKEY_WRITE_OK:
        break;
    }

    if (sync->build.kind == APIKEY_BUILD_GROWTH) {
        sync->build.phase = APIKEY_PHASE_CARRY;
        return;
    }

    sync->build.phase = APIKEY_PHASE_READ;
    uv_idle_stop(&sync->slices);
    apikey_snapshot_read(sync);
}


static void
build_grown(apikey_sync_t *sync)
{
    if (apikey_writer_publish(sync->writer) != APIKEY_WRITE_OK) {
        build_fail(sync);
        return;
    }

    apikey_failpoint("growth-published");

    apikey_sync_count(sync, APIKEY_FIGURE_GROWTHS);
    apikey_log(APIKEY_LOG_INFO, "table grown",
               apikey_number("ms", uv_now(sync->loop) - sync->build.began));

    apikey_build_done(sync);

    if (sync->follow.replay) {
        sync->build.grown_for = sync->follow.replay_from.version;
        apikey_follow_replay(sync);
    }
}


/* 1 if this part is done: go on with the next. */
static int
build_part(apikey_sync_t *sync, apikey_write_t rc)
{
    switch (rc) {
    case APIKEY_WRITE_MORE:
        return 0;

    case APIKEY_WRITE_FULL:
        sync->build.keys *= 2;

        if (sync->build.kind == APIKEY_BUILD_SNAPSHOT) {
            apikey_sync_resync(sync, APIKEY_CAUSE_ROOM);
        } else {
            apikey_build_abort(sync);
        }

        return 0;

    case APIKEY_WRITE_ERROR:
        build_fail(sync);
        return 0;

    case APIKEY_WRITE_OK:
        break;
    }

    return 1;
}


/* S3, and F4 of a growth */
static void
build_carry(apikey_sync_t *sync)
{
    uint64_t       end = uv_hrtime() + BUILD_SLICE;
    apikey_write_t rc;

    do {
        rc = apikey_writer_carry(sync->writer, BUILD_CARRY,
                                 apikey_conflicts_found, sync);
    } while (rc == APIKEY_WRITE_MORE && uv_hrtime() < end);

    if (!build_part(sync, rc)) {
        return;
    }

    if (sync->build.kind == APIKEY_BUILD_GROWTH) {
        build_grown(sync);
        return;
    }

    sync->build.phase = APIKEY_PHASE_HOLD;
}


static void
build_hold(apikey_sync_t *sync)
{
    if (!build_part(sync, apikey_revoked_hold(sync))) {
        return;
    }

    /* now the log decides whether it may be published */
    sync->build.phase = APIKEY_PHASE_CLOSE;
    apikey_sync_doubt(sync);
    uv_idle_stop(&sync->slices);
}


static void
build_slice(uv_idle_t *idle)
{
    apikey_sync_t *sync = idle->data;

    switch (sync->build.phase) {
    case APIKEY_PHASE_PREPARE:
        build_prepare(sync);
        return;

    case APIKEY_PHASE_HOLD:
        build_hold(sync);
        return;

    case APIKEY_PHASE_CARRY:
        build_carry(sync);
        return;

    default:
        break;
    }

    if (sync->writer == NULL
        || apikey_writer_release(sync->writer) == APIKEY_WRITE_OK)
    {
        uv_idle_stop(idle);
    }
}


void
apikey_build_carry(apikey_sync_t *sync)
{
    sync->build.phase = APIKEY_PHASE_CARRY;
    uv_idle_start(&sync->slices, build_slice);
}


void
apikey_build_again(apikey_sync_t *sync)
{
    if (sync->build.phase == APIKEY_PHASE_HOLD) {
        uv_idle_start(&sync->slices, build_slice);
    }
}


void
apikey_build_step(apikey_sync_t *sync)
{
    const char          *cause;
    apikey_sync_build_t *build = &sync->build;

    if (build->phase != APIKEY_PHASE_NONE || !sync->published
        || uv_now(sync->loop) < build->not_before
        || (!apikey_writer_crowded(sync->writer) && !sync->follow.replay))
    {
        return;
    }

    /* no size makes room for too many digests that begin alike */
    if (sync->follow.replay
        && sync->follow.replay_from.version == build->grown_for)
    {
        apikey_log(APIKEY_LOG_ERROR,
                   "a change finds no room even in a larger table",
                   apikey_number("version", build->grown_for + 1));
        build->grown_for = 0;
        build->not_before = uv_now(sync->loop) + BUILD_PAUSE;
        return;
    }

    cause = sync->follow.replay ? "full" : "crowded";

    if (apikey_log_again(&build->begins, cause)) {
        apikey_log(APIKEY_LOG_INFO, "table grows",
                   apikey_text("cause", cause));
    }

    if (apikey_build_begin(sync, APIKEY_BUILD_GROWTH, sync->at.epoch, 0) != 0)
    {
        build->not_before = uv_now(sync->loop) + BUILD_PAUSE;
    }
}
