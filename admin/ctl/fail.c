/*
 * Copyright (C) 2026 the ngx_http_apikey_module authors
 *
 * What went wrong, and what to do; see fail.h.
 */

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "fail.h"
#include "json.h"
#include "output.h"


static void        say(ctl_t *ctl, ctl_exit_t code, const char *name,
                       const char *hint, const char *text);
static void        say_json(FILE *file, ctl_exit_t code, const char *name,
                            const char *hint, const char *text);
static const char *hint_of(const apikey_ops_t *ops);


int
ctl_fail(ctl_t *ctl, ctl_exit_t code, const char *name, const char *hint,
         const char *format, ...)
{
    va_list args;
    char    text[APIKEY_OPS_TEXT_MAX + 512];

    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);

    say(ctl, code, name, hint, text);

    return code;
}


static void
say(ctl_t *ctl, ctl_exit_t code, const char *name, const char *hint,
    const char *text)
{
    /* what was written before it stands before it */
    if (fflush(stdout) == EOF) {
        ctl_output_failed(errno);
    }

    if (ctl->json) {
        say_json(stderr, code, name, hint, text);
        return;
    }

    fprintf(stderr, "apikeyctl%s%s: ", ctl->verb ? " " : "",
            ctl->verb ? ctl->verb->name : "");
    ctl_put(stderr, text);

    if (name[0]) {
        fputs(" (", stderr);
        ctl_put(stderr, name);
        fputc(')', stderr);
    }

    fputc('\n', stderr);

    if (hint) {
        fputs("  ", stderr);
        ctl_put(stderr, hint);
        fputc('\n', stderr);
    }
}


static void
say_json(FILE *file, ctl_exit_t code, const char *name, const char *hint,
         const char *text)
{
    char   *line;
    json_t *error;

    error = json_pack("{s:{s:s,s:o,s:s*,s:i}}", "error", "name", name, "text",
                      ctl_json_text(text), "hint", hint, "exit", (int) code);
    line = error ? json_dumps(error, JSON_COMPACT | JSON_ENSURE_ASCII) : NULL;

    fprintf(file, "%s\n",
            line ? line : "{\"error\":{\"name\":\"\",\"text\":\"?\"}}");

    free(line);
    json_decref(error);
}


int
ctl_fail_ops(ctl_t *ctl, const char *subject, const char *hint)
{
    const apikey_ops_t *ops = &ctl->ops;

    if (ops->error != APIKEY_OPS_UNKNOWN) {
        hint = hint_of(ops);
    }

    /* the store may have named it */
    if (subject && strstr(ops->text, subject)) {
        subject = NULL;
    }

    return ctl_fail(ctl, ctl_exit_of(ops), ops->name, hint, "%s%s%s",
                    subject ? subject : "", subject ? ": " : "", ops->text);
}


ctl_exit_t
ctl_exit_of(const apikey_ops_t *ops)
{
    switch (ops->error) {
    case APIKEY_OPS_OK:
        return CTL_DONE;

    case APIKEY_OPS_REFUSED:
        return CTL_REFUSED;

    case APIKEY_OPS_ARGUMENT:
        return CTL_USAGE;

    case APIKEY_OPS_UNREACHABLE:
        return CTL_UNREACHABLE;

    case APIKEY_OPS_UNKNOWN:
        return CTL_UNKNOWN;

    default:
        return CTL_LOCAL;
    }
}


/* What to do about an error that has a name, in terms of this program. */
static const char *
hint_of(const apikey_ops_t *ops)
{
    size_t i;

    static const struct {
        const char *name, *hint;
    } hints[] = {
        { APIKEY_OPS_NOLIBRARY,
          "for a new store: apikeyctl init; into one that has lost it, or has an older one: apikeyctl library" },
        { "NOINIT",
          "for a new store: apikeyctl init; one that was emptied must be restored from a backup" },
        { "INITED", "nothing was changed; to load the function library into "
                    "a store that is initialised: apikeyctl library" },
        { "NOKEY", "the ids of all keys: apikeyctl list" },
        { "NOEDGE", "the names of all: apikeyctl edges" },
        { "LIVE", "stop its daemon, and try again when apikeyctl edges calls "
                  "it silent" },
        { "NOCONFLICT", "what there is: apikeyctl conflicts" },
        { "NOMEMBER", "create it first: apikeyctl member add ID --name NAME "
                      "--tenant TENANT" },
        { "PEPPER", "compare: apikeyctl status; the pepper file must be the "
                    "one that the edges have" },
        { "NOPERM", "give this Redis user the rights in docs/store.md, "
                    "\"Access\", or name another with --user" },
        { "NOAUTH",
          "give a password with --password-file, and a user with --user unless it is the default one" },
        { "DUPDIGEST",
          "this key is in the store already: apikeyctl show, with the id that is named" },
        { "WRONGPASS", "check --user and --password-file, or what --store "
                       "holds" },
        { "READONLY", "this is a replica: name the master with --store" },
        { "LOADING", "Redis has just been started: try again in a moment" },
        { "OOM", "Redis has no memory left for this; disable, enable and "
                 "revoke still work" },
    };

    /* what every change is sent with, and no older one knows */
    if (strcmp(ops->name, "BADARG") == 0
        && strstr(ops->text, "is not an argument of this function"))
    {
        return "the function library in the server is an older one: apikeyctl "
               "library";
    }

    for (i = 0; i < sizeof(hints) / sizeof(hints[0]); i++) {
        if (strcmp(ops->name, hints[i].name) == 0) {
            return hints[i].hint;
        }
    }

    if (ops->error == APIKEY_OPS_UNREACHABLE && ops->name[0] == '\0') {
        return "nothing was changed; is the server running, and is --store "
               "(or APIKEY_REDIS) right?";
    }

    return NULL;
}
