/*
 * Copyright (C) 2026 the ngx_http_apikey_module authors
 *
 * A ring with a place for each of the last versions.
 */

#include "window.h"

#include <string.h>

typedef enum {
    WINDOW_NOTHING = 0, /* nothing is known of the version, or all is told */
    WINDOW_PUSHED,
    WINDOW_MISSING, /* since the last look, or later */
    WINDOW_OVERDUE  /* was missing at the last look already */
} window_state_t;


void
apikey_window_clear(apikey_window_t *window)
{
    memset(window, 0, sizeof(*window));
}


/* What is known of the version; NOTHING if its place is another one's. */
static window_state_t
window_state(const apikey_window_t *window, uint64_t version)
{
    size_t i = version % APIKEY_WINDOW_SIZE;

    return window->version[i] == version ? (window_state_t) window->state[i]
                                         : WINDOW_NOTHING;
}


static void
window_set(apikey_window_t *window, uint64_t version, window_state_t state)
{
    size_t i = version % APIKEY_WINDOW_SIZE;

    if (window->state[i] >= WINDOW_MISSING) {
        window->missing--;

        if (window->version[i] != version) {
            window->passed++;
        }
    }

    if (state >= WINDOW_MISSING) {
        window->missing++;
    }

    window->version[i] = version;
    window->state[i] = (uint8_t) state;
}


apikey_push_t
apikey_window_pushed(apikey_window_t *window, uint64_t version)
{
    window_state_t state = window_state(window, version);

    /* too old to have a place, and so to tell which it is */
    if (version + APIKEY_WINDOW_SIZE <= window->highest) {
        return APIKEY_PUSH_DUPLICATED;
    }

    window_set(window, version, WINDOW_PUSHED);

    if (state == WINDOW_PUSHED) {
        return APIKEY_PUSH_DUPLICATED;
    }

    if (version < window->highest) {
        return APIKEY_PUSH_REORDERED;
    }

    window->highest = version;

    return APIKEY_PUSH_FINE;
}


void
apikey_window_read(apikey_window_t *window, uint64_t version)
{
    if (window_state(window, version) == WINDOW_NOTHING) {
        window_set(window, version, WINDOW_MISSING);
    }
}


unsigned
apikey_window_lost(apikey_window_t *window, uint64_t *version)
{
    size_t   i;
    unsigned lost = window->passed;

    *version = window->highest;
    window->passed = 0;

    if (window->missing == 0) {
        return lost;
    }

    for (i = 0; i < APIKEY_WINDOW_SIZE; i++) {
        if (window->state[i] == WINDOW_OVERDUE) {
            lost++;
            *version = window->version[i];
            window_set(window, window->version[i], WINDOW_NOTHING);

        } else if (window->state[i] == WINDOW_MISSING) {
            window->state[i] = WINDOW_OVERDUE;
        }
    }

    return lost;
}
