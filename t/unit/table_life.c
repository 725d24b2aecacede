/*
 * Copyright (C) 2026 the ngx_http_apikey_module authors
 *
 * What readers see of what the writer does: changes, generations, restarts.
 */

#include "table_fixture.h"


static void
nothing_is_known_before_the_first_generation(void **state)
{
    fixture_t *f = *state;

    assert_int_equal(fixture_lookup(f, 0), APIKEY_LOOKUP_UNAVAILABLE);
    assert_int_equal(f->table.error, APIKEY_TABLE_ABSENT);
}


static void
a_key_is_found_with_its_texts(void **state)
{
    fixture_t     *f = *state;
    apikey_texts_t texts;

    fixture_fill(f, 1);
    fixture_renew(f, 5000);

    assert_int_equal(fixture_lookup(f, 0), APIKEY_LOOKUP_FOUND);
    assert_int_equal(f->entry.status, APIKEY_ENABLED);
    assert_int_equal(f->entry.version, 1);
    assert_true(f->entry.late < 0);

    apikey_table_texts(f->entry.record, &texts);
    assert_int_equal(texts.id_len, 24);
    assert_memory_equal(texts.id, "key_00000000000000000000", 24);
    assert_int_equal(texts.member_len, 3);
    assert_memory_equal(texts.member, "ada", 3);
    assert_int_equal(texts.tenant_len, 5);
    assert_memory_equal(texts.tenant, "ten_1", 5);
    assert_int_equal(texts.name_len, 4);
    assert_memory_equal(texts.name, "name", 4);
    assert_int_equal(texts.scopes_len, 12);
    assert_memory_equal(texts.scopes, "checks:write", 12);
}


static void
an_unknown_digest_is_unknown(void **state)
{
    fixture_t *f = *state;

    fixture_fill(f, 1);
    fixture_renew(f, 5000);

    assert_int_equal(fixture_lookup(f, 1), APIKEY_LOOKUP_UNKNOWN);
    assert_true(f->entry.late < 0);
}


static void
without_a_lease_every_answer_is_late(void **state)
{
    fixture_t *f = *state;

    fixture_fill(f, 1);

    assert_int_equal(fixture_lookup(f, 0), APIKEY_LOOKUP_FOUND);
    assert_true(f->entry.late >= 0);
    assert_int_equal(fixture_lookup(f, 1), APIKEY_LOOKUP_UNKNOWN);
    assert_true(f->entry.late >= 0);

    fixture_renew(f, 5000);
    assert_true(fixture_allows(f, 0));

    assert_int_equal(apikey_writer_renew(f->writer, 0), APIKEY_WRITE_OK);
    assert_false(fixture_allows(f, 0));
}


static void
a_deadline_beyond_any_lease_is_damage(void **state)
{
    fixture_t *f = *state;

    fixture_fill(f, 1);
    fixture_renew(f, 2 * APIKEY_LEASE_MAX / 1000);

    assert_int_equal(fixture_lookup(f, 0), APIKEY_LOOKUP_UNAVAILABLE);
    assert_int_equal(f->table.error, APIKEY_TABLE_DAMAGED);
}


static void
status_and_texts_change(void **state)
{
    fixture_t     *f = *state;
    apikey_texts_t texts;

    fixture_fill(f, 1);
    fixture_renew(f, 5000);

    fixture_put(f, 0, APIKEY_DISABLED, 2, "name", NULL);
    assert_int_equal(fixture_lookup(f, 0), APIKEY_LOOKUP_FOUND);
    assert_int_equal(f->entry.status, APIKEY_DISABLED);

    fixture_put(f, 0, APIKEY_ENABLED, 3, "a longer name", NULL);
    assert_int_equal(fixture_lookup(f, 0), APIKEY_LOOKUP_FOUND);
    assert_int_equal(f->entry.status, APIKEY_ENABLED);
    assert_int_equal(f->entry.version, 3);

    apikey_table_texts(f->entry.record, &texts);
    assert_memory_equal(texts.name, "a longer name", texts.name_len);
}


static void
an_older_version_is_ignored(void **state)
{
    fixture_t *f = *state;
    int        conflict = 0;

    fixture_fill(f, 1);
    fixture_renew(f, 5000);

    fixture_put(f, 0, APIKEY_DISABLED, 10, "name", &conflict);
    fixture_put(f, 0, APIKEY_ENABLED, 9, "name", &conflict);
    fixture_put(f, 0, APIKEY_ENABLED, 10, "name", &conflict);

    assert_false(fixture_allows(f, 0));
    assert_int_equal(f->entry.version, 10);
    assert_int_equal(conflict, 0);
}


static void
revoked_is_for_ever(void **state)
{
    fixture_t *f = *state;
    int        conflict = 0;

    fixture_fill(f, 1);
    fixture_renew(f, 5000);

    fixture_put(f, 0, APIKEY_REVOKED, 2, "name", &conflict);
    assert_int_equal(conflict, 0);

    fixture_put(f, 0, APIKEY_ENABLED, 3, "name", &conflict);
    assert_int_equal(conflict, 1);
    assert_int_equal(fixture_lookup(f, 0), APIKEY_LOOKUP_FOUND);
    assert_int_equal(f->entry.status, APIKEY_REVOKED);
}


static void
bad_changes_are_refused(void **state)
{
    fixture_t *f = *state;
    char       name[APIKEY_RECORD_NAME_MAX + 2];

    memset(name, 'x', sizeof(name) - 1);
    name[sizeof(name) - 1] = '\0';

    fixture_fill(f, 1);

    assert_int_equal(fixture_put(f, 1, APIKEY_ENABLED, 0, "name", NULL),
                     APIKEY_WRITE_ERROR);
    assert_int_equal(fixture_put(f, 1, APIKEY_ENABLED, APIKEY_VERSION_MAX + 1,
                                 "name", NULL),
                     APIKEY_WRITE_ERROR);
    assert_int_equal(fixture_put(f, 1, APIKEY_EMPTY, 2, "name", NULL),
                     APIKEY_WRITE_ERROR);
    assert_int_equal(
        fixture_put(f, 1, (apikey_status_t) 0x1234, 2, "name", NULL),
        APIKEY_WRITE_ERROR);
    assert_int_equal(fixture_put(f, 1, APIKEY_ENABLED, 2, name, NULL),
                     APIKEY_WRITE_ERROR);
    assert_int_equal(fixture_lookup(f, 1), APIKEY_LOOKUP_UNKNOWN);

    name[APIKEY_RECORD_NAME_MAX] = '\0';
    assert_int_equal(fixture_put(f, 1, APIKEY_ENABLED, 2, name, NULL),
                     APIKEY_WRITE_OK);
    assert_int_equal(fixture_lookup(f, 1), APIKEY_LOOKUP_FOUND);
}


static void
changes_go_to_both_generations_in_any_order(void **state)
{
    fixture_t *f = *state;

    fixture_fill(f, 10);
    fixture_renew(f, 5000);

    /* a growth: pushes arrive before, between and after the carrying */
    fixture_begin(f, APIKEY_BUILD_GROWTH, 0);
    fixture_put(f, 3, APIKEY_DISABLED, 20, "name", NULL);
    assert_false(fixture_allows(f, 3));
    fixture_put(f, 11, APIKEY_ENABLED, 21, "name", NULL);
    assert_true(fixture_allows(f, 11));
    assert_int_equal(fixture_publish(f), 0);

    assert_true(fixture_allows(f, 0));
    assert_false(fixture_allows(f, 3));
    assert_int_equal(f->entry.version, 20);
    assert_true(fixture_allows(f, 11));
}


static void
a_snapshot_merges_by_version(void **state)
{
    fixture_t *f = *state;

    fixture_fill(f, 1);
    fixture_renew(f, 5000);

    fixture_begin(f, APIKEY_BUILD_SNAPSHOT, 10);
    fixture_put(f, 5, APIKEY_DISABLED, 50, "pushed", NULL);
    fixture_put(f, 5, APIKEY_ENABLED, 40, "read earlier", NULL);
    fixture_put(f, 6, APIKEY_ENABLED, 41, "read", NULL);
    fixture_put(f, 6, APIKEY_DISABLED, 51, "pushed later", NULL);
    fixture_publish(f);

    assert_int_equal(fixture_lookup(f, 5), APIKEY_LOOKUP_FOUND);
    assert_int_equal(f->entry.status, APIKEY_DISABLED);
    assert_int_equal(fixture_lookup(f, 6), APIKEY_LOOKUP_FOUND);
    assert_int_equal(f->entry.status, APIKEY_DISABLED);
    assert_int_equal(fixture_lookup(f, 0), APIKEY_LOOKUP_UNKNOWN);
}


static void
during_a_snapshot_the_old_view_only_gets_stricter(void **state)
{
    fixture_t *f = *state;

    fixture_fill(f, 3);
    fixture_put(f, 1, APIKEY_DISABLED, 10, "name", NULL);
    fixture_renew(f, 5000);

    fixture_begin(f, APIKEY_BUILD_SNAPSHOT, 10);

    /* another history may have lower versions: they refuse all the same */
    fixture_put(f, 0, APIKEY_REVOKED, 1, "name", NULL);
    assert_false(fixture_allows(f, 0));

    fixture_put(f, 1, APIKEY_ENABLED, 11, "name", NULL);
    assert_false(fixture_allows(f, 1));

    fixture_put(f, 9, APIKEY_ENABLED, 12, "name", NULL);
    assert_int_equal(fixture_lookup(f, 9), APIKEY_LOOKUP_UNKNOWN);

    fixture_publish(f);
    assert_true(fixture_allows(f, 1));
    assert_true(fixture_allows(f, 9));
}


static void
revocations_survive_a_snapshot_that_forgot_them(void **state)
{
    fixture_t *f = *state;

    fixture_fill(f, 3);
    fixture_put(f, 0, APIKEY_REVOKED, 10, "name", NULL);
    fixture_put(f, 1, APIKEY_REVOKED, 11, "name", NULL);

    fixture_begin(f, APIKEY_BUILD_SNAPSHOT, 3);
    fixture_put(f, 0, APIKEY_ENABLED, 1, "name", NULL); /* called alive */
    fixture_put(f, 2, APIKEY_ENABLED, 3, "name", NULL); /* 1 is forgotten */
    assert_int_equal(fixture_publish(f), 2);
    fixture_renew(f, 5000);

    assert_int_equal(fixture_lookup(f, 0), APIKEY_LOOKUP_FOUND);
    assert_int_equal(f->entry.status, APIKEY_REVOKED);
    assert_int_equal(fixture_lookup(f, 1), APIKEY_LOOKUP_FOUND);
    assert_int_equal(f->entry.status, APIKEY_REVOKED);
    assert_true(fixture_allows(f, 2));
}


static void
revocations_survive_a_restart_of_the_daemon(void **state)
{
    fixture_t *f = *state;

    fixture_fill(f, 3);
    fixture_put(f, 0, APIKEY_REVOKED, 10, "name", NULL);
    fixture_renew(f, 5000);
    assert_true(fixture_allows(f, 1));

    apikey_writer_close(f->writer);
    fixture_open(f);

    /* readers go on with the old view, which only gets stricter */
    assert_true(fixture_allows(f, 1));
    assert_false(apikey_writer_ready(f->writer));
    fixture_put(f, 1, APIKEY_DISABLED, 12, "name", NULL);
    assert_false(fixture_allows(f, 1));

    fixture_begin(f, APIKEY_BUILD_SNAPSHOT, 3);
    fixture_put(f, 0, APIKEY_ENABLED, 1, "name", NULL);
    fixture_put(f, 2, APIKEY_ENABLED, 3, "name", NULL);
    assert_int_equal(fixture_publish(f), 1);

    assert_false(fixture_allows(f, 0));
    assert_true(fixture_allows(f, 2));
}


static void
a_growth_makes_room(void **state)
{
    fixture_t     *f = *state;
    uint64_t       n, grown = 0;
    apikey_write_t rc;

    fixture_fill(f, 1);
    fixture_renew(f, 60000);

    for (n = 1; n < 20000; n++) {
        rc = fixture_put(f, n, APIKEY_ENABLED, n + 1, "name", NULL);

        if (rc == APIKEY_WRITE_FULL || apikey_writer_crowded(f->writer)) {
            fixture_begin(f, APIKEY_BUILD_GROWTH, 0);
            assert_int_equal(
                fixture_put(f, n, APIKEY_ENABLED, n + 1, "name", NULL), rc);
            fixture_publish(f);
            grown++;

        } else {
            assert_int_equal(rc, APIKEY_WRITE_OK);
        }
    }

    assert_true(grown > 3);

    for (n = 0; n < 20000; n++) {
        assert_true(fixture_allows(f, n));
    }
}


static void
a_full_generation_says_so_and_loses_nothing(void **state)
{
    fixture_t *f = *state;
    uint64_t   n;

    fixture_fill(f, 1);
    fixture_renew(f, 60000);

    for (n = 1; fixture_put(f, n, APIKEY_ENABLED, n + 1, "name", NULL)
                == APIKEY_WRITE_OK;
         n++)
    {
        assert_true(n < 100000);
    }

    assert_int_equal(fixture_lookup(f, n), APIKEY_LOOKUP_UNKNOWN);

    /* a status change needs no room */
    assert_int_equal(fixture_put(f, 0, APIKEY_REVOKED, n + 1, "name", NULL),
                     APIKEY_WRITE_OK);
    assert_false(fixture_allows(f, 0));
}


static void
a_stricter_status_needs_no_room_even_with_new_texts(void **state)
{
    char       name[APIKEY_RECORD_NAME_MAX + 1];
    fixture_t *f = *state;
    uint64_t   version = 2;

    fixture_fill(f, 1);
    fixture_renew(f, 60000);

    do {
        memset(name, 'a' + (int) (version % 26), APIKEY_RECORD_NAME_MAX);
        name[APIKEY_RECORD_NAME_MAX] = '\0';
        assert_true(version < 1000000);
    } while (fixture_put(f, 0, APIKEY_ENABLED, version++, name, NULL)
             == APIKEY_WRITE_OK);

    assert_true(fixture_allows(f, 0));
    name[0] = '*';
    assert_int_equal(fixture_put(f, 0, APIKEY_REVOKED, version, name, NULL),
                     APIKEY_WRITE_FULL);
    assert_false(fixture_allows(f, 0));
}


static void
tightening_touches_the_current_view_alone(void **state)
{
    fixture_t   *f = *state;
    apikey_put_t put = { .status = APIKEY_ENABLED,
                         .version = 9,
                         .id = "",
                         .member = "",
                         .tenant = "",
                         .name = "",
                         .scopes = "" };

    fixture_fill(f, 2);
    fixture_put(f, 1, APIKEY_DISABLED, 3, "name", NULL);
    fixture_renew(f, 60000);

    fixture_digest(put.digest, 1);
    assert_int_equal(apikey_writer_tighten(f->writer, &put), APIKEY_WRITE_OK);
    assert_false(fixture_allows(f, 1));

    fixture_digest(put.digest, 0);
    put.status = APIKEY_DISABLED;
    assert_int_equal(apikey_writer_tighten(f->writer, &put), APIKEY_WRITE_OK);
    assert_false(fixture_allows(f, 0));

    fixture_digest(put.digest, 7);
    assert_int_equal(apikey_writer_tighten(f->writer, &put), APIKEY_WRITE_OK);
    assert_int_equal(fixture_lookup(f, 7), APIKEY_LOOKUP_UNKNOWN);
}


static void
digests_that_are_alike_do_not_crowd(void **state)
{
    fixture_t   *f = *state;
    uint64_t     n;
    apikey_put_t put = { .status = APIKEY_ENABLED,
                         .id = "",
                         .member = "",
                         .tenant = "",
                         .name = "",
                         .scopes = "" };

    fixture_begin(f, APIKEY_BUILD_SNAPSHOT, 10000);

    for (n = 0; n < 10000; n++) {
        memcpy(put.digest + 24, &n, sizeof(n));
        put.version = n + 1;
        assert_int_equal(apikey_writer_put(f->writer, &put, NULL),
                         APIKEY_WRITE_OK);
    }
}


static void
an_unchanged_record_takes_no_room(void **state)
{
    fixture_t *f = *state;
    uint64_t   version;

    fixture_fill(f, 1);
    fixture_renew(f, 60000);

    for (version = 2; version < 200000; version++) {
        assert_int_equal(
            fixture_put(f, 0, version % 2 ? APIKEY_ENABLED : APIKEY_DISABLED,
                        version, "name", NULL),
            APIKEY_WRITE_OK);
    }

    assert_true(fixture_allows(f, 0));
    assert_false(apikey_writer_crowded(f->writer));
}


static void
each_change_raises_the_counter(void **state)
{
    fixture_t        *f = *state;
    uint64_t          before;
    apikey_control_t *control = apikey_writer_control(f->writer);

    fixture_fill(f, 2);

    before = control->changes;
    fixture_put(f, 0, APIKEY_DISABLED, 9, "name", NULL);
    assert_int_equal(control->changes, before + 1);

    fixture_put(f, 0, APIKEY_ENABLED, 8, "name", NULL); /* ignored */
    assert_int_equal(control->changes, before + 1);

    fixture_begin(f, APIKEY_BUILD_GROWTH, 0);
    fixture_publish(f);
    assert_int_equal(control->changes, before + 2);
}


static void
the_books_are_right(void **state)
{
    fixture_t                 *f = *state;
    const apikey_generation_t *head;

    fixture_fill(f, 10);
    fixture_put(f, 0, APIKEY_DISABLED, 20, "name", NULL);
    fixture_put(f, 1, APIKEY_REVOKED, 21, "name", NULL);
    fixture_begin(f, APIKEY_BUILD_GROWTH, 0);
    fixture_publish(f);

    assert_int_equal(apikey_table_attach(&f->table), APIKEY_TABLE_OK);
    head = f->table.generation;
    assert_int_equal(head->enabled, 8);
    assert_int_equal(head->disabled, 1);
    assert_int_equal(head->revoked, 1);
}


static void
a_reader_of_a_retired_generation_moves_on(void **state)
{
    fixture_t *f = *state;
    uint64_t   before;

    fixture_fill(f, 2);
    fixture_renew(f, 5000);
    assert_true(fixture_allows(f, 0));
    before = f->table.generation_word;

    fixture_begin(f, APIKEY_BUILD_GROWTH, 0);
    fixture_publish(f);
    fixture_put(f, 0, APIKEY_DISABLED, 9, "name", NULL);

    assert_false(fixture_allows(f, 0));
    assert_int_not_equal(f->table.generation_word, before);
}


static void
peppers_are_passed_on(void **state)
{
    fixture_t *f = *state;
    uint64_t   written[2] = { 0x1122334455667788, 42 }, seen[2];

    apikey_table_peppers(&f->table, seen);
    assert_int_equal(seen[0] | seen[1], 0);

    apikey_writer_peppers(f->writer, written);
    fixture_fill(f, 1);
    fixture_lookup(f, 0);
    apikey_table_peppers(&f->table, seen);
    assert_memory_equal(seen, written, sizeof(seen));
}


#define life(test) \
    cmocka_unit_test_setup_teardown(test, fixture_setup, fixture_teardown)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        life(nothing_is_known_before_the_first_generation),
        life(a_key_is_found_with_its_texts),
        life(an_unknown_digest_is_unknown),
        life(without_a_lease_every_answer_is_late),
        life(a_deadline_beyond_any_lease_is_damage),
        life(status_and_texts_change),
        life(an_older_version_is_ignored),
        life(revoked_is_for_ever),
        life(bad_changes_are_refused),
        life(changes_go_to_both_generations_in_any_order),
        life(a_snapshot_merges_by_version),
        life(during_a_snapshot_the_old_view_only_gets_stricter),
        life(revocations_survive_a_snapshot_that_forgot_them),
        life(revocations_survive_a_restart_of_the_daemon),
        life(a_growth_makes_room),
        life(a_full_generation_says_so_and_loses_nothing),
        life(a_stricter_status_needs_no_room_even_with_new_texts),
        life(tightening_touches_the_current_view_alone),
        life(digests_that_are_alike_do_not_crowd),
        life(an_unchanged_record_takes_no_room),
        life(each_change_raises_the_counter),
        life(the_books_are_right),
        life(a_reader_of_a_retired_generation_moves_on),
        life(peppers_are_passed_on),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);

    return cmocka_run_group_tests(tests, NULL, NULL);
}
