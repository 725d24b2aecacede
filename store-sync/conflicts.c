/*
 * Copyright (C) 2026 the ngx_http_apikey_module authors
 *
 * Conflicts with the store over revoked keys; see conflicts.h and state.h.
 */

#include "state.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CONFLICTS_LOGGED 20    /* that are named in the log at once */
#define CONFLICTS_PAUSE  10000 /* milliseconds after a report was refused */

/* "key_…:version:stamp " */
#define CONFLICTS_ITEM (APIKEY_RECORD_ID_MAX + 2 * 21)


static void
list_remove(apikey_held_list_t *list, size_t i)
{
    list->item[i] = list->item[--list->count];
}


/* Its place in the list, or the list's end. */
static size_t
list_find(const apikey_held_list_t *list, const char *id)
{
    size_t i;

    for (i = 0; i < list->count; i++) {
        if (strcmp(list->item[i].id, id) == 0) {
            break;
        }
    }

    return i;
}


/* 1, or 0 without memory: then it is refused all the same, and not shown. */
static int
list_add(apikey_held_list_t *list, const apikey_held_t *held)
{
    size_t         room;
    apikey_held_t *item;

    if (list->count == list->room) {
        room = list->room * 2 + 16;
        item = realloc(list->item, room * sizeof(apikey_held_t));

        if (item == NULL) {
            return 0;
        }

        list->item = item;
        list->room = room;
    }

    list->item[list->count++] = *held;

    return 1;
}


static void
conflicts_changed(apikey_sync_t *sync)
{
    sync->conflicts.serial++;
    apikey_sync_figure(sync, APIKEY_FIGURE_CONFLICTS,
                       sync->conflicts.open.count);
}


void
apikey_conflicts_begin(apikey_sync_t *sync)
{
    sync->conflicts.found.count = 0;
    sync->conflicts.forgotten = 0;
}


void
apikey_conflicts_found(void *ctx, const apikey_held_t *held, int alive)
{
    apikey_sync_t *sync = ctx;

    if (alive) {
        list_add(&sync->conflicts.found, held);
    } else {
        sync->conflicts.forgotten++;
    }
}


void
apikey_conflicts_publish(apikey_sync_t *sync)
{
    size_t                   i;
    apikey_held_list_t       list;
    apikey_sync_conflicts_t *conflicts = &sync->conflicts;

    list = conflicts->open;
    conflicts->open = conflicts->found;
    conflicts->found = list;

    conflicts_changed(sync);
    apikey_sync_figure(sync, APIKEY_FIGURE_FORGOTTEN, conflicts->forgotten);

    if (conflicts->forgotten > 0) {
        apikey_log(APIKEY_LOG_NOTICE,
                   "keys were seen revoked that the store does not know; they "
                   "stay refused",
                   apikey_number("keys", conflicts->forgotten));
    }

    if (conflicts->open.count > 0) {
        apikey_log(APIKEY_LOG_ERROR,
                   "the store has forgotten revocations; these keys stay "
                   "refused until apikeyctl settle",
                   apikey_number("keys", conflicts->open.count));
    }

    for (i = 0; i < conflicts->open.count && i < CONFLICTS_LOGGED; i++) {
        apikey_log(APIKEY_LOG_ERROR, "a forgotten revocation",
                   apikey_text("key", conflicts->open.item[i].id),
                   apikey_number("revoked_version",
                                 conflicts->open.item[i].revocation.version));
    }
}


/* 1 if this record of the store ends the conflict: it says revoked too, or
   that an operator has taken the revocation back. */
static int
conflict_ends(const apikey_held_t *held, const apikey_record_t *record)
{
    unsigned i;

    if (record->status == APIKEY_STATUS_REVOKED) {
        return 1;
    }

    for (i = 0; i < record->accepted_count; i++) {
        if (record->accepted[i].version == held->revocation.version
            && record->accepted[i].stamp == held->revocation.stamp)
        {
            return 1;
        }
    }

    return 0;
}


/* What a change is to a list of which it may be one.  1 if the list did. */
static int
conflict_put(apikey_held_list_t *list, const apikey_record_t *record,
             const apikey_table_revocation_t *held)
{
    size_t        i = list_find(list, record->id);
    apikey_held_t item = { .revocation = *held };

    if (i < list->count && conflict_ends(&list->item[i], record)) {
        list_remove(list, i);
        return 1;
    }

    if (i < list->count || held->version == 0) {
        return 0;
    }

    strcpy(item.id, record->id);
    memcpy(item.digest, record->digest, sizeof(item.digest));

    return list_add(list, &item);
}


/* 1 if the revocation is of a change that we are on our way to: its message
   was faster than this one, and took effect at once. */
static int
conflict_overtaken(const apikey_sync_t *sync, const apikey_record_t *record,
                   const apikey_table_revocation_t *held)
{
    return held->version > record->version && held->stamp >= record->updated
           && held->version <= sync->follow.want;
}


void
apikey_conflicts_put(apikey_sync_t *sync, const apikey_record_t *record,
                     const apikey_table_revocation_t *held)
{
    if (held->version != 0 && conflict_overtaken(sync, record, held)) {
        return;
    }

    if (held->version != 0) {
        apikey_log(
            APIKEY_LOG_ERROR,
            "the store brings back a revoked key; it stays refused",
            apikey_text("key", record->id),
            apikey_text("store_status", apikey_status_name(record->status)),
            apikey_number("version", record->version),
            apikey_number("revoked_version", held->version));
    }

    if (apikey_building(sync, APIKEY_BUILD_SNAPSHOT)) {
        conflict_put(&sync->conflicts.found, record, held);

    } else if (conflict_put(&sync->conflicts.open, record, held)) {
        conflicts_changed(sync);
    }
}


static void
conflicts_on_put(void *ctx, const redisReply *reply)
{
    apikey_sync_t           *sync = ctx;
    apikey_sync_conflicts_t *conflicts = &sync->conflicts;

    conflicts->asked = 0;

    if (reply->type != REDIS_REPLY_ERROR) {
        conflicts->told = conflicts->telling;
        return;
    }

    /* nothing but what apikeyctl shows hangs on it: no reason to stop */
    conflicts->not_before = uv_now(sync->loop) + CONFLICTS_PAUSE;

    if (apikey_log_again(&conflicts->refused, reply->str)) {
        apikey_log(APIKEY_LOG_WARNING,
                   "the store does not take down this edge's conflicts",
                   apikey_number("conflicts", conflicts->open.count),
                   apikey_text("error", reply->str),
                   apikey_text("advice",
                               "load the function library with apikeyctl "
                               "library, and give the user the rights of "
                               "docs/store.md, Access"));
    }
}


void
apikey_conflicts_lost(apikey_sync_t *sync)
{
    sync->conflicts.asked = 0;

    /* another server may not have heard of it */
    sync->conflicts.serial++;
}


void
apikey_conflicts_step(apikey_sync_t *sync)
{
    char        total[24], keys[APIKEY_CONFLICTS_TOLD * CONFLICTS_ITEM + 1];
    size_t      i, len = 0;
    const char *argv[] = { sync->conf.edge, "boot", sync->boot, "total",
                           total,           "keys", keys };
    apikey_sync_conflicts_t *conflicts = &sync->conflicts;

    /* acked: who does not renew here has nothing to say here */
    if (conflicts->asked || conflicts->told == conflicts->serial
        || !sync->published || sync->lease.acked == 0
        || uv_now(sync->loop) < conflicts->not_before)
    {
        return;
    }

    snprintf(total, sizeof(total), "%zu", conflicts->open.count);
    keys[0] = '\0';

    for (i = 0; i < conflicts->open.count && i < APIKEY_CONFLICTS_TOLD; i++) {
        const apikey_held_t *held = &conflicts->open.item[i];

        len += (size_t) snprintf(keys + len, sizeof(keys) - len,
                                 "%s%s:%" PRIu64 ":%" PRIu64, len ? " " : "",
                                 held->id, held->revocation.version,
                                 held->revocation.stamp);
    }

    conflicts->telling = conflicts->serial;
    conflicts->asked =
        apikey_sync_call(sync, conflicts_on_put, 1, "apikey_conflicts_put",
                         sizeof(argv) / sizeof(argv[0]), argv)
        == 0;
}


void
apikey_conflicts_free(apikey_sync_t *sync)
{
    free(sync->conflicts.open.item);
    free(sync->conflicts.found.item);
}
