/* The memory check. */
#include "memcheck.h"

#include "../common/format.h"
#include "block.h"
#include "clock.h"
#include "console.h"
#include "fill.h"
#include "lock.h"
#include "task.h"

/* So many pages at a time, and so often. */
#define STEP_PAGES 16
#define STEP_MS 25
#define TELL_MS 10000

static struct task memcheck_task;
static u64 next_unit, passes, pages_ok, pages_bad, tell_at;

void memcheck_describe(struct line *line)
{
    if (!load32(&fill.done))
        line_text(line, "memcheck waits for the fill\r\n");
    else
        line_format(line, "memcheck %s %u, %u BAD, %u passes over %u pages\r\n",
                    pages_bad ? "BAD" : "ok", pages_ok, pages_bad, passes, fill.units);
}

static void check(u64 unit)
{
    if (page_checksum(fill_sample(unit)) == fill.sums[unit]) {
        pages_ok++;
        return;
    }
    pages_bad++;
    console_print("memcheck BAD page at 0x%x\n", (u64)fill_sample(unit));
}

static void memcheck_run(struct task *task)
{
    u64 now = stick();

    task_wake_at(task, now + ticks_of_ms(STEP_MS));
    if (!load32(&fill.done) || !fill.units)
        return;
    for (u64 i = 0; i < STEP_PAGES; i++) {
        check(next_unit);
        if (++next_unit == fill.units) {
            next_unit = 0;
            passes++;
        }
    }
    if (now >= tell_at) {
        tell_at = now + ticks_of_ms(TELL_MS);
        if (!pages_bad)
            console_print("memcheck ok %u\n", pages_ok);
        else
            console_print("memcheck BAD %u pages, ok %u\n", pages_bad, pages_ok);
    }
}

void memcheck_start(void)
{
    task_start(&memcheck_task, "memcheck", memcheck_run, 0, TASK_CPU_MEMCHECK);
}
