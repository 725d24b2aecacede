/*
 * Copyright (C) 2026 the ngx_http_apikey_module authors
 *
 * A new pepper file: made whole and durable, or not at all.
 */

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <sodium.h>

#include "key/pepper.h"


#define BASE64_SIZE                              \
    sodium_base64_ENCODED_LEN(APIKEY_PEPPER_LEN, \
                              sodium_base64_VARIANT_ORIGINAL)

#define HEAD                                                              \
    "# The pepper keys the digests of all API keys.  Without it no key\n" \
    "# works; who has it and the store can test guesses.  Back it up.\n"


static int
write_pepper(int fd, const char *id)
{
    uint8_t secret[APIKEY_PEPPER_LEN];
    char    base64[BASE64_SIZE];
    char    text[sizeof(HEAD) + APIKEY_PEPPER_ID_MAX + 1 + BASE64_SIZE + 1];
    int     len, rc;

    randombytes_buf(secret, sizeof(secret));
    sodium_bin2base64(base64, sizeof(base64), secret, sizeof(secret),
                      sodium_base64_VARIANT_ORIGINAL);
    len = snprintf(text, sizeof(text), HEAD "%s:%s\n", id, base64);

    errno = ENOSPC; /* of a short write */
    rc = write(fd, text, (size_t) len) == len ? 0 : -1;

    sodium_memzero(secret, sizeof(secret));
    sodium_memzero(base64, sizeof(base64));
    sodium_memzero(text, sizeof(text));

    return rc;
}


/* A file's name is durable once its directory is. */
static int
sync_directory(const char *path)
{
    char copy[PATH_MAX];
    int  fd, rc;

    if (snprintf(copy, sizeof(copy), "%s", path) >= (int) sizeof(copy)) {
        errno = ENAMETOOLONG;
        return -1;
    }

    fd = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd == -1) {
        return -1;
    }

    rc = fsync(fd);
    (void) close(fd);

    return rc;
}


int
apikey_pepper_file_make(const char *path, const char *id,
                        char error[static APIKEY_PEPPER_ERROR_LEN])
{
    int fd, rc, saved;

    if (!apikey_pepper_id_check(id)) {
        (void) snprintf(error, APIKEY_PEPPER_ERROR_LEN,
                        "a pepper's id must be 1 to 16 of a-z 0-9 _ -");
        return -1;
    }

    fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd == -1) {
        (void) snprintf(error, APIKEY_PEPPER_ERROR_LEN,
                        "cannot create the pepper file \"%.256s\": %s", path,
                        strerror(errno));
        return -1;
    }

    rc = write_pepper(fd, id) == 0 && fsync(fd) == 0
                 && sync_directory(path) == 0
             ? 0
             : -1;
    saved = errno;

    (void) close(fd);

    if (rc != 0) {
        (void) unlink(path);
        (void) snprintf(error, APIKEY_PEPPER_ERROR_LEN,
                        "cannot write the pepper file \"%.256s\": %s", path,
                        strerror(saved));
    }

    return rc;
}
