/*
 * Copyright (C) 2026 the ngx_http_apikey_module authors
 *
 * Where the store is: one URL, the same for the daemon and for admin.
 *
 *   redis://[USER[:PASSWORD]@]HOST[:PORT][/DB]
 *   unix://[USER[:PASSWORD]@]/PATH[?db=N]
 *   rediss://...                              parsed, so that it can be refused:
 *                                             TLS is not built in yet
 *
 * and, for secrets that must not stand in a command line, PASSWORD read from
 * a file by the caller.
 */

#ifndef APIKEY_STORE_URL_H
#define APIKEY_STORE_URL_H

#include <stddef.h>

#define APIKEY_STORE_NAME_DEFAULT "{apikey}"
#define APIKEY_STORE_NAME_MAX     66  /* bytes, braces included */
#define APIKEY_URL_PART_MAX       512 /* bytes of any part, decoded */

typedef struct {
    int  tls;  /* 1: rediss */
    int  port; /* 0 for a unix socket */
    int  db;
    char host[APIKEY_URL_PART_MAX];     /* or the socket's path */
    char user[APIKEY_URL_PART_MAX];     /* "" for the default user */
    char password[APIKEY_URL_PART_MAX]; /* "" for none; wiped by _wipe() */
} apikey_url_t;

/*
 * Parses text.  Returns 0, or -1 with a sentence in error that does not repeat
 * a password.  User and password are percent-decoded.
 */
int apikey_url_parse(apikey_url_t *url, const char *text, char *error,
                     size_t error_size);

void apikey_url_wipe(apikey_url_t *url);

/* "host:port/db" or "unix:path", never with credentials, into buffer. */
void apikey_url_show(const apikey_url_t *url, char *buffer, size_t size);

/* 1 if name is a store's name (docs/store.md), else 0. */
int apikey_store_name_check(const char *name);

#endif /* APIKEY_STORE_URL_H */
