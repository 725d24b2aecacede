/*
 * Copyright (C) 2026 the ngx_http_apikey_module authors
 *
 * One connection to the store that is kept up: resolved, connected,
 * authenticated, greeted, watched for silence, and made anew with backoff
 * when it is lost.  With a channel it is the subscribed one.
 *
 * hiredis 0.14 knows no time limits for connections and commands, so they are
 * kept here, for every version of it alike.
 */

#ifndef APIKEY_SYNC_LINK_H
#define APIKEY_SYNC_LINK_H

#include <stddef.h>
#include <stdint.h>

#include <hiredis/async.h>
#include <hiredis/hiredis.h>
#include <uv.h>

#include "backoff.h"
#include "log.h"
#include "store/url.h"
#include "table/apikey_table.h"

#define APIKEY_LINK_ERROR_LEN   256
#define APIKEY_LINK_RUN_ID_LEN  40
#define APIKEY_LINK_ADDRESS_MAX 64

typedef struct apikey_link_s apikey_link_t;

/*
 * An answer.  Never called for a command whose answer did not come: then
 * lost() is, once for all of them.
 */
typedef void (*apikey_reply_pt)(void *ctx, const redisReply *reply);

typedef struct {
    apikey_cause_t cause;     /* NONE: as apikey_link_drop() was told */
    const char    *error;     /* in words; of this call alone */
    int            was_ready; /* 0: it could not be made */
    uint64_t       retry;     /* milliseconds until the next try */
} apikey_link_loss_t;

typedef struct {
    /* Commands may be sent; a subscribed link is subscribed. */
    void (*ready)(void *ctx, apikey_link_t *link);

    /* The connection was lost, or could not be made.  Another try follows. */
    void (*lost)(void *ctx, apikey_link_t *link,
                 const apikey_link_loss_t *loss);

    /* A message of the channel. */
    void (*message)(void *ctx, const char *text, size_t len);
} apikey_link_events_t;

typedef enum {
    APIKEY_LINK_CLOSED = 0,
    APIKEY_LINK_WAITING, /* until the next try */
    APIKEY_LINK_RESOLVING,
    APIKEY_LINK_GREETING,
    APIKEY_LINK_READY
} apikey_link_state_t;

struct apikey_link_s {
    const char                 *name;    /* for the log */
    const char                 *channel; /* or NULL */
    const apikey_link_events_t *events;
    void                       *ctx;
    uv_loop_t                  *loop;
    const apikey_url_t         *url;

    apikey_link_state_t state;
    redisAsyncContext  *ac;
    uv_timer_t          timer; /* of the state */
    uv_getaddrinfo_t    resolver;
    int                 resolving; /* 1: resolver is in use */
    unsigned            tries;     /* picks one of the host's addresses */
    unsigned            failures;  /* since it was ready last */
    apikey_backoff_t    backoff;

    uint64_t patience;   /* milliseconds for an answer */
    unsigned unanswered; /* commands */
    uint64_t progress; /* uv_now() of the last whole answer, or of the command
                            that ended a silence.  Not of a message: who gets
                            them ever later must not pass for alive. */
    int      suspect;  /* 1: patience is over, but look once more */
    int      pinged;   /* 1: one of the unanswered is a ping */
    uint64_t tried_at; /* uv_now() */
    uint64_t ready_at; /* likewise */

    char run_id[APIKEY_LINK_RUN_ID_LEN + 1];
    char address[APIKEY_LINK_ADDRESS_MAX + 1]; /* our end */
    char host[APIKEY_LINK_ADDRESS_MAX + 1];    /* that is being tried */
    char known[APIKEY_LINK_ADDRESS_MAX + 1];   /* that was ready last, for when
                                                names can't be looked up */
    apikey_log_throttle_t trouble;             /* the user's, for losses */
};


/* Names are kept, not copied.  channel is NULL for a link for commands. */
void apikey_link_init(apikey_link_t *link, uv_loop_t *loop, const char *name,
                      const char *channel, const apikey_link_events_t *events,
                      void *ctx);

/* Connects to url, which must stay; gives up the connection there is. */
void apikey_link_open(apikey_link_t *link, const apikey_url_t *url);

/*
 * Closes for good, without calling lost().  The loop must turn until its
 * handles are closed.
 */
void apikey_link_close(apikey_link_t *link);

/* Gives up the connection for this reason, calls lost(), and tries again.
   cause is NONE if the reason was counted already. */
void apikey_link_drop(apikey_link_t *link, apikey_cause_t cause,
                      const char *reason);

#define apikey_link_ready(link) ((link)->state == APIKEY_LINK_READY)

/* At most this many milliseconds for an answer, however it trickles in, from
   when it was asked for, or from the answer before it. */
void apikey_link_patience(apikey_link_t *link, uint64_t milliseconds);

/* Sends a command.  0; or -1 if the link is not ready: then neither handler
   nor lost() will be called for it. */
int apikey_link_send(apikey_link_t *link, apikey_reply_pt handler, int argc,
                     const char **argv, const size_t *argvlen);

/*
 * Asks a subscribed link whether it is alive, by subscribing again.  (hiredis
 * 0.14 loses track of the answer to a PING there, and of some memory.)
 */
void apikey_link_ping(apikey_link_t *link);

#endif /* APIKEY_SYNC_LINK_H */
