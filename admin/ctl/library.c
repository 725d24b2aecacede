/*
 * Copyright (C) 2026 the ngx_http_apikey_module authors
 *
 * apikeyctl library: loads the function library that this program carries,
 * after an upgrade of it or where a server has lost it.
 */

#include "admin/ops_store.h"
#include "fail.h"
#include "json.h"
#include "options.h"
#include "session.h"


int
ctl_library(ctl_t *ctl, int argc, char **argv)
{
    int              operands, check = 0;
    apikey_library_t library;

    static const char *const names[] = { "current", "missing", "different" };

    const ctl_option_t options[] = {
        { "check", NULL, "compare, and load nothing: 7 if it is not current",
          NULL, NULL, &check },
    };

    operands = ctl_options(ctl, argc, argv, options, 1);

    if (operands == -1 || ctl_no_operands(ctl, operands) == -1
        || ctl_session(ctl) == -1)
    {
        return ctl->exit;
    }

    if (apikey_ops_library(&ctl->ops, &library) == -1
        || (!check && library != APIKEY_LIBRARY_CURRENT
            && apikey_ops_library_load(&ctl->ops) == -1))
    {
        return ctl_fail_ops(ctl, NULL, "look: apikeyctl library --check");
    }

    if (ctl->json) {
        ctl_json(json_pack("{s:s,s:b}", "library", names[library], "loaded",
                           !check && library != APIKEY_LIBRARY_CURRENT));

    } else if (!ctl->quiet) {
        printf("The function library in %s %s%s\n", ctl_session_where(),
               library == APIKEY_LIBRARY_CURRENT   ? "is current"
               : library == APIKEY_LIBRARY_MISSING ? "was missing"
                                                   : "was another one",
               check || library == APIKEY_LIBRARY_CURRENT ? "" : ": loaded");
    }

    return check && library != APIKEY_LIBRARY_CURRENT ? CTL_WRONG : CTL_DONE;
}
