
/*
 * Copyright (C) 2026 the ngx_http_apikey_module authors
 *
 * What the files of the module share: its configuration, what it finds out
 * about a request, and who does which part.
 *
 *     credential  which of the request's headers hold a key; hiding them
 *     resolve     credential -> digest -> table -> result, once a request
 *     table       this worker's handle to the table
 *     fault       what is wrong with us is logged, but not by every request
 *     access      result -> let pass, or refuse
 *     refuse      what a refused caller gets to read
 *     variables   what the rest of nginx gets to read
 */


#ifndef _NGX_HTTP_APIKEY_MODULE_H_INCLUDED_
#define _NGX_HTTP_APIKEY_MODULE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "key/key.h"
#include "key/pepper.h"
#include "table/read.h"


#define NGX_HTTP_APIKEY_SOURCES_MAX  8


/* what a request's credential comes to; the value of $apikey_result */

typedef enum {
    NGX_HTTP_APIKEY_OFF = 0,      /* not looked at */
    NGX_HTTP_APIKEY_OK,
    NGX_HTTP_APIKEY_NONE,
    NGX_HTTP_APIKEY_MALFORMED,
    NGX_HTTP_APIKEY_UNKNOWN,
    NGX_HTTP_APIKEY_DISABLED,
    NGX_HTTP_APIKEY_REVOKED,
    NGX_HTTP_APIKEY_EXPIRED,
    NGX_HTTP_APIKEY_STALE,
    NGX_HTTP_APIKEY_UNAVAILABLE
} ngx_http_apikey_result_e;


/* complaints; each is logged at most once a second and worker */

typedef enum {
    NGX_HTTP_APIKEY_FAULT_TABLE = 0,
    NGX_HTTP_APIKEY_FAULT_LEASE,
    NGX_HTTP_APIKEY_FAULT_PEPPER,
    NGX_HTTP_APIKEY_FAULT_SUBREQUEST,
    NGX_HTTP_APIKEY_FAULTS        /* not a fault */
} ngx_http_apikey_fault_e;


typedef struct {
    time_t                        logged;
    ngx_uint_t                    muted;   /* not logged since then */
} ngx_http_apikey_fault_t;


typedef struct {
    ngx_str_t                     path;    /* of the table */
    apikey_pepper_ring_t         *ring;    /* guarded memory; NULL: none */

    /* this worker's own, once it is forked */
    apikey_table_t                table;
    ngx_http_apikey_fault_t       faults[NGX_HTTP_APIKEY_FAULTS];

    /* variables whose cached values resolving or hiding makes wrong */
    ngx_array_t                   cached;  /* of ngx_uint_t, an index */

    /* the first "apikey on", for a complaint about what it lacks */
    ngx_str_t                     needed_file;
    ngx_uint_t                    needed_line;
} ngx_http_apikey_main_conf_t;


/* a header that may hold a key */

typedef struct {
    ngx_str_t                     name;    /* as written by the operator */
    ngx_str_t                     lowcase;
    ngx_uint_t                    hash;    /* of lowcase */
    ngx_uint_t                    bearer;  /* 1: the key follows a scheme */
} ngx_http_apikey_source_t;


typedef struct {
    ngx_array_t                  *sources; /* ngx_http_apikey_source_t */
    ngx_str_t                     missing; /* body of that refusal */
} ngx_http_apikey_srv_conf_t;


typedef struct {
    ngx_flag_t                    enable;
    ngx_uint_t                    stale;
    ngx_str_t                     realm;   /* a quoted-string, RFC 9110 */
} ngx_http_apikey_loc_conf_t;


typedef struct {
    ngx_uint_t                    present; /* 1: there is one, good or bad */
    ngx_str_t                     text;    /* in place; of one that is good */
    const char                   *fault;   /* why one is bad, or NULL */
} ngx_http_apikey_credential_t;


typedef struct ngx_http_apikey_refusal_s  ngx_http_apikey_refusal_t;


/* of a client request; subrequests and internal redirects share it */

typedef struct {
    ngx_http_request_t           *request;
    ngx_pool_t                   *pool;

    ngx_http_apikey_result_e      result;
    const char                   *fault;   /* why it is malformed */

    uint8_t                       digest[APIKEY_DIGEST_LEN];

    /* of a key that was found, good or bad; in the pool */
    ngx_str_t                     id;
    ngx_str_t                     name;
    ngx_str_t                     member;
    ngx_str_t                     tenant;
    ngx_str_t                     scopes;

    const ngx_http_apikey_refusal_t  *refusal;
    ngx_chain_t                  *body;    /* of the refusal, yet to be sent */

    unsigned                      present:1;  /* a credential */
    unsigned                      decided:1;  /* by the access handler */
    unsigned                      hidden:1;
} ngx_http_apikey_ctx_t;


/*
 * Finds the credential among the request's headers.  Every source is looked
 * at: one that is repeated or malformed, or two that differ, make it bad.
 */
void ngx_http_apikey_credential(ngx_http_request_t *r, ngx_array_t *sources,
    ngx_http_apikey_credential_t *credential);

/*
 * Takes every header that holds a credential, good or bad, out of the
 * request and masks its text, so that whatever runs later never sees it.
 */
ngx_int_t ngx_http_apikey_hide(ngx_http_request_t *r, ngx_array_t *sources);

/*
 * Masks alone, for a request that ends before anybody could hide.  The pool
 * is the request's, which at that time is no longer to be found in it.
 */
void ngx_http_apikey_mask(ngx_http_request_t *r, ngx_pool_t *pool,
    ngx_array_t *sources);


/*
 * What is known about this client request, or NULL if it was not resolved.
 * It is found from subrequests and after internal redirects too.
 */
ngx_http_apikey_ctx_t *ngx_http_apikey_get_ctx(ngx_http_request_t *r);

/* Finds it out, once.  NULL: no memory. */
ngx_http_apikey_ctx_t *ngx_http_apikey_resolve(ngx_http_request_t *r);

/*
 * To be called before anything is let pass on what was found out earlier: a
 * key that was good then may have been revoked since (limit_req delays, an
 * upstream took its time before it redirected).
 */
void ngx_http_apikey_refresh(ngx_http_apikey_ctx_t *ctx);

/* Makes nginx evaluate again what it has cached (see cached, above). */
void ngx_http_apikey_forget(ngx_http_request_t *r);


/* Looks a digest up; says in the log why it cannot. */
apikey_lookup_t ngx_http_apikey_table_lookup(ngx_http_request_t *r,
    const uint8_t digest[static APIKEY_DIGEST_LEN], apikey_entry_t *entry);

/* 1, and a line in the log, if keys may exist whose pepper is not ours. */
ngx_uint_t ngx_http_apikey_table_pepper_missing(ngx_http_request_t *r);

/* A line in the log about a lease that ran out, microseconds ago. */
void ngx_http_apikey_table_stale(ngx_http_request_t *r, int64_t late);


/*
 * Whether to complain now.  1: yes, and *muted is how often the same was not
 * logged meanwhile.
 */
ngx_uint_t ngx_http_apikey_fault(ngx_http_request_t *r,
    ngx_http_apikey_fault_e cause, ngx_uint_t *muted);


/* The HTTP status of the refusal; the response itself is made later. */
ngx_int_t ngx_http_apikey_refuse(ngx_http_request_t *r,
    ngx_http_apikey_ctx_t *ctx);

/* The body that tells a caller where a key is expected. */
ngx_int_t ngx_http_apikey_refuse_missing(ngx_conf_t *cf,
    ngx_array_t *sources, ngx_str_t *body);

ngx_int_t ngx_http_apikey_refuse_init(ngx_conf_t *cf);


ngx_int_t ngx_http_apikey_access_init(ngx_conf_t *cf);


ngx_int_t ngx_http_apikey_variables_add(ngx_conf_t *cf);
ngx_int_t ngx_http_apikey_variables_init(ngx_conf_t *cf);


extern ngx_module_t  ngx_http_apikey_module;


#endif /* _NGX_HTTP_APIKEY_MODULE_H_INCLUDED_ */
