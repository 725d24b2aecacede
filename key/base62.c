/*
 * Copyright (C) 2026 the ngx_http_apikey_module authors
 *
 * Base62: uniform characters out of randomness, and a number's digits.
 */

#include <sodium.h>

#include "key/base62.h"


#define BASE 62

static const char digits[BASE + 1] = "0123456789"
                                     "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                     "abcdefghijklmnopqrstuvwxyz";


int
apikey_base62_check(unsigned char c)
{
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z')
           || (c >= 'a' && c <= 'z');
}


size_t
apikey_base62_sample(char *out, size_t n, const uint8_t *bytes, size_t len)
{
    size_t i, made = 0;

    for (i = 0; i < len && made < n; i++) {
        if (bytes[i] < 256 / BASE * BASE) {
            out[made++] = digits[bytes[i] % BASE];
        }
    }

    return made;
}


void
apikey_base62_random(char *out, size_t n)
{
    uint8_t bytes[64];
    size_t  made = 0;

    while (made < n) {
        randombytes_buf(bytes, sizeof(bytes));
        made +=
            apikey_base62_sample(out + made, n - made, bytes, sizeof(bytes));
    }

    sodium_memzero(bytes, sizeof(bytes));
}


void
apikey_base62_number(char *out, size_t n, uint32_t value)
{
    while (n > 0) {
        out[--n] = digits[value % BASE];
        value /= BASE;
    }
}
