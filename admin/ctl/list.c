/*
 * Copyright (C) 2026 the ngx_http_apikey_module authors
 *
 * apikeyctl list: keys, newest first, page after page.
 */

#include <string.h>

#include "admin/ops_key.h"
#include "admin/ops_time.h"
#include "fail.h"
#include "json.h"
#include "options.h"
#include "record.h"
#include "session.h"
#include "table.h"


/* Where the keys go. */
typedef struct {
    const ctl_t *ctl;
    uint64_t     listed; /* of this page */
    ctl_table_t  table;
    ctl_array_t  array;
} list_t;


static int
list_filter(ctl_t *ctl, const char *status, apikey_ops_filter_t *filter);
static int  list_pages(ctl_t *ctl, const apikey_ops_filter_t *filter,
                       uint64_t limit, list_t *list);
static void list_key(void *ctx, const apikey_record_t *record);


int
ctl_list(ctl_t *ctl, int argc, char **argv)
{
    int                 operands, code;
    list_t              list = { .ctl = ctl };
    uint64_t            limit;
    const char         *status = NULL, *limit_text = NULL;
    apikey_ops_filter_t filter = { 0 };

    static const char *const heads[] = { "ID",   "NAME",    "MEMBER", "STATUS",
                                         "HINT", "CREATED", "EXPIRES" };

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
        || ctl_count(ctl, "limit", limit_text, &limit) == -1
        || ctl_session(ctl) == -1)
    {
        return ctl->exit;
    }

    if (ctl->json) {
        ctl_array_begin(&list.array);

    } else if (!ctl->quiet) {
        ctl_table_begin(&list.table, 7, heads);
    }

    code = list_pages(ctl, &filter, limit, &list);

    if (ctl->json) {
        /* left open, it is seen to be incomplete by whoever reads it */
        if (code == CTL_DONE) {
            ctl_array_end(&list.array);
        }

    } else if (!ctl->quiet
               && ctl_table_end(&list.table, code == CTL_DONE) == -1) {
        code = ctl_fail(ctl, CTL_LOCAL, "", NULL,
                        "out of memory: keys are missing in this list");
    }

    return code;
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


/* What was read of a page is shown before the next one is asked for. */
static int
list_pages(ctl_t *ctl, const apikey_ops_filter_t *filter, uint64_t limit,
           list_t *list)
{
    char     cursor[APIKEY_CURSOR_MAX + 1] = "";
    unsigned count;

    do {
        count = limit < APIKEY_PAGE_MAX ? (unsigned) limit : APIKEY_PAGE_MAX;
        list->listed = 0;

        if (apikey_ops_list(&ctl->ops, filter, count, cursor, list_key, list)
            == -1) {
            return ctl_fail_ops(ctl, NULL, NULL);
        }

        limit -= list->listed;

        if (!ctl->json && !ctl->quiet) {
            ctl_table_flush(&list->table);
        }

    } while (cursor[0] && limit && !ferror(stdout));

    return CTL_DONE;
}


static void
list_key(void *ctx, const apikey_record_t *record)
{
    char    at[APIKEY_TIME_SIZE];
    list_t *list = ctx;

    list->listed++;

    if (list->ctl->json) {
        ctl_array_item(&list->array, ctl_record_json(record));
        return;
    }

    if (list->ctl->quiet) {
        printf("%s\n", record->id);
        return;
    }

    ctl_table_cell(&list->table, NULL, record->id);
    ctl_table_cell(&list->table, NULL, record->name);
    ctl_table_cell(&list->table, NULL, record->member);
    ctl_table_cell(&list->table, ctl_record_colour(record),
                   ctl_record_status(record));
    ctl_table_cell(&list->table, NULL, record->hint);

    apikey_time_show(at, record->created / 1000);
    ctl_table_cell(&list->table, NULL, at);
    ctl_table_cell(&list->table, NULL, ctl_expires_show(at, record->expires));
}
