/* Text into a bounded buffer. */
#include "format.h"

void line_char(struct line *line, char c)
{
    if (line->length < line->room)
        line->text[line->length++] = c;
}

void line_text(struct line *line, const char *text)
{
    while (*text)
        line_char(line, *text++);
}

static void line_digits(struct line *line, u64 value, u64 base, int at_least)
{
    char digits[24];
    int n = 0;

    do {
        digits[n++] = "0123456789abcdef"[value % base];
        value /= base;
    } while (value || n < at_least);
    while (n)
        line_char(line, digits[--n]);
}

void line_decimal(struct line *line, u64 value)
{
    line_digits(line, value, 10, 1);
}

void line_hex(struct line *line, u64 value)
{
    line_digits(line, value, 16, 1);
}

static void line_address(struct line *line, u64 ip)
{
    for (int shift = 24; shift >= 0; shift -= 8) {
        line_decimal(line, ip >> shift & 0xff);
        if (shift)
            line_char(line, '.');
    }
}

void line_vformat(struct line *line, const char *format, va_list args)
{
    for (; *format; format++) {
        if (*format != '%') {
            line_char(line, *format);
            continue;
        }
        switch (*++format) {
        case 's':
            line_text(line, va_arg(args, const char *));
            break;
        case 'u':
            line_decimal(line, va_arg(args, u64));
            break;
        case 'd': {
            s64 value = va_arg(args, s64);
            if (value < 0)
                line_char(line, '-');
            line_decimal(line, value < 0 ? -(u64)value : (u64)value);
            break;
        }
        case 'x':
            line_hex(line, va_arg(args, u64));
            break;
        case '3':
            line_digits(line, va_arg(args, u64), 10, 3);
            break;
        case 'c':
            line_char(line, (char)va_arg(args, int));
            break;
        case 'i':
            line_address(line, va_arg(args, u64));
            break;
        case '%':
            line_char(line, '%');
            break;
        default:
            return;
        }
    }
}

void line_format(struct line *line, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    line_vformat(line, format, args);
    va_end(args);
}
