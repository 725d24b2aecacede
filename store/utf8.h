/*
 * Copyright (C) 2026 the ngx_http_apikey_module authors
 *
 * Texts of the store are well-formed UTF-8 (docs/store.md, "A key's record").
 */

#ifndef APIKEY_STORE_UTF8_H
#define APIKEY_STORE_UTF8_H

#include <stddef.h>

/*
 * Bytes of the well-formed sequence (Unicode 15, table 3-7) that begins at p,
 * 1 to 4; 0 if there is none within len bytes.  len must not be 0.
 */
size_t apikey_utf8_sequence(const char *p, size_t len);

/* 1 for U+0000 to U+001F and U+007F, which no text may have, else 0. */
int apikey_utf8_control(char c);

#endif /* APIKEY_STORE_UTF8_H */
