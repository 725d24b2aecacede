/*
 * Copyright (C) 2026 the ngx_http_apikey_module authors
 *
 * Revocations beside the table; see revoked.h and state.h.
 *
 * The file holds what the table holds revoked.  After a snapshot it is written
 * anew if that is another set; in between, what is seen is appended.
 *
 * A disk that refuses, or does not answer, does not stop the gate: revocations
 * go on taking effect and being acknowledged, what is missing is that they
 * outlive a reboot, and that is reported until the file could be written anew.
 */

#include "state.h"

#include <stdlib.h>
#include <string.h>

#define REVOKED_HOLD  256       /* records a slice */
#define REVOKED_SLICE (1 << 15) /* slots a slice: below a millisecond */
#define REVOKED_CHUNK 8192      /* records a job */
#define REVOKED_PAUSE 5000      /* milliseconds after the disk refused */
#define REVOKED_LATE \
    1000 /* milliseconds for the disk at most; half of a
                                   lease if that is less */


static void revoked_slice(uv_idle_t *idle);


/* 0, or -1 without memory. */
static int
packed_add(apikey_packed_t *packed, const apikey_held_t *held)
{
    size_t         room;
    unsigned char *data;

    if (packed->count == packed->room) {
        room = packed->room * 2 + 64;
        data = realloc(packed->data, room * APIKEY_JOURNAL_RECORD);

        if (data == NULL) {
            return -1;
        }

        packed->data = data;
        packed->room = room;
    }

    apikey_journal_pack(packed->data + packed->count++ * APIKEY_JOURNAL_RECORD,
                        held);

    return 0;
}


int
apikey_revoked_open(apikey_sync_t *sync, char *error, size_t error_size)
{
    const char *path = sync->conf.state[0] ? sync->conf.state : NULL;

    sync->revoked.disk = path != NULL;

    if (apikey_journal_open(&sync->revoked.journal, path, error, error_size)
        != 0) {
        return -1;
    }

    sync->revoked.open = 1;

    return 0;
}


static void
revoked_kept(apikey_sync_t *sync)
{
    if (sync->revoked.disk) {
        apikey_sync_figure(sync, APIKEY_FIGURE_KEPT,
                           sync->revoked.journal.records);
    }
}


void
apikey_revoked_handles(apikey_sync_t *sync)
{
    uv_idle_init(sync->loop, &sync->revoked.slices);
    sync->revoked.slices.data = sync;
    sync->revoked.work.data = sync;

    revoked_kept(sync);
}


/* What is not on disk is in the table: it is all written again later. */
static void
revoked_fail(apikey_sync_t *sync, const char *error)
{
    apikey_sync_revoked_t *revoked = &sync->revoked;

    apikey_sync_count(sync, APIKEY_FIGURE_KEEP_ERRORS);

    if (apikey_log_again(&revoked->trouble, error)) {
        apikey_log(APIKEY_LOG_ERROR,
                   "revocations cannot be written to the state directory: "
                   "they take effect, but a reboot would forget them if the "
                   "store does",
                   apikey_text("state", sync->revoked.disk ? sync->conf.state
                                                           : "in memory"),
                   apikey_text("error", error));
    }

    uv_idle_stop(&revoked->slices);

    revoked->failed = 1;
    revoked->rewriting = 0;
    revoked->pending.count = 0;
    revoked->not_before = uv_now(sync->loop) + REVOKED_PAUSE;
}


/* In the other thread. */
static void
revoked_work(uv_work_t *work)
{
    apikey_sync_t         *sync = work->data;
    apikey_sync_revoked_t *revoked = &sync->revoked;
    apikey_journal_t      *journal = &revoked->journal;
    const apikey_packed_t *flight = &revoked->flight;

    if (!revoked->rewrite) {
        revoked->result =
            apikey_journal_append(journal, flight->data, flight->count);
        return;
    }

    revoked->result = 0;

    if (revoked->first) {
        revoked->result = apikey_journal_begin(journal);
        revoked->first = 0;
    }

    if (revoked->result == 0 && flight->count > 0) {
        revoked->result =
            apikey_journal_add(journal, flight->data, flight->count);
    }

    if (revoked->result == 0 && revoked->last) {
        revoked->result = apikey_journal_commit(journal);
    }
}


static void
revoked_rewritten(apikey_sync_t *sync)
{
    apikey_sync_revoked_t *revoked = &sync->revoked;

    if (revoked->failed) {
        revoked->failed = 0;
        revoked->trouble.written = 0;
        apikey_log(APIKEY_LOG_NOTICE,
                   "revocations are written to the state directory again",
                   apikey_number("keys", revoked->journal.records));
    }

    revoked->rewriting = 0;
}


static void
revoked_done(uv_work_t *work, int status)
{
    apikey_sync_t         *sync = work->data;
    apikey_sync_revoked_t *revoked = &sync->revoked;

    (void) status; /* nobody cancels it */

    revoked->busy = 0;
    revoked->flight.count = 0;

    if (sync->stopping) {
        return;
    }

    apikey_build_again(sync);

    if (revoked->result != 0) {
        revoked_fail(sync, revoked->journal.error);
        return;
    }

    revoked_kept(sync);

    if (!revoked->rewrite) {
        if (revoked->life == sync->life) {
            revoked->durable = revoked->flying;
        }

    } else if (!revoked->rewriting || revoked->of != revoked->rewritings) {
        /* of one that was given up */

    } else if (revoked->last) {
        revoked_rewritten(sync);

    } else {
        uv_idle_start(&revoked->slices, revoked_slice);
    }
}


static void
revoked_start(apikey_sync_t *sync, int rewrite)
{
    sync->revoked.rewrite = rewrite;

    /* memory lets nobody wait */
    if (!sync->revoked.disk) {
        revoked_work(&sync->revoked.work);
        revoked_done(&sync->revoked.work, 0);
        return;
    }

    if (uv_queue_work(sync->loop, &sync->revoked.work, revoked_work,
                      revoked_done)
        != 0)
    {
        revoked_fail(sync, "no thread to write with");
        return;
    }

    sync->revoked.busy = 1;
}


typedef struct {
    apikey_packed_t *packed;
    int              failed;
} collect_t;


static void
revoked_collect(void *ctx, const apikey_held_t *held)
{
    collect_t *collect = ctx;

    if (packed_add(collect->packed, held) != 0) {
        collect->failed = 1;
    }
}


/* Some slots of the table for the new file. */
static void
revoked_slice(uv_idle_t *idle)
{
    apikey_sync_t         *sync = idle->data;
    apikey_write_t         rc;
    apikey_sync_revoked_t *revoked = &sync->revoked;
    collect_t              collect = { &revoked->flight, 0 };

    /* the job of one that was given up still has `flight` */
    if (revoked->busy) {
        return;
    }

    if (revoked->generation != apikey_writer_generation(sync->writer)) {
        /* it has grown meanwhile: from the start */
        revoked->generation = apikey_writer_generation(sync->writer);
        revoked->cursor = 0;
        revoked->flight.count = 0;
        revoked->first = 1;
    }

    rc = apikey_writer_revoked(sync->writer, &revoked->cursor, REVOKED_SLICE,
                               revoked_collect, &collect);

    if (collect.failed) {
        revoked_fail(sync, "no memory");
        return;
    }

    if (rc == APIKEY_WRITE_MORE && revoked->flight.count < REVOKED_CHUNK) {
        return;
    }

    uv_idle_stop(&revoked->slices);

    revoked->last = rc == APIKEY_WRITE_OK;
    revoked->of = revoked->rewritings;
    revoked_start(sync, 1);
}


static void
revoked_rewrite(apikey_sync_t *sync)
{
    apikey_sync_revoked_t *revoked = &sync->revoked;

    revoked->rewriting = 1;
    revoked->rewritings++;
    revoked->generation = 0;
    uv_idle_start(&revoked->slices, revoked_slice);
}


void
apikey_revoked_begin(apikey_sync_t *sync)
{
    sync->revoked.holding = 0;
    sync->revoked.known = 0;
    sync->revoked.damaged = 0;
}


apikey_write_t
apikey_revoked_hold(apikey_sync_t *sync)
{
    int                    n, i, known;
    size_t                 seen;
    apikey_held_t          held[REVOKED_HOLD];
    apikey_write_t         rc;
    apikey_sync_revoked_t *revoked = &sync->revoked;

    /* the file is the job's; its end takes this up again */
    if (revoked->busy) {
        uv_idle_stop(&sync->slices);
        return APIKEY_WRITE_MORE;
    }

    if (revoked->holding == revoked->journal.records) {
        return APIKEY_WRITE_OK;
    }

    n = apikey_journal_read(&revoked->journal, revoked->holding, held,
                            REVOKED_HOLD, &seen);

    if (n == -1) {
        /* to go on without what it says would bring keys back */
        apikey_sync_unusable(
            sync, "the state directory cannot be read",
            (apikey_log_pair_t) apikey_text("state", sync->conf.state),
            revoked->journal.error);
        return APIKEY_WRITE_ERROR;
    }

    for (i = 0; i < n; i++) {
        rc = apikey_writer_hold(sync->writer, &held[i], apikey_conflicts_found,
                                sync, &known);

        if (rc != APIKEY_WRITE_OK) {
            return rc;
        }

        revoked->known += (uint64_t) known;
    }

    revoked->damaged += seen - (size_t) n;
    revoked->holding += seen;

    return APIKEY_WRITE_MORE;
}


void
apikey_revoked_publish(apikey_sync_t *sync)
{
    apikey_sync_revoked_t *revoked = &sync->revoked;

    if (revoked->damaged > 0) {
        apikey_log(APIKEY_LOG_ERROR,
                   "revocations in the state directory were damaged and are "
                   "lost, unless the store or the table has them",
                   apikey_text("state", sync->conf.state),
                   apikey_number("keys", revoked->damaged));
    }

    if (!revoked->failed
        && (revoked->known != revoked->journal.records
            || revoked->known != apikey_writer_revoked_count(sync->writer)))
    {
        revoked_rewrite(sync);
    }
}


void
apikey_revoked_seen(apikey_sync_t *sync, const apikey_record_t *record)
{
    apikey_held_t          held = { .revocation = { record->version,
                                                    record->updated } };
    apikey_sync_revoked_t *revoked = &sync->revoked;

    if (revoked->failed || record->status != APIKEY_STATUS_REVOKED) {
        return;
    }

    memcpy(held.digest, record->digest, sizeof(held.digest));
    strcpy(held.id, record->id);

    if (packed_add(&revoked->pending, &held) != 0) {
        revoked_fail(sync, "no memory");
    }
}


/* Acknowledgements wait for the disk, but renewals may not: they are one. */
static void
revoked_watch(apikey_sync_t *sync)
{
    uint64_t               now = uv_now(sync->loop), limit;
    apikey_sync_revoked_t *revoked = &sync->revoked;

    if (!revoked->busy && !revoked->rewriting) {
        revoked->since = 0;
        revoked->late = 0;
        return;
    }

    if (revoked->since == 0) {
        revoked->since = now;
    }

    limit = sync->lease.length / 2;
    limit = limit != 0 && limit < REVOKED_LATE ? limit : REVOKED_LATE;

    if (revoked->late || now - revoked->since < limit) {
        return;
    }

    revoked->late = 1;
    apikey_sync_count(sync, APIKEY_FIGURE_KEEP_ERRORS);

    if (apikey_log_again(&revoked->trouble, "late")) {
        apikey_log(APIKEY_LOG_ERROR,
                   "the state directory takes too long: what is acknowledged "
                   "meanwhile may not outlive a reboot",
                   apikey_text("state", sync->conf.state),
                   apikey_number("ms", now - revoked->since));
    }
}


void
apikey_revoked_step(apikey_sync_t *sync)
{
    apikey_packed_t        packed;
    apikey_sync_revoked_t *revoked = &sync->revoked;

    revoked_watch(sync);

    if (revoked->busy || revoked->rewriting) {
        return;
    }

    if (revoked->failed) {
        if (sync->published && uv_now(sync->loop) >= revoked->not_before) {
            revoked_rewrite(sync);
        }

        return;
    }

    if (revoked->pending.count == 0) {
        if (sync->published) {
            revoked->durable = sync->at;
        }

        return;
    }

    packed = revoked->flight;
    revoked->flight = revoked->pending;
    revoked->pending = packed;

    revoked->flying = sync->at;
    revoked->life = sync->life;
    revoked_start(sync, 0);
}


const apikey_position_t *
apikey_revoked_position(const apikey_sync_t *sync)
{
    const apikey_sync_revoked_t *revoked = &sync->revoked;

    if (revoked->failed || revoked->late) {
        return &sync->at;
    }

    return revoked->durable.version != 0 ? &revoked->durable : NULL;
}


void
apikey_revoked_forget(apikey_sync_t *sync)
{
    apikey_sync_revoked_t *revoked = &sync->revoked;

    revoked->durable.version = 0;

    if (revoked->rewriting) {
        revoked->rewriting = 0;
        uv_idle_stop(&revoked->slices);
    }
}


void
apikey_revoked_stop(apikey_sync_t *sync)
{
    apikey_sync_revoked_t *revoked = &sync->revoked;

    /* nothing of it was acknowledged, but why lose it */
    if (revoked->disk && !revoked->busy && revoked->pending.count > 0) {
        (void) apikey_journal_append(&revoked->journal, revoked->pending.data,
                                     revoked->pending.count);
    }

    uv_close((uv_handle_t *) &revoked->slices, NULL);
}


void
apikey_revoked_free(apikey_sync_t *sync)
{
    apikey_sync_revoked_t *revoked = &sync->revoked;

    if (revoked->open) {
        apikey_journal_close(&revoked->journal);
    }

    free(revoked->pending.data);
    free(revoked->flight.data);
}
