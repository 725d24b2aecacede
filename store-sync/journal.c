/*
 * Copyright (C) 2026 the ngx_http_apikey_module authors
 *
 * The file of revocations; see journal.h.
 */

#include "journal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "table/failpoint.h"

#define JOURNAL_NEXT   APIKEY_JOURNAL_NAME ".new"
#define JOURNAL_MAGIC  0x31564552534b5041ULL /* "APKSREV1" */
#define JOURNAL_BUFFER 256                   /* records read at once */

/* In the machine's own byte order, as the table. */
typedef struct {
    uint64_t magic;
    uint64_t endian;
    uint64_t record; /* bytes */
    uint8_t  pad[APIKEY_JOURNAL_RECORD - 4 * sizeof(uint64_t)];
    uint64_t check; /* apikey_check() of all before it */
} journal_head_t;

typedef struct {
    uint8_t  digest[APIKEY_TABLE_DIGEST_LEN];
    char     id[APIKEY_RECORD_ID_MAX]; /* zeros behind a shorter one */
    uint64_t version;
    uint64_t stamp;
    uint64_t check; /* apikey_check() of all before it */
} journal_record_t;

_Static_assert(sizeof(journal_head_t) == APIKEY_JOURNAL_RECORD, "layout");
_Static_assert(sizeof(journal_record_t) == APIKEY_JOURNAL_RECORD, "layout");


static int
journal_error(apikey_journal_t *journal, const char *what)
{
    snprintf(journal->error, sizeof(journal->error), "%s: %s", what,
             strerror(errno));

    return -1;
}


static int
write_all(int fd, const void *data, size_t len, uint64_t offset)
{
    ssize_t              n;
    const unsigned char *p = data;

    while (len > 0) {
        n = pwrite(fd, p, len, (off_t) offset);

        if (n <= 0) {
            if (n == -1 && errno == EINTR) {
                continue;
            }

            errno = n == 0 ? ENOSPC : errno;
            return -1;
        }

        p += n;
        len -= (size_t) n;
        offset += (uint64_t) n;
    }

    return 0;
}


static void
remove_next(const apikey_journal_t *journal)
{
    if (journal->dir != -1) {
        unlinkat(journal->dir, JOURNAL_NEXT, 0);
    }
}


/* A file with a head alone; its descriptor, or -1. */
static int
create_next(apikey_journal_t *journal)
{
    int            fd;
    journal_head_t head = { .magic = JOURNAL_MAGIC,
                            .endian = APIKEY_ENDIAN_TAG,
                            .record = APIKEY_JOURNAL_RECORD };

    head.check = apikey_check(&head, offsetof(journal_head_t, check));

    if (journal->dir == -1) {
        fd = memfd_create(JOURNAL_NEXT, MFD_CLOEXEC);

    } else {
        remove_next(journal);

        fd = openat(journal->dir, JOURNAL_NEXT,
                    O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    }

    if (fd == -1 || write_all(fd, &head, sizeof(head), 0) == -1) {
        journal_error(journal, "cannot create it");

        if (fd != -1) {
            close(fd);
            remove_next(journal);
        }

        return -1;
    }

    apikey_failpoint("journal-begun");

    return fd;
}


static int
head_check(apikey_journal_t *journal)
{
    journal_head_t head;

    if (pread(journal->fd, &head, sizeof(head), 0) != sizeof(head)
        || head.magic != JOURNAL_MAGIC || head.endian != APIKEY_ENDIAN_TAG
        || head.record != APIKEY_JOURNAL_RECORD
        || head.check != apikey_check(&head, offsetof(journal_head_t, check)))
    {
        snprintf(journal->error, sizeof(journal->error),
                 "it is no file of revocations of this machine and version; "
                 "move it away if what it says may be forgotten");
        return -1;
    }

    return 0;
}


/* Opens what is there, or makes it. */
static int
open_file(apikey_journal_t *journal)
{
    struct stat st;

    journal->fd = openat(journal->dir, APIKEY_JOURNAL_NAME,
                         O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);

    if (journal->fd == -1 && errno == ENOENT) {
        /* by way of another name, so that no kill leaves half a head */
        if (apikey_journal_begin(journal) == -1
            || apikey_journal_commit(journal) == -1)
        {
            return -1;
        }

        return 0;
    }

    if (journal->fd == -1 || fstat(journal->fd, &st) == -1) {
        return journal_error(journal, "cannot open it");
    }

    if (!S_ISREG(st.st_mode) || (st.st_uid != geteuid() && st.st_uid != 0)
        || (st.st_mode & (S_IWGRP | S_IWOTH)))
    {
        snprintf(journal->error, sizeof(journal->error),
                 "it must be a file of the user that runs apikey-sync, and "
                 "writable by nobody else");
        return -1;
    }

    if (head_check(journal) == -1) {
        return -1;
    }

    /* what follows the last whole record is written over */
    journal->records = ((uint64_t) st.st_size - sizeof(journal_head_t))
                       / APIKEY_JOURNAL_RECORD;

    return 0;
}


/* What is wrong with the directory, or NULL; it is locked then. */
static const char *
directory_check(int dir)
{
    struct stat st;

    if (fstat(dir, &st) == -1) {
        return strerror(errno);
    }

    if (st.st_uid != geteuid() && st.st_uid != 0) {
        return "it belongs to another user; give it to the one that runs "
               "apikey-sync";
    }

    if (st.st_mode & (S_IWGRP | S_IWOTH)) {
        return "its group or others may write it; make it 0700";
    }

    if (flock(dir, LOCK_EX | LOCK_NB) == -1) {
        return "another apikey-sync uses it; each edge needs one of its own";
    }

    return NULL;
}


static int
begin_in_memory(apikey_journal_t *journal, char *error, size_t error_size)
{
    if (apikey_journal_begin(journal) == -1
        || apikey_journal_commit(journal) == -1)
    {
        snprintf(error, error_size, "a file in memory: %s", journal->error);
        apikey_journal_close(journal);
        return -1;
    }

    return 0;
}


int
apikey_journal_open(apikey_journal_t *journal, const char *path, char *error,
                    size_t error_size)
{
    const char *wrong;

    memset(journal, 0, sizeof(*journal));
    journal->dir = -1;
    journal->fd = -1;
    journal->next = -1;

    if (path == NULL) {
        return begin_in_memory(journal, error, error_size);
    }

    journal->dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (journal->dir == -1) {
        snprintf(error, error_size,
                 "%s: %s; create it for the user that runs apikey-sync, mode "
                 "0700",
                 path, strerror(errno));
        return -1;
    }

    wrong = directory_check(journal->dir);

    if (wrong) {
        snprintf(error, error_size, "%s: %s", path, wrong);

    } else if (open_file(journal) == -1) {
        snprintf(error, error_size, "%s/" APIKEY_JOURNAL_NAME ": %s", path,
                 journal->error);

    } else {
        return 0;
    }

    apikey_journal_close(journal);

    return -1;
}


void
apikey_journal_close(apikey_journal_t *journal)
{
    apikey_journal_abort(journal);

    if (journal->fd != -1) {
        close(journal->fd);
    }

    if (journal->dir != -1) {
        close(journal->dir);
    }
}


static uint64_t
offset_of(uint64_t record)
{
    return sizeof(journal_head_t) + record * APIKEY_JOURNAL_RECORD;
}


void
apikey_journal_pack(unsigned char        record[static APIKEY_JOURNAL_RECORD],
                    const apikey_held_t *held)
{
    journal_record_t r = { .version = held->revocation.version,
                           .stamp = held->revocation.stamp };

    memcpy(r.digest, held->digest, sizeof(r.digest));
    memcpy(r.id, held->id, strnlen(held->id, sizeof(r.id)));
    r.check = apikey_check(&r, offsetof(journal_record_t, check));

    memcpy(record, &r, sizeof(r));
}


/* 1, or 0 if it is damaged. */
static int
unpack(apikey_held_t *held, const journal_record_t *record)
{
    if (record->version == 0 || record->version > APIKEY_VERSION_MAX
        || record->check
               != apikey_check(record, offsetof(journal_record_t, check)))
    {
        return 0;
    }

    memcpy(held->digest, record->digest, sizeof(held->digest));
    memcpy(held->id, record->id, sizeof(record->id));
    held->id[sizeof(record->id)] = '\0';
    held->revocation.version = record->version;
    held->revocation.stamp = record->stamp;

    return 1;
}


int
apikey_journal_read(apikey_journal_t *journal, uint64_t first,
                    apikey_held_t *held, size_t count, size_t *seen)
{
    int              sound = 0;
    size_t           i, len;
    ssize_t          n;
    journal_record_t records[JOURNAL_BUFFER];

    if (count > JOURNAL_BUFFER) {
        count = JOURNAL_BUFFER;
    }

    if (count > journal->records - first) {
        count = (size_t) (journal->records - first);
    }

    len = count * sizeof(journal_record_t);
    n = pread(journal->fd, records, len, (off_t) offset_of(first));

    if (n != (ssize_t) len) {
        errno = n == -1 ? errno : EIO;
        return journal_error(journal, "cannot read it");
    }

    for (i = 0; i < count; i++) {
        sound += unpack(&held[sound], &records[i]);
    }

    *seen = count;

    return sound;
}


int
apikey_journal_append(apikey_journal_t *journal, const unsigned char *records,
                      size_t count)
{
    if (write_all(journal->fd, records, count * APIKEY_JOURNAL_RECORD,
                  offset_of(journal->records))
        == -1)
    {
        return journal_error(journal, "cannot write to it");
    }

    apikey_failpoint("journal-appended");

    if (fdatasync(journal->fd) == -1) {
        return journal_error(journal, "cannot write to it");
    }

    apikey_failpoint("journal-synced");

    journal->records += count;

    return 0;
}


int
apikey_journal_begin(apikey_journal_t *journal)
{
    apikey_journal_abort(journal);

    journal->added = 0;
    journal->next = create_next(journal);

    return journal->next == -1 ? -1 : 0;
}


int
apikey_journal_add(apikey_journal_t *journal, const unsigned char *records,
                   size_t count)
{
    if (write_all(journal->next, records, count * APIKEY_JOURNAL_RECORD,
                  offset_of(journal->added))
        == -1)
    {
        return journal_error(journal, "cannot write its successor");
    }

    journal->added += count;

    apikey_failpoint("journal-added");

    return 0;
}


/* Gives the next file its name, for good. */
static int
name_next(const apikey_journal_t *journal)
{
    if (fsync(journal->next) == -1) {
        return -1;
    }

    apikey_failpoint("journal-next");

    if (renameat(journal->dir, JOURNAL_NEXT, journal->dir, APIKEY_JOURNAL_NAME)
        == -1)
    {
        return -1;
    }

    apikey_failpoint("journal-renamed");

    if (fsync(journal->dir) == -1) {
        return -1;
    }

    apikey_failpoint("journal-replaced");

    return 0;
}


int
apikey_journal_commit(apikey_journal_t *journal)
{
    if (journal->dir != -1 && name_next(journal) == -1) {
        return journal_error(journal, "cannot replace it");
    }

    if (journal->fd != -1) {
        close(journal->fd);
    }

    journal->fd = journal->next;
    journal->records = journal->added;
    journal->next = -1;

    return 0;
}


void
apikey_journal_abort(apikey_journal_t *journal)
{
    if (journal->next != -1) {
        close(journal->next);
        journal->next = -1;
        remove_next(journal);
    }
}
