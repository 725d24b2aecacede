/*
 * Copyright (C) 2026 the ngx_http_apikey_module authors
 *
 * What the figures of the control page are called.
 */

#include "figure.h"

#define CAUSE "cause_"

static const char *const figures[APIKEY_FIGURE_COUNT] = {
    [APIKEY_FIGURE_PID] = "pid",
    [APIKEY_FIGURE_STARTED] = "started",
    [APIKEY_FIGURE_STATE] = "state",
    [APIKEY_FIGURE_VERSION] = "version",
    [APIKEY_FIGURE_LEASE] = "lease",
    [APIKEY_FIGURE_RENEWED] = "renewed",
    [APIKEY_FIGURE_APPLIED] = "applied",
    [APIKEY_FIGURE_CATCHUPS] = "catchups",
    [APIKEY_FIGURE_SNAPSHOTS] = "snapshots",
    [APIKEY_FIGURE_GROWTHS] = "growths",
    [APIKEY_FIGURE_RECONNECTS] = "reconnects",
    [APIKEY_FIGURE_CONFLICTS] = "conflicts",
    [APIKEY_FIGURE_FORGOTTEN] = "forgotten",
    [APIKEY_FIGURE_ERRORS] = "errors",
    [APIKEY_FIGURE_CANARY_COUNT] = "canary_count",
    [APIKEY_FIGURE_CANARY_P50] = "canary_p50",
    [APIKEY_FIGURE_CANARY_P99] = "canary_p99",
    [APIKEY_FIGURE_CANARY_MAX] = "canary_max",
    [APIKEY_FIGURE_KEPT] = "kept",
    [APIKEY_FIGURE_KEEP_ERRORS] = "keep_errors",
};

static const char *const causes[APIKEY_CAUSE_COUNT] = {
    [APIKEY_CAUSE_LOST] = CAUSE "lost",
    [APIKEY_CAUSE_DUPLICATED] = CAUSE "duplicated",
    [APIKEY_CAUSE_REORDERED] = CAUSE "reordered",
    [APIKEY_CAUSE_START] = CAUSE "start",
    [APIKEY_CAUSE_TRIMMED] = CAUSE "trimmed",
    [APIKEY_CAUSE_FORK] = CAUSE "fork",
    [APIKEY_CAUSE_AHEAD] = CAUSE "ahead",
    [APIKEY_CAUSE_EPOCH] = CAUSE "epoch",
    [APIKEY_CAUSE_UNREADABLE] = CAUSE "unreadable",
    [APIKEY_CAUSE_TABLE] = CAUSE "table",
    [APIKEY_CAUSE_ROOM] = CAUSE "room",
    [APIKEY_CAUSE_LINK] = CAUSE "link",
    [APIKEY_CAUSE_EMPTIED] = CAUSE "emptied",
    [APIKEY_CAUSE_NOINIT] = CAUSE "noinit",
    [APIKEY_CAUSE_LOADING] = CAUSE "loading",
    [APIKEY_CAUSE_READONLY] = CAUSE "readonly",
    [APIKEY_CAUSE_MISCONF] = CAUSE "misconf",
    [APIKEY_CAUSE_OOM] = CAUSE "oom",
    [APIKEY_CAUSE_NOREPLICAS] = CAUSE "noreplicas",
    [APIKEY_CAUSE_BUSY] = CAUSE "busy",
    [APIKEY_CAUSE_NOPERM] = CAUSE "noperm",
    [APIKEY_CAUSE_NOLIBRARY] = CAUSE "nolibrary",
    [APIKEY_CAUSE_AUTH] = CAUSE "auth",
    [APIKEY_CAUSE_NAME] = CAUSE "name",
    [APIKEY_CAUSE_REFUSED] = CAUSE "refused",
    [APIKEY_CAUSE_RESET] = CAUSE "reset",
    [APIKEY_CAUSE_SILENT] = CAUSE "silent",
    [APIKEY_CAUSE_UNREACHABLE] = CAUSE "unreachable",
    [APIKEY_CAUSE_UNRESOLVED] = CAUSE "unresolved",
    [APIKEY_CAUSE_PROTOCOL] = CAUSE "protocol",
    [APIKEY_CAUSE_SERVER] = CAUSE "server",
    [APIKEY_CAUSE_SYSTEM] = CAUSE "system",
    [APIKEY_CAUSE_CANARY] = CAUSE "canary",
};


static const char *const states[] = {
    [APIKEY_SYNC_CONNECT] = "connect",  [APIKEY_SYNC_SNAPSHOT] = "snapshot",
    [APIKEY_SYNC_CATCHUP] = "catch-up", [APIKEY_SYNC_FOLLOW] = "follow",
    [APIKEY_SYNC_FROZEN] = "frozen",
};


const char *
apikey_state_name(uint64_t state)
{
    return state < sizeof(states) / sizeof(states[0]) ? states[state] : "";
}


const char *
apikey_figure_name(apikey_figure_t figure)
{
    if (figure >= APIKEY_FIGURE_CAUSE && figure <= APIKEY_FIGURE_CAUSE_LAST) {
        return causes[figure - APIKEY_FIGURE_CAUSE];
    }

    return figure < APIKEY_FIGURE_COUNT ? figures[figure] : "";
}


const char *
apikey_cause_name(apikey_cause_t cause)
{
    return cause < APIKEY_CAUSE_COUNT ? causes[cause] + sizeof(CAUSE) - 1
                                      : "none";
}
