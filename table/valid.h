/*
 * Copyright (C) 2026 the ngx_http_apikey_module authors
 *
 * Whether a file is a table's: the checks that both the reader and the writer
 * make before they believe anything in it.
 */

#ifndef APIKEY_TABLE_VALID_H
#define APIKEY_TABLE_VALID_H

#include <sys/stat.h>

#include "apikey_table.h"

#define APIKEY_BOOT_ID_LEN 16

typedef enum {
    APIKEY_TABLE_OK = 0,
    APIKEY_TABLE_ABSENT,     /* no directory, no control, no generation yet */
    APIKEY_TABLE_DENIED,     /* permission denied */
    APIKEY_TABLE_FOREIGN,    /* not ours, or another layout or byte order */
    APIKEY_TABLE_UNSAFE,     /* group or others may write it */
    APIKEY_TABLE_DAMAGED,    /* truncated, or a check does not fit */
    APIKEY_TABLE_OTHER_BOOT, /* left by an earlier boot of this machine */
    APIKEY_TABLE_COPY,       /* sound, but not the file that is written to */
    APIKEY_TABLE_SYSTEM,     /* any other system error */
    APIKEY_TABLE_CROWDED /* too many slots or generations to look through */
} apikey_table_error_t;

/* A sentence for the operator.  Static. */
const char *apikey_table_strerror(apikey_table_error_t error);

/* The error that an errno of open(2), stat(2) or mmap(2) stands for. */
apikey_table_error_t apikey_table_errno(int err);

/* The kernel's boot id.  Returns 0, or -1 with errno set. */
int apikey_boot_id(uint8_t id[static APIKEY_BOOT_ID_LEN]);

/* OK if nobody but root and `owner` may write it: the directory or a file of
   it.  UNSAFE if not. */
apikey_table_error_t apikey_valid_rights(const struct stat *st, uid_t owner);

/* Type, rights and size of an open file: at least `size` bytes. */
apikey_table_error_t
apikey_valid_file(const struct stat *st, uid_t owner, uint64_t size);

/*
 * page points to at least APIKEY_CONTROL_SIZE bytes; inode is the file's.  A
 * page under another inode is a copy: nothing that the daemon writes, be it
 * the end of a lease, comes to be seen there.
 */
apikey_table_error_t
apikey_valid_control(const apikey_control_t *page,
                     const uint8_t           boot[static APIKEY_BOOT_ID_LEN],
                     uint64_t                inode);

/*
 * head points to a header page, or to a copy of the part before its check and
 * the check; file_size and inode are what fstat(2) says.
 */
apikey_table_error_t
apikey_valid_generation(const apikey_generation_t *head, uint64_t generation,
                        uint64_t file_size, uint64_t inode);

/*
 * record points to `size` bytes, copied or not, that are in bounds.  1 if its
 * size, lengths and check fit together and it belongs to this digest, else 0.
 */
int apikey_valid_record(const apikey_table_record_t *record, uint64_t size,
                        uint64_t digest0);

/* The bytes that the record at `offset` claims, or 0 if out of bounds. */
uint64_t apikey_record_claim(const unsigned char *records,
                             uint64_t records_size, uint64_t offset);

#endif /* APIKEY_TABLE_VALID_H */
