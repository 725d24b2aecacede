/*
 * Copyright (C) 2026 the ngx_http_apikey_module authors
 *
 * A list that is read page after page; see listing.h.
 */

#include <stdio.h>

#include "fail.h"
#include "listing.h"


/* What was read of a page is shown before the next one is asked for. */
static int
listing_pages(ctl_listing_t *listing)
{
    char     cursor[APIKEY_CURSOR_MAX + 1] = "";
    ctl_t   *ctl = listing->ctl;
    unsigned count;
    uint64_t left = listing->limit;

    do {
        count = left < APIKEY_PAGE_MAX ? (unsigned) left : APIKEY_PAGE_MAX;
        listing->listed = 0;

        if (listing->page(listing, count, cursor) == -1) {
            return ctl_fail_ops(ctl, NULL, NULL);
        }

        left -= listing->listed;

        if (!ctl->json && !ctl->quiet) {
            ctl_table_flush(&listing->table);
        }

    } while (cursor[0] && left && !ferror(stdout));

    return CTL_DONE;
}


int
ctl_listing(ctl_t *ctl, ctl_listing_t *listing)
{
    int code;

    listing->ctl = ctl;

    if (ctl->json) {
        ctl_array_begin(&listing->array);

    } else if (!ctl->quiet) {
        ctl_table_begin(&listing->table, listing->columns, listing->heads);
    }

    code = listing_pages(listing);

    if (ctl->json) {
        /* left open, it is seen to be incomplete by whoever reads it */
        if (code == CTL_DONE) {
            ctl_array_end(&listing->array);
        }

    } else if (!ctl->quiet
               && ctl_table_end(&listing->table, code == CTL_DONE) == -1)
    {
        code = ctl_fail(ctl, CTL_LOCAL, "", NULL,
                        "out of memory: %s are missing in this list",
                        listing->items);
    }

    return code;
}


ctl_item_t
ctl_listing_item(ctl_listing_t *listing)
{
    listing->listed++;

    if (listing->ctl->json) {
        return CTL_ITEM_JSON;
    }

    return listing->ctl->quiet ? CTL_ITEM_ID : CTL_ITEM_ROW;
}
