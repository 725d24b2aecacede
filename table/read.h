/*
 * Copyright (C) 2026 the ngx_http_apikey_module authors
 *
 * The reader of a table: finds and checks it, attaches, looks digests up.
 * Leaves no trace, takes no lock, allocates nothing, and makes no system call
 * but the clock's unless the table was replaced or its lease has run out.
 *
 * One handle belongs to one thread of one process; a worker opens its own
 * after fork().
 */

#ifndef APIKEY_TABLE_READ_H
#define APIKEY_TABLE_READ_H

#include "apikey_table.h"
#include "valid.h"

#define APIKEY_TABLE_PATH_MAX 1024 /* bytes, of the directory */

/* A handle.  The caller owns its memory and looks at `error` alone. */
typedef struct {
    apikey_table_error_t error; /* why a look-up was UNAVAILABLE last;
                                         OK again once it is attached */

    const apikey_control_t    *control;
    const apikey_generation_t *generation;
    const apikey_slot_t       *slot;
    const unsigned char       *records;
    uint64_t                   slots;
    uint64_t                   seed[4];
    uint64_t                   records_size;
    uint64_t                   generation_word; /* as sealed in control */
    size_t                     generation_size;
    uint64_t                   control_dev;
    uint64_t                   control_ino;
    const void                *left; /* a generation that was replaced, while
                                         it is mapped still; or NULL */
    size_t                     left_size;
    uint64_t                   left_at; /* microseconds */
    uint64_t                   tried;   /* microseconds; the last attempt to
                                         attach that failed, or the last look
                                         whether control was replaced */
    char                       path[APIKEY_TABLE_PATH_MAX];
} apikey_table_t;


typedef enum {
    APIKEY_LOOKUP_FOUND = 0,  /* *entry is filled */
    APIKEY_LOOKUP_UNKNOWN,    /* no such digest; only entry->late is set */
    APIKEY_LOOKUP_UNAVAILABLE /* cannot know; table->error says why */
} apikey_lookup_t;

typedef struct {
    apikey_status_t              status;  /* ENABLED, DISABLED or REVOKED */
    uint64_t                     version; /* of the key's last change, or of
                                             one that is being applied */
    int64_t                      late;    /* microseconds past the deadline:
                                            fresh only if negative */
    const apikey_table_record_t *record;  /* a checked copy, in memory that
                                            alloc returned */
} apikey_entry_t;

/* Returns size bytes aligned for any type, or NULL; see ngx_palloc(). */
typedef void *(*apikey_alloc_pt)(void *ctx, size_t size);


/*
 * Makes a handle for the directory.  Returns 0, or -1 if the path is too
 * long.  Opens nothing yet: a table that is absent now may come later.
 */
int apikey_table_init(apikey_table_t *table, const char *path);

/* Unmaps; the handle may be used again at once. */
void apikey_table_detach(apikey_table_t *table);

/*
 * One decision's look-up, in the order that apikey_table.h lays down.
 *
 * FOUND says what the table says: the caller must still ask whether
 * entry->late < 0 before it allows anything.  For FOUND, alloc(ctx) was called
 * for the record: once, but for a generation that was replaced meanwhile; it
 * keeps ownership.  If it returns NULL: UNAVAILABLE with error SYSTEM.
 *
 * If the table is missing, foreign or replaced, tries to attach, at most
 * every 100 ms, and answers UNAVAILABLE until it succeeds.
 */
apikey_lookup_t
apikey_table_lookup(apikey_table_t *table,
                    const uint8_t   digest[static APIKEY_TABLE_DIGEST_LEN],
                    apikey_entry_t *entry, apikey_alloc_pt alloc, void *ctx);

/*
 * The fingerprints of the peppers that the store's keys are hashed with, 0
 * for none.  All zero while not attached.
 */
void apikey_table_peppers(const apikey_table_t *table,
                          uint64_t pepper[static APIKEY_TABLE_PEPPERS]);

/* Attaches if need be; for tools and status pages, not for decisions. */
apikey_table_error_t apikey_table_attach(apikey_table_t *table);

/* Attaches to the control page alone, whose figures tell also why there is no
   generation yet. */
apikey_table_error_t apikey_table_attach_control(apikey_table_t *table);


/* The texts of a record, each a pointer into it and a length in bytes. */
typedef struct {
    const char *id, *member, *tenant, *name, *scopes;
    size_t      id_len, member_len, tenant_len, name_len, scopes_len;
} apikey_texts_t;

/* record must come from apikey_table_lookup(). */
void
apikey_table_texts(const apikey_table_record_t *record, apikey_texts_t *texts);

#endif /* APIKEY_TABLE_READ_H */
