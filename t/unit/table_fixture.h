/*
 * Copyright (C) 2026 the ngx_http_apikey_module authors
 *
 * A table in a temporary directory, for the unit tests of table/.
 */

#ifndef T_UNIT_TABLE_FIXTURE_H
#define T_UNIT_TABLE_FIXTURE_H

#include <dirent.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "table/read.h"
#include "table/write.h"

typedef struct {
    char             path[64];
    apikey_writer_t *writer;
    apikey_table_t   table;
    unsigned char    record[APIKEY_RECORD_SIZE_MAX]; /* of the last look-up */
    apikey_entry_t   entry;
} fixture_t;

static const uint8_t fixture_epoch[APIKEY_EPOCH_LEN] = { 1, 2, 3 };


static inline apikey_writer_t *
fixture_open(fixture_t *f)
{
    char error[1024] = "";

    f->writer = apikey_writer_open(f->path, error, sizeof(error));
    if (f->writer == NULL) {
        fail_msg("%s", error);
    }

    return f->writer;
}


/* A directory with a writer that has published nothing yet. */
static inline int
fixture_setup(void **state)
{
    fixture_t *f = calloc(1, sizeof(fixture_t));

    strcpy(f->path, "/tmp/apikey-table-XXXXXX");
    assert_non_null(mkdtemp(f->path));
    assert_int_equal(apikey_table_init(&f->table, f->path), 0);
    fixture_open(f);

    *state = f;

    return 0;
}


static inline int
fixture_teardown(void **state)
{
    DIR           *dir;
    fixture_t     *f = *state;
    struct dirent *entry;

    apikey_table_detach(&f->table);
    apikey_writer_close(f->writer);

    dir = opendir(f->path);

    while (dir && (entry = readdir(dir)) != NULL) {
        unlinkat(dirfd(dir), entry->d_name, 0);
    }

    if (dir) {
        closedir(dir);
    }

    rmdir(f->path);
    free(f);

    return 0;
}


/* A digest for the n-th key, spread over the table as real ones are. */
static inline void
fixture_digest(uint8_t digest[static APIKEY_TABLE_DIGEST_LEN], uint64_t n)
{
    int      i;
    uint64_t w;

    for (i = 0; i < 4; i++) {
        w = (n * 4 + (uint64_t) i + 1) * 0x9e3779b97f4a7c15ULL;
        w ^= w >> 31;
        w *= 0xbf58476d1ce4e5b9ULL;
        w ^= w >> 29;
        memcpy(digest + 8 * i, &w, sizeof(w));
    }
}


/* The stamp of a version's change, in these tests. */
#define fixture_stamp(version) (1000000 + (version))

/* As an operator who has taken `accepted` back, where that is not NULL. */
static inline apikey_write_t
fixture_settle(fixture_t *f, uint64_t n, apikey_status_t status,
               uint64_t version, const char *name,
               const apikey_table_revocation_t *accepted,
               apikey_table_revocation_t       *held)
{
    char         id[APIKEY_RECORD_ID_MAX + 1];
    apikey_put_t put = { .status = status,
                         .version = version,
                         .stamp = fixture_stamp(version),
                         .accepted = accepted,
                         .accepted_count = accepted != NULL,
                         .id = id,
                         .member = "ada",
                         .tenant = "ten_1",
                         .name = name,
                         .scopes = "checks:write" };

    fixture_digest(put.digest, n);
    snprintf(id, sizeof(id), "key_%020llu", (unsigned long long) n);

    return apikey_writer_put(f->writer, &put, held);
}


static inline apikey_write_t
fixture_put(fixture_t *f, uint64_t n, apikey_status_t status, uint64_t version,
            const char *name, int *conflict)
{
    apikey_write_t            rc;
    apikey_table_revocation_t held;

    rc = fixture_settle(f, n, status, version, name, NULL, &held);

    if (conflict && held.version != 0) {
        *conflict = 1;
    }

    return rc;
}


static inline void
fixture_begin(fixture_t *f, apikey_build_t build, uint64_t keys)
{
    apikey_write_t rc;

    assert_int_equal(
        apikey_writer_begin(f->writer, build, fixture_epoch, keys, 0),
        APIKEY_WRITE_OK);

    do {
        rc = apikey_writer_prepare(f->writer);
    } while (rc == APIKEY_WRITE_MORE);

    assert_int_equal(rc, APIKEY_WRITE_OK);
}


/* Counts, and sees that it is told which. */
static inline void
fixture_conflict(void *ctx, const apikey_held_t *held, int alive)
{
    (void) alive;

    assert_memory_equal(held->id, "key_", 4);
    assert_int_equal(held->revocation.stamp,
                     fixture_stamp(held->revocation.version));
    ++*(uint64_t *) ctx;
}


static inline uint64_t
fixture_publish(fixture_t *f)
{
    uint64_t       conflicts = 0;
    apikey_write_t rc;

    do {
        rc = apikey_writer_carry(f->writer, 100, fixture_conflict, &conflicts);
    } while (rc == APIKEY_WRITE_MORE);

    assert_int_equal(rc, APIKEY_WRITE_OK);
    assert_int_equal(apikey_writer_publish(f->writer), APIKEY_WRITE_OK);

    return conflicts;
}


/* Publishes a generation that holds the keys 0 to n - 1, enabled. */
static inline void
fixture_fill(fixture_t *f, uint64_t n)
{
    uint64_t i;

    fixture_begin(f, APIKEY_BUILD_SNAPSHOT, n);

    for (i = 0; i < n; i++) {
        assert_int_equal(
            fixture_put(f, i, APIKEY_ENABLED, i + 1, "name", NULL),
            APIKEY_WRITE_OK);
    }

    fixture_publish(f);
}


static inline void
fixture_renew(fixture_t *f, uint64_t ms)
{
    assert_int_equal(
        apikey_writer_renew(f->writer, apikey_boottime() + ms * 1000),
        APIKEY_WRITE_OK);
}


static inline void *
fixture_alloc(void *ctx, size_t size)
{
    fixture_t *f = ctx;

    return size <= sizeof(f->record) ? f->record : NULL;
}


static inline apikey_lookup_t
fixture_lookup(fixture_t *f, uint64_t n)
{
    uint8_t digest[APIKEY_TABLE_DIGEST_LEN];

    fixture_digest(digest, n);

    return apikey_table_lookup(&f->table, digest, &f->entry, fixture_alloc, f);
}


/* What a gate would do: 1 only for a fresh view of an enabled key. */
static inline int
fixture_allows(fixture_t *f, uint64_t n)
{
    return fixture_lookup(f, n) == APIKEY_LOOKUP_FOUND
           && f->entry.status == APIKEY_ENABLED && f->entry.late < 0;
}

/* As fixture_allows(), for up to five seconds: a reader that failed to attach
   waits 100 ms before it tries again. */
static inline int
fixture_allows_soon(fixture_t *f, uint64_t n)
{
    uint64_t end = apikey_boottime() + 5000000;

    while (!fixture_allows(f, n)) {
        if (apikey_boottime() > end) {
            return 0;
        }

        usleep(1000);
    }

    return 1;
}

#endif /* T_UNIT_TABLE_FIXTURE_H */
