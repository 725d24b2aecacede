/*
 * Copyright (C) 2026 the ngx_http_apikey_module authors
 *
 * A table that others may write is none: not for a writer at its start, not
 * for one that runs, not for a reader.
 */

#include "table_fixture.h"

#include <sys/stat.h>

#define SOMEBODY 12345 /* a user id that is not ours */


static char error[1024];


static void
close_writer(fixture_t *f)
{
    apikey_writer_close(f->writer);
    f->writer = NULL;
}


/* "" is the directory. */
static const char *
path_of(fixture_t *f, const char *name)
{
    static char path[256];

    snprintf(path, sizeof(path), "%s/%s", f->path, name);

    return path;
}


static ino_t
inode(fixture_t *f, const char *name)
{
    struct stat st;

    assert_int_equal(stat(path_of(f, name), &st), 0);

    return st.st_ino;
}


static const struct {
    const char *name;
    mode_t      wrong, right;
} rows[] = {
    { "", 0770, 0755 },        { "", 0757, 0755 },
    { "control", 0660, 0640 }, { "control", 0642, 0640 },
    { "keys.1", 0660, 0640 },  { "keys.1", 0642, 0640 },
};

#define ROWS (sizeof(rows) / sizeof(rows[0]))


static void
a_reader_refuses_what_others_may_write(void **state)
{
    size_t     i;
    fixture_t *f = *state;

    fixture_fill(f, 1);
    fixture_renew(f, 60000);

    for (i = 0; i < ROWS; i++) {
        apikey_table_detach(&f->table);
        chmod(path_of(f, rows[i].name), rows[i].wrong);
        assert_int_equal(apikey_table_attach(&f->table), APIKEY_TABLE_UNSAFE);

        chmod(path_of(f, rows[i].name), rows[i].right);
        assert_int_equal(apikey_table_attach(&f->table), APIKEY_TABLE_OK);
        assert_true(fixture_allows(f, 0));
    }
}


static void
a_reader_refuses_what_is_somebody_elses(void **state)
{
    size_t            i;
    fixture_t        *f = *state;
    const char *const names[] = { "control", "keys.1" };

    fixture_fill(f, 1);
    fixture_renew(f, 60000);

    for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        apikey_table_detach(&f->table);

        if (chown(path_of(f, names[i]), SOMEBODY, (gid_t) -1) == -1) {
            skip(); /* takes root */
        }

        assert_int_equal(apikey_table_attach(&f->table), APIKEY_TABLE_UNSAFE);
        assert_int_equal(chown(path_of(f, names[i]), geteuid(), (gid_t) -1),
                         0);
        assert_int_equal(apikey_table_attach(&f->table), APIKEY_TABLE_OK);
    }
}


/* Its next renewal ends the lease, also for readers that look already. */
static void
a_writer_ends_the_lease_of_what_others_may_write(void **state)
{
    size_t     i;
    fixture_t *f = *state;

    fixture_fill(f, 1);

    for (i = 0; i < ROWS; i++) {
        fixture_renew(f, 60000);
        assert_true(fixture_allows(f, 0));

        chmod(path_of(f, rows[i].name), rows[i].wrong);
        assert_int_equal(
            apikey_writer_renew(f->writer, apikey_boottime() + 60000000),
            APIKEY_WRITE_ERROR);
        assert_non_null(
            strstr(apikey_writer_error(f->writer), "others may write"));
        assert_false(fixture_allows(f, 0));

        chmod(path_of(f, rows[i].name), rows[i].right);
    }
}


static void
a_control_page_that_others_may_write_gives_way(void **state)
{
    ino_t      was;
    fixture_t *f = *state;

    fixture_fill(f, 1);
    fixture_renew(f, 60000);
    assert_true(fixture_allows(f, 0));
    close_writer(f);

    was = inode(f, "control");
    chmod(path_of(f, "control"), 0660);
    assert_non_null(fixture_open(f));
    assert_int_not_equal(inode(f, "control"), was);

    /* whoever held the one before may hold its lease too */
    assert_int_not_equal(apikey_writer_created(f->writer), 0);
}


static void
a_control_page_of_somebody_else_gives_way(void **state)
{
    ino_t      was;
    fixture_t *f = *state;

    close_writer(f);
    was = inode(f, "control");

    if (chown(path_of(f, "control"), SOMEBODY, (gid_t) -1) == -1) {
        skip(); /* takes root */
    }

    assert_non_null(fixture_open(f));
    assert_int_not_equal(inode(f, "control"), was);
}


static void
a_lock_that_others_may_write_is_refused(void **state)
{
    fixture_t *f = *state;

    close_writer(f);

    chmod(path_of(f, "lock"), 0666);
    assert_null(apikey_writer_open(f->path, error, sizeof(error)));
    assert_non_null(strstr(error, "/lock: others may write it"));

    assert_int_equal(unlink(path_of(f, "lock")), 0);
    assert_int_equal(mkfifo(path_of(f, "lock"), 0640), 0);
    assert_null(apikey_writer_open(f->path, error, sizeof(error)));

    assert_int_equal(unlink(path_of(f, "lock")), 0);
    assert_int_equal(symlink("/dev/null", path_of(f, "lock")), 0);
    assert_null(apikey_writer_open(f->path, error, sizeof(error)));

    assert_int_equal(unlink(path_of(f, "lock")), 0);
    assert_non_null(fixture_open(f));
}


#define rights(test) \
    cmocka_unit_test_setup_teardown(test, fixture_setup, fixture_teardown)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        rights(a_reader_refuses_what_others_may_write),
        rights(a_reader_refuses_what_is_somebody_elses),
        rights(a_writer_ends_the_lease_of_what_others_may_write),
        rights(a_control_page_that_others_may_write_gives_way),
        rights(a_control_page_of_somebody_else_gives_way),
        rights(a_lock_that_others_may_write_is_refused),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);

    return cmocka_run_group_tests(tests, NULL, NULL);
}
