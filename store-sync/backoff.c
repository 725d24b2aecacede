/*
 * Copyright (C) 2026 the ngx_http_apikey_module authors
 *
 * Exponential backoff with jitter.
 */

#include "backoff.h"

#include <stdlib.h>
#include <sys/random.h>


uint64_t
apikey_backoff(apikey_backoff_t *backoff, uint64_t max)
{
    uint64_t wait;
    uint16_t chance = 0;

    wait = backoff->next ? backoff->next : APIKEY_BACKOFF_FIRST;

    backoff->next = wait * 2 < max ? wait * 2 : max;

    /* without randomness there is no jitter, and no harm */
    if (getrandom(&chance, sizeof(chance), GRND_NONBLOCK) == -1) {
        chance = 0;
    }

    return wait - wait / 2 * chance / 65536;
}


void
apikey_backoff_reset(apikey_backoff_t *backoff)
{
    backoff->next = 0;
}
