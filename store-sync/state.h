/*
 * Copyright (C) 2026 the ngx_http_apikey_module authors
 *
 * What the parts of the daemon's work share, and what they ask of each other.
 *
 *   sync.c      the links, the timers, and what to do next
 *   snapshot.c  reads all keys
 *   build.c     builds a generation in slices: for a snapshot, or to grow
 *   follow.c    applies entries, as they are pushed or read from the log
 *   window.c    knows which versions were pushed, and which had to be read
 *   cause.c     counts and tells why there was more to do than follow
 *   revoked.c   keeps revocations on disk, and says what may be acknowledged
 *   canary.c    measures, by a key of its own, how fast a disable bites
 *   lease.c     renews: the acknowledgement, and the lease it brings
 *   conflicts.c knows which keys the store wrongly calls alive, and reports
 *
 * There is one notion of how far the table has come, `at`.  Whatever throws it
 * away (apikey_sync_resync) raises `life`: answers to questions of an earlier
 * life are dropped.
 */

#ifndef APIKEY_SYNC_STATE_H
#define APIKEY_SYNC_STATE_H

#include <stdint.h>

#include <uv.h>

#include "backoff.h"
#include "canary.h"
#include "cause.h"
#include "conf.h"
#include "link.h"
#include "log.h"
#include "conflicts.h"
#include "position.h"
#include "revoked.h"
#include "store/record.h"
#include "sync.h"
#include "table/write.h"
#include "window.h"

#define APIKEY_SNAPSHOT_PAGE 500 /* key ids a page; see snapshot.c */
#define APIKEY_SNAPSHOT_RING (4 * APIKEY_SNAPSHOT_PAGE)

typedef enum {
    APIKEY_PHASE_NONE = 0, /* nothing is being built */
    APIKEY_PHASE_PREPARE,  /* blocks are being allocated */
    APIKEY_PHASE_READ,     /* keys are being read; snapshots only */
    APIKEY_PHASE_CARRY,    /* from the generation before */
    APIKEY_PHASE_HOLD,     /* what the disk says was revoked; snapshots only */
    APIKEY_PHASE_CLOSE     /* waits to be at the head; snapshots only */
} apikey_phase_t;

typedef struct {
    apikey_phase_t phase;
    apikey_build_t kind;
    uint64_t       keys;       /* asked for; raised when it was too few */
    uint64_t       began;      /* uv_now() */
    uint64_t       not_before; /* uv_now(): growth failed, try again then */
    uint64_t grown_for; /* replayed from this version after the last growth */

    apikey_log_throttle_t trouble; /* what keeps it from being done */
    apikey_log_throttle_t begins;  /* until one is done */
} apikey_sync_build_t;

typedef struct {
    int      asked; /* 1: apikey_meta is out */
    unsigned life;
    char     epoch[APIKEY_EPOCH_HEX + 1]; /* as apikey_meta told */
    uint64_t keys;                        /* likewise */
    uint64_t pepper[APIKEY_STORE_PEPPERS];
    uint64_t version; /* of the last page */
    int      pages;   /* asked for, not answered */
    int      last;    /* 1: the last page was answered */
    uint64_t read;    /* keys */

    /* Ids whose records are asked for, in that order.  What an aborted
       snapshot asked for is still answered: before the next can begin. */
    char     ids[APIKEY_SNAPSHOT_RING][24 + 1];
    unsigned first, count;
} apikey_sync_snapshot_t;

typedef struct {
    uint64_t          want;   /* the highest version known to exist */
    uint64_t          since;  /* uv_now() of when it was heard of */
    int               urgent; /* 1: it will not come by itself */
    int               asked;  /* 1: apikey_since is out */
    unsigned          life;
    apikey_position_t from;      /* that was asked from */
    uint64_t          from_want; /* what was wanted then */
    unsigned          doubts;    /* as they were then */
    int               gap;       /* 1: what is read should have been pushed */

    /* Set when a change found no room: where to apply again from once there
       is; until then nothing is acknowledged. */
    int               replay;
    apikey_position_t replay_from;

    /* How far `at` was when it was sent back there: what was applied up to
       here is in the table, and the log has to lead through it.  Version 0:
       nowhere. */
    apikey_position_t passed;
} apikey_sync_follow_t;

typedef struct {
    int      probed; /* 1: the first renewal of this start was answered */
    int      asked;  /* 1: apikey_renew is out */
    unsigned life;
    uint64_t version; /* that was sent */
    uint64_t sent;    /* CLOCK_BOOTTIME, microseconds, before it was */
    uint64_t sent_at; /* uv_now() */
    uint64_t acked;   /* the version that the store last took down */

    int      pending; /* 1: granted, once `at` has reached head */
    uint64_t head;

    uint64_t length;   /* milliseconds; 0 not known yet */
    uint64_t hold;     /* CLOCK_BOOTTIME, microseconds: no renewal before */
    uint64_t deadline; /* CLOCK_BOOTTIME, microseconds, as published */
    int      over;     /* 1: it was reported that the lease has run out */
} apikey_sync_lease_t;

struct apikey_sync_s {
    uv_loop_t       *loop;
    apikey_conf_t    conf;
    apikey_writer_t *writer; /* NULL if the table was lost */

    apikey_link_t    commands;
    apikey_link_t    events;
    apikey_canary_t *canary; /* or NULL */
    char             channel[APIKEY_STORE_NAME_MAX + sizeof(":events")];
    char    run_id[APIKEY_LINK_RUN_ID_LEN + 1]; /* of the last server */
    uint8_t id[APIKEY_DAEMON_LEN];              /* random, new at each start */
    char    boot[2 * APIKEY_DAEMON_LEN + 1];    /* the same in hex */
    char    after[(APIKEY_DAEMONS - 1) * (2 * APIKEY_DAEMON_LEN + 1)
               + 1]; /* those of the daemons that wrote this table before,
                        one blank between */
    int     stopping;

    uv_prepare_t turn;   /* of the loop: takes the next step */
    uv_timer_t   pulse;  /* pings, and renewals that are due */
    uv_timer_t   soon;   /* a step that had better wait some milliseconds */
    uv_timer_t   retry;  /* after trouble */
    uv_idle_t    slices; /* of a build */

    unsigned              life;
    apikey_sync_state_t   state; /* as last told */
    int                   ready; /* 1: systemd was told */
    int                   frozen;
    int                   seen;    /* 1: this store was seen initialised */
    int                   waiting; /* 1: retry is running */
    uint64_t              trouble_at;
    apikey_backoff_t      backoff;
    apikey_log_throttle_t trouble;  /* what the store or the table refuses */
    apikey_log_throttle_t unusable; /* changes, records and answers */
    apikey_log_throttle_t resyncs;
    apikey_log_throttle_t pushes[APIKEY_CAUSE_REORDERED + 1];
    apikey_window_t       window; /* what became of them */
    apikey_cause_t        cause;  /* of the next snapshot */
    uint64_t              figure[APIKEY_FIGURE_COUNT];

    apikey_position_t at;
    int               following; /* 1: entries continue from `at` */
    int published;   /* 1: the current generation is what `at` says */
    int verified;    /* 1: over this connection, the store's log leads on from
                      `at` */
    unsigned doubts; /* how often that came to be in question */

    apikey_sync_build_t    build;
    apikey_sync_snapshot_t snapshot;
    apikey_sync_follow_t   follow;
    apikey_sync_lease_t    lease;

    apikey_sync_conflicts_t conflicts;
    apikey_sync_revoked_t   revoked;

    /* big, and used one at a time */
    apikey_record_t      record;
    apikey_store_entry_t entry;
};


/* sync.c */

/* A turn of the loop some milliseconds from now, if none comes sooner. */
void apikey_sync_soon(apikey_sync_t *sync, uint64_t milliseconds);

/*
 * Throws away what is known of the store: a new snapshot will be taken, and
 * until then nothing is acknowledged.
 */
void apikey_sync_resync(apikey_sync_t *sync, apikey_cause_t cause);

/* Whether the log leads on from `at` has to be asked again: what was asked
   before does not tell. */
void apikey_sync_doubt(apikey_sync_t *sync);

/* Counts and reports what the store says and cannot be used: key names the
   culprit.  Never a digest. */
void apikey_sync_unusable(apikey_sync_t *sync, const char *message,
                          apikey_log_pair_t what, const char *error);

/* Asks nothing of the store for a while. */
void apikey_sync_wait(apikey_sync_t *sync);

/* The store answered a function with an error: tell, and try again later. */
void apikey_sync_refused(apikey_sync_t *sync, const char *function,
                         const redisReply *reply);

/* A lease was published. */
void apikey_sync_live(apikey_sync_t *sync);

/* The control page is not ours any more: open the table again. */
void apikey_sync_table_lost(apikey_sync_t *sync);

void apikey_sync_figure(apikey_sync_t *sync, apikey_figure_t figure,
                        uint64_t value);
void apikey_sync_count(apikey_sync_t *sync, apikey_figure_t figure);

/* FCALL or FCALL_RO of a function with these arguments behind the store.  0,
   or -1 if it could not be asked: nothing will come. */
int apikey_sync_call(apikey_sync_t *sync, apikey_reply_pt handler, int write,
                     const char *function, int argc, const char **argv);


/* snapshot.c */

/* Begins one, unless answers to an earlier one are still to come. */
void apikey_snapshot_start(apikey_sync_t *sync);

/* The generation is prepared: read. */
void apikey_snapshot_read(apikey_sync_t *sync);

/* At the head: readers may move over. */
void apikey_snapshot_publish(apikey_sync_t *sync);

/* No answers will come. */
void apikey_snapshot_lost(apikey_sync_t *sync);


/* build.c */

/* Begins a generation with room for so many keys.  0, or -1 if the table
   can't be extended; that was logged. */
int apikey_build_begin(apikey_sync_t *sync, apikey_build_t kind,
                       const char *epoch, uint64_t keys);

/* All records of a snapshot are in. */
void apikey_build_carry(apikey_sync_t *sync);

/* Goes on with what had to wait for the state directory. */
void apikey_build_again(apikey_sync_t *sync);

/* Grows the current generation if that is due. */
void apikey_build_step(apikey_sync_t *sync);

void apikey_build_abort(apikey_sync_t *sync);

/* Ends the phases after the generation was published. */
void apikey_build_done(apikey_sync_t *sync);

#define apikey_building(sync, what) \
    ((sync)->build.phase != APIKEY_PHASE_NONE && (sync)->build.kind == (what))


/* follow.c */

/* A message of the channel. */
void apikey_follow_message(apikey_sync_t *sync, const char *text, size_t len);

/* This version exists.  urgent: it will not be pushed to us. */
void apikey_follow_want(apikey_sync_t *sync, uint64_t version, int urgent);

/* Counts the messages that are given up as lost; to be called at times. */
void apikey_follow_lost(apikey_sync_t *sync);

/* Reads the log if that is due. */
void apikey_follow_step(apikey_sync_t *sync);

/* After a growth: apply again what found no room. */
void apikey_follow_replay(apikey_sync_t *sync);

/* A string of a reply as a version; 0 if it is none. */
uint64_t apikey_follow_version(const redisReply *reply);

/* Puts a record into the table and reports conflicts. */
apikey_write_t
apikey_follow_put(apikey_sync_t *sync, const apikey_record_t *record);


/* conflicts.c */

/* A snapshot begins; each conflict that carrying over comes upon
   (apikey_conflict_pt, ctx is sync); its generation was published. */
void apikey_conflicts_begin(apikey_sync_t *sync);
void apikey_conflicts_found(void *ctx, const apikey_held_t *held, int alive);
void apikey_conflicts_publish(apikey_sync_t *sync);

/* A change of the store was put into the table; held as from
   apikey_writer_put(). */
void apikey_conflicts_put(apikey_sync_t *sync, const apikey_record_t *record,
                          const apikey_table_revocation_t *held);

/* Reports to the store if there is news; no answers will come. */
void apikey_conflicts_step(apikey_sync_t *sync);
void apikey_conflicts_lost(apikey_sync_t *sync);

void apikey_conflicts_free(apikey_sync_t *sync);


/* revoked.c */

/* Opens the state directory if there is to be one.  0, or -1 with a sentence
   in error. */
int  apikey_revoked_open(apikey_sync_t *sync, char *error, size_t error_size);
void apikey_revoked_handles(apikey_sync_t *sync);

/* A snapshot begins; some records of the file for it: OK once that was all,
   else as apikey_writer_hold(); its generation was published. */
void           apikey_revoked_begin(apikey_sync_t *sync);
apikey_write_t apikey_revoked_hold(apikey_sync_t *sync);
void           apikey_revoked_publish(apikey_sync_t *sync);

/* A change was heard of; if it is a revocation it goes to the disk. */
void apikey_revoked_seen(apikey_sync_t *sync, const apikey_record_t *record);

/* Once a turn, when the table is where `at` says. */
void apikey_revoked_step(apikey_sync_t *sync);

/* How far this edge may acknowledge, or NULL: not at all. */
const apikey_position_t *apikey_revoked_position(const apikey_sync_t *sync);

/* `at` is not true any more. */
void apikey_revoked_forget(apikey_sync_t *sync);

/* Lets go of the handles; then, when the loop has ended, of the rest. */
void apikey_revoked_stop(apikey_sync_t *sync);
void apikey_revoked_free(apikey_sync_t *sync);


/* lease.c */

/* Asks when this edge renewed last, without renewing. */
void apikey_lease_probe(apikey_sync_t *sync);

/* Renews if that is due and may be. */
void apikey_lease_step(apikey_sync_t *sync);

/* Publishes a lease that was granted once the table is as far. */
void apikey_lease_settle(apikey_sync_t *sync);

/* Reports a lease that has run out. */
void apikey_lease_watch(apikey_sync_t *sync);

#endif /* APIKEY_SYNC_STATE_H */
