/*
 * Copyright (C) 2026 the ngx_http_apikey_module authors
 *
 * The operations of an administrator, below every face (the command line, the
 * HTTP API): a session with one store, in one actor's name, and the one error
 * that its last operation ended with.
 *
 * Every operation returns 0, or -1 with the error in the session.  Arguments
 * are checked before anything is sent, against the limits of docs/store.md,
 * which the store enforces again.
 */

#ifndef APIKEY_ADMIN_OPS_H
#define APIKEY_ADMIN_OPS_H

#include <stdint.h>

#include "store/client.h"
#include "store/url.h"

#define APIKEY_ACTOR_MAX    128 /* bytes */
#define APIKEY_REASON_MAX   256 /* bytes */
#define APIKEY_OPS_TEXT_MAX 1023
#define APIKEY_CURSOR_MAX   255  /* bytes, of a listing's cursor */
#define APIKEY_PAGE_MAX     1000 /* items of a listing's page */

typedef enum {
    APIKEY_OPS_OK = 0,
    APIKEY_OPS_REFUSED,     /* the store said no and changed nothing; `name` is
                               its error's name */
    APIKEY_OPS_ARGUMENT,    /* an argument is not what it may be; nothing was
                               sent */
    APIKEY_OPS_UNREACHABLE, /* no connection, not let in, or no answer to a
                               question; nothing was changed */
    APIKEY_OPS_UNKNOWN,     /* a change was sent, and its answer was lost: it
                               may or may not have been carried out */
    APIKEY_OPS_LOCAL        /* trouble on this side: a file, memory, or an
                               answer that this version does not understand */
} apikey_ops_error_t;

/*
 * Names that are not the store's own, but are given to what a server without
 * the store's functions answers.
 */
#define APIKEY_OPS_NOLIBRARY   "NOLIBRARY"   /* the library is not loaded */
#define APIKEY_OPS_NOFUNCTIONS "NOFUNCTIONS" /* Redis < 7.0 */

/* `name` and `text` may hold what the store or an argument held: escape them
   before they are shown. */
typedef struct {
    apikey_ops_error_t error;
    char               name[APIKEY_CLIENT_NAME_MAX + 1]; /* or "" */
    char               text[APIKEY_OPS_TEXT_MAX + 1];    /* a sentence */

    apikey_client_t client;
    apikey_url_t    url;        /* where it connects to, and connects again */
    int             timeout_ms; /* of each step */
    unsigned        connection; /* counts those that were made */
    char            store[APIKEY_STORE_NAME_MAX + 1];
    char            actor[APIKEY_ACTOR_MAX + 1];
    char            reason[APIKEY_REASON_MAX + 1];
} apikey_ops_t;


/*
 * Begins a session: checks store, actor and reason ("" for none) and copies
 * them; connects nothing.  apikey_ops_close() is due afterwards in any case.
 */
int apikey_ops_begin(apikey_ops_t *ops, const char *store, const char *actor,
                     const char *reason);

/*
 * Connects to the server; time-outs as in apikey_client_connect().  Keeps the
 * URL, for apikey_ops_reconnect(), until the session is closed.
 */
int
apikey_ops_connect(apikey_ops_t *ops, const apikey_url_t *url, int timeout_ms);

/*
 * Connects again to where the last connection was; each step within limit_ms
 * or the session's own time-out, whichever is shorter.
 */
int apikey_ops_reconnect(apikey_ops_t *ops, int limit_ms);

/* The time limit of commands on this connection, likewise; 0: the session's
   own again. */
void apikey_ops_limit(apikey_ops_t *ops, int limit_ms);

void apikey_ops_close(apikey_ops_t *ops);


/* ---- for the operations themselves (ops_*.c) ---- */

/* Sets the error and returns -1. */
int
apikey_ops_fail(apikey_ops_t *ops, apikey_ops_error_t error,
                const char *format, ...) __attribute__((format(printf, 3, 4)));

/* The error for an answer that is not what docs/store.md says; -1. */
int
apikey_ops_misread(apikey_ops_t *ops, const char *function, const char *what);

/*
 * Sends a command; returns its answer, which the caller frees, or NULL with
 * the error set.  write says whether a lost answer leaves an unknown change.
 */
redisReply *
apikey_ops_command(apikey_ops_t *ops, int write, const apikey_args_t *args);

/* Adds the pairs actor and, where there is one, reason. */
void apikey_ops_sign(const apikey_ops_t *ops, apikey_args_t *args);

/* A whole number of a text, as the store writes them; 0, or -1 if it is none.
 */
int apikey_ops_number(const redisReply *text, uint64_t *number);

/*
 * Splits a listing's [cursor, [item, ...]]: copies the cursor and returns the
 * items, or NULL if the answer is not of this shape.
 */
const redisReply *apikey_ops_page(const redisReply *reply,
                                  char cursor[static APIKEY_CURSOR_MAX + 1]);

#endif /* APIKEY_ADMIN_OPS_H */
