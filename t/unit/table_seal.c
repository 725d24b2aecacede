/*
 * Copyright (C) 2026 the ngx_http_apikey_module authors
 *
 * Sealed words and checks: what damage they must see.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "table/apikey_table.h"

static const uint64_t values[] = { 0,
                                   1,
                                   2,
                                   0x123456789abcULL,
                                   4096 / 8,
                                   0xffffULL,
                                   0x10000ULL,
                                   APIKEY_SEAL_MASK - 1,
                                   1ULL << 47,
                                   1ULL << 16,
                                   0x5aa55aa5ULL,
                                   APIKEY_SEAL_MASK };

#define NVALUES (sizeof(values) / sizeof(values[0]))


static void
a_sealed_value_comes_back(void **state)
{
    size_t   i;
    uint64_t value;

    (void) state;

    for (i = 0; i < NVALUES; i++) {
        assert_true(apikey_unseal(apikey_seal(values[i]), &value));
        assert_int_equal(value, values[i]);
    }
}


static void
one_or_two_flipped_bits_are_seen(void **state)
{
    int      a, b;
    size_t   i;
    uint64_t word, value;

    (void) state;

    for (i = 0; i < NVALUES; i++) {
        word = apikey_seal(values[i]);

        for (a = 0; a < 64; a++) {
            assert_false(apikey_unseal(word ^ 1ULL << a, &value));

            for (b = a + 1; b < 64; b++) {
                assert_false(
                    apikey_unseal(word ^ 1ULL << a ^ 1ULL << b, &value));
            }
        }
    }
}


static void
a_zeroed_and_an_erased_word_are_damage(void **state)
{
    uint64_t value;

    (void) state;

    assert_false(apikey_unseal(0, &value));
    assert_false(apikey_unseal(UINT64_MAX, &value));
}


static void
status_codes_differ_by_four_bits_or_more(void **state)
{
    int                   i, j;
    const apikey_status_t codes[] = { APIKEY_EMPTY, APIKEY_ENABLED,
                                      APIKEY_DISABLED, APIKEY_REVOKED };

    (void) state;

    for (i = 0; i < 4; i++) {
        for (j = 0; j < i; j++) {
            assert_true(
                __builtin_popcount((unsigned) codes[i] ^ (unsigned) codes[j])
                >= 4);
        }
    }
}


static void
a_check_sees_any_damage_within_one_word(void **state)
{
    int           bit, byte;
    uint64_t      good;
    unsigned char data[64];

    (void) state;

    for (byte = 0; byte < 64; byte++) {
        data[byte] = (unsigned char) (byte * 37);
    }

    good = apikey_check(data, sizeof(data));

    for (byte = 0; byte < 64; byte++) {
        for (bit = 1; bit < 256; bit++) {
            data[byte] ^= (unsigned char) bit;
            assert_int_not_equal(apikey_check(data, sizeof(data)), good);
            data[byte] ^= (unsigned char) bit;
        }
    }
}


static void
a_check_sees_another_length(void **state)
{
    unsigned char zeros[64] = { 0 };

    (void) state;

    assert_int_not_equal(apikey_check(zeros, 32), apikey_check(zeros, 40));
}


static void
a_home_is_within_the_slots(void **state)
{
    const uint64_t zero[4] = { 0 }, one[4] = { 1, 1, 1, 1 };
    const uint64_t last[4] = { UINT64_MAX, 0, 0, 0 };

    (void) state;

    assert_int_equal(apikey_slot_home(zero, one, 1667), 0);
    assert_int_equal(apikey_slot_home(last, one, 1667), 1666);
    assert_int_equal(apikey_slot_home(last, one, APIKEY_SLOTS_MAX),
                     APIKEY_SLOTS_MAX - 1);
}


int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_sealed_value_comes_back),
        cmocka_unit_test(one_or_two_flipped_bits_are_seen),
        cmocka_unit_test(a_zeroed_and_an_erased_word_are_damage),
        cmocka_unit_test(status_codes_differ_by_four_bits_or_more),
        cmocka_unit_test(a_check_sees_any_damage_within_one_word),
        cmocka_unit_test(a_check_sees_another_length),
        cmocka_unit_test(a_home_is_within_the_slots),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);

    return cmocka_run_group_tests(tests, NULL, NULL);
}
