/*
 * Copyright (C) 2026 the ngx_http_apikey_module authors
 *
 * Who may write a table, and what a writer adopts, replaces and refuses.
 */

#include "table_fixture.h"

#include <sys/wait.h>


static char error[1024];


/* Opens a second writer; NULL is what most rows want. */
static apikey_writer_t *
another(fixture_t *f)
{
    error[0] = '\0';

    return apikey_writer_open(f->path, error, sizeof(error));
}


static void
close_writer(fixture_t *f)
{
    apikey_writer_close(f->writer);
    f->writer = NULL;
}


static void
put_file(fixture_t *f, const char *name, const char *text)
{
    int  fd;
    char path[256];

    snprintf(path, sizeof(path), "%s/%s", f->path, name);
    fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0640);
    assert_true(fd != -1);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    close(fd);
}


static int
exists(fixture_t *f, const char *name)
{
    char path[256];

    snprintf(path, sizeof(path), "%s/%s", f->path, name);

    return access(path, F_OK) == 0;
}


static void
remove_file(fixture_t *f, const char *name)
{
    char path[256];

    snprintf(path, sizeof(path), "%s/%s", f->path, name);
    assert_int_equal(unlink(path), 0);
}


/* Overwrites 8 bytes of a file. */
static void
patch(fixture_t *f, const char *name, off_t offset, uint64_t word)
{
    int  fd;
    char path[256];

    snprintf(path, sizeof(path), "%s/%s", f->path, name);
    fd = open(path, O_WRONLY);
    assert_true(fd != -1);
    assert_int_equal(pwrite(fd, &word, sizeof(word), offset), sizeof(word));
    close(fd);
}


static void
a_second_writer_is_refused_and_told_who_the_first_is(void **state)
{
    char       pid[32];
    fixture_t *f = *state;

    assert_null(another(f));
    snprintf(pid, sizeof(pid), "pid %ld", (long) getpid());
    assert_non_null(strstr(error, pid));
}


static void
a_killed_writer_leaves_no_lock(void **state)
{
    int        status;
    pid_t      child;
    fixture_t *f = *state;

    close_writer(f);

    child = fork();
    if (child == 0) {
        fixture_open(f);
        raise(SIGKILL);
    }

    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(WTERMSIG(status), SIGKILL);
    assert_non_null(fixture_open(f));
}


static void
a_missing_directory_is_refused(void **state)
{
    (void) state;

    assert_null(
        apikey_writer_open("/nonexistent/apikey", error, sizeof(error)));
    assert_non_null(strstr(error, "No such file"));
}


static void
a_directory_that_others_may_write_is_refused(void **state)
{
    fixture_t *f = *state;

    close_writer(f);

    chmod(f->path, 0770);
    assert_null(another(f));
    assert_non_null(strstr(error, "may write it"));

    chmod(f->path, 0707);
    assert_null(another(f));

    chmod(f->path, 0750);
    assert_non_null(fixture_open(f));
}


static void
foreign_files_are_refused_and_left_alone(void **state)
{
    size_t            i;
    fixture_t        *f = *state;
    const char *const names[] = { "passwd",  "keys.",   "keys.x",
                                  "keys.1x", "keys.01", ".hidden" };

    close_writer(f);

    for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        put_file(f, names[i], "precious");
        assert_null(another(f));
        assert_non_null(strstr(error, names[i]));
        assert_true(exists(f, names[i]));
        remove_file(f, names[i]);
    }

    assert_non_null(fixture_open(f));
}


static void
somebody_elses_control_is_refused_and_left_alone(void **state)
{
    fixture_t *f = *state;
    char       page[APIKEY_CONTROL_SIZE + 1];

    close_writer(f);

    memset(page, 'x', sizeof(page) - 1);
    page[sizeof(page) - 1] = '\0';
    put_file(f, "control", page);

    assert_null(another(f));
    assert_non_null(strstr(error, "not the control page"));
    assert_true(exists(f, "control"));

    put_file(f, "control", "mine");
    assert_null(another(f));
    assert_non_null(strstr(error, "not the control page"));

    /* what a full disk leaves */
    put_file(f, "control", "");
    assert_non_null(fixture_open(f));
}


static void
files_have_the_directorys_group_and_no_more_rights(void **state)
{
    fixture_t  *f = *state;
    char        path[256];
    struct stat st, dir;

    fixture_fill(f, 1);
    assert_int_equal(stat(f->path, &dir), 0);

    snprintf(path, sizeof(path), "%s/control", f->path);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0640);
    assert_int_equal(st.st_gid, dir.st_gid);

    snprintf(path, sizeof(path), "%s/keys.1", f->path);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0640);
    assert_int_equal(st.st_gid, dir.st_gid);
}


static void
a_restart_adopts_the_control_page(void **state)
{
    fixture_t *f = *state;
    uint64_t   created = apikey_writer_created(f->writer);

    assert_int_not_equal(created, 0);
    fixture_fill(f, 1);

    close_writer(f);
    fixture_open(f);
    assert_int_equal(apikey_writer_created(f->writer), created);

    /* once it has carried a lease, nobody need wait for an older page */
    fixture_fill(f, 1);
    fixture_renew(f, 5000);
    assert_int_equal(apikey_writer_created(f->writer), 0);

    close_writer(f);
    fixture_open(f);
    assert_int_equal(apikey_writer_created(f->writer), 0);
    assert_true(fixture_allows(f, 0));
}


static void
a_restart_sweeps_what_was_not_published(void **state)
{
    fixture_t *f = *state;

    fixture_fill(f, 1);
    close_writer(f);

    put_file(f, "keys.7", "half a generation");
    put_file(f, "control.new", "half a page");
    fixture_open(f);

    assert_false(exists(f, "keys.7"));
    assert_false(exists(f, "control.new"));
    assert_true(exists(f, "keys.1"));

    /* and never uses its number again */
    fixture_begin(f, APIKEY_BUILD_SNAPSHOT, 1);
    assert_true(exists(f, "keys.8"));
    fixture_publish(f);
    assert_false(exists(f, "keys.1"));
}


static void
a_useless_control_page_gives_way_to_a_new_one(void **state)
{
    size_t     i;
    fixture_t *f = *state;
    static const struct {
        const char *what;
        off_t       offset;
        uint64_t    word;
    } rows[] = {
        { "zeroed", 0, 0 },
        { "another byte order", 8, 0x0807060504030201ULL },
        { "another layout", 16, 99ULL | (uint64_t) APIKEY_CONTROL_SIZE << 32 },
        { "another boot", 24, 1 },
        { "damaged", offsetof(apikey_control_t, check), 1 },
    };

    for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        fixture_fill(f, 1);
        fixture_renew(f, 60000);
        assert_true(fixture_allows(f, 0));

        close_writer(f);
        patch(f, "control", rows[i].offset, rows[i].word);
        fixture_open(f);

        /* the reader holds the old page; a new lease comes on the new one */
        apikey_table_detach(&f->table);
        assert_false(fixture_allows(f, 0));
        fixture_fill(f, 2);
        fixture_renew(f, 60000);
        assert_true(fixture_allows_soon(f, 1));
    }
}


static void
an_attached_reader_leaves_a_damaged_page(void **state)
{
    size_t             i;
    fixture_t         *f = *state;
    static const off_t offsets[] = { offsetof(apikey_control_t, deadline),
                                     offsetof(apikey_control_t, generation) };

    for (i = 0; i < sizeof(offsets) / sizeof(offsets[0]); i++) {
        fixture_fill(f, 1);
        fixture_renew(f, 60000);
        assert_true(fixture_allows_soon(f, 0));

        /* what the reader has mapped, and what the writer would adopt */
        close_writer(f);
        patch(f, "control", offsets[i], 0);
        patch(f, "control", 0, 0);
        assert_false(fixture_allows(f, 0));

        fixture_open(f);
        fixture_fill(f, 2);
        fixture_renew(f, 60000);
        assert_true(fixture_allows_soon(f, 1));
    }
}


static void
a_page_overwritten_under_its_writer_ends_the_lease(void **state)
{
    fixture_t *f = *state;

    fixture_fill(f, 1);
    fixture_renew(f, 60000);
    assert_true(fixture_allows(f, 0));

    patch(f, "control", offsetof(apikey_control_t, boot_id), 1);
    assert_int_equal(
        apikey_writer_renew(f->writer, apikey_boottime() + 60000000),
        APIKEY_WRITE_ERROR);
    assert_non_null(strstr(apikey_writer_error(f->writer), "overwritten"));
    assert_false(fixture_allows(f, 0));
}


static void
words_overwritten_under_a_writer_come_back_with_the_lease(void **state)
{
    off_t      at;
    uint64_t   written[2] = { 7, 8 }, seen[2];
    fixture_t *f = *state;

    apikey_writer_peppers(f->writer, written);
    fixture_fill(f, 1);
    fixture_renew(f, 60000);
    assert_true(fixture_allows(f, 0));

    for (at = offsetof(apikey_control_t, deadline);
         at < (off_t) offsetof(apikey_control_t, pad1); at += 8)
    {
        patch(f, "control", at, 0);
    }

    assert_false(fixture_allows(f, 0));

    fixture_renew(f, 60000);
    assert_true(fixture_allows_soon(f, 0));
    apikey_table_peppers(&f->table, seen);
    assert_memory_equal(seen, written, sizeof(seen));
}


static void
a_generation_cut_or_overwritten_ends_the_lease(void **state)
{
    fixture_t *f = *state;
    char       path[256];

    fixture_fill(f, 1);
    fixture_renew(f, 60000);
    patch(f, "keys.1", 0, 0);
    assert_int_equal(
        apikey_writer_renew(f->writer, apikey_boottime() + 60000000),
        APIKEY_WRITE_ERROR);

    close_writer(f);
    fixture_open(f);
    fixture_fill(f, 1);
    fixture_renew(f, 60000);
    assert_true(fixture_allows_soon(f, 0));

    apikey_table_detach(&f->table);
    snprintf(path, sizeof(path), "%s/keys.2", f->path);
    assert_int_equal(truncate(path, 65536), 0);
    assert_int_equal(
        apikey_writer_renew(f->writer, apikey_boottime() + 60000000),
        APIKEY_WRITE_ERROR);
}


static void
a_removed_lock_lets_no_second_writer_in(void **state)
{
    fixture_t *f = *state;

    remove_file(f, "lock");
    assert_null(another(f));
    assert_non_null(strstr(error, "another apikey-sync"));
}


static void
a_damaged_slot_does_not_keep_a_new_daemon_out(void **state)
{
    fixture_t *f = *state;
    uint64_t   i;

    fixture_fill(f, 1);
    assert_int_equal(apikey_table_attach(&f->table), APIKEY_TABLE_OK);

    for (i = 0; f->table.slot[i].state == 0; i++) {
        /* the one in use */
    }

    close_writer(f);
    patch(f, "keys.1", APIKEY_GENERATION_HEAD + (off_t) i * APIKEY_SLOT_SIZE,
          apikey_seal(0x123) ^ 1);
    fixture_open(f);

    fixture_begin(f, APIKEY_BUILD_SNAPSHOT, 1);
    assert_int_equal(fixture_put(f, 0, APIKEY_ENABLED, 1, "name", NULL),
                     APIKEY_WRITE_OK);
    fixture_publish(f);
    fixture_renew(f, 5000);
    assert_true(fixture_allows_soon(f, 0));
}


static void
a_reader_leaves_a_lost_page_when_its_lease_ends(void **state)
{
    fixture_t *f = *state;

    fixture_fill(f, 1);
    fixture_renew(f, 1);
    assert_int_equal(fixture_lookup(f, 0), APIKEY_LOOKUP_FOUND);

    close_writer(f);
    remove_file(f, "control");
    fixture_open(f);
    fixture_fill(f, 2);
    fixture_renew(f, 60000);

    assert_true(fixture_allows_soon(f, 1));
}


static void
a_lost_control_page_ends_the_lease_and_is_an_error(void **state)
{
    fixture_t *f = *state;

    fixture_fill(f, 1);
    fixture_renew(f, 60000);
    assert_true(fixture_allows(f, 0));

    remove_file(f, "control");

    assert_int_equal(
        apikey_writer_renew(f->writer, apikey_boottime() + 60000000),
        APIKEY_WRITE_ERROR);
    assert_non_null(strstr(apikey_writer_error(f->writer), "removed"));
    assert_false(fixture_allows(f, 0));
}


static void
publishing_too_early_is_an_error(void **state)
{
    fixture_t *f = *state;

    assert_int_equal(apikey_writer_publish(f->writer), APIKEY_WRITE_ERROR);
    assert_int_equal(apikey_writer_prepare(f->writer), APIKEY_WRITE_ERROR);
    assert_int_equal(apikey_writer_begin(f->writer, APIKEY_BUILD_GROWTH,
                                         fixture_epoch, 0, 0),
                     APIKEY_WRITE_ERROR);

    fixture_fill(f, 1);
    fixture_begin(f, APIKEY_BUILD_GROWTH, 0);
    assert_int_equal(apikey_writer_publish(f->writer), APIKEY_WRITE_ERROR);
}


#define directory(test) \
    cmocka_unit_test_setup_teardown(test, fixture_setup, fixture_teardown)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        directory(a_second_writer_is_refused_and_told_who_the_first_is),
        directory(a_killed_writer_leaves_no_lock),
        directory(a_missing_directory_is_refused),
        directory(a_directory_that_others_may_write_is_refused),
        directory(foreign_files_are_refused_and_left_alone),
        directory(somebody_elses_control_is_refused_and_left_alone),
        directory(files_have_the_directorys_group_and_no_more_rights),
        directory(a_restart_adopts_the_control_page),
        directory(a_restart_sweeps_what_was_not_published),
        directory(a_useless_control_page_gives_way_to_a_new_one),
        directory(an_attached_reader_leaves_a_damaged_page),
        directory(a_page_overwritten_under_its_writer_ends_the_lease),
        directory(words_overwritten_under_a_writer_come_back_with_the_lease),
        directory(a_generation_cut_or_overwritten_ends_the_lease),
        directory(a_removed_lock_lets_no_second_writer_in),
        directory(a_damaged_slot_does_not_keep_a_new_daemon_out),
        directory(a_reader_leaves_a_lost_page_when_its_lease_ends),
        directory(a_lost_control_page_ends_the_lease_and_is_an_error),
        directory(publishing_too_early_is_an_error),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);

    return cmocka_run_group_tests(tests, NULL, NULL);
}
