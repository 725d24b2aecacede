/*
 * Copyright (C) 2026 the ngx_http_apikey_module authors
 *
 * apikeyctl log --verify: the whole log, its chain computed anew.
 */

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "admin/ops_verify.h"
#include "fail.h"
#include "json.h"
#include "log.h"
#include "output.h"
#include "progress.h"


static int
verify_walk(ctl_t *ctl, apikey_verify_t *verify, char *epoch, size_t size);
static void verify_show(const apikey_verify_t *verify);
static void verify_json(const apikey_verify_t *verify, const char *epoch);


int
ctl_log_verify(ctl_t *ctl)
{
    char            epoch[APIKEY_EPOCH_HEX + 1] = "";
    apikey_verify_t verify = { 0 };

    if (verify_walk(ctl, &verify, epoch, sizeof(epoch)) == -1) {
        /* an id that is no version: the store itself has named it */
        if (strcmp(ctl->ops.name, "BADSTORE") == 0) {
            return ctl_fail(ctl, CTL_WRONG, ctl->ops.name, NULL, "%s",
                            ctl->ops.text);
        }

        return ctl_fail_ops(ctl, NULL, NULL);
    }

    if (ctl->json) {
        verify_json(&verify, epoch);

    } else if (!ctl->quiet) {
        verify_show(&verify);
    }

    return verify.broken ? CTL_WRONG : CTL_DONE;
}


/* Returns -1 with the error in ctl->ops; what is wrong with the log is in
   *verify. */
static int
verify_walk(ctl_t *ctl, apikey_verify_t *verify, char *epoch, size_t size)
{
    int               rc, end = 0;
    size_t            i;
    ctl_progress_t    progress;
    apikey_log_page_t page;

    ctl_progress_begin(ctl, &progress);

    do {
        rc = apikey_ops_log(&ctl->ops, verify->last, APIKEY_LOG_PAGE_MAX,
                            &page);

        if (rc == 0 && epoch[0] == '\0') {
            snprintf(epoch, size, "%s", page.epoch);
            apikey_verify_begin(verify, epoch);
        }

        for (i = 0; rc == 0 && i < page.count && !verify->broken; i++) {
            (void) apikey_verify_entry(verify, &page.entry[i]);
        }

        /* in one answer, the last page and the head belong together */
        end = rc == -1 || page.count == 0 || verify->last >= page.head;

        if (rc == 0 && end && !verify->broken) {
            (void) apikey_verify_end(verify, page.head, page.chain);
        }

        if (ctl_progress_due(&progress)) {
            ctl_progress_show(&progress,
                              "checked up to version %" PRIu64 " of %" PRIu64,
                              verify->last, page.head);
        }

        apikey_log_page_free(&page);

    } while (!end && !verify->broken);

    ctl_progress_end(&progress);

    return rc;
}


static void
verify_show(const apikey_verify_t *verify)
{
    const char *colour = verify->broken ? CTL_RED : CTL_GREEN;

    ctl_colour(colour);
    fputs(verify->broken ? "broken" : "intact", stdout);
    ctl_colour_end(colour);

    if (verify->broken) {
        printf(" at version %" PRIu64 ": %s\n", verify->broken, verify->why);

    } else {
        puts(": every entry is there, as it was written, up to the head");
    }

    if (verify->last) {
        ctl_field("Sound", "%" PRIu64 " to %" PRIu64, verify->first,
                  verify->last);
        ctl_field("Chain", "%s at version %" PRIu64, verify->chain,
                  verify->last);
    }

    if (verify->first > 1) {
        ctl_field("Trimmed",
                  "what was before version %" PRIu64 " is gone; the text and "
                  "the place of that entry itself cannot be checked",
                  verify->first);
    }
}


static void
verify_json(const apikey_verify_t *verify, const char *epoch)
{
    json_t *broken;

    broken = verify->broken
                 ? json_pack("{s:I,s:s}", "version",
                             (json_int_t) verify->broken, "why", verify->why)
                 : NULL;

    ctl_json(json_pack("{s:b,s:s,s:I,s:I,s:s,s:b,s:o?}", "intact",
                       verify->broken == 0, "epoch", epoch, "first",
                       (json_int_t) verify->first, "last",
                       (json_int_t) verify->last, "chain", verify->chain,
                       "trimmed", verify->first > 1, "broken", broken));
}
