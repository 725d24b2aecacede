/*
 * Copyright (C) 2026 the ngx_http_apikey_module authors
 *
 * Log lines on stderr: one a call, `level=… msg=… key=value …`, written with
 * one write(2).  Under systemd each begins with the journal's "<priority>";
 * elsewhere with the time.
 *
 * Values come from a store that others can write to: whatever is not plain is
 * quoted, so that no value can pose as a key or as another line.  Never pass
 * a digest.
 */

#ifndef APIKEY_SYNC_LOG_H
#define APIKEY_SYNC_LOG_H

#include <stddef.h>
#include <stdint.h>

/* The values are syslog's. */
typedef enum {
    APIKEY_LOG_ERROR = 3,
    APIKEY_LOG_WARNING = 4,
    APIKEY_LOG_NOTICE = 5,
    APIKEY_LOG_INFO = 6,
    APIKEY_LOG_DEBUG = 7
} apikey_log_level_t;

typedef struct {
    const char *key;
    const char *text; /* NULL: the number */
    uint64_t    number;
} apikey_log_pair_t;

#define apikey_text(key, value) \
    {                           \
        key, value, 0           \
    }
#define apikey_number(key, value) \
    {                             \
        key, NULL, value          \
    }

/* apikey_log(APIKEY_LOG_INFO, "connected", apikey_text("store", url), ...) */
#define apikey_log(level, message, ...)                                       \
    apikey_log_line(level,                                                    \
                    (const apikey_log_pair_t[]){ apikey_text("msg", message), \
                                                 ##__VA_ARGS__,               \
                                                 { NULL, NULL, 0 } })

void apikey_log_line(apikey_log_level_t level, const apikey_log_pair_t *pairs);

/* Lines above this level are not written; APIKEY_LOG_INFO at first. */
void apikey_log_limit(apikey_log_level_t level);

/* "error" … "debug"; 0 and the level, or -1. */
int apikey_log_level(const char *name, apikey_log_level_t *level);


/*
 * Keeps one recurring trouble from filling the log: returns 1 if the text
 * differs, but for numbers in it, from that of the last line that was let
 * through, or that one is older than 30 seconds.
 */
typedef struct {
    uint64_t written; /* nanoseconds, monotonic; 0 never */
    char     text[160];
} apikey_log_throttle_t;

int apikey_log_again(apikey_log_throttle_t *throttle, const char *text);

#endif /* APIKEY_SYNC_LOG_H */
