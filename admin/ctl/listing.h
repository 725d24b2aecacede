/*
 * Copyright (C) 2026 the ngx_http_apikey_module authors
 *
 * A list that is read page after page and shown as it comes: as a table for
 * people, as a JSON array, or, with --quiet, as bare ids.
 */

#ifndef APIKEY_CTL_LISTING_H
#define APIKEY_CTL_LISTING_H

#include "admin/ops.h"
#include "json.h"
#include "session.h"
#include "table.h"

typedef struct ctl_listing_s ctl_listing_t;

/*
 * Reads one page of at most `count` items behind the cursor and calls
 * ctl_listing_item() for each.  Returns 0, or -1 with the error in ops.
 */
typedef int (*ctl_listing_page_pt)(ctl_listing_t *listing, unsigned count,
                                   char cursor[static APIKEY_CURSOR_MAX + 1]);

struct ctl_listing_s {
    /* by the verb */
    const char         *items; /* "keys", for a complaint */
    size_t              columns;
    const char *const  *heads;
    uint64_t            limit; /* of all pages together */
    ctl_listing_page_pt page;
    const void         *filter; /* page's own */

    /* by ctl_listing() */
    ctl_t      *ctl;
    uint64_t    listed; /* of this page */
    ctl_table_t table;  /* for the cells of an item, in a table */
    ctl_array_t array;
};

/* Shows all there is, or as much as the limit allows; the exit code. */
int ctl_listing(ctl_t *ctl, ctl_listing_t *listing);

/* How an item is to be shown. */
typedef enum {
    CTL_ITEM_JSON, /* ctl_array_item() */
    CTL_ITEM_ID,   /* its id on a line */
    CTL_ITEM_ROW   /* a cell a column */
} ctl_item_t;

/* Counts one more item, and tells how to show it. */
ctl_item_t ctl_listing_item(ctl_listing_t *listing);

#endif /* APIKEY_CTL_LISTING_H */
