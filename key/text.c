/*
 * Copyright (C) 2026 the ngx_http_apikey_module authors
 *
 * The text of a key: how one is made, checked, and hinted at.
 */

#include <stdio.h>
#include <string.h>

#include <sodium.h>

#include "key/base62.h"
#include "key/crc32.h"
#include "key/key.h"


/* token68 (RFC 9110, 11.2): these, then any number of '='.  A table, because
   the gate looks at each character of each request's key. */
static const uint8_t token68[256] = {
    ['0' ... '9'] = 1, ['A' ... 'Z'] = 1, ['a' ... 'z'] = 1,
    ['-'] = 1,         ['.'] = 1,         ['_'] = 1,
    ['~'] = 1,         ['+'] = 1,         ['/'] = 1,
};


static void
make_crc(char crc[static APIKEY_CRC_LEN], const char *text, size_t len)
{
    apikey_base62_number(crc, APIKEY_CRC_LEN,
                         apikey_crc32((const uint8_t *) text, len));
}


size_t
apikey_text_make(char text[static APIKEY_TEXT_MAX + 1], const char *prefix)
{
    size_t len = strlen(prefix);

    memcpy(text, prefix, len);

    apikey_base62_random(text + len, APIKEY_RANDOM_LEN);
    len += APIKEY_RANDOM_LEN;

    make_crc(text + len, text, len);
    len += APIKEY_CRC_LEN;

    text[len] = '\0';

    return len;
}


apikey_text_error_t
apikey_text_syntax(const uint8_t *text, size_t len)
{
    size_t i;

    if (len < APIKEY_TEXT_MIN) {
        return APIKEY_TEXT_SHORT;
    }

    if (len > APIKEY_TEXT_MAX) {
        return APIKEY_TEXT_LONG;
    }

    for (i = len; i > 1 && text[i - 1] == '='; i--) { /* void */
    }

    while (i > 0) {
        if (!token68[text[--i]]) {
            return APIKEY_TEXT_CHARSET;
        }
    }

    return APIKEY_TEXT_OK;
}


static int
has_prefix(const char *text, size_t len, const char *prefix)
{
    size_t n = strlen(prefix);

    return len >= n && memcmp(text, prefix, n) == 0;
}


apikey_text_error_t
apikey_text_check(const uint8_t *text, size_t len, const char *prefix)
{
    char                crc[APIKEY_CRC_LEN];
    size_t              covered;
    apikey_text_error_t error;

    error = apikey_text_syntax(text, len);
    if (error != APIKEY_TEXT_OK) {
        return error;
    }

    covered = strlen(prefix) + APIKEY_RANDOM_LEN;

    if (len != covered + APIKEY_CRC_LEN
        || !has_prefix((const char *) text, len, prefix))
    {
        return APIKEY_TEXT_OK;
    }

    make_crc(crc, (const char *) text, covered);

    error = memcmp(crc, text + covered, APIKEY_CRC_LEN) == 0
                ? APIKEY_TEXT_OK
                : APIKEY_TEXT_CHECKSUM;

    sodium_memzero(crc, sizeof(crc));

    return error;
}


const char *
apikey_text_strerror(apikey_text_error_t error)
{
    switch (error) {
    case APIKEY_TEXT_OK:
        return "the key is well-formed";

    case APIKEY_TEXT_SHORT:
        return "the key is too short: it must have at least 16 characters";

    case APIKEY_TEXT_LONG:
        return "the key is too long: it must have at most 256 characters";

    case APIKEY_TEXT_CHARSET:
        return "the key has a character that no key can have: only letters, "
               "digits and - . _ ~ + / are allowed, and = at its end";

    case APIKEY_TEXT_CHECKSUM:
        return "the key's checksum does not fit: it was mistyped, or a part "
               "of it was lost when it was copied";
    }

    return "unknown error";
}


int
apikey_prefix_check(const char *prefix)
{
    size_t i;

    for (i = 0; prefix[i] != '\0'; i++) {
        if (i == APIKEY_PREFIX_MAX
            || !(apikey_base62_check((unsigned char) prefix[i])
                 || prefix[i] == '_' || prefix[i] == '-'))
        {
            return 0;
        }
    }

    return 1;
}


void
apikey_text_hint(char hint[static APIKEY_HINT_SIZE], const char *text,
                 size_t len, const char *prefix)
{
    const char *begin = has_prefix(text, len, prefix) ? prefix : "";
    size_t      last = len < 4 ? len : 4;

    (void) snprintf(hint, APIKEY_HINT_SIZE, "%s\xe2\x80\xa6%.*s", begin,
                    (int) last, text + len - last);
}
