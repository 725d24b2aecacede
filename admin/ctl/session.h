/*
 * Copyright (C) 2026 the ngx_http_apikey_module authors
 *
 * From options and environment to a connection and a pepper ring.
 */

#ifndef APIKEY_CTL_SESSION_H
#define APIKEY_CTL_SESSION_H

#include "ctl.h"

#define CTL_REDIS_DEFAULT  "redis://127.0.0.1:6379"
#define CTL_PEPPER_DEFAULT "/etc/apikey/pepper"

/* Each returns 0, or -1 with the trouble shown and ctl->exit set. */

/* Begins ctl->ops: checks store name, actor, reason and what --wait says;
   connects nothing. */
int ctl_session_begin(ctl_t *ctl);

/* Connects ctl->ops. */
int ctl_session_connect(ctl_t *ctl);

/* Both. */
int ctl_session(ctl_t *ctl);

/* The pepper file that is meant. */
const char *ctl_pepper_path(const ctl_t *ctl);

/* Loads it; the caller wipes the ring. */
int ctl_pepper_load(ctl_t *ctl, apikey_pepper_ring_t *ring);

/* Where the store is, without credentials; of the last connection. */
const char *ctl_session_where(void);

#endif /* APIKEY_CTL_SESSION_H */
