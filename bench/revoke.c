/*
 * Copyright (C) 2026 the ngx_http_apikey_module authors
 *
 * How long a revocation takes from the store's answer to the last worker's
 * first refusal, beside what a bare PUBLISH takes on the same machine in the
 * same moment.
 *
 * Each round takes three measures, one after the other, so that whatever else
 * the machine does disturbs all alike:
 *
 *   raw    PUBLISH of a message as large as a real event, until a subscriber
 *          has it
 *   http   a revoke, until every worker has refused a request
 *   table  a revoke, until the shared memory that the workers read says so
 *
 * The sender and all receivers are one thread with one poll(), so the times
 * are of one clock, CLOCK_MONOTONIC.  A worker is asked back to back over a
 * connection of its own; the time that it was last asked in is the resolution
 * of the http measure, and is printed.  For the table the thread spins.
 *
 * usage: revoke SOCKET STORE PEPPER PORT PATH WORKERS TABLE FROM MAX
 *
 * Takes the keys of bench/fill.c from FROM on, each once, in at most MAX
 * rounds, and its orders from standard input, a line each:
 *
 *   idle N    N rounds
 *   resync N  N rounds, in which a full resync is forced as soon as the last
 *             one has come to its end
 *   growth K  creates the key K, which is to be the one that makes the table
 *             grow; then rounds until it has grown, and some more
 *   report    a table of all rounds since the last report, and an empty line
 *
 * Every response must name its worker in X-Worker.
 */

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <netinet/tcp.h>

#include "bench.h"
#include "table/read.h"

#define WORKERS_MAX  16
#define RESPONSE_MAX 8192
#define TRIES_MAX    1000 /* connections, until each worker has one */
#define PATIENCE     10.0 /* seconds, for anything */
#define EVENT_SIZE   600  /* bytes, about what a change of a key takes */
#define GROWN_MORE   200  /* rounds, after the larger table was published */

typedef struct {
    int    fd;
    int    worker;   /* process id */
    double asked;    /* when the request under way was sent */
    double took;     /* of the last request */
    double answered; /* when the last response had come */
    int    status;   /* of the last response */
    size_t len;      /* bytes of the response under way */
    char   response[RESPONSE_MAX];
} gate_t;

/* what is measured */
enum {
    RAW,
    RAW_AFTER,
    HTTP,
    HTTP_AFTER,
    SKEW,
    TRIP,
    TABLE,
    TABLE_AFTER,
    ALL
};

typedef struct {
    redisContext *redis;
    redisContext *subscriber;
    redisContext *side; /* what is not measured goes this way */
    const char   *store;

    apikey_pepper_ring_t ring;
    bench_key_t          key;  /* of the present measure */
    uint64_t             next; /* key */

    struct sockaddr_in address;
    const char        *path;
    char               request[APIKEY_TEXT_MAX + 512];
    size_t             request_len;

    int    gates;
    gate_t gate[WORKERS_MAX];

    apikey_table_t table;
    uint64_t       snapshots; /* that the daemon had taken when we looked */
    uint64_t       resyncs;

    size_t         max; /* rounds */
    bench_series_t series[ALL];
} bench_t;


/* The next key, which nobody has revoked yet. */
static void
next_key(bench_t *bench)
{
    bench_key(&bench->key, bench->next++, &bench->ring.pepper[0]);
}

static void
append_revoke(bench_t *bench)
{
    redisAppendCommand(bench->redis,
                       "FCALL apikey_set_status 1 %s %s revoked actor bench",
                       bench->store, bench->key.id);
}


/* ---- HTTP --------------------------------------------------------------- */

static void
gate_ask(bench_t *bench, gate_t *gate)
{
    gate->len = 0;
    gate->asked = bench_now();

    if (send(gate->fd, bench->request, bench->request_len, MSG_NOSIGNAL)
        != (ssize_t) bench->request_len)
    {
        bench_fail("cannot send to worker %d: %s", gate->worker,
                   strerror(errno));
    }
}

static const char *
header(const char *response, const char *name)
{
    const char *at = strcasestr(response, name);

    return at ? at + strlen(name) : NULL;
}

/* 1 if the whole response has come, and then its status is noted. */
static int
gate_take(gate_t *gate)
{
    ssize_t     n;
    const char *end, *length;

    n = recv(gate->fd, gate->response + gate->len,
             RESPONSE_MAX - 1 - gate->len, MSG_DONTWAIT);

    if (n < 0 && errno == EAGAIN) {
        return 0;
    }

    if (n <= 0) {
        bench_fail("worker %d hung up", gate->worker);
    }

    gate->len += (size_t) n;
    gate->response[gate->len] = '\0';

    end = strstr(gate->response, "\r\n\r\n");

    if (end == NULL) {
        return 0;
    }

    length = header(gate->response, "\r\nContent-Length: ");

    if (length == NULL) {
        bench_fail("a response without Content-Length:\n%s", gate->response);
    }

    if (gate->len
        < (size_t) (end + 4 - gate->response) + strtoul(length, NULL, 10))
    {
        return 0;
    }

    gate->answered = bench_now();
    gate->took = gate->answered - gate->asked;
    gate->status = atoi(gate->response + sizeof("HTTP/1.1 ") - 1);

    return 1;
}

static void
gate_answer(bench_t *bench, gate_t *gate)
{
    gate_ask(bench, gate);

    while (!gate_take(gate)) {
        if (!bench_readable(gate->fd, (int) (PATIENCE * 1e3))) {
            bench_fail("nginx does not answer");
        }
    }
}

static void
gate_open(bench_t *bench, gate_t *gate)
{
    int         one = 1;
    const char *worker;

    gate->worker = 0;
    gate->fd = socket(AF_INET, SOCK_STREAM, 0);

    if (gate->fd == -1
        || connect(gate->fd, (struct sockaddr *) &bench->address,
                   sizeof(bench->address))
               == -1)
    {
        bench_fail("cannot connect to nginx: %s", strerror(errno));
    }

    setsockopt(gate->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));

    gate_answer(bench, gate);

    worker = header(gate->response, "\r\nX-Worker: ");

    if (worker == NULL) {
        bench_fail("a response without X-Worker:\n%s", gate->response);
    }

    gate->worker = atoi(worker);
}

/* Opens connections until each worker has one. */
static void
gates_open(bench_t *bench, int workers)
{
    int     i, tries;
    gate_t *gate;

    bench->request_len = (size_t) snprintf(
        bench->request, sizeof(bench->request),
        "GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n", bench->path);

    for (tries = 0; bench->gates < workers; tries++) {
        if (tries == TRIES_MAX) {
            bench_fail("%d connections met %d workers only", tries,
                       bench->gates);
        }

        gate = &bench->gate[bench->gates];
        gate_open(bench, gate);

        for (i = 0; i < bench->gates; i++) {
            if (bench->gate[i].worker == gate->worker) {
                break;
            }
        }

        if (i < bench->gates) {
            close(gate->fd);
            continue;
        }

        bench->gates++;
    }
}


/* ---- the three measures ------------------------------------------------- */

typedef struct {
    double sent;     /* the command */
    double answered; /* the store's answer was read */
    double first;    /* the first receiver had it */
    double last;     /* the last one had it */
} times_t;

static times_t
raw(bench_t *bench)
{
    static char   event[EVENT_SIZE];
    times_t       times = { 0, 0, 0, 0 };
    redisReply   *reply;
    struct pollfd fds[2] = { { bench->redis->fd, POLLIN, 0 },
                             { bench->subscriber->fd, POLLIN, 0 } };

    memset(event, 'x', sizeof(event));
    redisAppendCommand(bench->redis, "PUBLISH bench %b", event, sizeof(event));
    times.sent = bench_send(bench->redis);

    while (!times.answered || !times.last) {
        if (poll(fds, 2, (int) (PATIENCE * 1e3)) <= 0) {
            bench_fail("no answer to PUBLISH");
        }

        if (bench_take(bench->redis, fds[0].revents, &reply)) {
            times.answered = bench_now();
            freeReplyObject(reply);
        }

        if (bench_take(bench->subscriber, fds[1].revents, &reply)) {
            times.last = times.first = bench_now();
            freeReplyObject(reply);
        }
    }

    return times;
}

/* The key's request, which every worker must let pass before it is revoked. */
static void
request_key(bench_t *bench, const char *path)
{
    int i;

    bench->request_len =
        (size_t) snprintf(bench->request, sizeof(bench->request),
                          "GET %s HTTP/1.1\r\nHost: localhost\r\n"
                          "Authorization: Bearer %s\r\n\r\n",
                          path, bench->key.text);

    for (i = 0; i < bench->gates; i++) {
        gate_answer(bench, &bench->gate[i]);

        if (bench->gate[i].status != 200) {
            bench_fail("worker %d answers %d to a good key",
                       bench->gate[i].worker, bench->gate[i].status);
        }
    }
}

/* Revokes and asks every worker, back to back, until each has refused. */
static times_t
http(bench_t *bench)
{
    int           i, left = bench->gates;
    gate_t       *gate;
    times_t       times = { 0, 0, 0, 0 };
    redisReply   *reply;
    struct pollfd fds[1 + WORKERS_MAX];

    next_key(bench);
    request_key(bench, bench->path);

    fds[0] = (struct pollfd){ bench->redis->fd, POLLIN, 0 };

    append_revoke(bench);
    times.sent = bench_send(bench->redis);

    for (i = 0; i < bench->gates; i++) {
        gate_ask(bench, &bench->gate[i]);
        fds[1 + i] = (struct pollfd){ bench->gate[i].fd, POLLIN, 0 };
    }

    while (!times.answered || left) {
        if (poll(fds, 1 + (nfds_t) bench->gates, 1000) < 0
            || bench_now() - times.sent > PATIENCE)
        {
            bench_fail("%s was revoked, and not refused", bench->key.id);
        }

        if (bench_take(bench->redis, fds[0].revents, &reply)) {
            times.answered = bench_now();
            freeReplyObject(reply);
        }

        for (i = 0; i < bench->gates; i++) {
            gate = &bench->gate[i];

            if (fds[1 + i].revents == 0 || !gate_take(gate)) {
                continue;
            }

            if (gate->status != 401) {
                gate_ask(bench, gate);
                continue;
            }

            times.last = gate->answered;
            times.first = times.first ? times.first : gate->answered;
            fds[1 + i].fd = -1; /* poll() passes it over */
            left--;
        }
    }

    return times;
}

static void *
take_record(void *ctx, size_t size)
{
    (void) size;

    return ctx;
}

static times_t
table(bench_t *bench)
{
    static uint64_t record[1024];
    times_t         times = { 0, 0, 0, 0 };
    redisReply     *reply;
    apikey_entry_t  entry;

    next_key(bench);
    append_revoke(bench);
    times.sent = bench_send(bench->redis);

    while (!times.answered || !times.last) {
        if (bench_now() - times.sent > PATIENCE) {
            bench_fail("%s was revoked, and the table does not say so",
                       bench->key.id);
        }

        if (!times.last
            && apikey_table_lookup(&bench->table, bench->key.digest, &entry,
                                   take_record, record)
                   == APIKEY_LOOKUP_FOUND
            && entry.status == APIKEY_REVOKED)
        {
            times.last = times.first = bench_now();
        }

        if (!times.answered
            && bench_take(bench->redis, bench_readable(bench->redis->fd, 0),
                          &reply))
        {
            times.answered = bench_now();
            freeReplyObject(reply);
        }

        /* the daemon may be waiting for this very processor */
        sched_yield();
    }

    return times;
}


/* ---- rounds ------------------------------------------------------------- */

static void
one_round(bench_t *bench)
{
    times_t         times;
    bench_series_t *series = bench->series;

    if (series[RAW].count == bench->max) {
        bench_fail("more than %zu rounds", bench->max);
    }

    times = raw(bench);
    bench_add(&series[RAW], times.last - times.sent);
    bench_add(&series[RAW_AFTER], times.last - times.answered);

    times = http(bench);
    bench_add(&series[HTTP], times.last - times.sent);
    bench_add(&series[HTTP_AFTER], times.last - times.answered);
    bench_add(&series[SKEW], times.last - times.first);
    bench_add(&series[TRIP], bench->gate[0].took);

    times = table(bench);
    bench_add(&series[TABLE], times.last - times.sent);
    bench_add(&series[TABLE_AFTER], times.last - times.answered);
}

static void
side(bench_t *bench, const char *format, ...)
{
    va_list     args;
    redisReply *reply;

    va_start(args, format);
    reply = redisvCommand(bench->side, format, args);
    va_end(args);

    if (reply == NULL || reply->type == REDIS_REPLY_ERROR) {
        bench_fail("redis: %s", reply ? reply->str : bench->side->errstr);
    }

    freeReplyObject(reply);
}

/* The chain of another history: the edge finds that it was on another branch,
   and reads everything anew. */
static void
force_resync(bench_t *bench)
{
    uint64_t taken = bench->table.control->figure[APIKEY_FIGURE_SNAPSHOTS];

    if (taken == bench->snapshots) {
        return;
    }

    bench->snapshots = taken;
    bench->resyncs++;
    side(bench, "HSET %s:meta chain %040" PRIx64, bench->store,
         bench->resyncs);
}

static void
run_idle(bench_t *bench, uint64_t rounds)
{
    while (rounds-- > 0) {
        one_round(bench);
    }
}

static void
run_resync(bench_t *bench, uint64_t rounds)
{
    while (rounds-- > 0) {
        force_resync(bench);
        one_round(bench);
    }

    while (bench->table.control->figure[APIKEY_FIGURE_SNAPSHOTS]
           == bench->snapshots)
    {
        usleep(1000);
    }

    fprintf(stderr, "  %" PRIu64 " resyncs\n", bench->resyncs);
}

static void
run_growth(bench_t *bench, uint64_t key)
{
    char        hex[2 * APIKEY_DIGEST_LEN + 1];
    size_t      before = bench->series[RAW].count;
    uint64_t    grown = bench->table.control->figure[APIKEY_FIGURE_GROWTHS];
    bench_key_t last = { 0 };

    bench_key(&last, key, &bench->ring.pepper[0]);
    sodium_bin2hex(hex, sizeof(hex), last.digest, sizeof(last.digest));
    side(bench,
         "FCALL apikey_create 1 %s %s digest %s pepper %s:%016" PRIx64
         " name last member bench actor bench",
         bench->store, last.id, hex, bench->ring.pepper[0].id,
         bench->ring.pepper[0].fingerprint);

    while (bench->table.control->figure[APIKEY_FIGURE_GROWTHS] == grown) {
        one_round(bench);
    }

    fprintf(stderr, "  %zu rounds while it grew\n",
            bench->series[RAW].count - before);
    run_idle(bench, GROWN_MORE);
}

static void
ratio(const char *what, const bench_series_t *series,
      const bench_series_t *raw_series)
{
    printf("%-54s %8s %8.2f %8.2f\n", what, "",
           bench_quantile(series, 0.5) / bench_quantile(raw_series, 0.5),
           bench_quantile(series, 0.99) / bench_quantile(raw_series, 0.99));
}

static void
report(bench_t *bench)
{
    int             i;
    char            what[64];
    bench_series_t *series = bench->series;

    snprintf(what, sizeof(what), "%zu rounds, %d workers; milliseconds",
             series[RAW].count, bench->gates);
    bench_head(what);

    bench_row("raw PUBLISH: sent -> subscriber has it", &series[RAW]);
    bench_row("raw PUBLISH: answered -> subscriber has it",
              &series[RAW_AFTER]);
    bench_row("revoke: answered -> last worker's first refusal",
              &series[HTTP_AFTER]);
    bench_row("revoke: sent -> last worker's first refusal", &series[HTTP]);
    bench_row("revoke: answered -> the workers' table has it",
              &series[TABLE_AFTER]);
    bench_row("revoke: sent -> the workers' table has it", &series[TABLE]);
    bench_row("first worker's refusal -> last worker's", &series[SKEW]);
    bench_row("one request and its refusal (the http resolution)",
              &series[TRIP]);

    ratio("ratio: answered -> last refusal / raw sent -> has it",
          &series[HTTP_AFTER], &series[RAW]);
    ratio("ratio: answered -> in the table / raw sent -> has it",
          &series[TABLE_AFTER], &series[RAW]);
    printf("\n");
    fflush(stdout);

    for (i = 0; i < ALL; i++) {
        series[i].count = 0;
    }
}

static void
obey(bench_t *bench, const char *line)
{
    uint64_t n;

    if (sscanf(line, "idle %" SCNu64, &n) == 1) {
        run_idle(bench, n);

    } else if (sscanf(line, "resync %" SCNu64, &n) == 1) {
        run_resync(bench, n);

    } else if (sscanf(line, "growth %" SCNu64, &n) == 1) {
        run_growth(bench, n);

    } else if (strcmp(line, "report\n") == 0) {
        report(bench);
        return;

    } else {
        bench_fail("no such order: %s", line);
    }

    printf("done\n");
    fflush(stdout);
}

int
main(int argc, char **argv)
{
    int            i, workers;
    char           line[128];
    static bench_t bench;
    redisReply    *reply;

    if (argc != 10) {
        bench_fail("usage: revoke SOCKET STORE PEPPER PORT PATH WORKERS TABLE"
                   " FROM MAX");
    }

    bench.redis = bench_connect(argv[1]);
    bench.subscriber = bench_connect(argv[1]);
    bench.side = bench_connect(argv[1]);
    bench.store = argv[2];
    bench.path = argv[5];
    bench.next = strtoull(argv[8], NULL, 10);
    bench.max = strtoul(argv[9], NULL, 10);
    bench.address.sin_family = AF_INET;
    bench.address.sin_port = htons((uint16_t) atoi(argv[4]));
    bench.address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);

    bench_pepper(&bench.ring, argv[3]);

    if (apikey_table_init(&bench.table, argv[7]) == -1
        || apikey_table_attach(&bench.table) != APIKEY_TABLE_OK)
    {
        bench_fail("%s: %s", argv[7],
                   apikey_table_strerror(bench.table.error));
    }

    for (i = 0; i < ALL; i++) {
        bench_series(&bench.series[i], bench.max);
    }

    reply = redisCommand(bench.subscriber, "SUBSCRIBE bench");

    if (reply == NULL) {
        bench_fail("SUBSCRIBE: %s", bench.subscriber->errstr);
    }

    freeReplyObject(reply);

    workers = atoi(argv[6]);
    gates_open(&bench, workers < WORKERS_MAX ? workers : WORKERS_MAX);

    while (fgets(line, sizeof(line), stdin) != NULL) {
        obey(&bench, line);
    }

    apikey_table_detach(&bench.table);
    apikey_pepper_ring_wipe(&bench.ring);
    redisFree(bench.redis);
    redisFree(bench.subscriber);
    redisFree(bench.side);

    return 0;
}
