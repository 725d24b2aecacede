/*
 * Copyright (C) 2026 the ngx_http_apikey_module authors
 *
 * apikeyctl settle: the end of a conflict.
 *
 * To accept is to let a key be used again that somebody has revoked: it takes
 * a reason, and the key's id once more, typed or as an option.
 */

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "admin/ops_key.h"
#include "conflicts.h"
#include "fail.h"
#include "json.h"
#include "options.h"
#include "output.h"
#include "receipt.h"
#include "record.h"
#include "session.h"


static int settle_check(ctl_t *ctl, const char *id, int revoke, int accept,
                        const char *confirm);
static int settle_ask(ctl_t *ctl, const char *id);


int
ctl_settle(ctl_t *ctl, int argc, char **argv)
{
    int                 count, revoke = 0, accept = 0;
    const char         *confirm = NULL;
    apikey_ops_change_t change;

    const ctl_option_t options[] = {
        { "revoke", NULL, "the edges are right: revoke it in the store too",
          NULL, NULL, &revoke },
        { "accept", NULL,
          "the store is right: the edges let go of what they saw; needs\n"
          "--reason, and the key's id typed once more",
          NULL, NULL, &accept },
        { "confirm", "KEY", "with --accept: the id, where nobody can type it",
          &confirm, NULL, NULL },
    };

    count = ctl_options(ctl, argc, argv, options, 3);

    if (count == -1 || ctl_ids(ctl, count, argv, 1) == -1
        || settle_check(ctl, argv[0], revoke, accept, confirm) == -1
        || ctl_session(ctl) == -1)
    {
        return ctl->exit;
    }

    if (accept && confirm == NULL && !settle_ask(ctl, argv[0])) {
        return ctl_fail(ctl, CTL_REFUSED, "", NULL, "nothing was accepted");
    }

    if (apikey_ops_settle(&ctl->ops, argv[0], accept, &change) == -1) {
        return ctl_fail_ops(ctl, argv[0], "look: apikeyctl conflicts");
    }

    return ctl_receipt_one(
        ctl, argv[0],
        accept           ? change.changed ? "accepted" : "already accepted"
        : change.changed ? "revoked"
                         : "already revoked",
        &change,
        json_pack("{s:s,s:s,s:b,s:I,s:s,s:o}", "id", argv[0], "as",
                  accept ? "accepted" : "revoked", "changed", change.changed,
                  "version", (json_int_t) change.version, "epoch",
                  change.epoch, "at", ctl_json_time(change.at)));
}


static int
settle_check(ctl_t *ctl, const char *id, int revoke, int accept,
             const char *confirm)
{
    if (revoke + accept != 1) {
        return ctl_usage(ctl, "say how: --revoke or --accept");
    }

    if (!accept) {
        return confirm ? ctl_usage(ctl, "--confirm goes with --accept") : 0;
    }

    if (ctl->reason == NULL || ctl->reason[0] == '\0') {
        return ctl_usage(ctl, "to accept needs a --reason");
    }

    if (confirm && strcmp(confirm, id) != 0) {
        return ctl_usage(ctl, "--confirm is not the id of this key; nothing "
                              "was done");
    }

    if (confirm == NULL && !(isatty(STDIN_FILENO) && isatty(STDERR_FILENO))) {
        return ctl_usage(ctl,
                         "to accept needs --confirm=%s where nobody can "
                         "be asked",
                         id);
    }

    return 0;
}


static int
settle_ask(ctl_t *ctl, const char *id)
{
    char            answer[64];
    apikey_record_t record;

    fprintf(stderr, "%s  ", id);

    if (apikey_ops_get(&ctl->ops, id, &record) == 0) {
        ctl_put(stderr, record.name);
        fprintf(stderr, "  of %s  %s in the store\n", record.member,
                ctl_record_status(&record));

    } else {
        ctl_put(stderr, ctl->ops.text);
        fputc('\n', stderr);
    }

    if (ctl_conflicts_show(ctl, stderr, id) == -1) {
        ctl_put(stderr, ctl->ops.text);
        fputc('\n', stderr);
    }

    fputs("If you accept, these edges go by the store again.  Type the key's "
          "id to accept: ",
          stderr);

    if (fgets(answer, sizeof(answer), stdin) == NULL) {
        fputc('\n', stderr);
        return 0;
    }

    answer[strcspn(answer, "\n")] = '\0';

    return strcmp(answer, id) == 0;
}
