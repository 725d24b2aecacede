
/*
 * Copyright (C) 2026 the ngx_http_apikey_module authors
 *
 * What a request's key is good for, found out once a client request: by
 * whoever asks first, in any phase, for the decision and for the variables.
 */


#include "ngx_http_apikey_module.h"

#include <sodium.h>


static void ngx_http_apikey_resolve_key(ngx_http_request_t *r,
    ngx_http_apikey_ctx_t *ctx, ngx_str_t *text);
static ngx_http_apikey_result_e ngx_http_apikey_judge(
    ngx_http_apikey_ctx_t *ctx, apikey_entry_t *entry);
static ngx_http_apikey_result_e ngx_http_apikey_judge_unknown(
    ngx_http_apikey_ctx_t *ctx, int64_t late);
static void ngx_http_apikey_texts(ngx_http_apikey_ctx_t *ctx,
    const apikey_table_record_t *record);
static void ngx_http_apikey_cleanup(void *data);


ngx_http_apikey_ctx_t *
ngx_http_apikey_get_ctx(ngx_http_request_t *r)
{
    ngx_pool_cleanup_t     *cln;
    ngx_http_apikey_ctx_t  *ctx;

    r = r->main;

    ctx = ngx_http_get_module_ctx(r, ngx_http_apikey_module);

    if (ctx == NULL && (r->internal || r->filter_finalize)) {

        /*
         * if module context was reset, the resolution can still be found
         * in the cleanup handler; the context is not set again, because it
         * also says that a refusal is of this location (see refuse)
         */

        for (cln = r->pool->cleanup; cln; cln = cln->next) {
            if (cln->handler == ngx_http_apikey_cleanup) {
                ctx = cln->data;
                break;
            }
        }
    }

    return ctx;
}


ngx_http_apikey_ctx_t *
ngx_http_apikey_resolve(ngx_http_request_t *r)
{
    ngx_pool_cleanup_t            *cln;
    ngx_http_apikey_ctx_t         *ctx;
    ngx_http_apikey_srv_conf_t    *ascf;
    ngx_http_apikey_credential_t   credential;

    r = r->main;

    cln = ngx_pool_cleanup_add(r->pool, sizeof(ngx_http_apikey_ctx_t));
    if (cln == NULL) {
        return NULL;
    }

    ctx = cln->data;
    ngx_memzero(ctx, sizeof(ngx_http_apikey_ctx_t));

    ctx->request = r;
    ctx->pool = r->pool;

    cln->handler = ngx_http_apikey_cleanup;
    ngx_http_set_ctx(r, ctx, ngx_http_apikey_module);

    ascf = ngx_http_get_module_srv_conf(r, ngx_http_apikey_module);

    ngx_http_apikey_credential(r, ascf->sources, &credential);

    ctx->present = credential.present;

    if (!credential.present) {
        ctx->result = NGX_HTTP_APIKEY_NONE;

    } else if (credential.fault) {
        ctx->result = NGX_HTTP_APIKEY_MALFORMED;
        ctx->fault = credential.fault;

    } else {
        ngx_http_apikey_resolve_key(r, ctx, &credential.text);
    }

    ngx_http_apikey_forget(r);

    return ctx;
}


void
ngx_http_apikey_refresh(ngx_http_apikey_ctx_t *ctx)
{
    apikey_entry_t  entry;

    if (ctx->result != NGX_HTTP_APIKEY_OK) {
        return;
    }

    ngx_log_debug0(NGX_LOG_DEBUG_HTTP, ctx->request->connection->log, 0,
                   "apikey refresh");

    switch (ngx_http_apikey_table_lookup(ctx->request, ctx->digest, &entry)) {

    case APIKEY_LOOKUP_FOUND:
        ctx->result = ngx_http_apikey_judge(ctx, &entry);
        break;

    case APIKEY_LOOKUP_UNKNOWN:
        ctx->result = ngx_http_apikey_judge_unknown(ctx, entry.late);
        break;

    case APIKEY_LOOKUP_UNAVAILABLE:
        ctx->result = NGX_HTTP_APIKEY_UNAVAILABLE;
        break;
    }

    ngx_http_apikey_forget(ctx->request);
}


void
ngx_http_apikey_forget(ngx_http_request_t *r)
{
    ngx_uint_t                    i, *index;
    ngx_http_apikey_main_conf_t  *amcf;

    amcf = ngx_http_get_module_main_conf(r, ngx_http_apikey_module);

    index = amcf->cached.elts;

    for (i = 0; i < amcf->cached.nelts; i++) {
        r->variables[index[i]].valid = 0;
        r->variables[index[i]].not_found = 0;
    }
}


static void
ngx_http_apikey_resolve_key(ngx_http_request_t *r, ngx_http_apikey_ctx_t *ctx,
    ngx_str_t *text)
{
    size_t                        i;
    int64_t                       late;
    apikey_entry_t                entry;
    apikey_pepper_ring_t         *ring;
    ngx_http_apikey_main_conf_t  *amcf;

    amcf = ngx_http_get_module_main_conf(r, ngx_http_apikey_module);

    ring = amcf->ring;
    late = INT64_MIN;

    for (i = 0; ring && i < ring->count; i++) {

        apikey_digest(ctx->digest, text->data, text->len,
                      ring->pepper[i].secret);

        switch (ngx_http_apikey_table_lookup(r, ctx->digest, &entry)) {

        case APIKEY_LOOKUP_FOUND:
            ctx->result = ngx_http_apikey_judge(ctx, &entry);
            return;

        case APIKEY_LOOKUP_UNKNOWN:
            late = ngx_max(late, entry.late);
            break;

        case APIKEY_LOOKUP_UNAVAILABLE:
            ctx->result = NGX_HTTP_APIKEY_UNAVAILABLE;
            return;
        }
    }

    ctx->result = ngx_http_apikey_judge_unknown(ctx, late);
}


static ngx_http_apikey_result_e
ngx_http_apikey_judge(ngx_http_apikey_ctx_t *ctx, apikey_entry_t *entry)
{
    ngx_http_apikey_texts(ctx, entry->record);

    /* revoked is for ever: it holds however old the view is */

    if (entry->status == APIKEY_REVOKED) {
        return NGX_HTTP_APIKEY_REVOKED;
    }

    if (entry->late >= 0) {
        ngx_http_apikey_table_stale(ctx->request, entry->late);
        return NGX_HTTP_APIKEY_STALE;
    }

    if (entry->status == APIKEY_DISABLED) {
        return NGX_HTTP_APIKEY_DISABLED;
    }

    if (entry->record->expires
        && entry->record->expires <= (uint64_t) ngx_time())
    {
        return NGX_HTTP_APIKEY_EXPIRED;
    }

    if (entry->status == APIKEY_ENABLED) {
        return NGX_HTTP_APIKEY_OK;
    }

    return NGX_HTTP_APIKEY_UNAVAILABLE;
}


static ngx_http_apikey_result_e
ngx_http_apikey_judge_unknown(ngx_http_apikey_ctx_t *ctx, int64_t late)
{
    if (late >= 0) {

        /* it may have been created since */

        ngx_http_apikey_table_stale(ctx->request, late);
        return NGX_HTTP_APIKEY_STALE;
    }

    if (ngx_http_apikey_table_pepper_missing(ctx->request)) {
        return NGX_HTTP_APIKEY_UNAVAILABLE;
    }

    return NGX_HTTP_APIKEY_UNKNOWN;
}


static void
ngx_http_apikey_texts(ngx_http_apikey_ctx_t *ctx,
    const apikey_table_record_t *record)
{
    apikey_texts_t  texts;

    apikey_table_texts(record, &texts);

    ctx->id.data = (u_char *) texts.id;
    ctx->id.len = texts.id_len;

    ctx->name.data = (u_char *) texts.name;
    ctx->name.len = texts.name_len;

    ctx->member.data = (u_char *) texts.member;
    ctx->member.len = texts.member_len;

    ctx->tenant.data = (u_char *) texts.tenant;
    ctx->tenant.len = texts.tenant_len;

    ctx->scopes.data = (u_char *) texts.scopes;
    ctx->scopes.len = texts.scopes_len;
}


static void
ngx_http_apikey_cleanup(void *data)
{
    ngx_http_apikey_ctx_t *ctx = data;

    ngx_http_apikey_srv_conf_t  *ascf;

    sodium_memzero(ctx->digest, APIKEY_DIGEST_LEN);

    if (ctx->present && !ctx->hidden) {
        ascf = ngx_http_get_module_srv_conf(ctx->request,
                                            ngx_http_apikey_module);

        ngx_http_apikey_mask(ctx->request, ctx->pool, ascf->sources);
    }
}
