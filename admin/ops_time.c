/*
 * Copyright (C) 2026 the ngx_http_apikey_module authors
 *
 * Times as people write and read them; see ops_time.h.
 */

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "admin/ops_check.h"
#include "admin/ops_time.h"

#define DURATION_MAX (10ULL * 366 * 24 * 3600 * 1000) /* milliseconds */


static int date_time_parse(const char *text, int64_t *seconds);
static int digits(const char **text, size_t count, int *number);
static int days_of(int year, int month);
static int offset_parse(const char *text, int *seconds);


int
apikey_duration_parse(const char *text, uint64_t *ms)
{
    size_t   i, len;
    uint64_t n = 0;

    static const struct {
        const char *name;
        uint64_t    ms;
    } units[] = {
        { "ms", 1 },          { "s", 1000 },         { "m", 60 * 1000 },
        { "h", 3600 * 1000 }, { "d", 86400 * 1000 }, { "w", 604800 * 1000 },
    };

    len = strspn(text, "0123456789");

    if (len == 0 || len > 12) {
        return -1;
    }

    for (i = 0; i < len; i++) {
        n = n * 10 + (uint64_t) (text[i] - '0');
    }

    for (i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
        if (strcmp(text + len, units[i].name) == 0) {
            if (n > DURATION_MAX / units[i].ms) {
                return -1;
            }

            *ms = n * units[i].ms;
            return 0;
        }
    }

    return -1;
}


int
apikey_past_parse(const char *text, uint64_t now, uint64_t *ms)
{
    int64_t  at;
    uint64_t back;

    if (apikey_duration_parse(text, &back) == 0) {
        *ms = now > back ? now - back : 0;
        return 0;
    }

    if (date_time_parse(text, &at) == -1 || at < 0) {
        return -1;
    }

    *ms = (uint64_t) at * 1000;

    return 0;
}


int
apikey_expiry_parse(const char *text, uint64_t now, uint64_t *expires,
                    char *error, size_t error_size)
{
    size_t   len;
    int64_t  at;
    uint64_t ms;
    char     shown[APIKEY_TIME_SIZE];

    if (strcmp(text, "never") == 0) {
        *expires = 0;
        return 0;
    }

    len = strlen(text);

    if (apikey_duration_parse(text, &ms) == 0) {
        at = (int64_t) (now + ms / 1000);

    } else if (len && len <= 10 && strspn(text, "0123456789") == len) {
        at = strtoll(text, NULL, 10);

    } else if (date_time_parse(text, &at) == -1) {
        snprintf(error, error_size,
                 "the expiry must be a time as in 2027-01-31T12:00:00Z, a "
                 "duration from now as in 12h or 30d, seconds since 1970, or "
                 "never");
        return -1;
    }

    if (at <= (int64_t) now) {
        apikey_time_show(shown, at < 0 ? 0 : (uint64_t) at);
        snprintf(error, error_size,
                 "the expiry must be in the future, and %s is not%s", shown,
                 strspn(text, "0123456789") == len
                     ? " (a number without a unit is seconds since 1970; for "
                       "seconds from now write 90s)"
                     : "");
        return -1;
    }

    if ((uint64_t) at > APIKEY_EXPIRES_MAX) {
        snprintf(error, error_size,
                 "the expiry is too far away: the last that there is, is "
                 "2286-11-20T17:46:39Z; for none write never");
        return -1;
    }

    *expires = (uint64_t) at;

    return 0;
}


/* RFC 3339, 5.6; a blank may stand for the T. */
static int
date_time_parse(const char *text, int64_t *seconds)
{
    int       offset;
    struct tm tm = { 0 };

    if (digits(&text, 4, &tm.tm_year) == -1 || *text++ != '-'
        || digits(&text, 2, &tm.tm_mon) == -1 || *text++ != '-'
        || digits(&text, 2, &tm.tm_mday) == -1
        || (*text != 'T' && *text != 't' && *text != ' '))
    {
        return -1;
    }

    text++;

    if (digits(&text, 2, &tm.tm_hour) == -1 || *text++ != ':'
        || digits(&text, 2, &tm.tm_min) == -1 || *text++ != ':'
        || digits(&text, 2, &tm.tm_sec) == -1)
    {
        return -1;
    }

    if (tm.tm_mon < 1 || tm.tm_mon > 12 || tm.tm_mday < 1
        || tm.tm_mday > days_of(tm.tm_year, tm.tm_mon) || tm.tm_hour > 23
        || tm.tm_min > 59 || tm.tm_sec > 60)
    {
        return -1;
    }

    if (*text == '.') {
        text++;

        if (strspn(text, "0123456789") == 0) {
            return -1;
        }

        text += strspn(text, "0123456789");
    }

    if (offset_parse(text, &offset) == -1) {
        return -1;
    }

    tm.tm_year -= 1900;
    tm.tm_mon -= 1;

    *seconds = (int64_t) timegm(&tm) - offset;

    return 0;
}


static int
digits(const char **text, size_t count, int *number)
{
    *number = 0;

    for (; count; count--, (*text)++) {
        if (**text < '0' || **text > '9') {
            return -1;
        }

        *number = *number * 10 + (**text - '0');
    }

    return 0;
}


static int
days_of(int year, int month)
{
    static const int days[] = {
        31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31
    };

    if (month == 2 && year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)) {
        return 29;
    }

    return days[month - 1];
}


static int
offset_parse(const char *text, int *seconds)
{
    int hours, minutes, sign;

    if (strcmp(text, "Z") == 0 || strcmp(text, "z") == 0) {
        *seconds = 0;
        return 0;
    }

    if (*text != '+' && *text != '-') {
        return -1;
    }

    sign = *text++ == '-' ? -1 : 1;

    if (digits(&text, 2, &hours) == -1 || *text++ != ':'
        || digits(&text, 2, &minutes) == -1 || *text != '\0' || hours > 23
        || minutes > 59)
    {
        return -1;
    }

    *seconds = sign * (hours * 3600 + minutes * 60);

    return 0;
}


void
apikey_time_show(char buffer[static APIKEY_TIME_SIZE], uint64_t seconds)
{
    time_t    t = (time_t) seconds;
    struct tm tm;

    if (seconds > 253402300799ULL || gmtime_r(&t, &tm) == NULL) {
        snprintf(buffer, APIKEY_TIME_SIZE, "%" PRIu64, seconds);
        return;
    }

    strftime(buffer, APIKEY_TIME_SIZE, "%Y-%m-%dT%H:%M:%SZ", &tm);
}


void
apikey_time_show_ms(char     buffer[static APIKEY_TIME_SIZE],
                    uint64_t milliseconds)
{
    size_t len;

    apikey_time_show(buffer, milliseconds / 1000);

    len = strlen(buffer);

    if (len && buffer[len - 1] == 'Z') {
        snprintf(buffer + len - 1, APIKEY_TIME_SIZE - len + 1, ".%03uZ",
                 (unsigned) (milliseconds % 1000));
    }
}
