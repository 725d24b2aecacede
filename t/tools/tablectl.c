/*
 * Copyright (C) 2026 the ngx_http_apikey_module authors
 *
 * Drives a real writer by hand, so that tests can put a table into any state
 * at any moment without a store.  Commands on standard input, one a line,
 * fields separated by tabs, "-" for an empty one; each is answered by "ok" or
 * "error: ...".
 *
 *   begin KEYS BYTES        a snapshot build, prepared at once
 *   grow                    a growth build, prepared at once
 *   put DIGEST STATUS VERSION EXPIRES ID MEMBER TENANT NAME SCOPES
 *   publish                 carries over and publishes
 *   renew MS                the lease ends MS from now; 0 ends it
 *   peppers FP [FP]         16 hex digits each
 *   quit
 */

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "table/write.h"

#define FIELDS 10

static apikey_writer_t *writer;
static const uint8_t    epoch[APIKEY_EPOCH_LEN];


static const char *
field(char **fields, int i)
{
    return fields[i] && strcmp(fields[i], "-") != 0 ? fields[i] : "";
}


static uint64_t
number(char **fields, int i)
{
    return strtoull(field(fields, i), NULL, 10);
}


static apikey_status_t
status_of(const char *name)
{
    if (strcmp(name, "enabled") == 0) {
        return APIKEY_ENABLED;
    }

    return strcmp(name, "disabled") == 0 ? APIKEY_DISABLED : APIKEY_REVOKED;
}


static apikey_write_t
prepare(apikey_write_t rc)
{
    while (rc == APIKEY_WRITE_OK
           && (rc = apikey_writer_prepare(writer)) == APIKEY_WRITE_MORE)
    {
        rc = APIKEY_WRITE_OK;
    }

    return rc;
}


static apikey_write_t
put(char **fields)
{
    int          i;
    unsigned     byte;
    apikey_put_t change = { 0 };

    for (i = 0; i < APIKEY_TABLE_DIGEST_LEN; i++) {
        byte = 0;
        sscanf(field(fields, 1) + 2 * i, "%2x", &byte);
        change.digest[i] = (uint8_t) byte;
    }

    change.status = status_of(field(fields, 2));
    change.version = number(fields, 3);
    change.expires = number(fields, 4);
    change.id = field(fields, 5);
    change.member = field(fields, 6);
    change.tenant = field(fields, 7);
    change.name = field(fields, 8);
    change.scopes = field(fields, 9);

    return apikey_writer_put(writer, &change, NULL);
}


/* The tests look at what readers see of it. */
static void
conflict(void *ctx, const apikey_held_t *held, int alive)
{
    (void) ctx;
    (void) held;
    (void) alive;
}


static apikey_write_t
publish(void)
{
    apikey_write_t rc;

    do {
        rc = apikey_writer_carry(writer, 1000, conflict, NULL);
    } while (rc == APIKEY_WRITE_MORE);

    return rc == APIKEY_WRITE_OK ? apikey_writer_publish(writer) : rc;
}


static apikey_write_t
run(char **fields)
{
    uint64_t    peppers[APIKEY_TABLE_PEPPERS];
    const char *verb = fields[0];

    if (strcmp(verb, "begin") == 0) {
        return prepare(apikey_writer_begin(writer, APIKEY_BUILD_SNAPSHOT,
                                           epoch, number(fields, 1),
                                           number(fields, 2)));
    }

    if (strcmp(verb, "grow") == 0) {
        return prepare(
            apikey_writer_begin(writer, APIKEY_BUILD_GROWTH, epoch, 0, 0));
    }

    if (strcmp(verb, "put") == 0 && strlen(field(fields, 1)) == 64) {
        return put(fields);
    }

    if (strcmp(verb, "publish") == 0) {
        return publish();
    }

    if (strcmp(verb, "renew") == 0) {
        uint64_t ms = number(fields, 1);

        return apikey_writer_renew(writer,
                                   ms ? apikey_boottime() + ms * 1000 : 0);
    }

    if (strcmp(verb, "peppers") == 0) {
        peppers[0] = strtoull(field(fields, 1), NULL, 16);
        peppers[1] = strtoull(field(fields, 2), NULL, 16);
        apikey_writer_peppers(writer, peppers);
        return APIKEY_WRITE_OK;
    }

    fprintf(stderr, "tablectl: bad command \"%s\"\n", verb);
    exit(2);
}


int
main(int argc, char **argv)
{
    int            i;
    char           line[8192], error[1024], *p, *fields[FIELDS];
    apikey_write_t rc;

    if (argc != 2) {
        fprintf(stderr, "usage: tablectl DIR < commands\n");
        return 2;
    }

    writer = apikey_writer_open(argv[1], error, sizeof(error));
    if (writer == NULL) {
        fprintf(stderr, "tablectl: %s\n", error);
        return 1;
    }

    setvbuf(stdout, NULL, _IOLBF, 0);
    puts("ok");

    while (fgets(line, sizeof(line), stdin)) {
        line[strcspn(line, "\n")] = '\0';
        memset(fields, 0, sizeof(fields));

        /* the verb may be followed by a blank, as people type it */
        p = line;
        fields[0] = strsep(&p, " \t");

        for (i = 1; i < FIELDS && p; i++) {
            fields[i] = strsep(&p, "\t");
        }

        if (strcmp(fields[0], "quit") == 0) {
            break;
        }

        rc = run(fields);

        switch (rc) {
        case APIKEY_WRITE_OK:
            puts("ok");
            break;
        case APIKEY_WRITE_FULL:
            puts("error: full");
            break;
        default:
            printf("error: %s\n", apikey_writer_error(writer));
        }
    }

    apikey_writer_close(writer);

    return 0;
}
