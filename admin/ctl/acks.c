/*
 * Copyright (C) 2026 the ngx_http_apikey_module authors
 *
 * When each edge has acknowledged a change; see acks.h.
 */

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "acks.h"
#include "json.h"
#include "output.h"

#define EXPECTED_MAX 10000  /* then the oldest is shown as it stands */
#define SOON         100000 /* microseconds: a change is new for so long */
#define FAR          100000 /* microseconds between questions after that */


static void    acks_show(const ctl_t *ctl, const ctl_expected_t *expected);
static void    acks_show_edge(const ctl_expected_t      *expected,
                              const apikey_proof_edge_t *edge);
static json_t *acks_json(const ctl_expected_t *expected);
static int64_t
acks_ms(const ctl_expected_t *expected, const apikey_proof_edge_t *edge);
static void acks_drop(ctl_acks_t *acks, size_t i);


void
ctl_acks_begin(ctl_acks_t *acks, int wanted)
{
    memset(acks, 0, sizeof(*acks));
    acks->wanted = wanted;
}


void
ctl_acks_end(ctl_acks_t *acks)
{
    while (acks->count) {
        acks_drop(acks, acks->count - 1);
    }

    free(acks->expected);
    acks->expected = NULL;
}


void
ctl_acks_expect(ctl_t *ctl, ctl_acks_t *acks, const char *epoch,
                const ctl_entry_t *entry)
{
    ctl_expected_t *expected;

    if (!acks->wanted) {
        return;
    }

    if (acks->count == EXPECTED_MAX) {
        acks_show(ctl, &acks->expected[0]);
        acks_drop(acks, 0);
    }

    if (acks->count == acks->room) {
        expected = realloc(acks->expected,
                           (acks->room + 64) * sizeof(*acks->expected));
        if (expected == NULL) {
            return;
        }

        acks->expected = expected;
        acks->room += 64;
    }

    expected = &acks->expected[acks->count++];
    memset(expected, 0, sizeof(*expected));

    snprintf(expected->change.epoch, sizeof(expected->change.epoch), "%s",
             epoch);
    snprintf(expected->change.chain, sizeof(expected->change.chain), "%s",
             entry->entry->chain);
    expected->change.head = entry->entry->version;
    expected->change.at = ctl_entry_at(entry);
    expected->change.answered = apikey_boottime();

    apikey_proof_begin(&expected->proof, expected->change.head,
                       expected->change.answered);

    acks->next = 0;
}


int
ctl_acks_waiting(const ctl_acks_t *acks)
{
    return acks->count
           && apikey_boottime()
                      - acks->expected[acks->count - 1].change.answered
                  < SOON;
}


/* One answer is about all of them: the newest one's chain has the others in
   it. */
void
ctl_acks_look(ctl_t *ctl, ctl_acks_t *acks)
{
    int           rc;
    size_t        i;
    uint64_t      asked = apikey_boottime();
    apikey_acks_t answer;

    if (acks->count == 0 || asked < acks->next) {
        return;
    }

    acks->next = asked + (ctl_acks_waiting(acks) ? 0 : FAR);

    /* a store that is away is the follower's to tell */
    rc = apikey_ops_acks(&ctl->ops, &acks->expected[acks->count - 1].change,
                         &answer);

    for (i = 0; rc == 0 && i < acks->count;) {
        if (apikey_proof_judge(&acks->expected[i].proof, &answer, asked,
                               apikey_boottime())
            == APIKEY_PROOF_OPEN)
        {
            i++;
            continue;
        }

        acks_show(ctl, &acks->expected[i]);
        acks_drop(acks, i);
    }

    apikey_acks_free(&answer);
}


static void
acks_drop(ctl_acks_t *acks, size_t i)
{
    apikey_proof_free(&acks->expected[i].proof);

    acks->count--;
    memmove(&acks->expected[i], &acks->expected[i + 1],
            (acks->count - i) * sizeof(*acks->expected));
}


static void
acks_show(const ctl_t *ctl, const ctl_expected_t *expected)
{
    size_t                i;
    const apikey_proof_t *proof = &expected->proof;

    if (ctl->json) {
        ctl_json_line(acks_json(expected));
        return;
    }

    printf("%" PRIu64 "  ", expected->change.head);

    if (proof->state == APIKEY_PROOF_UNKNOWN) {
        printf("unknown: no part of the history any more (%s)\n",
               apikey_verdict_name(proof->verdict));
        return;
    }

    fputs(proof->count ? "" : "no edge is registered", stdout);

    for (i = 0; i < proof->count; i++) {
        fputs(i ? ", " : "", stdout);
        acks_show_edge(expected, &proof->edge[i]);
    }

    putchar('\n');
}


static void
acks_show_edge(const ctl_expected_t *expected, const apikey_proof_edge_t *edge)
{
    ctl_put(stdout, edge->name);

    switch (edge->ack) {
    case APIKEY_ACK_GIVEN:
        printf(" %" PRId64 " ms", acks_ms(expected, edge));
        break;

    case APIKEY_ACK_EXPIRED:
        fputs(" silent", stdout);
        break;

    default:
        fputs(" waiting", stdout);
    }
}


static json_t *
acks_json(const ctl_expected_t *expected)
{
    size_t                i;
    json_t               *edges;
    const apikey_proof_t *proof = &expected->proof;

    static const char *const states[] = { "waiting", "acknowledged",
                                          "expired" };

    edges = json_array();

    for (i = 0; i < proof->count; i++) {
        const apikey_proof_edge_t *edge = &proof->edge[i];

        json_array_append_new(
            edges,
            json_pack("{s:o,s:s,s:o?}", "name", ctl_json_text(edge->name),
                      "state", states[edge->ack], "ms",
                      edge->ack == APIKEY_ACK_GIVEN
                          ? json_integer(acks_ms(expected, edge))
                          : NULL));
    }

    return json_pack("{s:{s:I,s:s,s:o}}", "acks", "version",
                     (json_int_t) expected->change.head, "verdict",
                     apikey_verdict_name(proof->verdict), "edges", edges);
}


/* From the change to the renewal that acknowledged it; the store's clock may
   have been set back in between. */
static int64_t
acks_ms(const ctl_expected_t *expected, const apikey_proof_edge_t *edge)
{
    return edge->given > expected->change.at
               ? (int64_t) (edge->given - expected->change.at)
               : 0;
}
