/*
 * Copyright (C) 2026 the ngx_http_apikey_module authors
 *
 * Makes the keys FROM to TO - 1 of a benchmark, by the store's own functions,
 * pipelined.  How far it is goes to standard error.
 *
 * usage: fill SOCKET STORE PEPPER FROM TO
 *
 * The member "bench" must exist.
 */

#include "bench.h"

#define FILL_PIPE 200   /* calls before their answers are read */
#define FILL_TELL 50000 /* keys */


static void
fill_call(redisContext *redis, const char *store, uint64_t n,
          const apikey_pepper_t *pepper)
{
    char        hex[2 * APIKEY_DIGEST_LEN + 1], ring[64], name[32];
    bench_key_t key = { 0 };

    bench_key(&key, n, pepper);
    sodium_bin2hex(hex, sizeof(hex), key.digest, sizeof(key.digest));
    snprintf(ring, sizeof(ring), "%s:%016" PRIx64, pepper->id,
             pepper->fingerprint);
    snprintf(name, sizeof(name), "Key %" PRIu64, n);

    redisAppendCommand(redis,
                       "FCALL apikey_create 1 %s %s digest %s pepper %s name "
                       "%s member bench scopes checks:write actor bench",
                       store, key.id, hex, ring, name);
}


int
main(int argc, char **argv)
{
    double               began = bench_now();
    uint64_t             from, to, n, end;
    redisReply          *reply;
    redisContext        *redis;
    apikey_pepper_ring_t ring;

    if (argc != 6) {
        bench_fail("usage: fill SOCKET STORE PEPPER FROM TO");
    }

    redis = bench_connect(argv[1]);
    bench_pepper(&ring, argv[3]);
    from = strtoull(argv[4], NULL, 10);
    to = strtoull(argv[5], NULL, 10);

    for (n = from; n < to; n = end) {
        end = n + FILL_PIPE < to ? n + FILL_PIPE : to;

        for (uint64_t i = n; i < end; i++) {
            fill_call(redis, argv[2], i, &ring.pepper[0]);
        }

        for (uint64_t i = n; i < end; i++) {
            if (redisGetReply(redis, (void **) &reply) != REDIS_OK) {
                bench_fail("redis: %s", redis->errstr);
            }

            if (reply->type == REDIS_REPLY_ERROR) {
                bench_fail("redis: %s", reply->str);
            }

            freeReplyObject(reply);
        }

        if ((end - from) % FILL_TELL == 0 || end == to) {
            fprintf(stderr, "  %" PRIu64 " keys, %.0f a second\n", end,
                    (double) (end - from) / (bench_now() - began));
        }
    }

    redisFree(redis);
    apikey_pepper_ring_wipe(&ring);

    return 0;
}
