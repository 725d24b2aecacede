/*
 * Copyright (C) 2026 the ngx_http_apikey_module authors
 *
 * The store's password from a file, so that it stands in no command line and
 * in no URL.
 */

#ifndef APIKEY_STORE_PASSWORD_H
#define APIKEY_STORE_PASSWORD_H

#include <stddef.h>

#include "store/url.h"

/*
 * Replaces url->password with the first line of the file, which may be a pipe
 * as well.  Returns 0, or -1 with a sentence in error that names the path,
 * and the password wiped.
 *
 * Refused: a regular file that others may read or write (mode & 0007); an
 * empty line; one of more than APIKEY_URL_PART_MAX - 1 bytes.
 */
int apikey_password_read(apikey_url_t *url, const char *path, char *error,
                         size_t error_size);

#endif /* APIKEY_STORE_PASSWORD_H */
