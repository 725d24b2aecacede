/*
 * Copyright (C) 2026 the ngx_http_apikey_module authors
 *
 * A reader against files that are not what they should be: it may answer
 * "cannot know", but it never crashes, never allows what the sound table does
 * not, and never takes one key for another.
 */

#include "table_fixture.h"

#define ENABLED  0
#define DISABLED 1
#define REVOKED  2
#define UNKNOWN  99


/* A sound table with a key of each status, one of them with an older record
   left behind by an edit; returns an open descriptor of the file to damage. */
static int
sound(fixture_t *f, const char *name)
{
    int  fd;
    char path[256];

    fixture_fill(f, 3);
    fixture_put(f, ENABLED, APIKEY_ENABLED, 10, "renamed", NULL);
    fixture_put(f, DISABLED, APIKEY_DISABLED, 11, "name", NULL);
    fixture_put(f, REVOKED, APIKEY_REVOKED, 12, "name", NULL);
    fixture_renew(f, 600000);

    snprintf(path, sizeof(path), "%s/%s", f->path, name);
    fd = open(path, O_RDWR);
    assert_true(fd != -1);

    return fd;
}


/* Looks with a new reader, as a worker that has just started does. */
static void
nothing_wrong_is_allowed(fixture_t *f, const char *what, long where)
{
    apikey_texts_t texts;

    apikey_table_detach(&f->table);
    f->table.error = APIKEY_TABLE_OK;

    if (fixture_allows(f, DISABLED) || fixture_allows(f, REVOKED)
        || fixture_allows(f, UNKNOWN))
    {
        fail_msg("%s at %ld: allowed what must be denied", what, where);
    }

    if (fixture_allows(f, ENABLED)) {
        apikey_table_texts(f->entry.record, &texts);

        if (texts.name_len != 7 || memcmp(texts.name, "renamed", 7) != 0
            || memcmp(texts.id, "key_00000000000000000000", 24) != 0)
        {
            fail_msg("%s at %ld: took one record for another", what, where);
        }
    }
}


static void
flip_each_bit(fixture_t *f, int fd, off_t from, off_t to)
{
    int           bit;
    off_t         at;
    unsigned char good, bad;

    for (at = from; at < to; at++) {
        assert_int_equal(pread(fd, &good, 1, at), 1);

        for (bit = 0; bit < 8; bit++) {
            bad = good ^ (unsigned char) (1 << bit);
            assert_int_equal(pwrite(fd, &bad, 1, at), 1);
            nothing_wrong_is_allowed(f, "flipped bit", (long) at * 8 + bit);
        }

        assert_int_equal(pwrite(fd, &good, 1, at), 1);
    }

    apikey_table_detach(&f->table);
    f->table.error = APIKEY_TABLE_OK;
    assert_true(fixture_allows(f, ENABLED));
}


static void
flipped_bits_in_the_control_page(void **state)
{
    fixture_t *f = *state;
    int        fd = sound(f, "control");

    flip_each_bit(f, fd, 0, (off_t) offsetof(apikey_control_t, figure));
    close(fd);
}


static void
flipped_bits_do_not_prolong_a_lease(void **state)
{
    int           bit;
    off_t         at;
    fixture_t    *f = *state;
    unsigned char good, bad;
    int           fd = sound(f, "control");

    assert_int_equal(apikey_writer_renew(f->writer, apikey_boottime()),
                     APIKEY_WRITE_OK);

    for (at = 0; at < (off_t) offsetof(apikey_control_t, figure); at++) {
        assert_int_equal(pread(fd, &good, 1, at), 1);

        for (bit = 0; bit < 8; bit++) {
            bad = good ^ (unsigned char) (1 << bit);
            assert_int_equal(pwrite(fd, &bad, 1, at), 1);
            apikey_table_detach(&f->table);
            f->table.error = APIKEY_TABLE_OK;
            assert_false(fixture_allows(f, ENABLED));
        }

        assert_int_equal(pwrite(fd, &good, 1, at), 1);
    }

    close(fd);
}


static void
flipped_bits_in_the_header(void **state)
{
    fixture_t *f = *state;
    int        fd = sound(f, "keys.1");

    flip_each_bit(f, fd, 0, (off_t) sizeof(apikey_generation_t));
    close(fd);
}


static void
flipped_bits_in_the_slots(void **state)
{
    fixture_t  *f = *state;
    off_t       at;
    uint64_t    i, word;
    int         fd = sound(f, "keys.1");
    const off_t size = APIKEY_SLOT_SIZE;

    apikey_table_attach(&f->table);

    /* each slot in use, and its empty neighbours */
    for (i = 0; i < f->table.slots; i++) {
        at = APIKEY_GENERATION_HEAD + (off_t) i * size;
        assert_int_equal(pread(fd, &word, sizeof(word), at), sizeof(word));

        if (word != 0) {
            flip_each_bit(f, fd, at - (i ? size : 0), at + 2 * size);
            apikey_table_attach(&f->table);
        }
    }

    close(fd);
}


static void
flipped_bits_in_the_records(void **state)
{
    fixture_t *f = *state;
    off_t      records;
    int        fd = sound(f, "keys.1");

    apikey_table_attach(&f->table);
    records =
        APIKEY_GENERATION_HEAD + (off_t) (f->table.slots * APIKEY_SLOT_SIZE);

    flip_each_bit(f, fd, records,
                  records + (off_t) f->table.generation->records_used);
    close(fd);
}


/* Gives the header page of a generation what a copy of it lacks. */
static void
pose_as_original(char *page, int fd)
{
    struct stat         st;
    apikey_generation_t head;

    assert_int_equal(fstat(fd, &st), 0);
    memcpy(&head, page, sizeof(head));
    head.inode = st.st_ino;
    head.check = apikey_check(&head, offsetof(apikey_generation_t, check));
    memcpy(page, &head, sizeof(head));
}


static void
truncated_anywhere(void **state)
{
    fixture_t  *f = *state;
    off_t       at;
    struct stat st;
    char        path[256], copy[256], buffer[8192];
    int         fd = sound(f, "keys.1");

    assert_int_equal(fstat(fd, &st), 0);
    assert_int_equal(pread(fd, buffer, sizeof(buffer), 0), sizeof(buffer));
    snprintf(path, sizeof(path), "%s/keys.1", f->path);
    snprintf(copy, sizeof(copy), "%s/keys.2", f->path);

    /* the sound file stays as it is for its writer: a copy is truncated */
    assert_int_equal(rename(path, copy), 0);

    for (at = 0; at < st.st_size; at += at < 8192 ? 64 : 65536 - 64) {
        size_t size = (size_t) (at < 8192 ? at : 8192);
        int    out = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0640);

        pose_as_original(buffer, out);
        assert_int_equal(pwrite(out, buffer, size, 0), (ssize_t) size);
        assert_int_equal(ftruncate(out, at), 0);
        close(out);

        nothing_wrong_is_allowed(f, "truncated", (long) at);
        assert_false(fixture_allows(f, ENABLED));
    }

    assert_int_equal(rename(copy, path), 0);
    close(fd);
}


static void
copy_file(const char *from, const char *to)
{
    ssize_t n;
    char    buffer[65536];
    int     in = open(from, O_RDONLY);
    int     out = open(to, O_WRONLY | O_CREAT | O_EXCL, 0640);

    assert_true(in != -1 && out != -1);

    while ((n = read(in, buffer, sizeof(buffer))) > 0) {
        assert_int_equal(write(out, buffer, (size_t) n), n);
    }

    assert_int_equal(n, 0);
    close(in);
    close(out);
}


/* Sound to the last byte, but nobody writes to it any more. */
static void
copies(void **state)
{
    static const char *const names[] = { "control", "keys.1" };
    fixture_t               *f = *state;
    size_t                   i;
    char                     path[256], original[256];

    close(sound(f, "keys.1"));
    snprintf(original, sizeof(original), "%s/original", f->path);

    for (i = 0; i < 2; i++) {
        snprintf(path, sizeof(path), "%s/%s", f->path, names[i]);

        assert_int_equal(rename(path, original), 0);
        copy_file(original, path);

        nothing_wrong_is_allowed(f, names[i], 0);
        assert_false(fixture_allows(f, ENABLED));
        assert_int_equal(f->table.error, APIKEY_TABLE_COPY);

        assert_int_equal(rename(original, path), 0);
        assert_true(fixture_allows_soon(f, ENABLED));
    }
}


/* Writes 4 KiB of one byte over each page of the file in turn. */
static void
pages_of(fixture_t *f, int fd, int byte)
{
    off_t       at;
    struct stat st;
    char        good[4096], bad[4096];

    memset(bad, byte, sizeof(bad));
    assert_int_equal(fstat(fd, &st), 0);

    for (at = 0; at + 4096 <= st.st_size; at += 4096) {
        assert_int_equal(pread(fd, good, sizeof(good), at), sizeof(good));
        assert_int_equal(pwrite(fd, bad, sizeof(bad), at), sizeof(bad));
        nothing_wrong_is_allowed(f, "overwritten page", (long) at);
        assert_int_equal(pwrite(fd, good, sizeof(good), at), sizeof(good));
    }
}


static void
zeroed_and_erased_pages(void **state)
{
    fixture_t *f = *state;
    int        keys = sound(f, "keys.1");
    int        control;
    char       path[256];

    snprintf(path, sizeof(path), "%s/control", f->path);
    control = open(path, O_RDWR);
    assert_true(control != -1);

    pages_of(f, keys, 0);
    pages_of(f, keys, 0xff);
    pages_of(f, control, 0);
    pages_of(f, control, 0xff);

    close(keys);
    close(control);
}


/* Pseudo-random bytes over header, slots and records alike; seeded. */
static void
noise(void **state)
{
    int            fd, i, round;
    uint64_t       seed = 20261123;
    fixture_t     *f = *state;
    struct stat    st;
    unsigned char *good;

    fd = sound(f, "keys.1");
    assert_int_equal(fstat(fd, &st), 0);
    good = malloc((size_t) st.st_size);
    assert_int_equal(pread(fd, good, (size_t) st.st_size, 0), st.st_size);

    for (round = 0; round < 2000; round++) {
        off_t at[8];

        for (i = 0; i < 8; i++) {
            seed = seed * 6364136223846793005ULL + 1442695040888963407ULL;
            /* half of the rounds hit the header page */
            at[i] = (off_t) ((seed >> 33)
                             % (uint64_t) (round % 2 ? 256 : st.st_size - 8));
            assert_int_equal(pwrite(fd, &seed, 1 + (size_t) i % 8, at[i]),
                             1 + i % 8);
        }

        nothing_wrong_is_allowed(f, "noise, round", round);

        for (i = 0; i < 8; i++) {
            assert_int_equal(pwrite(fd, good + at[i], 8, at[i]), 8);
        }
    }

    free(good);
    close(fd);
}


static void
files_that_are_no_files(void **state)
{
    fixture_t *f = *state;
    char       path[256], aside[256];
    int        fd = sound(f, "keys.1");

    close(fd);
    snprintf(path, sizeof(path), "%s/keys.1", f->path);
    snprintf(aside, sizeof(aside), "%s/keys.2", f->path);
    assert_int_equal(rename(path, aside), 0);

    assert_int_equal(mkfifo(path, 0640), 0);
    nothing_wrong_is_allowed(f, "a FIFO", 0);
    assert_int_equal(f->table.error, APIKEY_TABLE_FOREIGN);
    unlink(path);

    assert_int_equal(mkdir(path, 0750), 0);
    nothing_wrong_is_allowed(f, "a directory", 0);
    rmdir(path);

    assert_int_equal(symlink(aside, path), 0);
    nothing_wrong_is_allowed(f, "a symbolic link", 0);
    assert_int_equal(f->table.error, APIKEY_TABLE_FOREIGN);
    unlink(path);

    assert_int_equal(rename(aside, path), 0);
    assert_int_equal(chmod(path, 0666), 0);
    nothing_wrong_is_allowed(f, "world-writable", 0);
    assert_int_equal(f->table.error, APIKEY_TABLE_UNSAFE);

    assert_int_equal(chmod(path, 0640), 0);
    apikey_table_detach(&f->table);
    assert_true(fixture_allows_soon(f, ENABLED));
}


#define damage(test) \
    cmocka_unit_test_setup_teardown(test, fixture_setup, fixture_teardown)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        damage(flipped_bits_in_the_control_page),
        damage(flipped_bits_do_not_prolong_a_lease),
        damage(flipped_bits_in_the_header),
        damage(flipped_bits_in_the_slots),
        damage(flipped_bits_in_the_records),
        damage(truncated_anywhere),
        damage(copies),
        damage(zeroed_and_erased_pages),
        damage(noise),
        damage(files_that_are_no_files),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);

    return cmocka_run_group_tests(tests, NULL, NULL);
}
