
/*
 * Copyright (C) 2026 the ngx_http_apikey_module authors
 *
 * The directives: read, checked and merged, so that whatever is wrong with
 * them is said by "nginx -t".
 */


#include "ngx_http_apikey_module.h"

#include <sodium.h>


#define NGX_HTTP_APIKEY_STALE_DENY  0


static char *ngx_http_apikey(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
static char *ngx_http_apikey_table(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static char *ngx_http_apikey_pepper(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static char *ngx_http_apikey_source(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static char *ngx_http_apikey_realm(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static char *ngx_http_apikey_add_source(ngx_conf_t *cf, ngx_array_t *sources,
    ngx_str_t *header, ngx_uint_t bearer);
static char *ngx_http_apikey_check_header(ngx_conf_t *cf, ngx_str_t *header);
static void ngx_http_apikey_cleanup_conf(void *data);
static void *ngx_http_apikey_create_main_conf(ngx_conf_t *cf);
static char *ngx_http_apikey_init_main_conf(ngx_conf_t *cf, void *conf);
static void *ngx_http_apikey_create_srv_conf(ngx_conf_t *cf);
static char *ngx_http_apikey_merge_srv_conf(ngx_conf_t *cf, void *parent,
    void *child);
static void *ngx_http_apikey_create_loc_conf(ngx_conf_t *cf);
static char *ngx_http_apikey_merge_loc_conf(ngx_conf_t *cf, void *parent,
    void *child);
static ngx_int_t ngx_http_apikey_init(ngx_conf_t *cf);


static ngx_conf_enum_t  ngx_http_apikey_stale[] = {
    { ngx_string("deny"), NGX_HTTP_APIKEY_STALE_DENY },
    { ngx_null_string, 0 }
};


static ngx_command_t  ngx_http_apikey_commands[] = {

    { ngx_string("apikey"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_HTTP_LMT_CONF
                        |NGX_CONF_FLAG,
      ngx_http_apikey,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_apikey_loc_conf_t, enable),
      NULL },

    { ngx_string("apikey_table"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE1,
      ngx_http_apikey_table,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("apikey_pepper"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE1,
      ngx_http_apikey_pepper,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("apikey_source"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_CONF_1MORE,
      ngx_http_apikey_source,
      NGX_HTTP_SRV_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("apikey_realm"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_HTTP_LMT_CONF
                        |NGX_CONF_TAKE1,
      ngx_http_apikey_realm,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("apikey_stale"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_HTTP_LMT_CONF
                        |NGX_CONF_TAKE1,
      ngx_conf_set_enum_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_apikey_loc_conf_t, stale),
      &ngx_http_apikey_stale },

      ngx_null_command
};


static ngx_http_module_t  ngx_http_apikey_module_ctx = {
    ngx_http_apikey_variables_add,         /* preconfiguration */
    ngx_http_apikey_init,                  /* postconfiguration */

    ngx_http_apikey_create_main_conf,      /* create main configuration */
    ngx_http_apikey_init_main_conf,        /* init main configuration */

    ngx_http_apikey_create_srv_conf,       /* create server configuration */
    ngx_http_apikey_merge_srv_conf,        /* merge server configuration */

    ngx_http_apikey_create_loc_conf,       /* create location configuration */
    ngx_http_apikey_merge_loc_conf         /* merge location configuration */
};


ngx_module_t  ngx_http_apikey_module = {
    NGX_MODULE_V1,
    &ngx_http_apikey_module_ctx,           /* module context */
    ngx_http_apikey_commands,              /* module directives */
    NGX_HTTP_MODULE,                       /* module type */
    NULL,                                  /* init master */
    NULL,                                  /* init module */
    NULL,                                  /* init process */
    NULL,                                  /* init thread */
    NULL,                                  /* exit thread */
    NULL,                                  /* exit process */
    NULL,                                  /* exit master */
    NGX_MODULE_V1_PADDING
};


static char *
ngx_http_apikey(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_apikey_loc_conf_t *alcf = conf;

    char                         *rv;
    ngx_http_apikey_main_conf_t  *amcf;

    rv = ngx_conf_set_flag_slot(cf, cmd, conf);

    if (rv != NGX_CONF_OK || !alcf->enable) {
        return rv;
    }

    amcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_apikey_module);

    if (amcf->needed_file.len == 0) {
        amcf->needed_file = cf->conf_file->file.name;
        amcf->needed_line = cf->conf_file->line;
    }

    return NGX_CONF_OK;
}


static char *
ngx_http_apikey_table(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_apikey_main_conf_t *amcf = conf;

    ngx_str_t  *value;

    if (amcf->path.data) {
        return "is duplicate";
    }

    value = cf->args->elts;

    if (value[1].len == 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"apikey_table\" lacks the path of a directory");
        return NGX_CONF_ERROR;
    }

    amcf->path = value[1];

    if (ngx_conf_full_name(cf->cycle, &amcf->path, 0) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    if (apikey_table_init(&amcf->table, (char *) amcf->path.data) != 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"apikey_table\" is longer than %d bytes",
                           APIKEY_TABLE_PATH_MAX - 1);
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


static char *
ngx_http_apikey_pepper(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_apikey_main_conf_t *amcf = conf;

    char        error[APIKEY_PEPPER_ERROR_LEN];
    ngx_str_t  *value, file;

    if (amcf->ring) {
        return "is duplicate";
    }

    value = cf->args->elts;
    file = value[1];

    if (ngx_conf_full_name(cf->cycle, &file, 1) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    if (sodium_init() == -1) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "sodium_init() failed");
        return NGX_CONF_ERROR;
    }

    /* guarded, locked, left out of core dumps, wiped when freed */

    amcf->ring = sodium_malloc(sizeof(apikey_pepper_ring_t));
    if (amcf->ring == NULL) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, ngx_errno,
                           "sodium_malloc() failed");
        return NGX_CONF_ERROR;
    }

    if (apikey_pepper_ring_load(amcf->ring, (char *) file.data, error) != 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "\"apikey_pepper\": %s",
                           error);
        return NGX_CONF_ERROR;
    }

    (void) sodium_mprotect_readonly(amcf->ring);

    return NGX_CONF_OK;
}


static char *
ngx_http_apikey_source(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_apikey_srv_conf_t *ascf = conf;

    char        *rv;
    ngx_str_t   *value, header;
    ngx_uint_t   i;

    static ngx_str_t  authorization = ngx_string("Authorization");

    if (ascf->sources) {
        return "is duplicate";
    }

    ascf->sources = ngx_array_create(cf->pool, 2,
                                     sizeof(ngx_http_apikey_source_t));
    if (ascf->sources == NULL) {
        return NGX_CONF_ERROR;
    }

    value = cf->args->elts;

    for (i = 1; i < cf->args->nelts; i++) {

        if (ngx_strcmp(value[i].data, "bearer") == 0) {
            rv = ngx_http_apikey_add_source(cf, ascf->sources,
                                            &authorization, 1);

        } else if (ngx_strncmp(value[i].data, "header=", 7) == 0) {
            header.data = value[i].data + 7;
            header.len = value[i].len - 7;

            rv = ngx_http_apikey_check_header(cf, &header);

            if (rv == NGX_CONF_OK) {
                rv = ngx_http_apikey_add_source(cf, ascf->sources, &header, 0);
            }

        } else {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "invalid \"apikey_source\" \"%V\": it must be "
                               "\"bearer\" or \"header=NAME\"", &value[i]);
            return NGX_CONF_ERROR;
        }

        if (rv != NGX_CONF_OK) {
            return rv;
        }
    }

    return NGX_CONF_OK;
}


static char *
ngx_http_apikey_add_source(ngx_conf_t *cf, ngx_array_t *sources,
    ngx_str_t *header, ngx_uint_t bearer)
{
    ngx_uint_t                 i;
    ngx_http_apikey_source_t  *source;

    source = sources->elts;

    for (i = 0; i < sources->nelts; i++) {
        if (source[i].name.len == header->len
            && ngx_strncasecmp(source[i].name.data, header->data, header->len)
               == 0)
        {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "\"apikey_source\" names \"%V\" twice", header);
            return NGX_CONF_ERROR;
        }
    }

    if (sources->nelts == NGX_HTTP_APIKEY_SOURCES_MAX) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"apikey_source\" names more than %d sources",
                           NGX_HTTP_APIKEY_SOURCES_MAX);
        return NGX_CONF_ERROR;
    }

    source = ngx_array_push(sources);
    if (source == NULL) {
        return NGX_CONF_ERROR;
    }

    source->name = *header;
    source->bearer = bearer;

    source->lowcase.len = header->len;
    source->lowcase.data = ngx_pnalloc(cf->pool, header->len);
    if (source->lowcase.data == NULL) {
        return NGX_CONF_ERROR;
    }

    source->hash = ngx_hash_strlow(source->lowcase.data, header->data,
                                   header->len);

    return NGX_CONF_OK;
}


/*
 * A header that holds keys is taken out of the request, so it must be none
 * that nginx, or anything behind it, needs for something else.
 */

static char *
ngx_http_apikey_check_header(ngx_conf_t *cf, ngx_str_t *header)
{
    u_char              ch;
    ngx_uint_t          i;
    ngx_http_header_t  *known;

    if (header->len == 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"apikey_source\" lacks a name after \"header=\"");
        return NGX_CONF_ERROR;
    }

    for (i = 0; i < header->len; i++) {
        ch = header->data[i];

        if ((ch < '0' || ch > '9') && (ch < 'a' || ch > 'z')
            && (ch < 'A' || ch > 'Z') && ch != '-')
        {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "invalid header name \"%V\" in "
                               "\"apikey_source\": nginx reads only names of "
                               "letters, digits and \"-\"", header);
            return NGX_CONF_ERROR;
        }
    }

    for (known = ngx_http_headers_in; known->name.len; known++) {
        if (known->name.len == header->len
            && ngx_strncasecmp(known->name.data, header->data, header->len)
               == 0)
        {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "\"apikey_source\" cannot be the header "
                               "\"%V\", which has a meaning of its own; for "
                               "\"Authorization: Bearer KEY\" say \"bearer\"",
                               header);
            return NGX_CONF_ERROR;
        }
    }

    return NGX_CONF_OK;
}


static char *
ngx_http_apikey_realm(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_apikey_loc_conf_t *alcf = conf;

    u_char      *p;
    ngx_str_t   *value;
    ngx_uint_t   i;

    if (alcf->realm.data) {
        return "is duplicate";
    }

    value = cf->args->elts;

    /* it is compared by clients, and may hold anything but surprises */

    if (ngx_http_script_variables_count(&value[1])) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"apikey_realm\" cannot contain variables");
        return NGX_CONF_ERROR;
    }

    p = ngx_pnalloc(cf->pool, 2 * value[1].len + 2);
    if (p == NULL) {
        return NGX_CONF_ERROR;
    }

    alcf->realm.data = p;

    /* quoted-string, RFC 9110, 5.6.4 */

    *p++ = '"';

    for (i = 0; i < value[1].len; i++) {

        if (value[1].data[i] < 0x20 || value[1].data[i] == 0x7f) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "\"apikey_realm\" cannot contain control "
                               "characters");
            return NGX_CONF_ERROR;
        }

        if (value[1].data[i] == '"' || value[1].data[i] == '\\') {
            *p++ = '\\';
        }

        *p++ = value[1].data[i];
    }

    *p++ = '"';

    alcf->realm.len = p - alcf->realm.data;

    return NGX_CONF_OK;
}


static void *
ngx_http_apikey_create_main_conf(ngx_conf_t *cf)
{
    ngx_pool_cleanup_t           *cln;
    ngx_http_apikey_main_conf_t  *conf;

    conf = ngx_pcalloc(cf->pool, sizeof(ngx_http_apikey_main_conf_t));
    if (conf == NULL) {
        return NULL;
    }

    /*
     * set by ngx_pcalloc():
     *
     *     conf->path = { 0, NULL };
     *     conf->ring = NULL;
     *     conf->faults = { { 0, 0 }, ... };
     *     conf->needed_file = { 0, NULL };
     *     conf->needed_line = 0;
     */

    if (ngx_array_init(&conf->cached, cf->pool, 8, sizeof(ngx_uint_t))
        != NGX_OK)
    {
        return NULL;
    }

    cln = ngx_pool_cleanup_add(cf->pool, 0);
    if (cln == NULL) {
        return NULL;
    }

    cln->handler = ngx_http_apikey_cleanup_conf;
    cln->data = conf;

    return conf;
}


static char *
ngx_http_apikey_init_main_conf(ngx_conf_t *cf, void *conf)
{
    ngx_http_apikey_main_conf_t *amcf = conf;

    if (amcf->path.data == NULL) {
        ngx_str_set(&amcf->path, "/run/apikey");

        (void) apikey_table_init(&amcf->table, (char *) amcf->path.data);
    }

    if (amcf->needed_file.len && amcf->ring == NULL) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "\"apikey on\" needs \"apikey_pepper\" at http level, "
                      "the file that \"apikeyctl init\" made, in %V:%ui",
                      &amcf->needed_file, amcf->needed_line);
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


/* the table is a worker's; in the master there is nothing to detach */

static void
ngx_http_apikey_cleanup_conf(void *data)
{
    ngx_http_apikey_main_conf_t *amcf = data;

    apikey_table_detach(&amcf->table);

    if (amcf->ring) {
        sodium_free(amcf->ring);
        amcf->ring = NULL;
    }
}


static void *
ngx_http_apikey_create_srv_conf(ngx_conf_t *cf)
{
    ngx_http_apikey_srv_conf_t  *conf;

    conf = ngx_pcalloc(cf->pool, sizeof(ngx_http_apikey_srv_conf_t));
    if (conf == NULL) {
        return NULL;
    }

    /*
     * set by ngx_pcalloc():
     *
     *     conf->sources = NULL;
     *     conf->missing = { 0, NULL };
     */

    return conf;
}


static char *
ngx_http_apikey_merge_srv_conf(ngx_conf_t *cf, void *parent, void *child)
{
    ngx_http_apikey_srv_conf_t *prev = parent;
    ngx_http_apikey_srv_conf_t *conf = child;

    static ngx_str_t  authorization = ngx_string("Authorization");
    static ngx_str_t  x_api_key = ngx_string("X-API-Key");

    if (conf->sources == NULL) {
        conf->sources = prev->sources;
    }

    if (conf->sources == NULL) {
        conf->sources = ngx_array_create(cf->pool, 2,
                                         sizeof(ngx_http_apikey_source_t));

        if (conf->sources == NULL
            || ngx_http_apikey_add_source(cf, conf->sources, &authorization, 1)
               != NGX_CONF_OK
            || ngx_http_apikey_add_source(cf, conf->sources, &x_api_key, 0)
               != NGX_CONF_OK)
        {
            return NGX_CONF_ERROR;
        }
    }

    if (ngx_http_apikey_refuse_missing(cf, conf->sources, &conf->missing)
        != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


static void *
ngx_http_apikey_create_loc_conf(ngx_conf_t *cf)
{
    ngx_http_apikey_loc_conf_t  *conf;

    conf = ngx_pcalloc(cf->pool, sizeof(ngx_http_apikey_loc_conf_t));
    if (conf == NULL) {
        return NULL;
    }

    /*
     * set by ngx_pcalloc():
     *
     *     conf->realm = { 0, NULL };
     */

    conf->enable = NGX_CONF_UNSET;
    conf->stale = NGX_CONF_UNSET_UINT;

    return conf;
}


static char *
ngx_http_apikey_merge_loc_conf(ngx_conf_t *cf, void *parent, void *child)
{
    ngx_http_apikey_loc_conf_t *prev = parent;
    ngx_http_apikey_loc_conf_t *conf = child;

    ngx_conf_merge_value(conf->enable, prev->enable, 0);
    ngx_conf_merge_uint_value(conf->stale, prev->stale,
                              NGX_HTTP_APIKEY_STALE_DENY);
    ngx_conf_merge_str_value(conf->realm, prev->realm, "\"API\"");

    return NGX_CONF_OK;
}


static ngx_int_t
ngx_http_apikey_init(ngx_conf_t *cf)
{
    if (ngx_http_apikey_variables_init(cf) != NGX_OK) {
        return NGX_ERROR;
    }

    if (ngx_http_apikey_access_init(cf) != NGX_OK) {
        return NGX_ERROR;
    }

    return ngx_http_apikey_refuse_init(cf);
}
