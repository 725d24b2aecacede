/*
 * Copyright (C) 2026 the ngx_http_apikey_module authors
 *
 * Parses and shows the store's URL, and checks the store's name.
 */

#include "url.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define URL_PORT_DEFAULT 6379
#define URL_DB_MAX       99999


static int url_error(char *error, size_t size, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static int
url_error(char *error, size_t size, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vsnprintf(error, size, format, args);
    va_end(args);

    return -1;
}


static int
url_hex(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }

    c = (char) (c | 0x20);

    return (c >= 'a' && c <= 'f') ? c - 'a' + 10 : -1;
}


/* Percent-decodes a user or a password; `what` names it in the error. */
static int
url_decode(char part[static APIKEY_URL_PART_MAX], const char *text, size_t len,
           const char *what, char *error, size_t error_size)
{
    size_t i, n;
    int    high, low;
    char   c;

    for (i = 0, n = 0; i < len; i++) {
        c = text[i];

        if (c == '%') {
            high = len - i > 2 ? url_hex(text[i + 1]) : -1;
            low = len - i > 2 ? url_hex(text[i + 2]) : -1;

            if (high < 0 || low < 0) {
                return url_error(error, error_size,
                                 "the %s holds a '%%' that two hex digits do "
                                 "not follow: write '%%25' for '%%'",
                                 what);
            }

            c = (char) (high << 4 | low);
            i += 2;
        }

        if (c == '\0') {
            return url_error(error, error_size, "the %s holds a zero byte",
                             what);
        }

        if (n == APIKEY_URL_PART_MAX - 1) {
            return url_error(error, error_size,
                             "the %s is longer than %d bytes", what,
                             APIKEY_URL_PART_MAX - 1);
        }

        part[n++] = c;
    }

    part[n] = '\0';

    return 0;
}


/* USER[:PASSWORD], without the '@' */
static int
url_credentials(apikey_url_t *url, const char *text, size_t len, char *error,
                size_t error_size)
{
    const char *colon;
    size_t      user_len;

    colon = memchr(text, ':', len);
    user_len = colon ? (size_t) (colon - text) : len;

    if (url_decode(url->user, text, user_len, "user", error, error_size) != 0)
    {
        return -1;
    }

    if (colon == NULL) {
        return 0;
    }

    return url_decode(url->password, colon + 1, len - user_len - 1, "password",
                      error, error_size);
}


/* Digits alone, at most max; the whole of text. */
static int
url_number(const char *text, size_t len, int max)
{
    size_t i;
    int    number;

    if (len == 0) {
        return -1;
    }

    for (i = 0, number = 0; i < len; i++) {
        if (!isdigit((unsigned char) text[i])) {
            return -1;
        }

        number = number * 10 + (text[i] - '0');

        if (number > max) {
            return -1;
        }
    }

    return number;
}


static int
url_db(apikey_url_t *url, const char *text, char *error, size_t error_size)
{
    url->db = url_number(text, strlen(text), URL_DB_MAX);

    if (url->db < 0) {
        return url_error(error, error_size,
                         "the database must be a number from 0 to %d",
                         URL_DB_MAX);
    }

    return 0;
}


/* unix://[USER[:PASSWORD]@]/PATH[?db=N], from behind the "//" */
static int
url_parse_unix(apikey_url_t *url, const char *text, char *error,
               size_t error_size)
{
    const char *path, *query;
    size_t      len;

    path = strchr(text, '/');

    if (path == NULL || (path > text && path[-1] != '@')) {
        return url_error(error, error_size,
                         "a unix:// URL needs the socket's absolute path, as "
                         "in unix:///run/redis/redis.sock");
    }

    if (path > text
        && url_credentials(url, text, (size_t) (path - text) - 1, error,
                           error_size)
               != 0)
    {
        return -1;
    }

    query = strchr(path, '?');
    len = query ? (size_t) (query - path) : strlen(path);

    if (len >= APIKEY_URL_PART_MAX) {
        return url_error(error, error_size,
                         "the socket's path is longer than %d bytes",
                         APIKEY_URL_PART_MAX - 1);
    }

    memcpy(url->host, path, len);
    url->host[len] = '\0';

    if (query == NULL) {
        return 0;
    }

    if (strncmp(query, "?db=", 4) != 0) {
        return url_error(error, error_size,
                         "after the socket's path only ?db=N may follow");
    }

    return url_db(url, query + 4, error, error_size);
}


/* HOST or [ADDRESS], and :PORT */
static int
url_host(apikey_url_t *url, const char *text, size_t len, char *error,
         size_t error_size)
{
    const char *host, *end, *port;
    size_t      host_len, i;
    int         bracket;

    bracket = len > 0 && text[0] == '[';

    if (bracket) {
        host = text + 1;
        end = memchr(text, ']', len);

        if (end == NULL) {
            return url_error(error, error_size, "'[' without ']' in the host");
        }

        port = end + 1;

    } else {
        host = text;
        end = memchr(text, ':', len);

        if (end == NULL) {
            end = text + len;
        }

        port = end;
    }

    host_len = (size_t) (end - host);

    if (host_len == 0 || host_len >= APIKEY_URL_PART_MAX) {
        return url_error(error, error_size,
                         "the host is missing or longer than %d bytes",
                         APIKEY_URL_PART_MAX - 1);
    }

    for (i = 0; i < host_len; i++) {
        if (!isalnum((unsigned char) host[i])
            && strchr(bracket ? ".:%-_" : ".-_", host[i]) == NULL)
        {
            return url_error(error, error_size,
                             "the host holds a character that no host name "
                             "has");
        }
    }

    memcpy(url->host, host, host_len);
    url->host[host_len] = '\0';

    url->port = URL_PORT_DEFAULT;

    if (port == text + len) {
        return 0;
    }

    if (*port == ':') {
        port++;
        url->port = url_number(port, (size_t) (text + len - port), 65535);
    }

    if (*(port - 1) != ':' || url->port < 1) {
        return url_error(error, error_size,
                         "the port must be a number from 1 to 65535");
    }

    return 0;
}


/* redis://[USER[:PASSWORD]@]HOST[:PORT][/DB], from behind the "//" */
static int
url_parse_tcp(apikey_url_t *url, const char *text, char *error,
              size_t error_size)
{
    const char *at, *slash;
    size_t      len;

    slash = strchr(text, '/');
    len = slash ? (size_t) (slash - text) : strlen(text);

    at = memrchr(text, '@', len);

    if (at != NULL) {
        if (url_credentials(url, text, (size_t) (at - text), error, error_size)
            != 0) {
            return -1;
        }

        len -= (size_t) (at - text) + 1;
        text = at + 1;
    }

    if (url_host(url, text, len, error, error_size) != 0) {
        return -1;
    }

    if (slash == NULL || slash[1] == '\0') {
        return 0;
    }

    return url_db(url, slash + 1, error, error_size);
}


static int
url_parse_any(apikey_url_t *url, const char *text, char *error,
              size_t error_size)
{
    if (strncmp(text, "unix://", 7) == 0) {
        return url_parse_unix(url, text + 7, error, error_size);
    }

    if (strncmp(text, "redis://", 8) == 0) {
        return url_parse_tcp(url, text + 8, error, error_size);
    }

    if (strncmp(text, "rediss://", 9) == 0) {
        url->tls = 1;
        return url_parse_tcp(url, text + 9, error, error_size);
    }

    return url_error(error, error_size,
                     "the store's URL must begin with redis:// or unix://");
}


int
apikey_url_parse(apikey_url_t *url, const char *text, char *error,
                 size_t error_size)
{
    memset(url, 0, sizeof(*url));

    if (url_parse_any(url, text, error, error_size) != 0) {
        apikey_url_wipe(url);
        return -1;
    }

    return 0;
}


void
apikey_url_wipe(apikey_url_t *url)
{
    explicit_bzero(url, sizeof(*url));
}


void
apikey_url_show(const apikey_url_t *url, char *buffer, size_t size)
{
    if (url->port == 0) {
        if (url->db == 0) {
            snprintf(buffer, size, "unix:%s", url->host);
        } else {
            snprintf(buffer, size, "unix:%s?db=%d", url->host, url->db);
        }

    } else if (strchr(url->host, ':') != NULL) {
        snprintf(buffer, size, "[%s]:%d/%d", url->host, url->port, url->db);

    } else {
        snprintf(buffer, size, "%s:%d/%d", url->host, url->port, url->db);
    }
}


int
apikey_store_name_check(const char *name)
{
    size_t i, len;

    len = strlen(name);

    if (len < 3 || len > APIKEY_STORE_NAME_MAX || name[0] != '{'
        || name[len - 1] != '}')
    {
        return 0;
    }

    for (i = 1; i < len - 1; i++) {
        if (!isalnum((unsigned char) name[i])
            && strchr("_.-", name[i]) == NULL) {
            return 0;
        }
    }

    return 1;
}
