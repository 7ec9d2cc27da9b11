/* The console. */
#include "console.h"

#include <sun4v/hcall.h>

#include "../common/format.h"
#include "clock.h"
#include "lock.h"
#include "task.h"

#define BUFFER_BYTES 16384 /* a power of two */
#define LINE_BYTES 200
#define RETRY_MS 1

static struct lock console_lock;
static char buffer[BUFFER_BYTES] ALIGNED(64);
static u64 written, taken; /* bytes, ever growing */
static u64 dropped;
static struct task console_task;

static int queue(const struct line *line)
{
    if (BUFFER_BYTES - (written - taken) < line->length)
        return 0;
    for (u64 i = 0; i < line->length; i++)
        buffer[written++ % BUFFER_BYTES] = line->text[i];
    return 1;
}

void console_print(const char *format, ...)
{
    char text[LINE_BYTES];
    struct line line = line_in(text, sizeof text);
    va_list args;

    va_start(args, format);
    line_vformat(&line, format, args);
    va_end(args);
    lock_take(&console_lock);
    if (dropped) {
        char note[64];
        struct line gap = line_in(note, sizeof note);
        line_format(&gap, "console: %u lines dropped\n", dropped);
        if (queue(&gap))
            dropped = 0;
    }
    if (!queue(&line))
        dropped++;
    lock_free(&console_lock);
    task_wake(&console_task);
}

/* Writes a stretch of the buffer; false when the console is busy. */
static int write_some(void)
{
    while (taken != written) {
        u64 at = taken % BUFFER_BYTES;
        u64 bytes = written - taken, done;

        if (bytes > BUFFER_BYTES - at)
            bytes = BUFFER_BYTES - at;
        u64 status = hv_cons_write(buffer + at, bytes, &done);
        if (status == HV_EWOULDBLOCK)
            return 0;
        /* Unconfigured: "all written", with a count of none. */
        taken += status == HV_EOK && done && done < bytes ? done : bytes;
    }
    return 1;
}

static void console_run(struct task *task)
{
    lock_take(&console_lock);
    int all = write_some();
    lock_free(&console_lock);
    if (!all)
        task_wake_at(task, stick() + ticks_of_ms(RETRY_MS));
}

void console_print_now(const char *text, u64 bytes)
{
    while (!write_some())
        pause_spin();
    while (bytes) {
        u64 status = hv_cons_putchar((u8)*text);
        if (status == HV_EWOULDBLOCK) {
            pause_spin();
            continue;
        }
        text++;
        bytes--;
    }
}

void console_start(void)
{
    task_start(&console_task, "console", console_run, 0, TASK_CPU_CONSOLE);
}
