/*
 * Copyright (C) 2026 the ngx_http_apikey_module authors
 *
 * What goes to a program: JSON on stdout, which cannot steer a terminal
 * either, and which is wiped from memory behind it.
 */

#ifndef APIKEY_CTL_JSON_H
#define APIKEY_CTL_JSON_H

#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

/* Once, before any JSON is made: what jansson frees, it wipes. */
void ctl_json_begin(void);

/* Writes a document, indented, and gives it up.  NULL is an error that
   ctl_output_flush() tells. */
void ctl_json(json_t *json);

/* A string; of one that is not UTF-8, as ctl_put() shows it. */
json_t *ctl_json_text(const char *text);

/* An array of the words of a text, which blanks part. */
json_t *ctl_words_json(const char *words);

/* RFC 3339 with milliseconds, of milliseconds since 1970. */
json_t *ctl_json_time(uint64_t ms);

/* Writes a document in one line, and gives it up. */
void ctl_json_line(json_t *json);

/* A JSON array, one item a line, as long as it takes. */
typedef struct {
    size_t count;
} ctl_array_t;

void ctl_array_begin(ctl_array_t *array);
void ctl_array_item(ctl_array_t *array, json_t *item); /* gives it up */
void ctl_array_end(ctl_array_t *array);

#endif /* APIKEY_CTL_JSON_H */
