
/*
 * Copyright (C) 2026 the ngx_http_apikey_module authors
 *
 * Complaints about what is ours to mend: logged at once, then at most once a
 * second, however many requests meet the same.
 */


#include "ngx_http_apikey_module.h"


ngx_uint_t
ngx_http_apikey_fault(ngx_http_request_t *r, ngx_http_apikey_fault_e cause,
    ngx_uint_t *muted)
{
    ngx_http_apikey_fault_t      *fault;
    ngx_http_apikey_main_conf_t  *amcf;

    amcf = ngx_http_get_module_main_conf(r, ngx_http_apikey_module);

    fault = &amcf->faults[cause];

    if (fault->logged == ngx_time()) {
        fault->muted++;
        return 0;
    }

    *muted = fault->muted;

    fault->logged = ngx_time();
    fault->muted = 0;

    return 1;
}
