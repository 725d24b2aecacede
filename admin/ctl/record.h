/*
 * Copyright (C) 2026 the ngx_http_apikey_module authors
 *
 * A key's record, for people and for programs.
 */

#ifndef APIKEY_CTL_RECORD_H
#define APIKEY_CTL_RECORD_H

#include <jansson.h>

#include "store/record.h"

/* The object of docs/admin.md, "A key". */
json_t *ctl_record_json(const apikey_record_t *record);

/* One field a line. */
void ctl_record_show(const apikey_record_t *record);

/* The status, or "expired" for an enabled key past its time.  Static. */
const char *ctl_record_status(const apikey_record_t *record);

/* The colour of that. */
const char *ctl_record_colour(const apikey_record_t *record);

/* "never" or a time, into buffer of APIKEY_TIME_SIZE. */
const char *ctl_expires_show(char *buffer, uint64_t expires);

/* A time in RFC 3339, or null for never. */
json_t *ctl_expires_json(uint64_t expires);

#endif /* APIKEY_CTL_RECORD_H */
