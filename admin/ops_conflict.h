/*
 * Copyright (C) 2026 the ngx_http_apikey_module authors
 *
 * Conflicts: keys that edges have seen revoked, and that the store has
 * forgotten to be (docs/store.md, "Conflicts"); and the end of one.  Results
 * as in ops.h.
 */

#ifndef APIKEY_ADMIN_OPS_CONFLICT_H
#define APIKEY_ADMIN_OPS_CONFLICT_H

#include <stddef.h>
#include <stdint.h>

#include "admin/ops_change.h"
#include "admin/ops_edge.h"
#include "key/key.h"

#define APIKEY_CONFLICTS_NAMED 100 /* that a report names at most */

/* A revocation that an edge holds to. */
typedef struct {
    char     id[APIKEY_ID_LEN + 1];
    uint64_t version; /* of the change that made it */
    uint64_t at;      /* and when, milliseconds since 1970 */
} apikey_conflict_t;

/* What one edge reports.  One that cannot be read has a total of 1 and names
   nothing. */
typedef struct {
    char              edge[APIKEY_EDGE_MAX + 1];
    uint64_t          total; /* of its conflicts */
    uint64_t          at;    /* of the report, milliseconds since 1970 */
    size_t            count; /* of those that it names */
    apikey_conflict_t seen[APIKEY_CONFLICTS_NAMED];
} apikey_report_t;

typedef struct {
    size_t           count;
    apikey_report_t *report; /* by the edges' names */
} apikey_ops_conflicts_t;

/* Reads all reports; apikey_ops_conflicts_free() is due in any case. */
int apikey_ops_conflicts(apikey_ops_t *ops, apikey_ops_conflicts_t *conflicts);
void apikey_ops_conflicts_free(apikey_ops_conflicts_t *conflicts);

/*
 * Ends the conflicts about a key: revokes it in the store too, or accepts what
 * edges report now, so that they let go of it.  REFUSED with NOCONFLICT if
 * none reports it, with REVOKED to accept for one that the store has revoked.
 */
int apikey_ops_settle(apikey_ops_t *ops, const char *id, int accept,
                      apikey_ops_change_t *change);

#endif /* APIKEY_ADMIN_OPS_CONFLICT_H */
