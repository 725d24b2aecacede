/*
 * Copyright (C) 2026 the ngx_http_apikey_module authors
 *
 * One way to send a change; see ops_change.h.
 */

#include <string.h>
#include <time.h>

#include <sodium.h>

#include "admin/ops_change.h"

#define TOKEN_LEN 32 /* hex digits */

#define PAUSE_MIN 5000   /* microseconds between two tries */
#define PAUSE_MAX 200000 /* microseconds */


static redisReply *
change_send(apikey_ops_t *ops, const apikey_args_t *args, int *again);
static redisReply *change_again(apikey_ops_t *ops, const apikey_args_t *args);
static int         change_answered(const apikey_ops_t *ops);
static int change_read(const redisReply *reply, apikey_ops_change_t *change);


int
apikey_ops_change(apikey_ops_t *ops, const char *function, apikey_args_t *args,
                  apikey_ops_change_t *change)
{
    int         rc, again = 0;
    char        token[TOKEN_LEN + 1];
    uint8_t     random[TOKEN_LEN / 2];
    redisReply *reply;

    memset(change, 0, sizeof(*change));

    randombytes_buf(random, sizeof(random));
    sodium_bin2hex(token, sizeof(token), random, sizeof(random));

    apikey_ops_sign(ops, args);
    apikey_args_pair(args, "token", token);

    reply = change_send(ops, args, &again);
    if (reply == NULL) {
        return -1;
    }

    change->answered = apikey_boottime();
    change->connection = again ? 0 : ops->connection;

    rc = change_read(reply, change);

    if (rc == -1) {
        apikey_ops_misread(ops, function, "version, at, epoch, head, chain");
        ops->error = APIKEY_OPS_UNKNOWN;
    }

    freeReplyObject(reply);

    return rc;
}


static redisReply *
change_send(apikey_ops_t *ops, const apikey_args_t *args, int *again)
{
    redisReply *reply;

    reply = apikey_ops_command(ops, 1, args);

    if (reply || ops->error != APIKEY_OPS_UNKNOWN) {
        return reply;
    }

    *again = 1;

    return change_again(ops, args);
}


/*
 * The same once more, and again.  The first one may still arrive, or have
 * been carried out: with one token, whichever is first is the change, and the
 * other is told its answer.
 */
static redisReply *
change_again(apikey_ops_t *ops, const apikey_args_t *args)
{
    char        first[APIKEY_OPS_TEXT_MAX + 1];
    uint64_t    now, end, pause = PAUSE_MIN;
    redisReply *reply;

    memcpy(first, ops->text, sizeof(first));

    now = apikey_boottime();
    end = now + (uint64_t) ops->timeout_ms * 1000;

    for (; now < end; now = apikey_boottime()) {
        if (apikey_ops_reconnect(ops, (int) ((end - now) / 1000) + 1) == 0) {
            reply = apikey_ops_command(ops, 1, args);

            if (reply || change_answered(ops)) {
                return reply;
            }
        }

        apikey_pause(pause);
        pause = pause * 2 < PAUSE_MAX ? pause * 2 : PAUSE_MAX;
    }

    apikey_ops_fail(ops, APIKEY_OPS_UNKNOWN, "%s", first);

    return NULL;
}


/*
 * Whether the error is the function's own about this very call, and from
 * behind the look at its token: no call with this token has changed anything,
 * nor would another.  Whatever else a server says (that it is loading, a
 * replica, full, or empty) it says without having looked.
 */
static int
change_answered(const apikey_ops_t *ops)
{
    size_t i;

    static const char *const names[] = {
        "NOKEY",    "NOMEMBER", "DUPID",  "DUPDIGEST", "REVOKED",
        "CONFLICT", "PEPPER",   "NOEDGE", "LIVE",      "NOCONFLICT",
    };

    if (ops->error != APIKEY_OPS_REFUSED) {
        return 0;
    }

    for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (strcmp(ops->name, names[i]) == 0) {
            return 1;
        }
    }

    return 0;
}


static int
change_read(const redisReply *reply, apikey_ops_change_t *change)
{
    uint64_t changed = 1;

    if (apikey_reply_number(reply, "version", &change->version) == -1
        || apikey_reply_number(reply, "at", &change->at) == -1
        || apikey_reply_number(reply, "head", &change->head) == -1
        || apikey_reply_copy(reply, "epoch", change->epoch,
                             sizeof(change->epoch))
               == -1
        || apikey_reply_copy(reply, "chain", change->chain,
                             sizeof(change->chain))
               == -1)
    {
        return -1;
    }

    /* those that always change something do not say so */
    (void) apikey_reply_number(reply, "changed", &changed);
    change->changed = changed != 0;

    return 0;
}


uint64_t
apikey_boottime(void)
{
    struct timespec now;

    (void) clock_gettime(CLOCK_BOOTTIME, &now);

    return (uint64_t) now.tv_sec * 1000000 + (uint64_t) now.tv_nsec / 1000;
}


void
apikey_pause(uint64_t microseconds)
{
    struct timespec time = { (time_t) (microseconds / 1000000),
                             (long) (microseconds % 1000000) * 1000 };

    (void) nanosleep(&time, NULL);
}
