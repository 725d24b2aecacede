/*
 * Copyright (C) 2026 the ngx_http_apikey_module authors
 *
 * A line on a terminal for whoever waits: how it goes, if it takes longer than
 * two seconds.
 */

#ifndef APIKEY_CTL_PROGRESS_H
#define APIKEY_CTL_PROGRESS_H

#include <stdint.h>

#include "ctl.h"

typedef struct {
    int      wanted; /* stderr is a terminal, and nobody asked for quiet */
    int      shown;
    uint64_t next; /* apikey_boottime() */
} ctl_progress_t;

void ctl_progress_begin(const ctl_t *ctl, ctl_progress_t *progress);

/* 1 if it is time to show something (again). */
int ctl_progress_due(ctl_progress_t *progress);

/* Shows it in place of what was shown before; no line breaks. */
void ctl_progress_show(ctl_progress_t *progress, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Takes it away again. */
void ctl_progress_end(ctl_progress_t *progress);

#endif /* APIKEY_CTL_PROGRESS_H */
