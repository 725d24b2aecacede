
/*
 * Copyright (C) 2026 the ngx_http_apikey_module authors
 *
 * The variables: who is calling, as the table has it, and what became of the
 * key.  Any of them resolves the request, in whatever phase it is used.
 */


#include "ngx_http_apikey_module.h"


static ngx_int_t ngx_http_apikey_variable_ctx(ngx_http_request_t *r,
    ngx_http_apikey_ctx_t **ctx);
static ngx_int_t ngx_http_apikey_variable_text(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);
static ngx_int_t ngx_http_apikey_variable_result(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);
static ngx_uint_t ngx_http_apikey_variable_affected(ngx_str_t *name,
    ngx_http_core_main_conf_t *cmcf);
static ngx_uint_t ngx_http_apikey_variable_of_header(ngx_str_t *name,
    ngx_str_t *header);


static ngx_http_variable_t  ngx_http_apikey_vars[] = {

    { ngx_string("apikey_id"), NULL, ngx_http_apikey_variable_text,
      offsetof(ngx_http_apikey_ctx_t, id), 0, 0 },

    { ngx_string("apikey_name"), NULL, ngx_http_apikey_variable_text,
      offsetof(ngx_http_apikey_ctx_t, name), 0, 0 },

    { ngx_string("apikey_member"), NULL, ngx_http_apikey_variable_text,
      offsetof(ngx_http_apikey_ctx_t, member), 0, 0 },

    { ngx_string("apikey_tenant"), NULL, ngx_http_apikey_variable_text,
      offsetof(ngx_http_apikey_ctx_t, tenant), 0, 0 },

    { ngx_string("apikey_scopes"), NULL, ngx_http_apikey_variable_text,
      offsetof(ngx_http_apikey_ctx_t, scopes), 0, 0 },

    { ngx_string("apikey_result"), NULL, ngx_http_apikey_variable_result,
      0, 0, 0 },

      ngx_http_null_variable
};


/* by ngx_http_apikey_result_e */

static ngx_str_t  ngx_http_apikey_results[] = {
    ngx_string("off"),
    ngx_string("ok"),
    ngx_string("none"),
    ngx_string("malformed"),
    ngx_string("unknown"),
    ngx_string("disabled"),
    ngx_string("revoked"),
    ngx_string("expired"),
    ngx_string("stale"),
    ngx_string("unavailable")
};


/* NULL: off here, and nobody resolved the request elsewhere */

static ngx_int_t
ngx_http_apikey_variable_ctx(ngx_http_request_t *r,
    ngx_http_apikey_ctx_t **ctx)
{
    ngx_http_apikey_loc_conf_t  *alcf;

    *ctx = ngx_http_apikey_get_ctx(r);

    if (*ctx) {
        return NGX_OK;
    }

    alcf = ngx_http_get_module_loc_conf(r, ngx_http_apikey_module);

    if (!alcf->enable) {
        return NGX_OK;
    }

    *ctx = ngx_http_apikey_resolve(r);

    return *ctx ? NGX_OK : NGX_ERROR;
}


static ngx_int_t
ngx_http_apikey_variable_text(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data)
{
    ngx_str_t              *text;
    ngx_http_apikey_ctx_t  *ctx;

    if (ngx_http_apikey_variable_ctx(r, &ctx) != NGX_OK) {
        return NGX_ERROR;
    }

    /*
     * whoever uses these takes them for the caller's identity, so a key that
     * was found but is not good has none
     */

    if (ctx == NULL || ctx->result != NGX_HTTP_APIKEY_OK) {
        v->no_cacheable = (ctx == NULL);
        v->not_found = 1;

        return NGX_OK;
    }

    text = (ngx_str_t *) ((char *) ctx + data);

    v->len = text->len;
    v->valid = 1;
    v->no_cacheable = 0;
    v->not_found = 0;
    v->data = text->data;

    return NGX_OK;
}


static ngx_int_t
ngx_http_apikey_variable_result(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data)
{
    ngx_str_t              *name;
    ngx_http_apikey_ctx_t  *ctx;

    if (ngx_http_apikey_variable_ctx(r, &ctx) != NGX_OK) {
        return NGX_ERROR;
    }

    name = &ngx_http_apikey_results[ctx ? ctx->result : NGX_HTTP_APIKEY_OFF];

    v->len = name->len;
    v->valid = 1;
    v->no_cacheable = (ctx == NULL);
    v->not_found = 0;
    v->data = name->data;

    return NGX_OK;
}


ngx_int_t
ngx_http_apikey_variables_add(ngx_conf_t *cf)
{
    ngx_http_variable_t  *var, *v;

    for (v = ngx_http_apikey_vars; v->name.len; v++) {
        var = ngx_http_add_variable(cf, &v->name, v->flags);
        if (var == NULL) {
            return NGX_ERROR;
        }

        var->get_handler = v->get_handler;
        var->data = v->data;
    }

    return NGX_OK;
}


/*
 * Of all variables that the configuration uses, keeps those that may hold
 * an older truth: ours, evaluated where the module is off, and headers that
 * were read before they were hidden.
 */

ngx_int_t
ngx_http_apikey_variables_init(ngx_conf_t *cf)
{
    ngx_uint_t                    i, *index;
    ngx_http_variable_t          *v;
    ngx_http_core_main_conf_t    *cmcf;
    ngx_http_apikey_main_conf_t  *amcf;

    amcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_apikey_module);
    cmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_core_module);

    v = cmcf->variables.elts;

    for (i = 0; i < cmcf->variables.nelts; i++) {

        if (!ngx_http_apikey_variable_affected(&v[i].name, cmcf)) {
            continue;
        }

        index = ngx_array_push(&amcf->cached);
        if (index == NULL) {
            return NGX_ERROR;
        }

        *index = i;
    }

    return NGX_OK;
}


static ngx_uint_t
ngx_http_apikey_variable_affected(ngx_str_t *name,
    ngx_http_core_main_conf_t *cmcf)
{
    ngx_uint_t                    i, n;
    ngx_http_variable_t          *v;
    ngx_http_core_srv_conf_t    **cscf;
    ngx_http_apikey_source_t     *source;
    ngx_http_apikey_srv_conf_t   *ascf;

    for (v = ngx_http_apikey_vars; v->name.len; v++) {
        if (v->name.len == name->len
            && ngx_memcmp(v->name.data, name->data, name->len) == 0)
        {
            return 1;
        }
    }

    cscf = cmcf->servers.elts;

    for (i = 0; i < cmcf->servers.nelts; i++) {
        ascf = cscf[i]->ctx->srv_conf[ngx_http_apikey_module.ctx_index];
        source = ascf->sources->elts;

        for (n = 0; n < ascf->sources->nelts; n++) {
            if (ngx_http_apikey_variable_of_header(name, &source[n].lowcase)) {
                return 1;
            }
        }
    }

    return 0;
}


/* $http_x_api_key is of the header x-api-key */

static ngx_uint_t
ngx_http_apikey_variable_of_header(ngx_str_t *name, ngx_str_t *header)
{
    u_char      ch, *p;
    ngx_uint_t  i;

    if (name->len != sizeof("http_") - 1 + header->len
        || ngx_strncmp(name->data, "http_", sizeof("http_") - 1) != 0)
    {
        return 0;
    }

    p = name->data + sizeof("http_") - 1;

    for (i = 0; i < header->len; i++) {
        ch = header->data[i] == '-' ? '_' : header->data[i];

        if (p[i] != ch) {
            return 0;
        }
    }

    return 1;
}
