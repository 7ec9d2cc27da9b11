/*
 * The guest firmware: from the hypervisor's start of the domain to its prompt or
 * its client.
 */
#include <sun4v/hcall.h>

#include "../common/bytes.h"
#include "client.h"
#include "console.h"
#include "cpu.h"
#include "describe.h"
#include "heap.h"
#include "layout.h"
#include "map.h"
#include "memory.h"
#include "payload.h"
#include "prompt.h"
#include "ram.h"

u64 image_real;
/* Where the domain began. */
u64 boot_cpu;

static void NORETURN give_up(const char *why)
{
    console_print("openboot: %s\n", why);
    hv_mach_exit(1);
}

/* What clients rely on though they do not ask for it, and what the firmware uses. */
static void versions(void)
{
    static const u64 groups[] = {HV_GROUP_CORE, HV_GROUP_INTR, HV_GROUP_SOFT_STATE, HV_GROUP_LDC,
                                 HV_GROUP_NCS};

    for (u64 i = 0; i < COUNT_OF(groups); i++)
        hv_api_set_version(groups[i], 1, groups[i] == HV_GROUP_CORE);
}

static void memory(u64 base)
{
    u64 block = MD_NONE, from, bytes;

    while ((block = md_next(&md, block, "mblock")) != MD_NONE)
        if (md_value(&md, block, "base", &from) && md_value(&md, block, "size", &bytes))
            ram_add(from, bytes);
    if (!ram_claim_at(base, FIRMWARE_BYTES))
        give_up("the domain's memory does not begin with 4 MB for the firmware");
}

/* What the operator has put behind the firmware goes to the end of memory, out of the way. */
static void find_payload(u64 base, u64 bytes)
{
    const struct payload_header *header = ram_window(base + FIRMWARE_BYTES);
    u64 room = bytes - FIRMWARE_BYTES, total, to;

    if (bytes < FIRMWARE_BYTES + sizeof(*header) || memcmp(header->magic, PAYLOAD_MAGIC, 8))
        return;
    total = header->bytes;
    if (total < sizeof(*header) || total > room)
        give_up("what was put beside the firmware does not fit into memory");
    struct payload_part parts[3] = {header->kernel, header->initrd, header->arguments};
    for (u64 i = 0; i < 3; i++)
        if (parts[i].offset > total || parts[i].bytes > total - parts[i].offset)
            give_up("what was put beside the firmware is damaged");
    to = ram_claim(total, RAM_PAGE);
    if (to == RAM_NONE)
        give_up("what was put beside the firmware does not fit into memory");
    memmove(ram_window(to), header, total);
    payload.kernel = (struct image){to + parts[0].offset, parts[0].bytes};
    payload.initrd = (struct image){to + parts[1].offset, parts[1].bytes};
    char *text = heap_take(parts[2].bytes + 1);
    if (text) {
        memcpy(text, ram_window(to + parts[2].offset), parts[2].bytes);
        payload.arguments = text;
    }
}

void NORETURN firmware_main(u64 base, u64 bytes)
{
    const char *why;

    image_real = base;
    boot_cpu = cpu_self();
    heap_init();
    versions();
    why = md_read();
    if (why)
        give_up(why);
    memory(base);
    map_init();
    find_payload(base, bytes);
    why = describe();
    if (why)
        give_up(why);
    variables_init();
    prompt_boot();
}

/* A trap that nobody expects, before a client has its own traps. */
void NORETURN trap_report(u64 type, u64 pc, u64 level, u64 address)
{
    u64 self = cpu_self();

    console_print("\nUnexpected trap %x at %x, level %u, address %x, vCPU %u\n", type, pc, level,
                  address, self);
    while (self != boot_cpu)
        hv_cpu_yield();
    for (;;)
        prompt(0);
}
