/*
 * Copyright (C) 2026 the ngx_http_apikey_module authors
 *
 * Torn reads: reader processes look while one writer changes status and texts
 * of a few keys together and replaces generations.  Every change writes its
 * own version into the name and a status that follows from it, so that a
 * reader can tell a pair that never was.  APIKEY_TORN_CHANGES sets how many
 * changes (default 100000), APIKEY_TORN_READS how many reads at least (0).
 */

#include "table_fixture.h"

#include <sys/mman.h>
#include <sys/wait.h>

#define READERS 2
#define KEYS    8
#define GROW    5000 /* changes between two generations */

typedef struct {
    _Atomic int      stop;
    _Atomic uint64_t reads[READERS];
    _Atomic uint64_t torn[READERS];
    _Atomic uint64_t back[READERS]; /* a version below one seen before */
    _Atomic uint64_t failed[READERS];
} shared_t;

static shared_t *shared;


static apikey_status_t
status_at(uint64_t version)
{
    return version / KEYS % 2 ? APIKEY_ENABLED : APIKEY_DISABLED;
}


static void
reader(fixture_t *f, int me)
{
    char           name[32];
    uint64_t       n, version, seen[KEYS] = { 0 };
    apikey_texts_t texts;

    while (!shared->stop) {
        for (n = 0; n < KEYS; n++) {
            if (fixture_lookup(f, n) != APIKEY_LOOKUP_FOUND) {
                shared->failed[me]++;
                continue;
            }

            apikey_table_texts(f->entry.record, &texts);
            snprintf(name, sizeof(name), "%.*s", (int) texts.name_len,
                     texts.name);
            version = strtoull(name, NULL, 10);

            if (version % KEYS != n || f->entry.status != status_at(version)) {
                shared->torn[me]++;
            }

            if (version < seen[n]) {
                shared->back[me]++;
            }

            seen[n] = version;
            shared->reads[me]++;
        }
    }

    _exit(0);
}


static void
put_version(fixture_t *f, uint64_t version)
{
    char           name[32];
    apikey_write_t rc;

    snprintf(name, sizeof(name), "%llu", (unsigned long long) version);

    rc = fixture_put(f, version % KEYS, status_at(version), version, name,
                     NULL);

    if (rc == APIKEY_WRITE_FULL || version % GROW == 0) {
        fixture_begin(f, APIKEY_BUILD_GROWTH, 0);
        fixture_put(f, version % KEYS, status_at(version), version, name,
                    NULL);
        fixture_publish(f);

    } else {
        assert_int_equal(rc, APIKEY_WRITE_OK);
    }
}


static uint64_t
env_number(const char *name, uint64_t otherwise)
{
    const char *env = getenv(name);

    return env ? strtoull(env, NULL, 10) : otherwise;
}


static uint64_t
reads_so_far(void)
{
    int      i;
    uint64_t sum = 0;

    for (i = 0; i < READERS; i++) {
        sum += shared->reads[i];
    }

    return sum;
}


static void
no_reader_ever_sees_what_never_was(void **state)
{
    int        i, status;
    pid_t      child[READERS];
    uint64_t   version;
    uint64_t   changes = env_number("APIKEY_TORN_CHANGES", 100000);
    uint64_t   reads = env_number("APIKEY_TORN_READS", 0);
    fixture_t *f = *state;

    shared = mmap(NULL, sizeof(shared_t), PROT_READ | PROT_WRITE,
                  MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(shared != MAP_FAILED);

    fixture_begin(f, APIKEY_BUILD_SNAPSHOT, KEYS);
    for (version = KEYS; version < 2 * KEYS; version++) {
        put_version(f, version);
    }
    fixture_publish(f);
    fixture_renew(f, 600000);

    for (i = 0; i < READERS; i++) {
        child[i] = fork();
        if (child[i] == 0) {
            reader(f, i);
        }
    }

    for (i = 0; i < READERS; i++) {
        while (shared->reads[i] == 0) {
            usleep(100);
        }
    }

    for (; version < changes || reads_so_far() < reads; version++) {
        put_version(f, version);
    }

    shared->stop = 1;

    for (i = 0; i < READERS; i++) {
        assert_int_equal(waitpid(child[i], &status, 0), child[i]);
        assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
        assert_int_equal(shared->torn[i], 0);
        assert_int_equal(shared->back[i], 0);
        print_message("# reader %d: %llu reads, %llu could not know\n", i,
                      (unsigned long long) shared->reads[i],
                      (unsigned long long) shared->failed[i]);
    }

    munmap(shared, sizeof(shared_t));
}


int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(no_reader_ever_sees_what_never_was,
                                        fixture_setup, fixture_teardown),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);

    return cmocka_run_group_tests(tests, NULL, NULL);
}
