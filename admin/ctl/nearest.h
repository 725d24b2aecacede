/*
 * Copyright (C) 2026 the ngx_http_apikey_module authors
 *
 * "Did you mean ...?"
 */

#ifndef APIKEY_CTL_NEAREST_H
#define APIKEY_CTL_NEAREST_H

/*
 * The number of letters to insert, drop, replace or swap with a neighbour to
 * get from a to b; words longer than 32 bytes are never near.
 */
unsigned ctl_distance(const char *a, const char *b);

/* 1 if b may have been meant by a. */
int ctl_near(const char *a, const char *b);

#endif /* APIKEY_CTL_NEAREST_H */
