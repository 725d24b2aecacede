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

/* Keys per 100 slots: beyond, probes get long. */
#define GEN_LOAD 70

#define gen_file(slots, records) \
    (APIKEY_GENERATION_HEAD + (slots) *APIKEY_SLOT_SIZE + (records))


static void
gen_name(char name[static 64], uint64_t number)
{
    snprintf(name, 64, APIKEY_GENERATION_NAME "%llu",
             (unsigned long long) number);
}


static apikey_write_t
gen_error(apikey_gen_t *gen, const char *what, int err)
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
        gen_error(gen, "cannot begin it", errno);
        gen->number = 0;
        return APIKEY_WRITE_ERROR;
    }

    gen_name(name, number);

    /* 0600 until it has its group */
    gen->fd = openat(dir, name,
                     O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (gen->fd == -1) {
        gen_error(gen, "cannot create it", errno);
        gen->number = 0;
        return APIKEY_WRITE_ERROR;
    }

    apikey_failpoint("create-file");

    if (fstat(gen->fd, &st) == -1
        || (st.st_gid != gid && fchown(gen->fd, (uid_t) -1, gid) == -1)
        || fchmod(gen->fd, 0640) == -1)
    {
        gen_error(gen, "cannot give it to the directory's group", errno);
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
        return gen_error(gen, "cannot begin it", errno);
    }

    step =
        size - gen->allocated < GEN_SLICE ? size - gen->allocated : GEN_SLICE;

    /* allocated before it is mapped: a full file system is an error here, not
       a SIGBUS in somebody's store later */
    err = posix_fallocate(gen->fd, (off_t) gen->allocated, (off_t) step);
    if (err != 0 && err != EINTR) {
        return gen_error(gen, "cannot allocate its blocks", err);
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
        return gen_error(gen, "cannot map it", errno);
    }

    gen_map(gen, map);

    apikey_failpoint("prepare-mapped");

    return APIKEY_WRITE_OK;
}


/* Extends the record area of a generation that no reader has yet. */
static apikey_write_t
gen_extend(apikey_gen_t *gen)
{
    int      err;
    void    *map;
    uint64_t size = gen_file(gen->slots, gen->records);

    do {
        err = posix_fallocate(gen->fd, (off_t) size, GEN_STEP);
    } while (err == EINTR);

    if (err != 0) {
        return gen_error(gen, "cannot extend it", err);
    }

    apikey_failpoint("extend-allocated");

    map = mremap(gen->head, size, size + GEN_STEP, MREMAP_MAYMOVE);
    if (map == MAP_FAILED) {
        return gen_error(gen, "cannot map it", errno);
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
            gen_error(gen, "cannot open it", errno);
            rc = -1;
        }

        goto nothing;
    }

    if (fstat(gen->fd, &st) == -1) {
        gen_error(gen, "cannot look at it", errno);
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
        gen_error(gen, "cannot map it", errno);
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
        gen_error(gen, "cannot look at it", errno);
        return APIKEY_WRITE_ERROR;
    }

    /* room to follow changes in before the first growth */
    if (gen->records - gen->used < GEN_STEP / 8
        && gen_extend(gen) != APIKEY_WRITE_OK)
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


/* The slot with this digest, or the empty one where it belongs; NULL: the
   table is too crowded there. */
static apikey_slot_t *
gen_find(const apikey_gen_t *gen, const uint64_t digest[static 4])
{
    uint64_t       i, n;
    apikey_slot_t *slot;

    i = apikey_slot_home(digest, gen->seed, gen->slots);

    for (n = 0; n < APIKEY_PROBES_MAX && n < gen->slots; n++) {
        slot = &gen->slot[i];

        if (slot->state == 0
            || (slot->digest[0] == digest[0] && slot->digest[1] == digest[1]
                && slot->digest[2] == digest[2]
                && slot->digest[3] == digest[3]))
        {
            return slot;
        }

        if (++i == gen->slots) {
            i = 0;
        }
    }

    return NULL;
}


/* A slot's status and record; EMPTY if there is no key, or if it is damaged
   (then *damaged is 1). */
static apikey_status_t
slot_status(const apikey_slot_t *slot, uint64_t *offset, int *damaged)
{
    apikey_status_t status = APIKEY_EMPTY;

    *damaged = 0;

    if (slot->state != 0 && !apikey_state_split(slot->state, offset, &status))
    {
        *damaged = 1;
        return APIKEY_EMPTY;
    }

    return status;
}


/* The books: how many keys have this status. */
static void
gen_count(apikey_gen_t *gen, apikey_status_t status, int add)
{
    apikey_word_t *count;

    switch (status) {
    case APIKEY_ENABLED:
        count = &gen->head->enabled;
        break;
    case APIKEY_DISABLED:
        count = &gen->head->disabled;
        break;
    case APIKEY_REVOKED:
        count = &gen->head->revoked;
        break;
    default:
        return;
    }

    atomic_store_explicit(count,
                          atomic_load_explicit(count, memory_order_relaxed)
                              + (uint64_t) add,
                          memory_order_relaxed);
}


/* Takes `size` bytes of the record area; the record's bytes are there. */
static uint64_t
take_record(apikey_gen_t *gen, uint64_t size)
{
    uint64_t offset = gen->used;

    gen->used += size;
    atomic_store_explicit(&gen->head->records_used, gen->used,
                          memory_order_relaxed);

    apikey_failpoint("record-taken");

    return offset;
}


/*
 * W1, its last store: one word, and the key has another status or record, or
 * both, for every reader.  held is looked at where `to` is REVOKED.
 */
static void
set_state(apikey_gen_t *gen, apikey_slot_t *slot, uint64_t version,
          uint64_t offset, apikey_status_t from, apikey_status_t to,
          const apikey_table_revocation_t *held)
{
    gen_count(gen, from, -1);
    gen_count(gen, to, 1);

    apikey_failpoint("state-counted");

    atomic_store_explicit(&slot->version, version, memory_order_relaxed);

    if (to == APIKEY_REVOKED) {
        atomic_store_explicit(&slot->held[0], held->version,
                              memory_order_relaxed);
        atomic_store_explicit(&slot->held[1], held->stamp,
                              memory_order_relaxed);
    }

    apikey_failpoint("state-version");

    /* pairs with the acquire in find() */
    atomic_store_explicit(&slot->state, apikey_state(offset, to),
                          memory_order_release);

    apikey_failpoint("state-stored");
}


/* The revocation that a change is, if it is one. */
static apikey_table_revocation_t
put_revocation(const apikey_put_t *put)
{
    return (apikey_table_revocation_t){ put->version, put->stamp };
}


static apikey_table_revocation_t
slot_held(const apikey_slot_t *slot)
{
    return (apikey_table_revocation_t){ slot->held[0], slot->held[1] };
}


/* An empty slot gets its key. */
static void
fill_slot(apikey_gen_t *gen, apikey_slot_t *slot,
          const uint64_t digest[static 4], uint64_t version, uint64_t offset,
          apikey_status_t status, const apikey_table_revocation_t *held)
{
    int i;

    for (i = 0; i < 4; i++) {
        atomic_store_explicit(&slot->digest[i], digest[i],
                              memory_order_relaxed);

        apikey_failpoint("digest-word");
    }

    set_state(gen, slot, version, offset, APIKEY_EMPTY, status, held);

    gen->keys++;
}


/* Bytes that a record with these texts takes. */
static uint64_t
record_size(const apikey_put_t *put)
{
    return (sizeof(apikey_table_record_t) + strlen(put->id)
            + strlen(put->member) + strlen(put->tenant) + strlen(put->name)
            + strlen(put->scopes) + 7)
           & ~7ULL;
}


static unsigned char *
add_text(unsigned char *p, const char *text, size_t len)
{
    memcpy(p, text, len);

    return p + len;
}


/* Writes a record to p, which has room for it, and returns its size. */
static uint64_t
make_record(unsigned char *p, const apikey_put_t *put, uint64_t digest0)
{
    uint64_t               size = record_size(put);
    apikey_table_record_t *record = (apikey_table_record_t *) p;

    memset(p, 0, size);

    record->digest = digest0;
    record->expires = put->expires;
    record->size = (uint16_t) size;
    record->id_len = (uint8_t) strlen(put->id);
    record->member_len = (uint8_t) strlen(put->member);
    record->tenant_len = (uint8_t) strlen(put->tenant);
    record->name_len = (uint8_t) strlen(put->name);
    record->scopes_len = (uint16_t) strlen(put->scopes);

    p = add_text((unsigned char *) (record + 1), put->id, record->id_len);
    p = add_text(p, put->member, record->member_len);
    p = add_text(p, put->tenant, record->tenant_len);
    p = add_text(p, put->name, record->name_len);
    add_text(p, put->scopes, record->scopes_len);

    record->check =
        apikey_check((unsigned char *) record + sizeof(record->check),
                     size - sizeof(record->check));

    return size;
}


/* Room for one more record of this size, extending the area if that's ours to
   do. */
static apikey_write_t
gen_room(apikey_gen_t *gen, uint64_t size, int grow)
{
    if (gen->used > APIKEY_OFFSET_MAX) {
        return APIKEY_WRITE_FULL;
    }

    if (gen->records - gen->used >= size) {
        return APIKEY_WRITE_OK;
    }

    return grow ? gen_extend(gen) : APIKEY_WRITE_FULL;
}


/* Room for one more key and its record: *slot is where it belongs. */
static apikey_write_t
room_for_key(apikey_gen_t *gen, const uint64_t digest[static 4], uint64_t size,
             int grow, apikey_slot_t **slot)
{
    apikey_write_t rc;

    if ((gen->keys + 1) * 100 > gen->slots * GEN_LOAD) {
        return APIKEY_WRITE_FULL;
    }

    rc = gen_room(gen, size, grow);
    if (rc != APIKEY_WRITE_OK) {
        return rc;
    }

    *slot = gen_find(gen, digest);

    return *slot ? APIKEY_WRITE_OK : APIKEY_WRITE_FULL;
}


/* A key that this generation does not have yet. */
static apikey_write_t
put_new(apikey_gen_t *gen, const apikey_put_t *put,
        const uint64_t digest[static 4], int grow)
{
    uint64_t                  size;
    apikey_slot_t            *slot;
    apikey_write_t            rc;
    apikey_table_revocation_t held = put_revocation(put);

    rc = room_for_key(gen, digest, record_size(put), grow, &slot);
    if (rc != APIKEY_WRITE_OK) {
        return rc;
    }

    size = make_record(gen->area + gen->used, put, digest[0]);

    apikey_failpoint("record-made");

    fill_slot(gen, slot, digest, put->version, take_record(gen, size),
              put->status, &held);

    return APIKEY_WRITE_OK;
}


/* How much a status refuses; what may only get stricter never goes down. */
static int
strictness(apikey_status_t status)
{
    switch (status) {
    case APIKEY_ENABLED:
        return 0;
    case APIKEY_DISABLED:
        return 1;
    default:
        return 2;
    }
}


/* A stricter status, and nothing else: the version stays, so that the whole
   change can still be put.  1 if that changed anything. */
static int
tighten(apikey_gen_t *gen, apikey_slot_t *slot, uint64_t offset,
        apikey_status_t from, const apikey_put_t *put)
{
    apikey_table_revocation_t held = put_revocation(put);

    if (strictness(put->status) <= strictness(from)) {
        return 0;
    }

    set_state(gen, slot, slot->version, offset, from, put->status, &held);

    return 1;
}


/* A newer state of a key that this generation has; its texts are appended
   only if they differ. */
static apikey_write_t
put_newer(apikey_gen_t *gen, const apikey_put_t *put,
          const uint64_t digest[static 4], apikey_status_t status,
          uint64_t offset, int grow)
{
    uint64_t                  size;
    apikey_write_t            rc;
    apikey_table_revocation_t held = put_revocation(put);
    unsigned char             record[APIKEY_RECORD_SIZE_MAX]
        __attribute__((aligned(_Alignof(apikey_table_record_t))));

    size = make_record(record, put, digest[0]);

    if (apikey_record_claim(gen->area, gen->records, offset) != size
        || memcmp(gen->area + offset, record, size) != 0)
    {
        rc = gen_room(gen, size, grow);
        if (rc != APIKEY_WRITE_OK) {
            tighten(gen, gen_find(gen, digest), offset, status, put);
            return rc;
        }

        memcpy(gen->area + gen->used, record, size);

        apikey_failpoint("record-appended");

        offset = take_record(gen, size);
    }

    /* found again, for the mapping may have moved */
    set_state(gen, gen_find(gen, digest), put->version, offset, status,
              put->status, &held);

    return APIKEY_WRITE_OK;
}


/* 1 if an operator has taken this revocation back. */
static int
put_accepts(const apikey_put_t *put, apikey_table_revocation_t held)
{
    size_t i;

    for (i = 0; i < put->accepted_count; i++) {
        if (put->accepted[i].version == held.version
            && put->accepted[i].stamp == held.stamp)
        {
            return 1;
        }
    }

    return 0;
}


apikey_write_t
apikey_gen_put(apikey_gen_t *gen, const apikey_put_t *put,
               apikey_put_mode_t mode, int grow,
               apikey_table_revocation_t *held, int *changed)
{
    int             damaged = 0;
    uint64_t        digest[4], offset = 0;
    apikey_slot_t  *slot;
    apikey_write_t  rc;
    apikey_status_t status = APIKEY_EMPTY;

    memcpy(digest, put->digest, sizeof(digest));

    slot = gen_find(gen, digest);

    if (slot) {
        status = slot_status(slot, &offset, &damaged);
    }

    if (mode == APIKEY_PUT_STRICTER) {
        /* a damaged slot refuses already, and goes with this generation */
        /* versions of two histories can't be compared, strictness can */
        if (status != APIKEY_EMPTY && tighten(gen, slot, offset, status, put))
        {
            *changed = 1;
        }

        return APIKEY_WRITE_OK;
    }

    if (damaged) {
        return gen_error(gen, "a slot is damaged", EIO);
    }

    if (status == APIKEY_EMPTY) {
        rc = put_new(gen, put, digest, grow);

    } else if (put->version <= slot->version) {
        return APIKEY_WRITE_OK;

    } else if (status == APIKEY_REVOKED && put->status != APIKEY_REVOKED
               && !put_accepts(put, slot_held(slot)))
    {
        *held = slot_held(slot);
        return APIKEY_WRITE_OK;

    } else {
        rc = put_newer(gen, put, digest, status, offset, grow);
    }

    if (rc == APIKEY_WRITE_OK) {
        *changed = 1;
    }

    return rc;
}


/* The record at this offset if it belongs to the digest, or NULL if it is
   damaged. */
static const unsigned char *
sound_record(const apikey_gen_t *gen, uint64_t offset, uint64_t digest0,
             uint64_t *size)
{
    const unsigned char *record = gen->area + offset;

    *size = apikey_record_claim(gen->area, gen->records, offset);

    return *size
                   && apikey_valid_record(
                       (const apikey_table_record_t *) record, *size, digest0)
               ? record
               : NULL;
}


/* Room for a key that is copied, and its record; *offset is where the bytes
   of the record go, and they count as taken. */
static apikey_write_t
room_for_copy(apikey_gen_t *to, const uint64_t digest[static 4], uint64_t size,
              apikey_slot_t **slot, uint64_t *offset)
{
    apikey_write_t rc;

    rc = room_for_key(to, digest, size, 1, slot);

    if (rc == APIKEY_WRITE_OK) {
        *offset = take_record(to, size);
    }

    return rc;
}


apikey_write_t
apikey_gen_carry(apikey_gen_t *to, const apikey_gen_t *from, uint64_t i)
{
    int                       damaged;
    uint64_t                  digest[4], offset, size;
    apikey_slot_t            *slot;
    apikey_write_t            rc;
    apikey_status_t           status;
    apikey_table_revocation_t held;
    const unsigned char      *record;
    const apikey_slot_t      *old = &from->slot[i];

    status = slot_status(old, &offset, &damaged);

    if (status == APIKEY_EMPTY && !damaged) {
        return APIKEY_WRITE_OK;
    }

    memcpy(digest, (const void *) old->digest, sizeof(digest));

    record = damaged ? NULL : sound_record(from, offset, digest[0], &size);

    if (record == NULL) {
        return gen_error(
            to, "the one before it is damaged; restart apikey-sync", EIO);
    }

    slot = gen_find(to, digest);

    if (slot && slot->state != 0) {
        return APIKEY_WRITE_OK; /* a change was faster, and is newer */
    }

    rc = room_for_copy(to, digest, size, &slot, &offset);
    if (rc != APIKEY_WRITE_OK) {
        return rc;
    }

    held = slot_held(old);
    memcpy(to->area + offset, record, size);
    fill_slot(to, slot, digest, old->version, offset, status, &held);

    apikey_failpoint("carry-filled");

    return APIKEY_WRITE_OK;
}


/* The id that a record has; "" where there is none. */
static void
record_id(const unsigned char *record,
          char                 id[static APIKEY_RECORD_ID_MAX + 1])
{
    size_t len;

    id[0] = '\0';

    if (record == NULL) {
        return;
    }

    len = ((const apikey_table_record_t *) record)->id_len;

    if (len <= APIKEY_RECORD_ID_MAX) {
        memcpy(id, record + sizeof(apikey_table_record_t), len);
        id[len] = '\0';
    }
}


int
apikey_gen_revoked(const apikey_gen_t *gen, uint64_t i, apikey_held_t *held,
                   const unsigned char **record, uint64_t *size)
{
    int                  damaged;
    uint64_t             offset;
    const apikey_slot_t *slot = &gen->slot[i];

    if (slot_status(slot, &offset, &damaged) != APIKEY_REVOKED) {
        return 0;
    }

    memcpy(held->digest, (const void *) slot->digest, sizeof(held->digest));
    held->revocation = slot_held(slot);

    *record = sound_record(gen, offset, slot->digest[0], size);
    record_id(*record, held->id);

    return 1;
}


int
apikey_gen_alive(const apikey_gen_t *gen,
                 const uint8_t       digest[static APIKEY_TABLE_DIGEST_LEN])
{
    int             damaged;
    uint64_t        words[4], offset;
    apikey_slot_t  *slot;
    apikey_status_t status;

    memcpy(words, digest, sizeof(words));

    slot = gen_find(gen, words);
    status = slot ? slot_status(slot, &offset, &damaged) : APIKEY_EMPTY;

    return status != APIKEY_EMPTY && status != APIKEY_REVOKED;
}


/* The key is not in `to`: it gets there as revoked. */
static apikey_write_t
hold_new(apikey_gen_t *to, const apikey_held_t *held, uint64_t version,
         const unsigned char *record, uint64_t size)
{
    uint64_t     digest[4], offset;
    apikey_put_t nameless = {
        .id = held->id, .member = "", .tenant = "", .name = "", .scopes = ""
    };
    apikey_slot_t *slot;
    apikey_write_t rc;

    memcpy(digest, held->digest, sizeof(digest));

    /* a revocation counts whatever its texts were */
    rc = room_for_copy(to, digest, record ? size : record_size(&nameless),
                       &slot, &offset);
    if (rc != APIKEY_WRITE_OK) {
        return rc;
    }

    if (record) {
        memcpy(to->area + offset, record, size);

    } else {
        make_record(to->area + offset, &nameless, digest[0]);
    }

    fill_slot(to, slot, digest, version, offset, APIKEY_REVOKED,
              &held->revocation);

    apikey_failpoint("carry-filled");

    return APIKEY_WRITE_OK;
}


apikey_write_t
apikey_gen_hold(apikey_gen_t *to, apikey_held_t *held, uint64_t version,
                const unsigned char *record, uint64_t size,
                apikey_status_t *has, int *known)
{
    int                       damaged;
    uint64_t                  digest[4], offset;
    apikey_slot_t            *slot;
    apikey_table_revocation_t other;

    *has = APIKEY_EMPTY;
    *known = 0;

    memcpy(digest, held->digest, sizeof(digest));

    slot = gen_find(to, digest);

    if (slot) {
        *has = slot_status(slot, &offset, &damaged);
    }

    if (*has == APIKEY_EMPTY) {
        return hold_new(to, held, version, record, size);
    }

    if (*has == APIKEY_REVOKED) {
        other = slot_held(slot);
        *known = other.version == held->revocation.version
                 && other.stamp == held->revocation.stamp;
        return APIKEY_WRITE_OK;
    }

    record_id(sound_record(to, offset, digest[0], &size), held->id);
    set_state(to, slot, slot->version, offset, *has, APIKEY_REVOKED,
              &held->revocation);

    apikey_failpoint("carry-tightened");

    return APIKEY_WRITE_OK;
}
