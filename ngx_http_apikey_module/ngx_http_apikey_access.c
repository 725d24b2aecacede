
/*
 * Copyright (C) 2026 the ngx_http_apikey_module authors
 *
 * The decision: what is known about a request's key becomes "pass" or a
 * refusal.
 */


#include "ngx_http_apikey_module.h"


static ngx_int_t ngx_http_apikey_access_handler(ngx_http_request_t *r);
static ngx_int_t ngx_http_apikey_access_hide(ngx_http_request_t *r,
    ngx_http_apikey_ctx_t *ctx);
static ngx_int_t ngx_http_apikey_precontent_handler(ngx_http_request_t *r);
static void ngx_http_apikey_access_warn(ngx_http_request_t *r);


static ngx_int_t
ngx_http_apikey_access_handler(ngx_http_request_t *r)
{
    ngx_http_apikey_ctx_t       *ctx;
    ngx_http_apikey_loc_conf_t  *alcf;

    alcf = ngx_http_get_module_loc_conf(r, ngx_http_apikey_module);

    if (!alcf->enable) {

        /*
         * a key that was shown where the module is on, but sent here (by
         * "error_page") before access was checked there
         */

        if (r->internal) {
            ctx = ngx_http_apikey_get_ctx(r);

            if (ctx && ngx_http_apikey_access_hide(r, ctx) != NGX_OK) {
                return NGX_HTTP_INTERNAL_SERVER_ERROR;
            }
        }

        /* abstaining: NGX_OK would open "satisfy any" */

        return NGX_DECLINED;
    }

    ngx_log_debug0(NGX_LOG_DEBUG_HTTP, r->connection->log, 0,
                   "apikey access handler");

    ctx = ngx_http_apikey_get_ctx(r);

    if (ctx) {
        ngx_http_apikey_refresh(ctx);

    } else {
        ctx = ngx_http_apikey_resolve(r);
        if (ctx == NULL) {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }
    }

    ctx->decided = 1;

    if (ngx_http_apikey_access_hide(r, ctx) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (ctx->result == NGX_HTTP_APIKEY_OK) {
        ctx->refusal = NULL;

        return NGX_OK;
    }

    return ngx_http_apikey_refuse(r, ctx);
}


static ngx_int_t
ngx_http_apikey_access_hide(ngx_http_request_t *r,
    ngx_http_apikey_ctx_t *ctx)
{
    ngx_http_apikey_srv_conf_t  *ascf;

    if (!ctx->present || ctx->hidden) {
        return NGX_OK;
    }

    ascf = ngx_http_get_module_srv_conf(r, ngx_http_apikey_module);

    if (ngx_http_apikey_hide(r, ascf->sources) != NGX_OK) {
        return NGX_ERROR;
    }

    ctx->hidden = 1;
    ngx_http_apikey_forget(r);

    return NGX_OK;
}


/*
 * Only requests that may pass get beyond the access phase.  If this one was
 * refused in the same location nevertheless, something else was enough for
 * "satisfy any", and no response to come is a refusal of ours.
 */

static ngx_int_t
ngx_http_apikey_precontent_handler(ngx_http_request_t *r)
{
    ngx_http_apikey_ctx_t  *ctx;

    if (r != r->main) {
        ngx_http_apikey_access_warn(r);

        return NGX_DECLINED;
    }

    ctx = ngx_http_get_module_ctx(r, ngx_http_apikey_module);

    if (ctx) {
        ctx->refusal = NULL;
    }

    return NGX_DECLINED;
}


/*
 * nginx runs no access phase for subrequests: they are let pass because the
 * client request was.  If that was not decided here, a location that looks
 * guarded is not.
 */

static void
ngx_http_apikey_access_warn(ngx_http_request_t *r)
{
    ngx_uint_t                   muted;
    ngx_http_apikey_ctx_t       *ctx;
    ngx_http_apikey_loc_conf_t  *alcf;

    alcf = ngx_http_get_module_loc_conf(r, ngx_http_apikey_module);

    if (!alcf->enable) {
        return;
    }

    ctx = ngx_http_apikey_get_ctx(r);

    if (ctx && ctx->decided && ctx->refusal == NULL) {
        return;
    }

    if (ngx_http_apikey_fault(r, NGX_HTTP_APIKEY_FAULT_SUBREQUEST, &muted)) {
        ngx_log_error(NGX_LOG_WARN, r->connection->log, 0,
                      "apikey: \"apikey on\" has no effect on the subrequest "
                      "\"%V\", nginx checks access for client requests alone: "
                      "guard the location that makes it "
                      "(%ui more not logged)", &r->uri, muted);
    }
}


ngx_int_t
ngx_http_apikey_access_init(ngx_conf_t *cf)
{
    ngx_http_handler_pt        *h;
    ngx_http_core_main_conf_t  *cmcf;

    cmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_core_module);

    h = ngx_array_push(&cmcf->phases[NGX_HTTP_ACCESS_PHASE].handlers);
    if (h == NULL) {
        return NGX_ERROR;
    }

    *h = ngx_http_apikey_access_handler;

    h = ngx_array_push(&cmcf->phases[NGX_HTTP_PRECONTENT_PHASE].handlers);
    if (h == NULL) {
        return NGX_ERROR;
    }

    *h = ngx_http_apikey_precontent_handler;

    return NGX_OK;
}
