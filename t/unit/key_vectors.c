/*
 * Copyright (C) 2026 the ngx_http_apikey_module authors
 *
 * key/ against t/data/key-vectors.json, the file by which any other
 * implementation can check itself.  Runs in the root of the source.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>
#include <sodium.h>

#include "key/base62.h"
#include "key/crc32.h"
#include "key/key.h"
#include "key/pepper.h"

#define VECTORS   "t/data/key-vectors.json"
#define INPUT_MAX 1024

static json_t *vectors;


static const char *
text_of(const json_t *object, const char *name)
{
    const char *text = json_string_value(json_object_get(object, name));

    if (text == NULL) {
        fail_msg("%s: a vector has no \"%s\"", VECTORS, name);
    }

    return text;
}


static size_t
bytes_of(uint8_t *bytes, size_t size, const json_t *object, const char *name)
{
    const char *hex = text_of(object, name);
    size_t      n;

    assert_int_equal(
        sodium_hex2bin(bytes, size, hex, strlen(hex), NULL, &n, NULL), 0);
    return n;
}


static void
secret_of(uint8_t secret[static APIKEY_PEPPER_LEN], const char *id)
{
    size_t  i;
    json_t *pepper;

    json_array_foreach(json_object_get(vectors, "peppers"), i, pepper)
    {
        if (strcmp(text_of(pepper, "id"), id) == 0) {
            assert_int_equal(
                bytes_of(secret, APIKEY_PEPPER_LEN, pepper, "hex"),
                APIKEY_PEPPER_LEN);
            return;
        }
    }

    fail_msg("%s: no pepper \"%s\"", VECTORS, id);
}


static void
assert_hex(const uint8_t *bytes, size_t len, const char *hex)
{
    char is[2 * APIKEY_DIGEST_LEN + 1];

    sodium_bin2hex(is, sizeof(is), bytes, len);
    assert_string_equal(is, hex);
}


static void
test_primitive(void **state)
{
    uint8_t key[APIKEY_PEPPER_LEN], input[INPUT_MAX];
    uint8_t digest[APIKEY_DIGEST_LEN];
    size_t  i, len;
    json_t *vector;

    (void) state;

    json_array_foreach(json_object_get(vectors, "blake2b_256_keyed"), i,
                       vector)
    {
        bytes_of(key, sizeof(key), vector, "key");
        len = bytes_of(input, sizeof(input), vector, "input");
        apikey_digest(digest, input, len, key);
        assert_hex(digest, sizeof(digest), text_of(vector, "digest"));
    }

    assert_true(i > 10);
}


/* RFC 7693, appendix E. */
static void
sequence(uint8_t *out, size_t len, uint32_t seed)
{
    uint32_t a = 0xdead4bad * seed, b = 1, t;
    size_t   i;

    for (i = 0; i < len; i++) {
        t = a + b;
        a = b;
        b = t;
        out[i] = (uint8_t) (t >> 24);
    }
}


static void
test_rfc7693(void **state)
{
    static const size_t      sizes[] = { 20, 32, 48, 64 };
    static const size_t      lens[] = { 0, 3, 128, 129, 255, 1024 };
    crypto_generichash_state all;
    uint8_t                  input[INPUT_MAX], key[64], hash[64];
    size_t                   i, j;

    (void) state;

    crypto_generichash_init(&all, NULL, 0, APIKEY_DIGEST_LEN);

    for (i = 0; i < 4; i++) {
        for (j = 0; j < 6; j++) {
            sequence(input, lens[j], (uint32_t) lens[j]);
            crypto_generichash(hash, sizes[i], input, lens[j], NULL, 0);
            crypto_generichash_update(&all, hash, sizes[i]);

            sequence(key, sizes[i], (uint32_t) sizes[i]);
            crypto_generichash(hash, sizes[i], input, lens[j], key, sizes[i]);
            crypto_generichash_update(&all, hash, sizes[i]);
        }
    }

    crypto_generichash_final(&all, hash, APIKEY_DIGEST_LEN);
    assert_hex(hash, APIKEY_DIGEST_LEN, text_of(vectors, "rfc7693_selftest"));
}


static void
test_crc(void **state)
{
    char        is[APIKEY_CRC_LEN + 1] = "", hex[9];
    const char *over;
    uint32_t    crc;
    size_t      i;
    json_t     *vector;

    (void) state;

    json_array_foreach(json_object_get(vectors, "crc"), i, vector)
    {
        over = text_of(vector, "over");
        crc = apikey_crc32((const uint8_t *) over, strlen(over));

        (void) snprintf(hex, sizeof(hex), "%08x", crc);
        assert_string_equal(hex, text_of(vector, "crc32"));

        apikey_base62_number(is, APIKEY_CRC_LEN, crc);
        assert_string_equal(is, text_of(vector, "base62"));
    }

    assert_true(i >= 5);
}


/* The ring is loaded from a file, as everyone who uses it does. */
static void
test_peppers(void **state)
{
    char                 path[] = "/tmp/apikey-vectors-XXXXXX";
    char                 error[APIKEY_PEPPER_ERROR_LEN] = "";
    uint8_t              secret[APIKEY_PEPPER_LEN];
    apikey_pepper_ring_t ring;
    size_t               i;
    json_t              *vector;
    FILE                *file;

    (void) state;

    json_array_foreach(json_object_get(vectors, "peppers"), i, vector)
    {
        memcpy(path + sizeof(path) - 7, "XXXXXX", 6);
        file = fdopen(mkstemp(path), "w");
        assert_non_null(file);
        fprintf(file, "%s:%s\n", text_of(vector, "id"),
                text_of(vector, "base64"));
        assert_int_equal(fclose(file), 0);

        if (apikey_pepper_ring_load(&ring, path, error) != 0) {
            (void) remove(path);
            fail_msg("%s", error);
        }

        (void) remove(path);
        (void) snprintf(error, sizeof(error), "%016jx",
                        (uintmax_t) ring.pepper[0].fingerprint);
        assert_string_equal(error, text_of(vector, "fingerprint"));

        secret_of(secret, text_of(vector, "id"));
        assert_memory_equal(ring.pepper[0].secret, secret, sizeof(secret));
    }

    assert_true(i >= 4);
}


static apikey_text_error_t
check_of(const char *name)
{
    static const char *const names[] = { "ok", "short", "long", "charset",
                                         "checksum" };
    int                      i;

    for (i = 0; i < 5; i++) {
        if (strcmp(name, names[i]) == 0) {
            return (apikey_text_error_t) i;
        }
    }

    fail_msg("%s: \"check\": \"%s\"", VECTORS, name);

    return APIKEY_TEXT_OK;
}


static void
check_key(const json_t *vector)
{
    json_t             *value = json_object_get(vector, "text");
    const char         *text = json_string_value(value);
    size_t              len = json_string_length(value);
    const char         *prefix = text_of(vector, "prefix");
    apikey_text_error_t check = check_of(text_of(vector, "check"));
    uint8_t             secret[APIKEY_PEPPER_LEN];
    uint8_t             digest[APIKEY_DIGEST_LEN];
    char                hint[APIKEY_HINT_SIZE];

    if (apikey_text_check((const uint8_t *) text, len, prefix) != check) {
        fail_msg("%s: apikey_text_check", text_of(vector, "note"));
    }

    /* the gate does not look at checksums */
    if (apikey_text_syntax((const uint8_t *) text, len)
        != (check == APIKEY_TEXT_CHECKSUM ? APIKEY_TEXT_OK : check))
    {
        fail_msg("%s: apikey_text_syntax", text_of(vector, "note"));
    }

    if (check != APIKEY_TEXT_OK && check != APIKEY_TEXT_CHECKSUM) {
        return;
    }

    apikey_text_hint(hint, text, len, prefix);
    assert_string_equal(hint, text_of(vector, "hint"));

    secret_of(secret, text_of(vector, "pepper"));
    apikey_digest(digest, (const uint8_t *) text, len, secret);
    assert_hex(digest, sizeof(digest), text_of(vector, "digest"));
}


static void
test_keys(void **state)
{
    size_t  i;
    json_t *vector;

    (void) state;

    json_array_foreach(json_object_get(vectors, "keys"), i, vector)
    {
        check_key(vector);
    }

    assert_true(i > 30);
}


static void
test_ids(void **state)
{
    static const char *const names[] = { "bad", "good" };
    size_t                   i;
    int                      good;
    json_t                  *id;

    (void) state;

    for (good = 0; good < 2; good++) {
        json_array_foreach(
            json_object_get(json_object_get(vectors, "ids"), names[good]), i,
            id)
        {
            assert_int_equal(
                apikey_id_check(json_string_value(id), json_string_length(id)),
                good);
        }

        assert_true(i > 0);
    }
}


int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_primitive), cmocka_unit_test(test_rfc7693),
        cmocka_unit_test(test_crc),       cmocka_unit_test(test_peppers),
        cmocka_unit_test(test_keys),      cmocka_unit_test(test_ids),
    };
    json_error_t error;
    int          failed;

    cmocka_set_message_output(CM_OUTPUT_TAP);

    vectors = json_load_file(VECTORS, JSON_ALLOW_NUL, &error);
    if (vectors == NULL || sodium_init() == -1) {
        fprintf(stderr, "%s: %s\n", VECTORS, error.text);
        return 1;
    }

    failed = cmocka_run_group_tests_name("key vectors", tests, NULL, NULL);
    json_decref(vectors);

    return failed;
}
