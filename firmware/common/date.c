/* The calendar. */
#include "format.h"

static void two_digits(struct line *line, u64 value)
{
    line_char(line, (char)('0' + value / 10 % 10));
    line_char(line, (char)('0' + value % 10));
}

void line_date(struct line *line, u64 seconds)
{
    /* Days since 0000-03-01; a 400-year era has 146097, a year begins in March. */
    u64 days = seconds / 86400 + 719468, rest = seconds % 86400;
    u64 era = days / 146097, day = days % 146097;
    u64 year = (day - day / 1460 + day / 36524 - day / 146096) / 365;
    u64 of_year = day - (365 * year + year / 4 - year / 100);
    u64 march = (5 * of_year + 2) / 153;
    u64 month = march < 10 ? march + 3 : march - 9;

    line_decimal(line, year + era * 400 + (month <= 2));
    line_char(line, '-');
    two_digits(line, month);
    line_char(line, '-');
    two_digits(line, of_year - (153 * march + 2) / 5 + 1);
    line_char(line, ' ');
    two_digits(line, rest / 3600);
    line_char(line, ':');
    two_digits(line, rest / 60 % 60);
    line_char(line, ':');
    two_digits(line, rest % 60);
}
