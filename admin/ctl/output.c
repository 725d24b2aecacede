/*
 * Copyright (C) 2026 the ngx_http_apikey_module authors
 *
 * What goes to the terminal, or to a program; see output.h.
 */

#include <errno.h>
#include <locale.h>
#include <malloc.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <wchar.h>

#include <sodium.h>

#include "admin/ops_time.h"
#include "output.h"

#define LABEL_WIDTH 13


static size_t      put_char(FILE *file, const char *text, size_t *len);
static int         steers(wchar_t c);
static void        put_json(const char *text);
static void        wipe_free(void *p);
static void        say(ctl_t *ctl, ctl_exit_t code, const char *name,
                       const char *hint, const char *text);
static void        say_json(FILE *file, ctl_exit_t code, const char *name,
                            const char *hint, const char *text);
static const char *hint_of(const apikey_ops_t *ops);


/* A key's text passes through here: stdio gets no buffer of its own. */
static char output_buffer[65536];

static int output_colours;
static int output_errno; /* of the first write that failed */


void
ctl_output_begin(void)
{
    const char *no_color = getenv("NO_COLOR");
    const char *term = getenv("TERM");

    /* without this locale, what is not ASCII is shown escaped */
    (void) setlocale(LC_CTYPE, "C.UTF-8");

    (void) setvbuf(stdout, output_buffer, _IOFBF, sizeof(output_buffer));

    output_colours = isatty(STDOUT_FILENO) && !(no_color && no_color[0])
                     && term && strcmp(term, "dumb") != 0;

    json_set_alloc_funcs(malloc, wipe_free);
}


/* jansson's copies of a key's text end here. */
static void
wipe_free(void *p)
{
    if (p) {
        sodium_memzero(p, malloc_usable_size(p));
        free(p);
    }
}


int
ctl_output_flush(void)
{
    if (fflush(stdout) == EOF && output_errno == 0) {
        output_errno = errno;
    }

    if (ferror(stdout) && output_errno == 0) {
        output_errno = EIO;
    }

    sodium_memzero(output_buffer, sizeof(output_buffer));

    if (output_errno) {
        errno = output_errno;
        return -1;
    }

    return 0;
}


size_t
ctl_put(FILE *file, const char *text)
{
    size_t len, columns = 0;

    for (; *text; text += len) {
        columns += put_char(file, text, &len);
    }

    return columns;
}


/* One character of text: its length, and the columns that it takes. */
static size_t
put_char(FILE *file, const char *text, size_t *len)
{
    int       width;
    char      escape[16];
    wchar_t   c;
    mbstate_t state = { 0 };

    *len = mbrtowc(&c, text, strlen(text), &state);

    if (*len == (size_t) -1 || *len == (size_t) -2) {
        *len = 1;
        snprintf(escape, sizeof(escape), "\\x%02x", (unsigned char) *text);

    } else if (steers(c)) {
        snprintf(escape, sizeof(escape), "\\u{%04x}", (unsigned) c);

    } else {
        width = wcwidth(c);

        if (width >= 0) {
            if (file) {
                fwrite(text, 1, *len, file);
            }
            return (size_t) width;
        }

        snprintf(escape, sizeof(escape), "\\u{%04x}", (unsigned) c);
    }

    if (file) {
        fputs(escape, file);
    }

    return strlen(escape);
}


/* Control characters, and what changes the order or the line of the rest. */
static int
steers(wchar_t c)
{
    return c < 0x20 || (c >= 0x7f && c < 0xa0) || c == 0x061c || c == 0x200e
           || c == 0x200f || (c >= 0x2028 && c <= 0x202e)
           || (c >= 0x2066 && c <= 0x2069);
}


void
ctl_colour(const char *colour)
{
    if (output_colours && colour) {
        printf("\033[%sm", colour);
    }
}


void
ctl_colour_end(const char *colour)
{
    if (output_colours && colour) {
        fputs("\033[0m", stdout);
    }
}


void
ctl_field(const char *label, const char *format, ...)
{
    va_list args;
    char    text[2048];

    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);

    printf("%-*s", LABEL_WIDTH, label);
    ctl_put(stdout, text);
    putchar('\n');

    /* it may have been a key's text */
    sodium_memzero(text, sizeof(text));
}


void
ctl_field_time(const char *label, uint64_t ms)
{
    char text[APIKEY_TIME_SIZE];

    apikey_time_show_ms(text, ms);
    ctl_field(label, "%s", text);
}


void
ctl_json(json_t *json)
{
    char *text;

    text = json_dumps(json, JSON_INDENT(2) | JSON_REAL_PRECISION(6));
    json_decref(json);

    if (text == NULL) {
        output_errno = ENOMEM;
        return;
    }

    put_json(text);
    putchar('\n');
    wipe_free(text);
}


/* jansson escapes what JSON asks for; a terminal asks for more. */
static void
put_json(const char *text)
{
    size_t    len;
    wchar_t   c;
    mbstate_t state;

    for (; *text; text += len) {
        memset(&state, 0, sizeof(state));
        len = mbrtowc(&c, text, strlen(text), &state);

        if (len == (size_t) -1 || len == (size_t) -2) {
            len = 1;
            c = L' ';
        }

        if (steers(c) && c != L'\n') {
            printf("\\u%04x", (unsigned) c);

        } else {
            fwrite(text, 1, len, stdout);
        }
    }
}


void
ctl_array_begin(ctl_array_t *array)
{
    array->count = 0;
}


void
ctl_array_item(ctl_array_t *array, json_t *item)
{
    char *text;

    text = json_dumps(item, JSON_COMPACT | JSON_REAL_PRECISION(6));
    json_decref(item);

    if (text == NULL) {
        output_errno = ENOMEM;
        return;
    }

    fputs(array->count++ ? ",\n" : "[\n", stdout);
    put_json(text);
    wipe_free(text);
}


void
ctl_array_end(ctl_array_t *array)
{
    fputs(array->count ? "\n]\n" : "[]\n", stdout);
}


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
    if (fflush(stdout) == EOF && output_errno == 0) {
        output_errno = errno;
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

    wipe_free(line);
    json_decref(error);
}


json_t *
ctl_json_text(const char *text)
{
    char   *escaped;
    FILE   *file;
    json_t *json;
    size_t  len;

    json = json_string(text);

    if (json == NULL && (file = open_memstream(&escaped, &len)) != NULL) {
        ctl_put(file, text);

        if (fclose(file) == 0) {
            json = json_string(escaped);
        }

        free(escaped);
    }

    return json;
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


json_t *
ctl_json_time(uint64_t ms)
{
    char text[APIKEY_TIME_SIZE];

    apikey_time_show_ms(text, ms);

    return json_string(text);
}


json_t *
ctl_words_json(const char *words)
{
    size_t  len;
    json_t *array;

    array = json_array();

    for (words += strspn(words, " "); *words; words += strspn(words, " ")) {
        len = strcspn(words, " ");
        json_array_append_new(array, json_stringn(words, len));
        words += len;
    }

    return array;
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
          "for a new store: apikeyctl init; into one that has lost it: apikeyctl library" },
        { "NOINIT", "a new store is made by: apikeyctl init" },
        { "INITED", "nothing was changed; to load the function library into "
                    "a store that is initialised: apikeyctl library" },
        { "NOKEY", "the ids of all keys: apikeyctl list" },
        { "NOMEMBER", "create it first: apikeyctl member add ID --name NAME "
                      "--tenant TENANT" },
        { "PEPPER", "compare: apikeyctl status; the pepper file must be the "
                    "one that the edges have" },
        { "NOPERM", "give this Redis user the rights in docs/store.md, "
                    "\"Access\", or name another with --user" },
        { "NOAUTH", "name a user with --user and --password-file" },
        { "WRONGPASS", "check --user and --password-file, or what --store "
                       "holds" },
        { "READONLY", "this is a replica: name the master with --store" },
        { "LOADING", "Redis has just been started: try again in a moment" },
        { "OOM", "Redis has no memory left for this; disable, enable and "
                 "revoke still work" },
    };

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
