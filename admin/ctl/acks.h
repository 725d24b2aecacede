/*
 * Copyright (C) 2026 the ngx_http_apikey_module authors
 *
 * Beside changes that are watched: when each edge has acknowledged them, by
 * the store's clock.
 */

#ifndef APIKEY_CTL_ACKS_H
#define APIKEY_CTL_ACKS_H

#include <stddef.h>

#include "admin/ops_proof.h"
#include "ctl.h"
#include "entry.h"

/* A change whose acknowledgements are expected. */
typedef struct {
    apikey_ops_change_t change;
    apikey_proof_t      proof;
} ctl_expected_t;

typedef struct {
    int             wanted;
    size_t          count;
    size_t          room;
    ctl_expected_t *expected; /* oldest first */
    uint64_t        next;     /* when to ask again, apikey_boottime() */
} ctl_acks_t;

void ctl_acks_begin(ctl_acks_t *acks, int wanted);
void ctl_acks_end(ctl_acks_t *acks);

/* One more change, which was just shown. */
void ctl_acks_expect(ctl_t *ctl, ctl_acks_t *acks, const char *epoch,
                     const ctl_entry_t *entry);

/* 1 if an answer is expected soon. */
int ctl_acks_waiting(const ctl_acks_t *acks);

/* Asks, and shows those that every edge has acknowledged, or that none can be
   expected for any more. */
void ctl_acks_look(ctl_t *ctl, ctl_acks_t *acks);

#endif /* APIKEY_CTL_ACKS_H */
