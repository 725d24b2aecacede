/*
 * Copyright (C) 2026 the ngx_http_apikey_module authors
 *
 * Revocations that the table holds to against the store, and how one ends:
 * when an operator takes back this very one.
 */

#include "table_fixture.h"


/* What the callbacks were told. */
typedef struct {
    int           count, alive;
    apikey_held_t last;
} seen_t;


static void
see(void *ctx, const apikey_held_t *held, int alive)
{
    seen_t *seen = ctx;

    seen->count++;
    seen->alive += alive;
    seen->last = *held;
}


static void
see_revoked(void *ctx, const apikey_held_t *held)
{
    see(ctx, held, 0);
}


static apikey_table_revocation_t
revocation(uint64_t version)
{
    return (apikey_table_revocation_t){ version, fixture_stamp(version) };
}


static apikey_held_t
held_of(uint64_t n, uint64_t version)
{
    apikey_held_t held = { .revocation = revocation(version) };

    fixture_digest(held.digest, n);
    strcpy(held.id, "key_of_a_file");

    return held;
}


/* Carries everything, and says what was told of it. */
static seen_t
carry(fixture_t *f)
{
    seen_t         seen = { 0 };
    apikey_write_t rc;

    do {
        rc = apikey_writer_carry(f->writer, 100, see, &seen);
    } while (rc == APIKEY_WRITE_MORE);

    assert_int_equal(rc, APIKEY_WRITE_OK);

    return seen;
}


static int
hold(fixture_t *f, uint64_t n, uint64_t version, seen_t *seen)
{
    int           known;
    apikey_held_t held = held_of(n, version);

    assert_int_equal(apikey_writer_hold(f->writer, &held, see, seen, &known),
                     APIKEY_WRITE_OK);

    return known;
}


static seen_t
revoked(fixture_t *f)
{
    seen_t         seen = { 0 };
    uint64_t       cursor = 0;
    apikey_write_t rc;

    do {
        rc = apikey_writer_revoked(f->writer, &cursor, 7, see_revoked, &seen);
    } while (rc == APIKEY_WRITE_MORE);

    assert_int_equal(rc, APIKEY_WRITE_OK);

    return seen;
}


static void
a_conflict_says_which_revocation_it_holds_to(void **state)
{
    fixture_t                *f = *state;
    apikey_table_revocation_t held;

    fixture_fill(f, 2);
    fixture_put(f, 0, APIKEY_REVOKED, 10, "name", NULL);

    fixture_settle(f, 0, APIKEY_ENABLED, 11, "name", NULL, &held);
    assert_int_equal(held.version, 10);
    assert_int_equal(held.stamp, fixture_stamp(10));

    fixture_settle(f, 0, APIKEY_REVOKED, 12, "name", NULL, &held);
    assert_int_equal(held.version, 0);
    fixture_settle(f, 1, APIKEY_DISABLED, 13, "name", NULL, &held);
    assert_int_equal(held.version, 0);
}


static void
taken_back_it_lives_again(void **state)
{
    fixture_t                *f = *state;
    apikey_table_revocation_t held, accepted = revocation(10);

    fixture_fill(f, 1);
    fixture_renew(f, 60000);
    fixture_put(f, 0, APIKEY_REVOKED, 10, "name", NULL);

    fixture_settle(f, 0, APIKEY_ENABLED, 11, "name", &accepted, &held);
    assert_int_equal(held.version, 0);
    assert_true(fixture_allows(f, 0));

    /* once more revoked, that is another one */
    fixture_put(f, 0, APIKEY_REVOKED, 12, "name", NULL);
    fixture_settle(f, 0, APIKEY_ENABLED, 13, "name", &accepted, &held);
    assert_int_equal(held.version, 12);
    assert_false(fixture_allows(f, 0));
}


static void
another_one_taken_back_is_of_no_use(void **state)
{
    size_t                    i;
    fixture_t                *f = *state;
    apikey_table_revocation_t held, accepted[] = {
        { 9, fixture_stamp(10) },
        { 10, fixture_stamp(10) + 1 },
        { 0, 0 },
    };

    fixture_fill(f, 1);
    fixture_renew(f, 60000);
    fixture_put(f, 0, APIKEY_REVOKED, 10, "name", NULL);

    for (i = 0; i < 3; i++) {
        fixture_settle(f, 0, APIKEY_ENABLED, 20 + i, "name", &accepted[i],
                       &held);
        assert_int_equal(held.version, 10);
        assert_false(fixture_allows(f, 0));
    }
}


static void
a_snapshot_that_calls_it_alive_is_a_conflict(void **state)
{
    seen_t     seen;
    fixture_t *f = *state;

    fixture_fill(f, 3);
    fixture_renew(f, 60000);
    fixture_put(f, 0, APIKEY_REVOKED, 10, "name", NULL);
    fixture_put(f, 1, APIKEY_REVOKED, 11, "name", NULL);
    fixture_put(f, 2, APIKEY_REVOKED, 12, "name", NULL);

    fixture_begin(f, APIKEY_BUILD_SNAPSHOT, 3);
    fixture_put(f, 0, APIKEY_ENABLED, 3, "name", NULL);
    fixture_put(f, 1, APIKEY_REVOKED, 4, "name", NULL);
    seen = carry(f); /* 0 is alive, 2 forgotten */
    assert_int_equal(seen.count, 2);
    assert_int_equal(seen.alive, 1);
    assert_int_equal(apikey_writer_publish(f->writer), APIKEY_WRITE_OK);

    assert_false(fixture_allows(f, 0));
    assert_false(fixture_allows(f, 2));
    assert_int_equal(revoked(f).count, 3);
}


static void
a_snapshot_takes_back_what_its_records_say(void **state)
{
    seen_t                    seen;
    fixture_t                *f = *state;
    apikey_table_revocation_t accepted = revocation(10),
                              other = revocation(99);

    fixture_fill(f, 2);
    fixture_renew(f, 60000);
    fixture_put(f, 0, APIKEY_REVOKED, 10, "name", NULL);
    fixture_put(f, 1, APIKEY_REVOKED, 11, "name", NULL);

    fixture_begin(f, APIKEY_BUILD_SNAPSHOT, 2);
    fixture_settle(f, 0, APIKEY_ENABLED, 3, "name", &accepted, NULL);
    fixture_settle(f, 1, APIKEY_ENABLED, 4, "name", &other, NULL);

    /* what readers use stays as it is until it is replaced */
    assert_false(fixture_allows(f, 0));

    seen = carry(f);
    assert_int_equal(seen.count, 1);
    assert_memory_equal(seen.last.id, "key_00000000000000000001", 24);
    assert_int_equal(apikey_writer_publish(f->writer), APIKEY_WRITE_OK);

    assert_true(fixture_allows(f, 0));
    assert_false(fixture_allows(f, 1));
}


static void
what_the_store_brings_up_again_is_a_conflict_whatever_its_version(void **state)
{
    fixture_t                *f = *state;
    apikey_table_revocation_t held;

    fixture_fill(f, 2);
    fixture_renew(f, 60000);
    fixture_put(f, 1, APIKEY_REVOKED, 100, "name", NULL);

    fixture_begin(f, APIKEY_BUILD_SNAPSHOT, 2);
    fixture_put(f, 0, APIKEY_ENABLED, 1, "name", NULL);
    fixture_publish(f);

    fixture_settle(f, 1, APIKEY_ENABLED, 2, "name", NULL, &held);
    assert_int_equal(held.version, 100);
    assert_false(fixture_allows(f, 1));
}


static void
it_holds_to_what_was_written_down_elsewhere(void **state)
{
    seen_t     seen = { 0 };
    fixture_t *f = *state;

    fixture_begin(f, APIKEY_BUILD_SNAPSHOT, 3);
    fixture_put(f, 0, APIKEY_ENABLED, 3, "name", NULL);
    fixture_put(f, 1, APIKEY_REVOKED, 4, "name", NULL);

    assert_int_equal(hold(f, 1, 4, &seen), 1);
    assert_int_equal(seen.count, 0);

    assert_int_equal(hold(f, 1, 3, &seen), 0); /* an older one */
    assert_int_equal(seen.count, 0);

    assert_int_equal(hold(f, 0, 10, &seen), 0);
    assert_int_equal(seen.alive, 1);
    assert_memory_equal(seen.last.id, "key_00000000000000000000", 24);

    assert_int_equal(hold(f, 2, 11, &seen), 0);
    assert_int_equal(seen.count, 2);
    assert_int_equal(seen.alive, 1);
    assert_string_equal(seen.last.id, "key_of_a_file");

    assert_int_equal(hold(f, 2, 11, &seen), 1); /* it stands there twice */
    assert_int_equal(seen.count, 2);

    assert_int_equal(apikey_writer_publish(f->writer), APIKEY_WRITE_OK);
    fixture_renew(f, 60000);

    assert_false(fixture_allows(f, 0));
    assert_int_equal(fixture_lookup(f, 2), APIKEY_LOOKUP_FOUND);
    assert_int_equal(f->entry.status, APIKEY_REVOKED);

    seen = revoked(f);
    assert_int_equal(seen.count, 3);
}


static void
what_was_taken_back_is_not_held(void **state)
{
    seen_t                    seen = { 0 };
    fixture_t                *f = *state;
    apikey_table_revocation_t accepted = revocation(10);

    fixture_begin(f, APIKEY_BUILD_SNAPSHOT, 3);
    fixture_settle(f, 0, APIKEY_ENABLED, 12, "name", &accepted, NULL);
    assert_int_equal(hold(f, 0, 10, &seen), 1);
    assert_int_equal(seen.count, 0);
    assert_int_equal(apikey_writer_publish(f->writer), APIKEY_WRITE_OK);
    fixture_renew(f, 60000);

    assert_true(fixture_allows(f, 0));
}


static void
a_growth_and_a_restart_keep_which_revocation(void **state)
{
    seen_t     seen;
    fixture_t *f = *state;

    fixture_fill(f, 2);
    fixture_put(f, 0, APIKEY_REVOKED, 10, "name", NULL);

    fixture_begin(f, APIKEY_BUILD_GROWTH, 0);
    assert_int_equal(carry(f).count, 0);
    assert_int_equal(apikey_writer_publish(f->writer), APIKEY_WRITE_OK);

    seen = revoked(f);
    assert_int_equal(seen.count, 1);
    assert_int_equal(seen.last.revocation.version, 10);

    apikey_writer_close(f->writer);
    fixture_open(f);

    fixture_begin(f, APIKEY_BUILD_SNAPSHOT, 2);
    fixture_put(f, 0, APIKEY_ENABLED, 3, "name", NULL);
    seen = carry(f);
    assert_int_equal(seen.alive, 1);
    assert_int_equal(seen.last.revocation.version, 10);
    assert_int_equal(seen.last.revocation.stamp, fixture_stamp(10));
    assert_int_equal(apikey_writer_publish(f->writer), APIKEY_WRITE_OK);

    seen = revoked(f);
    assert_int_equal(seen.last.revocation.version, 10);
}


static void
in_a_growth_an_enable_brings_nothing_back(void **state)
{
    fixture_t                *f = *state;
    apikey_table_revocation_t held;

    fixture_fill(f, 2);
    fixture_renew(f, 60000);
    fixture_put(f, 0, APIKEY_REVOKED, 10, "name", NULL);

    /* the next generation has not got the key yet */
    fixture_begin(f, APIKEY_BUILD_GROWTH, 0);
    fixture_settle(f, 0, APIKEY_ENABLED, 11, "name", NULL, &held);
    assert_int_equal(held.version, 10);
    carry(f);
    assert_int_equal(apikey_writer_publish(f->writer), APIKEY_WRITE_OK);
    assert_false(fixture_allows(f, 0));

    /* and an accepted one does, in both */
    fixture_begin(f, APIKEY_BUILD_GROWTH, 0);
    fixture_settle(f, 0, APIKEY_ENABLED, 12, "name", &held, NULL);
    assert_true(fixture_allows(f, 0));
    carry(f);
    assert_int_equal(apikey_writer_publish(f->writer), APIKEY_WRITE_OK);
    assert_true(fixture_allows(f, 0));
}


static void
a_tightened_key_is_held_too(void **state)
{
    seen_t       seen;
    fixture_t   *f = *state;
    apikey_put_t put = { .status = APIKEY_REVOKED,
                         .version = 9,
                         .stamp = fixture_stamp(9),
                         .id = "",
                         .member = "",
                         .tenant = "",
                         .name = "",
                         .scopes = "" };

    fixture_fill(f, 1);
    fixture_digest(put.digest, 0);
    assert_int_equal(apikey_writer_tighten(f->writer, &put), APIKEY_WRITE_OK);

    seen = revoked(f);
    assert_int_equal(seen.count, 1);
    assert_int_equal(seen.last.revocation.version, 9);
}


static void
the_page_remembers_its_daemons(void **state)
{
    int        i;
    fixture_t *f = *state;
    uint8_t    daemon[APIKEY_DAEMON_LEN] = { 0 };
    uint8_t    before[APIKEY_DAEMONS - 1][APIKEY_DAEMON_LEN];

    for (i = 1; i <= 12; i++) {
        daemon[0] = (uint8_t) i;

        /* twice the same is once */
        apikey_writer_enter(f->writer, daemon, before);
        assert_int_equal(apikey_writer_enter(f->writer, daemon, before),
                         i <= APIKEY_DAEMONS ? i - 1 : APIKEY_DAEMONS - 1);

        if (i > 1) {
            assert_int_equal(before[0][0], i - 1);
        }

        apikey_writer_close(f->writer);
        fixture_open(f);
    }

    assert_int_equal(before[APIKEY_DAEMONS - 2][0], 12 - APIKEY_DAEMONS + 1);
}


#define held(test) \
    cmocka_unit_test_setup_teardown(test, fixture_setup, fixture_teardown)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        held(a_conflict_says_which_revocation_it_holds_to),
        held(taken_back_it_lives_again),
        held(another_one_taken_back_is_of_no_use),
        held(a_snapshot_that_calls_it_alive_is_a_conflict),
        held(a_snapshot_takes_back_what_its_records_say),
        held(
            what_the_store_brings_up_again_is_a_conflict_whatever_its_version),
        held(it_holds_to_what_was_written_down_elsewhere),
        held(what_was_taken_back_is_not_held),
        held(a_growth_and_a_restart_keep_which_revocation),
        held(in_a_growth_an_enable_brings_nothing_back),
        held(a_tightened_key_is_held_too),
        held(the_page_remembers_its_daemons),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);

    return cmocka_run_group_tests(tests, NULL, NULL);
}
