/*
 * Copyright (C) 2026 the ngx_http_apikey_module authors
 *
 * CRC-32, bit by bit: it runs once when a key is made or typed, over some
 * forty bytes, and never at the gate.
 */

#include "key/crc32.h"


uint32_t
apikey_crc32(const uint8_t *data, size_t len)
{
    uint32_t crc = 0xffffffff;
    size_t   i;
    int      bit;

    for (i = 0; i < len; i++) {
        crc ^= data[i];

        for (bit = 0; bit < 8; bit++) {
            crc = (crc >> 1) ^ (crc & 1 ? 0xedb88320 : 0);
        }
    }

    return ~crc;
}
