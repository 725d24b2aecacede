/*
 * Copyright (C) 2026 the ngx_http_apikey_module authors
 *
 * apikeyctl table: looks into the table on this machine, as nginx does, and at
 * what the daemon tells of itself there.  Needs no store, and writes nothing.
 */

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "fail.h"
#include "json.h"
#include "options.h"
#include "output.h"
#include "table.h"
#include "table/figure.h"
#include "table/read.h"

#define INSPECT_DIRECTORY "/run/apikey"

typedef enum {
    INSPECT_LIVE = 0,
    INSPECT_STALE,
    INSPECT_ABSENT
} inspect_t;

typedef struct {
    const char    *directory;
    apikey_table_t table;
    inspect_t      state;
    int64_t        left; /* microseconds of the lease; negative: over */
    int            leased;
    uint64_t       figure[APIKEY_FIGURE_COUNT];
} inspected_t;

static const char *const state_names[] = { "live", "stale", "absent" };
static const char *const state_texts[] = {
    "nginx decides by this table",
    "its lease has run out: nginx answers 503",
    "there are no keys yet: nginx answers 503",
};
static const char *const state_colours[] = { CTL_GREEN, CTL_RED, CTL_RED };


static int     inspect_look(ctl_t *ctl, inspected_t *seen);
static int     inspect_print(ctl_t *ctl, const inspected_t *seen);
static void    inspect_keys(const inspected_t *seen);
static void    inspect_canary(const inspected_t *seen);
static int     inspect_counts(const inspected_t *seen);
static json_t *inspect_json(const inspected_t *seen);


int
ctl_inspect(ctl_t *ctl, int argc, char **argv)
{
    int         operands, code;
    inspected_t seen = { 0 };

    operands = ctl_options(ctl, argc, argv, NULL, 0);

    if (operands == -1) {
        return ctl->exit;
    }

    if (operands > 1) {
        ctl_usage(ctl, "a table is one directory");
        return ctl->exit;
    }

    seen.directory = operands ? argv[0] : INSPECT_DIRECTORY;

    code = inspect_look(ctl, &seen);

    if (code != CTL_DONE) {
        return code;
    }

    if (ctl->json) {
        ctl_json(inspect_json(&seen));

    } else if (!ctl->quiet && inspect_print(ctl, &seen) == -1) {
        code = ctl_fail(ctl, CTL_LOCAL, "", NULL, "out of memory");
    }

    if (code == CTL_DONE && seen.state != INSPECT_LIVE) {
        code = CTL_WRONG;
    }

    apikey_table_detach(&seen.table);

    return code;
}


static int
inspect_look(ctl_t *ctl, inspected_t *seen)
{
    size_t               i;
    uint64_t             deadline;
    apikey_table_error_t error = APIKEY_TABLE_OK;

    if (apikey_table_init(&seen->table, seen->directory) == -1) {
        ctl_usage(ctl, "the directory's path is too long");
        return ctl->exit;
    }

    /* without a generation the page still tells why there is none */
    if (apikey_table_attach(&seen->table) != APIKEY_TABLE_OK) {
        error = apikey_table_attach_control(&seen->table);
    }

    if (error != APIKEY_TABLE_OK) {
        return ctl_fail(ctl, CTL_LOCAL, "", NULL, "the table in %s: %s",
                        seen->directory, apikey_table_strerror(error));
    }

    for (i = 0; i < APIKEY_FIGURE_COUNT; i++) {
        seen->figure[i] = atomic_load_explicit(&seen->table.control->figure[i],
                                               memory_order_relaxed);
    }

    seen->leased = apikey_unseal(seen->table.control->deadline, &deadline)
                   && deadline != 0;

    if (seen->leased) {
        seen->left = (int64_t) deadline - (int64_t) apikey_boottime();
    }

    seen->state = seen->table.generation == NULL   ? INSPECT_ABSENT
                  : seen->leased && seen->left > 0 ? INSPECT_LIVE
                                                   : INSPECT_STALE;

    return CTL_DONE;
}


/* 0, or -1 if there was no memory for all of it. */
static int
inspect_print(ctl_t *ctl, const inspected_t *seen)
{
    const uint64_t *figure = seen->figure;

    (void) ctl;

    ctl_colour(state_colours[seen->state]);
    fputs(state_names[seen->state], stdout);
    ctl_colour_end(state_colours[seen->state]);
    printf(": %s\n", state_texts[seen->state]);

    ctl_field("Directory", "%s", seen->directory);

    if (figure[APIKEY_FIGURE_PID] != 0) {
        ctl_field("Daemon", "process %" PRIu64 ", %s",
                  figure[APIKEY_FIGURE_PID],
                  apikey_state_name(figure[APIKEY_FIGURE_STATE]));
    } else {
        ctl_field("Daemon", "stopped");
    }

    ctl_field_time("Started", figure[APIKEY_FIGURE_STARTED] * 1000);
    inspect_keys(seen);
    ctl_field("Version", "%" PRIu64, figure[APIKEY_FIGURE_VERSION]);

    if (!seen->leased) {
        ctl_field("Lease", "none");
    } else {
        ctl_field("Lease", "%" PRIu64 " ms, %s %" PRId64 " ms",
                  figure[APIKEY_FIGURE_LEASE],
                  seen->left > 0 ? "left" : "over since",
                  (seen->left > 0 ? seen->left : -seen->left) / 1000);
    }

    inspect_canary(seen);

    return inspect_counts(seen);
}


static void
inspect_keys(const inspected_t *seen)
{
    const apikey_generation_t *generation = seen->table.generation;

    if (generation == NULL) {
        return;
    }

    ctl_field("Keys",
              "%" PRIu64 " enabled, %" PRIu64 " disabled, %" PRIu64 " revoked",
              generation->enabled, generation->disabled, generation->revoked);
    ctl_field("Generation", "%" PRIu64 ", with room for %" PRIu64 " slots",
              generation->generation, seen->table.slots);
}


static int
has_canary(const inspected_t *seen)
{
    return seen->figure[APIKEY_FIGURE_CANARY_COUNT] != 0
           || seen->figure[APIKEY_FIGURE_CAUSE + APIKEY_CAUSE_CANARY] != 0;
}


static void
inspect_canary(const inspected_t *seen)
{
    const uint64_t *figure = seen->figure;

    if (has_canary(seen)) {
        ctl_field("Canary",
                  "refused after %.3f ms (p50), %.3f ms (p99), %.3f ms at "
                  "most; %" PRIu64 " samples, %" PRIu64 " failures",
                  (double) figure[APIKEY_FIGURE_CANARY_P50] / 1000,
                  (double) figure[APIKEY_FIGURE_CANARY_P99] / 1000,
                  (double) figure[APIKEY_FIGURE_CANARY_MAX] / 1000,
                  figure[APIKEY_FIGURE_CANARY_COUNT],
                  figure[APIKEY_FIGURE_CAUSE + APIKEY_CAUSE_CANARY]);
    }
}


/* What happened since the daemon's start, but for what never did. */
static int
inspect_counts(const inspected_t *seen)
{
    char        number[24];
    size_t      i;
    ctl_table_t table;

    static const char *const heads[] = { "SINCE THE START", "COUNT" };

    ctl_table_begin(&table, 2, heads);

    for (i = APIKEY_FIGURE_APPLIED; i <= APIKEY_FIGURE_CAUSE_LAST; i++) {
        if (seen->figure[i] != 0) {
            snprintf(number, sizeof(number), "%" PRIu64, seen->figure[i]);
            ctl_table_cell(&table, NULL,
                           apikey_figure_name((apikey_figure_t) i));
            ctl_table_cell(&table, NULL, number);
        }
    }

    putchar('\n');

    return ctl_table_end(&table, 1);
}


static json_t *
inspect_numbers(const inspected_t *seen, size_t first, size_t last,
                const char *prefix)
{
    size_t  i;
    json_t *numbers = json_object();

    for (i = first; i <= last; i++) {
        json_object_set_new(
            numbers, apikey_figure_name((apikey_figure_t) i) + strlen(prefix),
            json_integer((json_int_t) seen->figure[i]));
    }

    return numbers;
}


static json_t *
inspect_json(const inspected_t *seen)
{
    json_t                    *generation = json_null(), *canary = json_null();
    const uint64_t            *figure = seen->figure;
    const apikey_generation_t *head = seen->table.generation;

    if (head != NULL) {
        generation = json_pack("{s:I,s:I,s:I,s:I,s:I}", "number",
                               (json_int_t) head->generation, "slots",
                               (json_int_t) seen->table.slots, "enabled",
                               (json_int_t) head->enabled, "disabled",
                               (json_int_t) head->disabled, "revoked",
                               (json_int_t) head->revoked);
    }

    if (has_canary(seen)) {
        canary = json_pack(
            "{s:I,s:I,s:I,s:I,s:I}", "count",
            (json_int_t) figure[APIKEY_FIGURE_CANARY_COUNT], "failures",
            (json_int_t) figure[APIKEY_FIGURE_CAUSE + APIKEY_CAUSE_CANARY],
            "p50_us", (json_int_t) figure[APIKEY_FIGURE_CANARY_P50], "p99_us",
            (json_int_t) figure[APIKEY_FIGURE_CANARY_P99], "max_us",
            (json_int_t) figure[APIKEY_FIGURE_CANARY_MAX]);
    }

    return json_pack(
        "{s:o,s:s,s:s,s:o,s:o,s:o,s:o,s:o}", "directory",
        ctl_json_text(seen->directory), "table", state_names[seen->state],
        "daemon", apikey_state_name(figure[APIKEY_FIGURE_STATE]),
        "lease_left_ms",
        seen->leased ? json_integer(seen->left / 1000) : json_null(),
        "generation", generation, "figures",
        inspect_numbers(seen, 0, APIKEY_FIGURE_CAUSE - 1, ""), "causes",
        inspect_numbers(seen, APIKEY_FIGURE_CAUSE, APIKEY_FIGURE_CAUSE_LAST,
                        "cause_"),
        "canary", canary);
}
