/*
 * Copyright (C) 2026 the ngx_http_apikey_module authors
 *
 * Base62, as keys and ids use it: digits 0-9A-Za-z, in that order.  Private
 * to key/.
 */

#ifndef APIKEY_BASE62_H
#define APIKEY_BASE62_H

#include <stddef.h>
#include <stdint.h>

/* 1 if c is one of the 62, else 0.  Knows no locale. */
int apikey_base62_check(unsigned char c);

/*
 * Turns random bytes into at most n uniform characters at out; no terminator.
 * Returns how many: each of the 62 stands for exactly four of the 256 bytes,
 * and the eight bytes that are left give none.
 */
size_t
apikey_base62_sample(char *out, size_t n, const uint8_t *bytes, size_t len);

/* Writes n uniform random characters to out; no terminator. */
void apikey_base62_random(char *out, size_t n);

/*
 * Writes value to out in exactly n digits, the most significant first, padded
 * with zeros; no terminator.  What does not fit is cut off at the top.
 */
void apikey_base62_number(char *out, size_t n, uint32_t value);

#endif /* APIKEY_BASE62_H */
