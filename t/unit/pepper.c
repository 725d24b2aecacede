/*
 * Copyright (C) 2026 the ngx_http_apikey_module authors
 *
 * The pepper ring: what files it is read from, each way a file is refused and
 * what the refusal says, and making a new one.
 */

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>
#include <sodium.h>

#include "key/pepper.h"

/* 32 bytes: 0 to 31, zeros, 255s; then 31 and 33 zeros */
#define ONE   "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
#define TWO   "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="
#define THREE "//////////////////////////////////////////8="
#define SHORT "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=="
#define LONG  "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"

static char                 dir[] = "/tmp/apikey-pepper-XXXXXX";
static char                 path[sizeof(dir) + 16];
static char                 error[APIKEY_PEPPER_ERROR_LEN];
static apikey_pepper_ring_t ring;


static void
write_file(const char *text, size_t len, mode_t mode)
{
    int fd;

    (void) unlink(path);
    fd = open(path, O_WRONLY | O_CREAT | O_EXCL, 0600);
    assert_true(fd != -1);
    assert_int_equal(write(fd, text, len), len);
    assert_int_equal(fchmod(fd, mode), 0);
    assert_int_equal(close(fd), 0);
}


static void
write_text(const char *text)
{
    write_file(text, strlen(text), 0600);
}


static void
assert_loads(size_t count)
{
    memset(&ring, 0xaa, sizeof(ring));

    if (apikey_pepper_ring_load(&ring, path, error) != 0) {
        fail_msg("%s", error);
    }

    assert_int_equal(ring.count, count);
}


/* Refused with the path and these words, the ring wiped. */
static void
assert_refused(const char *words)
{
    static const apikey_pepper_ring_t wiped;

    memset(&ring, 0xaa, sizeof(ring));
    error[0] = '\0';

    assert_int_equal(apikey_pepper_ring_load(&ring, path, error), -1);
    assert_memory_equal(&ring, &wiped, sizeof(ring));

    if (strstr(error, path) == NULL || strstr(error, words) == NULL) {
        fail_msg("\"%s\" does not say \"%s\"", error, words);
    }

    /* secrets do not get into messages */
    assert_null(strstr(error, "AAAA"));
    assert_null(strstr(error, "AAEC"));
}


static void
test_one(void **state)
{
    static const uint8_t secret[] = { 0,  1,  2,  3,  4,  5,  6,  7,
                                      8,  9,  10, 11, 12, 13, 14, 15,
                                      16, 17, 18, 19, 20, 21, 22, 23,
                                      24, 25, 26, 27, 28, 29, 30, 31 };

    (void) state;

    write_text("p1:" ONE "\n");
    assert_loads(1);
    assert_string_equal(ring.pepper[0].id, "p1");
    assert_memory_equal(ring.pepper[0].secret, secret, sizeof(secret));
    assert_true(ring.pepper[0].fingerprint != 0);

    /* the last line's end may be missing */
    write_text("p1:" ONE);
    assert_loads(1);
}


static void
test_two(void **state)
{
    (void) state;

    write_text("# made today\n\n0123456789abcd_-:" ONE "\n \t\n#:\np1:" TWO
               "\n\n");
    assert_loads(2);

    assert_string_equal(ring.pepper[0].id, "0123456789abcd_-");
    assert_string_equal(ring.pepper[1].id, "p1");
    assert_true(ring.pepper[0].fingerprint != ring.pepper[1].fingerprint);

    apikey_pepper_ring_wipe(&ring);
    assert_int_equal(ring.count, 0);
    assert_true(sodium_is_zero((const uint8_t *) &ring, sizeof(ring)));
}


typedef struct {
    const char *text, *words;
} refused_t;

static void
test_text(void **state)
{
    static const refused_t refused[] = {
        { "", "there is no pepper in it" },
        { "\n\n# p1:" ONE "\n", "there is no pepper in it" },
        { "p1\n", "line 1: it is not id:base64" },
        { ":" ONE "\n", "line 1: it is not id:base64" },
        { "\n\nP1:" ONE "\n", "line 3: it is not id:base64" },
        { " p1:" ONE "\n", "it is not id:base64" },
        { "p 1:" ONE "\n", "it is not id:base64" },
        { "p.1:" ONE "\n", "it is not id:base64" },
        { "p\xc3\xa9:" ONE "\n", "it is not id:base64" },
        { "0123456789abcdef0:" ONE "\n", "it is not id:base64" },
        { "p1:\n", "32 bytes in base64" },
        { "p1:" SHORT "\n", "32 bytes in base64" },
        { "p1:" LONG "\n", "32 bytes in base64" },
        { "p1:" ONE ONE "\n", "32 bytes in base64" },
        { "p1:" ONE " \n", "32 bytes in base64" },
        { "p1: " ONE "\n", "32 bytes in base64" },
        { "p1:" ONE "=\n", "32 bytes in base64" },
        { "p1:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8\n",
          "32 bytes in base64" },
        { "p1:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh9=\n",
          "32 bytes in base64" },
        { "p1:__________________________________________8=\n",
          "32 bytes in base64" },
        { "p1:" ONE ":" TWO "\n", "32 bytes in base64" },
        { "p1:" ONE "\np1:" TWO "\n", "line 2: the id \"p1\" is there twice" },
        { "p1:" ONE "\np2:" ONE "\n",
          "line 2: \"p1\" and \"p2\" have the same secret" },
        { "p1:" ONE "\np2:" TWO "\np3:" THREE "\n",
          "line 3: there are more than two peppers" },
        { "p1:" ONE "\r\n", "line 1: it ends in a carriage return" },
        { "p1:" ONE "\n\r\n", "line 2: it ends in a carriage return" },
    };
    size_t i;

    (void) state;

    for (i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
        write_text(refused[i].text);
        assert_refused(refused[i].words);
    }
}


static void
test_nul(void **state)
{
    static const char in_id[] = "p\0001:" ONE "\n";
    static const char in_secret[] = "p1:" ONE "\0\n";

    (void) state;

    write_file(in_id, sizeof(in_id) - 1, 0600);
    assert_refused("it is not id:base64");
    write_file(in_secret, sizeof(in_secret) - 1, 0600);
    assert_refused("32 bytes in base64");
}


static void
test_size(void **state)
{
    static char text[APIKEY_PEPPER_FILE_MAX + 1];
    size_t      len = strlen("p1:" ONE "\n");

    (void) state;

    memset(text, '\n', sizeof(text));
    memcpy(text, "p1:" ONE "\n", len);

    write_file(text, APIKEY_PEPPER_FILE_MAX, 0600);
    assert_loads(1);

    write_file(text, APIKEY_PEPPER_FILE_MAX + 1, 0600);
    assert_refused("it is longer than 4096 bytes");
}


static void
test_mode(void **state)
{
    static const char text[] = "p1:" ONE "\n";
    mode_t            mode;
    char              words[16];

    (void) state;

    for (mode = 0400; mode <= 0777; mode++) {
        if (geteuid() != 0 && !(mode & 0400)) {
            continue;
        }

        write_file(text, sizeof(text) - 1, mode);

        if (mode & 0027) {
            (void) snprintf(words, sizeof(words), "(mode %04o)",
                            (unsigned) mode);
            assert_refused(words);

        } else {
            assert_loads(1);
        }
    }
}


static void
test_owner(void **state)
{
    (void) state;

    if (geteuid() != 0) {
        skip();
    }

    write_text("p1:" ONE "\n");
    assert_int_equal(chown(path, 65534, 65534), 0);
    assert_refused("it belongs to another user (uid 65534)");

    /* whoever runs this may own it, and so may root */
    assert_int_equal(seteuid(65534), 0);
    assert_loads(1);
    assert_int_equal(seteuid(0), 0);

    assert_int_equal(chown(path, 0, 65534), 0);
    assert_int_equal(chmod(path, 0640), 0);
    assert_int_equal(setegid(65534), 0);
    assert_int_equal(seteuid(65534), 0);
    assert_loads(1);

    /* and who may not read it is told so */
    assert_int_equal(seteuid(0), 0);
    assert_int_equal(setegid(0), 0);
    assert_int_equal(chmod(path, 0600), 0);
    assert_int_equal(seteuid(65534), 0);
    assert_refused(strerror(EACCES));
    assert_int_equal(seteuid(0), 0);
}


static void
test_no_file(void **state)
{
    (void) state;

    (void) unlink(path);
    assert_refused(strerror(ENOENT));

    assert_int_equal(mkdir(path, 0700), 0);
    assert_refused("it is not a regular file");
    assert_int_equal(rmdir(path), 0);

    /* nobody writes to it: an open that waits would hang here */
    assert_int_equal(mkfifo(path, 0600), 0);
    assert_refused("it is not a regular file");
    assert_int_equal(unlink(path), 0);

    assert_int_equal(symlink("/dev/null", path), 0);
    assert_refused("it is not a regular file");
    assert_int_equal(unlink(path), 0);

    assert_int_equal(symlink(path, path), 0);
    assert_refused(strerror(ELOOP));
    assert_int_equal(unlink(path), 0);
}


/* A path of any length leaves room for what is wrong. */
static void
test_long_path(void **state)
{
    char long_path[4000];

    (void) state;

    memset(long_path, '/', sizeof(long_path));
    long_path[sizeof(long_path) - 1] = '\0';

    assert_int_equal(apikey_pepper_ring_load(&ring, long_path, error), -1);
    assert_non_null(strstr(error, "it is not a regular file"));
    assert_int_equal(apikey_pepper_file_make(long_path, "p1", error), -1);
    assert_non_null(strstr(error, strerror(EEXIST)));
}


static void
test_make(void **state)
{
    apikey_pepper_ring_t first;
    struct stat          st;
    mode_t               mask;

    (void) state;

    (void) unlink(path);
    mask = umask(0);
    assert_int_equal(apikey_pepper_file_make(path, "p1", error), 0);
    (void) umask(mask);

    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    assert_loads(1);
    assert_string_equal(ring.pepper[0].id, "p1");
    first = ring;

    /* never over what exists */
    assert_int_equal(apikey_pepper_file_make(path, "p2", error), -1);
    assert_non_null(strstr(error, path));
    assert_non_null(strstr(error, strerror(EEXIST)));
    assert_loads(1);
    assert_memory_equal(&ring, &first, sizeof(ring));

    /* another one is another one */
    assert_int_equal(unlink(path), 0);
    assert_int_equal(apikey_pepper_file_make(path, "0123456789abcdef", error),
                     0);
    assert_loads(1);
    assert_memory_not_equal(ring.pepper[0].secret, first.pepper[0].secret,
                            APIKEY_PEPPER_LEN);
    assert_int_equal(unlink(path), 0);
}


static void
test_make_refused(void **state)
{
    static const char *const ids[] = { "",    "P",   "p 1",
                                       "p:1", "p\n", "0123456789abcdef0" };
    size_t                   i;

    (void) state;

    for (i = 0; i < sizeof(ids) / sizeof(ids[0]); i++) {
        assert_int_equal(apikey_pepper_file_make(path, ids[i], error), -1);
        assert_non_null(strstr(error, "a pepper's id must be"));
        assert_int_equal(access(path, F_OK), -1);
    }

    assert_int_equal(
        apikey_pepper_file_make("/nonexistent/pepper", "p1", error), -1);
    assert_non_null(strstr(error, "/nonexistent/pepper"));
    assert_non_null(strstr(error, strerror(ENOENT)));
}


static int
set_up(void **state)
{
    (void) state;

    if (mkdtemp(dir) == NULL || chmod(dir, 0755) != 0) {
        return -1;
    }

    (void) snprintf(path, sizeof(path), "%s/pepper", dir);

    return 0;
}


static int
tear_down(void **state)
{
    (void) state;
    (void) unlink(path);

    return rmdir(dir);
}


int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one),          cmocka_unit_test(test_two),
        cmocka_unit_test(test_text),         cmocka_unit_test(test_nul),
        cmocka_unit_test(test_size),         cmocka_unit_test(test_mode),
        cmocka_unit_test(test_owner),        cmocka_unit_test(test_no_file),
        cmocka_unit_test(test_long_path),    cmocka_unit_test(test_make),
        cmocka_unit_test(test_make_refused),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);

    if (sodium_init() == -1) {
        return 1;
    }

    return cmocka_run_group_tests_name("pepper", tests, set_up, tear_down);
}
