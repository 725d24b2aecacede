/*
 * Copyright (C) 2026 the ngx_http_apikey_module authors
 *
 * CRC-32 as in ISO 3309, gzip (RFC 1952, 8) and zlib.  Private to key/.
 */

#ifndef APIKEY_CRC32_H
#define APIKEY_CRC32_H

#include <stddef.h>
#include <stdint.h>

uint32_t apikey_crc32(const uint8_t *data, size_t len);

#endif /* APIKEY_CRC32_H */
