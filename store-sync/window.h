/*
 * Copyright (C) 2026 the ngx_http_apikey_module authors
 *
 * Tells what became of the channel's messages: by which of the two ways, push
 * or log, each of the last versions was heard of.  So a message that comes
 * after its successor is told from one that comes twice, and both from one
 * that never comes.
 *
 * Nothing is decided by it: the log is read for whatever is missing, and a
 * version that was applied is not applied again.
 */

#ifndef APIKEY_SYNC_WINDOW_H
#define APIKEY_SYNC_WINDOW_H

#include <stdint.h>

#define APIKEY_WINDOW_SIZE 4096 /* versions */

typedef enum {
    APIKEY_PUSH_FINE = 0,
    APIKEY_PUSH_DUPLICATED,
    APIKEY_PUSH_REORDERED /* behind a later version, for the first time */
} apikey_push_t;

typedef struct {
    uint64_t version[APIKEY_WINDOW_SIZE]; /* the last that has this place */
    uint8_t  state[APIKEY_WINDOW_SIZE];
    uint64_t highest; /* that was pushed */
    unsigned missing; /* places */
    unsigned passed;  /* versions whose place was needed while missing */
} apikey_window_t;


/* No message of before can come any more, or what was heard was not true. */
void apikey_window_clear(apikey_window_t *window);

/* A message came. */
apikey_push_t apikey_window_pushed(apikey_window_t *window, uint64_t version);

/* It had to be read from the log, though it should have been pushed. */
void apikey_window_read(apikey_window_t *window, uint64_t version);

/*
 * To be called now and then: how many versions are given up as lost, because
 * they did not come between the last two calls; one of them in *version.
 */
unsigned apikey_window_lost(apikey_window_t *window, uint64_t *version);

#endif /* APIKEY_SYNC_WINDOW_H */
