/*
 * Copyright (C) 2026 the ngx_http_apikey_module authors
 *
 * Records, log entries and messages of the channel: a good one of each decodes
 * to what it says; with any one thing wrong it is refused by name, and no
 * digest gets into the error.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "store/record.h"

#define DIGEST \
    "00112233445566778899aabbccddeeff0123456789abcdef0123456789abcdef"
#define PAIRS_MAX 24

typedef struct {
    const char *name, *value;
} pair_t;

static const pair_t record_pairs[] = {
    { "id", "key_0123456789ABCDEFabcd" },
    { "status", "disabled" },
    { "digest", DIGEST },
    { "pepper", "p-1_a" },
    { "hint", "mm_\xe2\x80\xa6wxyz" },
    { "name", "Zo\xc3\xab's key" },
    { "member", "mem_1.a:b@c-d" },
    { "tenant", "ten_1" },
    { "scopes", "a:read b!#[~" },
    { "expires", "1800000000" },
    { "created", "1767225600000" },
    { "updated", "1767225600001" },
    { "created_by", "ops@example" },
    { "updated_by", "bot" },
    { "reason", "leaked" },
    { "accepted", "5:1767225500000 281474976710655:0" },
    { "created_version", "7" },
    { "version", "12" },
};

#define PAIRS (sizeof(record_pairs) / sizeof(record_pairs[0]))


/* A flat array over the pairs; a value of NULL becomes an integer reply. */
static void
decode(apikey_record_t *record, const pair_t *pairs, size_t n, int *rc,
       char error[static APIKEY_RECORD_ERROR_LEN])
{
    size_t      i;
    redisReply  replies[2 * PAIRS_MAX], *element[2 * PAIRS_MAX], array;
    const char *text;

    memset(replies, 0, sizeof(replies));
    memset(&array, 0, sizeof(array));

    for (i = 0; i < 2 * n; i++) {
        text = i % 2 ? pairs[i / 2].value : pairs[i / 2].name;
        element[i] = &replies[i];
        replies[i].type = text ? REDIS_REPLY_STRING : REDIS_REPLY_INTEGER;
        replies[i].str = (char *) (uintptr_t) text;
        replies[i].len = text ? strlen(text) : 0;
    }

    array.type = REDIS_REPLY_ARRAY;
    array.elements = 2 * n;
    array.element = element;

    error[0] = '\0';
    *rc = apikey_record_from_reply(record, &array, error);
}


static void
check_good(const apikey_record_t *record)
{
    static const uint8_t digest[32] = {
        0x00, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88, 0x99, 0xaa,
        0xbb, 0xcc, 0xdd, 0xee, 0xff, 0x01, 0x23, 0x45, 0x67, 0x89, 0xab,
        0xcd, 0xef, 0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef
    };

    assert_string_equal(record->id, "key_0123456789ABCDEFabcd");
    assert_int_equal(record->status, APIKEY_STATUS_DISABLED);
    assert_memory_equal(record->digest, digest, 32);
    assert_string_equal(record->pepper, "p-1_a");
    assert_string_equal(record->hint, "mm_\xe2\x80\xa6wxyz");
    assert_string_equal(record->name, "Zo\xc3\xab's key");
    assert_string_equal(record->member, "mem_1.a:b@c-d");
    assert_string_equal(record->tenant, "ten_1");
    assert_string_equal(record->scopes, "a:read b!#[~");
    assert_int_equal(record->expires, 1800000000);
    assert_int_equal(record->created, 1767225600000);
    assert_int_equal(record->updated, 1767225600001);
    assert_string_equal(record->created_by, "ops@example");
    assert_string_equal(record->updated_by, "bot");
    assert_string_equal(record->reason, "leaked");
    assert_int_equal(record->accepted_count, 2);
    assert_int_equal(record->accepted[0].version, 5);
    assert_int_equal(record->accepted[0].stamp, 1767225500000);
    assert_int_equal(record->accepted[1].version, 281474976710655);
    assert_int_equal(record->accepted[1].stamp, 0);
    assert_int_equal(record->created_version, 7);
    assert_int_equal(record->version, 12);
}


/* The answer to an HMGET of the fields: `without` is nil, `odd` an integer. */
static int
decode_brief(apikey_record_t *record, const char *without, const char *odd,
             size_t elements, char error[static APIKEY_RECORD_ERROR_LEN])
{
    size_t      i, k;
    redisReply  replies[APIKEY_BRIEF_FIELDS], *element[APIKEY_BRIEF_FIELDS];
    redisReply  array = { .type = REDIS_REPLY_ARRAY,
                          .elements = elements,
                          .element = element };
    const char *name;

    memset(replies, 0, sizeof(replies));

    for (i = 0; i < APIKEY_BRIEF_FIELDS; i++) {
        name = apikey_brief_fields[i];
        element[i] = &replies[i];

        for (k = 0; strcmp(record_pairs[k].name, name) != 0; k++) {
            assert_true(k + 1 < PAIRS);
        }

        replies[i].type = without && strcmp(name, without) == 0
                              ? REDIS_REPLY_NIL
                          : odd && strcmp(name, odd) == 0 ? REDIS_REPLY_INTEGER
                                                          : REDIS_REPLY_STRING;
        replies[i].str = (char *) (uintptr_t) record_pairs[k].value;
        replies[i].len = strlen(record_pairs[k].value);
    }

    error[0] = '\0';

    return apikey_record_from_brief(record, &array, error);
}


static void
test_brief(void **state)
{
    size_t          i;
    char            error[APIKEY_RECORD_ERROR_LEN], missing[64];
    apikey_record_t brief, whole;
    int             rc;

    static const char *const optional[] = { "scopes", "expires", "accepted" };
    static const char *const needed[] = { "status", "digest", "name",
                                          "member", "tenant", "updated",
                                          "version" };

    (void) state;

    decode(&whole, record_pairs, PAIRS, &rc, error);
    assert_int_equal(
        decode_brief(&brief, NULL, NULL, APIKEY_BRIEF_FIELDS, error), 0);

    assert_string_equal(brief.id, whole.id);
    assert_int_equal(brief.status, whole.status);
    assert_memory_equal(brief.digest, whole.digest, sizeof(brief.digest));
    assert_string_equal(brief.name, whole.name);
    assert_string_equal(brief.member, whole.member);
    assert_string_equal(brief.tenant, whole.tenant);
    assert_string_equal(brief.scopes, whole.scopes);
    assert_int_equal(brief.expires, whole.expires);
    assert_int_equal(brief.updated, whole.updated);
    assert_int_equal(brief.version, whole.version);
    assert_int_equal(brief.accepted_count, 2);
    assert_string_equal(brief.reason, "");

    for (i = 0; i < sizeof(optional) / sizeof(optional[0]); i++) {
        assert_int_equal(decode_brief(&brief, optional[i], NULL,
                                      APIKEY_BRIEF_FIELDS, error),
                         0);
    }

    for (i = 0; i < sizeof(needed) / sizeof(needed[0]); i++) {
        assert_int_equal(
            decode_brief(&brief, needed[i], NULL, APIKEY_BRIEF_FIELDS, error),
            -1);
        snprintf(missing, sizeof(missing), "the field %s is missing",
                 needed[i]);
        assert_string_equal(error, missing);
    }

    assert_int_equal(
        decode_brief(&brief, "id", NULL, APIKEY_BRIEF_FIELDS, error), -1);
    assert_string_equal(error, "it is listed but has no record");
    assert_int_equal(
        decode_brief(&brief, NULL, "name", APIKEY_BRIEF_FIELDS, error), -1);
    assert_non_null(strstr(error, "the value of the field name"));
    assert_int_equal(
        decode_brief(&brief, NULL, NULL, APIKEY_BRIEF_FIELDS - 1, error), -1);
}


static void
test_record(void **state)
{
    int             rc;
    char            error[APIKEY_RECORD_ERROR_LEN];
    apikey_record_t record;

    (void) state;

    decode(&record, record_pairs, PAIRS, &rc, error);
    assert_string_equal(error, "");
    assert_int_equal(rc, 0);
    check_good(&record);
}


static void
test_record_unknown_field(void **state)
{
    int             rc;
    char            error[APIKEY_RECORD_ERROR_LEN];
    pair_t          pairs[PAIRS + 2];
    apikey_record_t record;

    (void) state;

    memcpy(pairs, record_pairs, sizeof(record_pairs));
    pairs[PAIRS] = (pair_t){ "addresses", "10.0.0.0/8" };
    pairs[PAIRS + 1] = (pair_t){ "a-name-that-is-longer-than-any-known", "" };

    decode(&record, pairs, PAIRS + 2, &rc, error);
    assert_int_equal(rc, 0);
    check_good(&record);
}


static void
test_record_missing(void **state)
{
    int             rc, optional;
    char            error[APIKEY_RECORD_ERROR_LEN];
    size_t          i, j, n;
    pair_t          pairs[PAIRS];
    apikey_record_t record;

    (void) state;

    for (i = 0; i < PAIRS; i++) {
        for (j = 0, n = 0; j < PAIRS; j++) {
            if (j != i) {
                pairs[n++] = record_pairs[j];
            }
        }

        decode(&record, pairs, n, &rc, error);

        optional = strstr(" hint scopes expires reason accepted ",
                          record_pairs[i].name)
                   != NULL;

        assert_int_equal(rc, optional ? 0 : -1);

        if (!optional) {
            assert_non_null(strstr(error, record_pairs[i].name));
        }
    }

    decode(&record, record_pairs, 0, &rc, error);
    assert_int_equal(rc, -1);
}


static void
test_record_twice(void **state)
{
    int             rc;
    char            error[APIKEY_RECORD_ERROR_LEN];
    size_t          i;
    pair_t          pairs[PAIRS + 1];
    apikey_record_t record;

    (void) state;

    memcpy(pairs, record_pairs, sizeof(record_pairs));

    for (i = 0; i < PAIRS; i++) {
        pairs[PAIRS] = record_pairs[i];
        decode(&record, pairs, PAIRS + 1, &rc, error);
        assert_int_equal(rc, -1);
        assert_null(strstr(error, "0011"));
    }
}


#define S16  "aaaaaaaaaaaaaaaa"
#define S32  S16 S16
#define S64  S32 S32
#define S128 S64 S64
#define S256 S128 S128

static const pair_t wrong[] = {
    { "id", "" },
    { "id", "key_0123456789ABCDEFabc" },
    { "id", "key_0123456789ABCDEFabcde" },
    { "id", "KEY_0123456789ABCDEFabcd" },
    { "id", "key_0123456789ABCDEFab_d" },
    { "status", "" },
    { "status", "Enabled" },
    { "status", "enabledx" },
    { "status", "enable" },
    { "digest", "" },
    { "digest", DIGEST "0" },
    { "digest",
      "00112233445566778899aabbccddeeff0123456789abcdef0123456789abcde" },
    { "digest",
      "00112233445566778899AABBccddeeff0123456789abcdef0123456789abcdef" },
    { "digest",
      "0011223344556677889 aabbccddeeff0123456789abcdef0123456789abcdef" },
    { "pepper", "" },
    { "pepper", S16 "a" },
    { "pepper", "P1" },
    { "hint", S32 "a" },
    { "hint", "a\nb" },
    { "name", "" },
    { "name", S128 "a" },
    { "name", "a\tb" },
    { "name", "a\x7f" },
    { "name", "a\x80" },
    { "name", "a\xc3" },
    { "name", "\xc0\xaf" },
    { "name", "\xe0\x80\xaf" },
    { "name", "\xed\xa0\x80" },
    { "name", "\xf0\x80\x80\xaf" },
    { "name", "\xf4\x90\x80\x80" },
    { "name", "\xf5\x80\x80\x80" },
    { "name", "\xff" },
    { "member", "" },
    { "member", S64 "a" },
    { "member", "a b" },
    { "member", "a/b" },
    { "tenant", "" },
    { "tenant", S64 "a" },
    { "tenant", "a\xc3\xab" },
    { "scopes", " a" },
    { "scopes", "a " },
    { "scopes", " " },
    { "scopes", "a  b" },
    { "scopes", "a\"b" },
    { "scopes", "a\\b" },
    { "scopes", "a\xc3\xab" },
    { "scopes", S64 "a" },
    { "scopes", "1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7" },
    { "expires", "" },
    { "expires", "0" },
    { "expires", "01" },
    { "expires", "+1" },
    { "expires", "-1" },
    { "expires", "1.5" },
    { "expires", "1e3" },
    { "expires", "10000000000" },
    { "created", "" },
    { "created", "x" },
    { "created", "99999999999999" },
    { "updated", " 1" },
    { "updated", "18446744073709551617" },
    { "created_by", "" },
    { "created_by", S128 "a" },
    { "updated_by", "" },
    { "reason", S256 "a" },
    { "reason", "a\x01" },
    { "accepted", " " },
    { "accepted", "5" },
    { "accepted", "5:" },
    { "accepted", ":6" },
    { "accepted", "5:6:7" },
    { "accepted", "0:6" },
    { "accepted", "05:6" },
    { "accepted", "-5:6" },
    { "accepted", "5:06" },
    { "accepted", "281474976710656:6" },
    { "accepted", "5:10000000000000" },
    { "accepted", " 5:6" },
    { "accepted", "5:6 " },
    { "accepted", "5:6  7:8" },
    { "accepted", "5:6,7:8" },
    { "accepted", "5 6:7" },
    { "accepted", "5:6 7" },
    { "accepted", "1:1 2:1 3:1 4:1 5:1 6:1 7:1 8:1 9:1 10:1 11:1 12:1 13:1 "
                  "14:1 15:1 16:1 17:1" },
    { "created_version", "0" },
    { "created_version", "281474976710656" },
    { "version", "0" },
    { "version", "281474976710656" },
    { "version", "" },
    { "version", NULL },
    { "name", NULL },
};

static const pair_t right[] = {
    { "status", "enabled" },
    { "status", "revoked" },
    { "hint", "" },
    { "name", S128 },
    { "name", "\xf0\x9f\x94\x91 \xe2\x82\xac \xf4\x8f\xbf\xbf" },
    { "member", S64 },
    { "scopes", "" },
    { "scopes", S64 " 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6" },
    { "expires", "1" },
    { "expires", "9999999999" },
    { "created", "0" },
    { "reason", "" },
    { "reason", S256 },
    { "accepted", "" },
    { "accepted", "281474976710655:9999999999999" },
    { "accepted", "1:1 2:1 3:1 4:1 5:1 6:1 7:1 8:1 9:1 10:1 11:1 12:1 13:1 "
                  "14:1 15:1 16:1" },
    { "version", "281474976710655" },
};


static void
decode_with(apikey_record_t *record, const pair_t *replacement, int *rc,
            char error[static APIKEY_RECORD_ERROR_LEN])
{
    size_t i;
    pair_t pairs[PAIRS];

    for (i = 0; i < PAIRS; i++) {
        pairs[i] = strcmp(record_pairs[i].name, replacement->name) == 0
                       ? *replacement
                       : record_pairs[i];
    }

    decode(record, pairs, PAIRS, rc, error);
}


static void
test_record_values(void **state)
{
    int             rc;
    char            error[APIKEY_RECORD_ERROR_LEN];
    size_t          i;
    apikey_record_t record;

    (void) state;

    for (i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        decode_with(&record, &wrong[i], &rc, error);

        if (rc != -1 || strstr(error, wrong[i].name) == NULL
            || strstr(error, "0011") != NULL)
        {
            fail_msg("%s=%s: %d %s", wrong[i].name,
                     wrong[i].value ? wrong[i].value : "(integer)", rc, error);
        }
    }

    for (i = 0; i < sizeof(right) / sizeof(right[0]); i++) {
        decode_with(&record, &right[i], &rc, error);

        if (rc != 0) {
            fail_msg("%s=%s: %s", right[i].name, right[i].value, error);
        }
    }
}


static void
test_record_shape(void **state)
{
    char            error[APIKEY_RECORD_ERROR_LEN];
    redisReply      reply, one, *element[1] = { &one };
    apikey_record_t record;

    (void) state;

    memset(&one, 0, sizeof(one));
    memset(&reply, 0, sizeof(reply));

    reply.type = REDIS_REPLY_NIL;
    assert_int_equal(apikey_record_from_reply(&record, &reply, error), -1);

    one.type = REDIS_REPLY_STRING;
    one.str = (char *) (uintptr_t) "id";
    one.len = 2;
    reply.type = REDIS_REPLY_ARRAY;
    reply.elements = 1;
    reply.element = element;
    assert_int_equal(apikey_record_from_reply(&record, &reply, error), -1);
}


/* An entry's JSON around the record's pairs, one of them replaced. */
static void
make_json(char *json, size_t size, const pair_t *replacement)
{
    size_t      i, n;
    const char *value;

    n = (size_t) snprintf(json, size,
                          "{\"op\":\"set_status\",\"at\":1767225600001,"
                          "\"actor\":\"bot\",\"reason\":\"leaked\",\"key\":{");

    for (i = 0; i < PAIRS; i++) {
        value = record_pairs[i].value;

        if (replacement
            && strcmp(replacement->name, record_pairs[i].name) == 0) {
            value = replacement->value;
        }

        n += (size_t) snprintf(
            json + n, size - n, value ? "%s\"%s\":\"%s\"" : "%s\"%s\":1",
            i ? "," : "", record_pairs[i].name, value ? value : "");
    }

    snprintf(json + n, size - n, "}}");
}


static void
test_entry(void **state)
{
    int                  rc;
    char                 json[8192], error[APIKEY_RECORD_ERROR_LEN];
    size_t               i;
    apikey_store_entry_t entry;

    (void) state;

    make_json(json, sizeof(json), NULL);

    assert_int_equal(
        apikey_entry_decode(&entry, 12, json, strlen(json), error), 0);
    assert_int_equal(entry.has_key, 1);
    assert_string_equal(entry.op, "set_status");
    assert_string_equal(entry.actor, "bot");
    assert_string_equal(entry.reason, "leaked");
    assert_int_equal(entry.at, 1767225600001);
    assert_string_equal(entry.peppers, "");
    check_good(&entry.key);

    /* the key's version must be the entry's */
    assert_int_equal(
        apikey_entry_decode(&entry, 13, json, strlen(json), error), -1);

    /* a truncated entry is never one */
    for (i = 0; i < strlen(json); i++) {
        assert_int_equal(apikey_entry_decode(&entry, 12, json, i, error), -1);
        assert_null(strstr(error, "0011"));
    }

    /* what is wrong in a flat array is wrong in JSON */
    for (i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        make_json(json, sizeof(json), &wrong[i]);
        rc = apikey_entry_decode(&entry, 12, json, strlen(json), error);
        assert_int_equal(rc, -1);
        assert_null(strstr(error, "0011"));
    }
}


static const char *const good_entries[] = {
    "{\"op\":\"member\",\"at\":1,\"actor\":\"a\",\"member\":{\"id\":\"m\"}}",
    "{\"op\":\"forget\",\"at\":1,\"actor\":\"a\",\"reason\":\"\","
    "\"edge\":{\"name\":\"e\",\"version\":\"7\"}}",
    "{\"op\":\"something_new\",\"at\":1,\"actor\":\"a\",\"reason\":\"\"}",
    "{\"op\":\"x\",\"at\":1,\"actor\":\"a\",\"meta\":{\"lease\":\"5000\"}}",
};

static const char *const bad_entries[] = {
    "",
    "x",
    "[]",
    "{}",
    "null",
    "{\"op\":\"member\",\"at\":1,\"actor\":\"a\"} x",
    "{\"op\":\"member\",\"at\":1}",
    "{\"op\":\"member\",\"actor\":\"a\"}",
    "{\"at\":1,\"actor\":\"a\"}",
    "{\"op\":1,\"at\":1,\"actor\":\"a\"}",
    "{\"op\":\"m\",\"at\":\"1\",\"actor\":\"a\"}",
    "{\"op\":\"m\",\"at\":-1,\"actor\":\"a\"}",
    "{\"op\":\"m\",\"at\":1,\"actor\":\"\"}",
    "{\"op\":\"m\",\"at\":1,\"actor\":\"a\\u0001\"}",
    "{\"op\":\"m\",\"at\":1,\"actor\":\"a\\u0000\"}",
    "{\"op\":\"m\",\"at\":1,\"actor\":\"a\",\"op\":\"n\"}",
    "{\"op\":\"m\",\"at\":1,\"actor\":\"a\",\"reason\":7}",
    "{\"op\":\"m\",\"at\":1,\"actor\":\"a\",\"key\":\"k\"}",
    "{\"op\":\"m\",\"at\":1,\"actor\":\"a\",\"key\":{}}",
    "{\"op\":\"m\",\"at\":1,\"actor\":\"a\",\"key\":null}",
    "{\"op\":\"m\",\"at\":1,\"actor\":\"a\",\"meta\":{\"peppers\":\"p1\"}}",
    "{\"op\":\"m\",\"at\":1,\"actor\":\"a\",\"meta\":{\"peppers\":1}}",
};


static void
test_entry_without_key(void **state)
{
    char                 error[APIKEY_RECORD_ERROR_LEN];
    size_t               i;
    apikey_store_entry_t entry;

    static const char init[] =
        "{\"op\":\"init\",\"at\":1,\"actor\":\"a\",\"meta\":{\"schema\":\"1\","
        "\"peppers\":\"p1:00000000000000ff p2:0123456789abcdef\"}}";

    (void) state;

    for (i = 0; i < sizeof(good_entries) / sizeof(good_entries[0]); i++) {
        assert_int_equal(apikey_entry_decode(&entry, 1, good_entries[i],
                                             strlen(good_entries[i]), error),
                         0);
        assert_int_equal(entry.has_key, 0);
        assert_string_equal(entry.peppers, "");
    }

    for (i = 0; i < sizeof(bad_entries) / sizeof(bad_entries[0]); i++) {
        if (apikey_entry_decode(&entry, 1, bad_entries[i],
                                strlen(bad_entries[i]), error)
            != -1)
        {
            fail_msg("accepted: %s", bad_entries[i]);
        }
    }

    assert_int_equal(apikey_entry_decode(&entry, 1, init, strlen(init), error),
                     0);
    assert_string_equal(entry.peppers,
                        "p1:00000000000000ff p2:0123456789abcdef");
}


static void
test_peppers(void **state)
{
    size_t   i;
    uint64_t fp[APIKEY_STORE_PEPPERS];

    static const char *const bad[] = {
        "",
        "p1",
        "p1:",
        ":0123456789abcdef",
        "p1:0123456789abcde",
        "p1:0123456789abcdef0",
        "p1:0123456789ABCDEF",
        "P1:0123456789abcdef",
        "p1:0123456789abcdef ",
        " p1:0123456789abcdef",
        "p1:0123456789abcdef  p2:0123456789abcdef",
        "p1:0123456789abcdef p2",
        "aaaaaaaaaaaaaaaaa:0123456789abcdef",
        "a:0123456789abcdef b:0123456789abcdef c:0123456789abcdef",
    };

    (void) state;

    assert_int_equal(apikey_peppers_parse(fp, "p1:0123456789abcdef"), 0);
    assert_true(fp[0] == 0x0123456789abcdefULL && fp[1] == 0);

    assert_int_equal(
        apikey_peppers_parse(fp, "p1:ffffffffffffffff a:0000000000000001"), 0);
    assert_true(fp[0] == ~0ULL && fp[1] == 1);

    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        if (apikey_peppers_parse(fp, bad[i]) != -1) {
            fail_msg("accepted: %s", bad[i]);
        }
    }
}


#define CHAIN "0123456789abcdef0123456789abcdef01234567"
#define EPOCH "0123456789abcdef0123456789abcdef"

static void
test_event(void **state)
{
    char        previous[APIKEY_CHAIN_LEN + 1], chain[APIKEY_CHAIN_LEN + 1];
    size_t      i, len;
    uint64_t    version;
    const char *json;

    static const char first[] = "1 " EPOCH " " CHAIN " {}";
    static const char other[] =
        "281474976710655 " CHAIN " " CHAIN " {\"a\": 1}";

    static const char *const bad[] = {
        "",
        "1",
        "1 " EPOCH,
        "1 " EPOCH " " CHAIN,
        "0 " EPOCH " " CHAIN " {}",
        "01 " EPOCH " " CHAIN " {}",
        "x " EPOCH " " CHAIN " {}",
        " " EPOCH " " CHAIN " {}",
        "281474976710656 " EPOCH " " CHAIN " {}",
        "1  " CHAIN " {}",
        "1 " EPOCH " " CHAIN "0 {}",
        "1 " EPOCH " " EPOCH " {}",
        "1 0123 " CHAIN " {}",
        "1 " EPOCH "X " CHAIN " {}",
    };

    (void) state;

    assert_int_equal(apikey_event_split(first, strlen(first), &version,
                                        previous, chain, &json, &len),
                     0);
    assert_true(version == 1 && len == 2 && memcmp(json, "{}", 2) == 0);
    assert_string_equal(previous, EPOCH);
    assert_string_equal(chain, CHAIN);

    assert_int_equal(apikey_event_split(other, strlen(other), &version,
                                        previous, chain, &json, &len),
                     0);
    assert_true(version == 281474976710655ULL && len == 8);
    assert_string_equal(previous, CHAIN);

    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        if (apikey_event_split(bad[i], strlen(bad[i]), &version, previous,
                               chain, &json, &len)
            != -1)
        {
            fail_msg("accepted: %s", bad[i]);
        }
    }
}


int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_record),
        cmocka_unit_test(test_brief),
        cmocka_unit_test(test_record_unknown_field),
        cmocka_unit_test(test_record_missing),
        cmocka_unit_test(test_record_twice),
        cmocka_unit_test(test_record_values),
        cmocka_unit_test(test_record_shape),
        cmocka_unit_test(test_entry),
        cmocka_unit_test(test_entry_without_key),
        cmocka_unit_test(test_peppers),
        cmocka_unit_test(test_event),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);

    return cmocka_run_group_tests_name("record", tests, NULL, NULL);
}
