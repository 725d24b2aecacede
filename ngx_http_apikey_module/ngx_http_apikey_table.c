
/*
 * Copyright (C) 2026 the ngx_http_apikey_module authors
 *
 * This worker's handle to the table: attached on first use, so that a table
 * that is missing stops nothing, and what is wrong with it said in the log.
 */


#include "ngx_http_apikey_module.h"


static void *ngx_http_apikey_table_alloc(void *ctx, size_t size);


apikey_lookup_t
ngx_http_apikey_table_lookup(ngx_http_request_t *r,
    const uint8_t digest[static APIKEY_DIGEST_LEN], apikey_entry_t *entry)
{
    ngx_uint_t                    muted;
    apikey_lookup_t               found;
    ngx_http_apikey_main_conf_t  *amcf;

    amcf = ngx_http_get_module_main_conf(r, ngx_http_apikey_module);

    found = apikey_table_lookup(&amcf->table, digest, entry,
                                ngx_http_apikey_table_alloc, r->pool);

    if (found == APIKEY_LOOKUP_UNAVAILABLE
        && ngx_http_apikey_fault(r, NGX_HTTP_APIKEY_FAULT_TABLE, &muted))
    {
        ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                      "apikey: table \"%V\" cannot be used: %s; requests "
                      "with a key get 503 until it can be, nginx need not be "
                      "reloaded (%ui more not logged)",
                      &amcf->path, apikey_table_strerror(amcf->table.error),
                      muted);
    }

    return found;
}


ngx_uint_t
ngx_http_apikey_table_pepper_missing(ngx_http_request_t *r)
{
    size_t                        n;
    uint64_t                      pepper[APIKEY_TABLE_PEPPERS];
    ngx_uint_t                    i, muted;
    ngx_http_apikey_main_conf_t  *amcf;

    amcf = ngx_http_get_module_main_conf(r, ngx_http_apikey_module);

    apikey_table_peppers(&amcf->table, pepper);

    for (i = 0; i < APIKEY_TABLE_PEPPERS; i++) {

        if (pepper[i] == 0) {
            continue;
        }

        for (n = 0; amcf->ring && n < amcf->ring->count; n++) {
            if (amcf->ring->pepper[n].fingerprint == pepper[i]) {
                goto next;
            }
        }

        if (ngx_http_apikey_fault(r, NGX_HTTP_APIKEY_FAULT_PEPPER, &muted)) {
            ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                          "apikey: the store has keys under the pepper with "
                          "fingerprint %016xL, which \"apikey_pepper\" lacks: "
                          "unknown keys get 503, they may be its; add its "
                          "line to that file and reload nginx "
                          "(%ui more not logged)",
                          pepper[i], muted);
        }

        return 1;

    next:

        continue;
    }

    return 0;
}


void
ngx_http_apikey_table_stale(ngx_http_request_t *r, int64_t late)
{
    ngx_uint_t                    muted;
    ngx_http_apikey_main_conf_t  *amcf;

    amcf = ngx_http_get_module_main_conf(r, ngx_http_apikey_module);

    if (ngx_http_apikey_fault(r, NGX_HTTP_APIKEY_FAULT_LEASE, &muted)) {
        ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                      "apikey: the lease of table \"%V\" ran out %L ms ago; "
                      "requests with a key get 503 until apikey-sync renews "
                      "it: is it running, and does it reach the store? "
                      "(%ui more not logged)",
                      &amcf->path, late / 1000, muted);
    }
}


static void *
ngx_http_apikey_table_alloc(void *ctx, size_t size)
{
    return ngx_palloc(ctx, size);
}
