/*
 * Copyright (C) 2026 the ngx_http_apikey_module authors
 *
 * Rows and columns for people, page after page: columns are as wide as the
 * widest cell so far.
 */

#ifndef APIKEY_CTL_TABLE_H
#define APIKEY_CTL_TABLE_H

#include <stddef.h>

#define CTL_COLUMNS_MAX 10

typedef struct {
    char       *text;
    const char *colour;
} ctl_cell_t;

typedef struct {
    size_t      columns;
    size_t      width[CTL_COLUMNS_MAX];
    ctl_cell_t *cells; /* row by row */
    size_t      count;
    size_t      room;
    int         failed; /* out of memory: rows are missing */
} ctl_table_t;

/* heads has `columns` words; they are the first row. */
void
ctl_table_begin(ctl_table_t *table, size_t columns, const char *const *heads);

/* The next cell; copies text.  colour as in output.h, or NULL. */
void ctl_table_cell(ctl_table_t *table, const char *colour, const char *text);

/* Prints the rows there are; more may follow. */
void ctl_table_flush(ctl_table_t *table);

/* Prints, if show, and frees.  Returns 0, or -1 if rows are missing. */
int ctl_table_end(ctl_table_t *table, int show);

#endif /* APIKEY_CTL_TABLE_H */
