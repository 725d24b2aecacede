/*
 * Copyright (C) 2026 the ngx_http_apikey_module authors
 *
 * What an administrator does to the store as a whole: the function library,
 * the first initialisation, and what the store says about itself and about
 * its edges.  Results as in ops.h.
 */

#ifndef APIKEY_ADMIN_OPS_STORE_H
#define APIKEY_ADMIN_OPS_STORE_H

#include <stdint.h>

#include "admin/ops.h"
#include "key/key.h"
#include "key/pepper.h"
#include "store/record.h"

#define APIKEY_LEASE_MIN      200 /* milliseconds */
#define APIKEY_LEASE_MAX      3600000
#define APIKEY_LOG_LENGTH_MIN 1000
#define APIKEY_LOG_LENGTH_MAX 100000000

/* "<id>:<fingerprint>", as the store knows a pepper, and a terminator */
#define APIKEY_PEPPER_NAME_SIZE (APIKEY_PEPPER_ID_MAX + 1 + 16 + 1)

void apikey_pepper_name(const apikey_pepper_t *pepper,
                        char name[static APIKEY_PEPPER_NAME_SIZE]);


typedef enum {
    APIKEY_LIBRARY_CURRENT = 0, /* the one that this program carries */
    APIKEY_LIBRARY_MISSING,
    APIKEY_LIBRARY_OTHER /* one of this name, with another text */
} apikey_library_t;

/* Which function library the server has.  Needs the right to FUNCTION LIST. */
int apikey_ops_library(apikey_ops_t *ops, apikey_library_t *library);

/* Loads the one that this program carries, in place of any other. */
int apikey_ops_library_load(apikey_ops_t *ops);


/*
 * Whether the store is initialised; asks for its `meta` key, not for a
 * function, so that it works before the library is there.
 */
int apikey_ops_initialised(apikey_ops_t *ops, int *initialised);

typedef struct {
    const char            *prefix;     /* NULL: the store's default */
    uint64_t               lease;      /* milliseconds; 0: default */
    uint64_t               log_length; /* entries; 0: default */
    const apikey_pepper_t *pepper;     /* under which keys will be made */
} apikey_ops_init_t;

/* Checks all but the pepper, which may be left NULL for this. */
int apikey_ops_init_check(apikey_ops_t *ops, const apikey_ops_init_t *request);

typedef struct {
    char     epoch[APIKEY_EPOCH_HEX + 1];
    char     prefix[APIKEY_PREFIX_MAX + 1];
    uint64_t version;
    uint64_t lease; /* milliseconds */
} apikey_ops_inited_t;

/*
 * Mints an epoch and initialises the store; the library must be loaded.
 * REFUSED with INITED on a store that is: nothing was changed.
 */
int apikey_ops_init(apikey_ops_t *ops, const apikey_ops_init_t *request,
                    apikey_ops_inited_t *inited);


/*
 * Whether the store takes changes: asks for one without arguments, which is
 * refused for that reason alone if nothing else is in its way.  Answers the
 * name of what is in its way (READONLY, MISCONF, ...), "" if nothing is, or
 * NOPERM if this user may not ask.
 */
int apikey_ops_writable(apikey_ops_t *ops,
                        char          name[static APIKEY_CLIENT_NAME_MAX + 1]);


/* apikey_meta */
typedef struct {
    char     epoch[APIKEY_EPOCH_HEX + 1];
    char     prefix[APIKEY_PREFIX_MAX + 1];
    char     peppers[8 * APIKEY_PEPPER_NAME_SIZE]; /* blanks between */
    uint64_t version;
    uint64_t lease; /* milliseconds */
    uint64_t log_length;
    uint64_t log_first; /* the first version still in the log; 0: none */
    uint64_t time;      /* the store's, milliseconds since 1970 */
    uint64_t enabled;   /* counts */
    uint64_t disabled;
    uint64_t revoked;
    uint64_t members;
    uint64_t edges;
} apikey_ops_meta_t;

int apikey_ops_meta(apikey_ops_t *ops, apikey_ops_meta_t *meta);

#endif /* APIKEY_ADMIN_OPS_STORE_H */
