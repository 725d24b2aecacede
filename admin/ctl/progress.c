/*
 * Copyright (C) 2026 the ngx_http_apikey_module authors
 *
 * A line on a terminal for whoever waits; see progress.h.
 */

#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#include "admin/ops_change.h"
#include "output.h"
#include "progress.h"

#define FIRST 2000000 /* microseconds until there is something to see */
#define EACH  200000

#define ERASE "\r\033[K"


void
ctl_progress_begin(const ctl_t *ctl, ctl_progress_t *progress)
{
    progress->wanted = isatty(STDERR_FILENO) && !ctl->json && !ctl->quiet;
    progress->shown = 0;
    progress->next = apikey_boottime() + FIRST;
}


int
ctl_progress_due(ctl_progress_t *progress)
{
    uint64_t now = apikey_boottime();

    if (!progress->wanted || now < progress->next) {
        return 0;
    }

    progress->next = now + EACH;

    return 1;
}


void
ctl_progress_show(ctl_progress_t *progress, const char *format, ...)
{
    va_list args;
    char    text[512];

    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);

    fputs(ERASE, stderr);
    ctl_put(stderr, text);
    fflush(stderr);

    progress->shown = 1;
}


void
ctl_progress_end(ctl_progress_t *progress)
{
    if (progress->shown) {
        fputs(ERASE, stderr);
        fflush(stderr);
    }
}
