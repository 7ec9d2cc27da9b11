/* Translations. */
#include "map.h"

#include <stddef.h>
#include <sun4v/arch.h>
#include <sun4v/hcall.h>

#include "../common/bytes.h"
#include "layout.h"
#include "stretch.h"
#include "tree.h"

#define LARGE (4ul << 20)
#define FLAGS (TTE_V | TTE_CP | TTE_CV | TTE_P | TTE_X | TTE_W)

_Static_assert(offsetof(struct mapping, va) == MAP_VA, "");
_Static_assert(offsetof(struct mapping, end) == MAP_END, "");
_Static_assert(offsetof(struct mapping, ra) == MAP_RA, "");
_Static_assert(offsetof(struct mapping, tte) == MAP_TTE, "");
_Static_assert(sizeof(struct mapping) == MAP_BYTES, "");

struct tsb_entry {
    u64 tag, data;
};

extern u8 image_start[];
extern struct tsb_entry tsb_small[TSB_ENTRIES], tsb_large[TSB_ENTRIES];

struct mapping mappings[MAPPINGS_MAX];
u64 mapping_count;

/* Virtual addresses that nobody has claimed. */
static struct stretches unclaimed;

void map_publish(void)
{
    static u64 cells[3 * MAPPINGS_MAX], free_cells[2 * STRETCHES_MAX];
    struct node *node = tree_find("/virtual-memory", 0, 0);
    u64 n = 0;

    if (!node)
        return;
    for (u64 i = 0; i < mapping_count; i++) {
        cells[n++] = mappings[i].va;
        cells[n++] = mappings[i].end - mappings[i].va;
        /* Clients add an offset of pages of 8 KB to it. */
        cells[n++] = FLAGS | mappings[i].ra;
    }
    prop_set(node, "translations", cells, (u32)(n * sizeof(u64)));
    prop_set(node, "available", free_cells, (u32)stretches_cells(&unclaimed, free_cells) * 8);
}

void map_init(void)
{
    unclaimed = (struct stretches){0};
    stretches_add(&unclaimed, PAGE_BYTES, FIRMWARE_VA - PAGE_BYTES);
    map_add(FIRMWARE_VA, RA(image_start), FIRMWARE_BYTES);
}

/* What the tables hold may be old. */
static void forget(void)
{
    struct tsb_entry own = tsb_large[FIRMWARE_SLOT];

    for (u64 i = 0; i < TSB_ENTRIES; i++)
        tsb_small[i].tag = ~0ul;
    for (u64 i = 0; i < TSB_ENTRIES; i++)
        if (i != FIRMWARE_SLOT)
            tsb_large[i].tag = ~0ul;
    tsb_large[FIRMWARE_SLOT] = own;
    hv_mmu_demap_ctx(0);
}

/* Cuts a hole into what is mapped; how many entries that needs. */
static void punch(u64 va, u64 end)
{
    struct mapping *from = mappings;
    static struct mapping kept[MAPPINGS_MAX + 1];
    u64 n = 0;

    for (u64 i = 0; i < mapping_count; i++, from++) {
        if (from->end <= va || from->va >= end) {
            kept[n++] = *from;
            continue;
        }
        if (from->va < va && n < MAPPINGS_MAX) {
            kept[n] = *from;
            kept[n].end = va;
            kept[n++].tte &= ~TTE_4M;
        }
        if (from->end > end && n < MAPPINGS_MAX) {
            kept[n] = *from;
            kept[n].va = end;
            kept[n].ra += end - from->va;
            kept[n++].tte &= ~TTE_4M;
        }
    }
    memcpy(mappings, kept, n * sizeof(*kept));
    mapping_count = n;
}

int map_add(u64 va, u64 ra, u64 bytes)
{
    u64 end = va + bytes;

    if ((va | ra | bytes) & PAGE_MASK || !bytes || end < va)
        return 0;
    for (u64 i = 0; i < mapping_count; i++)
        if (mappings[i].va == va && mappings[i].end == end && mappings[i].ra == ra)
            return 1;
    /* The firmware's own page stays as it is. */
    if (mapping_count && va < FIRMWARE_VA + FIRMWARE_BYTES && end > FIRMWARE_VA)
        return 0;
    if (mapping_count + 2 > MAPPINGS_MAX)
        return 0;
    punch(va, end);
    int large = !((va | ra | bytes) & (LARGE - 1));
    mappings[mapping_count++] =
        (struct mapping){va, end, ra, FLAGS | (large ? TTE_4M : 0)};
    if (va != FIRMWARE_VA)
        forget();
    map_publish();
    return 1;
}

void map_remove(u64 va, u64 bytes)
{
    u64 end = va + bytes;

    if (end < va || (va < FIRMWARE_VA + FIRMWARE_BYTES && end > FIRMWARE_VA) ||
        mapping_count + 2 > MAPPINGS_MAX)
        return;
    punch(va & ~PAGE_MASK, (end + PAGE_MASK) & ~PAGE_MASK);
    forget();
    map_publish();
}

int map_translate(u64 va, u64 *ra)
{
    for (u64 i = 0; i < mapping_count; i++)
        if (va >= mappings[i].va && va < mappings[i].end) {
            *ra = mappings[i].ra + (va - mappings[i].va);
            return 1;
        }
    return 0;
}

int map_claim(u64 *va, u64 bytes, u64 align)
{
    int done;

    bytes = (bytes + PAGE_MASK) & ~PAGE_MASK;
    if (align) {
        *va = stretches_take_low(&unclaimed, bytes, align < PAGE_BYTES ? PAGE_BYTES : align);
        done = *va != STRETCH_NONE;
    } else {
        done = stretches_take_at(&unclaimed, *va & ~PAGE_MASK, bytes);
    }
    map_publish();
    return done;
}

void map_release(u64 va, u64 bytes)
{
    bytes = (bytes + PAGE_MASK) & ~PAGE_MASK;
    if (va >= PAGE_BYTES && va + bytes >= va && va + bytes <= FIRMWARE_VA)
        stretches_add(&unclaimed, va & ~PAGE_MASK, bytes);
    map_publish();
}
