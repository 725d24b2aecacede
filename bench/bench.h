/*
 * Copyright (C) 2026 the ngx_http_apikey_module authors
 *
 * What the benchmarks share: the clock, figures, Redis one reply at a time,
 * and the keys that bench/fill.c makes.  A benchmark ends at the first thing
 * that goes wrong.
 */

#ifndef BENCH_BENCH_H
#define BENCH_BENCH_H

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <hiredis/hiredis.h>
#include <sodium.h>

#include "key/key.h"
#include "key/pepper.h"

typedef struct {
    size_t  count;
    double *value; /* seconds */
} bench_series_t;

/* The n-th key of a benchmark: everything about it follows from n. */
typedef struct {
    char    id[APIKEY_ID_LEN + 1];
    char    text[APIKEY_TEXT_MAX + 1];
    uint8_t digest[APIKEY_DIGEST_LEN];
} bench_key_t;


static inline void __attribute__((noreturn, format(printf, 1, 2)))
bench_fail(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    fprintf(stderr, "%s: ", program_invocation_short_name);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
    va_end(args);

    exit(1);
}


static inline double
bench_now(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);

    return (double) ts.tv_sec + (double) ts.tv_nsec / 1e9;
}


static inline int
bench_readable(int fd, int milliseconds)
{
    struct pollfd poll_fd = { fd, POLLIN, 0 };

    return poll(&poll_fd, 1, milliseconds) == 1;
}


static inline redisContext *
bench_connect(const char *path)
{
    redisContext *redis = redisConnectUnix(path);

    if (redis == NULL || redis->err) {
        bench_fail("%s: %s", path, redis ? redis->errstr : "out of memory");
    }

    return redis;
}


/* Sends what was appended, and returns the time just before. */
static inline double
bench_send(redisContext *redis)
{
    double sent = bench_now();
    int    done = 0;

    while (!done) {
        if (redisBufferWrite(redis, &done) != REDIS_OK) {
            bench_fail("redis: %s", redis->errstr);
        }
    }

    return sent;
}


/* 1 and *reply if there is one; reads only if the socket is readable. */
static inline int
bench_take(redisContext *redis, int readable, redisReply **reply)
{
    void *taken = NULL;

    if (readable && redisBufferRead(redis) != REDIS_OK) {
        bench_fail("redis: %s", redis->errstr);
    }

    if (redisGetReplyFromReader(redis, &taken) != REDIS_OK) {
        bench_fail("redis: %s", redis->errstr);
    }

    *reply = taken;

    if (*reply && (*reply)->type == REDIS_REPLY_ERROR) {
        bench_fail("redis: %s", (*reply)->str);
    }

    return *reply != NULL;
}


static inline void
bench_pepper(apikey_pepper_ring_t *ring, const char *path)
{
    char error[APIKEY_PEPPER_ERROR_LEN];

    if (sodium_init() == -1 || apikey_pepper_ring_load(ring, path, error) != 0)
    {
        bench_fail("%s", error);
    }
}


static inline void
bench_key(bench_key_t *key, uint64_t n, const apikey_pepper_t *pepper)
{
    int len;

    snprintf(key->id, sizeof(key->id), "key_%020" PRIu64, n);
    len = snprintf(key->text, sizeof(key->text), "bench%024" PRIu64, n);
    apikey_digest(key->digest, (const uint8_t *) key->text, (size_t) len,
                  pepper->secret);
}


static inline void
bench_series(bench_series_t *series, size_t max)
{
    series->count = 0;
    series->value = calloc(max, sizeof(double));

    if (series->value == NULL) {
        bench_fail("out of memory");
    }
}


static inline void
bench_add(bench_series_t *series, double value)
{
    series->value[series->count++] = value;
}


static inline int
bench_compare(const void *a, const void *b)
{
    double x = *(const double *) a, y = *(const double *) b;

    return (x > y) - (x < y);
}


/* of a sorted series; the smallest value that `share` of all do not exceed */
static inline double
bench_quantile(const bench_series_t *series, double share)
{
    size_t i = (size_t) (share * (double) series->count);

    return series->value[i < series->count ? i : series->count - 1];
}


static inline void
bench_head(const char *what)
{
    printf("%-54s %8s %8s %8s %8s %8s\n", what, "min", "p50", "p99", "p99.9",
           "max");
}


/* A row of milliseconds; sorts the series. */
static inline void
bench_row(const char *what, bench_series_t *series)
{
    qsort(series->value, series->count, sizeof(double), bench_compare);

    printf("%-54s %8.3f %8.3f %8.3f %8.3f %8.3f\n", what,
           series->value[0] * 1e3, bench_quantile(series, 0.5) * 1e3,
           bench_quantile(series, 0.99) * 1e3,
           bench_quantile(series, 0.999) * 1e3,
           series->value[series->count - 1] * 1e3);
}

#endif /* BENCH_BENCH_H */
