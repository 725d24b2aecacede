/*
 * Copyright (C) 2026 the ngx_http_apikey_module authors
 *
 * The options of a verb; see options.h.
 */

#include <stdlib.h>
#include <string.h>

#include "key/key.h"
#include "fail.h"
#include "help.h"
#include "nearest.h"
#include "options.h"
#include "session.h"
#include "store/version.h"


/* Both tables of a verb, searched as one. */
typedef struct {
    const ctl_option_t *own;
    size_t              count;
    ctl_common_t        common[CTL_COMMON_MAX];
} ctl_tables_t;


static void tables_init(ctl_tables_t *tables, ctl_t *ctl,
                        const ctl_option_t *own, size_t count);
static const ctl_option_t *
tables_find(const ctl_tables_t *tables, unsigned takes, const char *name,
            size_t len);
static int  take(ctl_t *ctl, const ctl_tables_t *tables, unsigned takes,
                 int argc, char **argv);
static int  no_such_option(ctl_t *ctl, const ctl_tables_t *tables,
                           unsigned takes, const char *name, size_t len);
static void environment(ctl_tables_t *tables);


int
ctl_options(ctl_t *ctl, int argc, char **argv, const ctl_option_t *own,
            size_t count)
{
    int          i, n, operands;
    unsigned     takes = ctl->verb->takes;
    ctl_tables_t tables;

    tables_init(&tables, ctl, own, count);

    operands = 0;

    for (i = 0; i < argc; i += n) {
        n = 1;

        if (strcmp(argv[i], "--") == 0) {
            for (i++; i < argc; i++) {
                argv[operands++] = argv[i];
            }
            break;
        }

        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
            ctl_help_verb(ctl, own, count);
            ctl->exit = CTL_DONE;
            return -1;
        }

        if (argv[i][0] != '-' || argv[i][1] == '\0') {
            argv[operands++] = argv[i];
            continue;
        }

        n = take(ctl, &tables, takes, argc - i, argv + i);
        if (n == -1) {
            return -1;
        }
    }

    /* asked for in vain it would be taken for a promise; a default is none */
    if (ctl->replicas && !ctl->wait) {
        return ctl_usage(ctl, "--replicas goes with --wait");
    }

    environment(&tables);

    return operands;
}


int
ctl_ids(ctl_t *ctl, int count, char **ids, int most)
{
    int i;

    if (count == 0) {
        return ctl_usage(ctl, "name a key by its id");
    }

    if (count > most) {
        return ctl_usage(ctl, "name one key, not %d", count);
    }

    for (i = 0; i < count; i++) {
        if (!apikey_id_check(ids[i], strlen(ids[i]))) {
            return ctl_usage(
                ctl,
                "word %d is not the id of a key, which is key_ and "
                "20 letters and digits; nothing was done",
                i + 1);
        }
    }

    return 0;
}


int
ctl_no_operands(ctl_t *ctl, int count)
{
    return count ? ctl_usage(ctl, "it takes options alone") : 0;
}


int
ctl_count(ctl_t *ctl, const char *option, const char *text, uint64_t *count)
{
    size_t len;

    *count = UINT64_MAX;

    if (text == NULL) {
        return 0;
    }

    len = strlen(text);
    *count = strtoull(text, NULL, 10);

    if (len == 0 || len > 18 || strspn(text, "0123456789") != len
        || *count == 0) {
        return ctl_usage(ctl, "--%s must be a number, 1 or more", option);
    }

    return 0;
}


int
ctl_options_before(ctl_t *ctl, int argc, char **argv, const ctl_verb_t *verbs)
{
    int          i, n;
    ctl_tables_t tables;

    tables_init(&tables, ctl, NULL, 0);

    for (i = 0; i < argc && argv[i][0] == '-'; i += n) {
        if (strcmp(argv[i], "--version") == 0) {
            printf("apikeyctl %s\n", APIKEY_RELEASE);
            ctl->exit = CTL_DONE;
            return -1;
        }

        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
            ctl_help(ctl, verbs, "");
            ctl->exit = CTL_DONE;
            return -1;
        }

        n = take(ctl, &tables, ~0U, argc - i, argv + i);
        if (n == -1) {
            return -1;
        }
    }

    return i;
}


static void
tables_init(ctl_tables_t *tables, ctl_t *ctl, const ctl_option_t *own,
            size_t count)
{
    tables->own = own;
    tables->count = count;
    ctl_common(ctl, tables->common);
}


void
ctl_common(ctl_t *ctl, ctl_common_t common[static CTL_COMMON_MAX])
{
    const ctl_common_t all[CTL_COMMON_MAX] = {
        { { "store", "URL",
            "where the store is: redis://[USER[:PASSWORD]@]HOST[:PORT][/DB] "
            "or\nunix://[USER[:PASSWORD]@]/PATH[?db=N];\ndefault " CTL_REDIS_DEFAULT,
            &ctl->url, NULL, NULL },
          CTL_TAKES_STORE,
          "APIKEY_REDIS" },
        { { "store-name", "NAME",
            "the store's name; default " APIKEY_STORE_NAME_DEFAULT,
            &ctl->store_name, NULL, NULL },
          CTL_TAKES_STORE,
          "APIKEY_STORE_NAME" },
        { { "user", "NAME", "the Redis user", &ctl->user, NULL, NULL },
          CTL_TAKES_STORE,
          NULL },
        { { "password-file", "FILE", "its first line is the Redis password",
            &ctl->password_file, NULL, NULL },
          CTL_TAKES_STORE,
          "APIKEY_PASSWORD_FILE" },
        { { "timeout", "TIME", "for each step, as in 500ms; default 5s",
            &ctl->timeout, NULL, NULL },
          CTL_TAKES_STORE,
          NULL },
        { { "pepper", "FILE", "the pepper file; default " CTL_PEPPER_DEFAULT,
            &ctl->pepper, NULL, NULL },
          CTL_TAKES_PEPPER,
          "APIKEY_PEPPER" },
        { { "actor", "NAME",
            "who does it, for the log; default: you, at this host",
            &ctl->actor, NULL, NULL },
          CTL_TAKES_ACTOR,
          "APIKEY_ACTOR" },
        { { "reason", "TEXT", "why, for the log", &ctl->reason, NULL, NULL },
          CTL_TAKES_ACTOR,
          NULL },
        { { "wait", "TIME",
            "wait until every edge has acknowledged the change or its lease\n"
            "has run out, and print a receipt; not longer than TIME",
            &ctl->wait_time, NULL, &ctl->wait },
          CTL_TAKES_WAIT,
          NULL },
        { { "replicas", "COUNT",
            "with --wait: so many Redis replicas must have it too",
            &ctl->replicas, NULL, NULL },
          CTL_TAKES_WAIT,
          "APIKEY_REPLICAS" },
        { { "json", NULL,
            "for programs: JSON on stdout, errors as JSON on "
            "stderr",
            NULL, NULL, &ctl->json },
          CTL_TAKES_OUTPUT,
          NULL },
        { { "quiet", NULL, "the bare result alone, or nothing", NULL, NULL,
            &ctl->quiet },
          CTL_TAKES_OUTPUT,
          NULL },
    };

    memcpy(common, all, sizeof(all));
}


/* What the command line leaves open, the environment may say. */
static void
environment(ctl_tables_t *tables)
{
    size_t        i;
    const char   *value;
    ctl_common_t *common;

    for (i = 0; i < CTL_COMMON_MAX; i++) {
        common = &tables->common[i];

        if (common->variable == NULL || *common->option.value) {
            continue;
        }

        value = getenv(common->variable);

        if (value && value[0]) {
            *common->option.value = value;
        }
    }
}


static const ctl_option_t *
tables_find(const ctl_tables_t *tables, unsigned takes, const char *name,
            size_t len)
{
    size_t              i;
    const ctl_option_t *option;

    for (i = 0; i < tables->count + CTL_COMMON_MAX; i++) {
        if (i < tables->count) {
            option = &tables->own[i];

        } else if (tables->common[i - tables->count].group & takes) {
            option = &tables->common[i - tables->count].option;

        } else {
            continue;
        }

        if (strncmp(option->name, name, len) == 0 && option->name[len] == '\0')
        {
            return option;
        }
    }

    return NULL;
}


/* Takes the option at argv[0]; returns how many words it is, or -1. */
static int
take(ctl_t *ctl, const ctl_tables_t *tables, unsigned takes, int argc,
     char **argv)
{
    size_t              len;
    const char         *name, *value;
    const ctl_option_t *option;

    if (strncmp(argv[0], "--", 2) != 0) {
        return ctl_usage(ctl, "there is no option %s", argv[0]);
    }

    name = argv[0] + 2;
    len = strcspn(name, "=");
    value = name[len] == '=' ? name + len + 1 : NULL;

    option = tables_find(tables, takes, name, len);

    if (option == NULL) {
        return no_such_option(ctl, tables, takes, name, len);
    }

    if (option->flag) {
        if (value && option->value == NULL) {
            return ctl_usage(ctl, "--%s takes no value", option->name);
        }

        *option->flag = 1;

        if (option->value) {
            *option->value = value;
        }

        return 1;
    }

    if (value == NULL) {
        if (argc < 2) {
            return ctl_usage(ctl, "--%s needs a value: %s", option->name,
                             option->argument);
        }

        value = argv[1];
    }

    if (option->words) {
        if (option->words->count == CTL_WORDS_MAX) {
            return ctl_usage(ctl, "--%s is repeated too often", option->name);
        }

        option->words->word[option->words->count++] = value;

    } else {
        *option->value = value;
    }

    return name[len] == '=' ? 1 : 2;
}


static int
no_such_option(ctl_t *ctl, const ctl_tables_t *tables, unsigned takes,
               const char *name, size_t len)
{
    size_t      i;
    unsigned    distance, best = 3;
    char        given[33];
    const char *other, *near = NULL;

    snprintf(given, sizeof(given), "%.*s", (int) len, name);

    for (i = 0; i < tables->count + CTL_COMMON_MAX; i++) {
        if (i < tables->count) {
            other = tables->own[i].name;

        } else if (tables->common[i - tables->count].group & takes) {
            other = tables->common[i - tables->count].option.name;

        } else {
            continue;
        }

        distance = ctl_distance(given, other);

        if (ctl_near(given, other) && distance < best) {
            best = distance;
            near = other;
        }
    }

    return ctl_usage(ctl, "there is no option --%s%s%s%s", given,
                     near ? "; did you mean --" : "", near ? near : "",
                     near ? "?" : "");
}


int
ctl_usage(ctl_t *ctl, const char *format, ...)
{
    va_list args;
    char    text[256], hint[64];

    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);

    snprintf(hint, sizeof(hint), "apikeyctl %s%s--help",
             ctl->verb ? ctl->verb->name : "", ctl->verb ? " " : "");

    ctl->exit = ctl_fail(ctl, CTL_USAGE, "", hint, "%s", text);

    return -1;
}
