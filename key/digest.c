/*
 * Copyright (C) 2026 the ngx_http_apikey_module authors
 *
 * The digest by which everything but its owner knows a key.
 */

#include <sodium.h>

#include "key/key.h"


void
apikey_digest(uint8_t digest[static APIKEY_DIGEST_LEN], const uint8_t *text,
              size_t len, const uint8_t pepper[static APIKEY_PEPPER_LEN])
{
    /* it fails for impossible lengths alone, and these are constants */
    (void) crypto_generichash(digest, APIKEY_DIGEST_LEN, text, len, pepper,
                              APIKEY_PEPPER_LEN);
}
