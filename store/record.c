/*
 * Copyright (C) 2026 the ngx_http_apikey_module authors
 *
 * Decodes keys' records and log entries, strictly: one table says what each
 * field must look like, whether it came in a flat array or in JSON.
 */

#include "record.h"
#include "utf8.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <jansson.h>

/* what a slot of an edge's table holds */
#define RECORD_VERSION_MAX ((1ULL << 48) - 1)
#define RECORD_TIME_MAX    9999999999999ULL /* milliseconds */
#define RECORD_EXPIRES_MAX 9999999999ULL    /* seconds */

#define RECORD_SCOPES_MAX 16
#define RECORD_SCOPE_MAX  64

typedef enum {
    FIELD_ID,
    FIELD_STATUS,
    FIELD_DIGEST,
    FIELD_PEPPER,
    FIELD_TEXT,
    FIELD_NAME, /* of members and tenants */
    FIELD_SCOPES,
    FIELD_ACCEPTED,
    FIELD_NUMBER
} field_kind_t;

typedef struct {
    size_t       offset; /* in apikey_record_t */
    const char  *name;
    size_t       name_len;
    field_kind_t kind;
    int          optional;
    uint64_t     min, max; /* bytes, or the number itself */
} field_t;

#define field(f, kind, optional, min, max)                                \
    {                                                                     \
        offsetof(apikey_record_t, f), #f, sizeof(#f) - 1, kind, optional, \
            min, max                                                      \
    }

/* In the order in which the store writes them; see field_find(). */
static const field_t fields[] = {
    field(id, FIELD_ID, 0, 24, 24),
    field(status, FIELD_STATUS, 0, 0, 0),
    field(digest, FIELD_DIGEST, 0, 64, 64),
    field(pepper, FIELD_PEPPER, 0, 1, 16),
    field(hint, FIELD_TEXT, 1, 0, 32),
    field(name, FIELD_TEXT, 0, 1, 128),
    field(member, FIELD_NAME, 0, 1, 64),
    field(tenant, FIELD_NAME, 0, 1, 64),
    field(scopes, FIELD_SCOPES, 1, 0, 16 * 64 + 15),
    field(expires, FIELD_NUMBER, 1, 1, RECORD_EXPIRES_MAX),
    field(created, FIELD_NUMBER, 0, 0, RECORD_TIME_MAX),
    field(created_by, FIELD_TEXT, 0, 1, 128),
    field(updated, FIELD_NUMBER, 0, 0, RECORD_TIME_MAX),
    field(updated_by, FIELD_TEXT, 0, 1, 128),
    field(reason, FIELD_TEXT, 1, 0, 256),
    field(accepted, FIELD_ACCEPTED, 1, 0, 0),
    field(created_version, FIELD_NUMBER, 0, 1, RECORD_VERSION_MAX),
    field(version, FIELD_NUMBER, 0, 1, RECORD_VERSION_MAX),
};

#define FIELDS (sizeof(fields) / sizeof(fields[0]))

_Static_assert(FIELDS <= 32, "a bit each");

/* In the order of `fields`. */
const char *const apikey_brief_fields[APIKEY_BRIEF_FIELDS] = {
    "id",     "status",  "digest",  "name",     "member", "tenant",
    "scopes", "expires", "updated", "accepted", "version"
};


static int
record_error(char error[static APIKEY_RECORD_ERROR_LEN], const char *format,
             ...) __attribute__((format(printf, 2, 3)));

static int
record_error(char error[static APIKEY_RECORD_ERROR_LEN], const char *format,
             ...)
{
    va_list args;

    va_start(args, format);
    vsnprintf(error, APIKEY_RECORD_ERROR_LEN, format, args);
    va_end(args);

    return -1;
}


const char *
apikey_status_name(apikey_key_status_t status)
{
    switch (status) {
    case APIKEY_STATUS_ENABLED:
        return "enabled";
    case APIKEY_STATUS_DISABLED:
        return "disabled";
    case APIKEY_STATUS_REVOKED:
        return "revoked";
    case APIKEY_STATUS_NONE:
        break;
    }

    return NULL;
}


apikey_key_status_t
apikey_status_parse(const char *text, size_t len)
{
    apikey_key_status_t status;
    const char         *name;

    for (status = APIKEY_STATUS_ENABLED; status <= APIKEY_STATUS_REVOKED;
         status++) {
        name = apikey_status_name(status);

        if (strlen(name) == len && memcmp(name, text, len) == 0) {
            return status;
        }
    }

    return APIKEY_STATUS_NONE;
}


/* Decimal digits alone, without leading zeros. */
static int
parse_number(const char *text, size_t len, uint64_t min, uint64_t max,
             uint64_t *number)
{
    uint64_t n;
    size_t   i;

    if (len == 0 || len > 16 || (text[0] == '0' && len > 1)) {
        return -1;
    }

    for (i = 0, n = 0; i < len; i++) {
        if (text[i] < '0' || text[i] > '9') {
            return -1;
        }

        n = n * 10 + (uint64_t) (text[i] - '0');
    }

    if (n < min || n > max) {
        return -1;
    }

    *number = n;

    return 0;
}


/* Lower-case hex, as the store has it. */
static int
hex_digit(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }

    return (c >= 'a' && c <= 'f') ? c - 'a' + 10 : -1;
}


static int
parse_digest(const char *text, uint8_t digest[static 32])
{
    size_t i;
    int    high, low;

    for (i = 0; i < 32; i++) {
        high = hex_digit(text[2 * i]);
        low = hex_digit(text[2 * i + 1]);

        if (high < 0 || low < 0) {
            return -1;
        }

        digest[i] = (uint8_t) (high << 4 | low);
    }

    return 0;
}


static int
is_base62(const char *text, size_t len)
{
    size_t i;

    for (i = 0; i < len; i++) {
        if (!isalnum((unsigned char) text[i])) {
            return 0;
        }
    }

    return 1;
}


static int
is_pepper(const char *text, size_t len)
{
    size_t i;

    for (i = 0; i < len; i++) {
        if (!islower((unsigned char) text[i])
            && !isdigit((unsigned char) text[i]) && text[i] != '_'
            && text[i] != '-')
        {
            return 0;
        }
    }

    return 1;
}


static int
is_name(const char *text, size_t len)
{
    size_t i;

    for (i = 0; i < len; i++) {
        if (!isalnum((unsigned char) text[i])
            && memchr("_.:@-", text[i], 5) == NULL) {
            return 0;
        }
    }

    return 1;
}


/* RFC 6749, 3.3; one blank between tokens. */
static int
is_scopes(const char *text, size_t len)
{
    size_t        i, token, tokens;
    unsigned char c;

    for (i = 0, token = 0, tokens = 1; i < len; i++) {
        c = (unsigned char) text[i];

        if (c == ' ') {
            if (token == 0 || i == len - 1 || ++tokens > RECORD_SCOPES_MAX) {
                return 0;
            }

            token = 0;
            continue;
        }

        if (c < 0x21 || c > 0x7e || c == '"' || c == '\\'
            || ++token > RECORD_SCOPE_MAX)
        {
            return 0;
        }
    }

    return 1;
}


static int
is_text(const char *text, size_t len)
{
    size_t i, n;

    for (i = 0; i < len; i += n) {
        n = apikey_utf8_sequence(text + i, len - i);

        if (n == 0 || apikey_utf8_control(text[i])) {
            return 0;
        }
    }

    return 1;
}


/* Copies a text of min to max bytes that check() lets through. */
static int
copy_text(char *to, const char *text, size_t len, uint64_t min, uint64_t max,
          int (*check)(const char *, size_t))
{
    if (len < min || len > max || !check(text, len)) {
        return -1;
    }

    memcpy(to, text, len);
    to[len] = '\0';

    return 0;
}


/* "<version>:<milliseconds>", one blank between. */
static int
parse_accepted(apikey_record_t *record, const char *text, size_t len)
{
    const char          *p, *colon, *blank, *end = text + len;
    apikey_revocation_t *accepted;

    for (p = text; p < end; p = blank + 1) {
        blank = memchr(p, ' ', (size_t) (end - p));

        if (blank == NULL) {
            blank = end;

        } else if (blank + 1 == end) {
            return -1;
        }

        colon = memchr(p, ':', (size_t) (blank - p));

        if (colon == NULL || record->accepted_count == APIKEY_ACCEPTED_MAX) {
            return -1;
        }

        accepted = &record->accepted[record->accepted_count++];

        if (parse_number(p, (size_t) (colon - p), 1, RECORD_VERSION_MAX,
                         &accepted->version)
                != 0
            || parse_number(colon + 1, (size_t) (blank - colon - 1), 0,
                            RECORD_TIME_MAX, &accepted->stamp)
                   != 0)
        {
            return -1;
        }
    }

    return 0;
}


static int
field_set(apikey_record_t *record, const field_t *f, const char *text,
          size_t len)
{
    void *to = (char *) record + f->offset;

    switch (f->kind) {
    case FIELD_ID:
        if (len != f->max || memcmp(text, "key_", 4) != 0
            || !is_base62(text + 4, len - 4))
        {
            return -1;
        }

        memcpy(to, text, len);
        return 0;

    case FIELD_STATUS:
        record->status = apikey_status_parse(text, len);
        return record->status == APIKEY_STATUS_NONE ? -1 : 0;

    case FIELD_DIGEST:
        return len == f->max ? parse_digest(text, to) : -1;

    case FIELD_PEPPER:
        return copy_text(to, text, len, f->min, f->max, is_pepper);

    case FIELD_TEXT:
        return copy_text(to, text, len, f->min, f->max, is_text);

    case FIELD_NAME:
        return copy_text(to, text, len, f->min, f->max, is_name);

    case FIELD_SCOPES:
        return copy_text(to, text, len, f->min, f->max, is_scopes);

    case FIELD_ACCEPTED:
        return parse_accepted(record, text, len);

    case FIELD_NUMBER:
        return parse_number(text, len, f->min, f->max, to);
    }

    return -1;
}


/* How far the decoding of a record has come. */
typedef struct {
    uint32_t seen; /* a bit for each of `fields` */
    size_t   next; /* the one that is likely to come next */
} progress_t;


/* The index of the field with this name, or FIELDS. */
static size_t
field_find(const progress_t *progress, const char *name, size_t len)
{
    size_t i, n;

    for (n = 0; n < FIELDS; n++) {
        i = (progress->next + n) % FIELDS;

        if (fields[i].name_len == len
            && memcmp(fields[i].name, name, len) == 0) {
            return i;
        }
    }

    return FIELDS;
}


/* Puts one named value into the record; a text of NULL is none. */
static int
record_set(apikey_record_t *record, progress_t *progress, const char *name,
           size_t name_len, const char *text, size_t len,
           char error[static APIKEY_RECORD_ERROR_LEN])
{
    size_t i;

    i = field_find(progress, name, name_len);

    if (i == FIELDS) {
        return 0;
    }

    if (progress->seen & (1U << i)) {
        return record_error(error, "the field %s is there twice",
                            fields[i].name);
    }

    progress->seen |= 1U << i;
    progress->next = i + 1;

    if (text == NULL || field_set(record, &fields[i], text, len) != 0) {
        return record_error(error,
                            "the value of the field %s is not what the "
                            "store's contract says",
                            fields[i].name);
    }

    return 0;
}


static int
record_complete(uint32_t seen, char error[static APIKEY_RECORD_ERROR_LEN])
{
    size_t i;

    for (i = 0; i < FIELDS; i++) {
        if (!fields[i].optional && !(seen & (1U << i))) {
            return record_error(error, "the field %s is missing",
                                fields[i].name);
        }
    }

    return 0;
}


int
apikey_record_from_reply(apikey_record_t *record, const redisReply *reply,
                         char error[static APIKEY_RECORD_ERROR_LEN])
{
    const redisReply *name, *value;
    progress_t        progress = { 0, 0 };
    size_t            i;

    memset(record, 0, sizeof(*record));

    if (reply->type != REDIS_REPLY_ARRAY || reply->elements % 2 != 0) {
        return record_error(error, "the answer is no array of pairs");
    }

    for (i = 0; i < reply->elements; i += 2) {
        name = reply->element[i];
        value = reply->element[i + 1];

        if (name->type != REDIS_REPLY_STRING) {
            return record_error(error, "a field's name is no string");
        }

        if (record_set(record, &progress, name->str, (size_t) name->len,
                       value->type == REDIS_REPLY_STRING ? value->str : NULL,
                       (size_t) value->len, error)
            != 0)
        {
            return -1;
        }
    }

    return record_complete(progress.seen, error);
}


int
apikey_record_from_brief(apikey_record_t *record, const redisReply *reply,
                         char error[static APIKEY_RECORD_ERROR_LEN])
{
    const char       *name;
    const redisReply *value;
    progress_t        progress = { 0, 0 };
    size_t            i;

    memset(record, 0, sizeof(*record));

    if (reply->type != REDIS_REPLY_ARRAY
        || reply->elements != APIKEY_BRIEF_FIELDS) {
        return record_error(error, "the answer is no array of the fields");
    }

    if (reply->element[0]->type == REDIS_REPLY_NIL) {
        return record_error(error, "it is listed but has no record");
    }

    for (i = 0; i < APIKEY_BRIEF_FIELDS; i++) {
        name = apikey_brief_fields[i];
        value = reply->element[i];

        if (value->type == REDIS_REPLY_NIL) {
            if (!fields[field_find(&progress, name, strlen(name))].optional) {
                return record_error(error, "the field %s is missing", name);
            }

            continue;
        }

        if (record_set(record, &progress, name, strlen(name),
                       value->type == REDIS_REPLY_STRING ? value->str : NULL,
                       (size_t) value->len, error)
            != 0)
        {
            return -1;
        }
    }

    return 0;
}


static int
record_from_json(apikey_record_t *record, json_t *object,
                 char error[static APIKEY_RECORD_ERROR_LEN])
{
    const char *name;
    json_t     *value;
    progress_t  progress = { 0, 0 };

    memset(record, 0, sizeof(*record));

    if (!json_is_object(object)) {
        return record_error(error, "the entry's key is no object");
    }

    json_object_foreach(object, name, value)
    {
        /* NULL and 0 for what is no string */
        if (record_set(record, &progress, name, strlen(name),
                       json_string_value(value), json_string_length(value),
                       error)
            != 0)
        {
            return -1;
        }
    }

    return record_complete(progress.seen, error);
}


static int
entry_text(char *to, json_t *object, const char *name, uint64_t min,
           uint64_t max, char error[static APIKEY_RECORD_ERROR_LEN])
{
    json_t *value;

    value = json_object_get(object, name);

    if (value == NULL && min == 0) {
        return 0;
    }

    if (!json_is_string(value)
        || copy_text(to, json_string_value(value), json_string_length(value),
                     min, max, is_text)
               != 0)
    {
        return record_error(error,
                            "the entry's %s is not what the store's "
                            "contract says",
                            name);
    }

    return 0;
}


static int
entry_peppers(apikey_store_entry_t *entry, json_t *meta,
              char error[static APIKEY_RECORD_ERROR_LEN])
{
    uint64_t fingerprint[APIKEY_STORE_PEPPERS];

    if (meta == NULL || json_object_get(meta, "peppers") == NULL) {
        return 0;
    }

    if (entry_text(entry->peppers, meta, "peppers", 1,
                   sizeof(entry->peppers) - 1, error)
        != 0)
    {
        return -1;
    }

    if (apikey_peppers_parse(fingerprint, entry->peppers) != 0) {
        return record_error(error, "the entry's peppers are not what the "
                                   "store's contract says");
    }

    return 0;
}


static int
entry_from_json(apikey_store_entry_t *entry, json_t *root,
                char error[static APIKEY_RECORD_ERROR_LEN])
{
    json_t *at, *key;

    if (!json_is_object(root)) {
        return record_error(error, "the entry is no JSON object");
    }

    at = json_object_get(root, "at");

    if (!json_is_integer(at) || json_integer_value(at) < 0) {
        return record_error(error, "the entry's at is no whole number");
    }

    entry->at = (uint64_t) json_integer_value(at);

    if (entry_text(entry->op, root, "op", 1, sizeof(entry->op) - 1, error) != 0
        || entry_text(entry->actor, root, "actor", 1, sizeof(entry->actor) - 1,
                      error)
               != 0
        || entry_text(entry->reason, root, "reason", 0,
                      sizeof(entry->reason) - 1, error)
               != 0
        || entry_peppers(entry, json_object_get(root, "meta"), error) != 0)
    {
        return -1;
    }

    key = json_object_get(root, "key");

    if (key == NULL) {
        return 0;
    }

    if (record_from_json(&entry->key, key, error) != 0) {
        return -1;
    }

    entry->has_key = 1;

    return 0;
}


int
apikey_entry_decode(apikey_store_entry_t *entry, uint64_t version,
                    const char *json, size_t len,
                    char error[static APIKEY_RECORD_ERROR_LEN])
{
    json_t      *root;
    json_error_t json_error;
    int          rc;

    entry->op[0] = '\0';
    entry->actor[0] = '\0';
    entry->reason[0] = '\0';
    entry->peppers[0] = '\0';
    entry->at = 0;
    entry->has_key = 0;

    /* its message is not passed on: it may quote a digest */
    root = json_loadb(json, len, JSON_REJECT_DUPLICATES, &json_error);

    if (root == NULL) {
        return record_error(error, "the entry is no JSON (at byte %d)",
                            json_error.position);
    }

    rc = entry_from_json(entry, root, error);

    json_decref(root);

    if (rc == 0 && entry->has_key && entry->key.version != version) {
        return record_error(error,
                            "the entry's key has version %llu, not that of "
                            "the entry",
                            (unsigned long long) entry->key.version);
    }

    return rc;
}


int
apikey_peppers_parse(uint64_t    fingerprint[static APIKEY_STORE_PEPPERS],
                     const char *text)
{
    const char *colon;
    size_t      i, n;
    int         digit;

    for (n = 0; n < APIKEY_STORE_PEPPERS; n++) {
        fingerprint[n] = 0;
    }

    for (n = 0; *text != '\0'; n++) {
        colon = strchr(text, ':');

        if (n == APIKEY_STORE_PEPPERS || colon == NULL || colon == text
            || colon - text > 16 || !is_pepper(text, (size_t) (colon - text)))
        {
            return -1;
        }

        for (i = 1; i <= 16; i++) {
            digit = hex_digit(colon[i]);

            if (digit < 0) {
                return -1;
            }

            fingerprint[n] = fingerprint[n] << 4 | (uint64_t) digit;
        }

        text = colon + 17;

        if (*text == ' ' && text[1] != '\0') {
            text++;

        } else if (*text != '\0') {
            return -1;
        }
    }

    return n == 0 ? -1 : 0;
}


/* Takes a word of hex digits and the blank behind it off the message. */
static int
split_hex(const char **p, const char *end, size_t min, size_t max, char *to)
{
    const char *blank;
    size_t      i, len;

    blank = memchr(*p, ' ', (size_t) (end - *p));

    if (blank == NULL) {
        return -1;
    }

    len = (size_t) (blank - *p);

    if (len < min || len > max) {
        return -1;
    }

    for (i = 0; i < len; i++) {
        if (hex_digit((*p)[i]) < 0) {
            return -1;
        }
    }

    memcpy(to, *p, len);
    to[len] = '\0';
    *p = blank + 1;

    return 0;
}


int
apikey_event_split(const char *message, size_t len, uint64_t *version,
                   char previous[static APIKEY_CHAIN_LEN + 1],
                   char chain[static APIKEY_CHAIN_LEN + 1], const char **json,
                   size_t *json_len)
{
    const char *p, *end, *blank;

    p = message;
    end = message + len;
    blank = memchr(p, ' ', len);

    if (blank == NULL
        || parse_number(p, (size_t) (blank - p), 1, RECORD_VERSION_MAX,
                        version)
               != 0)
    {
        return -1;
    }

    p = blank + 1;

    if (split_hex(&p, end, APIKEY_EPOCH_HEX, APIKEY_CHAIN_LEN, previous) != 0
        || split_hex(&p, end, APIKEY_CHAIN_LEN, APIKEY_CHAIN_LEN, chain) != 0)
    {
        return -1;
    }

    *json = p;
    *json_len = (size_t) (end - p);

    return 0;
}
