/*
 * Copyright (C) 2026 the ngx_http_apikey_module authors
 *
 * The release, as the programs' --version say it.
 */

#ifndef APIKEY_STORE_VERSION_H
#define APIKEY_STORE_VERSION_H

#define APIKEY_RELEASE "0.1.0"

#endif /* APIKEY_STORE_VERSION_H */
