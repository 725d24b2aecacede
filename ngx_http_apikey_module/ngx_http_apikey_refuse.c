
/*
 * Copyright (C) 2026 the ngx_http_apikey_module authors
 *
 * What a refused caller gets: the status, a challenge (RFC 6750, 3), when to
 * come again, and a problem document (RFC 9457) that says what to do.
 *
 * The access handler cannot send any of this, because "satisfy any" may let
 * the request pass after all, and because "error_page" goes first.  It leaves
 * a note, and the filters complete the response that nginx makes of the
 * status: with the headers wherever that response comes from, and with the
 * document where it would be nginx's own page.
 */


#include "ngx_http_apikey_module.h"


struct ngx_http_apikey_refusal_s {
    ngx_http_apikey_result_e   result;
    ngx_uint_t                 status;
    ngx_str_t                  code;       /* of the document, and the log */
    char                      *error;      /* of the challenge, or NULL */
    ngx_uint_t                 challenge;  /* 1: there is one */
    ngx_str_t                  body;
};


static ngx_int_t ngx_http_apikey_header_filter(ngx_http_request_t *r);
static ngx_int_t ngx_http_apikey_body_filter(ngx_http_request_t *r,
    ngx_chain_t *in);
static ngx_int_t ngx_http_apikey_refuse_challenge(ngx_http_request_t *r,
    const ngx_http_apikey_refusal_t *refusal);
static ngx_int_t ngx_http_apikey_refuse_header(ngx_http_request_t *r,
    char *key, ngx_str_t *value);
static ngx_int_t ngx_http_apikey_refuse_body(ngx_http_request_t *r,
    ngx_http_apikey_ctx_t *ctx);


static ngx_http_output_header_filter_pt  ngx_http_next_header_filter;
static ngx_http_output_body_filter_pt    ngx_http_next_body_filter;


#define NGX_HTTP_APIKEY_TYPE  "application/problem+json"

#define ngx_http_apikey_problem(status, code, title, detail)                  \
    ngx_string("{\"type\":\"urn:apikey:problem:" code "\","                   \
               "\"title\":\"" title "\","                                     \
               "\"status\":" status ","                                       \
               "\"detail\":\"" detail "\","                                   \
               "\"code\":\"" code "\"}" CRLF)


static const ngx_http_apikey_refusal_t  ngx_http_apikey_refusals[] = {

    { NGX_HTTP_APIKEY_NONE, NGX_HTTP_UNAUTHORIZED,
      ngx_string("missing"), NULL, 1,
      ngx_null_string },                   /* of the server's sources */

    { NGX_HTTP_APIKEY_MALFORMED, NGX_HTTP_BAD_REQUEST,
      ngx_string("malformed"), "invalid_request", 1,
      ngx_http_apikey_problem("400", "malformed", "Malformed API key",
          "Send exactly one API key, once, and nothing else beside it: "
          "16 to 256 characters of A-Z, a-z, 0-9 and - . _ ~ + /, "
          "with any = at the end.") },

    { NGX_HTTP_APIKEY_UNKNOWN, NGX_HTTP_UNAUTHORIZED,
      ngx_string("unknown"), "invalid_token", 1,
      ngx_http_apikey_problem("401", "unknown", "Unknown API key",
          "There is no such API key: check that all of it was copied, "
          "and that it belongs to this service.") },

    { NGX_HTTP_APIKEY_DISABLED, NGX_HTTP_UNAUTHORIZED,
      ngx_string("disabled"), "invalid_token", 1,
      ngx_http_apikey_problem("401", "disabled", "Disabled API key",
          "This API key is disabled: have an administrator enable it, "
          "or use another one.") },

    { NGX_HTTP_APIKEY_REVOKED, NGX_HTTP_UNAUTHORIZED,
      ngx_string("revoked"), "invalid_token", 1,
      ngx_http_apikey_problem("401", "revoked", "Revoked API key",
          "This API key is revoked and will never work again: "
          "create a new one.") },

    { NGX_HTTP_APIKEY_EXPIRED, NGX_HTTP_UNAUTHORIZED,
      ngx_string("expired"), "invalid_token", 1,
      ngx_http_apikey_problem("401", "expired", "Expired API key",
          "This API key has expired: create a new one.") },

    { NGX_HTTP_APIKEY_STALE, NGX_HTTP_SERVICE_UNAVAILABLE,
      ngx_string("stale"), NULL, 0,
      ngx_http_apikey_problem("503", "stale", "API keys cannot be checked",
          "The service cannot tell at the moment whether this API key is "
          "good: try again in a second.") },

    { NGX_HTTP_APIKEY_UNAVAILABLE, NGX_HTTP_SERVICE_UNAVAILABLE,
      ngx_string("unavailable"), NULL, 0,
      ngx_http_apikey_problem("503", "unavailable",
          "API keys cannot be checked",
          "The service cannot tell at the moment whether this API key is "
          "good: try again in a second.") }
};


ngx_int_t
ngx_http_apikey_refuse(ngx_http_request_t *r, ngx_http_apikey_ctx_t *ctx)
{
    const ngx_http_apikey_refusal_t  *refusal;

    refusal = ngx_http_apikey_refusals;

    while (refusal->result != ctx->result) {
        refusal++;
    }

    ctx->refusal = refusal;

    /* the refusal is of this location: see the header filter */

    ngx_http_set_ctx(r, ctx, ngx_http_apikey_module);

    if (ctx->fault) {
        ngx_log_error(NGX_LOG_INFO, r->connection->log, 0,
                      "apikey: %V: %s", &refusal->code, ctx->fault);

    } else if (ctx->id.len) {
        ngx_log_error(NGX_LOG_INFO, r->connection->log, 0,
                      "apikey: %V, id: %V", &refusal->code, &ctx->id);

    } else {
        ngx_log_error(NGX_LOG_INFO, r->connection->log, 0,
                      "apikey: %V", &refusal->code);
    }

    return refusal->status;
}


static ngx_int_t
ngx_http_apikey_header_filter(ngx_http_request_t *r)
{
    ngx_str_t                         value;
    ngx_http_apikey_ctx_t            *ctx;
    const ngx_http_apikey_refusal_t  *refusal;

    if (r != r->main || r->err_status == 0) {
        return ngx_http_next_header_filter(r);
    }

    ctx = ngx_http_apikey_get_ctx(r);

    if (ctx == NULL
        || ctx->refusal == NULL
        || ctx->refusal->status != r->err_status)
    {
        return ngx_http_next_header_filter(r);
    }

    refusal = ctx->refusal;

    if (refusal->challenge
        && ngx_http_apikey_refuse_challenge(r, refusal) != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (refusal->status == NGX_HTTP_SERVICE_UNAVAILABLE) {
        ngx_str_set(&value, "1");

        if (ngx_http_apikey_refuse_header(r, "Retry-After", &value)
            != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    /*
     * "error_page" clears the contexts when it goes to another location: then
     * the body is that location's
     */

    if (ngx_http_get_module_ctx(r, ngx_http_apikey_module)
        && ngx_http_apikey_refuse_body(r, ctx) != NGX_OK)
    {
        return NGX_ERROR;
    }

    return ngx_http_next_header_filter(r);
}


static ngx_int_t
ngx_http_apikey_body_filter(ngx_http_request_t *r, ngx_chain_t *in)
{
    ngx_uint_t              last;
    ngx_chain_t            *cl;
    ngx_http_apikey_ctx_t  *ctx;

    ctx = ngx_http_get_module_ctx(r, ngx_http_apikey_module);

    if (ctx == NULL || ctx->body == NULL || in == NULL) {
        return ngx_http_next_body_filter(r, in);
    }

    /*
     * nginx's own page, in one chain or, if a filter has it copied, buffer by
     * buffer; what replaces it takes the place of the last one
     */

    last = 0;

    for (cl = in; cl; cl = cl->next) {
        cl->buf->pos = cl->buf->last;
        last |= cl->buf->last_buf;
    }

    if (!last) {
        return NGX_OK;
    }

    cl = ctx->body;
    ctx->body = NULL;

    return ngx_http_next_body_filter(r, cl);
}


static ngx_int_t
ngx_http_apikey_refuse_challenge(ngx_http_request_t *r,
    const ngx_http_apikey_refusal_t *refusal)
{
    u_char                      *p;
    size_t                       len;
    ngx_str_t                    value;
    ngx_http_apikey_loc_conf_t  *alcf;

    alcf = ngx_http_get_module_loc_conf(r, ngx_http_apikey_module);

    len = sizeof("Bearer realm=") - 1 + alcf->realm.len;

    if (refusal->error) {
        len += sizeof(", error=\"\"") - 1 + ngx_strlen(refusal->error);
    }

    value.data = ngx_pnalloc(r->pool, len);
    if (value.data == NULL) {
        return NGX_ERROR;
    }

    p = ngx_sprintf(value.data, "Bearer realm=%V", &alcf->realm);

    if (refusal->error) {
        p = ngx_sprintf(p, ", error=\"%s\"", refusal->error);
    }

    value.len = p - value.data;

    return ngx_http_apikey_refuse_header(r, "WWW-Authenticate", &value);
}


static ngx_int_t
ngx_http_apikey_refuse_header(ngx_http_request_t *r, char *key,
    ngx_str_t *value)
{
    ngx_table_elt_t  *h;

    h = ngx_list_push(&r->headers_out.headers);
    if (h == NULL) {
        return NGX_ERROR;
    }

    ngx_memzero(h, sizeof(ngx_table_elt_t));

    h->hash = 1;
    h->key.len = ngx_strlen(key);
    h->key.data = (u_char *) key;
    h->value = *value;

    return NGX_OK;
}


static ngx_int_t
ngx_http_apikey_refuse_body(ngx_http_request_t *r, ngx_http_apikey_ctx_t *ctx)
{
    ngx_buf_t                   *b;
    const ngx_str_t             *body;
    ngx_http_apikey_srv_conf_t  *ascf;

    body = &ctx->refusal->body;

    if (ctx->result == NGX_HTTP_APIKEY_NONE) {
        ascf = ngx_http_get_module_srv_conf(r, ngx_http_apikey_module);
        body = &ascf->missing;
    }

    ctx->body = ngx_alloc_chain_link(r->pool);
    if (ctx->body == NULL) {
        return NGX_ERROR;
    }

    b = ngx_calloc_buf(r->pool);
    if (b == NULL) {
        return NGX_ERROR;
    }

    b->pos = body->data;
    b->last = body->data + body->len;
    b->memory = 1;
    b->last_buf = 1;
    b->last_in_chain = 1;

    ctx->body->buf = b;
    ctx->body->next = NULL;

    r->headers_out.content_length_n = body->len;

    ngx_str_set(&r->headers_out.content_type, NGX_HTTP_APIKEY_TYPE);
    r->headers_out.content_type_len = r->headers_out.content_type.len;
    r->headers_out.content_type_lowcase = NULL;

    return NGX_OK;
}


ngx_int_t
ngx_http_apikey_refuse_missing(ngx_conf_t *cf, ngx_array_t *sources,
    ngx_str_t *body)
{
    u_char                    *p;
    size_t                     len;
    ngx_uint_t                 i;
    ngx_http_apikey_source_t  *source;

    static const ngx_str_t  head = ngx_string(
        "{\"type\":\"urn:apikey:problem:missing\","
        "\"title\":\"Missing API key\",\"status\":401,"
        "\"detail\":\"Send your API key in a header: ");

    static const ngx_str_t  tail = ngx_string(
        ".\",\"code\":\"missing\"}" CRLF);

    source = sources->elts;
    len = head.len + tail.len;

    for (i = 0; i < sources->nelts; i++) {
        len += sizeof(" or : Bearer KEY") - 1 + source[i].name.len;
    }

    p = ngx_pnalloc(cf->pool, len);
    if (p == NULL) {
        return NGX_ERROR;
    }

    body->data = p;

    p = ngx_sprintf(p, "%V", &head);

    for (i = 0; i < sources->nelts; i++) {
        p = ngx_sprintf(p, "%s%V: %sKEY", i ? " or " : "", &source[i].name,
                        source[i].bearer ? "Bearer " : "");
    }

    p = ngx_sprintf(p, "%V", &tail);

    body->len = p - body->data;

    return NGX_OK;
}


ngx_int_t
ngx_http_apikey_refuse_init(ngx_conf_t *cf)
{
    ngx_http_next_header_filter = ngx_http_top_header_filter;
    ngx_http_top_header_filter = ngx_http_apikey_header_filter;

    ngx_http_next_body_filter = ngx_http_top_body_filter;
    ngx_http_top_body_filter = ngx_http_apikey_body_filter;

    return NGX_OK;
}
