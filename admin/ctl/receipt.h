/*
 * Copyright (C) 2026 the ngx_http_apikey_module authors
 *
 * --wait: waits for the proof of what a verb has changed, and the receipt of
 * it, for people and for programs.
 */

#ifndef APIKEY_CTL_RECEIPT_H
#define APIKEY_CTL_RECEIPT_H

#include <jansson.h>

#include "admin/ops_wait.h"
#include "ctl.h"

/* The values of --wait and --replicas, checked; 0, or -1 with the mistake
   shown and ctl->exit set. */
int ctl_wait_options(ctl_t *ctl);

typedef struct {
    apikey_proof_state_t state;
    uint64_t             waited;  /* microseconds after the last answer */
    int                  stopped; /* by a signal */
    apikey_wait_t        wait;
} ctl_receipt_t;

/*
 * Waits for changes, one or more, in the order in which they were made.
 * ctl_receipt_free() is due.
 */
void ctl_receipt_wait(ctl_t *ctl, const apikey_ops_change_t *change,
                      size_t count, ctl_receipt_t *receipt);

/* The receipt of changes that nobody waits for, the store being gone. */
void
ctl_receipt_unknown(ctl_t *ctl, const apikey_ops_change_t *change,
                    size_t count, const char *why, ctl_receipt_t *receipt);

void ctl_receipt_free(ctl_receipt_t *receipt);

/* The first line of a receipt, and all behind the changes. */
void ctl_receipt_head(const ctl_receipt_t *receipt);
void ctl_receipt_show(const ctl_t *ctl, const ctl_receipt_t *receipt);

/* "Change  SUBJECT, version 42" between them; first: the first of several. */
void ctl_receipt_change(const char *subject, const apikey_ops_change_t *change,
                        int first);

json_t *ctl_receipt_json(const ctl_t *ctl, const ctl_receipt_t *receipt);

/*
 * Reports the one change that a verb has made to one thing, and waits for it
 * and shows the receipt if --wait says so.  done is what became of the
 * subject; json, given up, the object for programs, to which `receipt` is
 * added.  The exit code.
 */
int ctl_receipt_one(ctl_t *ctl, const char *subject, const char *done,
                    const apikey_ops_change_t *change, json_t *json);

/* Says on stderr what is not proven; the exit code. */
int ctl_receipt_exit(ctl_t *ctl, const ctl_receipt_t *receipt);

#endif /* APIKEY_CTL_RECEIPT_H */
