/*
 * Copyright (C) 2026 the ngx_http_apikey_module authors
 *
 * apikeyctl watch: changes as they happen.
 */

#include "fail.h"
#include "follow.h"
#include "options.h"
#include "session.h"


int
ctl_watch(ctl_t *ctl, int argc, char **argv)
{
    int                      operands, code, acks = 0;
    ctl_table_t              table;
    apikey_follow_t          follow;
    const ctl_entry_filter_t all = { 0 };

    const ctl_option_t options[] = {
        { "acks", NULL,
          "after each change, the milliseconds in which each edge has\n"
          "acknowledged it",
          NULL, NULL, &acks },
    };

    operands = ctl_options(ctl, argc, argv, options, 1);

    if (operands == -1 || ctl_no_operands(ctl, operands) == -1
        || ctl_session(ctl) == -1)
    {
        return ctl->exit;
    }

    ctl_entry_table(&table);

    if (apikey_follow_begin(&follow, &ctl->ops) == -1) {
        code = ctl_fail_ops(ctl, NULL, NULL);

    } else {
        if (!ctl->json && !ctl->quiet) {
            ctl_table_flush(&table);
        }

        code = ctl_follow(ctl, &follow, &all, &table, acks);
    }

    apikey_follow_end(&follow);
    (void) ctl_table_end(&table, 0);

    return code;
}
