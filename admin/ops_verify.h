/*
 * Copyright (C) 2026 the ngx_http_apikey_module authors
 *
 * Whether the log is what was written: its versions without a hole, its chain
 * computed anew, and its end where meta says (docs/store.md, "Versions, the
 * log and its chain").  Asks nobody: it is told the entries, in order.
 */

#ifndef APIKEY_ADMIN_OPS_VERIFY_H
#define APIKEY_ADMIN_OPS_VERIFY_H

#include <stdint.h>

#include "admin/ops_log.h"
#include "store/record.h"

typedef struct {
    uint64_t first; /* version of the first entry; 0: none yet */
    uint64_t last;  /* of the last one that is sound; 0: none */
    char     chain[APIKEY_CHAIN_LEN + 1]; /* of that; the epoch before any */

    uint64_t broken; /* the first version that is not sound; 0: none */
    char     why[256];
} apikey_verify_t;

/* To begin, with the store's epoch. */
void apikey_verify_begin(apikey_verify_t *verify, const char *epoch);

/*
 * The next entry.  Returns 0, or -1 with what is wrong in `broken` and `why`.
 * The first one of a log that was trimmed is taken as it is: what its chain
 * follows is gone.
 */
int
apikey_verify_entry(apikey_verify_t *verify, const apikey_log_entry_t *entry);

/* That was all: the head and chain that meta has.  As above. */
int
apikey_verify_end(apikey_verify_t *verify, uint64_t head, const char *chain);

#endif /* APIKEY_ADMIN_OPS_VERIFY_H */
