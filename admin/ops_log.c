/*
 * Copyright (C) 2026 the ngx_http_apikey_module authors
 *
 * The log of changes; see ops_log.h.
 */

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "admin/ops_log.h"


static int page_read(apikey_log_page_t *page);
static int entry_read(const redisReply *item, apikey_log_entry_t *entry);


int
apikey_ops_log(apikey_ops_t *ops, uint64_t after, unsigned count,
               apikey_log_page_t *page)
{
    char          version[24], number[16];
    apikey_args_t args;

    page->count = 0;

    snprintf(version, sizeof(version), "%" PRIu64, after);
    snprintf(number, sizeof(number), "%u", count);

    apikey_args_function(&args, 0, "apikey_since", ops->store);
    apikey_args_add(&args, version);
    apikey_args_add(&args, number);

    page->reply = apikey_ops_command(ops, 0, &args);
    if (page->reply == NULL) {
        return -1;
    }

    return page_read(page) == 0
               ? 0
               : apikey_ops_misread(ops, "apikey_since",
                                    "epoch, version, chain, entries");
}


void
apikey_log_page_free(apikey_log_page_t *page)
{
    if (page->reply) {
        freeReplyObject(page->reply);
        page->reply = NULL;
    }

    page->count = 0;
}


static int
page_read(apikey_log_page_t *page)
{
    size_t             i;
    redisReply *const *element = page->reply->element;

    if (page->reply->type != REDIS_REPLY_ARRAY || page->reply->elements != 4
        || element[0]->type != REDIS_REPLY_STRING
        || apikey_ops_number(element[1], &page->head) == -1
        || element[2]->type != REDIS_REPLY_STRING
        || element[3]->type != REDIS_REPLY_ARRAY
        || element[3]->elements > APIKEY_LOG_PAGE_MAX)
    {
        return -1;
    }

    page->epoch = element[0]->str;
    page->chain = element[2]->str;

    for (i = 0; i < element[3]->elements; i++) {
        if (entry_read(element[3]->element[i], &page->entry[i]) == -1) {
            return -1;
        }

        page->count++;
    }

    return 0;
}


/* [version, previous chain, chain, entry] */
static int
entry_read(const redisReply *item, apikey_log_entry_t *entry)
{
    if (item->type != REDIS_REPLY_ARRAY || item->elements != 4
        || apikey_ops_number(item->element[0], &entry->version) == -1
        || item->element[1]->type != REDIS_REPLY_STRING
        || item->element[2]->type != REDIS_REPLY_STRING
        || item->element[3]->type != REDIS_REPLY_STRING)
    {
        return -1;
    }

    entry->previous = item->element[1]->str;
    entry->chain = item->element[2]->str;
    entry->json = item->element[3]->str;
    entry->len = item->element[3]->len;

    return 0;
}


uint64_t
apikey_log_entry_at(const apikey_log_entry_t *entry)
{
    json_t *json, *at;
    int64_t ms;

    json = json_loadb(entry->json, entry->len, 0, NULL);
    at = json_object_get(json, "at");
    ms = json_integer_value(at);

    json_decref(json);

    return ms > 0 ? (uint64_t) ms : 0;
}
