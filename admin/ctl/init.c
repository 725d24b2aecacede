/*
 * Copyright (C) 2026 the ngx_http_apikey_module authors
 *
 * apikeyctl init: a new store, and its pepper file.
 *
 * Whatever can be refused is refused before anything is made, so that on a
 * store that is initialised it changes nothing at all.
 */

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "admin/ops_store.h"
#include "admin/ops_time.h"
#include "fail.h"
#include "json.h"
#include "options.h"
#include "output.h"
#include "session.h"

#define PEPPER_ID "p1"


/* What was done, for the report. */
typedef struct {
    int                 loaded; /* the library */
    int                 made;   /* the pepper file */
    char                pepper[APIKEY_PEPPER_NAME_SIZE];
    apikey_ops_inited_t inited;
} init_t;


static int init_lease(ctl_t *ctl, const char *text, uint64_t *lease);
static int init_new(ctl_t *ctl);
static int init_library(ctl_t *ctl, init_t *init);
static int init_pepper(ctl_t *ctl, apikey_pepper_ring_t *ring, init_t *init);
static int
init_run(ctl_t *ctl, const apikey_ops_init_t *request, init_t *init);
static void init_print(const ctl_t *ctl, const init_t *init);


int
ctl_init(ctl_t *ctl, int argc, char **argv)
{
    int               operands, code;
    init_t            init = { 0 };
    uint64_t          log_length;
    const char       *lease = NULL, *log_text = NULL;
    apikey_ops_init_t request = { 0 };

    const ctl_option_t options[] = {
        { "prefix", "TEXT",
          "what the keys begin with, up to 16 bytes; default mm_",
          &request.prefix, NULL, NULL },
        { "lease", "TIME",
          "how long an edge may decide without the store, 200ms to 1h;\n"
          "default 5s",
          &lease, NULL, NULL },
        { "log-length", "COUNT", "entries that the log keeps; default 1000000",
          &log_text, NULL, NULL },
    };

    operands = ctl_options(ctl, argc, argv, options, 3);

    if (operands == -1 || ctl_no_operands(ctl, operands) == -1
        || init_lease(ctl, lease, &request.lease) == -1
        || ctl_count(ctl, "log-length", log_text, &log_length) == -1)
    {
        return ctl->exit;
    }

    request.log_length = log_text ? log_length : 0;

    if (ctl_session_begin(ctl) == -1) {
        return ctl->exit;
    }

    if (apikey_ops_init_check(&ctl->ops, &request) == -1) {
        return ctl_fail_ops(ctl, NULL, NULL);
    }

    if (ctl_session_connect(ctl) == -1) {
        return ctl->exit;
    }

    code = init_run(ctl, &request, &init);

    if (code == CTL_DONE) {
        init_print(ctl, &init);
    }

    return code;
}


static int
init_lease(ctl_t *ctl, const char *text, uint64_t *lease)
{
    if (text && (apikey_duration_parse(text, lease) == -1 || *lease == 0)) {
        return ctl_usage(ctl, "--lease must be a time with a unit, as in "
                              "500ms or 5s");
    }

    return 0;
}


static int
init_run(ctl_t *ctl, const apikey_ops_init_t *request, init_t *init)
{
    int                  rc;
    apikey_ops_init_t    complete = *request;
    apikey_pepper_ring_t ring;

    if (init_new(ctl) == -1 || init_library(ctl, init) == -1
        || init_pepper(ctl, &ring, init) == -1)
    {
        return ctl->exit;
    }

    complete.pepper = &ring.pepper[0];
    apikey_pepper_name(complete.pepper, init->pepper);

    rc = apikey_ops_init(&ctl->ops, &complete, &init->inited);

    apikey_pepper_ring_wipe(&ring);

    return rc == 0 ? CTL_DONE
                   : ctl_fail_ops(ctl, NULL, "look: apikeyctl status");
}


static int
init_new(ctl_t *ctl)
{
    int initialised;

    if (apikey_ops_initialised(&ctl->ops, &initialised) == -1) {
        ctl->exit = ctl_fail_ops(ctl, NULL, NULL);
        return -1;
    }

    if (initialised) {
        ctl->exit = ctl_fail(
            ctl, CTL_REFUSED, "INITED",
            "nothing was changed; to load the function library into a store "
            "that is initialised: apikeyctl library",
            "the store %s at %s is initialised already", ctl->ops.store,
            ctl_session_where());
        return -1;
    }

    return 0;
}


static int
init_library(ctl_t *ctl, init_t *init)
{
    apikey_library_t library;

    if (apikey_ops_library(&ctl->ops, &library) == -1
        || (library != APIKEY_LIBRARY_CURRENT
            && apikey_ops_library_load(&ctl->ops) == -1))
    {
        ctl->exit = ctl_fail_ops(ctl, "the function library", NULL);
        return -1;
    }

    init->loaded = library != APIKEY_LIBRARY_CURRENT;

    return 0;
}


static int
init_pepper(ctl_t *ctl, apikey_pepper_ring_t *ring, init_t *init)
{
    char        error[APIKEY_PEPPER_ERROR_LEN];
    const char *path = ctl_pepper_path(ctl);

    if (access(path, F_OK) == -1 && errno == ENOENT) {
        if (apikey_pepper_file_make(path, PEPPER_ID, error) == -1) {
            ctl->exit = ctl_fail(ctl, CTL_LOCAL, "",
                                 "the store is not initialised; the file's "
                                 "directory must be there: install -d -m 700 "
                                 "DIRECTORY",
                                 "%s", error);
            return -1;
        }

        init->made = 1;
    }

    return ctl_pepper_load(ctl, ring);
}


static void
init_print(const ctl_t *ctl, const init_t *init)
{
    const apikey_ops_inited_t *inited = &init->inited;

    if (ctl->json) {
        ctl_json(json_pack(
            "{s:s,s:s,s:I,s:s,s:I,s:b,s:{s:s,s:o,s:b}}", "store",
            ctl->ops.store, "epoch", inited->epoch, "version",
            (json_int_t) inited->version, "prefix", inited->prefix, "lease_ms",
            (json_int_t) inited->lease, "library_loaded", init->loaded,
            "pepper", "name", init->pepper, "file",
            ctl_json_text(ctl_pepper_path(ctl)), "made", init->made));
        return;
    }

    if (ctl->quiet) {
        return;
    }

    printf("The store is initialised.\n");
    ctl_field("Store", "%s at %s", ctl->ops.store, ctl_session_where());
    ctl_field("Epoch", "%s", inited->epoch);
    ctl_field("Prefix", "%s", inited->prefix[0] ? inited->prefix : "none");
    ctl_field("Lease", "%llu ms", (unsigned long long) inited->lease);
    ctl_field("Library", "%s", init->loaded ? "loaded" : "was there");
    ctl_field("Pepper", "%s in %s", init->pepper, ctl_pepper_path(ctl));

    if (init->made) {
        printf("\nThe pepper file is new.  Copy it to every edge and to every "
               "machine on which keys\nare created, readable by root alone, "
               "and keep a copy in a safe place: without it\nno key can be "
               "checked, and nobody can make it again.\n");
    }
}
