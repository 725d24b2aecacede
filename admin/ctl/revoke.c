/*
 * Copyright (C) 2026 the ngx_http_apikey_module authors
 *
 * apikeyctl revoke: refused for ever.
 *
 * Asks first, where there is somebody to ask.  Where there is nobody it goes
 * ahead: the ids were spelt out, a script in an incident must not hang or fail
 * for want of an option, and a key revoked too many is soon replaced, while
 * one that lives on is not.
 */

#include <limits.h>
#include <stdio.h>
#include <unistd.h>

#include "admin/ops_key.h"
#include "change.h"
#include "fail.h"
#include "options.h"
#include "output.h"
#include "record.h"
#include "session.h"


static int revoke_ask(ctl_t *ctl, int count, char **ids);
static int revoke_yes(void);


int
ctl_revoke(ctl_t *ctl, int argc, char **argv)
{
    int count, yes = 0;

    const ctl_option_t options[] = {
        { "yes", NULL,
          "do not ask; it asks only if stdin and stderr are a terminal", NULL,
          NULL, &yes },
    };

    count = ctl_options(ctl, argc, argv, options, 1);

    if (count == -1 || ctl_ids(ctl, count, argv, INT_MAX) == -1
        || ctl_session(ctl) == -1)
    {
        return ctl->exit;
    }

    if (!yes && isatty(STDIN_FILENO) && isatty(STDERR_FILENO)
        && !revoke_ask(ctl, count, argv))
    {
        return ctl_fail(ctl, CTL_REFUSED, "", NULL, "nothing was revoked");
    }

    return ctl_change(ctl, APIKEY_STATUS_REVOKED, count, argv);
}


/* Shows what is about to go; a key that cannot be shown is named. */
static int
revoke_ask(ctl_t *ctl, int count, char **ids)
{
    int             i;
    apikey_record_t record;

    for (i = 0; i < count; i++) {
        fprintf(stderr, "%s  ", ids[i]);

        if (apikey_ops_get(&ctl->ops, ids[i], &record) == 0) {
            ctl_put(stderr, record.name);
            fprintf(stderr, "  of %s  %s  ", record.member,
                    ctl_record_status(&record));
            ctl_put(stderr, record.hint);

        } else {
            ctl_put(stderr, ctl->ops.text);
        }

        fputc('\n', stderr);
    }

    fprintf(stderr, "Revoke %s for ever? [y/N] ",
            count == 1 ? "this key" : "these keys");

    return revoke_yes();
}


static int
revoke_yes(void)
{
    char answer[16];

    if (fgets(answer, sizeof(answer), stdin) == NULL) {
        fputc('\n', stderr);
        return 0;
    }

    return answer[0] == 'y' || answer[0] == 'Y';
}
