/*
 * Copyright (C) 2026 the ngx_http_apikey_module authors
 *
 * The daemon's configuration: options of the command line and of a file of
 * `key = value` lines with the same names; the command line wins.
 */

#ifndef APIKEY_SYNC_CONF_H
#define APIKEY_SYNC_CONF_H

#include <stdint.h>

#include "log.h"
#include "store/url.h"

#define APIKEY_CONF_PATH_MAX  1000 /* bytes of the table's path */
#define APIKEY_CONF_EDGE_MAX  64
#define APIKEY_CONF_ERROR_LEN 1024

typedef enum {
    APIKEY_CONF_RUN = 0,
    APIKEY_CONF_CHECK,
    APIKEY_CONF_HELP,
    APIKEY_CONF_VERSION
} apikey_conf_action_t;

typedef struct {
    apikey_conf_action_t action;
    apikey_url_t         url; /* user and password included */
    char                 store_name[APIKEY_STORE_NAME_MAX + 1];
    char                 table[APIKEY_CONF_PATH_MAX + 1];
    char                 state[APIKEY_CONF_PATH_MAX + 1]; /* "": none */
    char                 edge[APIKEY_CONF_EDGE_MAX + 1];
    char                 canary[24 + 1];  /* a key's id; "": none */
    uint64_t             canary_interval; /* milliseconds */
    apikey_url_t         canary_url;      /* url, with its own credentials */
    apikey_log_level_t   log_level;
    int password_in_command; /* 1: whoever may run ps(1) can read it */
} apikey_conf_t;


/*
 * Reads the command line, the file that it names if any, and the password
 * file.  May be called again with the same arguments, to see what changed in
 * the files.  Returns 0, or -1 with a sentence in error that says where the
 * mistake is; then conf is not to be used.
 */
int apikey_conf_load(apikey_conf_t *conf, int argc, char *const argv[],
                     char error[static APIKEY_CONF_ERROR_LEN]);

/* Forgets the password. */
void apikey_conf_wipe(apikey_conf_t *conf);

/* The text of --help, on stdout. */
void apikey_conf_help(void);

#endif /* APIKEY_SYNC_CONF_H */
