/*
 * Copyright (C) 2026 the ngx_http_apikey_module authors
 *
 * Kills the process where a test asked for it.
 */

#ifdef APIKEY_FAILPOINTS

#include "failpoint.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* the section's ends, by the linker */
extern const char *const __start_apikey_failpoints[];
extern const char *const __stop_apikey_failpoints[];

static const char   *failpoint; /* its name; NULL: none was asked for */
static unsigned long passes;    /* that are left */


static int
failpoint_exists(const char *name)
{
    const char *const *p;

    for (p = __start_apikey_failpoints; p < __stop_apikey_failpoints; p++) {
        if (strcmp(*p, name) == 0) {
            return 1;
        }
    }

    return 0;
}


static void
failpoint_list(void)
{
    const char *const *p;

    for (p = __start_apikey_failpoints; p < __stop_apikey_failpoints; p++) {
        puts(*p);
    }

    exit(EXIT_SUCCESS);
}


__attribute__((constructor)) static void
failpoint_read(void)
{
    char *colon, *end = NULL, *wanted = getenv("APIKEY_FAILPOINT");

    if (wanted == NULL) {
        return;
    }

    if (strcmp(wanted, "list") == 0) {
        failpoint_list();
    }

    passes = 1;
    colon = strchr(wanted, ':');

    if (colon != NULL) {
        passes = strtoul(colon + 1, &end, 10);
        *colon = '\0';
    }

    if (!failpoint_exists(wanted) || passes == 0 || (end && *end)) {
        fprintf(stderr, "APIKEY_FAILPOINT: no failpoint of this name, or no "
                        "number behind it; \"list\" prints the names\n");
        exit(EXIT_FAILURE);
    }

    failpoint = wanted;
}


void
apikey_failpoint_pass(const char *name)
{
    if (failpoint == NULL || strcmp(name, failpoint) != 0 || --passes > 0) {
        return;
    }

    dprintf(STDERR_FILENO, "failpoint %s\n", name);

    for (;;) {
        raise(SIGKILL);
    }
}

#else

/* a file of C is never empty */
typedef int apikey_failpoint_none_t;

#endif /* APIKEY_FAILPOINTS */
