/* The end. */
#include "panic.h"

#include <sun4v/hcall.h>

#include "../common/format.h"
#include "console.h"
#include "cpu.h"

static void NORETURN leave(const struct line *line, u64 code)
{
    console_print_now(line->text, line->length);
    hv_mach_exit(code);
}

void NORETURN panic(const char *format, ...)
{
    char text[160];
    struct line line = line_in(text, sizeof text);
    va_list args;

    line_text(&line, "rover: panic: ");
    va_start(args, format);
    line_vformat(&line, format, args);
    va_end(args);
    line_char(&line, '\n');
    leave(&line, EXIT_PANIC);
}

void NORETURN panic_trap(u64 tt, u64 tpc, u64 tl, u64 watchdog, u64 address)
{
    char text[160];
    struct line line = line_in(text, sizeof text);
    struct cpu *cpu = cpu_self();

    line_format(&line, "rover: %s tt=%x tpc=%x tl=%u vcpu=%u address=%x\n",
                watchdog ? "watchdog" : "unexpected trap", tt, tpc, tl, cpu ? cpu->id : 0,
                address);
    leave(&line, EXIT_TRAP);
}
