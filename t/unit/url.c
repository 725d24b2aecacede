/*
 * Copyright (C) 2026 the ngx_http_apikey_module authors
 *
 * The store's URL: what is accepted and what it means, and what is refused
 * without repeating a password.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "store/url.h"

typedef struct {
    const char *text;
    int         tls, port, db;
    const char *host, *user, *password, *shown;
} good_t;

static const good_t good[] = {
    { "redis://h", 0, 6379, 0, "h", "", "", "h:6379/0" },
    { "redis://h/", 0, 6379, 0, "h", "", "", "h:6379/0" },
    { "redis://h:1", 0, 1, 0, "h", "", "", "h:1/0" },
    { "redis://h:65535/15", 0, 65535, 15, "h", "", "", "h:65535/15" },
    { "redis://a.b-c_d.example:7000/3", 0, 7000, 3, "a.b-c_d.example", "", "",
      "a.b-c_d.example:7000/3" },
    { "redis://10.0.0.1", 0, 6379, 0, "10.0.0.1", "", "", "10.0.0.1:6379/0" },
    { "redis://[::1]", 0, 6379, 0, "::1", "", "", "[::1]:6379/0" },
    { "redis://[fe80::1%eth0]:7/2", 0, 7, 2, "fe80::1%eth0", "", "",
      "[fe80::1%eth0]:7/2" },
    { "redis://u@h", 0, 6379, 0, "h", "u", "", "h:6379/0" },
    { "redis://u:p@h", 0, 6379, 0, "h", "u", "p", "h:6379/0" },
    { "redis://:p@h", 0, 6379, 0, "h", "", "p", "h:6379/0" },
    { "redis://u:@h", 0, 6379, 0, "h", "u", "", "h:6379/0" },
    { "redis://u:p:q@h", 0, 6379, 0, "h", "u", "p:q", "h:6379/0" },
    { "redis://u:p@q@h", 0, 6379, 0, "h", "u", "p@q", "h:6379/0" },
    { "redis://u%40x:%3A%2f%25@h", 0, 6379, 0, "h", "u@x", ":/%", "h:6379/0" },
    { "rediss://u:p@h:6380/1", 1, 6380, 1, "h", "u", "p", "h:6380/1" },
    { "unix:///r.sock", 0, 0, 0, "/r.sock", "", "", "unix:/r.sock" },
    { "unix:///a/b%20c?db=4", 0, 0, 4, "/a/b%20c", "", "",
      "unix:/a/b%20c?db=4" },
    { "unix://u:p%2Fq@/r.sock", 0, 0, 0, "/r.sock", "u", "p/q",
      "unix:/r.sock" },
    { "unix://u@/r@s.sock", 0, 0, 0, "/r@s.sock", "u", "", "unix:/r@s.sock" },
};

static const char *const bad[] = {
    "",
    "h",
    "h:6379",
    "http://h",
    "Redis://h",
    "redis:/h",
    "redis://",
    "redis://:6379",
    "redis:///0",
    "redis://h:",
    "redis://h:0",
    "redis://h:65536",
    "redis://h:1x",
    "redis://h:-1",
    "redis://h/x",
    "redis://h/-1",
    "redis://h/1/2",
    "redis://h/100000",
    "redis://h?db=1",
    "redis://h#1",
    "redis://a b",
    "redis://a,b",
    "redis://[::1",
    "redis://[]",
    "redis://[::1]6379",
    "redis://::1",
    "redis://SECRET%@h",
    "redis://u:SECRET%4@h",
    "redis://u:SECRET%zz@h",
    "redis://u:SECRET%00@h",
    "redis://u:SECRET@",
    "redis://u:SECRET@h:x",
    "unix://",
    "unix://r.sock",
    "unix://u:SECRET/r.sock",
    "unix:///r.sock?x=1",
    "unix:///r.sock?db=",
    "unix:///r.sock?db=x",
};


static void
test_good(void **state)
{
    char          error[256], shown[APIKEY_URL_PART_MAX + 32];
    size_t        i;
    apikey_url_t  url;
    const good_t *g;

    (void) state;

    for (i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        g = &good[i];

        if (apikey_url_parse(&url, g->text, error, sizeof(error)) != 0) {
            fail_msg("%s: %s", g->text, error);
        }

        assert_int_equal(url.tls, g->tls);
        assert_int_equal(url.port, g->port);
        assert_int_equal(url.db, g->db);
        assert_string_equal(url.host, g->host);
        assert_string_equal(url.user, g->user);
        assert_string_equal(url.password, g->password);

        apikey_url_show(&url, shown, sizeof(shown));
        assert_string_equal(shown, g->shown);
    }
}


static void
test_bad(void **state)
{
    char         error[256];
    size_t       i;
    apikey_url_t url;

    (void) state;

    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        error[0] = '\0';

        if (apikey_url_parse(&url, bad[i], error, sizeof(error)) != -1) {
            fail_msg("accepted: %s", bad[i]);
        }

        assert_true(strlen(error) > 10);
        assert_null(strstr(error, "SECRET"));
        assert_string_equal(url.password, "");
    }
}


static void
test_long(void **state)
{
    char         text[4 * APIKEY_URL_PART_MAX], error[256];
    char         part[APIKEY_URL_PART_MAX + 1];
    size_t       i;
    apikey_url_t url;

    static const char *const around[][2] = {
        { "redis://", "" },
        { "redis://", "@h" },
        { "redis://u:", "@h" },
        { "unix:///", "" },
    };

    (void) state;

    for (i = 0; i < sizeof(around) / sizeof(around[0]); i++) {
        memset(part, 'x', sizeof(part));
        part[APIKEY_URL_PART_MAX] = '\0';

        snprintf(text, sizeof(text), "%s%s%s", around[i][0], part,
                 around[i][1]);
        assert_int_equal(apikey_url_parse(&url, text, error, sizeof(error)),
                         -1);

        part[APIKEY_URL_PART_MAX - 2] = '\0';

        snprintf(text, sizeof(text), "%s%s%s", around[i][0], part,
                 around[i][1]);
        assert_int_equal(apikey_url_parse(&url, text, error, sizeof(error)),
                         0);
    }
}


static void
test_store_name(void **state)
{
    char name[APIKEY_STORE_NAME_MAX + 2];

    (void) state;

    assert_true(apikey_store_name_check(APIKEY_STORE_NAME_DEFAULT));
    assert_true(apikey_store_name_check("{a}"));
    assert_true(apikey_store_name_check("{Az09_.-}"));

    assert_false(apikey_store_name_check(""));
    assert_false(apikey_store_name_check("{}"));
    assert_false(apikey_store_name_check("apikey"));
    assert_false(apikey_store_name_check("{apikey"));
    assert_false(apikey_store_name_check("apikey}"));
    assert_false(apikey_store_name_check("{a}b"));
    assert_false(apikey_store_name_check("{a}{b}"));
    assert_false(apikey_store_name_check("{a b}"));
    assert_false(apikey_store_name_check("{a*}"));
    assert_false(apikey_store_name_check("{a\n}"));

    memset(name, 'x', sizeof(name));
    name[0] = '{';
    name[APIKEY_STORE_NAME_MAX - 1] = '}';
    name[APIKEY_STORE_NAME_MAX] = '\0';
    assert_true(apikey_store_name_check(name));

    name[APIKEY_STORE_NAME_MAX - 1] = 'x';
    name[APIKEY_STORE_NAME_MAX] = '}';
    name[APIKEY_STORE_NAME_MAX + 1] = '\0';
    assert_false(apikey_store_name_check(name));
}


int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good),
        cmocka_unit_test(test_bad),
        cmocka_unit_test(test_long),
        cmocka_unit_test(test_store_name),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);

    return cmocka_run_group_tests_name("url", tests, NULL, NULL);
}
