/*
 * Text into a bounded buffer.
 *
 * A `struct line` never overflows: what does not fit is dropped. Directives of
 * line_format: %s string, %u u64 decimal, %d s64 decimal, %x u64 hexadecimal
 * without leading zeros, %3 u64 as three digits with leading zeros, %c
 * character, %i an IPv4 address (u64), %% itself.
 */
#ifndef COMMON_FORMAT_H
#define COMMON_FORMAT_H

#include <stdarg.h>
#include <sun4v/types.h>

struct line {
    char *text;
    usize length;
    usize room;
};

static inline struct line line_in(char *buffer, usize bytes)
{
    return (struct line){buffer, 0, bytes};
}

void line_char(struct line *line, char c);
void line_text(struct line *line, const char *text);
void line_decimal(struct line *line, u64 value);
void line_hex(struct line *line, u64 value);
/* Appends "2011-06-17 10:04:16" for seconds since 1970. */
void line_date(struct line *line, u64 seconds);
void line_vformat(struct line *line, const char *format, va_list args);
void line_format(struct line *line, const char *format, ...);

#endif
