/*
 * A client: loaded, given what it expects, entered.
 *
 * Its segments go to the lowest free memory, at the same offset in 4 MB as their
 * addresses have, so that pages of 4 MB can map them. That memory, and the one that
 * holds the initial RAM disk, stay listed as available: clients reserve it.
 */
#include "client.h"

#include <sun4v/arch.h>

#include "../common/bytes.h"
#include "cif.h"
#include "console.h"
#include "cpu.h"
#include "elf.h"
#include "layout.h"
#include "map.h"
#include "memory.h"
#include "prompt.h"
#include "ram.h"
#include "release.h"
#include "tree.h"

#define LARGE (4ul << 20)
#define BOOTARGS_MAX 1024

struct payload payload = {.arguments = ""};
int client_entered;

/* Linux's boot header, behind its first instructions. */
struct linux_header {
    u32 branch[2];
    char magic[4];
    u32 kernel_version;
    u16 version, root_flags, root_dev, ram_flags;
    u32 ramdisk_image, ramdisk_size;
    u64 reboot_command, bootstr_info;
    u64 ramdisk_image64;
    u32 end;
};

void client_jump(u64 pc, u64 cif, u64 stack) NORETURN;
extern u8 stack_top[];

/* The parts of an image that are loaded; null, or why there are none. */
static const char *segments(const u8 *image, u64 bytes, struct elf_segment *loads, u64 *count,
                            u64 *entry)
{
    const struct elf_header *header = (const void *)image;
    u64 n = 0;

    if (bytes < sizeof(*header) || memcmp(header->ident, ELF_MAGIC, 7))
        return "not a 64-bit big-endian ELF image";
    if (header->machine != ELF_SPARCV9 || header->type != ELF_EXEC)
        return "not an executable for SPARC V9";
    if (header->phentsize != sizeof(struct elf_segment) || header->phoff > bytes ||
        header->phnum > (bytes - header->phoff) / sizeof(struct elf_segment) || header->phoff & 7)
        return "its program headers are outside of it";
    for (u64 i = 0; i < header->phnum; i++) {
        const struct elf_segment *segment =
            (const void *)(image + header->phoff + i * sizeof(struct elf_segment));
        if (segment->type != ELF_LOAD || !segment->memsz)
            continue;
        if (segment->filesz > segment->memsz || segment->offset > bytes ||
            segment->filesz > bytes - segment->offset)
            return "a segment is longer than its part of the file";
        if (segment->memsz > FIRMWARE_VA || segment->vaddr > FIRMWARE_VA - segment->memsz)
            return "a segment is where the firmware is, or above";
        if (n == SEGMENTS_MAX)
            return "it has too many segments";
        loads[n++] = *segment;
    }
    *count = n;
    *entry = header->entry;
    return n ? 0 : "it has nothing to load";
}

/* Lets a Linux kernel find its RAM disk: relative to the lowest memory that it will see. */
static const char *give_ramdisk(struct linux_header *header, struct image initrd)
{
    if (memcmp(header->magic, "HdrS", 4))
        return "an initial RAM disk is given, and the image is no Linux kernel";
    if (header->version < 0x301)
        return "the kernel is too old to be given an initial RAM disk above 4 GB";
    header->ramdisk_image = 0;
    header->ramdisk_size = (u32)initrd.bytes;
    header->ramdisk_image64 = initrd.ra - ram_lowest() + 0x400000;
    return 0;
}

static void chosen(const char *path, const char *arguments)
{
    struct node *node = tree_find("/chosen", 0, 0);

    if (node) {
        prop_text(node, "bootargs", arguments);
        prop_text(node, "bootpath", path);
    }
}

const char *client_start(struct image kernel, struct image initrd, const char *path,
                         const char *arguments)
{
    static struct elf_segment loads[SEGMENTS_MAX];
    u64 count = 0, entry = 0, low = ~0ul, high = 0, place = ram_lowest();
    const u8 *image = ram_window(kernel.ra);
    const char *why;

    if (client_entered)
        return "a client has been entered already: the domain must start again";
    if (kernel.bytes > 2 && image[0] == 0x1f && image[1] == 0x8b) {
        why = gunzip(kernel, &kernel);
        if (why)
            return why;
        image = ram_window(kernel.ra);
    }
    why = segments(image, kernel.bytes, loads, &count, &entry);
    if (why)
        return why;
    if (text_length(arguments) >= BOOTARGS_MAX)
        return "the arguments are longer than 1023 characters";
    for (u64 i = 0; i < count; i++) {
        if (loads[i].vaddr < low)
            low = loads[i].vaddr;
        if (loads[i].vaddr + loads[i].memsz > high)
            high = loads[i].vaddr + loads[i].memsz;
    }
    low &= ~PAGE_MASK;
    /* A client makes pages of 4 MB of what it has. */
    u64 base = low & ~(LARGE - 1), bytes = ((high + LARGE - 1) & ~(LARGE - 1)) - base;
    if (place == RAM_NONE || place & (LARGE - 1))
        return "memory does not begin on a multiple of 4 MB";
    if (!ram_is_free(place, bytes))
        return "it does not fit into memory";
    if (low & (LARGE - 1))
        map_add(low, place + (low - base), base + bytes - low);
    else
        map_add(base, place, bytes);
    /* Nobody is given the addresses that it is at. */
    u64 claimed = low & (LARGE - 1) ? low : base;
    map_claim(&claimed, base + bytes - claimed, 0);
    for (u64 i = 0; i < count; i++) {
        u8 *to = ram_window(place + (loads[i].vaddr - base));
        memcpy(to, image + loads[i].offset, loads[i].filesz);
        memset(to + loads[i].filesz, 0, loads[i].memsz - loads[i].filesz);
    }
    if (low & (LARGE - 1))
        ram_claim_at(place + (low - base), high - low);
    if (initrd.bytes) {
        if (entry < base || entry + sizeof(struct linux_header) > high)
            return "its entry is outside of it";
        why = give_ramdisk(ram_window(place + (entry - base)), initrd);
        if (why)
            return why;
        ram_release(initrd.ra, initrd.bytes);
    }
    ram_release(kernel.ra, kernel.bytes);
    chosen(path, arguments);
    disk_close_all();
    variables_close();
    client_entered = 1;
    client_jump(entry, (u64)cif_entry, (u64)stack_top - FRAME_BYTES - STACK_BIAS);
}
