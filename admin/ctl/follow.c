/*
 * Copyright (C) 2026 the ngx_http_apikey_module authors
 *
 * Changes shown as they happen; see follow.h.
 */

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "acks.h"
#include "fail.h"
#include "follow.h"
#include "json.h"
#include "output.h"
#include "stop.h"

#define WAIT      1000 /* milliseconds for a push, before the log is looked at */
#define WAIT_ACKS 2    /* while acknowledgements are expected */


static void
follow_entries(ctl_t *ctl, const apikey_follow_t *follow,
               const apikey_log_page_t *page, const ctl_entry_filter_t *filter,
               ctl_table_t *table, ctl_acks_t *acks);
static void
follow_note(const ctl_t *ctl, const char *event, const char *format, ...)
    __attribute__((format(printf, 3, 4)));


int
ctl_follow(ctl_t *ctl, apikey_follow_t *follow,
           const ctl_entry_filter_t *filter, ctl_table_t *table, int acks)
{
    int               code = CTL_DONE;
    uint64_t          version;
    ctl_acks_t        expected;
    apikey_log_page_t page;

    ctl_stop_catch();
    ctl_acks_begin(&expected, acks);

    while (!ctl_stopped() && ctl_output_pass() == 0) {
        version = follow->version;

        switch (apikey_follow_step(
            follow, &page, ctl_acks_waiting(&expected) ? WAIT_ACKS : WAIT))
        {
        case APIKEY_FOLLOW_TRIMMED:
            follow_note(ctl, "trimmed",
                        "the log was trimmed behind version %" PRIu64
                        ": what was there is not shown",
                        version);
            /* fall through */

        case APIKEY_FOLLOW_ENTRIES:
            follow_entries(ctl, follow, &page, filter, table, &expected);
            break;

        case APIKEY_FOLLOW_REPLACED:
            follow_note(ctl, "replaced",
                        "the store's history is another one than before, now "
                        "at version %" PRIu64 ": what was shown may be lost",
                        follow->version);
            break;

        case APIKEY_FOLLOW_AWAY:
            follow_note(ctl, "away", "%s", ctl->ops.text);
            break;

        case APIKEY_FOLLOW_BACK:
            follow_note(ctl, "back", "the store is back");
            break;

        case APIKEY_FOLLOW_FAILED:
            code = ctl_fail_ops(ctl, NULL, NULL);
            break;

        default:
            break;
        }

        apikey_log_page_free(&page);

        if (code != CTL_DONE) {
            break;
        }

        ctl_acks_look(ctl, &expected);
    }

    ctl_acks_end(&expected);

    return code;
}


static void
follow_entries(ctl_t *ctl, const apikey_follow_t *follow,
               const apikey_log_page_t *page, const ctl_entry_filter_t *filter,
               ctl_table_t *table, ctl_acks_t *acks)
{
    size_t      i;
    ctl_entry_t entry;

    for (i = 0; i < page->count; i++) {
        if (ctl_entry_begin(&entry, &page->entry[i], filter)) {
            if (ctl->json) {
                ctl_json_line(ctl_entry_json(&entry));

            } else if (ctl->quiet) {
                printf("%" PRIu64 "\n", page->entry[i].version);

            } else {
                ctl_entry_row(&entry, table);
            }

            ctl_acks_expect(ctl, acks, follow->epoch, &entry);
        }

        ctl_entry_end(&entry);
    }

    if (!ctl->json && !ctl->quiet) {
        ctl_table_flush(table);
    }
}


/* What is no change: to people on stderr, to programs in the one stream. */
static void
follow_note(const ctl_t *ctl, const char *event, const char *format, ...)
{
    va_list args;
    char    text[APIKEY_OPS_TEXT_MAX + 1];

    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);

    if (ctl->json) {
        ctl_json_line(json_pack("{s:s,s:o}", "event", event, "text",
                                ctl_json_text(text)));
        return;
    }

    (void) fflush(stdout);
    fprintf(stderr, "apikeyctl %s: ", ctl->verb->name);
    ctl_put(stderr, text);
    fputc('\n', stderr);
}
