/*
 * Copyright (C) 2026 the ngx_http_apikey_module authors
 *
 * What goes to the terminal: text that cannot steer it, fields, colours; and
 * whether it was really written.
 */

#ifndef APIKEY_CTL_OUTPUT_H
#define APIKEY_CTL_OUTPUT_H

#include <stdint.h>
#include <stdio.h>
#include <wchar.h>

/* Once, before anything is written; text is UTF-8 from here on. */
void ctl_output_begin(void);

/*
 * Writes out what is buffered and wipes the buffer.  Returns 0, or -1 with
 * errno if anything that was ever written to stdout did not get there.
 */
int ctl_output_flush(void);

/* Passes on what is buffered.  Returns 0, or -1 if it does not get there any
   more. */
int ctl_output_pass(void);

/* Notes that something did not get there, and why (an errno). */
void ctl_output_failed(int error);

/*
 * Writes text with control characters, direction marks and what is not UTF-8
 * escaped.  Returns the columns it takes; writes nothing if file is NULL.
 */
size_t ctl_put(FILE *file, const char *text);

/* 1 for control characters and what changes the order or the line of others */
int ctl_steers(wchar_t c);

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

#endif /* APIKEY_CTL_OUTPUT_H */
