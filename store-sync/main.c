/*
 * Copyright (C) 2026 the ngx_http_apikey_module authors
 *
 * apikey-sync: the daemon that keeps the table of API keys, which nginx reads,
 * the same as the store.  Starts it, and hands it the signals.
 *
 * Core dumps are not forbidden: there are neither key texts nor peppers in
 * this process, and a core is what finds a crash.  Its secret is the store's
 * password; LimitCORE=0 in the unit is for those to whom that is too much.
 */

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <uv.h>

#include "conf.h"
#include "log.h"
#include "notify.h"
#include "sync.h"
#include "store/version.h"

/* exit codes; docs/operations.md */
#define EXIT_SYSTEM 1
#define EXIT_CONF   2

/* A look-up of the store's name can't be cut short, and may take longer than
   anybody waits for us to stop. */
#define DAEMON_STOP_MAX 1000 /* milliseconds */

typedef struct {
    int            argc;
    char         **argv;
    apikey_sync_t *sync;
    uv_signal_t    term, interrupt, hup;
    uv_timer_t     late; /* to stop */
} daemon_t;


/* The table was closed and nothing else is ours to end; exit() would wait for
   the look-up. */
static void
daemon_late(uv_timer_t *timer)
{
    (void) timer;

    apikey_log(APIKEY_LOG_NOTICE,
               "stopped without waiting for a look-up of the store's name");
    _exit(EXIT_SUCCESS);
}


static void
daemon_stop(uv_signal_t *handle, int number)
{
    sigset_t  again;
    daemon_t *self = handle->data;

    /* who is told once more to stop still ends by itself, with exit code 0 */
    sigemptyset(&again);
    sigaddset(&again, SIGTERM);
    sigaddset(&again, SIGINT);
    sigaddset(&again, SIGHUP);
    sigprocmask(SIG_BLOCK, &again, NULL);

    apikey_log(APIKEY_LOG_NOTICE, "stopping",
               apikey_text("signal", number == SIGTERM ? "TERM" : "INT"));
    apikey_notify("STOPPING=1");

    apikey_sync_stop(self->sync);

    uv_close((uv_handle_t *) &self->term, NULL);
    uv_close((uv_handle_t *) &self->interrupt, NULL);
    uv_close((uv_handle_t *) &self->hup, NULL);

    /* nobody waits for the timer itself */
    uv_timer_start(&self->late, daemon_late, DAEMON_STOP_MAX, 0);
    uv_unref((uv_handle_t *) &self->late);
}


static void
daemon_warn(const apikey_conf_t *conf)
{
    if (conf->password_in_command) {
        apikey_log(APIKEY_LOG_WARNING,
                   "the store's password stands in the command line, where "
                   "every user of this host can read it: use password-file");
    }
}


static void
daemon_reload(uv_signal_t *handle, int number)
{
    char          error[APIKEY_CONF_ERROR_LEN];
    daemon_t     *self = handle->data;
    apikey_conf_t conf;

    (void) number;

    if (apikey_conf_load(&conf, self->argc, self->argv, error) != 0) {
        apikey_log(APIKEY_LOG_ERROR,
                   "the new configuration is refused; the old one goes on",
                   apikey_text("error", error));
        return;
    }

    apikey_sync_reconfigure(self->sync, &conf);
    apikey_log(APIKEY_LOG_NOTICE, "configuration read");
    apikey_conf_wipe(&conf);
}


static void
daemon_signal(daemon_t *self, uv_loop_t *loop, uv_signal_t *handle,
              uv_signal_cb handler, int number)
{
    uv_signal_init(loop, handle);
    handle->data = self;
    uv_signal_start(handle, handler, number);
}


static void
daemon_started(const apikey_conf_t *conf)
{
    char shown[APIKEY_URL_PART_MAX + 32];

    apikey_url_show(&conf->url, shown, sizeof(shown));
    apikey_log(APIKEY_LOG_NOTICE, "started",
               apikey_text("version", APIKEY_RELEASE),
               apikey_text("edge", conf->edge), apikey_text("store", shown),
               apikey_text("store_name", conf->store_name),
               apikey_text("table", conf->table));
}


static int
daemon_run(daemon_t *self, const apikey_conf_t *conf)
{
    int       rc = EXIT_SYSTEM;
    char      error[512];
    uv_loop_t loop;

    if (uv_loop_init(&loop) != 0) {
        apikey_log(APIKEY_LOG_ERROR, "no event loop");
        return EXIT_SYSTEM;
    }

    self->sync = apikey_sync_start(&loop, conf, error, sizeof(error));

    if (self->sync == NULL) {
        apikey_log(APIKEY_LOG_ERROR, "the table cannot be used",
                   apikey_text("table", conf->table),
                   apikey_text("error", error));
        goto cleanup;
    }

    uv_timer_init(&loop, &self->late);
    daemon_signal(self, &loop, &self->term, daemon_stop, SIGTERM);
    daemon_signal(self, &loop, &self->interrupt, daemon_stop, SIGINT);
    daemon_signal(self, &loop, &self->hup, daemon_reload, SIGHUP);

    daemon_started(conf);

    uv_run(&loop, UV_RUN_DEFAULT);

    uv_close((uv_handle_t *) &self->late, NULL);
    uv_run(&loop, UV_RUN_DEFAULT);

    apikey_sync_free(self->sync);
    rc = EXIT_SUCCESS;

cleanup:

    uv_loop_close(&loop);

    return rc;
}


int
main(int argc, char **argv)
{
    int           rc;
    char          error[APIKEY_CONF_ERROR_LEN];
    daemon_t      self = { .argc = argc, .argv = argv };
    apikey_conf_t conf;

    signal(SIGPIPE, SIG_IGN);

    /* a file that may not grow is an error of write(2), as a full disk is */
    signal(SIGXFSZ, SIG_IGN);

    if (apikey_conf_load(&conf, argc, argv, error) != 0) {
        fprintf(stderr, "apikey-sync: %s\n", error);
        return EXIT_CONF;
    }

    switch (conf.action) {
    case APIKEY_CONF_HELP:
        apikey_conf_help();
        return EXIT_SUCCESS;

    case APIKEY_CONF_VERSION:
        printf("apikey-sync %s\n", APIKEY_RELEASE);
        return EXIT_SUCCESS;

    case APIKEY_CONF_CHECK:
        printf("apikey-sync: the configuration is good\n");
        apikey_conf_wipe(&conf);
        return EXIT_SUCCESS;

    case APIKEY_CONF_RUN:
        break;
    }

    apikey_log_limit(conf.log_level);
    daemon_warn(&conf);

    rc = daemon_run(&self, &conf);

    apikey_conf_wipe(&conf);

    return rc;
}
