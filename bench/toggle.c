/*
 * Copyright (C) 2026 the ngx_http_apikey_module authors
 *
 * How long a change takes from the store's answer to the last worker's first
 * refusal, beside what a bare PUBLISH takes on the same machine in the same
 * moment: one key, disabled and enabled again and again.
 *
 * Each round takes three measures, one after the other, so that whatever else
 * the machine does disturbs all alike:
 *
 *   raw    PUBLISH of a message as large as a real event, until a subscriber
 *          has it
 *   http   a disable, until every worker has refused a request
 *   table  a disable, until the shared memory that the workers read says so
 *
 * The sender and all receivers are one thread with one poll(), so the times
 * are of one clock, CLOCK_MONOTONIC.  A worker is asked back to back over a
 * connection of its own; the time that it was last asked in is the resolution
 * of the http measure, and is printed.  For the table the thread spins.
 *
 * usage: toggle SOCKET STORE KEY_ID PORT PATH WORKERS TABLE ROUNDS
 *
 * The key's text and its digest in hex are read from standard input, a line
 * each.  Every response must name its worker in X-Worker.
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

#include <hiredis/hiredis.h>
#include <netinet/tcp.h>

#include "key/key.h"
#include "table/read.h"

#define WORKERS_MAX  16
#define RESPONSE_MAX 8192
#define TRIES_MAX    1000 /* connections, until each worker has one */
#define PATIENCE     5.0  /* seconds, for anything */
#define EVENT_SIZE   600  /* bytes, about what a change of a key takes */

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

typedef struct {
    size_t  count;
    double *value; /* seconds */
} series_t;

typedef struct {
    redisContext *redis;
    redisContext *subscriber;
    const char   *store;
    const char   *key_id;

    struct sockaddr_in address;
    char               request[APIKEY_TEXT_MAX + 512];
    size_t             request_len;

    int    gates;
    gate_t gate[WORKERS_MAX];

    apikey_table_t table;
    uint8_t        digest[APIKEY_DIGEST_LEN];
} bench_t;


static void __attribute__((noreturn, format(printf, 1, 2)))
fail(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    fputs("toggle: ", stderr);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
    va_end(args);

    exit(1);
}

static double
now(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);

    return (double) ts.tv_sec + (double) ts.tv_nsec / 1e9;
}


/* ---- figures ------------------------------------------------------------ */

static void
add(series_t *series, double value)
{
    series->value[series->count++] = value;
}

static int
compare(const void *a, const void *b)
{
    double x = *(const double *) a, y = *(const double *) b;

    return (x > y) - (x < y);
}

/* of a sorted series; the smallest value that `share` of all do not exceed */
static double
quantile(const series_t *series, double share)
{
    size_t i = (size_t) (share * (double) series->count);

    return series->value[i < series->count ? i : series->count - 1];
}

static void
print(const char *what, series_t *series)
{
    qsort(series->value, series->count, sizeof(double), compare);

    printf("%-52s %8.3f %8.3f %8.3f\n", what, quantile(series, 0.5) * 1e3,
           quantile(series, 0.99) * 1e3,
           series->value[series->count - 1] * 1e3);
}

static void
ratio(const char *what, const series_t *series, const series_t *raw)
{
    printf("%-52s %8.2f %8.2f\n", what,
           quantile(series, 0.5) / quantile(raw, 0.5),
           quantile(series, 0.99) / quantile(raw, 0.99));
}


/* ---- Redis -------------------------------------------------------------- */

static redisContext *
redis_connect(const char *path)
{
    redisContext *redis = redisConnectUnix(path);

    if (redis == NULL || redis->err) {
        fail("%s: %s", path, redis ? redis->errstr : "out of memory");
    }

    return redis;
}

/* Sends what was appended, and returns the time just before. */
static double
redis_send(redisContext *redis)
{
    double sent = now();
    int    done = 0;

    while (!done) {
        if (redisBufferWrite(redis, &done) != REDIS_OK) {
            fail("redis: %s", redis->errstr);
        }
    }

    return sent;
}

/* 1 and *reply if there is one; reads only if the socket is readable. */
static int
redis_take(redisContext *redis, int readable, redisReply **reply)
{
    void *taken = NULL;

    if (readable && redisBufferRead(redis) != REDIS_OK) {
        fail("redis: %s", redis->errstr);
    }

    if (redisGetReplyFromReader(redis, &taken) != REDIS_OK) {
        fail("redis: %s", redis->errstr);
    }

    *reply = taken;

    if (*reply && (*reply)->type == REDIS_REPLY_ERROR) {
        fail("redis: %s", (*reply)->str);
    }

    return *reply != NULL;
}

static void
append_status(bench_t *bench, const char *status)
{
    redisAppendCommand(bench->redis,
                       "FCALL apikey_set_status 1 %s %s %s actor bench",
                       bench->store, bench->key_id, status);
}

static int
readable(int fd, int timeout)
{
    struct pollfd poll_fd = { fd, POLLIN, 0 };

    return poll(&poll_fd, 1, timeout) == 1;
}


/* ---- HTTP --------------------------------------------------------------- */

static void
gate_ask(bench_t *bench, gate_t *gate)
{
    gate->len = 0;
    gate->asked = now();

    if (send(gate->fd, bench->request, bench->request_len, MSG_NOSIGNAL)
        != (ssize_t) bench->request_len)
    {
        fail("cannot send to worker %d: %s", gate->worker, strerror(errno));
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
        fail("worker %d hung up", gate->worker);
    }

    gate->len += (size_t) n;
    gate->response[gate->len] = '\0';

    end = strstr(gate->response, "\r\n\r\n");

    if (end == NULL) {
        return 0;
    }

    length = header(gate->response, "\r\nContent-Length: ");

    if (length == NULL) {
        fail("a response without Content-Length:\n%s", gate->response);
    }

    if (gate->len
        < (size_t) (end + 4 - gate->response) + strtoul(length, NULL, 10))
    {
        return 0;
    }

    gate->answered = now();
    gate->took = gate->answered - gate->asked;
    gate->status = atoi(gate->response + sizeof("HTTP/1.1 ") - 1);

    return 1;
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
        fail("cannot connect to nginx: %s", strerror(errno));
    }

    setsockopt(gate->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));

    gate_ask(bench, gate);

    while (!gate_take(gate)) {
        if (!readable(gate->fd, (int) (PATIENCE * 1e3))) {
            fail("nginx does not answer");
        }
    }

    worker = header(gate->response, "\r\nX-Worker: ");

    if (worker == NULL) {
        fail("a response without X-Worker:\n%s", gate->response);
    }

    gate->worker = atoi(worker);
}

/* Opens connections until each worker has one. */
static void
gates_open(bench_t *bench, int workers)
{
    int     i, tries;
    gate_t *gate;

    for (tries = 0; bench->gates < workers; tries++) {
        if (tries == TRIES_MAX) {
            fail("%d connections met %d workers only", tries, bench->gates);
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
    times.sent = redis_send(bench->redis);

    while (!times.answered || !times.last) {
        if (poll(fds, 2, (int) (PATIENCE * 1e3)) <= 0) {
            fail("no answer to PUBLISH");
        }

        if (redis_take(bench->redis, fds[0].revents, &reply)) {
            times.answered = now();
            freeReplyObject(reply);
        }

        if (redis_take(bench->subscriber, fds[1].revents, &reply)) {
            times.last = times.first = now();
            freeReplyObject(reply);
        }
    }

    return times;
}

/*
 * Sets the status and asks every worker, back to back, until each has answered
 * with `want`.
 */
static times_t
http(bench_t *bench, const char *status, int want)
{
    int           i, left = bench->gates;
    gate_t       *gate;
    times_t       times = { 0, 0, 0, 0 };
    redisReply   *reply;
    struct pollfd fds[1 + WORKERS_MAX];

    fds[0] = (struct pollfd){ bench->redis->fd, POLLIN, 0 };

    append_status(bench, status);
    times.sent = redis_send(bench->redis);

    for (i = 0; i < bench->gates; i++) {
        gate_ask(bench, &bench->gate[i]);
        fds[1 + i] = (struct pollfd){ bench->gate[i].fd, POLLIN, 0 };
    }

    while (!times.answered || left) {
        if (poll(fds, 1 + (nfds_t) bench->gates, 1000) < 0
            || now() - times.sent > PATIENCE)
        {
            fail("no worker answers %d to a key that was set to %s", want,
                 status);
        }

        if (redis_take(bench->redis, fds[0].revents, &reply)) {
            times.answered = now();
            freeReplyObject(reply);
        }

        for (i = 0; i < bench->gates; i++) {
            gate = &bench->gate[i];

            if (fds[1 + i].revents == 0 || !gate_take(gate)) {
                continue;
            }

            if (gate->status != want) {
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
table(bench_t *bench, const char *status, apikey_status_t want)
{
    static uint64_t record[1024];
    times_t         times = { 0, 0, 0, 0 };
    redisReply     *reply;
    apikey_entry_t  entry;

    append_status(bench, status);
    times.sent = redis_send(bench->redis);

    while (!times.answered || !times.last) {
        if (now() - times.sent > PATIENCE) {
            fail("the table does not say %s", status);
        }

        if (!times.last
            && apikey_table_lookup(&bench->table, bench->digest, &entry,
                                   take_record, record)
                   == APIKEY_LOOKUP_FOUND
            && entry.status == want)
        {
            times.last = times.first = now();
        }

        if (!times.answered
            && redis_take(bench->redis, readable(bench->redis->fd, 0), &reply))
        {
            times.answered = now();
            freeReplyObject(reply);
        }

        /* the daemon may be waiting for this very processor */
        sched_yield();
    }

    return times;
}


/* ---- all of it ---------------------------------------------------------- */

static void
run(bench_t *bench, size_t rounds)
{
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

    size_t   i;
    times_t  times;
    series_t series[ALL];

    for (i = 0; i < ALL; i++) {
        series[i] = (series_t){ 0, calloc(rounds, sizeof(double)) };

        if (series[i].value == NULL) {
            fail("out of memory");
        }
    }

    for (i = 0; i < rounds; i++) {
        times = raw(bench);
        add(&series[RAW], times.last - times.sent);
        add(&series[RAW_AFTER], times.last - times.answered);

        times = http(bench, "disabled", 401);
        add(&series[HTTP], times.last - times.sent);
        add(&series[HTTP_AFTER], times.last - times.answered);
        add(&series[SKEW], times.last - times.first);
        add(&series[TRIP], bench->gate[0].took);

        http(bench, "enabled", 200);

        times = table(bench, "disabled", APIKEY_DISABLED);
        add(&series[TABLE], times.last - times.sent);
        add(&series[TABLE_AFTER], times.last - times.answered);

        http(bench, "enabled", 200);
    }

    printf("%zu rounds, %d workers; milliseconds\n\n", rounds, bench->gates);
    printf("%-52s %8s %8s %8s\n", "", "p50", "p99", "max");

    print("raw PUBLISH: sent -> subscriber has it", &series[RAW]);
    print("raw PUBLISH: answered -> subscriber has it", &series[RAW_AFTER]);
    print("disable: answered -> last worker's first refusal",
          &series[HTTP_AFTER]);
    print("disable: sent -> last worker's first refusal", &series[HTTP]);
    print("disable: answered -> the workers' table has it",
          &series[TABLE_AFTER]);
    print("disable: sent -> the workers' table has it", &series[TABLE]);
    print("first worker's refusal -> last worker's", &series[SKEW]);
    print("one request and its refusal (the http resolution)", &series[TRIP]);

    printf("\n%-52s %8s %8s\n", "ratios", "p50", "p99");
    ratio("answered -> last refusal / raw sent -> subscriber",
          &series[HTTP_AFTER], &series[RAW]);
    ratio("answered -> in the table / raw sent -> subscriber",
          &series[TABLE_AFTER], &series[RAW]);

    for (i = 0; i < ALL; i++) {
        free(series[i].value);
    }
}

static void
read_line(char *line, size_t size, const char *what)
{
    if (fgets(line, (int) size, stdin) == NULL) {
        fail("no %s on standard input", what);
    }

    line[strcspn(line, "\n")] = '\0';
}

static void
read_key(bench_t *bench, const char *path)
{
    int      i;
    char     text[APIKEY_TEXT_MAX + 2], hex[2 * APIKEY_DIGEST_LEN + 2];
    unsigned byte;

    read_line(text, sizeof(text), "key");
    read_line(hex, sizeof(hex), "digest");

    for (i = 0; i < APIKEY_DIGEST_LEN; i++) {
        if (sscanf(hex + 2 * i, "%2x", &byte) != 1) {
            fail("the digest is not hex");
        }

        bench->digest[i] = (uint8_t) byte;
    }

    bench->request_len =
        (size_t) snprintf(bench->request, sizeof(bench->request),
                          "GET %s HTTP/1.1\r\nHost: localhost\r\n"
                          "Authorization: Bearer %s\r\n\r\n",
                          path, text);
}

int
main(int argc, char **argv)
{
    static bench_t bench;
    redisReply    *reply;

    if (argc != 9) {
        fail("usage: toggle SOCKET STORE KEY_ID PORT PATH WORKERS TABLE"
             " ROUNDS");
    }

    bench.redis = redis_connect(argv[1]);
    bench.subscriber = redis_connect(argv[1]);
    bench.store = argv[2];
    bench.key_id = argv[3];
    bench.address.sin_family = AF_INET;
    bench.address.sin_port = htons((uint16_t) atoi(argv[4]));
    bench.address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);

    read_key(&bench, argv[5]);

    if (apikey_table_init(&bench.table, argv[7]) == -1) {
        fail("%s: the path is too long", argv[7]);
    }

    reply = redisCommand(bench.subscriber, "SUBSCRIBE bench");

    if (reply == NULL) {
        fail("SUBSCRIBE: %s", bench.subscriber->errstr);
    }

    freeReplyObject(reply);

    gates_open(&bench,
               atoi(argv[6]) > WORKERS_MAX ? WORKERS_MAX : atoi(argv[6]));
    run(&bench, strtoul(argv[8], NULL, 10));

    apikey_table_detach(&bench.table);
    redisFree(bench.redis);
    redisFree(bench.subscriber);

    return 0;
}
