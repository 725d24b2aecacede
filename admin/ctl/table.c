/*
 * Copyright (C) 2026 the ngx_http_apikey_module authors
 *
 * Rows and columns for people; see table.h.
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "output.h"
#include "table.h"


static void table_empty(ctl_table_t *table, int show);
static void table_print(const ctl_cell_t *cell, size_t width, int last);


void
ctl_table_begin(ctl_table_t *table, size_t columns, const char *const *heads)
{
    size_t i;

    memset(table, 0, sizeof(*table));
    table->columns = columns;

    for (i = 0; i < columns; i++) {
        ctl_table_cell(table, CTL_BOLD, heads[i]);
    }
}


void
ctl_table_cell(ctl_table_t *table, const char *colour, const char *text)
{
    size_t      width, *widest;
    ctl_cell_t *cells;

    if (table->count == table->room) {
        cells = realloc(table->cells,
                        (table->room + 1024) * sizeof(*table->cells));
        if (cells == NULL) {
            table->failed = 1;
            return;
        }

        table->cells = cells;
        table->room += 1024;
    }

    table->cells[table->count].text = strdup(text);
    table->cells[table->count].colour = colour;

    if (table->cells[table->count].text == NULL) {
        table->failed = 1;
        return;
    }

    width = ctl_put(NULL, text);
    widest = &table->width[table->count % table->columns];
    *widest = width > *widest ? width : *widest;

    table->count++;
}


void
ctl_table_flush(ctl_table_t *table)
{
    table_empty(table, 1);
}


static void
table_empty(ctl_table_t *table, int show)
{
    size_t i, column;

    for (i = 0; i < table->count; i++) {
        column = i % table->columns;

        if (show) {
            table_print(&table->cells[i], table->width[column],
                        column + 1 == table->columns);
        }

        free(table->cells[i].text);
    }

    table->count = 0;
}


static void
table_print(const ctl_cell_t *cell, size_t width, int last)
{
    size_t columns;

    ctl_colour(cell->colour);
    columns = ctl_put(stdout, cell->text);
    ctl_colour_end(cell->colour);

    if (last) {
        putchar('\n');
        return;
    }

    printf("%*s", (int) (width - columns + 2), "");
}


int
ctl_table_end(ctl_table_t *table, int show)
{
    table_empty(table, show);
    free(table->cells);
    table->cells = NULL;

    return table->failed ? -1 : 0;
}
