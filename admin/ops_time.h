/*
 * Copyright (C) 2026 the ngx_http_apikey_module authors
 *
 * Times as people write and read them.
 */

#ifndef APIKEY_ADMIN_OPS_TIME_H
#define APIKEY_ADMIN_OPS_TIME_H

#include <stddef.h>
#include <stdint.h>

/* "2026-12-31T23:59:59.123Z" and a terminator, for any year of four digits */
#define APIKEY_TIME_SIZE 32

/*
 * A whole number and a unit: ms s m h d w, as in 500ms, 12h, 30d.  Returns 0
 * and milliseconds, at most 10 years of 366 days; or -1.
 */
int apikey_duration_parse(const char *text, uint64_t *ms);

/*
 * A moment that has been: an RFC 3339 date-time as below, or a duration back
 * from `now`.  Milliseconds since 1970.  Returns 0, or -1.
 */
int apikey_past_parse(const char *text, uint64_t now, uint64_t *ms);

/*
 * A moment to expire at: an RFC 3339 date-time (2026-12-31T23:59:59Z, with
 * any offset; fractions of a second are dropped), a duration from `now`, a
 * number of seconds since 1970, or "never".  `now` is in seconds since 1970.
 * Returns 0 and seconds since 1970, 0 for never; or -1 with a sentence in
 * error, also for a moment that is not after now.
 */
int apikey_expiry_parse(const char *text, uint64_t now, uint64_t *expires,
                        char *error, size_t error_size);

/* RFC 3339 in UTC, to the second or, with _ms, to the millisecond. */
void apikey_time_show(char buffer[static APIKEY_TIME_SIZE], uint64_t seconds);
void apikey_time_show_ms(char     buffer[static APIKEY_TIME_SIZE],
                         uint64_t milliseconds);

#endif /* APIKEY_ADMIN_OPS_TIME_H */
