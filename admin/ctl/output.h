/*
 * Copyright (C) 2026 the ngx_http_apikey_module authors
 *
 * What goes to the terminal, or to a program: text that cannot steer a
 * terminal, JSON, errors, and whether it was really written.
 */

#ifndef APIKEY_CTL_OUTPUT_H
#define APIKEY_CTL_OUTPUT_H

#include <stdint.h>
#include <stdio.h>

#include <jansson.h>

#include "ctl.h"

/* Once, before anything is written; text is UTF-8 from here on. */
void ctl_output_begin(void);

/*
 * Writes out what is buffered and wipes the buffer.  Returns 0, or -1 with
 * errno if anything that was ever written to stdout did not get there.
 */
int ctl_output_flush(void);

/*
 * Writes text with control characters, direction marks and what is not UTF-8
 * escaped.  Returns the columns it takes; writes nothing if file is NULL.
 */
size_t ctl_put(FILE *file, const char *text);

/* Colours, where stdout is a terminal and NO_COLOR is not set; else "". */
#define CTL_RED    "31"
#define CTL_GREEN  "32"
#define CTL_YELLOW "33"
#define CTL_BOLD   "1"

void ctl_colour(const char *colour); /* begins; NULL: none */
void ctl_colour_end(const char *colour);

/* "Label      text", as the lines of one thing's view. */
void ctl_field(const char *label, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* A field that is a moment, in milliseconds since 1970. */
void ctl_field_time(const char *label, uint64_t ms);

/* Writes a document, indented, and gives it up.  NULL is an error that
   ctl_output_flush() tells. */
void ctl_json(json_t *json);

/* A string; of one that is not UTF-8, as ctl_put() shows it. */
json_t *ctl_json_text(const char *text);

/* An array of the words of a text, which blanks part. */
json_t *ctl_words_json(const char *words);

/* RFC 3339 with milliseconds, of milliseconds since 1970. */
json_t *ctl_json_time(uint64_t ms);

/* A JSON array, one item a line, as long as it takes. */
typedef struct {
    size_t count;
} ctl_array_t;

void ctl_array_begin(ctl_array_t *array);
void ctl_array_item(ctl_array_t *array, json_t *item); /* gives it up */
void ctl_array_end(ctl_array_t *array);

/*
 * Says on stderr what went wrong and, if hint is not NULL, what to do; with
 * --json as {"error":{"name","text","hint","exit"}} in one line.  name is the
 * store's name of it, or "".  Returns the exit code.
 */
int ctl_fail(ctl_t *ctl, ctl_exit_t code, const char *name, const char *hint,
             const char *format, ...) __attribute__((format(printf, 5, 6)));

/*
 * The same for the error in ctl->ops.  subject is what it happened to, or
 * NULL; hint is for an outcome that is not known, or NULL.
 */
int ctl_fail_ops(ctl_t *ctl, const char *subject, const char *hint);

/* The exit code for the error in ctl->ops. */
ctl_exit_t ctl_exit_of(const apikey_ops_t *ops);

#endif /* APIKEY_CTL_OUTPUT_H */
