/*
 * Copyright (C) 2026 the ngx_http_apikey_module authors
 *
 * What the store knows of the edges; see ops_edge.h.
 */

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "admin/ops_check.h"
#include "admin/ops_edge.h"


static int  edges_read(const redisReply *reply, apikey_ops_edges_t *edges);
static int  edge_read(const redisReply *item, apikey_ops_edge_t *edge);
static void renewal_read(const redisReply *text, apikey_ops_edge_t *edge);
static void renewal_text(const json_t *renewal, const char *name, char *buffer,
                         size_t size);
static int  acks_read(const redisReply *reply, apikey_acks_t *acks);
static apikey_verdict_t verdict_read(const redisReply *word);


static const char *const verdicts[] = { "other", "ok",   "epoch",
                                        "ahead", "fork", "trimmed" };

#define VERDICTS (sizeof(verdicts) / sizeof(verdicts[0]))


const char *
apikey_verdict_name(apikey_verdict_t verdict)
{
    return verdicts[verdict];
}


int
apikey_ops_edges(apikey_ops_t *ops, apikey_ops_edges_t *edges)
{
    int           rc;
    redisReply   *reply;
    apikey_args_t args;

    memset(edges, 0, sizeof(*edges));

    apikey_args_function(&args, 0, "apikey_edges", ops->store);

    reply = apikey_ops_command(ops, 0, &args);
    if (reply == NULL) {
        return -1;
    }

    rc = edges_read(reply, edges);

    if (rc == -1) {
        apikey_ops_misread(ops, "apikey_edges", "names and renewals");
    }

    freeReplyObject(reply);

    return rc;
}


void
apikey_ops_edges_free(apikey_ops_edges_t *edges)
{
    free(edges->edge);
    memset(edges, 0, sizeof(*edges));
}


int
apikey_ops_acks(apikey_ops_t *ops, const apikey_ops_change_t *change,
                apikey_acks_t *acks)
{
    int           rc;
    char          head[24];
    redisReply   *reply;
    apikey_args_t args;

    memset(acks, 0, sizeof(*acks));

    snprintf(head, sizeof(head), "%" PRIu64, change->head);

    apikey_args_function(&args, 0, "apikey_acks", ops->store);
    apikey_args_add(&args, change->epoch);
    apikey_args_add(&args, head);
    apikey_args_add(&args, change->chain);

    reply = apikey_ops_command(ops, 0, &args);
    if (reply == NULL) {
        return -1;
    }

    rc = acks_read(reply, acks);

    if (rc == -1) {
        apikey_ops_misread(ops, "apikey_acks",
                           "verdict, version, time, lease, renewals");
    }

    freeReplyObject(reply);

    return rc;
}


void
apikey_acks_free(apikey_acks_t *acks)
{
    apikey_ops_edges_free(&acks->edges);
}


static int
acks_read(const redisReply *reply, apikey_acks_t *acks)
{
    if (reply->type != REDIS_REPLY_ARRAY || reply->elements != 5
        || apikey_ops_number(reply->element[1], &acks->head) == -1
        || apikey_ops_number(reply->element[2], &acks->time) == -1
        || apikey_ops_number(reply->element[3], &acks->lease) == -1)
    {
        return -1;
    }

    acks->verdict = verdict_read(reply->element[0]);

    return edges_read(reply->element[4], &acks->edges);
}


static int
edges_read(const redisReply *reply, apikey_ops_edges_t *edges)
{
    size_t i;

    if (reply->type != REDIS_REPLY_ARRAY) {
        return -1;
    }

    if (reply->elements == 0) {
        return 0;
    }

    edges->edge = calloc(reply->elements, sizeof(*edges->edge));
    if (edges->edge == NULL) {
        return -1;
    }

    for (i = 0; i < reply->elements; i++) {
        if (edge_read(reply->element[i], &edges->edge[i]) == -1) {
            return -1;
        }

        edges->count++;
    }

    return 0;
}


/* [name, JSON, verdict]; of an older library without a verdict. */
static int
edge_read(const redisReply *item, apikey_ops_edge_t *edge)
{
    const redisReply *name;

    if (item->type != REDIS_REPLY_ARRAY || item->elements < 2
        || item->element[0]->type != REDIS_REPLY_STRING
        || item->element[1]->type != REDIS_REPLY_STRING)
    {
        return -1;
    }

    name = item->element[0];

    snprintf(edge->name, sizeof(edge->name), "%s", name->str);
    renewal_read(item->element[1], edge);
    edge->verdict = item->elements > 2 ? verdict_read(item->element[2])
                                       : APIKEY_VERDICT_OTHER;

    return 0;
}


/* What somebody else wrote there leaves an edge that has renewed nothing: it
   is still named and waited for. */
static void
renewal_read(const redisReply *text, apikey_ops_edge_t *edge)
{
    char    version[24];
    json_t *renewal, *at;

    renewal = json_loadb(text->str, text->len, 0, NULL);

    renewal_text(renewal, "epoch", edge->epoch, sizeof(edge->epoch));
    renewal_text(renewal, "address", edge->address, sizeof(edge->address));
    renewal_text(renewal, "software", edge->software, sizeof(edge->software));
    renewal_text(renewal, "version", version, sizeof(version));

    /* a version is text everywhere in the store */
    edge->version = strtoull(version, NULL, 10);

    at = json_object_get(renewal, "at");
    edge->at =
        json_integer_value(at) > 0 ? (uint64_t) json_integer_value(at) : 0;

    json_decref(renewal);
}


static void
renewal_text(const json_t *renewal, const char *name, char *buffer,
             size_t size)
{
    const char *text;

    text = json_string_value(json_object_get(renewal, name));
    snprintf(buffer, size, "%s", text ? text : "");
}


static apikey_verdict_t
verdict_read(const redisReply *word)
{
    size_t i;

    for (i = 1; i < VERDICTS; i++) {
        if (word->type == REDIS_REPLY_STRING
            && strcmp(word->str, verdicts[i]) == 0) {
            return (apikey_verdict_t) i;
        }
    }

    return APIKEY_VERDICT_OTHER;
}


uint64_t
apikey_edge_left(const apikey_ops_edge_t *edge, uint64_t time,
                 uint64_t lease_ms)
{
    uint64_t end = edge->at + APIKEY_LEASE_BOUND(lease_ms);

    return end >= time ? end - time + 1 : 0;
}


int
apikey_ops_edge_forget(apikey_ops_t *ops, const char *name,
                       apikey_ops_change_t *change)
{
    apikey_args_t args;

    if (apikey_check_edge(ops, name) == -1) {
        return -1;
    }

    apikey_args_function(&args, 1, "apikey_edge_forget", ops->store);
    apikey_args_add(&args, name);

    return apikey_ops_change(ops, "apikey_edge_forget", &args, change);
}
