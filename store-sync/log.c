/*
 * Copyright (C) 2026 the ngx_http_apikey_module authors
 *
 * Builds a log line and writes it to stderr.
 */

#include "log.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define LOG_LINE_MAX    2048
#define LOG_AGAIN_AFTER 30000000000ULL /* nanoseconds */

typedef struct {
    char   text[LOG_LINE_MAX];
    size_t len;
} log_line_t;

static const struct {
    const char        *name;
    apikey_log_level_t level;
} log_levels[] = {
    { "error", APIKEY_LOG_ERROR },   { "warning", APIKEY_LOG_WARNING },
    { "notice", APIKEY_LOG_NOTICE }, { "info", APIKEY_LOG_INFO },
    { "debug", APIKEY_LOG_DEBUG },
};

#define LOG_LEVELS (sizeof(log_levels) / sizeof(log_levels[0]))

static apikey_log_level_t log_limit = APIKEY_LOG_INFO;


/* Leaves room for the closing quote and the end of the line. */
static void
add_bytes(log_line_t *line, const char *bytes, size_t len)
{
    if (len > LOG_LINE_MAX - 4 - line->len) {
        len = LOG_LINE_MAX - 4 - line->len;
    }

    memcpy(line->text + line->len, bytes, len);
    line->len += len;
}


static int
is_plain(const char *text)
{
    if (*text == '\0') {
        return 0;
    }

    for (; *text; text++) {
        if (!isalnum((unsigned char) *text)
            && strchr("_-.:/@{}+%[]?", *text) == NULL) {
            return 0;
        }
    }

    return 1;
}


static void
add_value(log_line_t *line, const char *text)
{
    char escaped[5];

    if (is_plain(text)) {
        add_bytes(line, text, strlen(text));
        return;
    }

    add_bytes(line, "\"", 1);

    for (; *text; text++) {
        if (*text == '"' || *text == '\\') {
            snprintf(escaped, sizeof(escaped), "\\%c", *text);

        } else if (*text < 0x20 || *text > 0x7e) {
            snprintf(escaped, sizeof(escaped), "\\x%02x",
                     (unsigned char) *text);

        } else {
            add_bytes(line, text, 1);
            continue;
        }

        add_bytes(line, escaped, strlen(escaped));
    }

    /* there is always room for it: see add_bytes() */
    line->text[line->len++] = '"';
}


static void
add_pair(log_line_t *line, const char *key, const char *value)
{
    if (line->len > 0 && line->text[line->len - 1] != '>') {
        add_bytes(line, " ", 1);
    }

    add_bytes(line, key, strlen(key));
    add_bytes(line, "=", 1);
    add_value(line, value);
}


/* Is stderr the journal's?  systemd.exec(5), JOURNAL_STREAM. */
static int
is_journal(void)
{
    static int        answer = -1;
    char              mine[64];
    struct stat       st;
    const char *const stream = getenv("JOURNAL_STREAM");

    if (answer == -1) {
        answer = 0;

        if (stream != NULL && fstat(STDERR_FILENO, &st) == 0) {
            snprintf(mine, sizeof(mine), "%llu:%llu",
                     (unsigned long long) st.st_dev,
                     (unsigned long long) st.st_ino);
            answer = strcmp(stream, mine) == 0;
        }
    }

    return answer;
}


static void
add_time(log_line_t *line)
{
    char            text[64];
    size_t          len;
    struct tm       tm;
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &tm);

    len = strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &tm);
    snprintf(text + len, sizeof(text) - len, ".%03ldZ", now.tv_nsec / 1000000);

    add_pair(line, "time", text);
}


void
apikey_log_line(apikey_log_level_t level, const apikey_log_pair_t *pairs)
{
    char       number[32];
    size_t     i;
    ssize_t    n;
    log_line_t line = { .len = 0 };

    if (level > log_limit) {
        return;
    }

    if (is_journal()) {
        line.len = (size_t) snprintf(line.text, LOG_LINE_MAX, "<%d>", level);
    } else {
        add_time(&line);
    }

    for (i = 0; i < LOG_LEVELS; i++) {
        if (log_levels[i].level == level) {
            add_pair(&line, "level", log_levels[i].name);
        }
    }

    for (; pairs->key != NULL; pairs++) {
        snprintf(number, sizeof(number), "%llu",
                 (unsigned long long) pairs->number);
        add_pair(&line, pairs->key, pairs->text ? pairs->text : number);
    }

    line.text[line.len++] = '\n';

    /* a log that can't be written is no reason to stop */
    n = write(STDERR_FILENO, line.text, line.len);
    (void) n;
}


void
apikey_log_limit(apikey_log_level_t level)
{
    log_limit = level;
}


int
apikey_log_level(const char *name, apikey_log_level_t *level)
{
    size_t i;

    for (i = 0; i < LOG_LEVELS; i++) {
        if (strcmp(log_levels[i].name, name) == 0) {
            *level = log_levels[i].level;
            return 0;
        }
    }

    return -1;
}


/* Milliseconds, or the number of a generation, do not make another trouble. */
static int
same_but_for_numbers(const char *a, const char *b)
{
    while (*a || *b) {
        a += strspn(a, "0123456789");
        b += strspn(b, "0123456789");

        if (*a != *b) {
            return 0;
        }

        if (*a) {
            a++;
            b++;
        }
    }

    return 1;
}


int
apikey_log_again(apikey_log_throttle_t *throttle, const char *text)
{
    char            kept[sizeof(throttle->text)];
    uint64_t        now;
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    now = (uint64_t) ts.tv_sec * 1000000000 + (uint64_t) ts.tv_nsec;

    snprintf(kept, sizeof(kept), "%s", text);

    if (throttle->written != 0 && now - throttle->written < LOG_AGAIN_AFTER
        && same_but_for_numbers(throttle->text, kept))
    {
        return 0;
    }

    throttle->written = now;
    strcpy(throttle->text, kept);

    return 1;
}
