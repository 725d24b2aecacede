/*
 * Copyright (C) 2026 the ngx_http_apikey_module authors
 *
 * What apikeyctl status has looked at, and what is wrong with it.
 */

#ifndef APIKEY_CTL_STATUS_H
#define APIKEY_CTL_STATUS_H

#include <stddef.h>
#include <stdint.h>

#include "admin/ops_edge.h"
#include "admin/ops_store.h"
#include "ctl.h"

#define CTL_PROBLEM_SIZE 512


typedef enum {
    CTL_PEPPER_ABSENT = 0, /* no file here */
    CTL_PEPPER_UNREADABLE, /* not for us */
    CTL_PEPPER_REFUSED,    /* bad mode, bad line */
    CTL_PEPPER_DIFFERS,
    CTL_PEPPER_FITS
} ctl_status_pepper_t;

/* Everything that is looked at, and what is wrong with it. */
typedef struct {
    apikey_ops_meta_t   meta;
    int                 library_known; /* 0: no right to ask */
    apikey_library_t    library;
    ctl_status_pepper_t pepper;
    char                pepper_text[APIKEY_PEPPER_ERROR_LEN];
    apikey_ops_edges_t  edges;
    int                 failed; /* out of memory */
    char (*problems)[CTL_PROBLEM_SIZE];
    size_t problems_count;
} ctl_status_t;

/* Milliseconds since the edge has renewed. */
uint64_t
ctl_status_age(const ctl_status_t *status, const apikey_ops_edge_t *edge);

/* Changes that it has not applied. */
uint64_t
ctl_status_behind(const ctl_status_t *status, const apikey_ops_edge_t *edge);

void ctl_status_print(const ctl_t *ctl, const ctl_status_t *status);
void ctl_status_json(const ctl_t *ctl, const ctl_status_t *status);

#endif /* APIKEY_CTL_STATUS_H */
