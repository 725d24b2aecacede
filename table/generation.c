/*
 * Copyright (C) 2026 the ngx_http_apikey_module authors
 *
 * One generation as its writer holds it.  W1 and W4 are steps of
 * apikey_table.h.
 */

#include "generation.h"
#include "failpoint.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/statvfs.h>
#include <unistd.h>

/* Bytes that are allocated, or given back, in one slice: about half a
   millisecond on tmpfs. */
#define GEN_SLICE (1ULL << 20)

/* Bytes by which a record area is extended. */
#define GEN_STEP (2ULL << 20)

#define gen_file(slots, records) \
    (APIKEY_GENERATION_HEAD + (slots) *APIKEY_SLOT_SIZE + (records))


static void
gen_name(char name[static 64], uint64_t number)
{
    snprintf(name, 64, APIKEY_GENERATION_NAME "%llu",
             (unsigned long long) number);
}


apikey_write_t
apikey_gen_error(apikey_gen_t *gen, const char *what, int err)
{
    snprintf(gen->error, sizeof(gen->error),
             APIKEY_GENERATION_NAME "%llu: %s: %s%s",
             (unsigned long long) gen->number, what, strerror(err),
             err == ENOSPC ? "; give the file system of the table more room"
                           : "");

    return APIKEY_WRITE_ERROR;
}


/* Sets the pointers into a mapping of the file. */
static void
gen_map(apikey_gen_t *gen, void *map)
{
    gen->head = map;
    gen->slot =
        (apikey_slot_t *) ((unsigned char *) map + APIKEY_GENERATION_HEAD);
    gen->area = (unsigned char *) (gen->slot + gen->slots);
}


/* Asked before the first block is taken: to fill a file system that others
   use, only to find that there was no room, would be their trouble too. */
static int
gen_fits(const apikey_gen_t *gen, uint64_t size)
{
    struct statvfs vfs;

    if (fstatvfs(gen->fd, &vfs) == -1) {
        return -1;
    }

    if ((uint64_t) vfs.f_bavail * vfs.f_frsize < size + size / 16) {
        errno = ENOSPC;
        return -1;
    }

    return 0;
}


static int
gen_seed(apikey_gen_t *gen)
{
    int i;

    if (getrandom(gen->seed, sizeof(gen->seed), 0) != sizeof(gen->seed)) {
        return -1;
    }

    for (i = 0; i < 4; i++) {
        gen->seed[i] |= 1;
    }

    return 0;
}


apikey_write_t
apikey_gen_create(apikey_gen_t *gen, int dir, gid_t gid, uint64_t number,
                  const uint8_t epoch[APIKEY_EPOCH_LEN], uint64_t slots,
                  uint64_t records)
{
    char        name[64];
    struct stat st;

    memset(gen, 0, sizeof(apikey_gen_t));

    gen->number = number;
    gen->slots = slots;
    gen->records = (records + 7) & ~7ULL;
    memcpy(gen->epoch, epoch, APIKEY_EPOCH_LEN);

    if (gen_seed(gen) == -1) {
        apikey_gen_error(gen, "cannot begin it", errno);
        gen->number = 0;
        return APIKEY_WRITE_ERROR;
    }

    gen_name(name, number);

    /* 0600 until it has its group */
    gen->fd = openat(dir, name,
                     O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (gen->fd == -1) {
        apikey_gen_error(gen, "cannot create it", errno);
        gen->number = 0;
        return APIKEY_WRITE_ERROR;
    }

    apikey_failpoint("create-file");

    if (fstat(gen->fd, &st) == -1
        || (st.st_gid != gid && fchown(gen->fd, (uid_t) -1, gid) == -1)
        || fchmod(gen->fd, 0640) == -1)
    {
        apikey_gen_error(gen, "cannot give it to the directory's group",
                         errno);
        apikey_gen_unlink(gen, dir);
        apikey_gen_drop(gen);
        return APIKEY_WRITE_ERROR;
    }

    apikey_failpoint("create-group");

    return APIKEY_WRITE_OK;
}


apikey_write_t
apikey_gen_prepare(apikey_gen_t *gen)
{
    int      err;
    void    *map;
    uint64_t size, step;

    if (gen->head) {
        return APIKEY_WRITE_OK;
    }

    size = gen_file(gen->slots, gen->records);

    if (gen->allocated == 0 && gen_fits(gen, size) == -1) {
        return apikey_gen_error(gen, "cannot begin it", errno);
    }

    step =
        size - gen->allocated < GEN_SLICE ? size - gen->allocated : GEN_SLICE;

    /* allocated before it is mapped: a full file system is an error here, not
       a SIGBUS in somebody's store later */
    err = posix_fallocate(gen->fd, (off_t) gen->allocated, (off_t) step);
    if (err != 0 && err != EINTR) {
        return apikey_gen_error(gen, "cannot allocate its blocks", err);
    }

    if (err == 0) {
        gen->allocated += step;
    }

    apikey_failpoint("prepare-step");

    if (gen->allocated < size) {
        return APIKEY_WRITE_MORE;
    }

    map = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, gen->fd, 0);
    if (map == MAP_FAILED) {
        return apikey_gen_error(gen, "cannot map it", errno);
    }

    gen_map(gen, map);

    apikey_failpoint("prepare-mapped");

    return APIKEY_WRITE_OK;
}


apikey_write_t
apikey_gen_extend(apikey_gen_t *gen)
{
    int      err;
    void    *map;
    uint64_t size = gen_file(gen->slots, gen->records);

    do {
        err = posix_fallocate(gen->fd, (off_t) size, GEN_STEP);
    } while (err == EINTR);

    if (err != 0) {
        return apikey_gen_error(gen, "cannot extend it", err);
    }

    apikey_failpoint("extend-allocated");

    map = mremap(gen->head, size, size + GEN_STEP, MREMAP_MAYMOVE);
    if (map == MAP_FAILED) {
        return apikey_gen_error(gen, "cannot map it", errno);
    }

    gen->records += GEN_STEP;
    gen->allocated = size + GEN_STEP;
    gen_map(gen, map);

    apikey_failpoint("extend-mapped");

    return APIKEY_WRITE_OK;
}


int
apikey_gen_adopt(apikey_gen_t *gen, int dir, uint64_t number)
{
    int                 rc = 0;
    char                name[64];
    void               *map;
    struct stat         st;
    apikey_generation_t head;

    memset(gen, 0, sizeof(apikey_gen_t));

    gen->number = number;
    gen_name(name, number);

    gen->fd = openat(dir, name, O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (gen->fd == -1) {
        if (errno != ENOENT && errno != ELOOP) {
            apikey_gen_error(gen, "cannot open it", errno);
            rc = -1;
        }

        goto nothing;
    }

    if (fstat(gen->fd, &st) == -1) {
        apikey_gen_error(gen, "cannot look at it", errno);
        rc = -1;
        goto nothing;
    }

    if (apikey_valid_file(&st, geteuid(), APIKEY_GENERATION_HEAD)
            != APIKEY_TABLE_OK
        || pread(gen->fd, &head, sizeof(head), 0) != sizeof(head)
        || apikey_valid_generation(&head, number, (uint64_t) st.st_size,
                                   st.st_ino)
               != APIKEY_TABLE_OK)
    {
        goto nothing;
    }

    map =
        mmap(NULL, head.size, PROT_READ | PROT_WRITE, MAP_SHARED, gen->fd, 0);
    if (map == MAP_FAILED) {
        apikey_gen_error(gen, "cannot map it", errno);
        rc = -1;
        goto nothing;
    }

    gen->adopted = 1;
    gen->slots = head.slots;
    gen->records = head.records;
    gen->used = head.records; /* nothing is added to it */
    gen->allocated = head.size;
    memcpy(gen->epoch, head.epoch, APIKEY_EPOCH_LEN);
    memcpy(gen->seed, head.seed, sizeof(gen->seed));
    gen_map(gen, map);

    return 1;

nothing:

    if (gen->fd != -1) {
        close(gen->fd);
    }

    gen->number = 0;

    return rc;
}


int
apikey_gen_sound(const apikey_gen_t *gen, int dir)
{
    char        name[64];
    struct stat st, named;

    gen_name(name, gen->number);

    /* who attaches next goes by the name; and the size comes before the head:
       behind the end of a file there is nothing to look at */
    return fstat(gen->fd, &st) == 0
           && fstatat(dir, name, &named, AT_SYMLINK_NOFOLLOW) == 0
           && named.st_dev == st.st_dev && named.st_ino == st.st_ino
           && apikey_valid_file(&st, geteuid(),
                                gen_file(gen->slots, gen->records))
                  == APIKEY_TABLE_OK
           && apikey_valid_generation(gen->head, gen->number,
                                      (uint64_t) st.st_size, st.st_ino)
                  == APIKEY_TABLE_OK;
}


apikey_write_t
apikey_gen_seal(apikey_gen_t *gen)
{
    struct stat          st;
    apikey_generation_t *head;

    if (fstat(gen->fd, &st) == -1) {
        apikey_gen_error(gen, "cannot look at it", errno);
        return APIKEY_WRITE_ERROR;
    }

    /* room to follow changes in before the first growth */
    if (gen->records - gen->used < GEN_STEP / 8
        && apikey_gen_extend(gen) != APIKEY_WRITE_OK)
    {
        return APIKEY_WRITE_ERROR;
    }

    head = gen->head;
    head->magic = APIKEY_GENERATION_MAGIC;

    apikey_failpoint("seal-magic");

    head->endian = APIKEY_ENDIAN_TAG;
    head->layout = APIKEY_TABLE_LAYOUT;
    head->slot_size = APIKEY_SLOT_SIZE;
    head->generation = gen->number;
    head->slots = gen->slots;
    head->records = gen->records;
    head->size = gen_file(gen->slots, gen->records);
    memcpy(head->epoch, gen->epoch, APIKEY_EPOCH_LEN);
    memcpy(head->seed, gen->seed, sizeof(gen->seed));
    head->inode = st.st_ino;

    apikey_failpoint("seal-check");

    head->check = apikey_check(head, offsetof(apikey_generation_t, check));

    return APIKEY_WRITE_OK;
}


void
apikey_gen_unlink(const apikey_gen_t *gen, int dir)
{
    char name[64];

    apikey_failpoint("unlink");

    gen_name(name, gen->number);
    unlinkat(dir, name, 0);

    apikey_failpoint("unlinked");
}


/*
 * From the end towards the first page, which is never touched.  A hole, and
 * not a shorter file: readers that have it mapped see zeros and no SIGBUS.
 * Their own mappings of these pages go with them, so that to unmap the file is
 * little work for whoever does it last.
 */
apikey_write_t
apikey_gen_release(apikey_gen_t *gen)
{
    uint64_t from;

    if (gen->allocated > APIKEY_GENERATION_HEAD) {
        from = (gen->allocated - 1) / GEN_SLICE * GEN_SLICE;

        if (from < APIKEY_GENERATION_HEAD) {
            from = APIKEY_GENERATION_HEAD;
        }

        /* W4 */

        if (fallocate(gen->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                      (off_t) from, (off_t) (gen->allocated - from))
            == 0)
        {
            apikey_failpoint("release-slice");

            gen->allocated = from;
            return APIKEY_WRITE_MORE;
        }

        if (errno == EINTR) {
            return APIKEY_WRITE_MORE;
        }

        /* a file system that knows no holes takes the blocks back when the
           file is closed: with a pause */
    }

    apikey_gen_drop(gen);

    return APIKEY_WRITE_OK;
}


void
apikey_gen_drop(apikey_gen_t *gen)
{
    if (gen->number == 0) {
        return;
    }

    if (gen->head) {
        munmap(gen->head, gen_file(gen->slots, gen->records));
    }

    close(gen->fd);

    gen->number = 0;
    gen->head = NULL;
}
