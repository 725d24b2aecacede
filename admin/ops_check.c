/*
 * Copyright (C) 2026 the ngx_http_apikey_module authors
 *
 * What an argument may be; see ops_check.h.
 */

#include <string.h>

#include "admin/ops_check.h"
#include "key/key.h"


static size_t utf8_sequence(const unsigned char *p);
static int    scope_token(const char *token, size_t len);


int
apikey_check_text(apikey_ops_t *ops, const char *what, const char *value,
                  size_t min, size_t max)
{
    size_t               len, n;
    const unsigned char *p;

    len = strlen(value);

    if (len < min) {
        return apikey_ops_fail(ops, APIKEY_OPS_ARGUMENT, "%s is empty", what);
    }

    if (len > max) {
        return apikey_ops_fail(ops, APIKEY_OPS_ARGUMENT,
                               "%s has %zu bytes; at most %zu will do", what,
                               len, max);
    }

    for (p = (const unsigned char *) value; *p; p += n) {
        if (*p < 0x20 || *p == 0x7f) {
            return apikey_ops_fail(ops, APIKEY_OPS_ARGUMENT,
                                   "%s has a control character in it", what);
        }

        n = utf8_sequence(p);
        if (n == 0) {
            return apikey_ops_fail(ops, APIKEY_OPS_ARGUMENT,
                                   "%s is not valid UTF-8", what);
        }
    }

    return 0;
}


/*
 * Bytes of the well-formed sequence (RFC 3629, 4) at p, or 0.  A terminator
 * is no continuation byte, so nothing behind it is looked at.
 */
static size_t
utf8_sequence(const unsigned char *p)
{
    size_t        i, n;
    unsigned char low = 0x80, high = 0xbf;

    if (p[0] < 0x80) {
        return 1;
    }

    if (p[0] < 0xc2 || p[0] > 0xf4) {
        return 0;
    }

    n = p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : 4;

    /* overlong forms, surrogates, beyond U+10FFFF */
    switch (p[0]) {
    case 0xe0:
        low = 0xa0;
        break;
    case 0xed:
        high = 0x9f;
        break;
    case 0xf0:
        low = 0x90;
        break;
    case 0xf4:
        high = 0x8f;
        break;
    }

    if (p[1] < low || p[1] > high) {
        return 0;
    }

    for (i = 2; i < n; i++) {
        if (p[i] < 0x80 || p[i] > 0xbf) {
            return 0;
        }
    }

    return n;
}


int
apikey_check_word(apikey_ops_t *ops, const char *what, const char *value)
{
    size_t len;

    len = strlen(value);

    if (len == 0 || len > APIKEY_WORD_MAX
        || strspn(value, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                         "0123456789_.:@-")
               != len)
    {
        return apikey_ops_fail(ops, APIKEY_OPS_ARGUMENT,
                               "%s must be 1 to %d of A-Z a-z 0-9 _ . : @ -",
                               what, APIKEY_WORD_MAX);
    }

    return 0;
}


int
apikey_check_id(apikey_ops_t *ops, const char *value)
{
    if (!apikey_id_check(value, strlen(value))) {
        return apikey_ops_fail(ops, APIKEY_OPS_ARGUMENT,
                               "the id of a key is key_ and 20 letters and "
                               "digits; it is not the key itself");
    }

    return 0;
}


int
apikey_check_scopes(apikey_ops_t *ops, const char *value,
                    char scopes[static APIKEY_SCOPES_SIZE])
{
    char  *out = scopes;
    size_t len, count = 0;

    for (value += strspn(value, " "); *value; value += strspn(value, " ")) {
        len = strcspn(value, " ");

        if (!scope_token(value, len)) {
            return apikey_ops_fail(ops, APIKEY_OPS_ARGUMENT,
                                   "a scope must be 1 to %d printable ASCII "
                                   "characters without \" and \\",
                                   APIKEY_SCOPE_MAX);
        }

        if (++count > APIKEY_SCOPES_MAX) {
            return apikey_ops_fail(ops, APIKEY_OPS_ARGUMENT,
                                   "a key has at most %d scopes",
                                   APIKEY_SCOPES_MAX);
        }

        if (out != scopes) {
            *out++ = ' ';
        }

        memcpy(out, value, len);
        out += len;
        value += len;
    }

    *out = '\0';

    return 0;
}


/* scope-token = 1*( %x21 / %x23-5B / %x5D-7E ) */
static int
scope_token(const char *token, size_t len)
{
    size_t i;

    if (len > APIKEY_SCOPE_MAX) {
        return 0;
    }

    for (i = 0; i < len; i++) {
        if (token[i] < 0x21 || token[i] > 0x7e || token[i] == '"'
            || token[i] == '\\') {
            return 0;
        }
    }

    return 1;
}
