/*
 * Copyright (C) 2026 the ngx_http_apikey_module authors
 *
 * The store's client against a server that says what it is told to: what
 * each kind of trouble is called, and that it sticks.  The real server is
 * t/ctl_store.t's.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <pthread.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "store/client.h"
#include "store/password.h"

#define HELLO                                                                \
    "*6\r\n$6\r\nserver\r\n$5\r\nredis\r\n$7\r\nversion\r\n$6\r\n7.0.15\r\n" \
    "$4\r\nrole\r\n$6\r\nmaster\r\n"


/* A server for one connection: an answer for each command it reads. */
typedef struct {
    int                listener;
    pthread_t          thread;
    const char *const *answers; /* ends with NULL: then it closes.  "" says
                                   nothing until the client has gone */
    char               heard[4096];
    struct sockaddr_un address;
} server_t;

static server_t        server;
static apikey_client_t client;
static apikey_url_t    url;
static char            directory[] = "/tmp/apikey-XXXXXX";


static void *
serve(void *arg)
{
    int     fd;
    size_t  i, heard = 0;
    ssize_t n = 0;

    (void) arg;

    fd = accept(server.listener, NULL, NULL);

    for (i = 0; server.answers[i]; i++) {
        n = read(fd, server.heard + heard, sizeof(server.heard) - heard - 1);
        heard += n > 0 ? (size_t) n : 0;
        server.heard[heard] = '\0';

        if (server.answers[i][0] == '\0') {
            n = read(fd, server.heard + heard,
                     sizeof(server.heard) - heard - 1);
            break;
        }

        n = write(fd, server.answers[i], strlen(server.answers[i]));
    }

    (void) n;
    close(fd);

    return NULL;
}


static int
begin(void **state)
{
    (void) state;

    (void) signal(SIGPIPE, SIG_IGN);

    memset(&server, 0, sizeof(server));
    memset(&client, 0, sizeof(client));
    memset(&url, 0, sizeof(url));

    server.address.sun_family = AF_UNIX;
    snprintf(server.address.sun_path, sizeof(server.address.sun_path),
             "%s/server", directory);
    snprintf(url.host, sizeof(url.host), "%s", server.address.sun_path);

    server.listener = socket(AF_UNIX, SOCK_STREAM, 0);

    return bind(server.listener, (struct sockaddr *) &server.address,
                sizeof(server.address))
           || listen(server.listener, 1);
}


static int
end(void **state)
{
    (void) state;

    apikey_client_close(&client);
    close(server.listener);

    return unlink(server.address.sun_path);
}


static int
connect_to(const char *const *answers)
{
    server.answers = answers;

    if (pthread_create(&server.thread, NULL, serve, NULL) != 0) {
        abort();
    }

    return apikey_client_connect(&client, &url, 200);
}


static void
hang_up(void)
{
    apikey_client_close(&client);
    pthread_join(server.thread, NULL);
}


static redisReply *
ping(void)
{
    apikey_args_t args = { 0 };

    apikey_args_add(&args, "PING");

    return apikey_client_command(&client, &args);
}


static void
test_greets(void **state)
{
    redisReply *reply;

    static const char *const answers[] = { HELLO, "+OK\r\n", "+PONG\r\n",
                                           NULL };

    (void) state;

    strcpy(url.user, "ada");
    strcpy(url.password, "pass word");
    url.db = 7;

    assert_int_equal(connect_to(answers), 0);
    assert_int_equal(client.error, APIKEY_CLIENT_OK);
    assert_string_equal(client.server, "redis 7.0.15");
    assert_int_equal(client.replica, 0);

    reply = ping();
    assert_non_null(reply);
    assert_string_equal(reply->str, "PONG");
    freeReplyObject(reply);

    hang_up();
    assert_string_equal(server.heard,
                        "*5\r\n$5\r\nHELLO\r\n$1\r\n2\r\n$4\r\nAUTH\r\n"
                        "$3\r\nada\r\n$9\r\npass word\r\n"
                        "*2\r\n$6\r\nSELECT\r\n$1\r\n7\r\n"
                        "*1\r\n$4\r\nPING\r\n");
}


static void
test_default_user(void **state)
{
    static const char *const answers[] = { "*0\r\n", NULL };

    (void) state;

    strcpy(url.password, "x");

    assert_int_equal(connect_to(answers), 0);
    assert_string_equal(client.server, "");

    hang_up();
    assert_non_null(strstr(server.heard, "\r\ndefault\r\n"));
}


static void
test_not_let_in(void **state)
{
    static const char *const answers[] = {
        "-WRONGPASS invalid username-password pair\r\n", NULL
    };

    (void) state;

    strcpy(url.password, "SECRET");

    assert_int_equal(connect_to(answers), -1);
    assert_int_equal(client.error, APIKEY_CLIENT_CONNECT);
    assert_string_equal(client.name, "WRONGPASS");
    assert_string_equal(client.text, "invalid username-password pair");
    assert_null(client.context);

    hang_up();
}


static void
test_refusals(void **state)
{
    size_t i;

    static const char *const answers[] = {
        HELLO,
        "-NOKEY no key has this id\r\n",
        "-ERR  two blanks\r\n",
        "-Err unknown\r\n",
        "-NAMEALONE\r\n",
        "-wrong kind of value\r\n",
        "-\r\n",
        "-A_VERY_LONG_NAME_THAT_IS_NO_NAME_AT_ALL x\r\n",
        "-BAD: colon\r\n",
        NULL,
    };

    static const struct {
        const char *name, *text;
    } wanted[] = {
        { "NOKEY", "no key has this id" },
        { "ERR", "two blanks" },
        { "ERR", "Err unknown" },
        { "NAMEALONE", "" },
        { "ERR", "wrong kind of value" },
        { "ERR", "" },
        { "ERR", "A_VERY_LONG_NAME_THAT_IS_NO_NAME_AT_ALL x" },
        { "ERR", "BAD: colon" },
    };

    (void) state;

    assert_int_equal(connect_to(answers), 0);

    for (i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++) {
        assert_null(ping());
        assert_int_equal(client.error, APIKEY_CLIENT_REFUSED);
        assert_string_equal(client.name, wanted[i].name);
        assert_string_equal(client.text, wanted[i].text);
    }

    hang_up();
}


/* Every error but a refusal sticks, and nothing more is sent. */
static void
check_sticks(apikey_client_error_t error)
{
    char text[sizeof(client.text)];

    assert_null(ping());
    assert_int_equal(client.error, error);
    assert_null(client.context);
    strcpy(text, client.text);

    assert_null(ping());
    assert_int_equal(client.error, error);
    assert_string_equal(client.text, text);

    hang_up();
}


static void
test_closed(void **state)
{
    static const char *const answers[] = { HELLO, NULL };

    (void) state;

    assert_int_equal(connect_to(answers), 0);
    pthread_join(server.thread, NULL);

    assert_null(ping());
    assert_int_equal(client.error, APIKEY_CLIENT_LOST);
    assert_non_null(strstr(client.text, "the connection was lost"));
    assert_null(ping());
    assert_int_equal(client.error, APIKEY_CLIENT_LOST);
}


static void
test_cut(void **state)
{
    static const char *const answers[] = { HELLO, "$100\r\nhalf of it", NULL };

    (void) state;

    assert_int_equal(connect_to(answers), 0);
    check_sticks(APIKEY_CLIENT_LOST);
}


static void
test_silent(void **state)
{
    struct timespec before, after;

    static const char *const answers[] = { HELLO, "", NULL };

    (void) state;

    assert_int_equal(connect_to(answers), 0);

    (void) clock_gettime(CLOCK_MONOTONIC, &before);
    check_sticks(APIKEY_CLIENT_LOST);
    (void) clock_gettime(CLOCK_MONOTONIC, &after);

    assert_string_equal(client.text, "the server did not answer in time");
    assert_true((after.tv_sec - before.tv_sec) * 1000
                    + (after.tv_nsec - before.tv_nsec) / 1000000
                >= 199);
}


static void
test_silent_at_once(void **state)
{
    static const char *const answers[] = { "", NULL };

    (void) state;

    assert_int_equal(connect_to(answers), -1);
    assert_int_equal(client.error, APIKEY_CLIENT_CONNECT);
    assert_string_equal(client.name, "");
    hang_up();
}


static void
test_other_protocol(void **state)
{
    static const char *const answers[] = { HELLO, "HTTP/1.1 200 OK\r\n\r\n",
                                           NULL };

    (void) state;

    assert_int_equal(connect_to(answers), 0);
    check_sticks(APIKEY_CLIENT_PROTOCOL);
}


static void
test_nobody(void **state)
{
    (void) state;

    strcpy(url.host, "/nowhere/at/all");

    assert_int_equal(apikey_client_connect(&client, &url, 200), -1);
    assert_int_equal(client.error, APIKEY_CLIENT_CONNECT);
    assert_non_null(strstr(client.text, "No such file"));
}


static void
test_no_tls(void **state)
{
    (void) state;

    url.tls = 1;

    assert_int_equal(apikey_client_connect(&client, &url, 200), -1);
    assert_int_equal(client.error, APIKEY_CLIENT_CONNECT);
    assert_non_null(strstr(client.text, "TLS"));
}


static void
test_arguments(void **state)
{
    int           i;
    apikey_args_t args;

    (void) state;

    apikey_args_function(&args, 0, "apikey_get", "{apikey}");
    assert_int_equal(args.count, 4);
    assert_string_equal(args.argument[0], "FCALL_RO");
    assert_string_equal(args.argument[2], "1");

    apikey_args_pair(&args, "cursor", NULL);
    assert_int_equal(args.count, 4);

    apikey_args_pair(&args, "cursor", "");
    assert_int_equal(args.count, 6);
    assert_int_equal(args.length[5], 0);

    apikey_args_add_bytes(&args, "a\0b", 3);
    assert_int_equal(args.length[6], 3);

    for (i = args.count; i < APIKEY_CLIENT_ARGS_MAX; i++) {
        apikey_args_add(&args, "x");
    }

    assert_int_equal(args.overflow, 0);
    apikey_args_add(&args, "x");
    assert_int_equal(args.overflow, 1);
    assert_int_equal(args.count, APIKEY_CLIENT_ARGS_MAX);
}


static void
test_replies(void **state)
{
    void        *reply;
    char         text[8];
    size_t       i;
    uint64_t     number;
    redisReader *reader;

    static const char answer[] =
        "*15\r\n$1\r\na\r\n$7\r\n1234567\r\n$1\r\nb\r\n:42\r\n"
        "$1\r\nc\r\n$3\r\nx\0y\r\n"
        "$1\r\nd\r\n$20\r\n12345678901234567890\r\n"
        "$1\r\ne\r\n$2\r\n-1\r\n$1\r\nf\r\n$-1\r\n$1\r\ng\r\n$0\r\n\r\n"
        "$5\r\nalone\r\n";

    static const char *const no_numbers[] = { "c", "d",     "e", "f",
                                              "g", "alone", "z" };
    static const char *const no_texts[] = { "b", "c", "d", "f", "alone", "z" };

    (void) state;

    reader = redisReaderCreate();
    assert_int_equal(redisReaderFeed(reader, answer, sizeof(answer) - 1),
                     REDIS_OK);
    assert_int_equal(redisReaderGetReply(reader, &reply), REDIS_OK);
    assert_non_null(reply);

    assert_int_equal(apikey_reply_number(reply, "a", &number), 0);
    assert_int_equal(number, 1234567);
    assert_int_equal(apikey_reply_number(reply, "b", &number), 0);
    assert_int_equal(number, 42);

    for (i = 0; i < sizeof(no_numbers) / sizeof(no_numbers[0]); i++) {
        assert_int_equal(apikey_reply_number(reply, no_numbers[i], &number),
                         -1);
    }

    assert_int_equal(apikey_reply_copy(reply, "a", text, 8), 0);
    assert_string_equal(text, "1234567");
    assert_int_equal(apikey_reply_copy(reply, "g", text, 1), 0);
    assert_string_equal(text, "");
    assert_int_equal(apikey_reply_copy(reply, "a", text, 7), -1);

    for (i = 0; i < sizeof(no_texts) / sizeof(no_texts[0]); i++) {
        assert_int_equal(
            apikey_reply_copy(reply, no_texts[i], text, sizeof(text)), -1);
    }

    freeReplyObject(reply);
    redisReaderFree(reader);
}


static void
test_password(void **state)
{
    int    rc;
    char   path[64], error[512];
    FILE  *file;
    size_t i;

    static char fits[APIKEY_URL_PART_MAX], longer[APIKEY_URL_PART_MAX + 1];

    const struct {
        const char *line;
        mode_t      mode;
        const char *password; /* NULL: refused */
    } rows[] = {
        { "secret\n", 0600, "secret" },
        { "secret", 0640, "secret" },
        { "se cret\r\nand more\n", 0400, "se cret" },
        { fits, 0600, fits },
        { longer, 0600, NULL },
        { "secret\n", 0604, NULL },
        { "secret\n", 0602, NULL },
        { "\nsecret\n", 0600, NULL },
        { "", 0600, NULL },
    };

    (void) state;

    memset(fits, 'x', sizeof(fits) - 1);
    memset(longer, 'x', sizeof(longer) - 1);
    snprintf(path, sizeof(path), "%s/password", directory);

    for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        file = fopen(path, "w");
        assert_non_null(file);
        fputs(rows[i].line, file);
        fclose(file);
        chmod(path, rows[i].mode);

        strcpy(url.password, "from the URL");
        rc = apikey_password_read(&url, path, error, sizeof(error));

        if (rows[i].password) {
            assert_int_equal(rc, 0);
            assert_string_equal(url.password, rows[i].password);

        } else {
            assert_int_equal(rc, -1);
            assert_string_equal(url.password, "");
            assert_non_null(strstr(error, path));
            assert_null(strstr(error, "secret"));
        }

        unlink(path);
    }

    assert_int_equal(apikey_password_read(&url, path, error, sizeof(error)),
                     -1);
    assert_non_null(strstr(error, "No such file"));
}


int
main(void)
{
    int failed;

    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_greets, begin, end),
        cmocka_unit_test_setup_teardown(test_default_user, begin, end),
        cmocka_unit_test_setup_teardown(test_not_let_in, begin, end),
        cmocka_unit_test_setup_teardown(test_refusals, begin, end),
        cmocka_unit_test_setup_teardown(test_closed, begin, end),
        cmocka_unit_test_setup_teardown(test_cut, begin, end),
        cmocka_unit_test_setup_teardown(test_silent, begin, end),
        cmocka_unit_test_setup_teardown(test_silent_at_once, begin, end),
        cmocka_unit_test_setup_teardown(test_other_protocol, begin, end),
        cmocka_unit_test_setup_teardown(test_nobody, begin, end),
        cmocka_unit_test_setup_teardown(test_no_tls, begin, end),
        cmocka_unit_test(test_arguments),
        cmocka_unit_test(test_replies),
        cmocka_unit_test(test_password),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);

    if (mkdtemp(directory) == NULL) {
        return 1;
    }

    failed = cmocka_run_group_tests(tests, NULL, NULL);
    rmdir(directory);

    return failed;
}
