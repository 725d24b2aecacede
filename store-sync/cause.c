/*
 * Copyright (C) 2026 the ngx_http_apikey_module authors
 *
 * The table of causes.  docs/operations.md has the same rows for whoever was
 * woken by one.
 */

#include "cause.h"

#include "state.h"

#include <stdio.h>
#include <string.h>

typedef struct {
    apikey_log_level_t level;
    const char        *why;
    const char        *advice; /* NULL: there is nothing to do */
} cause_t;

static const cause_t causes[APIKEY_CAUSE_COUNT] = {
    [APIKEY_CAUSE_LOST] = { APIKEY_LOG_NOTICE,
                            "a message of the channel did not come; the log had the change",
                            "if it goes on: see the server's client-output-buffer-limit, and the "
                            "network between" },
    [APIKEY_CAUSE_DUPLICATED] = { APIKEY_LOG_NOTICE,
                                  "a message of the channel came twice",
                                  "nobody but the function library may publish on the channel" },
    [APIKEY_CAUSE_REORDERED] = { APIKEY_LOG_NOTICE,
                                 "a message of the channel came after one of a later change",
                                 "nobody but the function library may publish on the channel" },

    [APIKEY_CAUSE_START] = { APIKEY_LOG_NOTICE, "the daemon was started",
                             NULL },
    [APIKEY_CAUSE_TRIMMED] = { APIKEY_LOG_WARNING,
                               "this edge was away for longer than the store's log reaches back",
                               NULL },
    [APIKEY_CAUSE_FORK] = { APIKEY_LOG_WARNING,
                            "the store has other changes under versions that this edge knows",
                            "a failover, a restore or somebody's hand lost or changed writes: find "
                            "out which, and revoke again what was revoked since" },
    [APIKEY_CAUSE_AHEAD] = { APIKEY_LOG_WARNING,
                             "the store's head is lower than what this edge has applied",
                             "a failover or a restore lost writes: revoke again what was revoked "
                             "since" },
    [APIKEY_CAUSE_EPOCH] = { APIKEY_LOG_WARNING,
                             "the store was made anew, or it is another one",
                             "if nobody meant it, restore the store" },
    [APIKEY_CAUSE_UNREADABLE] = { APIKEY_LOG_WARNING,
                                  "the store holds or answers something that its contract does not know",
                                  "the line before says what and where: mend it" },
    [APIKEY_CAUSE_TABLE] = { APIKEY_LOG_WARNING,
                             "the table's files were removed, replaced or overwritten",
                             "find out by whom: they are the daemon's alone" },
    [APIKEY_CAUSE_ROOM] = { APIKEY_LOG_WARNING,
                            "the next generation of the table finds no room, or was begun too "
                            "small",
                            "if it goes on: give the table's file system room" },
    [APIKEY_CAUSE_LINK] = { APIKEY_LOG_WARNING,
                            "the connection ended while all keys were read",
                            NULL },

    [APIKEY_CAUSE_EMPTIED] = { APIKEY_LOG_ERROR,
                               "the store is empty, and it was not before: FLUSHALL, or a server that "
                               "lost its data; the table is frozen and its lease runs out",
                               "restore the store; do not run apikeyctl init" },
    [APIKEY_CAUSE_NOINIT] = { APIKEY_LOG_ERROR,
                              "the store is empty: a wrong database or store-name, or apikeyctl init "
                              "never ran; the table is frozen and its lease runs out",
                              "see store and store-name; for a new store run apikeyctl init" },
    [APIKEY_CAUSE_LOADING] = { APIKEY_LOG_ERROR,
                               "the server is reading its files", "wait" },
    [APIKEY_CAUSE_READONLY] = { APIKEY_LOG_ERROR, "this server is a replica",
                                "let store name the primary" },
    [APIKEY_CAUSE_MISCONF] = { APIKEY_LOG_ERROR,
                               "the server cannot save and so takes no writes, which renewals are: "
                               "until it can, nginx answers 503 once the lease is over",
                               "give its disk room, see its log, and docs/operations.md, Redis" },
    [APIKEY_CAUSE_OOM] = { APIKEY_LOG_ERROR,
                           "the server is full, and its function library is not the one that may "
                           "renew all the same",
                           "raise maxmemory; load the library with apikeyctl library" },
    [APIKEY_CAUSE_NOREPLICAS] = { APIKEY_LOG_ERROR,
                                  "too few replicas for min-replicas-to-write, so the server takes no "
                                  "writes, which renewals are: until there are enough, nginx answers 503 "
                                  "once the lease is over",
                                  "bring back its replicas" },
    [APIKEY_CAUSE_BUSY] = { APIKEY_LOG_ERROR,
                            "the server is busy with somebody's script",
                            "find out whose; SCRIPT KILL or FUNCTION KILL ends it" },
    [APIKEY_CAUSE_NOPERM] = { APIKEY_LOG_ERROR, "the user may not do this",
                              "give the user the rights of docs/store.md, Access" },
    [APIKEY_CAUSE_NOLIBRARY] = { APIKEY_LOG_ERROR,
                                 "the function library is not loaded",
                                 "load it with apikeyctl library" },
    [APIKEY_CAUSE_AUTH] = { APIKEY_LOG_ERROR,
                            "the server does not let this user in",
                            "see user and password-file, and the server's ACL LIST" },
    [APIKEY_CAUSE_NAME] = { APIKEY_LOG_ERROR,
                            "another daemon renews under this edge's name: while it does this edge "
                            "renews nothing, and its lease runs out",
                            "give each edge a name of its own (edge); after a restart of a machine "
                            "without its table this ends by itself within a lease" },
    [APIKEY_CAUSE_REFUSED] = { APIKEY_LOG_ERROR,
                               "the server answered with an error",
                               "see docs/operations.md" },

    [APIKEY_CAUSE_RESET] = { APIKEY_LOG_WARNING,
                             "the other side ended the connection",
                             "if it goes on: see the server's log (maxclients, CLIENT KILL, output "
                             "buffers) and what is between" },
    [APIKEY_CAUSE_SILENT] = { APIKEY_LOG_WARNING,
                              "no answer, or not all of one, came in time: the server hangs, or the "
                              "network swallows what is sent",
                              "see whether the server answers PING, and the network between" },
    [APIKEY_CAUSE_UNREACHABLE] = { APIKEY_LOG_WARNING,
                                   "nobody takes the connection",
                                   "see whether the server runs, and what store says" },
    [APIKEY_CAUSE_UNRESOLVED] = { APIKEY_LOG_WARNING,
                                  "the host's name leads to no address",
                                  "see what store says, and the resolver of this host" },
    [APIKEY_CAUSE_PROTOCOL] = { APIKEY_LOG_WARNING,
                                "the other side is no Redis, or a broken one",
                                "see what store says, and what is between" },
    [APIKEY_CAUSE_SERVER] = { APIKEY_LOG_WARNING,
                              "a restart or a failover; the place in the log is checked before the "
                              "next renewal",
                              NULL },
    [APIKEY_CAUSE_SYSTEM] = { APIKEY_LOG_WARNING,
                              "this host has no descriptor or memory left",
                              "see LimitNOFILE of the unit, and the host's memory" },
    [APIKEY_CAUSE_CANARY] = { APIKEY_LOG_WARNING,
                              "how long a disable takes to bite was not measured this time; the keys "
                              "of callers are not concerned",
                              "the key must be there and not revoked, and canary-user may change it: "
                              "docs/operations.md, Canary" },
};

/* Errors of the server, by how they begin; NOINIT is looked at before. */
static const struct {
    const char    *error;
    apikey_cause_t cause;
} errors[] = {
    { "LOADING", APIKEY_CAUSE_LOADING },
    { "READONLY", APIKEY_CAUSE_READONLY },
    { "MISCONF", APIKEY_CAUSE_MISCONF },
    { "OOM", APIKEY_CAUSE_OOM },
    { "NOREPLICAS", APIKEY_CAUSE_NOREPLICAS },
    { "BUSY ", APIKEY_CAUSE_BUSY },
    { "NOPERM", APIKEY_CAUSE_NOPERM },
    { "ERR Function not found", APIKEY_CAUSE_NOLIBRARY },
    { "WRONGPASS", APIKEY_CAUSE_AUTH },
    { "NOAUTH", APIKEY_CAUSE_AUTH },
    { "ERR AUTH", APIKEY_CAUSE_AUTH },
    { "ERR Client sent AUTH", APIKEY_CAUSE_AUTH },
};


void
apikey_cause_tell(apikey_sync_t *sync, apikey_cause_t cause,
                  apikey_log_throttle_t *throttle, const char *message,
                  const apikey_log_pair_t *pairs)
{
    char              text[sizeof(throttle->text)];
    size_t            n = 0;
    const char       *error = "";
    const cause_t    *row = &causes[cause];
    apikey_log_pair_t line[APIKEY_CAUSE_PAIRS_MAX + 5] = { 0 };

    apikey_sync_count(sync, APIKEY_FIGURE_CAUSE + cause);

    line[n++] = (apikey_log_pair_t) apikey_text("msg", message);
    line[n++] =
        (apikey_log_pair_t) apikey_text("cause", apikey_cause_name(cause));

    for (; pairs->key != NULL && n < APIKEY_CAUSE_PAIRS_MAX + 2; pairs++) {
        if (strcmp(pairs->key, "error") == 0) {
            error = pairs->text;
        }

        line[n++] = *pairs;
    }

    line[n++] = (apikey_log_pair_t) apikey_text("why", row->why);

    if (row->advice != NULL) {
        line[n] = (apikey_log_pair_t) apikey_text("advice", row->advice);
    }

    snprintf(text, sizeof(text), "%s %s", apikey_cause_name(cause), error);

    if (apikey_log_again(throttle, text)) {
        apikey_log_line(row->level, line);
    }
}


apikey_cause_t
apikey_cause_of_verdict(const char *verdict)
{
    size_t                      i;
    static const apikey_cause_t verdicts[] = {
        APIKEY_CAUSE_EPOCH, APIKEY_CAUSE_AHEAD, APIKEY_CAUSE_FORK,
        APIKEY_CAUSE_TRIMMED, APIKEY_CAUSE_NAME
    };

    for (i = 0; i < sizeof(verdicts) / sizeof(verdicts[0]); i++) {
        if (strcmp(verdict, apikey_cause_name(verdicts[i])) == 0) {
            return verdicts[i];
        }
    }

    return APIKEY_CAUSE_UNREADABLE;
}


apikey_cause_t
apikey_cause_of_error(const char *error, int seen)
{
    size_t i;

    if (strncmp(error, "NOINIT", 6) == 0) {
        return seen ? APIKEY_CAUSE_EMPTIED : APIKEY_CAUSE_NOINIT;
    }

    for (i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
        if (strncmp(error, errors[i].error, strlen(errors[i].error)) == 0) {
            return errors[i].cause;
        }
    }

    /* as Redis 8 says it of a function's own commands */
    return strstr(error, "ACL failure in script") != NULL
               ? APIKEY_CAUSE_NOPERM
               : APIKEY_CAUSE_REFUSED;
}
