/*
 * Copyright (C) 2026 the ngx_http_apikey_module authors
 *
 * "Did you mean ...?"; see nearest.h.
 */

#include <stddef.h>
#include <string.h>

#include "nearest.h"

#define WORD_MAX 32


static unsigned
min(unsigned a, unsigned b)
{
    return a < b ? a : b;
}


/* Optimal string alignment. */
unsigned
ctl_distance(const char *a, const char *b)
{
    size_t   i, j, m = strlen(a), n = strlen(b);
    unsigned d[WORD_MAX + 1][WORD_MAX + 1];

    if (m > WORD_MAX || n > WORD_MAX) {
        return WORD_MAX;
    }

    for (i = 0; i <= m; i++) {
        d[i][0] = (unsigned) i;
    }

    for (j = 0; j <= n; j++) {
        d[0][j] = (unsigned) j;
    }

    for (i = 1; i <= m; i++) {
        for (j = 1; j <= n; j++) {
            d[i][j] = min(min(d[i - 1][j], d[i][j - 1]) + 1,
                          d[i - 1][j - 1] + (a[i - 1] != b[j - 1]));

            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
            {
                d[i][j] = min(d[i][j], d[i - 2][j - 2] + 1);
            }
        }
    }

    return d[m][n];
}


int
ctl_near(const char *a, const char *b)
{
    return ctl_distance(a, b) <= (strlen(b) > 4 ? 2 : 1);
}
