/*
 * Copyright (C) 2026 the ngx_http_apikey_module authors
 *
 * Attaching a reader: finds the files of a table, checks them, maps them.
 */

#include "attach.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define ATTACH_INTERVAL   100000 /* microseconds between failing attempts */
#define ATTACH_GENERATION 3      /* tries, while the daemon publishes others */
#define ATTACH_LEFT       1000000 /* microseconds; see leave_generation() */


int
apikey_table_init(apikey_table_t *table, const char *path)
{
    memset(table, 0, sizeof(apikey_table_t));

    /* room for "/keys." and a generation */
    if (strlen(path) + 32 > sizeof(table->path)) {
        return -1;
    }

    strcpy(table->path, path);

    return 0;
}


static void
unmap_left(apikey_table_t *table)
{
    if (table->left) {
        munmap((void *) (uintptr_t) table->left, table->left_size);
        table->left = NULL;
    }
}


void
apikey_table_forget(apikey_table_t *table, uint64_t now)
{
    if (now - table->left_at >= ATTACH_LEFT) {
        unmap_left(table);
    }
}


/*
 * Lets go of the generation.  It stays mapped for a moment: to unmap many
 * pages takes milliseconds, which nobody's request should wait for, and the
 * writer is about to take them out of every mapping in slices (W4).
 */
static void
leave_generation(apikey_table_t *table)
{
    if (table->generation) {
        unmap_left(table);
        table->left = table->generation;
        table->left_size = table->generation_size;
        table->left_at = apikey_boottime();
    }

    table->generation = NULL;
    table->slot = NULL;
    table->records = NULL;
    table->slots = 0;
    table->records_size = 0;
    table->generation_size = 0;
    table->generation_word = 0;
}


void
apikey_table_detach(apikey_table_t *table)
{
    leave_generation(table);
    unmap_left(table);

    if (table->control) {
        munmap((void *) (uintptr_t) table->control, APIKEY_CONTROL_SIZE);
        table->control = NULL;
    }
}


/* Opens a file of this directory.  O_NONBLOCK: a FIFO of that name must not
   hang us. */
static apikey_table_error_t
open_in(int dir, const char *name, uint64_t size, int *fd, struct stat *st)
{
    uid_t                owner;
    apikey_table_error_t error;

    if (fstat(dir, st) == -1) {
        return apikey_table_errno(errno);
    }

    owner = st->st_uid;

    error = apikey_valid_rights(st, owner);
    if (error != APIKEY_TABLE_OK) {
        return error;
    }

    *fd = openat(dir, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (*fd == -1) {
        return apikey_table_errno(errno);
    }

    if (fstat(*fd, st) == -1) {
        error = apikey_table_errno(errno);

    } else {
        error = apikey_valid_file(st, owner, size);
    }

    if (error != APIKEY_TABLE_OK) {
        close(*fd);
    }

    return error;
}


/* Opens a file of the table; on success *st is its status and the caller
   closes the descriptor. */
static apikey_table_error_t
open_file(const apikey_table_t *table, const char *name, uint64_t size,
          int *fd, struct stat *st)
{
    int                  dir;
    apikey_table_error_t error;

    dir = open(table->path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (dir == -1) {
        return apikey_table_errno(errno);
    }

    error = open_in(dir, name, size, fd, st);

    close(dir);

    return error;
}


apikey_table_error_t
apikey_table_attach_control(apikey_table_t *table)
{
    int                  fd = -1;
    void                *page;
    uint8_t              boot[APIKEY_BOOT_ID_LEN];
    struct stat          st = { 0 };
    apikey_table_error_t error;

    if (table->control != NULL) {
        return APIKEY_TABLE_OK;
    }

    if (apikey_boot_id(boot) == -1) {
        return APIKEY_TABLE_SYSTEM;
    }

    error =
        open_file(table, APIKEY_CONTROL_NAME, APIKEY_CONTROL_SIZE, &fd, &st);
    if (error != APIKEY_TABLE_OK) {
        return error;
    }

    page = mmap(NULL, APIKEY_CONTROL_SIZE, PROT_READ, MAP_SHARED, fd, 0);
    close(fd);

    if (page == MAP_FAILED) {
        return apikey_table_errno(errno);
    }

    error = apikey_valid_control(page, boot, st.st_ino);
    if (error != APIKEY_TABLE_OK) {
        munmap(page, APIKEY_CONTROL_SIZE);
        return error;
    }

    table->control = page;
    table->control_dev = st.st_dev;
    table->control_ino = st.st_ino;

    return APIKEY_TABLE_OK;
}


static apikey_table_error_t
attach_generation(apikey_table_t *table, uint64_t word)
{
    int                  fd = -1;
    char                 name[64];
    void                *map;
    uint64_t             number;
    struct stat          st = { 0 };
    apikey_generation_t  head;
    apikey_table_error_t error;

    if (!apikey_unseal(word, &number)) {
        return APIKEY_TABLE_DAMAGED;
    }

    if (number == 0) {
        return APIKEY_TABLE_ABSENT;
    }

    snprintf(name, sizeof(name), APIKEY_GENERATION_NAME "%llu",
             (unsigned long long) number);

    error = open_file(table, name, APIKEY_GENERATION_HEAD, &fd, &st);
    if (error != APIKEY_TABLE_OK) {
        return error;
    }

    map = mmap(NULL, (size_t) st.st_size, PROT_READ, MAP_SHARED, fd, 0);
    close(fd);

    if (map == MAP_FAILED) {
        return apikey_table_errno(errno);
    }

    /* what is checked is the copy, and only the copy is used */
    memcpy(&head, map, offsetof(apikey_generation_t, pad0));

    error = apikey_valid_generation(&head, number, (uint64_t) st.st_size,
                                    st.st_ino);
    if (error != APIKEY_TABLE_OK) {
        munmap(map, (size_t) st.st_size);
        return error;
    }

    table->generation = map;
    table->generation_size = (size_t) st.st_size;
    table->generation_word = word;
    table->slots = head.slots;
    memcpy(table->seed, head.seed, sizeof(table->seed));
    table->slot =
        (const apikey_slot_t *) ((const char *) map + APIKEY_GENERATION_HEAD);
    table->records = (const unsigned char *) (table->slot + head.slots);
    table->records_size = head.records;

    return APIKEY_TABLE_OK;
}


/* The writer names the next generation before it retires one (W2): a page that
   names a retired one is not the writer's any more. */
static int
page_lost(const apikey_table_t *table)
{
    return table->generation != NULL
           && atomic_load_explicit(&table->generation->retired,
                                   memory_order_acquire)
           && atomic_load_explicit(&table->control->generation,
                                   memory_order_acquire)
                  == table->generation_word;
}


apikey_table_error_t
apikey_table_attach(apikey_table_t *table)
{
    int                  i;
    uint64_t             word;
    apikey_table_error_t error;

    if (page_lost(table)) {
        apikey_table_detach(table);
    }

    error = apikey_table_attach_control(table);
    if (error != APIKEY_TABLE_OK) {
        goto failed;
    }

    for (i = 0; i < ATTACH_GENERATION; i++) {
        word = atomic_load_explicit(&table->control->generation,
                                    memory_order_acquire);

        if (table->generation && word == table->generation_word) {
            error = APIKEY_TABLE_OK;
            break;
        }

        leave_generation(table);

        /* a file that is gone may mean that the next one was published */
        error = attach_generation(table, word);
    }

    if (error == APIKEY_TABLE_OK && table->generation) {
        table->error = APIKEY_TABLE_OK;
        return APIKEY_TABLE_OK;
    }

failed:

    /* the control page may be a lost one too: begin with it next time */
    apikey_table_detach(table);

    table->error = error;

    return error;
}


apikey_table_error_t
apikey_table_reattach(apikey_table_t *table)
{
    uint64_t now = apikey_boottime();

    if (table->error != APIKEY_TABLE_OK
        && now - table->tried < ATTACH_INTERVAL) {
        return table->error;
    }

    if (apikey_table_attach(table) != APIKEY_TABLE_OK) {
        table->tried = now;
    }

    return table->error;
}


int
apikey_table_replaced(apikey_table_t *table, uint64_t now)
{
    char        path[APIKEY_TABLE_PATH_MAX + 64];
    struct stat st;

    if (now - table->tried < ATTACH_INTERVAL) {
        return 0;
    }

    table->tried = now;

    snprintf(path, sizeof(path), "%s/" APIKEY_CONTROL_NAME, table->path);

    return stat(path, &st) == -1 || st.st_dev != table->control_dev
           || st.st_ino != table->control_ino;
}
