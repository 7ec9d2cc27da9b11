/*
 * Says back what is typed at its console, and does as it is told: a guest to try
 * consoles with.
 *
 *   text, then return   the text again, as `echo: TEXT`
 *   !exit N             ends the domain with code N
 *   !reset              starts it again
 *   !flood N            writes N numbered lines
 *   !sleep              reads nothing for twenty milliseconds
 *   a break, a hang-up  says so
 */
#include <sun4v/arch.h>
#include <sun4v/hcall.h>

#include "../common/format.h"

/* Where the console's interrupt comes from: the handle of virtual devices, its number. */
#define VIRTUAL_DEVICES 0x100ul
#define CONSOLE_INO 0x11ul
/* The queue of device mondos, for cpu_qconf. */
#define DEV_MONDO_QUEUE 0x3dul
#define ENTRIES 16ul

static char mondos[ENTRIES * 64] __attribute__((aligned(ENTRIES * 64)));
static u64 console;

/* Ticks of %stick in twenty milliseconds. */
#define SLEEP_TICKS (1165379275ul / 50)

static u64 stick(void)
{
    u64 now;
    __asm__ volatile("rd %%stick, %0" : "=r"(now));
    return now;
}

static void print(const struct line *line)
{
    usize done = 0;

    while (done < line->length) {
        u64 written = 0;
        u64 status = hv_cons_write(line->text + done, line->length - done, &written);
        if (status == HV_EOK)
            done += written;
        else if (status != HV_EWOULDBLOCK)
            hv_mach_exit(3);
    }
}

/* Lets the console interrupt: not taken as a trap, it ends a yield. */
static void listen(void)
{
    struct hv_ret sysino =
        hv_call(HV_INTR_DEVINO_TO_SYSINO, VIRTUAL_DEVICES, CONSOLE_INO, 0, 0, 0);

    console = sysino.ret1;
    if (hv_cpu_qconf(DEV_MONDO_QUEUE, mondos, ENTRIES) != HV_EOK || sysino.status != HV_EOK)
        hv_mach_exit(4);
    hv_call(HV_INTR_SETTARGET, console, hv_cpu_myid(), 0, 0, 0);
    hv_call(HV_INTR_SETSTATE, console, 0, 0, 0, 0);
    hv_call(HV_INTR_SETENABLED, console, 1, 0, 0, 0);
}

/* Waits for the console, and lets it interrupt again. */
static void wait(void)
{
    u64 tail;

    hv_cpu_yield();
    __asm__ volatile("ldxa [%1] %2, %0"
                     : "=r"(tail)
                     : "r"(QUEUE_DEV_MONDO_HEAD + 8ul), "i"(ASI_QUEUE));
    __asm__ volatile("stxa %0, [%1] %2"
                     :
                     : "r"(tail), "r"(QUEUE_DEV_MONDO_HEAD + 0ul), "i"(ASI_QUEUE)
                     : "memory");
    hv_call(HV_INTR_SETSTATE, console, 0, 0, 0, 0);
}

static void say(const char *text)
{
    char room[96];
    struct line line = line_in(room, sizeof room);

    line_format(&line, "%s", text);
    print(&line);
}

void bare_unexpected(u64 tt, u64 tpc, u64 tl)
{
    char text[96];
    struct line line = line_in(text, sizeof text);

    line_format(&line, "echo: unexpected trap tt=%x tpc=%x tl=%u\r\n", tt, tpc, tl);
    print(&line);
    hv_mach_exit(2);
}

/* The number behind `word` in `text`; false if it does not begin with it. */
static int number_after(const char *text, const char *word, u64 *number)
{
    while (*word)
        if (*text++ != *word++)
            return 0;
    *number = 0;
    while (*text >= '0' && *text <= '9')
        *number = *number * 10 + (u64)(*text++ - '0');
    return 1;
}

static void obey(const char *text)
{
    char room[160];
    struct line line = line_in(room, sizeof room);
    u64 number, n;

    if (number_after(text, "!exit ", &number)) {
        say("echo: bye\r\n");
        hv_mach_exit(number);
    }
    if (number_after(text, "!reset", &number)) {
        say("echo: again\r\n");
        hv_call(HV_MACH_SIR, 0, 0, 0, 0, 0);
    }
    if (number_after(text, "!flood ", &number)) {
        for (n = 0; n < number; n++) {
            line = line_in(room, sizeof room);
            line_format(&line, "echo: line %u of %u\r\n", n + 1, number);
            print(&line);
        }
        return;
    }
    if (number_after(text, "!sleep", &number)) {
        u64 begin = stick();
        say("echo: asleep\r\n");
        while (stick() - begin < SLEEP_TICKS)
            ;
        say("echo: awake\r\n");
        return;
    }
    line_format(&line, "echo: %s\r\n", text);
    print(&line);
}

void bare_main(u64 memory_base, u64 memory_bytes)
{
    char text[128];
    usize length = 0;
    struct line line;

    hv_api_set_version(HV_GROUP_CORE, 1, 1);
    hv_api_set_version(HV_GROUP_INTR, 1, 0);
    listen();
    line = line_in(text, sizeof text);
    line_format(&line, "echo: %u MB, vcpu %u\r\n", memory_bytes >> 20, hv_cpu_myid());
    print(&line);
    for (;;) {
        s64 got;
        if (hv_cons_getchar(&got) != HV_EOK) {
            wait();
            continue;
        }
        if (got == -1) {
            say("echo: break\r\n");
        } else if (got == -2) {
            say("echo: hang-up\r\n");
        } else if (got == '\r' || got == '\n') {
            text[length] = 0;
            length = 0;
            obey(text);
        } else if (length < sizeof text - 1) {
            text[length++] = (char)got;
        }
    }
}
