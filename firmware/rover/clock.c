/* Time of day, and the program that tells it every two seconds. */
#include "clock.h"

#include <sun4v/hcall.h>

#include "../common/format.h"
#include "console.h"
#include "task.h"

u64 stick_hz = 1165379264;
u64 boot_stick;

u64 time_of_day(void)
{
    u64 seconds;

    return hv_tod_get(&seconds) == HV_EOK ? seconds : 0;
}

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

#define CLOCK_PERIOD_MS 2000

static struct task clock_task;
static u64 clock_count, clock_next;

static void clock_run(struct task *task)
{
    u64 now = stick();

    if (now >= clock_next) {
        u64 up = uptime_ms();
        console_print("clock: %u %u %u.%3\n", ++clock_count, time_of_day(), up / 1000, up % 1000);
        clock_next += ticks_of_ms(CLOCK_PERIOD_MS);
        if (clock_next <= now)
            clock_next = now + ticks_of_ms(CLOCK_PERIOD_MS);
    }
    task_wake_at(task, clock_next);
}

void clock_start(void)
{
    clock_next = stick() + ticks_of_ms(CLOCK_PERIOD_MS);
    task_start(&clock_task, "clock", clock_run, 0, TASK_CPU_CLOCK);
}
