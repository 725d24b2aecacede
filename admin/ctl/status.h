/*
 * Copyright (C) 2026 the ngx_http_apikey_module authors
 *
 * What apikeyctl status has looked at, and what is wrong with it.
 */

#ifndef APIKEY_CTL_STATUS_H
#define APIKEY_CTL_STATUS_H

#include <stddef.h>
#include <stdint.h>

#include "admin/ops_conflict.h"
#include "ctl.h"
#include "edges.h"

#define CTL_PROBLEM_SIZE 512


typedef enum {
    CTL_PEPPER_ABSENT = 0, /* no file here */
    CTL_PEPPER_UNREADABLE, /* not for us */
    CTL_PEPPER_REFUSED,    /* bad mode, bad line */
    CTL_PEPPER_DIFFERS,
    CTL_PEPPER_FITS
} ctl_status_pepper_t;

/* Whether a change is refused everywhere at once, now. */
typedef enum {
    CTL_PROMISE_HOLDS = 0,
    CTL_PROMISE_BOUNDED, /* not at once on each edge, but within the lease */
    CTL_PROMISE_BROKEN   /* store and edges differ, or it takes no changes */
} ctl_promise_t;

/* Everything that is looked at, and what is wrong with it. */
typedef struct {
    ctl_promise_t       promise;
    ctl_edges_t         edges;         /* and the store's meta */
    uint64_t            conflicts;     /* that edges report, each its own */
    int                 library_known; /* 0: no right to ask */
    apikey_library_t    library;
    ctl_status_pepper_t pepper;
    char                pepper_text[APIKEY_PEPPER_ERROR_LEN];
    int                 failed; /* out of memory */
    char (*problems)[CTL_PROBLEM_SIZE];
    size_t problems_count;
} ctl_status_t;

void ctl_status_print(const ctl_t *ctl, const ctl_status_t *status);
void ctl_status_json(const ctl_t *ctl, const ctl_status_t *status);

#endif /* APIKEY_CTL_STATUS_H */
