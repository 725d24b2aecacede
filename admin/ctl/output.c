/*
 * Copyright (C) 2026 the ngx_http_apikey_module authors
 *
 * What goes to the terminal; see output.h.
 */

#include <errno.h>
#include <locale.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <sodium.h>

#include "admin/ops_time.h"
#include "output.h"

#define LABEL_WIDTH 13


static size_t put_char(FILE *file, const char *text, size_t *len);


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
}


int
ctl_output_flush(void)
{
    if (fflush(stdout) == EOF) {
        ctl_output_failed(errno);
    }

    if (ferror(stdout)) {
        ctl_output_failed(EIO);
    }

    sodium_memzero(output_buffer, sizeof(output_buffer));

    if (output_errno) {
        errno = output_errno;
        return -1;
    }

    return 0;
}


int
ctl_output_pass(void)
{
    if (fflush(stdout) == EOF) {
        ctl_output_failed(errno);
    }

    return output_errno ? -1 : 0;
}


void
ctl_output_failed(int error)
{
    if (output_errno == 0) {
        output_errno = error;
    }
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

    } else if (ctl_steers(c)) {
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


int
ctl_steers(wchar_t c)
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
