/*
 * Copyright (C) 2026 the ngx_http_apikey_module authors
 *
 * What the store says of a key, and of a change to one: decoded and checked
 * against docs/store.md, so that nobody behind this has to doubt a length, a
 * digit or a byte.
 */

#ifndef APIKEY_STORE_RECORD_H
#define APIKEY_STORE_RECORD_H

#include <stddef.h>
#include <stdint.h>

#include <hiredis/hiredis.h>

#define APIKEY_CHAIN_LEN     40 /* hex digits */
#define APIKEY_EPOCH_HEX     32 /* hex digits */
#define APIKEY_STORE_PEPPERS 2  /* that a store may know at a time */
#define APIKEY_ACCEPTED_MAX  16 /* revocations that a key may have accepted */

#define APIKEY_RECORD_ERROR_LEN 256

typedef enum {
    APIKEY_STATUS_NONE = 0,
    APIKEY_STATUS_ENABLED,
    APIKEY_STATUS_DISABLED,
    APIKEY_STATUS_REVOKED
} apikey_key_status_t;

/* "enabled", "disabled", "revoked"; NULL for NONE.  Static. */
const char         *apikey_status_name(apikey_key_status_t status);
apikey_key_status_t apikey_status_parse(const char *text, size_t len);

/* Tells one revocation of a key from any other, in whatever history. */
typedef struct {
    uint64_t version; /* of the change that made it */
    uint64_t stamp;   /* when: the record's `updated` */
} apikey_revocation_t;

/* A key's record.  Texts are terminated; "" where the store has no field. */
typedef struct {
    char                id[24 + 1];
    apikey_key_status_t status;
    uint8_t             digest[32];
    char                pepper[16 + 1];
    char                hint[32 + 1];
    char                name[128 + 1];
    char                member[64 + 1];
    char                tenant[64 + 1];
    char                scopes[16 * 64 + 15 + 1];
    uint64_t            expires; /* seconds since 1970; 0: never */
    uint64_t            created; /* milliseconds since 1970 */
    uint64_t            updated;
    char                created_by[128 + 1];
    char                updated_by[128 + 1];
    char                reason[256 + 1];
    apikey_revocation_t accepted[APIKEY_ACCEPTED_MAX]; /* no longer hold */
    unsigned            accepted_count;
    uint64_t            created_version;
    uint64_t            version;
} apikey_record_t;

/*
 * Decodes a flat name/value array (HGETALL, apikey_get).  Fields it does not
 * know are passed over: a later store may have more.  Returns 0, or -1 with
 * a sentence in error that names the field and never shows a digest.
 */
int apikey_record_from_reply(apikey_record_t *record, const redisReply *reply,
                             char error[static APIKEY_RECORD_ERROR_LEN]);

/*
 * The fields of a record that decide about a request, or say who made it, for
 * an HMGET: a third of what the whole record is to ask for and to read.
 */
#define APIKEY_BRIEF_FIELDS 11

extern const char *const apikey_brief_fields[APIKEY_BRIEF_FIELDS];

/* Decodes the answer to that; the record's other members are empty.  Returns 0
   or -1 as above; -1 too if there is no such record. */
int apikey_record_from_brief(apikey_record_t *record, const redisReply *reply,
                             char error[static APIKEY_RECORD_ERROR_LEN]);


/* A log entry (docs/store.md, "Versions, the log and its chain"). */
typedef struct {
    uint64_t        version;
    char            chain[APIKEY_CHAIN_LEN + 1];
    char            op[32 + 1];
    char            actor[128 + 1];
    char            reason[256 + 1];
    uint64_t        at;      /* milliseconds since 1970 */
    int             has_key; /* 1: key is the key's record at this version */
    apikey_record_t key;
    char            peppers[2 * (16 + 1 + 16) + 1 + 1]; /* of `init`; or "" */
} apikey_store_entry_t;

/*
 * Decodes an entry's JSON (len bytes, as published or stored) into entry;
 * version and chain are the caller's to set.  Returns 0 or -1 as above; also
 * -1 if a key's version is not `version`.
 */
int apikey_entry_decode(apikey_store_entry_t *entry, uint64_t version,
                        const char *json, size_t len,
                        char error[static APIKEY_RECORD_ERROR_LEN]);

/*
 * Parses meta's `peppers`, "<id>:<16 hex digits>" with one blank between, into
 * their fingerprints; 0 for none.  Returns 0, or -1 if there is none, one is
 * malformed, or there are more than fit.
 */
int apikey_peppers_parse(uint64_t    fingerprint[static APIKEY_STORE_PEPPERS],
                         const char *text);

/*
 * Splits a message of the channel, "<version> <previous> <chain> <entry>".
 * previous is the chain before this entry: the epoch for the first.  0 or -1.
 */
int apikey_event_split(const char *message, size_t len, uint64_t *version,
                       char         previous[static APIKEY_CHAIN_LEN + 1],
                       char         chain[static APIKEY_CHAIN_LEN + 1],
                       const char **json, size_t *json_len);

#endif /* APIKEY_STORE_RECORD_H */
