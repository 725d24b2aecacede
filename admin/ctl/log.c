/*
 * Copyright (C) 2026 the ngx_http_apikey_module authors
 *
 * apikeyctl log: what was changed, by whom and why.
 */

#include <stdlib.h>
#include <string.h>

#include "admin/ops_store.h"
#include "admin/ops_time.h"
#include "fail.h"
#include "follow.h"
#include "json.h"
#include "log.h"
#include "options.h"
#include "output.h"
#include "session.h"


/* What is shown, and where it goes. */
typedef struct {
    ctl_t             *ctl;
    ctl_entry_filter_t filter;
    uint64_t           from;  /* the first version that is wanted */
    uint64_t           limit; /* UINT64_MAX: none */
    int                follow;
    apikey_follow_t   *follower;
    ctl_table_t        table;
    ctl_array_t        array;
} ctl_log_t;


static int log_check(ctl_t *ctl, ctl_log_t *log, const char *limit, int verify,
                     const char *since);
static int log_run(ctl_log_t *log, const char *since);
static int log_since(ctl_log_t *log, const char *since);
static int
log_find(ctl_log_t *log, uint64_t ms, const apikey_ops_meta_t *meta);
static int  log_show(ctl_log_t *log, uint64_t from);
static int  log_last(ctl_log_t *log, uint64_t *from);
static int  log_last_page(ctl_log_t *log, uint64_t low, uint64_t high,
                          uint64_t *left, uint64_t *from);
static void log_entry(ctl_log_t *log, const apikey_log_entry_t *raw);


int
ctl_log(ctl_t *ctl, int argc, char **argv)
{
    int             operands, code, verify = 0;
    const char     *since = NULL, *limit = NULL;
    apikey_follow_t follower = { 0 };
    ctl_log_t       log = { .ctl = ctl, .follower = &follower };

    const ctl_option_t options[] = {
        { "since", "VERSION|TIME",
          "from this version on, or from 2027-01-31T12:00:00Z on, or of the\n"
          "last 90s 30m 12h 30d; default: all there is",
          &since, NULL, NULL },
        { "key", "KEY", "changes of this key alone", &log.filter.key, NULL,
          NULL },
        { "actor", "NAME", "changes by this actor alone", &log.filter.actor,
          NULL, NULL },
        { "limit", "COUNT", "the last so many of those", &limit, NULL, NULL },
        { "follow", NULL, "go on as they happen, until Ctrl-C", NULL, NULL,
          &log.follow },
        { "verify", NULL,
          "show none: check that nothing was changed, dropped or added", NULL,
          NULL, &verify },
    };

    operands = ctl_options(ctl, argc, argv, options, 6);

    if (operands == -1 || ctl_no_operands(ctl, operands) == -1
        || log_check(ctl, &log, limit, verify, since) == -1
        || ctl_session(ctl) == -1)
    {
        return ctl->exit;
    }

    if (verify) {
        return ctl_log_verify(ctl);
    }

    ctl_entry_table(&log.table);

    if (ctl->json && !log.follow) {
        ctl_array_begin(&log.array);
    }

    code =
        log_run(&log, since) == -1 ? ctl_fail_ops(ctl, NULL, NULL) : CTL_DONE;

    if (code == CTL_DONE && log.follow) {
        code = ctl_follow(ctl, &follower, &log.filter, &log.table, 0);
    }

    /* left open, it is seen to be incomplete by whoever reads it */
    if (ctl->json && !log.follow && code == CTL_DONE) {
        ctl_array_end(&log.array);
    }

    apikey_follow_end(&follower);

    if (ctl_table_end(&log.table,
                      code == CTL_DONE && !ctl->json && !ctl->quiet)
        == -1)
    {
        code = ctl_fail(ctl, CTL_LOCAL, "", NULL,
                        "out of memory: entries are missing in this list");
    }

    return code;
}


static int
log_check(ctl_t *ctl, ctl_log_t *log, const char *limit, int verify,
          const char *since)
{
    uint64_t    ignored;
    const char *id = log->filter.key;

    if (verify
        && (since || limit || log->follow || log->filter.key
            || log->filter.actor))
    {
        return ctl_usage(ctl, "--verify is about the whole log, and goes with "
                              "no other option");
    }

    if (id && ctl_ids(ctl, 1, (char **) &id, 1) == -1) {
        return -1;
    }

    if (since && strspn(since, "0123456789") != strlen(since)
        && apikey_past_parse(since, 0, &ignored) == -1)
    {
        return ctl_usage(ctl, "--since must be a version, a time as in "
                              "2027-01-31T12:00:00Z, or a duration as in 12h");
    }

    if (since && strspn(since, "0123456789") == strlen(since)
        && (since[0] == '\0' || strlen(since) > 15))
    {
        return ctl_usage(ctl, "--since must be a version, a time as in "
                              "2027-01-31T12:00:00Z, or a duration as in 12h");
    }

    return ctl_count(ctl, "limit", limit, &log->limit);
}


/* The follower first, if there is one to be: it goes on where the log was
   left. */
static int
log_run(ctl_log_t *log, const char *since)
{
    uint64_t from;

    if (log->follow
        && apikey_follow_begin(log->follower, &log->ctl->ops) == -1) {
        return -1;
    }

    if (log_since(log, since) == -1) {
        return -1;
    }

    from = log->from;

    if (log->limit != UINT64_MAX && log_last(log, &from) == -1) {
        return -1;
    }

    return log_show(log, from);
}


static int
log_since(ctl_log_t *log, const char *since)
{
    uint64_t          ms;
    apikey_ops_meta_t meta;

    log->from = 1;

    if (since == NULL) {
        return 0;
    }

    if (strspn(since, "0123456789") == strlen(since)) {
        log->from = strtoull(since, NULL, 10);
        log->from = log->from ? log->from : 1;
        return 0;
    }

    /* back from now as the store has it: it has timed the entries too */
    if (apikey_ops_meta(&log->ctl->ops, &meta) == -1) {
        return -1;
    }

    (void) apikey_past_parse(since, meta.time, &ms);

    return log_find(log, ms, &meta);
}


/* The first entry of that time or later, by halves. */
static int
log_find(ctl_log_t *log, uint64_t ms, const apikey_ops_meta_t *meta)
{
    int               rc = 0;
    uint64_t          low, high, middle, at;
    apikey_log_page_t page;

    low = meta->log_first ? meta->log_first : 1;
    high = meta->version + 1;

    while (rc == 0 && low < high) {
        middle = low + (high - low) / 2;

        rc = apikey_ops_log(&log->ctl->ops, middle - 1, 1, &page);
        at = rc == 0 && page.count ? apikey_log_entry_at(&page.entry[0])
                                   : UINT64_MAX;

        apikey_log_page_free(&page);

        if (at < ms) {
            low = middle + 1;

        } else {
            high = middle;
        }
    }

    log->from = low;

    return rc;
}


static int
log_show(ctl_log_t *log, uint64_t from)
{
    int               rc, more;
    size_t            i;
    uint64_t          after = from - 1;
    apikey_log_page_t page;

    do {
        rc = apikey_ops_log(&log->ctl->ops, after, APIKEY_LOG_PAGE_MAX, &page);
        more = rc == 0 && page.count;

        for (i = 0; rc == 0 && i < page.count; i++) {
            log_entry(log, &page.entry[i]);
            after = page.entry[i].version;
        }

        if (more && log->follow) {
            apikey_follow_from(log->follower, &page.entry[page.count - 1]);
        }

        more = more && after < page.head;

        apikey_log_page_free(&page);

        if (!log->ctl->json && !log->ctl->quiet) {
            ctl_table_flush(&log->table);
        }

    } while (more && ctl_output_pass() == 0);

    return rc;
}


/* Where the last `limit` entries that fit begin: the log is read backwards
   until there are so many. */
static int
log_last(ctl_log_t *log, uint64_t *from)
{
    uint64_t          high, low, left = log->limit;
    apikey_ops_meta_t meta;

    if (apikey_ops_meta(&log->ctl->ops, &meta) == -1) {
        return -1;
    }

    high = meta.version;

    while (left && high >= log->from && high >= meta.log_first && high) {
        low = high >= APIKEY_LOG_PAGE_MAX ? high - APIKEY_LOG_PAGE_MAX + 1 : 1;
        low = low > log->from ? low : log->from;

        if (log_last_page(log, low, high, &left, from) == -1) {
            return -1;
        }

        high = low - 1;
    }

    return 0;
}


static int
log_last_page(ctl_log_t *log, uint64_t low, uint64_t high, uint64_t *left,
              uint64_t *from)
{
    int               rc;
    size_t            i;
    ctl_entry_t       entry;
    apikey_log_page_t page;

    rc = apikey_ops_log(&log->ctl->ops, low - 1, (unsigned) (high - low + 1),
                        &page);

    for (i = page.count; rc == 0 && i && *left; i--) {
        if (page.entry[i - 1].version <= high
            && ctl_entry_begin(&entry, &page.entry[i - 1], &log->filter))
        {
            *from = page.entry[i - 1].version;
            (*left)--;
        }

        ctl_entry_end(&entry);
    }

    apikey_log_page_free(&page);

    return rc;
}


static void
log_entry(ctl_log_t *log, const apikey_log_entry_t *raw)
{
    ctl_entry_t  entry;
    const ctl_t *ctl = log->ctl;

    if (ctl_entry_begin(&entry, raw, &log->filter)) {
        if (ctl->json && log->follow) {
            ctl_json_line(ctl_entry_json(&entry));

        } else if (ctl->json) {
            ctl_array_item(&log->array, ctl_entry_json(&entry));

        } else if (ctl->quiet) {
            printf("%llu\n", (unsigned long long) raw->version);

        } else {
            ctl_entry_row(&entry, &log->table);
        }
    }

    ctl_entry_end(&entry);
}
