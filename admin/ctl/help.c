/*
 * Copyright (C) 2026 the ngx_http_apikey_module authors
 *
 * What --help shows; see help.h.
 */

#include <stdio.h>
#include <string.h>

#include "help.h"


static void help_option(const ctl_option_t *option, const char *variable);
static void help_common(ctl_t *ctl, unsigned takes);
static void help_exits(const char *exits);


void
ctl_help(ctl_t *ctl, const ctl_verb_t *verbs, const char *of)
{
    int               width;
    const ctl_verb_t *verb;

    printf("Usage: apikeyctl %s%sCOMMAND [OPTION]...\n\n", of,
           of[0] ? " " : "");

    if (of[0] == '\0') {
        printf("Creates, disables and revokes API keys in the store.\n\n");
    }

    width = of[0] ? 14 : 10;

    for (verb = verbs; verb->name; verb++) {
        printf("  %-*s %s\n", width, verb->name, verb->description);
    }

    printf("\nEach has its own options: apikeyctl COMMAND --help\n");

    if (of[0] == '\0') {
        printf("These may stand before the command too:\n");
        help_common(ctl, ~0U);
        printf("  %-22s %s\n", "--version", "which release this is");
        help_exits("012345678");
    }
}


void
ctl_help_verb(ctl_t *ctl, const ctl_option_t *own, size_t count)
{
    size_t            i;
    const ctl_verb_t *verb = ctl->verb;

    printf("Usage: apikeyctl %s %s\n\n%s.\n", verb->name, verb->synopsis,
           verb->description);

    if (count) {
        printf("\nOptions:\n");

        for (i = 0; i < count; i++) {
            help_option(&own[i], NULL);
        }
    }

    printf("\nCommon options:\n");
    help_common(ctl, verb->takes);
    help_exits(verb->exits);
}


static void
help_common(ctl_t *ctl, unsigned takes)
{
    size_t       i;
    ctl_common_t common[CTL_COMMON_MAX];

    ctl_common(ctl, common);

    for (i = 0; i < CTL_COMMON_MAX; i++) {
        if (common[i].group & takes) {
            help_option(&common[i].option, common[i].variable);
        }
    }
}


static void
help_option(const ctl_option_t *option, const char *variable)
{
    char        left[64];
    size_t      len;
    const char *line;

    snprintf(left, sizeof(left), "--%s%s%s%s", option->name,
             option->argument == NULL ? ""
             : option->flag           ? "[="
                                      : "=",
             option->argument ? option->argument : "",
             option->argument && option->flag ? "]" : "");

    for (line = option->help;; line += len + 1) {
        len = strcspn(line, "\n");
        printf("  %-22s %.*s", left, (int) len, line);
        left[0] = '\0';

        if (line[len] == '\0') {
            break;
        }

        putchar('\n');
    }

    if (variable) {
        printf(" [%s]", variable);
    }

    putchar('\n');
}


static void
help_exits(const char *exits)
{
    static const char *const texts[] = {
        "done",
        "refused, by the store or by you at a question; nothing was changed",
        "a mistake in the command line or in an argument",
        "the store cannot be reached, or lets nobody in; nothing was changed",
        "a change was sent, and what came of it is not known",
        "the output could not be written",
        "trouble on this machine: a file, the pepper, another version",
        "looked, and found something wrong",
        "with --wait: done, but not proven in the time given",
    };

    printf("\nExit codes:\n");

    for (; *exits; exits++) {
        printf("  %c  %s\n", *exits, texts[*exits - '0']);
    }
}
