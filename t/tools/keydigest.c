/*
 * Copyright (C) 2026 the ngx_http_apikey_module authors
 *
 * Digests for tests that put keys into a table without a store.
 *
 *   keydigest FILE      a key's text a line on standard input; answers each
 *                       with its digest under the first pepper of FILE
 *   keydigest -f FILE   the fingerprints of the peppers of FILE
 */

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <sodium.h>

#include "key/key.h"
#include "key/pepper.h"


static void
print_digest(const char *text, size_t len, const apikey_pepper_t *pepper)
{
    uint8_t digest[APIKEY_DIGEST_LEN];
    size_t  i;

    apikey_digest(digest, (const uint8_t *) text, len, pepper->secret);

    for (i = 0; i < sizeof(digest); i++) {
        printf("%02x", digest[i]);
    }

    printf("\n");
    fflush(stdout);
}


int
main(int argc, char **argv)
{
    char                 line[4096], error[APIKEY_PEPPER_ERROR_LEN];
    size_t               i;
    apikey_pepper_ring_t ring;
    int                  fingerprints;

    fingerprints = argc == 3 && strcmp(argv[1], "-f") == 0;

    if (argc != 2 + fingerprints) {
        fprintf(stderr, "usage: keydigest [-f] FILE\n");
        return 2;
    }

    if (sodium_init() == -1
        || apikey_pepper_ring_load(&ring, argv[argc - 1], error) != 0)
    {
        fprintf(stderr, "keydigest: %s\n", error);
        return 1;
    }

    for (i = 0; fingerprints && i < ring.count; i++) {
        printf("%016" PRIx64 "\n", ring.pepper[i].fingerprint);
    }

    while (!fingerprints && fgets(line, sizeof(line), stdin)) {
        print_digest(line, strcspn(line, "\n"), &ring.pepper[0]);
    }

    apikey_pepper_ring_wipe(&ring);

    return 0;
}
