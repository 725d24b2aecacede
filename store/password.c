/*
 * Copyright (C) 2026 the ngx_http_apikey_module authors
 *
 * The store's password from a file; see password.h.
 */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/password.h"


static int password_line(int fd, char line[static APIKEY_URL_PART_MAX + 1]);


int
apikey_password_read(apikey_url_t *url, const char *path, char *error,
                     size_t error_size)
{
    int         fd, rc = -1;
    char        line[APIKEY_URL_PART_MAX + 1];
    struct stat st;

    explicit_bzero(url->password, sizeof(url->password));

    fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);

    if (fd == -1 || fstat(fd, &st) == -1) {
        snprintf(error, error_size, "cannot read the password file %s: %s",
                 path, strerror(errno));
        goto cleanup;
    }

    if (S_ISREG(st.st_mode) && (st.st_mode & 0007)) {
        snprintf(error, error_size,
                 "the password file %s is open to all users: chmod o= it",
                 path);
        goto cleanup;
    }

    if (password_line(fd, line) == -1) {
        snprintf(error, error_size, "cannot read the password file %s: %s",
                 path, strerror(errno));

    } else if (line[0] == '\0') {
        snprintf(error, error_size,
                 "the first line of the password file %s is empty", path);

    } else if (strlen(line) >= sizeof(url->password)) {
        snprintf(error, error_size,
                 "the password in %s is longer than %zu bytes", path,
                 sizeof(url->password) - 1);

    } else {
        strcpy(url->password, line);
        rc = 0;
    }

    explicit_bzero(line, sizeof(line));

cleanup:

    if (fd != -1) {
        close(fd);
    }

    return rc;
}


/*
 * Not through stdio, which would keep a copy.  A line that is too long is
 * seen by its filling the buffer.
 */
static int
password_line(int fd, char line[static APIKEY_URL_PART_MAX + 1])
{
    size_t  len = 0;
    ssize_t n;

    do {
        n = read(fd, line + len, APIKEY_URL_PART_MAX - len);

        if (n > 0) {
            len += (size_t) n;
        }

    } while (len < APIKEY_URL_PART_MAX && memchr(line, '\n', len) == NULL
             && (n > 0 || (n == -1 && errno == EINTR)));

    line[len] = '\0';
    line[strcspn(line, "\r\n")] = '\0';

    return n == -1 ? -1 : 0;
}
