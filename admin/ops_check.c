/*
 * Copyright (C) 2026 the ngx_http_apikey_module authors
 *
 * What an argument may be; see ops_check.h.
 */

#include <string.h>

#include "admin/ops_check.h"
#include "key/key.h"
#include "store/utf8.h"


static int scope_token(const char *token, size_t len);


int
apikey_check_text(apikey_ops_t *ops, const char *what, const char *value,
                  size_t min, size_t max)
{
    size_t      len, n;
    const char *p, *end;

    len = strlen(value);

    if (len < min) {
        return apikey_ops_fail(ops, APIKEY_OPS_ARGUMENT, "%s is empty", what);
    }

    if (len > max) {
        return apikey_ops_fail(ops, APIKEY_OPS_ARGUMENT,
                               "%s has %zu bytes; at most %zu will do", what,
                               len, max);
    }

    for (p = value, end = value + len; p < end; p += n) {
        if (apikey_utf8_control(*p)) {
            return apikey_ops_fail(ops, APIKEY_OPS_ARGUMENT,
                                   "%s has a control character in it", what);
        }

        n = apikey_utf8_sequence(p, (size_t) (end - p));
        if (n == 0) {
            return apikey_ops_fail(ops, APIKEY_OPS_ARGUMENT,
                                   "%s is not valid UTF-8", what);
        }
    }

    return 0;
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
apikey_check_edge(apikey_ops_t *ops, const char *value)
{
    if (apikey_check_word(ops, "the edge's name", value) == -1
        || strchr(value, '@'))
    {
        return apikey_ops_fail(ops, APIKEY_OPS_ARGUMENT,
                               "the edge's name must be 1 to %d of A-Z a-z "
                               "0-9 _ . : -",
                               APIKEY_WORD_MAX);
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
