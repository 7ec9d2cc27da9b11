/* Time of day, and the program that tells it every two seconds. */
#include "clock.h"

#include <sun4v/hcall.h>

#include "console.h"
#include "task.h"

u64 stick_hz = 1165379264;
u64 boot_stick;

u64 time_of_day(void)
{
    u64 seconds;

    return hv_tod_get(&seconds) == HV_EOK ? seconds : 0;
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
