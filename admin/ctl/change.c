/*
 * Copyright (C) 2026 the ngx_http_apikey_module authors
 *
 * Gives keys a status, one after the other; see change.h.
 */

#include <time.h>

#include "admin/ops_key.h"
#include "change.h"
#include "fail.h"
#include "json.h"
#include "output.h"


static int  change_one(ctl_t *ctl, apikey_key_status_t status, const char *id,
                       ctl_array_t *array);
static void change_show(const char *id, apikey_key_status_t status,
                        const apikey_ops_change_t *change, double ms);
static json_t *change_json(const char *id, apikey_key_status_t status,
                           const apikey_ops_change_t *change, double ms);
static json_t *change_error_json(const char *id, const apikey_ops_t *ops);
static double  now_ms(void);


int
ctl_change(ctl_t *ctl, apikey_key_status_t status, int count, char **ids)
{
    int         i, code, worst = CTL_DONE;
    ctl_array_t array;

    if (ctl->json) {
        ctl_array_begin(&array);
    }

    for (i = 0; i < count; i++) {
        code = change_one(ctl, status, ids[i], &array);
        worst = code > worst ? code : worst;

        if (code > CTL_REFUSED) {
            break;
        }
    }

    for (i++; i < count; i++) {
        ctl_fail(ctl, CTL_UNREACHABLE, "", NULL, "%s: not tried", ids[i]);
    }

    if (ctl->json) {
        ctl_array_end(&array);
    }

    return worst;
}


static int
change_one(ctl_t *ctl, apikey_key_status_t status, const char *id,
           ctl_array_t *array)
{
    double              begin, ms;
    char                hint[80];
    apikey_ops_change_t change;

    begin = now_ms();

    if (apikey_ops_set_status(&ctl->ops, id, status, &change) == -1) {
        if (ctl->json) {
            ctl_array_item(array, change_error_json(id, &ctl->ops));
        }

        snprintf(hint, sizeof(hint), "look: apikeyctl show %s", id);

        return ctl_fail_ops(ctl, id, hint);
    }

    ms = now_ms() - begin;

    if (ctl->json) {
        ctl_array_item(array, change_json(id, status, &change, ms));

    } else if (!ctl->quiet) {
        change_show(id, status, &change, ms);
    }

    return CTL_DONE;
}


static void
change_show(const char *id, apikey_key_status_t status,
            const apikey_ops_change_t *change, double ms)
{
    const char *colour = status == APIKEY_STATUS_ENABLED    ? CTL_GREEN
                         : status == APIKEY_STATUS_DISABLED ? CTL_YELLOW
                                                            : CTL_RED;

    printf("%s  %s", id, change->changed ? "" : "already ");
    ctl_colour(colour);
    fputs(apikey_status_name(status), stdout);
    ctl_colour_end(colour);
    printf("  version %llu  %.2f ms\n", (unsigned long long) change->version,
           ms);
}


static json_t *
change_json(const char *id, apikey_key_status_t status,
            const apikey_ops_change_t *change, double ms)
{
    return json_pack("{s:s,s:s,s:b,s:I,s:s,s:o,s:f}", "id", id, "status",
                     apikey_status_name(status), "changed", change->changed,
                     "version", (json_int_t) change->version, "epoch",
                     change->epoch, "at", ctl_json_time(change->at), "ms", ms);
}


static json_t *
change_error_json(const char *id, const apikey_ops_t *ops)
{
    return json_pack("{s:s,s:{s:s,s:o,s:i}}", "id", id, "error", "name",
                     ops->name, "text", ctl_json_text(ops->text), "exit",
                     (int) ctl_exit_of(ops));
}


static double
now_ms(void)
{
    struct timespec now;

    (void) clock_gettime(CLOCK_MONOTONIC, &now);

    return (double) now.tv_sec * 1e3 + (double) now.tv_nsec / 1e6;
}
