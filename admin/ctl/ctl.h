/*
 * Copyright (C) 2026 the ngx_http_apikey_module authors
 *
 * What the verbs of apikeyctl share: the shape of a verb, the exit codes, and
 * the command line that is being carried out.
 */

#ifndef APIKEY_CTL_H
#define APIKEY_CTL_H

#include "admin/ops.h"
#include "key/pepper.h"

/*
 * Exit codes, documented in docs/admin.md and by --help.  The worst of several
 * outcomes is the highest.
 */
typedef enum {
    CTL_DONE = 0,
    CTL_REFUSED = 1,     /* by the store, or by a person at a question */
    CTL_USAGE = 2,       /* the command line, or an argument */
    CTL_UNREACHABLE = 3, /* nothing was changed */
    CTL_UNKNOWN = 4,     /* a change was sent, and its answer was lost */
    CTL_OUTPUT = 5,      /* what was done could not be written out */
    CTL_LOCAL = 6,       /* trouble on this machine */
    CTL_WRONG = 7,       /* looked, and found something wrong */
    CTL_UNPROVEN = 8     /* done, but not proven in the time given (--wait) */
} ctl_exit_t;

/* Groups of common options that a verb takes. */
#define CTL_TAKES_STORE  0x01 /* --store, --store-name, ... */
#define CTL_TAKES_OUTPUT 0x02 /* --json, --quiet */
#define CTL_TAKES_ACTOR  0x04 /* --actor, --reason */
#define CTL_TAKES_PEPPER 0x08 /* --pepper */
#define CTL_TAKES_WAIT   0x10 /* --wait, --replicas */

/* What a verb takes that looks, and one that changes what edges go by. */
#define CTL_LOOKS   (CTL_TAKES_STORE | CTL_TAKES_OUTPUT)
#define CTL_CHANGES (CTL_LOOKS | CTL_TAKES_ACTOR | CTL_TAKES_WAIT)

typedef struct ctl_s ctl_t;

typedef struct {
    const char *name;        /* "create", "member add" */
    const char *synopsis;    /* its operands and chief options */
    const char *description; /* one line */
    unsigned    takes;       /* CTL_TAKES_* */
    const char *exits;       /* digits of the exit codes that it has */

    /* argv[0] is the first word after the verb's name */
    int (*run)(ctl_t *ctl, int argc, char **argv);
} ctl_verb_t;

struct ctl_s {
    const ctl_verb_t *verb;

    /* common options; NULL where neither they nor the environment say */
    const char *url;
    const char *store_name;
    const char *user;
    const char *password_file;
    const char *timeout;
    const char *pepper;
    const char *actor;
    const char *reason;
    int         wait;
    const char *wait_time;
    const char *replicas;
    int         json;
    int         quiet;

    /* of those, parsed: ctl_wait_options() */
    uint64_t wait_ms;        /* 0: as long as it takes */
    uint64_t replicas_count; /* 0: none */

    int          exit; /* set by what stops a verb: see options.h */
    apikey_ops_t ops;
};

/*
 * Looks argv[0] up in the table, which ends with an empty row, and runs it.
 * of is "" or the verb whose verbs these are.
 */
int ctl_dispatch(ctl_t *ctl, const ctl_verb_t *table, const char *of, int argc,
                 char **argv);

/* one verb a file */
int ctl_conflicts(ctl_t *ctl, int argc, char **argv);
int ctl_create(ctl_t *ctl, int argc, char **argv);
int ctl_disable(ctl_t *ctl, int argc, char **argv);
int ctl_edges(ctl_t *ctl, int argc, char **argv);
int ctl_enable(ctl_t *ctl, int argc, char **argv);
int ctl_init(ctl_t *ctl, int argc, char **argv);
int ctl_inspect(ctl_t *ctl, int argc, char **argv);
int ctl_library(ctl_t *ctl, int argc, char **argv);
int ctl_list(ctl_t *ctl, int argc, char **argv);
int ctl_log(ctl_t *ctl, int argc, char **argv);
int ctl_member(ctl_t *ctl, int argc, char **argv);
int ctl_revoke(ctl_t *ctl, int argc, char **argv);
int ctl_settle(ctl_t *ctl, int argc, char **argv);
int ctl_show(ctl_t *ctl, int argc, char **argv);
int ctl_status(ctl_t *ctl, int argc, char **argv);
int ctl_watch(ctl_t *ctl, int argc, char **argv);

#endif /* APIKEY_CTL_H */
