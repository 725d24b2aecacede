/*
 * Copyright (C) 2026 the ngx_http_apikey_module authors
 *
 * A key's public id: what logs, URLs and lists call it by.
 */

#include <string.h>

#include "key/base62.h"
#include "key/key.h"


#define ID_PREFIX     "key_"
#define ID_PREFIX_LEN (sizeof(ID_PREFIX) - 1)


void
apikey_id_make(char id[static APIKEY_ID_LEN + 1])
{
    memcpy(id, ID_PREFIX, ID_PREFIX_LEN);
    apikey_base62_random(id + ID_PREFIX_LEN, APIKEY_ID_LEN - ID_PREFIX_LEN);
    id[APIKEY_ID_LEN] = '\0';
}


int
apikey_id_check(const char *id, size_t len)
{
    size_t i;

    if (len != APIKEY_ID_LEN || memcmp(id, ID_PREFIX, ID_PREFIX_LEN) != 0) {
        return 0;
    }

    for (i = ID_PREFIX_LEN; i < len; i++) {
        if (!apikey_base62_check((unsigned char) id[i])) {
            return 0;
        }
    }

    return 1;
}
