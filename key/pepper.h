/*
 * Copyright (C) 2026 the ngx_http_apikey_module authors
 *
 * The pepper ring: the one or two secrets that key the digest.  A file of
 * "id:base64" lines; the first is used for new keys, all are tried at
 * look-up.  Read by the nginx master and by admin, never by the daemon.
 */

#ifndef APIKEY_PEPPER_H
#define APIKEY_PEPPER_H

#include <stddef.h>
#include <stdint.h>

#include "key.h"

#define APIKEY_PEPPERS_MAX      2
#define APIKEY_PEPPER_ID_MAX    16   /* of [a-z0-9_-] */
#define APIKEY_PEPPER_FILE_MAX  4096 /* bytes of a file that is read at all */
#define APIKEY_PEPPER_ERROR_LEN 512  /* fits any message, path included */


typedef struct {
    uint8_t  secret[APIKEY_PEPPER_LEN];
    uint64_t fingerprint; /* public: first 8 bytes, little-endian, of
                             BLAKE2b-256("apikey pepper fingerprint") keyed
                             with the secret; written as 16 hex digits of the
                             number */
    char     id[APIKEY_PEPPER_ID_MAX + 1];
} apikey_pepper_t;

typedef struct {
    size_t          count; /* 1 or 2; 0 when not loaded */
    apikey_pepper_t pepper[APIKEY_PEPPERS_MAX];
} apikey_pepper_ring_t;


/*
 * Reads the ring from path.  Blank lines and lines that begin with '#' are
 * passed over.  Returns 0; or -1 with a sentence in error that names the
 * path, the line and what to do, and ring wiped.
 *
 * Refused: anything but a regular file; one that others may read or write or
 * that the group may write (mode & 0027); one owned by
 * neither root nor the caller; more than two lines; a bad or repeated id; a
 * secret that is not 32 bytes; two equal secrets.
 *
 * The caller wipes the ring (apikey_pepper_ring_wipe) when done with it.
 * Buffers that held the file are wiped before the return.
 */
int apikey_pepper_ring_load(apikey_pepper_ring_t *ring, const char *path,
                            char error[static APIKEY_PEPPER_ERROR_LEN]);

void apikey_pepper_ring_wipe(apikey_pepper_ring_t *ring);

/* 1 if id is a pepper's id, 1 to APIKEY_PEPPER_ID_MAX of [a-z0-9_-]. */
int apikey_pepper_id_check(const char *id);

/*
 * Creates path (mode 0600, never over an existing file) with one new random
 * pepper of this id, and makes it durable (fsync of the file and its
 * directory).  Returns 0, or -1 with a sentence in error.
 */
int apikey_pepper_file_make(const char *path, const char *id,
                            char error[static APIKEY_PEPPER_ERROR_LEN]);

#endif /* APIKEY_PEPPER_H */
