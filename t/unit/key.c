/*
 * Copyright (C) 2026 the ngx_http_apikey_module authors
 *
 * Making keys and ids: their shape, their alphabet, their randomness; and what
 * the vectors cannot say of checking them.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <sodium.h>

#include "key/base62.h"
#include "key/key.h"

#define ALPHABET \
    "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

static const char *const prefixes[] = { "", "m", "mm_", "live-key_16bytes" };


static const uint8_t *
bytes(const char *text)
{
    return (const uint8_t *) text;
}


static void
test_make(void **state)
{
    char   text[APIKEY_TEXT_MAX + 1];
    size_t i, n, len, prefix_len;

    (void) state;

    for (i = 0; i < 4; i++) {
        prefix_len = strlen(prefixes[i]);

        for (n = 0; n < 200; n++) {
            memset(text, 'x', sizeof(text));
            len = apikey_text_make(text, prefixes[i]);

            assert_int_equal(len, prefix_len + 38);
            assert_int_equal(strlen(text), len);
            assert_memory_equal(text, prefixes[i], prefix_len);
            assert_int_equal(strspn(text + prefix_len, ALPHABET), 38);
            assert_int_equal(apikey_text_syntax(bytes(text), len),
                             APIKEY_TEXT_OK);
            assert_int_equal(apikey_text_check(bytes(text), len, prefixes[i]),
                             APIKEY_TEXT_OK);
        }
    }
}


/* Any one character mistyped, any two neighbours swapped: always seen. */
static void
test_mistyped(void **state)
{
    char   text[APIKEY_TEXT_MAX + 1], c;
    size_t i, j, len;

    (void) state;

    len = apikey_text_make(text, "mm_");

    for (i = 3; i < len; i++) {
        for (j = 0; j < 62; j++) {
            c = text[i];
            text[i] = ALPHABET[j];

            assert_int_equal(apikey_text_check(bytes(text), len, "mm_"),
                             text[i] == c ? APIKEY_TEXT_OK
                                          : APIKEY_TEXT_CHECKSUM);
            text[i] = c;
        }
    }

    for (i = 3; i + 1 < len; i++) {
        c = text[i];
        text[i] = text[i + 1];
        text[i + 1] = c;

        assert_int_equal(apikey_text_check(bytes(text), len, "mm_"),
                         text[i] == c ? APIKEY_TEXT_OK : APIKEY_TEXT_CHECKSUM);
        text[i + 1] = text[i];
        text[i] = c;
    }
}


/* Every byte, in the first place, the middle, the last. */
static void
test_charset(void **state)
{
    uint8_t text[20];
    int     c, token;
    size_t  i;

    (void) state;

    for (c = 0; c < 256; c++) {
        token = c != 0 && strchr(ALPHABET "-._~+/", c) != NULL;

        for (i = 0; i < sizeof(text); i += 19) {
            memset(text, 'k', sizeof(text));
            text[i] = (uint8_t) c;
            assert_int_equal(apikey_text_syntax(text, sizeof(text)),
                             token || (c == '=' && i == 19)
                                 ? APIKEY_TEXT_OK
                                 : APIKEY_TEXT_CHARSET);
        }
    }
}


/* The bytes right behind a text are not the text's: under valgrind this also
   shows that nothing reads them. */
static void
test_no_terminator(void **state)
{
    uint8_t digest[APIKEY_DIGEST_LEN], other[APIKEY_DIGEST_LEN];
    uint8_t pepper[APIKEY_PEPPER_LEN] = { 1 };
    char    hint[APIKEY_HINT_SIZE], *text = malloc(16);

    (void) state;

    assert_non_null(text);
    memcpy(text, "abcdefghijklmnop", 16);

    assert_int_equal(apikey_text_syntax(bytes(text), 16), APIKEY_TEXT_OK);
    assert_int_equal(apikey_text_check(bytes(text), 16, "abcd"),
                     APIKEY_TEXT_OK);

    apikey_text_hint(hint, text, 16, "abcd");
    assert_string_equal(hint, "abcd\xe2\x80\xa6mnop");

    apikey_text_hint(hint, text, 16, "abcdefghijklmnopq");
    assert_string_equal(hint, "\xe2\x80\xa6mnop");

    apikey_digest(digest, bytes(text), 16, pepper);
    apikey_digest(other, bytes("abcdefghijklmnop."), 16, pepper);
    assert_memory_equal(digest, other, sizeof(digest));

    free(text);
}


static void
test_prefix(void **state)
{
    (void) state;

    assert_true(apikey_prefix_check(""));
    assert_true(apikey_prefix_check("mm_"));
    assert_true(apikey_prefix_check("0-9_azAZ"));
    assert_true(apikey_prefix_check("0123456789abcdef"));
    assert_false(apikey_prefix_check("0123456789abcdefg"));
    assert_false(apikey_prefix_check("mm "));
    assert_false(apikey_prefix_check("mm."));
    assert_false(apikey_prefix_check("mm\n"));
    assert_false(apikey_prefix_check("m\xc3\xa9"));
}


static void
test_ids(void **state)
{
    char   id[APIKEY_ID_LEN + 1], other[APIKEY_ID_LEN + 1];
    size_t n;

    (void) state;

    for (n = 0; n < 200; n++) {
        memset(id, 'x', sizeof(id));
        apikey_id_make(id);
        assert_int_equal(strlen(id), APIKEY_ID_LEN);
        assert_true(apikey_id_check(id, APIKEY_ID_LEN));
        assert_false(apikey_id_check(id, APIKEY_ID_LEN - 1));

        apikey_id_make(other);
        assert_string_not_equal(id, other);
    }
}


/* No modulo bias: each character stands for four bytes, eight give none. */
static void
test_sampler(void **state)
{
    uint8_t all[256], byte;
    char    out[256];
    size_t  seen[256] = { 0 }, i;

    (void) state;

    for (i = 0; i < 256; i++) {
        all[i] = (uint8_t) i;
    }

    assert_int_equal(apikey_base62_sample(out, 256, all, 256), 248);

    for (i = 0; i < 248; i++) {
        seen[(unsigned char) out[i]]++;
    }

    for (i = 0; i < 256; i++) {
        assert_int_equal(seen[i], i && strchr(ALPHABET, (int) i) ? 4 : 0);
    }

    for (i = 248; i < 256; i++) {
        byte = (uint8_t) i;
        assert_int_equal(apikey_base62_sample(out, 1, &byte, 1), 0);
    }

    /* no more than asked for, none of nothing */
    memset(out, '!', sizeof(out));
    assert_int_equal(apikey_base62_sample(out, 3, all, 256), 3);
    assert_int_equal(out[3], '!');
    assert_int_equal(apikey_base62_sample(out, 3, all, 0), 0);
}


/* Every place of a made text takes every character, and the digits come from
   libsodium: a generator of one's own, put in its place, is what is used. */
static uint32_t counter;

static const char *
fake_name(void)
{
    return "counter";
}

static uint32_t
fake_random(void)
{
    return counter++;
}

static void
fake_buf(void *const buffer, const size_t size)
{
    uint8_t *p = buffer;
    size_t   i;

    for (i = 0; i < size; i++) {
        p[i] = (uint8_t) counter++;
    }
}

static randombytes_implementation fake = {
    .implementation_name = fake_name,
    .random = fake_random,
    .buf = fake_buf,
};


static int
use_fake(void **state)
{
    (void) state;

    return randombytes_set_implementation(&fake);
}


static int
use_real(void **state)
{
    (void) state;

    return randombytes_set_implementation(
        &randombytes_sysrandom_implementation);
}


static void
test_source(void **state)
{
    char text[APIKEY_TEXT_MAX + 1], id[APIKEY_ID_LEN + 1];

    (void) state;

    /* bytes 248 to 255 are passed over, wherever they are */
    counter = 240;
    (void) apikey_text_make(text, "mm_");
    assert_memory_equal(text, "mm_stuvwxyz0123456789ABCDEFGHIJKLMN", 35);

    counter = 0;
    apikey_id_make(id);
    assert_string_equal(id, "key_0123456789ABCDEFGHIJ");
}


static void
test_number(void **state)
{
    char out[8] = "";

    (void) state;

    apikey_base62_number(out, 6, 0);
    assert_string_equal(out, "000000");
    apikey_base62_number(out, 6, 61);
    assert_string_equal(out, "00000z");
    apikey_base62_number(out, 6, 62);
    assert_string_equal(out, "000010");
    apikey_base62_number(out, 6, UINT32_MAX);
    assert_string_equal(out, "4gfFC3");
}


static void
test_strerror(void **state)
{
    int i, j;

    (void) state;

    for (i = APIKEY_TEXT_OK; i <= APIKEY_TEXT_CHECKSUM; i++) {
        for (j = APIKEY_TEXT_OK; j < i; j++) {
            assert_string_not_equal(
                apikey_text_strerror((apikey_text_error_t) i),
                apikey_text_strerror((apikey_text_error_t) j));
        }
    }
}


int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_make),
        cmocka_unit_test(test_mistyped),
        cmocka_unit_test(test_charset),
        cmocka_unit_test(test_no_terminator),
        cmocka_unit_test(test_prefix),
        cmocka_unit_test(test_ids),
        cmocka_unit_test(test_sampler),
        cmocka_unit_test(test_number),
        cmocka_unit_test(test_strerror),
        cmocka_unit_test_setup_teardown(test_source, use_fake, use_real),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);

    if (sodium_init() == -1) {
        return 1;
    }

    return cmocka_run_group_tests_name("key", tests, NULL, NULL);
}
