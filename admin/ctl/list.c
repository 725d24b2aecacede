/*
 * Copyright (C) 2026 the ngx_http_apikey_module authors
 *
 * apikeyctl list: keys, newest first, page after page.
 */

#include <stdio.h>
#include <string.h>

#include "admin/ops_key.h"
#include "admin/ops_time.h"
#include "fail.h"
#include "listing.h"
#include "options.h"
#include "record.h"


static int
list_filter(ctl_t *ctl, const char *status, apikey_ops_filter_t *filter);
static int  list_page(ctl_listing_t *listing, unsigned count,
                      char cursor[static APIKEY_CURSOR_MAX + 1]);
static void list_key(void *ctx, const apikey_record_t *record);


int
ctl_list(ctl_t *ctl, int argc, char **argv)
{
    int                 operands;
    const char         *status = NULL, *limit_text = NULL;
    apikey_ops_filter_t filter = { 0 };

    static const char *const heads[] = { "ID",   "NAME",    "MEMBER", "STATUS",
                                         "HINT", "CREATED", "EXPIRES" };

    ctl_listing_t listing = { .items = "keys",
                              .columns = 7,
                              .heads = heads,
                              .page = list_page,
                              .filter = &filter };

    const ctl_option_t options[] = {
        { "status", "STATUS", "enabled, disabled or revoked", &status, NULL,
          NULL },
        { "member", "ID", "of this member", &filter.member, NULL, NULL },
        { "tenant", "ID", "of this tenant", &filter.tenant, NULL, NULL },
        { "limit", "COUNT", "at most so many; default: all", &limit_text, NULL,
          NULL },
    };

    operands = ctl_options(ctl, argc, argv, options, 4);

    if (operands == -1 || ctl_no_operands(ctl, operands) == -1
        || list_filter(ctl, status, &filter) == -1
        || ctl_count(ctl, "limit", limit_text, &listing.limit) == -1
        || ctl_session(ctl) == -1)
    {
        return ctl->exit;
    }

    return ctl_listing(ctl, &listing);
}


static int
list_filter(ctl_t *ctl, const char *status, apikey_ops_filter_t *filter)
{
    if (status) {
        filter->status = apikey_status_parse(status, strlen(status));

        if (filter->status == APIKEY_STATUS_NONE) {
            ctl->exit = ctl_fail(ctl, CTL_USAGE, "", NULL,
                                 "--status must be enabled, disabled or "
                                 "revoked");
            return -1;
        }
    }

    return 0;
}


static int
list_page(ctl_listing_t *listing, unsigned count,
          char cursor[static APIKEY_CURSOR_MAX + 1])
{
    return apikey_ops_list(&listing->ctl->ops, listing->filter, count, cursor,
                           list_key, listing);
}


static void
list_key(void *ctx, const apikey_record_t *record)
{
    char           at[APIKEY_TIME_SIZE];
    ctl_listing_t *listing = ctx;
    ctl_table_t   *table = &listing->table;

    switch (ctl_listing_item(listing)) {
    case CTL_ITEM_JSON:
        ctl_array_item(&listing->array, ctl_record_json(record));
        return;
    case CTL_ITEM_ID:
        printf("%s\n", record->id);
        return;
    case CTL_ITEM_ROW:
        break;
    }

    ctl_table_cell(table, NULL, record->id);
    ctl_table_cell(table, NULL, record->name);
    ctl_table_cell(table, NULL, record->member);
    ctl_table_cell(table, ctl_record_colour(record),
                   ctl_record_status(record));
    ctl_table_cell(table, NULL, record->hint);

    apikey_time_show(at, record->created / 1000);
    ctl_table_cell(table, NULL, at);
    ctl_table_cell(table, NULL, ctl_expires_show(at, record->expires));
}
