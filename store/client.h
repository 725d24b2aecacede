/*
 * Copyright (C) 2026 the ngx_http_apikey_module authors
 *
 * The store's synchronous client: one connection, one command at a time,
 * each with a time limit, and an error that says what became of the command.
 *
 * As in hiredis, the error sits in the client.  After OK and REFUSED the
 * connection is good for the next command; after any other error it is
 * closed, the error stays, and every later command fails at once without
 * being sent, until apikey_client_connect() is called again.
 *
 * The process must ignore SIGPIPE.  Nothing here writes a password, a digest
 * or an argument of a command into an error.
 */

#ifndef APIKEY_STORE_CLIENT_H
#define APIKEY_STORE_CLIENT_H

#include <stddef.h>
#include <stdint.h>

#include <hiredis/hiredis.h>

#include "store/url.h"

#define APIKEY_CLIENT_TIMEOUT    5000 /* milliseconds, a sensible default */
#define APIKEY_CLIENT_NAME_MAX   31   /* bytes of an error's name */
#define APIKEY_CLIENT_TEXT_MAX   511  /* bytes of an error's text */
#define APIKEY_CLIENT_ARGS_MAX   48   /* arguments of one command */
#define APIKEY_CLIENT_SERVER_MAX 63   /* bytes of "redis 7.0.15" */

typedef enum {
    APIKEY_CLIENT_OK = 0,
    APIKEY_CLIENT_CONNECT, /* not connected, or not let in: the command was
                              not sent */
    APIKEY_CLIENT_REFUSED, /* the server answered with an error (name, text):
                              the command changed nothing */
    APIKEY_CLIENT_LOST,    /* sent, but the time ran out or the connection
                              broke: it may or may not have been carried out */
    APIKEY_CLIENT_PROTOCOL /* the answer is not one of the protocol's: as with
                              LOST, nobody knows what became of the command */
} apikey_client_error_t;

typedef struct {
    apikey_client_error_t error;
    char name[APIKEY_CLIENT_NAME_MAX + 1]; /* REFUSED, and CONNECT where it was
                                              the server that said no: the
                                              first word, "NOKEY"; else "" */
    char text[APIKEY_CLIENT_TEXT_MAX + 1]; /* the rest, or a sentence */

    char server[APIKEY_CLIENT_SERVER_MAX + 1]; /* "redis 7.0.15", or "" */
    int  replica; /* 1: the server said that it is one */

    redisContext *context;
} apikey_client_t;

/* A command's arguments.  Holds pointers: what they point to must live on. */
typedef struct {
    int         count;
    int         overflow; /* 1: more than fit; the command is not sent */
    const char *argument[APIKEY_CLIENT_ARGS_MAX];
    size_t      length[APIKEY_CLIENT_ARGS_MAX];
} apikey_args_t;


/*
 * Connects, authenticates and selects the database; each step within
 * timeout_ms.  Begins by zeroing *client: the caller closes an older
 * connection first.  Returns 0, or -1 with client->error CONNECT.  The URL is
 * not needed afterwards.
 *
 * TLS (rediss) is not built in, and refused with a sentence that says so.
 */
int apikey_client_connect(apikey_client_t *client, const apikey_url_t *url,
                          int timeout_ms);

/* The time limit of the commands that follow, where there is a connection. */
void apikey_client_limit(apikey_client_t *client, int timeout_ms);

/* Closes; the error stays readable.  Harmless twice. */
void apikey_client_close(apikey_client_t *client);

/*
 * Sends one command and waits for its answer.  Returns the answer, which the
 * caller frees with freeReplyObject() and which is never an error; or NULL
 * with client->error set.
 */
redisReply *
apikey_client_command(apikey_client_t *client, const apikey_args_t *args);

/*
 * Begins the arguments of FCALL (write) or FCALL_RO (read) of a function of
 * the library (docs/store.md); add its own arguments, then command.
 */
void apikey_args_function(apikey_args_t *args, int write, const char *function,
                          const char *store);

void apikey_args_add(apikey_args_t *args, const char *argument);
void apikey_args_add_bytes(apikey_args_t *args, const char *argument,
                           size_t length);

/* Adds name and value; nothing if value is NULL. */
void
apikey_args_pair(apikey_args_t *args, const char *name, const char *value);


/*
 * Flat name/value answers.  _copy copies a text without NUL and a terminator
 * to buffer and returns 0, or -1 if the name is not there, its value is no
 * such text, or size is too small.  _number returns 0 and a whole number of
 * at most 19 digits, or -1.
 */
int apikey_reply_copy(const redisReply *reply, const char *name, char *buffer,
                      size_t size);
int apikey_reply_number(const redisReply *reply, const char *name,
                        uint64_t *number);

#endif /* APIKEY_STORE_CLIENT_H */
