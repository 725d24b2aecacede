/*
 * Copyright (C) 2026 the ngx_http_apikey_module authors
 *
 * When a change is proven: the rule of --wait, on answers and times that are
 * made up here.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "admin/ops_proof.h"

#define VERSION 100
#define LEASE   5000                             /* milliseconds */
#define ANSWER  1000000000                       /* microseconds */
#define BOUND   (ANSWER + LEASE * 1020 + 100000) /* microseconds */

#define OK    APIKEY_VERDICT_OK
#define EPOCH APIKEY_VERDICT_EPOCH
#define AHEAD APIKEY_VERDICT_AHEAD
#define FORK  APIKEY_VERDICT_FORK
#define GONE  APIKEY_VERDICT_TRIMMED
#define OTHER APIKEY_VERDICT_OTHER

#define OPEN    APIKEY_PROOF_OPEN
#define PROVEN  APIKEY_PROOF_PROVEN
#define UNKNOWN APIKEY_PROOF_UNKNOWN

static apikey_proof_t proof;


static int
setup(void **state)
{
    (void) state;

    apikey_proof_begin(&proof, VERSION, ANSWER);

    return 0;
}


static int
teardown(void **state)
{
    (void) state;

    apikey_proof_free(&proof);

    return 0;
}


typedef struct {
    const char      *name;
    uint64_t         version;
    apikey_verdict_t verdict;
} edge_t;


/* An answer about the change, asked for at `asked`, with these edges (the last
   has no name). */
static int
judge(apikey_verdict_t verdict, uint64_t asked, const edge_t *edges)
{
    apikey_acks_t     acks = { 0 };
    apikey_ops_edge_t list[4] = { 0 };

    acks.verdict = verdict;
    acks.head = VERSION;
    acks.lease = LEASE;
    acks.time = 1700000000000 + asked / 1000;
    acks.edges.edge = list;

    for (; edges->name; edges++) {
        apikey_ops_edge_t *edge = &list[acks.edges.count++];

        snprintf(edge->name, sizeof(edge->name), "%s", edges->name);
        edge->version = edges->version;
        edge->verdict = edges->verdict;
        edge->at = 1700000000000;
    }

    return apikey_proof_judge(&proof, &acks, asked, asked + 100);
}

#define JUDGE(verdict, asked, ...) \
    judge(verdict, asked, (const edge_t[]){ __VA_ARGS__, { NULL, 0, 0 } })


/* One edge, one answer: version, its verdict, when, what follows. */
static void
test_one(void **state)
{
    size_t i;

    static const struct {
        const char      *what;
        uint64_t         version;
        apikey_verdict_t change, edge;
        uint64_t         asked;
        int              follows;
    } rows[] = {
        { "acknowledged", VERSION, OK, OK, ANSWER + 1, PROVEN },
        { "a later version", VERSION + 1, OK, OK, ANSWER + 1, PROVEN },
        { "one version short", VERSION - 1, OK, OK, ANSWER + 1, OPEN },
        { "an ack of a fork", VERSION, OK, FORK, ANSWER + 1, OPEN },
        { "of another epoch", VERSION, OK, EPOCH, ANSWER + 1, OPEN },
        { "of what is ahead", VERSION + 1, OK, AHEAD, ANSWER + 1, OPEN },
        { "of what was trimmed", VERSION, OK, GONE, ANSWER + 1, OPEN },
        { "a verdict of later", VERSION, OK, OTHER, ANSWER + 1, OPEN },
        { "at the bound", VERSION - 1, OK, OK, BOUND, OPEN },
        { "behind the bound", VERSION - 1, OK, OK, BOUND + 1, PROVEN },
        { "a fork's, behind it", VERSION, OK, FORK, BOUND + 1, PROVEN },
        { "change of a fork", VERSION, FORK, OK, ANSWER + 1, UNKNOWN },
        { "of another epoch", VERSION, EPOCH, OK, ANSWER + 1, UNKNOWN },
        { "beyond the head", VERSION, AHEAD, OK, ANSWER + 1, UNKNOWN },
        { "that is trimmed", VERSION, GONE, OK, ANSWER + 1, UNKNOWN },
        { "of a later verdict", VERSION, OTHER, OK, ANSWER + 1, UNKNOWN },
        { "time heals no fork", VERSION, FORK, OK, BOUND + 1, UNKNOWN },
    };

    (void) state;

    for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        apikey_proof_free(&proof);
        apikey_proof_begin(&proof, VERSION, ANSWER);

        print_message("# %s\n", rows[i].what);
        assert_int_equal(JUDGE(rows[i].change, rows[i].asked,
                               { "a", rows[i].version, rows[i].edge }),
                         rows[i].follows);
        assert_int_equal(proof.state, rows[i].follows);
    }
}


/* Nobody is registered: there is nobody to wait for. */
static void
test_none(void **state)
{
    static const edge_t none[] = { { NULL, 0, 0 } };

    (void) state;

    assert_int_equal(judge(OK, ANSWER + 1, none), PROVEN);
}


static void
test_each(void **state)
{
    (void) state;

    assert_int_equal(JUDGE(OK, ANSWER + 1000, { "a", VERSION, OK },
                           { "b", VERSION - 1, OK }),
                     OPEN);
    assert_int_equal(apikey_proof_count(&proof, APIKEY_ACK_GIVEN), 1);
    assert_int_equal(apikey_proof_count(&proof, APIKEY_ACK_WAITING), 1);
    assert_int_equal(proof.edge[0].us, 1100);

    assert_int_equal(JUDGE(OK, ANSWER + 2000, { "a", VERSION, OK },
                           { "b", VERSION + 2, OK }),
                     PROVEN);
    assert_int_equal(proof.edge[0].us, 1100);
    assert_int_equal(proof.edge[1].us, 2100);
}


/* One that was named is waited for, whatever became of its entry. */
static void
test_vanishes(void **state)
{
    (void) state;

    assert_int_equal(JUDGE(OK, ANSWER + 1000, { "a", VERSION, OK },
                           { "b", VERSION - 1, OK }),
                     OPEN);
    assert_int_equal(JUDGE(OK, ANSWER + 2000, { "a", VERSION, OK }), OPEN);
    assert_string_equal(proof.edge[1].name, "b");
    assert_int_equal(JUDGE(OK, BOUND + 1, { "a", VERSION, OK }), PROVEN);
    assert_int_equal(proof.edge[1].ack, APIKEY_ACK_EXPIRED);
}


/* One that comes only now is waited for, too. */
static void
test_appears(void **state)
{
    (void) state;

    assert_int_equal(JUDGE(OK, ANSWER + 1000, { "b", VERSION - 1, OK }), OPEN);
    assert_int_equal(JUDGE(OK, ANSWER + 2000, { "a", VERSION - 1, OK },
                           { "b", VERSION, OK }),
                     OPEN);
    assert_int_equal(
        JUDGE(OK, ANSWER + 3000, { "a", VERSION, OK }, { "b", VERSION, OK }),
        PROVEN);
}


/* Each answer stands for itself: what an edge has acknowledged before counts
   only as long as the store says so. */
static void
test_takes_back(void **state)
{
    (void) state;

    assert_int_equal(JUDGE(OK, ANSWER + 1000, { "a", VERSION, OK },
                           { "b", VERSION - 1, OK }),
                     OPEN);
    assert_int_equal(
        JUDGE(OK, ANSWER + 2000, { "a", VERSION, FORK }, { "b", VERSION, OK }),
        OPEN);
    assert_int_equal(apikey_proof_count(&proof, APIKEY_ACK_GIVEN), 1);
    assert_int_equal(
        JUDGE(OK, ANSWER + 3000, { "a", VERSION, OK }, { "b", VERSION, OK }),
        PROVEN);
}


/* Once the change was lost, no later answer makes it good. */
static void
test_final(void **state)
{
    (void) state;

    assert_int_equal(JUDGE(EPOCH, ANSWER + 1000, { "a", VERSION, OK }),
                     UNKNOWN);
    assert_int_equal(JUDGE(OK, BOUND + 1, { "a", VERSION, OK }), UNKNOWN);
}


static void
test_bound(void **state)
{
    (void) state;

    assert_int_equal(apikey_proof_bound(&proof), 0);
    assert_int_equal(JUDGE(OK, ANSWER + 1000, { "a", VERSION - 1, OK }), OPEN);
    assert_int_equal(apikey_proof_bound(&proof), BOUND);

    /* by the store's clock, rounded up: 1 ms after the answer it was asked,
       and read its clock then or later */
    assert_true(apikey_proof_safe(&proof) == 1700000000000 + BOUND / 1000 + 1);
}


/* How long a lease that an edge renewed may last, by the store's clock. */
static void
test_left(void **state)
{
    const apikey_ops_edge_t edge = { .at = 10000 };

    (void) state;

    assert_int_equal(apikey_edge_left(&edge, 10000, 1000), 1121);
    assert_int_equal(apikey_edge_left(&edge, 11120, 1000), 1);
    assert_int_equal(apikey_edge_left(&edge, 11121, 1000), 0);
    assert_int_equal(apikey_edge_left(&edge, 9000, 1000), 2121);
}


int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_one, setup, teardown),
        cmocka_unit_test_setup_teardown(test_none, setup, teardown),
        cmocka_unit_test_setup_teardown(test_each, setup, teardown),
        cmocka_unit_test_setup_teardown(test_vanishes, setup, teardown),
        cmocka_unit_test_setup_teardown(test_appears, setup, teardown),
        cmocka_unit_test_setup_teardown(test_takes_back, setup, teardown),
        cmocka_unit_test_setup_teardown(test_final, setup, teardown),
        cmocka_unit_test_setup_teardown(test_bound, setup, teardown),
        cmocka_unit_test(test_left),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);

    return cmocka_run_group_tests_name("proof", tests, NULL, NULL);
}
