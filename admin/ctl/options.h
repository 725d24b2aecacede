/*
 * Copyright (C) 2026 the ngx_http_apikey_module authors
 *
 * The options of a verb: a table that is parsed by and shown by --help.
 *
 * An option is --name, --name VALUE or --name=VALUE, before or behind the
 * operands; "--" ends the options.  One whose value may be left out takes it
 * as --name=VALUE alone.
 */

#ifndef APIKEY_CTL_OPTIONS_H
#define APIKEY_CTL_OPTIONS_H

#include <stddef.h>

#include "ctl.h"

#define CTL_WORDS_MAX 64

/* The values of an option that may be repeated. */
typedef struct {
    size_t      count;
    const char *word[CTL_WORDS_MAX];
} ctl_words_t;

/*
 * One of value, words and flag is set; or value and flag, of an option whose
 * value may be left out: the flag says that it was there.
 */
typedef struct {
    const char  *name;
    const char  *argument; /* what --help calls it; NULL for a mere flag */
    const char  *help;
    const char **value;
    ctl_words_t *words;
    int         *flag;
} ctl_option_t;

#define CTL_COMMON_MAX 12

/* A common option, the group it is of (CTL_TAKES_*), and the environment
   variable that stands in for it, or NULL. */
typedef struct {
    ctl_option_t option;
    unsigned     group;
    const char  *variable;
} ctl_common_t;

/* All of them, with their values in ctl. */
void ctl_common(ctl_t *ctl, ctl_common_t common[static CTL_COMMON_MAX]);

/*
 * Parses argv: the verb's own options (count of them) and the common ones
 * that it takes.  Moves the operands to the front of argv and returns how
 * many there are; or -1 if the verb is to return ctl->exit at once: help was
 * shown, or the mistake was.
 */
int ctl_options(ctl_t *ctl, int argc, char **argv, const ctl_option_t *own,
                size_t count);

/*
 * Checks that the operands are ids of keys: one to `most` of them.  A word
 * that is none is not repeated: it may be a key.  Returns 0, or -1 as above.
 */
int ctl_ids(ctl_t *ctl, int count, char **ids, int most);

/* Returns 0 if there are no operands, or -1 as above. */
int ctl_no_operands(ctl_t *ctl, int count);

/*
 * The value of an option that is a whole number, 1 or more; UINT64_MAX where
 * text is NULL.  Returns 0, or -1 as above.
 */
int
ctl_count(ctl_t *ctl, const char *option, const char *text, uint64_t *count);

/* A mistake in the command line; returns -1 as above. */
int ctl_usage(ctl_t *ctl, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Parses the common options before a verb: returns how many words they are,
   or -1 as above. */
int
ctl_options_before(ctl_t *ctl, int argc, char **argv, const ctl_verb_t *verbs);

#endif /* APIKEY_CTL_OPTIONS_H */
