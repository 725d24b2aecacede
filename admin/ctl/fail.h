/*
 * Copyright (C) 2026 the ngx_http_apikey_module authors
 *
 * What went wrong, said on stderr to people or to programs, and what to do
 * about it.
 */

#ifndef APIKEY_CTL_FAIL_H
#define APIKEY_CTL_FAIL_H

#include "ctl.h"

/*
 * Says on stderr what went wrong and, if hint is not NULL, what to do; with
 * --json as {"error":{"name","text","hint","exit"}} in one line.  name is the
 * store's name of it, or "".  Returns the exit code.
 */
int ctl_fail(ctl_t *ctl, ctl_exit_t code, const char *name, const char *hint,
             const char *format, ...) __attribute__((format(printf, 5, 6)));

/*
 * The same for the error in ctl->ops.  subject is what it happened to, or
 * NULL; hint is for an outcome that is not known, or NULL.
 */
int ctl_fail_ops(ctl_t *ctl, const char *subject, const char *hint);

/* The exit code for the error in ctl->ops. */
ctl_exit_t ctl_exit_of(const apikey_ops_t *ops);

#endif /* APIKEY_CTL_FAIL_H */
