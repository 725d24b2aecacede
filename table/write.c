/*
 * Copyright (C) 2026 the ngx_http_apikey_module authors
 *
 * The writer: the current generation, the next one, and the control page by
 * which readers learn of either.  W2, W3 and W4 are steps of apikey_table.h.
 */

#include "write.h"
#include "carry.h"
#include "directory.h"
#include "failpoint.h"
#include "generation.h"
#include "slots.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define WRITER_KEYS_MIN    1000 /* room in the smallest generation */
#define WRITER_RECORD_SIZE 128  /* bytes a key, until it is known better */

/* Crowded: grow while there is still room for what arrives meanwhile. */
#define WRITER_KEYS_CROWDED    60 /* keys per 100 slots; full is at 70 */
#define WRITER_RECORDS_CROWDED 85 /* per 100 bytes */


/* A revocation of a key that an operator has taken back. */
typedef struct {
    uint8_t                   digest[APIKEY_TABLE_DIGEST_LEN];
    apikey_table_revocation_t revocation;
} accepted_t;

struct apikey_writer_s {
    apikey_directory_t directory;
    apikey_control_t  *control;
    uint64_t           number; /* highest generation number so far */
    uint64_t           missed; /* the one that could not be adopted */
    apikey_gen_t       current;
    apikey_gen_t       next;
    apikey_gen_t       gone; /* retired or given up: its blocks go in slices */
    apikey_build_t     build;
    uint64_t           pepper[APIKEY_TABLE_PEPPERS];
    uint64_t           carried;  /* slots of current that were carried over */
    accepted_t        *accepted; /* of the snapshot that is being built */
    size_t             accepted_count;
    size_t             accepted_room;
    char               error[APIKEY_WRITE_ERROR_LEN];
};


/*
 * Adopts the generation that the control page names.  A page that was lost
 * leaves one without readers, but it knows what was revoked: then the newest
 * that is whole.  0, or -1 with a sentence in current.error.
 */
static int
adopt(apikey_writer_t *writer)
{
    int      rc = 0;
    uint64_t number, word, named = 0;

    word = atomic_load_explicit(&writer->control->generation,
                                memory_order_relaxed);

    if (!apikey_unseal(word, &named)) {
        named = 0;
    }

    /* numbers are never used twice, or a reader might take one generation for
       another */
    writer->number =
        apikey_directory_highest(&writer->directory, APIKEY_SEAL_MASK + 1);

    if (named > writer->number) {
        writer->number = named;
    }

    for (number = named ? named : writer->number; number != 0 && rc == 0;
         number = named ? 0
                        : apikey_directory_highest(&writer->directory, number))
    {
        rc = apikey_gen_adopt(&writer->current, writer->directory.fd, number);

        if (rc == 0 && writer->missed == 0) {
            writer->missed = number;
        }
    }

    if (rc == 1) {
        writer->missed = 0;
    }

    return rc == -1 ? -1 : 0;
}


apikey_writer_t *
apikey_writer_open(const char *path, char *error, size_t error_size)
{
    int              i;
    apikey_writer_t *writer;

    writer = calloc(1, sizeof(apikey_writer_t));
    if (writer == NULL) {
        snprintf(error, error_size, "no memory");
        return NULL;
    }

    if (apikey_directory_open(&writer->directory, path, error, error_size)
        == -1) {
        free(writer);
        return NULL;
    }

    writer->control =
        apikey_directory_control(&writer->directory, error, error_size);
    if (writer->control == NULL) {
        apikey_directory_close(&writer->directory);
        free(writer);
        return NULL;
    }

    for (i = 0; i < APIKEY_TABLE_PEPPERS; i++) {
        writer->pepper[i] = writer->control->pepper[i];
    }

    if (adopt(writer) == -1) {
        snprintf(error, error_size, "%s/%s", path, writer->current.error);
        apikey_writer_close(writer);
        return NULL;
    }

    apikey_failpoint("open-adopted");

    apikey_directory_sweep(&writer->directory, writer->current.number);

    apikey_failpoint("open-swept");

    return writer;
}


void
apikey_writer_close(apikey_writer_t *writer)
{
    if (writer == NULL) {
        return;
    }

    apikey_writer_abort(writer);
    apikey_gen_drop(&writer->gone);
    apikey_gen_drop(&writer->current);
    apikey_directory_unmap(writer->control);
    apikey_directory_close(&writer->directory);
    free(writer->accepted);
    free(writer);
}


const char *
apikey_writer_error(const apikey_writer_t *writer)
{
    return writer->error;
}


uint64_t
apikey_writer_created(const apikey_writer_t *writer)
{
    uint64_t deadline;

    return apikey_unseal(atomic_load_explicit(&writer->control->deadline,
                                              memory_order_relaxed),
                         &deadline)
                   && deadline != 0
               ? 0
               : writer->control->created;
}


uint64_t
apikey_writer_missed(const apikey_writer_t *writer)
{
    return writer->missed;
}


apikey_control_t *
apikey_writer_control(apikey_writer_t *writer)
{
    return writer->control;
}


size_t
apikey_writer_enter(apikey_writer_t *writer,
                    const uint8_t    daemon[APIKEY_DAEMON_LEN],
                    uint8_t before[APIKEY_DAEMONS - 1][APIKEY_DAEMON_LEN])
{
    size_t               i, count;
    apikey_control_t    *control = writer->control;
    static const uint8_t none[APIKEY_DAEMON_LEN];

    if (memcmp(control->daemon[0], daemon, APIKEY_DAEMON_LEN) != 0) {
        /* killed in the middle of this, one stands there twice: no harm */
        for (i = APIKEY_DAEMONS - 1; i > 0; i--) {
            memcpy(control->daemon[i], control->daemon[i - 1],
                   APIKEY_DAEMON_LEN);
        }

        memcpy(control->daemon[0], daemon, APIKEY_DAEMON_LEN);
    }

    for (i = 1, count = 0; i < APIKEY_DAEMONS; i++) {
        if (memcmp(control->daemon[i], none, APIKEY_DAEMON_LEN) != 0) {
            memcpy(before[count++], control->daemon[i], APIKEY_DAEMON_LEN);
        }
    }

    return count;
}


/* 1 while a next generation is being built. */
static int
building(const apikey_writer_t *writer)
{
    return writer->next.number != 0;
}


int
apikey_writer_ready(const apikey_writer_t *writer)
{
    return writer->current.number != 0 && !writer->current.adopted;
}


int
apikey_writer_crowded(const apikey_writer_t *writer)
{
    const apikey_gen_t *gen = &writer->current;

    return apikey_writer_ready(writer)
           && (gen->keys * 100 > gen->slots * WRITER_KEYS_CROWDED
               || gen->used * 100 > gen->records * WRITER_RECORDS_CROWDED);
}


/* Passes a generation's result on, with its sentence. */
static apikey_write_t
from_gen(apikey_writer_t *writer, const apikey_gen_t *gen, apikey_write_t rc)
{
    if (rc == APIKEY_WRITE_ERROR) {
        memcpy(writer->error, gen->error, sizeof(writer->error));
    }

    return rc;
}


static apikey_write_t
writer_error(apikey_writer_t *writer, const char *text)
{
    snprintf(writer->error, sizeof(writer->error), "%s", text);

    return APIKEY_WRITE_ERROR;
}


apikey_write_t
apikey_writer_begin(apikey_writer_t *writer, apikey_build_t build,
                    const uint8_t epoch[APIKEY_EPOCH_LEN], uint64_t keys,
                    uint64_t bytes)
{
    uint64_t            slots;
    const apikey_gen_t *current = &writer->current;

    apikey_writer_abort(writer);

    if (build == APIKEY_BUILD_GROWTH && !apikey_writer_ready(writer)) {
        return writer_error(writer, "there is no generation to grow");
    }

    if (keys < current->keys) {
        keys = current->keys;
    }

    if (bytes == 0) {
        bytes = keys
                * (current->keys ? current->used / current->keys + 1
                                 : WRITER_RECORD_SIZE);
    }

    keys += keys / 4;
    bytes += bytes / 2;

    if (keys < WRITER_KEYS_MIN) {
        keys = WRITER_KEYS_MIN;
    }

    if (bytes < WRITER_KEYS_MIN * WRITER_RECORD_SIZE) {
        bytes = WRITER_KEYS_MIN * WRITER_RECORD_SIZE;
    }

    slots = keys * 100 / WRITER_KEYS_CROWDED + 1;

    if (slots > APIKEY_SLOTS_MAX) {
        return writer_error(writer, "too many keys for one table");
    }

    writer->build = build;
    writer->carried = 0;
    writer->accepted_count = 0;

    return from_gen(writer, &writer->next,
                    apikey_gen_create(&writer->next, writer->directory.fd,
                                      writer->directory.gid, ++writer->number,
                                      epoch, slots, bytes));
}


apikey_write_t
apikey_writer_prepare(apikey_writer_t *writer)
{
    if (!building(writer)) {
        return writer_error(writer, "no generation was begun");
    }

    /* the blocks of the one before are part of the room for this one */
    if (apikey_writer_release(writer) == APIKEY_WRITE_MORE) {
        return APIKEY_WRITE_MORE;
    }

    return from_gen(writer, &writer->next, apikey_gen_prepare(&writer->next));
}


/*
 * Raises the change counter.  The fence makes the change visible to every
 * processor before this returns: the caller may acknowledge it next (W3).
 */
static void
announce(apikey_writer_t *writer)
{
    apikey_failpoint("announce");

    atomic_fetch_add_explicit(&writer->control->changes, 1,
                              memory_order_release);
    atomic_thread_fence(memory_order_seq_cst);

    apikey_failpoint("announced");
}


static int
valid_put(const apikey_put_t *put)
{
    return put->version != 0 && put->version <= APIKEY_VERSION_MAX
           && (put->status == APIKEY_ENABLED || put->status == APIKEY_DISABLED
               || put->status == APIKEY_REVOKED)
           && strlen(put->id) <= APIKEY_RECORD_ID_MAX
           && strlen(put->member) <= APIKEY_RECORD_MEMBER_MAX
           && strlen(put->tenant) <= APIKEY_RECORD_TENANT_MAX
           && strlen(put->name) <= APIKEY_RECORD_NAME_MAX
           && strlen(put->scopes) <= APIKEY_RECORD_SCOPES_MAX;
}


static apikey_write_t
bad_put(apikey_writer_t *writer)
{
    return writer_error(writer,
                        "a change with a bad version, status or length");
}


/* An old view is only good for refusing more: one that an earlier daemon left,
   or one that is about to be replaced from the store. */
static apikey_put_mode_t
current_mode(const apikey_writer_t *writer)
{
    return writer->current.adopted
                   || (building(writer)
                       && writer->build == APIKEY_BUILD_SNAPSHOT)
               ? APIKEY_PUT_STRICTER
               : APIKEY_PUT_ALL;
}


/* Remembers what the snapshot's records say was taken back, for the carrying
   that follows. */
static apikey_write_t
note_accepted(apikey_writer_t *writer, const apikey_put_t *put)
{
    size_t      i, room;
    accepted_t *accepted;

    for (i = 0; i < put->accepted_count; i++) {
        if (writer->accepted_count == writer->accepted_room) {
            room = writer->accepted_room * 2 + 16;
            accepted = realloc(writer->accepted, room * sizeof(accepted_t));

            if (accepted == NULL) {
                return writer_error(writer, "no memory");
            }

            writer->accepted = accepted;
            writer->accepted_room = room;
        }

        accepted = &writer->accepted[writer->accepted_count++];
        memcpy(accepted->digest, put->digest, sizeof(accepted->digest));
        accepted->revocation = put->accepted[i];
    }

    return APIKEY_WRITE_OK;
}


static int
is_accepted(const apikey_writer_t *writer, const apikey_held_t *held)
{
    size_t            i;
    const accepted_t *accepted;

    for (i = 0; i < writer->accepted_count; i++) {
        accepted = &writer->accepted[i];

        if (memcmp(accepted->digest, held->digest, sizeof(held->digest)) == 0
            && accepted->revocation.version == held->revocation.version
            && accepted->revocation.stamp == held->revocation.stamp)
        {
            return 1;
        }
    }

    return 0;
}


/* W1 in the next generation. */
static apikey_write_t
put_next(apikey_writer_t *writer, const apikey_put_t *put,
         apikey_table_revocation_t *held, int *changed)
{
    if (writer->build == APIKEY_BUILD_SNAPSHOT
        && note_accepted(writer, put) != APIKEY_WRITE_OK)
    {
        return APIKEY_WRITE_ERROR;
    }

    return from_gen(
        writer, &writer->next,
        apikey_gen_put(&writer->next, put, APIKEY_PUT_ALL, 1, held, changed));
}


apikey_write_t
apikey_writer_put(apikey_writer_t *writer, const apikey_put_t *put,
                  apikey_table_revocation_t *held)
{
    int                       changed = 0;
    apikey_write_t            rc = APIKEY_WRITE_OK, next;
    apikey_table_revocation_t stays = { 0, 0 };

    if (!valid_put(put)) {
        return bad_put(writer);
    }

    /* W1 */

    if (writer->current.number) {
        rc = from_gen(writer, &writer->current,
                      apikey_gen_put(&writer->current, put,
                                     current_mode(writer), 0, &stays,
                                     &changed));
    }

    apikey_failpoint("put-between");

    if (writer->next.head) {
        next = put_next(writer, put, &stays, &changed);

        if (rc != APIKEY_WRITE_ERROR && next != APIKEY_WRITE_OK) {
            rc = next;
        }
    }

    if (changed) {
        announce(writer);
    }

    if (held) {
        *held = stays;
    }

    return rc;
}


apikey_write_t
apikey_writer_tighten(apikey_writer_t *writer, const apikey_put_t *put)
{
    int                       changed = 0;
    apikey_write_t            rc = APIKEY_WRITE_OK;
    apikey_table_revocation_t stays;

    if (!valid_put(put)) {
        return bad_put(writer);
    }

    if (writer->current.number) {
        rc =
            from_gen(writer, &writer->current,
                     apikey_gen_put(&writer->current, put, APIKEY_PUT_STRICTER,
                                    0, &stays, &changed));
    }

    if (changed) {
        announce(writer);
    }

    return rc;
}


/* A revocation goes over to the next generation; record and version as in
   apikey_gen_hold(). */
static apikey_write_t
carry_revoked(apikey_writer_t *writer, apikey_held_t *held, uint64_t version,
              const unsigned char *record, uint64_t size,
              apikey_conflict_pt conflict, void *ctx, int *known)
{
    apikey_write_t  rc;
    apikey_status_t has;

    if (writer->accepted_count && apikey_gen_alive(&writer->next, held->digest)
        && is_accepted(writer, held))
    {
        *known = 1;
        return APIKEY_WRITE_OK;
    }

    rc = apikey_gen_hold(&writer->next, held, version, record, size, &has,
                         known);

    if (rc == APIKEY_WRITE_OK && writer->build == APIKEY_BUILD_SNAPSHOT
        && has != APIKEY_REVOKED)
    {
        conflict(ctx, held, has != APIKEY_EMPTY);
    }

    return from_gen(writer, &writer->next, rc);
}


/* One slot of the current generation. */
static apikey_write_t
carry_slot(apikey_writer_t *writer, uint64_t i, apikey_conflict_pt conflict,
           void *ctx)
{
    int                  known;
    uint64_t             size = 0, version;
    apikey_held_t        held;
    const unsigned char *record;
    const apikey_gen_t  *current = &writer->current;

    if (apikey_gen_revoked(current, i, &held, &record, &size)) {
        /* what the store has forgotten it may bring up again under any
           version */
        version = writer->build == APIKEY_BUILD_GROWTH
                      ? current->slot[i].version
                      : 0;

        return carry_revoked(writer, &held, version, record, size, conflict,
                             ctx, &known);
    }

    /* what a snapshot replaces need not be sound */
    return writer->build == APIKEY_BUILD_GROWTH
               ? from_gen(writer, &writer->next,
                          apikey_gen_carry(&writer->next, current, i))
               : APIKEY_WRITE_OK;
}


apikey_write_t
apikey_writer_carry(apikey_writer_t *writer, uint64_t slots,
                    apikey_conflict_pt conflict, void *ctx)
{
    uint64_t       end;
    apikey_write_t rc;

    if (writer->next.head == NULL) {
        return writer_error(writer, "no generation was prepared");
    }

    if (writer->current.number == 0) {
        return APIKEY_WRITE_OK;
    }

    end = writer->current.slots - writer->carried < slots
              ? writer->current.slots
              : writer->carried + slots;

    for (; writer->carried < end; writer->carried++) {
        rc = carry_slot(writer, writer->carried, conflict, ctx);

        if (rc != APIKEY_WRITE_OK) {
            return rc;
        }
    }

    return end < writer->current.slots ? APIKEY_WRITE_MORE : APIKEY_WRITE_OK;
}


/*
 * Nobody is to look into this generation any more: its name goes now, its
 * blocks in slices.  There is one at a time: the next generation has no blocks
 * before those of the one before are gone.
 */
static void
let_go(apikey_writer_t *writer, apikey_gen_t *gen)
{
    if (gen->number == 0) {
        return;
    }

    apikey_gen_unlink(gen, writer->directory.fd);

    if (gen->allocated == 0) {
        apikey_gen_drop(gen);
        return;
    }

    writer->gone = *gen;
    memset(gen, 0, sizeof(apikey_gen_t));
}


apikey_write_t
apikey_writer_hold(apikey_writer_t *writer, const apikey_held_t *held,
                   apikey_conflict_pt conflict, void *ctx, int *known)
{
    apikey_held_t copy = *held;

    *known = 0;

    if (writer->next.head == NULL || writer->build != APIKEY_BUILD_SNAPSHOT) {
        return writer_error(writer, "no snapshot was prepared");
    }

    return carry_revoked(writer, &copy, 0, NULL, 0, conflict, ctx, known);
}


apikey_write_t
apikey_writer_revoked(apikey_writer_t *writer, uint64_t *cursor,
                      uint64_t slots,
                      void (*each)(void *ctx, const apikey_held_t *held),
                      void *ctx)
{
    uint64_t             end, size;
    apikey_held_t        held;
    const unsigned char *record;
    const apikey_gen_t  *current = &writer->current;

    end = current->slots - *cursor < slots ? current->slots : *cursor + slots;

    for (; *cursor < end; ++*cursor) {
        if (apikey_gen_revoked(current, *cursor, &held, &record, &size)) {
            each(ctx, &held);
        }
    }

    return end < current->slots ? APIKEY_WRITE_MORE : APIKEY_WRITE_OK;
}


uint64_t
apikey_writer_revoked_count(const apikey_writer_t *writer)
{
    return writer->current.number == 0
               ? 0
               : atomic_load_explicit(&writer->current.head->revoked,
                                      memory_order_relaxed);
}


uint64_t
apikey_writer_generation(const apikey_writer_t *writer)
{
    return writer->current.number;
}


apikey_write_t
apikey_writer_publish(apikey_writer_t *writer)
{
    apikey_write_t rc;

    if (writer->next.head == NULL
        || (writer->current.number && writer->carried < writer->current.slots))
    {
        return writer_error(writer, "the next generation is not complete");
    }

    rc = apikey_gen_seal(&writer->next);
    if (rc != APIKEY_WRITE_OK) {
        return from_gen(writer, &writer->next, rc);
    }

    apikey_failpoint("publish-sealed");

    /* W2, and here the order matters: first where to look instead */

    atomic_store_explicit(&writer->control->generation,
                          apikey_seal(writer->next.number),
                          memory_order_release);

    apikey_failpoint("publish-generation");

    if (writer->current.number) {
        atomic_store_explicit(&writer->current.head->retired, 1,
                              memory_order_release);

        apikey_failpoint("publish-retired");
    }

    announce(writer);

    let_go(writer, &writer->current);

    writer->current = writer->next;
    memset(&writer->next, 0, sizeof(apikey_gen_t));

    return APIKEY_WRITE_OK;
}


void
apikey_writer_abort(apikey_writer_t *writer)
{
    let_go(writer, &writer->next);
}


apikey_write_t
apikey_writer_release(apikey_writer_t *writer)
{
    /* W4: the fence of announce() lies between the store to `retired` and
       this */

    return writer->gone.number ? apikey_gen_release(&writer->gone)
                               : APIKEY_WRITE_OK;
}


/* Whether readers still see what this writer writes: NULL, or why not. */
static const char *
writer_lost(apikey_writer_t *writer)
{
    if (!apikey_directory_shows(&writer->directory)) {
        return "the table's control page was removed or replaced by somebody";
    }

    if (!apikey_directory_safe(&writer->directory)) {
        return "others may write the table's directory or its control page, "
               "or they are not of the user that runs apikey-sync";
    }

    if (!apikey_directory_sound(writer->control)) {
        return "the table's control page was overwritten by somebody";
    }

    if (apikey_writer_ready(writer)
        && !apikey_gen_sound(&writer->current, writer->directory.fd))
    {
        return "the table's current generation was removed, replaced, cut or "
               "overwritten by somebody, or others may write it";
    }

    return NULL;
}


/* What readers go by, besides the deadline. */
static void
publish_words(apikey_writer_t *writer)
{
    int i;

    for (i = 0; i < APIKEY_TABLE_PEPPERS; i++) {
        atomic_store_explicit(&writer->control->pepper[i], writer->pepper[i],
                              memory_order_release);
    }

    /* W2: pairs with R3; a deadline is published only after this */

    if (apikey_writer_ready(writer)) {
        atomic_store_explicit(&writer->control->generation,
                              apikey_seal(writer->current.number),
                              memory_order_release);
    }
}


apikey_write_t
apikey_writer_renew(apikey_writer_t *writer, uint64_t deadline)
{
    const char *lost = writer_lost(writer);

    if (lost == NULL) {
        /* they are there, unless somebody wrote into the page */
        publish_words(writer);

        apikey_failpoint("renew-words");
    }

    /* W3: pairs with R1 */

    atomic_store_explicit(&writer->control->deadline,
                          apikey_seal(lost ? 0 : deadline & APIKEY_SEAL_MASK),
                          memory_order_release);

    apikey_failpoint("renew-deadline");

    return lost ? writer_error(writer, lost) : APIKEY_WRITE_OK;
}


void
apikey_writer_peppers(apikey_writer_t *writer,
                      const uint64_t   pepper[APIKEY_TABLE_PEPPERS])
{
    apikey_failpoint("peppers");

    memcpy(writer->pepper, pepper, sizeof(writer->pepper));
    publish_words(writer);
}
