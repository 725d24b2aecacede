/*
 * Copyright (C) 2026 the ngx_http_apikey_module authors
 *
 * So many changes a second, evenly, until standard input ends: the keys FROM
 * to TO - 1 of a benchmark are disabled in turn, then enabled, and so on.  Says
 * at the end how many a second it came to.
 *
 * usage: churn SOCKET STORE FROM TO RATE
 */

#include "bench.h"

#define CHURN_TURN 1   /* milliseconds */
#define CHURN_PIPE 100 /* unanswered, at most */

typedef struct {
    redisContext *redis;
    const char   *store;
    uint64_t      from, to;
    uint64_t      sent, answered;
} churn_t;


static void
churn_send(churn_t *churn)
{
    uint64_t keys = churn->to - churn->from;
    uint64_t n = churn->from + churn->sent % keys;

    redisAppendCommand(
        churn->redis,
        "FCALL apikey_set_status 1 %s key_%020" PRIu64 " %s actor bench",
        churn->store, n, churn->sent / keys % 2 ? "enabled" : "disabled");
    churn->sent++;
}


static void
churn_take(churn_t *churn)
{
    int         readable = bench_readable(churn->redis->fd, 0);
    redisReply *reply;

    while (bench_take(churn->redis, readable, &reply)) {
        freeReplyObject(reply);
        churn->answered++;
        readable = 0;
    }
}


int
main(int argc, char **argv)
{
    double   began = bench_now(), rate, due;
    churn_t  churn = { 0 };
    uint64_t before;

    if (argc != 6) {
        bench_fail("usage: churn SOCKET STORE FROM TO RATE");
    }

    churn.redis = bench_connect(argv[1]);
    churn.store = argv[2];
    churn.from = strtoull(argv[3], NULL, 10);
    churn.to = strtoull(argv[4], NULL, 10);
    rate = strtod(argv[5], NULL);

    while (!bench_readable(0, CHURN_TURN)) {
        due = (bench_now() - began) * rate;
        before = churn.sent;

        while ((double) churn.sent < due
               && churn.sent - churn.answered < CHURN_PIPE) {
            churn_send(&churn);
        }

        if (churn.sent > before) {
            bench_send(churn.redis);
        }

        churn_take(&churn);
    }

    printf("%.0f changes a second\n",
           (double) churn.answered / (bench_now() - began));
    redisFree(churn.redis);

    return 0;
}
