/*
 * Copyright (C) 2026 the ngx_http_apikey_module authors
 *
 * The table's directory as its writer holds it: the lock, the permissions, the
 * names in it, and the control page.  For write.c.
 */

#ifndef APIKEY_TABLE_DIRECTORY_H
#define APIKEY_TABLE_DIRECTORY_H

#include <sys/types.h>

#include "apikey_table.h"

typedef struct {
    int   fd;      /* the directory */
    int   lock;    /* the lock file, locked; it tells the next one our pid */
    int   control; /* the control page, locked too: a lock file may be removed
                      by somebody who takes it for a stale one */
    gid_t gid;     /* of the directory: every file gets it */
    dev_t control_dev;
    ino_t control_ino;
    char  path[1024];
} apikey_directory_t;


/*
 * Opens, checks and locks.  Returns 0, or -1 with a sentence in error: not a
 * directory, not ours, writable by others, foreign files in it, another daemon
 * holds it.
 */
int apikey_directory_open(apikey_directory_t *directory, const char *path,
                          char *error, size_t error_size);

/* Unlocks and closes. */
void apikey_directory_close(apikey_directory_t *directory);

/*
 * Maps the control page: the one that is there if it is of this layout and
 * boot; else a new one, put in its place by rename(2).  NULL with a sentence
 * in error: somebody else's file, or a system error.
 */
apikey_control_t *apikey_directory_control(apikey_directory_t *directory,
                                           char *error, size_t error_size);

void apikey_directory_unmap(apikey_control_t *control);

/* 1 if the directory's path still leads to the control page that is mapped. */
int apikey_directory_shows(const apikey_directory_t *directory);

/* 1 if nobody but us and root may write the directory or the page. */
int apikey_directory_safe(const apikey_directory_t *directory);

/* 1 if the immutable part of the page is as it was written.  (A page that was
   cut short kills who looks at it: it is one block, and nobody has cause.) */
int apikey_directory_sound(const apikey_control_t *control);

/* The highest generation number below this one that a file has, or 0. */
uint64_t
apikey_directory_highest(const apikey_directory_t *directory, uint64_t below);

/* Removes what a killed daemon left: every generation's file but `keep`, and a
   control page that did not get its name. */
void
apikey_directory_sweep(const apikey_directory_t *directory, uint64_t keep);

#endif /* APIKEY_TABLE_DIRECTORY_H */
