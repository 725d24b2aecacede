/*
 * Copyright (C) 2026 the ngx_http_apikey_module authors
 *
 * Attaching, for read.c: everything of a reader that makes system calls.
 */

#ifndef APIKEY_TABLE_ATTACH_H
#define APIKEY_TABLE_ATTACH_H

#include "read.h"

/*
 * As apikey_table_attach(), but at most every 100 ms after a failure; until
 * then it fails with the same error again.
 */
apikey_table_error_t apikey_table_reattach(apikey_table_t *table);

/*
 * 1 if the directory now shows another control page than the attached one:
 * the daemon was replaced by one that could not adopt it.  Looks at most every
 * 100 ms; for a lease that has run out.
 */
int apikey_table_replaced(apikey_table_t *table, uint64_t now);

/* Unmaps the generation that was left, once there is little to unmap. */
void apikey_table_forget(apikey_table_t *table, uint64_t now);

#endif /* APIKEY_TABLE_ATTACH_H */
