/*
 * Copyright (C) 2026 the ngx_http_apikey_module authors
 *
 * Looks into a table through the real reader, for tests.
 *
 *   tableget DIR HEXDIGEST...          a line each:
 *       enabled version=7 late_ms=-4980 expires=0 id=... member=...
 *           tenant=... name=... scopes=...
 *       unknown late_ms=-4980
 *       unavailable error=...
 *   tableget DIR -                     digests on standard input, a line each
 *   tableget --watch DIR HEXDIGEST...  looks them up without a pause until
 *       TERM, and tells what was seen, a line for each stretch of equal
 *       answers: which digest (0, 1, ...), the answer (enabled, disabled,
 *       revoked, unknown; stale for any of them behind the deadline;
 *       unavailable), and the nanoseconds of CLOCK_MONOTONIC at which the
 *       first and the last look-up that gave it began
 *   tableget --control DIR             what the control page says, a line
 *       each: generation, keys, deadline_ms, pepper, and the daemon's figures
 */

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "table/figure.h"
#include "table/read.h"

static apikey_table_t        table;
static volatile sig_atomic_t stopped;

/* What --watch has seen of a digest. */
typedef struct {
    uint8_t     digest[APIKEY_TABLE_DIGEST_LEN];
    const char *answer; /* NULL at first */
    int64_t     first, last;
} watched_t;


static void *
scratch(void *ctx, size_t size)
{
    static _Alignas(16) unsigned char memory[APIKEY_RECORD_SIZE_MAX];

    (void) ctx;

    return size <= sizeof(memory) ? memory : NULL;
}


static int
parse_digest(uint8_t digest[static APIKEY_TABLE_DIGEST_LEN], const char *hex)
{
    size_t   i;
    unsigned byte;

    if (strlen(hex) != 2 * APIKEY_TABLE_DIGEST_LEN) {
        return -1;
    }

    for (i = 0; i < APIKEY_TABLE_DIGEST_LEN; i++) {
        if (sscanf(hex + 2 * i, "%2x", &byte) != 1) {
            return -1;
        }

        digest[i] = (uint8_t) byte;
    }

    return 0;
}


static const char *
status_name(apikey_status_t status)
{
    switch (status) {
    case APIKEY_ENABLED:
        return "enabled";
    case APIKEY_DISABLED:
        return "disabled";
    case APIKEY_REVOKED:
        return "revoked";
    default:
        return "nonsense";
    }
}


/* The table's answer; a reader that is not attached tries every 100 ms. */
static apikey_lookup_t
look_up(const uint8_t *digest, apikey_entry_t *entry)
{
    if (apikey_table_attach(&table) != APIKEY_TABLE_OK) {
        return APIKEY_LOOKUP_UNAVAILABLE;
    }

    return apikey_table_lookup(&table, digest, entry, scratch, NULL);
}


static void
get(const char *hex)
{
    uint8_t        digest[APIKEY_TABLE_DIGEST_LEN];
    apikey_texts_t t;
    apikey_entry_t entry;

    if (parse_digest(digest, hex) != 0) {
        printf("nonsense\n");
        return;
    }

    switch (look_up(digest, &entry)) {
    case APIKEY_LOOKUP_FOUND:
        apikey_table_texts(entry.record, &t);
        printf("%s version=%" PRIu64 " late_ms=%" PRId64 " expires=%" PRIu64
               " id=%.*s member=%.*s tenant=%.*s name=%.*s scopes=%.*s\n",
               status_name(entry.status), entry.version, entry.late / 1000,
               entry.record->expires, (int) t.id_len, t.id, (int) t.member_len,
               t.member, (int) t.tenant_len, t.tenant, (int) t.name_len,
               t.name, (int) t.scopes_len, t.scopes);
        break;

    case APIKEY_LOOKUP_UNKNOWN:
        printf("unknown late_ms=%" PRId64 "\n", entry.late / 1000);
        break;

    case APIKEY_LOOKUP_UNAVAILABLE:
        printf("unavailable error=%s\n", apikey_table_strerror(table.error));
        break;
    }
}


static void
get_from_input(void)
{
    char line[256];

    while (fgets(line, sizeof(line), stdin) != NULL) {
        line[strcspn(line, "\r\n")] = '\0';
        get(line);
    }
}


static void
stop(int number)
{
    (void) number;

    stopped = 1;
}


static const char *
answer_of(const uint8_t *digest)
{
    apikey_entry_t entry;

    switch (look_up(digest, &entry)) {
    case APIKEY_LOOKUP_FOUND:
        return entry.late < 0 ? status_name(entry.status) : "stale";

    case APIKEY_LOOKUP_UNKNOWN:
        return entry.late < 0 ? "unknown" : "stale";

    default:
        return "unavailable";
    }
}


static void
watch_report(const watched_t *watched, int i)
{
    if (watched->answer != NULL) {
        printf("%d %s %" PRId64 " %" PRId64 "\n", i, watched->answer,
               watched->first, watched->last);
    }
}


static void
watch_look(watched_t *watched, int i)
{
    int64_t         began;
    const char     *answer;
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    began = (int64_t) ts.tv_sec * 1000000000 + ts.tv_nsec;

    answer = answer_of(watched->digest);

    if (answer != watched->answer) {
        watch_report(watched, i);
        watched->answer = answer;
        watched->first = began;
    }

    watched->last = began;
}


static int
watch(int n, char **hex)
{
    int             i;
    watched_t      *watched = calloc((size_t) n, sizeof(watched_t));
    struct timespec pause = { .tv_nsec = 20000 };

    for (i = 0; i < n; i++) {
        if (watched == NULL || parse_digest(watched[i].digest, hex[i]) != 0) {
            free(watched);
            return 2;
        }
    }

    setvbuf(stdout, NULL, _IOLBF, 0);
    signal(SIGTERM, stop);

    while (!stopped) {
        for (i = 0; i < n; i++) {
            watch_look(&watched[i], i);
        }

        nanosleep(&pause, NULL);
    }

    for (i = 0; i < n; i++) {
        watch_report(&watched[i], i);
    }

    free(watched);

    return 0;
}


static int
show_control(void)
{
    size_t               i;
    uint64_t             value, peppers[APIKEY_TABLE_PEPPERS];
    apikey_table_error_t error;

    error = apikey_table_attach(&table);

    if (error != APIKEY_TABLE_OK
        && apikey_table_attach_control(&table) != APIKEY_TABLE_OK)
    {
        printf("error=%s\n", apikey_table_strerror(error));
        return 1;
    }

    if (table.generation != NULL) {
        printf("generation=%" PRIu64 "\n", table.generation->generation);
        printf("slots=%" PRIu64 "\n", table.slots);
        printf("keys=%" PRIu64 "\n", table.generation->enabled
                                         + table.generation->disabled
                                         + table.generation->revoked);
    }

    if (apikey_unseal(table.control->deadline, &value)) {
        printf("deadline_ms=%" PRId64 "\n",
               value ? ((int64_t) value - (int64_t) apikey_boottime()) / 1000
                     : INT64_MIN);
    }

    apikey_table_peppers(&table, peppers);

    for (i = 0; i < APIKEY_TABLE_PEPPERS; i++) {
        printf("pepper%zu=%016" PRIx64 "\n", i, peppers[i]);
    }

    for (i = 0; i < APIKEY_FIGURE_COUNT; i++) {
        printf("%s=%" PRIu64 "\n", apikey_figure_name((apikey_figure_t) i),
               (uint64_t) table.control->figure[i]);
    }

    return 0;
}


int
main(int argc, char **argv)
{
    int         i;
    const char *mode = "";

    if (argc > 1 && argv[1][0] == '-') {
        mode = argv[1];
        argc--;
        argv++;
    }

    if (argc < 2 || apikey_table_init(&table, argv[1]) != 0) {
        fprintf(stderr, "usage: tableget [--watch | --control] DIR "
                        "[HEXDIGEST...]\n");
        return 2;
    }

    if (strcmp(mode, "--control") == 0) {
        return show_control();
    }

    if (strcmp(mode, "--watch") == 0 && argc > 2) {
        return watch(argc - 2, argv + 2);
    }

    if (argc == 3 && strcmp(argv[2], "-") == 0) {
        get_from_input();
        return 0;
    }

    for (i = 2; i < argc; i++) {
        get(argv[i]);
    }

    return 0;
}
