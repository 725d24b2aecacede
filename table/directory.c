/*
 * Copyright (C) 2026 the ngx_http_apikey_module authors
 *
 * The table's directory as its writer holds it.
 */

#include "directory.h"
#include "failpoint.h"
#include "valid.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define CONTROL_NEW APIKEY_CONTROL_NAME ".new"


/* The generation that a file's name stands for, or 0. */
static uint64_t
generation_of(const char *name)
{
    char    *end;
    uint64_t number;
    size_t   prefix = strlen(APIKEY_GENERATION_NAME);

    if (strncmp(name, APIKEY_GENERATION_NAME, prefix) != 0
        || name[prefix] < '1' || name[prefix] > '9')
    {
        return 0;
    }

    errno = 0;
    number = strtoull(name + prefix, &end, 10);

    return errno || *end || number > APIKEY_SEAL_MASK ? 0 : number;
}


static int
is_ours(const char *name)
{
    return strcmp(name, ".") == 0 || strcmp(name, "..") == 0
           || strcmp(name, APIKEY_CONTROL_NAME) == 0
           || strcmp(name, CONTROL_NEW) == 0
           || strcmp(name, APIKEY_LOCK_NAME) == 0 || generation_of(name) != 0;
}


/*
 * Calls seen(directory, name, data) for each file until it returns not 0, and
 * returns that; -1 with errno set if the directory can't be read.
 */
static int
each_file(const apikey_directory_t *directory,
          int (*seen)(const apikey_directory_t *directory, const char *name,
                      void *data),
          void *data)
{
    int            fd, rc = 0;
    DIR           *dir;
    struct dirent *entry;

    fd = openat(directory->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd == -1) {
        return -1;
    }

    dir = fdopendir(fd);
    if (dir == NULL) {
        close(fd);
        return -1;
    }

    while (rc == 0 && (entry = readdir(dir)) != NULL) {
        rc = seen(directory, entry->d_name, data);
    }

    closedir(dir);

    return rc;
}


static int
seen_foreign(const apikey_directory_t *directory, const char *name, void *data)
{
    (void) directory;

    if (is_ours(name)) {
        return 0;
    }

    snprintf(data, NAME_MAX + 1, "%s", name);

    return 1;
}


typedef struct {
    uint64_t highest, below;
} highest_t;

static int
seen_highest(const apikey_directory_t *directory, const char *name, void *data)
{
    uint64_t   number = generation_of(name);
    highest_t *found = data;

    (void) directory;

    if (number > found->highest && number < found->below) {
        found->highest = number;
    }

    return 0;
}


static int
seen_sweep(const apikey_directory_t *directory, const char *name, void *data)
{
    uint64_t number = generation_of(name), *keep = data;

    if ((number != 0 && number != *keep) || strcmp(name, CONTROL_NEW) == 0) {
        unlinkat(directory->fd, name, 0);

        apikey_failpoint("sweep-unlinked");
    }

    return 0;
}


uint64_t
apikey_directory_highest(const apikey_directory_t *directory, uint64_t below)
{
    highest_t found = { 0, below };

    each_file(directory, seen_highest, &found);

    return found.highest;
}


void
apikey_directory_sweep(const apikey_directory_t *directory, uint64_t keep)
{
    each_file(directory, seen_sweep, &keep);
}


/* Ours alone to write, and nobody else's files in it. */
static int
check(const apikey_directory_t *directory, const struct stat *st, char *error,
      size_t error_size)
{
    char name[NAME_MAX + 1];

    if (apikey_valid_rights(st, st->st_uid) != APIKEY_TABLE_OK) {
        snprintf(error, error_size,
                 "%s: its group or others may write it (mode %04o); make it "
                 "0750",
                 directory->path, (unsigned) (st->st_mode & 07777));
        return -1;
    }

    if (apikey_valid_rights(st, geteuid()) != APIKEY_TABLE_OK) {
        snprintf(error, error_size,
                 "%s: it belongs to uid %lu; give it to the user that runs "
                 "apikey-sync",
                 directory->path, (unsigned long) st->st_uid);
        return -1;
    }

    switch (each_file(directory, seen_foreign, name)) {
    case 0:
        return 0;

    case -1:
        snprintf(error, error_size, "%s: cannot read it: %s", directory->path,
                 strerror(errno));
        return -1;

    default:
        snprintf(error, error_size,
                 "%s: it holds \"%s\", which is no file of a table; give the "
                 "table a directory of its own",
                 directory->path, name);
        return -1;
    }
}


/* Takes the lock for as long as the process lives, and leaves its pid. */
static int
lock(apikey_directory_t *directory, char *error, size_t error_size)
{
    int         n;
    char        pid[32];
    ssize_t     len;
    struct stat st;

    directory->lock = openat(directory->fd, APIKEY_LOCK_NAME,
                             O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0640);
    if (directory->lock == -1) {
        snprintf(error, error_size, "%s/" APIKEY_LOCK_NAME ": %s",
                 directory->path, strerror(errno));
        return -1;
    }

    apikey_failpoint("lock-made");

    if (fstat(directory->lock, &st) == -1
        || apikey_valid_file(&st, geteuid(), 0) != APIKEY_TABLE_OK)
    {
        snprintf(error, error_size,
                 "%s/" APIKEY_LOCK_NAME ": others may write it, or it is not "
                 "the file of the user that runs apikey-sync; remove it",
                 directory->path);
        close(directory->lock);
        return -1;
    }

    if (flock(directory->lock, LOCK_EX | LOCK_NB) == -1) {
        len = pread(directory->lock, pid, sizeof(pid) - 1, 0);
        pid[len > 0 ? len : 0] = '\0';
        pid[strcspn(pid, "\n")] = '\0';

        snprintf(error, error_size,
                 "%s: another apikey-sync (pid %s) writes this table",
                 directory->path, pid[0] ? pid : "unknown");
        close(directory->lock);
        return -1;
    }

    apikey_failpoint("lock-held");

    n = snprintf(pid, sizeof(pid), "%ld\n", (long) getpid());

    if (ftruncate(directory->lock, 0) == -1
        || pwrite(directory->lock, pid, (size_t) n, 0) != n)
    {
        snprintf(error, error_size, "%s/" APIKEY_LOCK_NAME ": %s",
                 directory->path, strerror(errno));
        close(directory->lock);
        return -1;
    }

    return 0;
}


int
apikey_directory_open(apikey_directory_t *directory, const char *path,
                      char *error, size_t error_size)
{
    struct stat st;

    memset(directory, 0, sizeof(apikey_directory_t));
    directory->control = -1;

    if (strlen(path) + 32 > sizeof(directory->path)) {
        snprintf(error, error_size, "the table's path is too long");
        return -1;
    }

    strcpy(directory->path, path);

    directory->fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (directory->fd == -1) {
        snprintf(error, error_size,
                 "%s: %s; create it for the user that runs "
                 "apikey-sync, mode 0750, with the group "
                 "of the nginx workers",
                 path, strerror(errno));
        return -1;
    }

    if (fstat(directory->fd, &st) == -1) {
        snprintf(error, error_size, "%s: %s", path, strerror(errno));
        close(directory->fd);
        return -1;
    }

    directory->gid = st.st_gid;

    if (check(directory, &st, error, error_size) == -1
        || lock(directory, error, error_size) == -1)
    {
        close(directory->fd);
        return -1;
    }

    return 0;
}


void
apikey_directory_close(apikey_directory_t *directory)
{
    close(directory->control);
    close(directory->lock);
    close(directory->fd);
}


/* Locks and maps the page, and keeps fd if it succeeds.  NULL with errno
   EWOULDBLOCK: another daemon has it. */
static apikey_control_t *
map_control(apikey_directory_t *directory, int fd)
{
    void       *page;
    struct stat st;

    if (fstat(fd, &st) == -1 || flock(fd, LOCK_EX | LOCK_NB) == -1) {
        return NULL;
    }

    directory->control_dev = st.st_dev;
    directory->control_ino = st.st_ino;

    page = mmap(NULL, APIKEY_CONTROL_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED,
                fd, 0);

    if (page == MAP_FAILED) {
        return NULL;
    }

    directory->control = fd;

    return page;
}


/*
 * Looks at the page that is there: 1 and *control if it will do; 0 if there is
 * none, or one of ours that is of no use: a new one takes its place.  -1 with
 * a sentence in error: what was never ours does not give way, nor what another
 * daemon holds.
 */
static int
adopt_control(apikey_directory_t *directory,
              const uint8_t       boot[static APIKEY_BOOT_ID_LEN],
              apikey_control_t **control, char *error, size_t error_size)
{
    int                  fd, ours = 1;
    struct stat          st;
    apikey_table_error_t valid = APIKEY_TABLE_SYSTEM;

    *control = NULL;

    fd = openat(directory->fd, APIKEY_CONTROL_NAME,
                O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd == -1) {
        if (errno == ENOENT) {
            return 0;
        }

        goto failed;
    }

    if (fstat(fd, &st) == -1) {
        goto failed;
    }

    valid = apikey_valid_file(&st, geteuid(), APIKEY_CONTROL_SIZE);

    if (valid == APIKEY_TABLE_OK) {
        *control = map_control(directory, fd);

        if (*control == NULL) {
            goto failed;
        }

        valid = apikey_valid_control(*control, boot, st.st_ino);
        ours = (*control)->magic == APIKEY_CONTROL_MAGIC
               || (*control)->magic == 0;

        if (valid == APIKEY_TABLE_OK) {
            return 1;
        }

        apikey_directory_unmap(*control);
        *control = NULL;
        directory->control = -1;

    } else {
        /* nothing at all is what a full disk leaves; anything else that is
           too short was never a page */
        ours = valid == APIKEY_TABLE_UNSAFE || st.st_size == 0;
    }

    close(fd);

    if (!ours) {
        snprintf(error, error_size,
                 "%s/" APIKEY_CONTROL_NAME ": not the control page of a "
                 "table; remove it, or give the table another directory",
                 directory->path);
        return -1;
    }

    return 0;

failed:

    if (errno == EWOULDBLOCK) {
        snprintf(error, error_size,
                 "%s: another apikey-sync holds its control page, though its "
                 "lock file was removed; stop that one",
                 directory->path);

    } else {
        snprintf(error, error_size, "%s/" APIKEY_CONTROL_NAME ": %s",
                 directory->path, strerror(errno));
    }

    if (fd != -1) {
        close(fd);
    }

    return -1;
}


static void
fill_control(apikey_control_t *control,
             const uint8_t boot[static APIKEY_BOOT_ID_LEN], uint64_t inode)
{
    control->magic = APIKEY_CONTROL_MAGIC;
    control->endian = APIKEY_ENDIAN_TAG;
    control->layout = APIKEY_TABLE_LAYOUT;
    control->size = APIKEY_CONTROL_SIZE;
    memcpy(control->boot_id, boot, APIKEY_BOOT_ID_LEN);
    control->created = apikey_boottime();
    control->inode = inode;
    control->check = apikey_check(control, offsetof(apikey_control_t, check));

    atomic_store_explicit(&control->deadline, apikey_seal(0),
                          memory_order_relaxed);
    atomic_store_explicit(&control->generation, apikey_seal(0),
                          memory_order_relaxed);
}


static apikey_control_t *
create_control(apikey_directory_t *directory,
               const uint8_t boot[static APIKEY_BOOT_ID_LEN], char *error,
               size_t error_size)
{
    int               fd, err;
    struct stat       st;
    apikey_control_t *control = NULL;

    unlinkat(directory->fd, CONTROL_NEW, 0);

    fd = openat(directory->fd, CONTROL_NEW,
                O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd == -1) {
        goto failed;
    }

    apikey_failpoint("control-made");

    err = posix_fallocate(fd, 0, APIKEY_CONTROL_SIZE);
    if (err != 0) {
        errno = err;
        goto failed;
    }

    if (fstat(fd, &st) == -1
        || (st.st_gid != directory->gid
            && fchown(fd, (uid_t) -1, directory->gid) == -1)
        || fchmod(fd, 0640) == -1)
    {
        goto failed;
    }

    apikey_failpoint("control-allocated");

    control = map_control(directory, fd);
    if (control == NULL) {
        goto failed;
    }

    fill_control(control, boot, st.st_ino);

    apikey_failpoint("control-filled");

    if (renameat(directory->fd, CONTROL_NEW, directory->fd,
                 APIKEY_CONTROL_NAME)
        == -1)
    {
        goto failed;
    }

    apikey_failpoint("control-renamed");

    return control;

failed:

    snprintf(error, error_size,
             "%s/" APIKEY_CONTROL_NAME ": cannot create it: %s",
             directory->path, strerror(errno));

    apikey_directory_unmap(control);
    directory->control = -1;

    if (fd != -1) {
        close(fd);
        unlinkat(directory->fd, CONTROL_NEW, 0);
    }

    return NULL;
}


apikey_control_t *
apikey_directory_control(apikey_directory_t *directory, char *error,
                         size_t error_size)
{
    uint8_t           boot[APIKEY_BOOT_ID_LEN];
    apikey_control_t *control;

    if (apikey_boot_id(boot) == -1) {
        snprintf(error, error_size, "cannot read the kernel's boot id: %s",
                 strerror(errno));
        return NULL;
    }

    switch (adopt_control(directory, boot, &control, error, error_size)) {
    case 1:
        return control;
    case 0:
        return create_control(directory, boot, error, error_size);
    default:
        return NULL;
    }
}


void
apikey_directory_unmap(apikey_control_t *control)
{
    if (control) {
        munmap(control, APIKEY_CONTROL_SIZE);
    }
}


int
apikey_directory_sound(const apikey_control_t *control)
{
    /* whatever boot and file it says: its check covers that */
    return apikey_valid_control(control, control->boot_id, control->inode)
           == APIKEY_TABLE_OK;
}


int
apikey_directory_safe(const apikey_directory_t *directory)
{
    struct stat dir, page;

    return fstat(directory->fd, &dir) == 0
           && fstat(directory->control, &page) == 0
           && apikey_valid_rights(&dir, geteuid()) == APIKEY_TABLE_OK
           && apikey_valid_rights(&page, geteuid()) == APIKEY_TABLE_OK;
}


int
apikey_directory_shows(const apikey_directory_t *directory)
{
    char        path[sizeof(directory->path) + 32];
    struct stat st;

    snprintf(path, sizeof(path), "%s/" APIKEY_CONTROL_NAME, directory->path);

    return stat(path, &st) == 0 && st.st_dev == directory->control_dev
           && st.st_ino == directory->control_ino;
}
