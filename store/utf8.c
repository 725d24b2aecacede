/*
 * Copyright (C) 2026 the ngx_http_apikey_module authors
 *
 * Well-formed UTF-8.
 */

#include "utf8.h"


size_t
apikey_utf8_sequence(const char *p, size_t len)
{
    size_t               i, n;
    unsigned char        low = 0x80, high = 0xbf;
    const unsigned char *u = (const unsigned char *) p;

    if (u[0] < 0x80) {
        return 1;
    }

    if (u[0] < 0xc2 || u[0] > 0xf4) {
        return 0;
    }

    n = u[0] < 0xe0 ? 2 : u[0] < 0xf0 ? 3 : 4;

    /* overlong forms, surrogates, beyond U+10FFFF */
    switch (u[0]) {
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

    if (n > len || u[1] < low || u[1] > high) {
        return 0;
    }

    for (i = 2; i < n; i++) {
        if ((u[i] & 0xc0) != 0x80) {
            return 0;
        }
    }

    return n;
}


int
apikey_utf8_control(char c)
{
    return (unsigned char) c < 0x20 || c == 0x7f;
}
