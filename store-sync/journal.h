/*
 * Copyright (C) 2026 the ngx_http_apikey_module authors
 *
 * The file of the revocations that this edge has seen, in a directory that
 * outlives a reboot: `revoked`, a head and records of one size, in the order
 * in which they were written.  A record that was cut or damaged is passed
 * over.  Without a directory it is in memory, and outlives the table alone.
 *
 * Calls block, and but for _open and _close may be made by any thread, one at
 * a time.  What fails returns -1 with a sentence in journal->error.
 */

#ifndef APIKEY_SYNC_JOURNAL_H
#define APIKEY_SYNC_JOURNAL_H

#include <stddef.h>
#include <stdint.h>

#include "table/write.h"

#define APIKEY_JOURNAL_NAME   "revoked"
#define APIKEY_JOURNAL_RECORD 80 /* bytes */

typedef struct {
    int      dir; /* locked; -1: the file is in memory */
    int      fd;
    int      next;    /* of the file that is to replace it; -1: none */
    uint64_t records; /* in the file, damaged ones too */
    uint64_t added;   /* to the next one */
    char     error[256];
} apikey_journal_t;


/*
 * Opens the file, or makes an empty one; path NULL: in memory.  The directory must exist, belong to
 * the caller or root and be writable by nobody else; no other daemon may use
 * it.  Returns 0, or -1 with a sentence in error; also if the file is not one
 * of ours: to begin a new one would forget what it says.
 */
int apikey_journal_open(apikey_journal_t *journal, const char *path,
                        char *error, size_t error_size);

void apikey_journal_close(apikey_journal_t *journal);

/*
 * Reads at most `count` records from number `first` on.  Returns how many of
 * them were sound and are in `held`; *seen says how many there were.
 */
int apikey_journal_read(apikey_journal_t *journal, uint64_t first,
                        apikey_held_t *held, size_t count, size_t *seen);

void apikey_journal_pack(unsigned char record[static APIKEY_JOURNAL_RECORD],
                         const apikey_held_t *held);

/* Appends packed records; returns 0 once the disk, if there is one, has
   them. */
int apikey_journal_append(apikey_journal_t    *journal,
                          const unsigned char *records, size_t count);

/* Replaces the file: begin, add, commit.  Begin drops what was not committed,
   and so does abort. */
int apikey_journal_begin(apikey_journal_t *journal);
int apikey_journal_add(apikey_journal_t *journal, const unsigned char *records,
                       size_t count);
int apikey_journal_commit(apikey_journal_t *journal);
void apikey_journal_abort(apikey_journal_t *journal);

#endif /* APIKEY_SYNC_JOURNAL_H */
