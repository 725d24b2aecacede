/*
 * Copyright (C) 2026 the ngx_http_apikey_module authors
 *
 * apikeyctl show: one key.
 */

#include "admin/ops_key.h"
#include "fail.h"
#include "json.h"
#include "options.h"
#include "record.h"
#include "session.h"


int
ctl_show(ctl_t *ctl, int argc, char **argv)
{
    int             operands;
    apikey_record_t record;

    operands = ctl_options(ctl, argc, argv, NULL, 0);
    if (operands == -1) {
        return ctl->exit;
    }

    if (ctl_ids(ctl, operands, argv, 1) == -1 || ctl_session(ctl) == -1) {
        return ctl->exit;
    }

    if (apikey_ops_get(&ctl->ops, argv[0], &record) == -1) {
        return ctl_fail_ops(ctl, argv[0], NULL);
    }

    if (ctl->json) {
        ctl_json(ctl_record_json(&record));

    } else if (ctl->quiet) {
        printf("%s\n", apikey_status_name(record.status));

    } else {
        ctl_record_show(&record);
    }

    return CTL_DONE;
}
