/*
 * Copyright (C) 2026 the ngx_http_apikey_module authors
 *
 * Ctrl-C and TERM; see stop.h.
 */

#include <signal.h>

#include "stop.h"


static void stop_note(int number);


static volatile sig_atomic_t stop_noted;


void
ctl_stop_catch(void)
{
    struct sigaction action = { .sa_handler = stop_note };

    /* no SA_RESTART: what sleeps is to wake up */
    (void) sigaction(SIGINT, &action, NULL);
    (void) sigaction(SIGTERM, &action, NULL);
}


static void
stop_note(int number)
{
    (void) number;

    stop_noted = 1;
}


int
ctl_stopped(void)
{
    return stop_noted;
}
