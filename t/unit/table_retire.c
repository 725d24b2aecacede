/*
 * Copyright (C) 2026 the ngx_http_apikey_module authors
 *
 * What becomes of a generation that was replaced or given up: its name goes at
 * once, its memory in slices, and no reader ever goes by what is left of it.
 * APIKEY_RETIRE_ROUNDS sets how many generations replace each other under
 * readers (default 60).
 */

#include "table_fixture.h"

#include <sys/mman.h>
#include <sys/wait.h>

#define READERS 2
#define KEYS    20000 /* some megabytes, so several slices */
#define CHANGED 7     /* the key that is disabled in the second generation */

typedef struct {
    _Atomic int      stop;
    _Atomic uint64_t reads[READERS];
    _Atomic uint64_t wrong[READERS];
    _Atomic uint64_t failed[READERS]; /* could not know */
} shared_t;


/* Opens the current generation's file. */
static int
open_current(fixture_t *f)
{
    int      fd;
    char     path[128];
    uint64_t number;

    assert_true(apikey_unseal(
        atomic_load(&apikey_writer_control(f->writer)->generation), &number));
    snprintf(path, sizeof(path), "%s/" APIKEY_GENERATION_NAME "%llu", f->path,
             (unsigned long long) number);

    fd = open(path, O_RDONLY | O_CLOEXEC);
    assert_true(fd != -1);

    return fd;
}


/* The blocks that the file has, in bytes. */
static uint64_t
blocks(int fd)
{
    struct stat st;

    assert_int_equal(fstat(fd, &st), 0);

    return (uint64_t) st.st_blocks * 512;
}


static int
generations(fixture_t *f)
{
    int            n = 0;
    DIR           *dir = opendir(f->path);
    struct dirent *entry;

    assert_non_null(dir);

    while ((entry = readdir(dir)) != NULL) {
        n += strncmp(entry->d_name, APIKEY_GENERATION_NAME,
                     strlen(APIKEY_GENERATION_NAME))
             == 0;
    }

    closedir(dir);

    return n;
}


static int
release(fixture_t *f)
{
    int slices = 0;

    while (apikey_writer_release(f->writer) == APIKEY_WRITE_MORE) {
        slices++;
    }

    return slices;
}


static void
grow(fixture_t *f)
{
    fixture_begin(f, APIKEY_BUILD_GROWTH, 0);
    fixture_publish(f);
}


static void
memory_is_given_back_in_slices(void **state)
{
    int        fd;
    fixture_t *f = *state;
    uint64_t   before, after, size;

    fixture_fill(f, KEYS);
    fixture_renew(f, 600000);
    assert_true(fixture_allows(f, 0));

    fd = open_current(f);
    size = before = blocks(fd);
    assert_true(size > 4 << 20);

    grow(f);
    assert_int_equal(generations(f), 1);
    assert_int_equal(blocks(fd), before);

    while (apikey_writer_release(f->writer) == APIKEY_WRITE_MORE) {
        after = blocks(fd);
        assert_true(after < before && before - after <= 2 << 20);
        before = after;
    }

    /* its first page is there, and the one in which it ended */
    assert_true(blocks(fd) >= APIKEY_GENERATION_HEAD
                && blocks(fd) <= size / 64);
    close(fd);

    assert_true(fixture_allows(f, 0));
}


static void
a_retired_generation_reads_as_zeros_and_says_that_it_is_retired(void **state)
{
    fixture_t                 *f = *state;
    const apikey_slot_t       *slot;
    const apikey_generation_t *head;
    uint64_t                   i, slots;

    fixture_fill(f, KEYS);
    fixture_renew(f, 600000);
    assert_true(fixture_allows(f, 0));

    head = f->table.generation;
    slot = f->table.slot;
    slots = f->table.slots;

    grow(f);
    release(f);

    for (i = 0; i < slots; i++) {
        assert_int_equal(slot[i].state, 0);
    }

    assert_int_equal(head->retired, 1);
    assert_int_equal(head->slots, slots);

    /* and nobody who looks goes by it */
    for (i = 0; i < KEYS; i += 100) {
        assert_true(fixture_allows(f, i));
    }
}


/* What happens between a look-up's load of a slot and of its record. */
static void *
alloc_and_replace(void *ctx, size_t size)
{
    fixture_t *f = ctx;

    if (f->table.generation->generation == 1) {
        fixture_put(f, CHANGED, APIKEY_DISABLED, KEYS + 1, "name", NULL);
        grow(f);
        assert_true(release(f) > 0);
    }

    return fixture_alloc(f, size);
}


static void
a_look_up_in_the_middle_of_it_begins_again(void **state)
{
    fixture_t *f = *state;
    uint8_t    digest[APIKEY_TABLE_DIGEST_LEN];

    fixture_fill(f, KEYS);
    fixture_renew(f, 600000);

    fixture_digest(digest, CHANGED);
    assert_int_equal(apikey_table_lookup(&f->table, digest, &f->entry,
                                         alloc_and_replace, f),
                     APIKEY_LOOKUP_FOUND);
    assert_int_equal(f->entry.status, APIKEY_DISABLED);
    assert_int_equal(f->table.generation->generation, 2);
}


static void
the_next_generation_waits_for_the_memory_of_the_one_before(void **state)
{
    int        fd;
    fixture_t *f = *state;

    fixture_fill(f, KEYS);
    fixture_renew(f, 600000);
    fd = open_current(f);

    grow(f);
    assert_int_equal(apikey_writer_release(f->writer), APIKEY_WRITE_MORE);

    grow(f);
    assert_true(blocks(fd) <= 1 << 20);
    assert_int_equal(generations(f), 1);
    close(fd);

    assert_true(release(f) > 0);
    assert_true(fixture_allows(f, KEYS - 1));
}


static void
what_was_given_up_goes_in_the_same_way(void **state)
{
    fixture_t *f = *state;

    fixture_fill(f, KEYS);
    fixture_renew(f, 600000);
    release(f);

    fixture_begin(f, APIKEY_BUILD_GROWTH, 0);
    assert_int_equal(generations(f), 2);
    apikey_writer_abort(f->writer);
    assert_int_equal(generations(f), 1);

    /* one that has nothing yet takes no turn */
    assert_int_equal(apikey_writer_begin(f->writer, APIKEY_BUILD_GROWTH,
                                         fixture_epoch, 0, 0),
                     APIKEY_WRITE_OK);
    apikey_writer_abort(f->writer);
    assert_int_equal(generations(f), 1);
    assert_true(release(f) > 4);

    assert_true(fixture_allows(f, 0));
    grow(f);
    assert_true(fixture_allows(f, 0));
}


static void
a_writer_that_ends_in_the_middle_leaves_nothing(void **state)
{
    fixture_t *f = *state;

    fixture_fill(f, KEYS);
    fixture_renew(f, 600000);
    assert_true(fixture_allows(f, 0));

    grow(f);
    assert_int_equal(apikey_writer_release(f->writer), APIKEY_WRITE_MORE);
    apikey_writer_close(f->writer);
    assert_int_equal(generations(f), 1);

    fixture_open(f);
    assert_int_equal(generations(f), 1);
    assert_int_equal(apikey_writer_release(f->writer), APIKEY_WRITE_OK);
    assert_true(fixture_allows(f, 0));
}


/* Keys 0 to KEYS - 1 are there all the time, and KEYS never is. */
static void
reader(fixture_t *f, shared_t *shared, int me)
{
    uint64_t n = (uint64_t) me;

    while (!shared->stop) {
        n = (n * 7919 + 1) % (KEYS + 1);

        switch (fixture_lookup(f, n)) {
        case APIKEY_LOOKUP_FOUND:
            shared->wrong[me] +=
                n == KEYS || f->entry.status != APIKEY_ENABLED;
            break;

        case APIKEY_LOOKUP_UNKNOWN:
            shared->wrong[me] += n != KEYS;
            break;

        case APIKEY_LOOKUP_UNAVAILABLE:
            shared->failed[me]++;
            break;
        }

        shared->reads[me]++;
    }

    _exit(0);
}


static void
readers_are_never_wrong_while_generations_pass(void **state)
{
    int         i, status;
    pid_t       child[READERS];
    uint64_t    round, rounds = 60, seen;
    shared_t   *shared;
    fixture_t  *f = *state;
    const char *env = getenv("APIKEY_RETIRE_ROUNDS");

    if (env) {
        rounds = strtoull(env, NULL, 10);
    }

    shared = mmap(NULL, sizeof(shared_t), PROT_READ | PROT_WRITE,
                  MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(shared != MAP_FAILED);

    fixture_fill(f, KEYS);
    fixture_renew(f, 600000);

    for (i = 0; i < READERS; i++) {
        child[i] = fork();
        if (child[i] == 0) {
            reader(f, shared, i);
        }
    }

    for (round = 0; round < rounds; round++) {
        grow(f);
        release(f);

        /* each has been in this generation before the next replaces it */
        for (i = 0; i < READERS; i++) {
            seen = shared->reads[i];
            while (shared->reads[i] < seen + 2
                   && waitpid(child[i], NULL, WNOHANG) == 0) {
                usleep(100);
            }
        }
    }

    shared->stop = 1;

    for (i = 0; i < READERS; i++) {
        /* not killed by a signal, and not gone before its time */
        assert_int_equal(waitpid(child[i], &status, 0), child[i]);
        assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
        assert_int_equal(shared->wrong[i], 0);
        assert_int_equal(shared->failed[i], 0);
        print_message("# reader %d: %llu reads\n", i,
                      (unsigned long long) shared->reads[i]);
    }

    munmap(shared, sizeof(shared_t));
}


#define retire(test) \
    cmocka_unit_test_setup_teardown(test, fixture_setup, fixture_teardown)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        retire(memory_is_given_back_in_slices),
        retire(
            a_retired_generation_reads_as_zeros_and_says_that_it_is_retired),
        retire(a_look_up_in_the_middle_of_it_begins_again),
        retire(the_next_generation_waits_for_the_memory_of_the_one_before),
        retire(what_was_given_up_goes_in_the_same_way),
        retire(a_writer_that_ends_in_the_middle_leaves_nothing),
        retire(readers_are_never_wrong_while_generations_pass),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);

    return cmocka_run_group_tests(tests, NULL, NULL);
}
