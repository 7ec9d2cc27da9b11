/* Says what a guest sees of its domain, and ends it. */
#include <sun4v/hcall.h>

#include "../common/format.h"

static void print(const struct line *line)
{
    usize done = 0;

    while (done < line->length) {
        u64 written;
        u64 status = hv_cons_write(line->text + done, line->length - done, &written);
        if (status == HV_EOK)
            done += written;
        else if (status != HV_EWOULDBLOCK)
            break;
    }
    /* What cons_write refused for another reason goes out one by one. */
    while (done < line->length)
        if (hv_cons_putchar((u8)line->text[done]) != HV_EWOULDBLOCK)
            done++;
}

void bare_unexpected(u64 tt, u64 tpc, u64 tl)
{
    char text[96];
    struct line line = line_in(text, sizeof text);

    line_format(&line, "hello: unexpected trap tt=%x tpc=%x tl=%u\n", tt, tpc, tl);
    print(&line);
    hv_mach_exit(2);
}

void bare_main(u64 memory_base, u64 memory_bytes)
{
    char text[160];
    struct line line = line_in(text, sizeof text);
    u64 core = hv_api_set_version(HV_GROUP_CORE, 1, 1);
    u64 md_bytes;
    u64 probe = hv_mach_desc(0, 0, &md_bytes);

    line_format(&line, "hello: %u MB of memory at 0x%x, vcpu %u, machine description %u bytes\n",
                memory_bytes >> 20, memory_base, hv_cpu_myid(), md_bytes);
    print(&line);
    hv_mach_exit(core == HV_EOK && probe == HV_EINVAL ? 0 : 1);
}
