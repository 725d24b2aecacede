/*
 * Copyright (C) 2026 the ngx_http_apikey_module authors
 *
 * The bounds of a record, each at its edge.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "table/valid.h"

#define AREA 4096


static void
claims_stay_within_the_area(void **state)
{
    size_t               i;
    static unsigned char area[AREA + 65536];
    static const struct {
        uint64_t offset;
        uint16_t size;
        uint64_t claim;
    } rows[] = {
        { 0, 32, 32 },
        { 0, 40, 40 },
        { 0, 24, 0 }, /* less than a head */
        { 0, 0, 0 },
        { 0, 36, 0 },          /* not a multiple of 8 */
        { 0, 2048, 0 },        /* more than any record */
        { AREA - 32, 32, 32 }, /* the very end */
        { AREA - 32, 40, 0 },  /* over the end */
        { AREA - 24, 24, 0 },  /* no room for a head */
        { AREA, 32, 0 },
        { AREA + 8, 32, 0 },
        { UINT64_MAX - 7, 32, 0 }, /* wraps around */
        { (1ULL << 48) * 8, 32, 0 },
    };

    (void) state;

    for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        if (rows[i].offset <= AREA) {
            memset(area, 0, sizeof(area));
            memcpy(area + rows[i].offset
                       + offsetof(apikey_table_record_t, size),
                   &rows[i].size, sizeof(rows[i].size));
        }

        if (apikey_record_claim(area, AREA, rows[i].offset) != rows[i].claim) {
            fail_msg("row %d", (int) i);
        }
    }
}


static void
a_record_must_be_whole_and_belong_to_its_digest(void **state)
{
    apikey_table_record_t record[2];

    (void) state;

    memset(record, 0, sizeof(record));
    record->digest = 7;
    record->size = 64;
    record->id_len = 24;
    record->scopes_len = 8;
    record->check = apikey_check((unsigned char *) record + 8, 56);

    assert_true(apikey_valid_record(record, 64, 7));
    assert_false(apikey_valid_record(record, 64, 8));
    assert_false(apikey_valid_record(record, 56, 7));

    record->scopes_len = 9; /* one byte more than there is */
    record->check = apikey_check((unsigned char *) record + 8, 56);
    assert_false(apikey_valid_record(record, 64, 7));
}


int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(claims_stay_within_the_area),
        cmocka_unit_test(a_record_must_be_whole_and_belong_to_its_digest),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);

    return cmocka_run_group_tests(tests, NULL, NULL);
}
