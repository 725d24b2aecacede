/*
 * Copyright (C) 2026 the ngx_http_apikey_module authors
 *
 * Gives keys a status, one after the other; see change.h.
 */

#include <inttypes.h>
#include <stdlib.h>

#include "admin/ops_key.h"
#include "change.h"
#include "fail.h"
#include "json.h"
#include "output.h"
#include "receipt.h"


/* The changes that were made, and what is said of each. */
typedef struct {
    apikey_key_status_t  status;
    ctl_array_t          array;
    size_t               made;
    apikey_ops_change_t *change; /* in order */
    const char         **id;     /* of each of those */
    double              *ms;     /* that the store took for each */

    json_t *objects; /* with --json and --wait: one for each id, in order */
} ctl_changes_t;


static int  change_begin(ctl_t *ctl, ctl_changes_t *all, int count);
static void change_end(ctl_changes_t *all);
static int  change_all(ctl_t *ctl, ctl_changes_t *all, int count, char **ids);
static int  change_one(ctl_t *ctl, ctl_changes_t *all, const char *id);
static int  change_receipt(ctl_t *ctl, ctl_changes_t *all, int worst);
static void change_receipt_show(ctl_t *ctl, const ctl_changes_t *all,
                                const ctl_receipt_t *receipt);
static void change_object(const ctl_t *ctl, ctl_changes_t *all, json_t *json);
static void change_show(const ctl_changes_t *all, size_t i);
static json_t *change_json(const ctl_changes_t *all, size_t i);
static json_t *change_error_json(const char *id, const apikey_ops_t *ops);


int
ctl_change(ctl_t *ctl, apikey_key_status_t status, int count, char **ids)
{
    int           code;
    ctl_changes_t all = { .status = status };

    if (change_begin(ctl, &all, count) == -1) {
        change_end(&all);
        return ctl_fail(ctl, CTL_LOCAL, "", NULL,
                        "out of memory; nothing was done");
    }

    code = change_all(ctl, &all, count, ids);

    if (ctl->wait) {
        code = change_receipt(ctl, &all, code);
    }

    if (ctl->json) {
        ctl_array_end(&all.array);
    }

    change_end(&all);

    return code;
}


static int
change_begin(ctl_t *ctl, ctl_changes_t *all, int count)
{
    size_t n = (size_t) count;

    if (ctl->json) {
        ctl_array_begin(&all->array);
    }

    all->change = calloc(n, sizeof(*all->change));
    all->id = calloc(n, sizeof(*all->id));
    all->ms = calloc(n, sizeof(*all->ms));
    all->objects = json_array();

    return all->change && all->id && all->ms && all->objects ? 0 : -1;
}


static void
change_end(ctl_changes_t *all)
{
    free(all->change);
    free(all->id);
    free(all->ms);
    json_decref(all->objects);
}


static int
change_all(ctl_t *ctl, ctl_changes_t *all, int count, char **ids)
{
    int i, code, worst = CTL_DONE;

    for (i = 0; i < count; i++) {
        code = change_one(ctl, all, ids[i]);
        worst = code > worst ? code : worst;

        if (code > CTL_REFUSED) {
            break;
        }
    }

    for (i++; i < count; i++) {
        ctl_fail(ctl, CTL_UNREACHABLE, "", NULL, "%s: not tried", ids[i]);
    }

    return worst;
}


static int
change_one(ctl_t *ctl, ctl_changes_t *all, const char *id)
{
    char                 hint[80];
    size_t               i = all->made;
    uint64_t             begin;
    apikey_ops_change_t *change = &all->change[i];

    begin = apikey_boottime();

    if (apikey_ops_set_status(&ctl->ops, id, all->status, change) == -1) {
        if (ctl->json) {
            change_object(ctl, all, change_error_json(id, &ctl->ops));
        }

        snprintf(hint, sizeof(hint), "look: apikeyctl show %s", id);

        return ctl_fail_ops(ctl, id, hint);
    }

    all->id[i] = id;
    all->ms[i] = (double) (change->answered - begin) / 1e3;
    all->made++;

    if (ctl->json) {
        change_object(ctl, all, change_json(all, i));

    } else if (!ctl->quiet && !ctl->wait) {
        change_show(all, i);
    }

    return CTL_DONE;
}


/* One wait for all that were made. */
static int
change_receipt(ctl_t *ctl, ctl_changes_t *all, int worst)
{
    int           code;
    json_t       *object;
    size_t        i;
    ctl_receipt_t receipt = { 0 };

    if (all->made) {
        if (worst > CTL_REFUSED) {
            ctl_receipt_unknown(ctl, all->change, all->made,
                                "the store was lost among the changes",
                                &receipt);

        } else {
            ctl_receipt_wait(ctl, all->change, all->made, &receipt);

            code = ctl_receipt_exit(ctl, &receipt);
            worst = code > worst ? code : worst;
        }
    }

    json_array_foreach(all->objects, i, object)
    {
        if (json_object_get(object, "error") == NULL) {
            json_object_set_new(object, "receipt",
                                ctl_receipt_json(ctl, &receipt));
        }

        ctl_array_item(&all->array, json_incref(object));
    }

    if (all->made && !ctl->json && !ctl->quiet) {
        change_receipt_show(ctl, all, &receipt);
    }

    ctl_receipt_free(&receipt);

    return worst;
}


static void
change_receipt_show(ctl_t *ctl, const ctl_changes_t *all,
                    const ctl_receipt_t *receipt)
{
    char   text[80];
    size_t i;

    ctl_receipt_head(receipt);

    for (i = 0; i < all->made; i++) {
        snprintf(text, sizeof(text), "%s %s%s", all->id[i],
                 all->change[i].changed ? "" : "already ",
                 apikey_status_name(all->status));
        ctl_receipt_change(text, &all->change[i], i == 0);
    }

    ctl_receipt_show(ctl, receipt);
}


/* With --wait an object is not whole yet. */
static void
change_object(const ctl_t *ctl, ctl_changes_t *all, json_t *json)
{
    if (ctl->wait) {
        json_array_append_new(all->objects, json);

    } else {
        ctl_array_item(&all->array, json);
    }
}


static void
change_show(const ctl_changes_t *all, size_t i)
{
    const char *colour = all->status == APIKEY_STATUS_ENABLED    ? CTL_GREEN
                         : all->status == APIKEY_STATUS_DISABLED ? CTL_YELLOW
                                                                 : CTL_RED;

    printf("%s  %s", all->id[i], all->change[i].changed ? "" : "already ");
    ctl_colour(colour);
    fputs(apikey_status_name(all->status), stdout);
    ctl_colour_end(colour);
    printf("  version %" PRIu64 "  %.2f ms\n", all->change[i].version,
           all->ms[i]);
}


static json_t *
change_json(const ctl_changes_t *all, size_t i)
{
    const apikey_ops_change_t *change = &all->change[i];

    return json_pack("{s:s,s:s,s:b,s:I,s:s,s:o,s:f}", "id", all->id[i],
                     "status", apikey_status_name(all->status), "changed",
                     change->changed, "version", (json_int_t) change->version,
                     "epoch", change->epoch, "at", ctl_json_time(change->at),
                     "ms", all->ms[i]);
}


static json_t *
change_error_json(const char *id, const apikey_ops_t *ops)
{
    return json_pack("{s:s,s:{s:s,s:o,s:i}}", "id", id, "error", "name",
                     ops->name, "text", ctl_json_text(ops->text), "exit",
                     (int) ctl_exit_of(ops));
}
