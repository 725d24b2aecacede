/*
 * Copyright (C) 2026 the ngx_http_apikey_module authors
 *
 * Places where a test kills the daemon: `make failpoints` builds one that has
 * them, and t/sync_failpoints.t names what is asked of each.  In the ordinary
 * build they are nothing at all.
 *
 * With APIKEY_FAILPOINT=NAME or NAME:N in the environment, the process kills
 * itself (SIGKILL) when it comes by NAME for the N-th time, and leaves the
 * line "failpoint NAME" on standard error; with APIKEY_FAILPOINT=list it
 * prints all names and ends.
 */

#ifndef APIKEY_TABLE_FAILPOINT_H
#define APIKEY_TABLE_FAILPOINT_H

#ifdef APIKEY_FAILPOINTS

void apikey_failpoint_pass(const char *name);

/* each use puts its name into a section, so that none can be forgotten */
#define apikey_failpoint(name)                                            \
    do {                                                                  \
        static const char *const apikey_failpoint_here                    \
            __attribute__((used, section("apikey_failpoints"))) = (name); \
                                                                          \
        apikey_failpoint_pass(apikey_failpoint_here);                     \
    } while (0)

#else

#define apikey_failpoint(name) ((void) 0)

#endif

#endif /* APIKEY_TABLE_FAILPOINT_H */
