/*
 * Copyright (C) 2026 the ngx_http_apikey_module authors
 *
 * apikeyctl create: a key, whose text is shown once.
 */

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include <sodium.h>

#include "admin/ops_check.h"
#include "admin/ops_key.h"
#include "admin/ops_time.h"
#include "fail.h"
#include "json.h"
#include "options.h"
#include "output.h"
#include "receipt.h"
#include "record.h"
#include "session.h"


#define SCOPES_MAX 4096 /* bytes of options, before they are checked */

/* A key's text from standard input, and what may follow it: "\r\n" and one
   byte by which too long a text is known. */
typedef struct {
    size_t len;
    char   text[APIKEY_TEXT_MAX + 3];
} imported_t;


static int  create_scopes(ctl_t *ctl, const ctl_words_t *words, char *scopes);
static int  create_expires(ctl_t *ctl, const char *text, uint64_t *expires);
static int  create_read(ctl_t *ctl, imported_t *imported);
static void create_silence(struct termios *saved, int *silenced);
static int  create_send(ctl_t *ctl, const apikey_ops_create_t *request,
                        apikey_ops_created_t *created);
static int  create_report(ctl_t *ctl, const apikey_ops_create_t *request,
                          const apikey_ops_created_t *created);
static void create_print(const ctl_t *ctl, const apikey_ops_create_t *request,
                         const apikey_ops_created_t *created);
static json_t *create_json(const apikey_ops_create_t  *request,
                           const apikey_ops_created_t *created);
static void
create_receipt(const ctl_t *ctl, const apikey_ops_created_t *created,
               const ctl_receipt_t *receipt);
static int create_shown(ctl_t *ctl, const apikey_ops_created_t *created);


int
ctl_create(ctl_t *ctl, int argc, char **argv)
{
    int                  operands, code, from_stdin = 0;
    char                 scopes[SCOPES_MAX];
    const char          *expires = NULL;
    imported_t           imported = { 0 };
    ctl_words_t          words = { 0 };
    apikey_ops_create_t  request = { .scopes = scopes };
    apikey_ops_created_t created = { 0 };

    const ctl_option_t options[] = {
        { "member", "ID", "the member that it is for", &request.member, NULL,
          NULL },
        { "name", "TEXT", "what it is for, 1 to 128 bytes", &request.name,
          NULL, NULL },
        { "scope", "SCOPE", "may be repeated; at most 16, of 1 to 64 bytes",
          NULL, &words, NULL },
        { "scopes", "\"A B\"", "the same, several at once", NULL, &words,
          NULL },
        { "expires", "TIME",
          "2027-01-31T12:00:00Z, or from now: 90s 30m 12h 30d 52w, or never,\n"
          "or seconds since 1970; default never",
          &expires, NULL, NULL },
        { "disabled", NULL, "it has to be enabled before it is accepted", NULL,
          NULL, &request.disabled },
        { "stdin", NULL,
          "import a key that exists elsewhere: read its text from standard\n"
          "input (16 to 256 bytes; one newline at the end is dropped); it is\n"
          "not shown again, and --quiet prints the id",
          NULL, NULL, &from_stdin },
    };

    operands = ctl_options(ctl, argc, argv, options,
                           sizeof(options) / sizeof(options[0]));

    if (operands == -1 || ctl_no_operands(ctl, operands) == -1
        || create_scopes(ctl, &words, scopes) == -1
        || create_expires(ctl, expires, &request.expires) == -1)
    {
        return ctl->exit;
    }

    if (request.member == NULL || request.name == NULL) {
        ctl_usage(ctl, "a key needs --member and --name");
        return ctl->exit;
    }

    if (from_stdin) {
        if (create_read(ctl, &imported) == -1) {
            code = ctl->exit;
            goto done;
        }

        request.text = imported.text;
        request.text_len = imported.len;
    }

    code = create_send(ctl, &request, &created);

    if (code == CTL_DONE) {
        code = create_report(ctl, &request, &created);
    }

done:

    sodium_memzero(&created, sizeof(created));
    sodium_memzero(&imported, sizeof(imported));

    return code;
}


static int
create_scopes(ctl_t *ctl, const ctl_words_t *words, char *scopes)
{
    size_t i, used = 0;

    scopes[0] = '\0';

    for (i = 0; i < words->count; i++) {
        used += (size_t) snprintf(scopes + used, SCOPES_MAX - used, "%s%s",
                                  used ? " " : "", words->word[i]);

        if (used >= SCOPES_MAX) {
            return ctl_usage(ctl, "a key has at most %d scopes of %d bytes",
                             APIKEY_SCOPES_MAX, APIKEY_SCOPE_MAX);
        }
    }

    return 0;
}


static int
create_expires(ctl_t *ctl, const char *text, uint64_t *expires)
{
    char error[256];

    *expires = 0;

    if (text
        && apikey_expiry_parse(text, (uint64_t) time(NULL), expires, error,
                               sizeof(error))
               == -1)
    {
        ctl->exit = ctl_fail(ctl, CTL_USAGE, "", NULL, "%s", error);
        return -1;
    }

    return 0;
}


/*
 * Not through stdio, which would keep a copy.  The key that somebody types is
 * not echoed.
 */
static int
create_read(ctl_t *ctl, imported_t *imported)
{
    int            silenced = 0;
    ssize_t        n;
    struct termios saved;

    create_silence(&saved, &silenced);

    do {
        n = read(STDIN_FILENO, imported->text + imported->len,
                 sizeof(imported->text) - imported->len);

        if (n > 0) {
            imported->len += (size_t) n;
        }

        /* a terminal gives a line at a time, and one is enough */
        if (silenced && n > 0) {
            break;
        }

    } while (imported->len < sizeof(imported->text)
             && (n > 0 || (n == -1 && errno == EINTR)));

    if (silenced) {
        (void) tcsetattr(STDIN_FILENO, TCSANOW, &saved);
        fputc('\n', stderr);
    }

    if (n == -1) {
        ctl->exit = ctl_fail(ctl, CTL_LOCAL, "", NULL,
                             "cannot read the key from standard input: %s",
                             strerror(errno));
        return -1;
    }

    if (imported->len && imported->text[imported->len - 1] == '\n') {
        imported->len--;

        if (imported->len && imported->text[imported->len - 1] == '\r') {
            imported->len--;
        }
    }

    return 0;
}


static void
create_silence(struct termios *saved, int *silenced)
{
    struct termios silent;

    if (!isatty(STDIN_FILENO) || tcgetattr(STDIN_FILENO, saved) == -1) {
        return;
    }

    silent = *saved;
    silent.c_lflag &= ~(tcflag_t) ECHO;

    *silenced = tcsetattr(STDIN_FILENO, TCSANOW, &silent) == 0;

    fputs("Key: ", stderr);
}


static int
create_send(ctl_t *ctl, const apikey_ops_create_t *request,
            apikey_ops_created_t *created)
{
    int                  rc;
    char                 hint[128];
    apikey_pepper_ring_t ring;

    if (ctl_session_begin(ctl) == -1 || ctl_pepper_load(ctl, &ring) == -1) {
        return ctl->exit;
    }

    if (ctl_session_connect(ctl) == -1) {
        apikey_pepper_ring_wipe(&ring);
        return ctl->exit;
    }

    rc = apikey_ops_create(&ctl->ops, request, &ring.pepper[0], created);

    apikey_pepper_ring_wipe(&ring);

    if (rc == 0) {
        return CTL_DONE;
    }

    snprintf(hint, sizeof(hint),
             "nobody has its text: if apikeyctl show %s finds it, revoke it",
             created->id);

    return ctl_fail_ops(ctl, NULL, hint);
}


/*
 * The text is written out before anything is waited for: whatever ends the
 * wait, it was shown.  With --json it is part of the one object.
 */
static int
create_report(ctl_t *ctl, const apikey_ops_create_t *request,
              const apikey_ops_created_t *created)
{
    int           code = CTL_DONE, shown = CTL_DONE;
    json_t       *json = NULL;
    ctl_receipt_t receipt = { 0 };

    if (ctl->json) {
        json = create_json(request, created);

    } else {
        create_print(ctl, request, created);
        shown = create_shown(ctl, created);
    }

    if (ctl->wait) {
        ctl_receipt_wait(ctl, &created->change, 1, &receipt);
        code = ctl_receipt_exit(ctl, &receipt);

        if (ctl->json) {
            json_object_set_new(json, "receipt",
                                ctl_receipt_json(ctl, &receipt));

        } else if (!ctl->quiet) {
            create_receipt(ctl, created, &receipt);
        }

        ctl_receipt_free(&receipt);
    }

    if (ctl->json) {
        ctl_json(json);
        shown = create_shown(ctl, created);
    }

    return shown == CTL_DONE ? code : shown;
}


static void
create_receipt(const ctl_t *ctl, const apikey_ops_created_t *created,
               const ctl_receipt_t *receipt)
{
    char text[APIKEY_ID_LEN + 16];

    snprintf(text, sizeof(text), "%s created", created->id);

    putchar('\n');
    ctl_receipt_head(receipt);
    ctl_receipt_change(text, &created->change, 1);
    ctl_receipt_show(ctl, receipt);
}


static void
create_print(const ctl_t *ctl, const apikey_ops_create_t *request,
             const apikey_ops_created_t *created)
{
    char at[APIKEY_TIME_SIZE];

    if (ctl->quiet) {
        printf("%s\n", created->text[0] ? created->text : created->id);
        return;
    }

    if (created->text[0]) {
        ctl_field("Key", "%s", created->text);
        ctl_field("", "shown once: it is stored nowhere, and a lost key can "
                      "only be revoked");
    }

    ctl_field("Id", "%s", created->id);
    ctl_field("Name", "%s", request->name);
    ctl_field("Member", "%s", request->member);
    ctl_field("Status", "%s", request->disabled ? "disabled" : "enabled");
    ctl_field("Scopes", "%s", created->scopes[0] ? created->scopes : "none");
    ctl_field("Hint", "%s", created->hint);
    ctl_field("Expires", "%s", ctl_expires_show(at, request->expires));
    ctl_field("Version", "%llu", (unsigned long long) created->change.version);
}


static json_t *
create_json(const apikey_ops_create_t  *request,
            const apikey_ops_created_t *created)
{
    json_t *json;

    json = json_object();

    if (created->text[0]) {
        json_object_set_new(json, "key", json_string(created->text));
    }

    json_object_update_new(
        json, json_pack("{s:s,s:s,s:o,s:o,s:o,s:o,s:o,s:o,s:I,s:s}", "id",
                        created->id, "status",
                        request->disabled ? "disabled" : "enabled", "name",
                        ctl_json_text(request->name), "member",
                        ctl_json_text(request->member), "scopes",
                        ctl_words_json(created->scopes), "hint",
                        ctl_json_text(created->hint), "expires",
                        ctl_expires_json(request->expires), "created",
                        ctl_json_time(created->change.at), "version",
                        (json_int_t) created->change.version, "epoch",
                        created->change.epoch));

    return json;
}


/* A key that exists and that nobody has seen is no success; of an imported
   one there is nothing to see. */
static int
create_shown(ctl_t *ctl, const apikey_ops_created_t *created)
{
    char hint[80];

    if (created->text[0] == '\0' || ctl_output_flush() == 0) {
        return CTL_DONE;
    }

    snprintf(hint, sizeof(hint), "revoke it: apikeyctl revoke %s",
             created->id);

    return ctl_fail(ctl, CTL_OUTPUT, "", hint,
                    "the key %s was created, but its text could not be "
                    "written (%s): nobody has seen it",
                    created->id, strerror(errno));
}
