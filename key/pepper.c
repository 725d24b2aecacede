/*
 * Copyright (C) 2026 the ngx_http_apikey_module authors
 *
 * The pepper ring: read from its file, searched, wiped.
 */

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <sodium.h>

#include "key/pepper.h"


/* Group may not write; others may do nothing. */
#define FORBIDDEN_MODE 0027

#define FINGERPRINTED "apikey pepper fingerprint"


/* Where the reader is, for messages; line 0 is the file as a whole. */
typedef struct {
    const char *path;
    unsigned    line;
    char       *error;
} place_t;


/* Writes "pepper file "PATH" line N: SENTENCE"; returns -1. */
static int __attribute__((format(printf, 2, 3)))
refuse(const place_t *place, const char *format, ...)
{
    va_list args;
    char    line[sizeof("line 4294967295: ")] = "";
    int     n;

    if (place->line > 0) {
        (void) snprintf(line, sizeof(line), "line %u: ", place->line);
    }

    n = snprintf(place->error, APIKEY_PEPPER_ERROR_LEN,
                 "pepper file \"%.256s\": %s", place->path, line);

    va_start(args, format);
    (void) vsnprintf(place->error + n, APIKEY_PEPPER_ERROR_LEN - (size_t) n,
                     format, args);
    va_end(args);

    return -1;
}


static void
fingerprint(apikey_pepper_t *pepper)
{
    uint8_t hash[APIKEY_DIGEST_LEN];
    int     i;

    (void) crypto_generichash(
        hash, sizeof(hash), (const uint8_t *) FINGERPRINTED,
        sizeof(FINGERPRINTED) - 1, pepper->secret, sizeof(pepper->secret));

    pepper->fingerprint = 0;

    for (i = 7; i >= 0; i--) {
        pepper->fingerprint = pepper->fingerprint << 8 | hash[i];
    }
}


static int
read_id(apikey_pepper_t *pepper, const char *text, size_t len)
{
    if (len == 0 || len > APIKEY_PEPPER_ID_MAX) {
        return -1;
    }

    memcpy(pepper->id, text, len);
    pepper->id[len] = '\0';

    if (strlen(pepper->id) != len) {
        return -1; /* a NUL inside */
    }

    return apikey_pepper_id_check(pepper->id) ? 0 : -1;
}


static int
read_secret(apikey_pepper_t *pepper, const char *text, size_t len)
{
    size_t n;

    if (sodium_base642bin(pepper->secret, sizeof(pepper->secret), text, len,
                          NULL, &n, NULL, sodium_base64_VARIANT_ORIGINAL)
        != 0)
    {
        return -1;
    }

    return n == sizeof(pepper->secret) ? 0 : -1;
}


static int
differs(const apikey_pepper_ring_t *ring, const apikey_pepper_t *pepper,
        const place_t *place)
{
    size_t i;

    for (i = 0; i < ring->count; i++) {
        if (strcmp(ring->pepper[i].id, pepper->id) == 0) {
            return refuse(place, "the id \"%s\" is there twice", pepper->id);
        }

        if (sodium_memcmp(ring->pepper[i].secret, pepper->secret,
                          sizeof(pepper->secret))
            == 0)
        {
            return refuse(place, "\"%s\" and \"%s\" have the same secret",
                          ring->pepper[i].id, pepper->id);
        }
    }

    return 0;
}


/* Adds the pepper of one line to the ring. */
static int
read_line(apikey_pepper_ring_t *ring, const char *line, size_t len,
          const place_t *place)
{
    const char      *colon = memchr(line, ':', len);
    apikey_pepper_t *pepper;

    if (line[len - 1] == '\r') {
        return refuse(place, "it ends in a carriage return: save the file "
                             "with Unix line ends");
    }

    if (ring->count == APIKEY_PEPPERS_MAX) {
        return refuse(place, "there are more than two peppers: remove the "
                             "one that no key uses any more");
    }

    pepper = &ring->pepper[ring->count];

    if (colon == NULL || read_id(pepper, line, (size_t) (colon - line)) != 0) {
        return refuse(place, "it is not id:base64, the id 1 to 16 of "
                             "a-z 0-9 _ -");
    }

    colon++;

    if (read_secret(pepper, colon, len - (size_t) (colon - line)) != 0) {
        return refuse(place, "after the colon must stand 32 bytes in base64 "
                             "(44 characters), and nothing else");
    }

    if (differs(ring, pepper, place) != 0) {
        return -1;
    }

    fingerprint(pepper);
    ring->count++;

    return 0;
}


static int
is_passed_over(const char *line, size_t len)
{
    size_t i;

    if (len > 0 && line[0] == '#') {
        return 1;
    }

    for (i = 0; i < len && (line[i] == ' ' || line[i] == '\t'); i++) {
        /* void */
    }

    return i == len;
}


static int
read_lines(apikey_pepper_ring_t *ring, const char *text, size_t len,
           place_t *place)
{
    const char *end;
    size_t      n;

    while (len > 0) {
        end = memchr(text, '\n', len);
        n = end ? (size_t) (end - text) : len;
        place->line++;

        if (!is_passed_over(text, n) && read_line(ring, text, n, place) != 0) {
            return -1;
        }

        n += end != NULL;
        text += n;
        len -= n;
    }

    place->line = 0;

    if (ring->count == 0) {
        return refuse(place, "there is no pepper in it: it must hold one or "
                             "two lines, id:base64");
    }

    return 0;
}


static int
check_owner(int fd, const place_t *place)
{
    struct stat st;

    if (fstat(fd, &st) != 0) {
        return refuse(place, "%s", strerror(errno));
    }

    if (!S_ISREG(st.st_mode)) {
        return refuse(place, "it is not a regular file");
    }

    if (st.st_uid != 0 && st.st_uid != geteuid()) {
        return refuse(place,
                      "it belongs to another user (uid %ju): chown it "
                      "to root",
                      (uintmax_t) st.st_uid);
    }

    if (st.st_mode & FORBIDDEN_MODE) {
        return refuse(place,
                      "users who should not may read or change it "
                      "(mode %04o): chmod it to 0600 or 0640",
                      (unsigned) (st.st_mode & 07777));
    }

    return 0;
}


/* Reads size bytes or to the end of the file; returns how many, or -1. */
static ssize_t
read_all(int fd, char *buffer, size_t size)
{
    size_t  len = 0;
    ssize_t n;

    while (len < size) {
        n = read(fd, buffer + len, size - len);

        if (n == -1 && errno == EINTR) {
            continue;
        }

        if (n == -1) {
            return -1;
        }

        if (n == 0) {
            break;
        }

        len += (size_t) n;
    }

    return (ssize_t) len;
}


static int
read_file(apikey_pepper_ring_t *ring, int fd, place_t *place)
{
    char    text[APIKEY_PEPPER_FILE_MAX + 1];
    ssize_t n;
    int     rc;

    n = read_all(fd, text, sizeof(text));

    if (n == -1) {
        rc = refuse(place, "%s", strerror(errno));

    } else if (n > APIKEY_PEPPER_FILE_MAX) {
        rc = refuse(place, "it is longer than %d bytes: is it the right file?",
                    APIKEY_PEPPER_FILE_MAX);

    } else {
        rc = read_lines(ring, text, (size_t) n, place);
    }

    sodium_memzero(text, sizeof(text));

    return rc;
}


int
apikey_pepper_ring_load(apikey_pepper_ring_t *ring, const char *path,
                        char error[static APIKEY_PEPPER_ERROR_LEN])
{
    place_t place = { .path = path, .error = error };
    int     fd, rc;

    memset(ring, 0, sizeof(*ring));

    /* O_NONBLOCK: to open a FIFO must not wait for who writes to it */
    fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (fd == -1) {
        return refuse(&place, "%s", strerror(errno));
    }

    rc = check_owner(fd, &place);

    if (rc == 0) {
        rc = read_file(ring, fd, &place);
    }

    (void) close(fd);

    if (rc != 0) {
        apikey_pepper_ring_wipe(ring);
    }

    return rc;
}


void
apikey_pepper_ring_wipe(apikey_pepper_ring_t *ring)
{
    sodium_memzero(ring, sizeof(*ring));
}


int
apikey_pepper_id_check(const char *id)
{
    size_t len = strlen(id);

    return len > 0 && len <= APIKEY_PEPPER_ID_MAX
           && strspn(id, "abcdefghijklmnopqrstuvwxyz0123456789_-") == len;
}
