/*
 * Copyright (C) 2026 the ngx_http_apikey_module authors
 *
 * --wait and its receipt; see receipt.h.
 */

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "admin/ops_time.h"
#include "fail.h"
#include "json.h"
#include "options.h"
#include "output.h"
#include "progress.h"
#include "receipt.h"
#include "stop.h"
#include "table.h"

#define WAIT_MAX    86400000 /* milliseconds */
#define NAMES_SHOWN 5


static void
receipt_progress(ctl_progress_t *progress, const apikey_wait_t *wait);
static void receipt_edges(const apikey_proof_t *proof);
static void receipt_when(char *text, size_t size, const apikey_proof_t *proof,
                         const apikey_proof_edge_t *edge);
static json_t *receipt_edge_json(const apikey_proof_t      *proof,
                                 const apikey_proof_edge_t *edge);
static void
receipt_missing(char *text, size_t size, const ctl_receipt_t *receipt);
static const char *receipt_word(const ctl_receipt_t *receipt);


static const char *const ack_names[] = { "waiting", "acknowledged",
                                         "expired" };


int
ctl_wait_options(ctl_t *ctl)
{
    if (!ctl->wait) {
        return 0;
    }

    ctl->wait_ms = 0;
    ctl->replicas_count = 0;

    if (ctl->wait_time
        && (apikey_duration_parse(ctl->wait_time, &ctl->wait_ms) == -1
            || ctl->wait_ms == 0 || ctl->wait_ms > WAIT_MAX))
    {
        return ctl_usage(ctl, "--wait must be a time with a unit, as in "
                              "500ms or 10s, and at most 1d");
    }

    if (ctl->replicas == NULL) {
        return 0;
    }

    if (strcmp(ctl->replicas, "0") == 0) {
        return 0;
    }

    if (ctl_count(ctl, "replicas", ctl->replicas, &ctl->replicas_count) == -1)
    {
        return -1;
    }

    return ctl->replicas_count <= APIKEY_REPLICAS_MAX
               ? 0
               : ctl_usage(ctl, "--replicas must be 0 to %d",
                           APIKEY_REPLICAS_MAX);
}


void
ctl_receipt_wait(ctl_t *ctl, const apikey_ops_change_t *change, size_t count,
                 ctl_receipt_t *receipt)
{
    ctl_progress_t       progress;
    apikey_proof_state_t state;

    memset(receipt, 0, sizeof(*receipt));

    ctl_stop_catch();
    ctl_progress_begin(ctl, &progress);

    apikey_wait_begin(&receipt->wait, &ctl->ops, change, count,
                      (unsigned) ctl->replicas_count, ctl->wait_ms);

    for (;;) {
        state = apikey_wait_step(&receipt->wait);

        if (state != APIKEY_PROOF_OPEN) {
            break;
        }

        receipt->stopped = ctl_stopped();

        if (receipt->stopped || apikey_wait_over(&receipt->wait)) {
            state = apikey_wait_end(&receipt->wait);
            break;
        }

        if (ctl_progress_due(&progress)) {
            receipt_progress(&progress, &receipt->wait);
        }

        apikey_wait_pause(&receipt->wait);
    }

    receipt->state = state;
    receipt->waited = apikey_boottime() - change[count - 1].answered;

    ctl_progress_end(&progress);
}


void
ctl_receipt_unknown(ctl_t *ctl, const apikey_ops_change_t *change,
                    size_t count, const char *why, ctl_receipt_t *receipt)
{
    memset(receipt, 0, sizeof(*receipt));

    apikey_wait_begin(&receipt->wait, &ctl->ops, change, count,
                      (unsigned) ctl->replicas_count, ctl->wait_ms);

    receipt->state = APIKEY_PROOF_UNKNOWN;
    snprintf(receipt->wait.why, sizeof(receipt->wait.why), "%s", why);
}


void
ctl_receipt_free(ctl_receipt_t *receipt)
{
    apikey_wait_free(&receipt->wait);
}


static void
receipt_progress(ctl_progress_t *progress, const apikey_wait_t *wait)
{
    size_t                i;
    uint64_t              now, bound;
    const apikey_proof_t *proof = &wait->proof;

    now = apikey_boottime();
    bound = apikey_proof_bound(proof);

    if (wait->away) {
        ctl_progress_show(progress, "the change is made; waiting: %s",
                          wait->why);
        return;
    }

    for (i = 0; i < proof->count; i++) {
        if (proof->edge[i].ack == APIKEY_ACK_WAITING) {
            ctl_progress_show(
                progress,
                "the change is made; waiting for %s%s: %.1f s at most",
                proof->edge[i].name,
                apikey_proof_count(proof, APIKEY_ACK_WAITING) > 1
                    ? " and others"
                    : "",
                bound > now ? (double) (bound - now) / 1e6 : 0.0);
            return;
        }
    }

    ctl_progress_show(progress,
                      "the change is made; waiting for replicas: %u of %u",
                      wait->replicas_have, wait->replicas);
}


void
ctl_receipt_head(const ctl_receipt_t *receipt)
{
    double      ms = (double) receipt->waited / 1e3;
    const char *colour = receipt->state == APIKEY_PROOF_PROVEN ? CTL_GREEN
                         : receipt->state == APIKEY_PROOF_OPEN ? CTL_YELLOW
                                                               : CTL_RED;

    ctl_colour(colour);
    fputs(receipt_word(receipt), stdout);
    ctl_colour_end(colour);

    switch (receipt->state) {
    case APIKEY_PROOF_PROVEN:
        printf(" after %.2f ms\n", ms);
        break;

    case APIKEY_PROOF_OPEN:
        printf(" within %.0f ms\n", ms);
        break;

    default:
        fputs(": ", stdout);
        ctl_put(stdout, receipt->wait.why);
        putchar('\n');
    }
}


void
ctl_receipt_change(const char *subject, const apikey_ops_change_t *change,
                   int first)
{
    ctl_field(first ? "Change" : "", "%s, version %" PRIu64, subject,
              change->version);
}


void
ctl_receipt_show(const ctl_t *ctl, const ctl_receipt_t *receipt)
{
    const apikey_wait_t  *wait = &receipt->wait;
    const apikey_proof_t *proof = &wait->proof;

    ctl_field("Actor", "%s", ctl->ops.actor);

    if (ctl->ops.reason[0]) {
        ctl_field("Reason", "%s", ctl->ops.reason);
    }

    ctl_field("Epoch", "%s", wait->change[wait->count - 1].epoch);

    if (wait->replicas) {
        ctl_field("Replicas", "%u of %u have it", wait->replicas_have,
                  wait->replicas);
    }

    if (proof->lease == 0) {
        ctl_field("Edges", "not known");
        return;
    }

    if (proof->count == 0) {
        ctl_field("Edges", "none is registered");
        return;
    }

    putchar('\n');
    receipt_edges(proof);
}


static void
receipt_edges(const apikey_proof_t *proof)
{
    char        text[128];
    size_t      i;
    ctl_table_t table;

    static const char *const heads[] = { "EDGE", "STATE", "WHEN" };

    ctl_table_begin(&table, 3, heads);

    for (i = 0; i < proof->count; i++) {
        const apikey_proof_edge_t *edge = &proof->edge[i];

        receipt_when(text, sizeof(text), proof, edge);

        ctl_table_cell(&table, NULL, edge->name);
        ctl_table_cell(
            &table, edge->ack == APIKEY_ACK_WAITING ? CTL_YELLOW : CTL_GREEN,
            ack_names[edge->ack]);
        ctl_table_cell(&table, NULL, text);
    }

    if (ctl_table_end(&table, 1) == -1) {
        fputs("(out of memory: edges are missing)\n", stdout);
    }
}


static void
receipt_when(char *text, size_t size, const apikey_proof_t *proof,
             const apikey_proof_edge_t *edge)
{
    char silent[APIKEY_TIME_SIZE], safe[APIKEY_TIME_SIZE];

    if (edge->ack == APIKEY_ACK_GIVEN) {
        snprintf(text, size, "%.2f ms", (double) edge->us / 1e3);
        return;
    }

    apikey_time_show_ms(silent, edge->at);
    apikey_time_show_ms(safe, apikey_proof_safe(proof));

    snprintf(text, size, "silent since %s, safe %s %s", silent,
             edge->ack == APIKEY_ACK_EXPIRED ? "since" : "by", safe);
}


json_t *
ctl_receipt_json(const ctl_t *ctl, const ctl_receipt_t *receipt)
{
    size_t                i;
    json_t               *edges;
    const apikey_wait_t  *wait = &receipt->wait;
    const apikey_proof_t *proof = &wait->proof;

    edges = json_array();

    for (i = 0; i < proof->count; i++) {
        json_array_append_new(edges,
                              receipt_edge_json(proof, &proof->edge[i]));
    }

    return json_pack(
        "{s:s,s:o?,s:o,s:o,s:s,s:I,s:o?,s:f,s:{s:i,s:i},s:o}", "proof",
        receipt_word(receipt), "why",
        receipt->state == APIKEY_PROOF_UNKNOWN ? ctl_json_text(wait->why)
                                               : NULL,
        "actor", ctl_json_text(ctl->ops.actor), "reason",
        ctl_json_text(ctl->ops.reason), "epoch",
        wait->change[wait->count - 1].epoch, "version",
        (json_int_t) proof->version, "lease_ms",
        proof->lease ? json_integer((json_int_t) proof->lease) : NULL,
        "waited_ms", (double) receipt->waited / 1e3, "replicas", "wanted",
        (int) wait->replicas, "have", (int) wait->replicas_have, "edges",
        edges);
}


static json_t *
receipt_edge_json(const apikey_proof_t *proof, const apikey_proof_edge_t *edge)
{
    int given = edge->ack == APIKEY_ACK_GIVEN;

    return json_pack("{s:o,s:s,s:o?,s:I,s:o?,s:o?}", "name",
                     ctl_json_text(edge->name), "state", ack_names[edge->ack],
                     "ms", given ? json_real((double) edge->us / 1e3) : NULL,
                     "version", (json_int_t) edge->version, "renewed",
                     edge->at ? ctl_json_time(edge->at) : NULL, "safe",
                     given ? NULL : ctl_json_time(apikey_proof_safe(proof)));
}


static const char *
receipt_word(const ctl_receipt_t *receipt)
{
    switch (receipt->state) {
    case APIKEY_PROOF_PROVEN:
        return "proven";

    case APIKEY_PROOF_OPEN:
        return "not proven";

    default:
        return "unknown";
    }
}


int
ctl_receipt_exit(ctl_t *ctl, const ctl_receipt_t *receipt)
{
    char missing[APIKEY_OPS_TEXT_MAX], hint[128], safe[APIKEY_TIME_SIZE];

    if (receipt->state == APIKEY_PROOF_PROVEN) {
        return CTL_DONE;
    }

    if (receipt->state == APIKEY_PROOF_UNKNOWN) {
        return ctl_fail(ctl, CTL_UNKNOWN, "",
                        "the change was accepted; look: apikeyctl log, "
                        "apikeyctl edges",
                        "unknown: %s", receipt->wait.why);
    }

    receipt_missing(missing, sizeof(missing), receipt);

    apikey_time_show_ms(safe, apikey_proof_safe(&receipt->wait.proof));
    snprintf(hint, sizeof(hint),
             "the change was made; the leases from before it have run out by "
             "%s",
             safe);

    return ctl_fail(ctl, CTL_UNPROVEN, "", hint, "not proven %s %.0f ms: %s",
                    receipt->stopped ? "when it was stopped after" : "within",
                    (double) receipt->waited / 1e3, missing);
}


int
ctl_receipt_one(ctl_t *ctl, const char *subject, const char *done,
                const apikey_ops_change_t *change, json_t *json)
{
    int           code = CTL_DONE;
    char          text[512];
    ctl_receipt_t receipt = { 0 };

    if (ctl->wait) {
        ctl_receipt_wait(ctl, change, 1, &receipt);
        code = ctl_receipt_exit(ctl, &receipt);
    }

    if (ctl->json) {
        if (ctl->wait) {
            json_object_set_new(json, "receipt",
                                ctl_receipt_json(ctl, &receipt));
        }

        ctl_json(json);

    } else {
        json_decref(json);

        if (ctl->wait && !ctl->quiet) {
            snprintf(text, sizeof(text), "%s %s", subject, done);

            ctl_receipt_head(&receipt);
            ctl_receipt_change(text, change, 1);
            ctl_receipt_show(ctl, &receipt);

        } else if (!ctl->quiet) {
            ctl_put(stdout, subject);
            printf("  %s  version %" PRIu64 "\n", done, change->version);
        }
    }

    ctl_receipt_free(&receipt);

    return code;
}


/* Who or what the proof lacks. */
static void
receipt_missing(char *text, size_t size, const ctl_receipt_t *receipt)
{
    size_t                i, len = 0, named = 0, waiting;
    const apikey_wait_t  *wait = &receipt->wait;
    const apikey_proof_t *proof = &wait->proof;

    waiting = apikey_proof_count(proof, APIKEY_ACK_WAITING);

    if (waiting == 0) {
        snprintf(text, size, "%u of %u replicas have it", wait->replicas_have,
                 wait->replicas);
        return;
    }

    text[0] = '\0';

    for (i = 0; i < proof->count && named < NAMES_SHOWN; i++) {
        if (proof->edge[i].ack == APIKEY_ACK_WAITING) {
            len += (size_t) snprintf(text + len, size - len, "%s%s",
                                     named++ ? ", " : "", proof->edge[i].name);
        }
    }

    if (waiting > named) {
        len += (size_t) snprintf(text + len, size - len, " and %zu more",
                                 waiting - named);
    }

    snprintf(text + len, size - len, " ha%s not acknowledged",
             waiting == 1 ? "s" : "ve");
}
