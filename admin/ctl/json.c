/*
 * Copyright (C) 2026 the ngx_http_apikey_module authors
 *
 * What goes to a program; see json.h.
 */

#include <errno.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "admin/ops_time.h"
#include "json.h"
#include "output.h"

#define REALS JSON_REAL_PRECISION(6)


static void put_json(const char *text);
static void wipe_free(void *p);


void
ctl_json_begin(void)
{
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


void
ctl_json(json_t *json)
{
    char *text;

    text = json_dumps(json, JSON_INDENT(2) | REALS);
    json_decref(json);

    if (text == NULL) {
        ctl_output_failed(ENOMEM);
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

        if (ctl_steers(c) && c != L'\n') {
            printf("\\u%04x", (unsigned) c);

        } else {
            fwrite(text, 1, len, stdout);
        }
    }
}


void
ctl_json_line(json_t *json)
{
    char *text;

    text = json_dumps(json, JSON_COMPACT | REALS);
    json_decref(json);

    if (text == NULL) {
        ctl_output_failed(ENOMEM);
        return;
    }

    put_json(text);
    putchar('\n');
    wipe_free(text);
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

    text = json_dumps(item, JSON_COMPACT | REALS);
    json_decref(item);

    if (text == NULL) {
        ctl_output_failed(ENOMEM);
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


json_t *
ctl_json_time(uint64_t ms)
{
    char text[APIKEY_TIME_SIZE];

    apikey_time_show_ms(text, ms);

    return json_string(text);
}
