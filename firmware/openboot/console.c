/* The domain's console. */
#include "console.h"

#include <sun4v/arch.h>
#include <sun4v/hcall.h>

#include "../common/bytes.h"
#include "../common/format.h"
#include "cpu.h"

/* Between two looks at the keyboard. */
#define LOOK_TICKS (1165000000ul / 100)

/* The hypervisor wants a real address, which we know of our own memory only. */
static char buffer[512] ALIGNED(64);

void console_write(const char *bytes, usize count)
{
    while (count) {
        usize part = count < sizeof(buffer) ? count : sizeof(buffer), at = 0;
        memcpy(buffer, bytes, part);
        while (at < part) {
            u64 written = 0, status = hv_cons_write(buffer + at, part - at, &written);
            if (status == HV_EOK && written && written <= part - at)
                at += written;
            else if (status != HV_EWOULDBLOCK)
                return; /* there is no console */
        }
        bytes += part;
        count -= part;
    }
}

void console_text(const char *text)
{
    for (const char *from = text;; text++) {
        if (*text && *text != '\n')
            continue;
        console_write(from, (usize)(text - from));
        if (!*text)
            return;
        console_write("\r\n", 2);
        from = text + 1;
    }
}

void console_print(const char *format, ...)
{
    char text[512];
    struct line line = line_in(text, sizeof(text) - 1);
    va_list args;

    va_start(args, format);
    line_vformat(&line, format, args);
    va_end(args);
    text[line.length] = 0;
    console_text(text);
}

int console_key(void)
{
    s64 c;

    if (hv_cons_getchar(&c) != HV_EOK)
        return KEY_NONE;
    return c == -1 ? KEY_BREAK : c == -2 ? KEY_HANGUP : (int)(c & 0xff);
}

int console_wait(void)
{
    int key;
    u64 compare, softint, began = stick_read();

    __asm__ volatile("rd %%asr25, %0" : "=r"(compare));
    __asm__ volatile("rd %%softint, %0" : "=r"(softint));
    while ((key = console_key()) == KEY_NONE) {
        /* A match of the stick ends the yield, whether interrupts are on or not. */
        __asm__ volatile("wr %0, 0, %%asr25" ::"r"(stick_read() + LOOK_TICKS));
        hv_cpu_yield();
        __asm__ volatile("wr %0, 0, %%clear_softint" ::"r"((u64)SOFTINT_STICK));
    }
    /* The comparison is a client's once there is one. What it has waited for may have come
     * before us or while we waited, and does not come again: then it is due now. */
    __asm__ volatile("wr %0, 0, %%asr25" ::"r"(compare));
    if (softint & SOFTINT_STICK ||
        (!(compare & STICK_CMPR_DISABLE) && compare > began && compare <= stick_read()))
        __asm__ volatile("wr %0, 0, %%set_softint" ::"r"((u64)SOFTINT_STICK));
    return key;
}
