/*
 * Copyright (C) 2026 the ngx_http_apikey_module authors
 *
 * The writer of a table; linked into the daemon alone.  One thread.
 *
 * A writer has up to two generations: the current one, which readers use, and
 * the next one, while it is being built.  Building is done in steps that are
 * short enough to run between two messages from the store, and every change
 * goes to both, so that no revoke waits for a snapshot or a growth:
 *
 *   apikey_writer_begin()     sizes the next generation
 *   apikey_writer_prepare()   allocates its blocks         until DONE
 *   apikey_writer_put()       changes and snapshot records, in any order
 *   apikey_writer_carry()     what the old one must not lose, until DONE
 *   apikey_writer_hold()      what was seen revoked before that
 *   apikey_writer_publish()   readers move over; the old one is retired
 *   apikey_writer_release()   gives its memory back        until OK
 *
 * Errors: functions that can fail return APIKEY_WRITE_ERROR and leave a
 * sentence in apikey_writer_error().
 */

#ifndef APIKEY_TABLE_WRITE_H
#define APIKEY_TABLE_WRITE_H

#include "apikey_table.h"

typedef struct apikey_writer_s apikey_writer_t;

typedef enum {
    APIKEY_WRITE_OK = 0, /* or: done */
    APIKEY_WRITE_MORE,   /* call again: the step was not the last */
    APIKEY_WRITE_FULL,   /* no room in the current generation: grow */
    APIKEY_WRITE_ERROR
} apikey_write_t;

/* A key as it is after a change.  The writer copies what it keeps. */
typedef struct {
    uint8_t         digest[APIKEY_TABLE_DIGEST_LEN];
    apikey_status_t status;
    uint64_t        version; /* 1 to APIKEY_VERSION_MAX */
    uint64_t        stamp;   /* of that change, milliseconds since 1970 */
    uint64_t        expires; /* seconds since 1970; 0: never */
    const char     *id, *member, *tenant, *name, *scopes; /* terminated; within
                                the limits of apikey_table.h */

    /* revocations that an operator has taken back: see docs/store.md,
       apikey_settle */
    const apikey_table_revocation_t *accepted;
    size_t                           accepted_count;
} apikey_put_t;

/* A key that was seen revoked. */
typedef struct {
    uint8_t digest[APIKEY_TABLE_DIGEST_LEN];
    char    id[APIKEY_RECORD_ID_MAX + 1]; /* "" if its record was damaged */
    apikey_table_revocation_t revocation;
} apikey_held_t;

/*
 * Tells of a key that stays revoked though the store has another opinion.
 * alive: the store says that it is; held->id is then the store's.  Else the
 * store does not know its digest.
 */
typedef void (*apikey_conflict_pt)(void *ctx, const apikey_held_t *held,
                                   int alive);

/* What a next generation is built for; says what the old one is good for. */
typedef enum {
    APIKEY_BUILD_GROWTH,  /* same history: carry over every key */
    APIKEY_BUILD_SNAPSHOT /* from the store: carry over revocations only; until
                             it is published the old one only gets stricter,
                             because its history may not be the store's */
} apikey_build_t;


/*
 * Locks the directory, which must exist, belong to the caller or root and be
 * writable by nobody else; adopts what an earlier daemon left (its revoked
 * keys, its generation number, its control page, if they are of this layout
 * and boot) and touches no file that is not a table's.  Files get the group
 * of the directory and mode 0640.
 *
 * Returns NULL with a sentence in error: another daemon holds the lock (it
 * is named), foreign files, permissions, no space.
 */
apikey_writer_t *
apikey_writer_open(const char *path, char *error, size_t error_size);

/*
 * Gives the lock back.  The table stays as it is: readers go on until the
 * lease ends, and the next daemon adopts it.
 */
void apikey_writer_close(apikey_writer_t *writer);

/* The last error of this writer, a sentence.  Owned by the writer. */
const char *apikey_writer_error(const apikey_writer_t *writer);

/*
 * When the control page was made, microseconds of CLOCK_BOOTTIME; 0 if it has
 * carried a lease since, or did before this open.  Readers of a page that was
 * lost before it was made may live on until their lease ends: the daemon must
 * not acknowledge anything until a lease has passed since this moment, unless
 * the store says that this edge had none (docs/store.md, apikey_renew,
 * `previous`).
 */
uint64_t apikey_writer_created(const apikey_writer_t *writer);

/* The number of the generation that was to be adopted and could not be: it was
   removed, cut, damaged, of another layout, or others may have written it.
   0: none.  What it knew of revocations is not carried over. */
uint64_t apikey_writer_missed(const apikey_writer_t *writer);

/* The page, for figures.  Owned by the writer. */
apikey_control_t *apikey_writer_control(apikey_writer_t *writer);

/*
 * Starts the next generation: room for `keys` keys with `bytes` bytes of
 * records, and for a quarter as many again (half, in bytes); the record area also grows by
 * itself until it is published.  If bytes is 0: as many a key as the current
 * generation has, or an estimate.  If keys is 0: room for what the current one
 * holds.  Drops a next generation that was not published.
 */
apikey_write_t
apikey_writer_begin(apikey_writer_t *writer, apikey_build_t build,
                    const uint8_t epoch[APIKEY_EPOCH_LEN], uint64_t keys,
                    uint64_t bytes);

/* Allocates blocks, a megabyte a call, after those of the generation
   before were released.  MORE until all are there. */
apikey_write_t apikey_writer_prepare(apikey_writer_t *writer);

/*
 * Notes on the control page that this daemon writes the table now, and copies
 * those that wrote it before, newest first, to `before`.  Returns how many
 * they are.
 */
size_t
apikey_writer_enter(apikey_writer_t *writer,
                    const uint8_t    daemon[APIKEY_DAEMON_LEN],
                    uint8_t before[APIKEY_DAEMONS - 1][APIKEY_DAEMON_LEN]);

/*
 * Applies a key's state to the current generation and to the next one.  In
 * each, a version that is not above the key's is ignored, and a revoked key
 * stays revoked, unless the revocation that it holds to is among the accepted
 * ones: then *held, if not NULL, says which it is; else its version is 0.
 *
 * FULL: the current generation, or a growing next one, has no room; nothing
 * is lost if the caller grows (or begins a larger snapshot) and puts it again
 * before it acknowledges.
 */
apikey_write_t
apikey_writer_put(apikey_writer_t *writer, const apikey_put_t *put,
                  apikey_table_revocation_t *held);

/*
 * Applies a key's state to the current generation alone, and only if it makes
 * it refuse more: for what is heard while it is not known where the table
 * stands in the store's history.  Never FULL.
 */
apikey_write_t
apikey_writer_tighten(apikey_writer_t *writer, const apikey_put_t *put);

/*
 * Carries over to the next generation: at a growth every key, after a
 * snapshot every revocation but those that were accepted.  At most `slots`
 * slots a call; MORE until all are seen.  Calls conflict(ctx) for each key
 * that the old one knows as revoked and that the snapshot has not, or has
 * alive; they are revoked in the next one.
 */
apikey_write_t apikey_writer_carry(apikey_writer_t *writer, uint64_t slots,
                                   apikey_conflict_pt conflict, void *ctx);

/*
 * The same after a snapshot, of one key that was seen revoked by whatever
 * wrote it down elsewhere.  *known is set to 1 if it was revoked in the next
 * generation already, with this very revocation, or was accepted.
 */
apikey_write_t
apikey_writer_hold(apikey_writer_t *writer, const apikey_held_t *held,
                   apikey_conflict_pt conflict, void *ctx, int *known);

/*
 * Goes through the revoked keys of the current generation: at most `slots`
 * slots a call, from *cursor, which is 0 to begin with and must not be used
 * on another generation (apikey_writer_generation).  MORE until all are seen.
 */
apikey_write_t
apikey_writer_revoked(apikey_writer_t *writer, uint64_t *cursor,
                      uint64_t slots,
                      void (*each)(void *ctx, const apikey_held_t *held),
                      void *ctx);

/* How many there are. */
uint64_t apikey_writer_revoked_count(const apikey_writer_t *writer);

/* The number of the current generation; 0: there is none. */
uint64_t apikey_writer_generation(const apikey_writer_t *writer);

/* Makes the next generation the current one; retires and unlinks the old,
   whose memory apikey_writer_release() gives back. */
apikey_write_t apikey_writer_publish(apikey_writer_t *writer);

/* Drops the next generation; its memory is given back in the same way. */
void apikey_writer_abort(apikey_writer_t *writer);

/*
 * Gives back a slice of what publishing or aborting has left, less than a
 * millisecond a call.  MORE until nothing is left, then OK.  It can't fail, and
 * need not come to its end: apikey_writer_prepare() and apikey_writer_close()
 * do the rest, and a killed daemon leaves no name behind by which the memory
 * could stay.
 */
apikey_write_t apikey_writer_release(apikey_writer_t *writer);

/* 1 if the current generation was published by this writer. */
int apikey_writer_ready(const apikey_writer_t *writer);

/* 1 if the current generation should be grown soon, before it is full. */
int apikey_writer_crowded(const apikey_writer_t *writer);

/*
 * Publishes the lease: no reader allows anything at or after `deadline`,
 * microseconds of CLOCK_BOOTTIME.  0 ends it now.
 *
 * ERROR if the control page is no longer the one that the directory shows, if
 * it or the generation was overwritten or cut by somebody, or if others may
 * write these files or the directory now: then the lease is ended and nothing may be acknowledged; close this writer and open another.
 */
apikey_write_t apikey_writer_renew(apikey_writer_t *writer, uint64_t deadline);

/* Tells readers which peppers the store's keys use; 0 for none. */
void apikey_writer_peppers(apikey_writer_t *writer,
                           const uint64_t   pepper[APIKEY_TABLE_PEPPERS]);

#endif /* APIKEY_TABLE_WRITE_H */
