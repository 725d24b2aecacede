/*
 * Copyright (C) 2026 the ngx_http_apikey_module authors
 *
 * Key text: what a key looks like, how one is made and checked, and the
 * digest by which everything else knows it.  With key/pepper.h this is the
 * only place that knows the format and the hash; docs/key-format.md says the
 * same for other languages, and t/data/key-vectors.json lets them check it.
 *
 * Nothing here allocates.  Call sodium_init() once before anything else.
 */

#ifndef APIKEY_KEY_H
#define APIKEY_KEY_H

#include <stddef.h>
#include <stdint.h>

/* bytes of a key's text, ours or imported, without a terminator */
#define APIKEY_TEXT_MIN 16
#define APIKEY_TEXT_MAX 256

/* bytes of the store's prefix ("mm_"), of [A-Za-z0-9_-]; may be empty */
#define APIKEY_PREFIX_MAX 16

/* base62 characters of randomness (190 bits) and of CRC-32 in a key we make */
#define APIKEY_RANDOM_LEN 32
#define APIKEY_CRC_LEN    6

/* "key_" and 20 base62 characters, without a terminator */
#define APIKEY_ID_LEN 24

/* prefix, U+2026 in UTF-8, the last four characters, a terminator */
#define APIKEY_HINT_SIZE (APIKEY_PREFIX_MAX + 3 + 4 + 1)

#define APIKEY_DIGEST_LEN 32
#define APIKEY_PEPPER_LEN 32


typedef enum {
    APIKEY_TEXT_OK = 0,
    APIKEY_TEXT_SHORT,   /* fewer than APIKEY_TEXT_MIN bytes */
    APIKEY_TEXT_LONG,    /* more than APIKEY_TEXT_MAX bytes */
    APIKEY_TEXT_CHARSET, /* a byte that is not of token68 (RFC 9110, 11.2) */
    APIKEY_TEXT_CHECKSUM /* it has the prefix and the length of a key that we
                            made, but its CRC does not fit: a typing error.
                            For admins only; the gate answers such a key as
                            any unknown one. */
} apikey_text_error_t;


/*
 * Makes a new key: prefix, randomness without modulo bias, CRC-32.  Writes
 * its text and a terminator to text and returns its length; the caller wipes
 * text (sodium_memzero) once it was shown.  The prefix must pass
 * apikey_prefix_check().
 */
size_t
apikey_text_make(char text[static APIKEY_TEXT_MAX + 1], const char *prefix);

/*
 * Syntax alone: length and token68.  This is all that the gate checks before
 * it hashes; it never returns APIKEY_TEXT_CHECKSUM.
 */
apikey_text_error_t apikey_text_syntax(const uint8_t *text, size_t len);

/*
 * Syntax, and for a text that has the prefix and the length of a key that we
 * make, its CRC too.
 */
apikey_text_error_t
apikey_text_check(const uint8_t *text, size_t len, const char *prefix);

/* A sentence for people, without the text itself.  Static. */
const char *apikey_text_strerror(apikey_text_error_t error);

/* 1 if prefix has 0 to APIKEY_PREFIX_MAX bytes of [A-Za-z0-9_-], else 0. */
int apikey_prefix_check(const char *prefix);

/*
 * What lists may show of a key: the store's prefix if the text begins with
 * it, an ellipsis and the last four characters.
 */
void apikey_text_hint(char hint[static APIKEY_HINT_SIZE], const char *text,
                      size_t len, const char *prefix);

/* Makes a new public id and a terminator. */
void apikey_id_make(char id[static APIKEY_ID_LEN + 1]);

/* 1 if id is "key_" and 20 base62 characters, else 0. */
int apikey_id_check(const char *id, size_t len);

/*
 * BLAKE2b-256 of the text, keyed with the pepper (RFC 7693).  Never fails.
 * Reads text in place; the caller owns and wipes it.
 */
void
apikey_digest(uint8_t digest[static APIKEY_DIGEST_LEN], const uint8_t *text,
              size_t len, const uint8_t pepper[static APIKEY_PEPPER_LEN]);

#endif /* APIKEY_KEY_H */
