/* The domain's memory. */
#include "ram.h"

#include "layout.h"
#include "memory.h"
#include "stretch.h"
#include "tree.h"

static struct stretches installed, available;

u64 real_address(const void *at)
{
    u64 va = (u64)at;

    if (va >> WINDOW_SHIFT == 1)
        return va - (1ul << WINDOW_SHIFT);
    return va - FIRMWARE_VA + image_real;
}

void *ram_window(u64 ra)
{
    return (void *)(ra + (1ul << WINDOW_SHIFT));
}

static void publish(void)
{
    static u64 cells[2 * STRETCHES_MAX];
    struct node *node = tree_find("/memory", 0, 0);

    if (!node)
        return;
    prop_set(node, "reg", cells, (u32)stretches_cells(&installed, cells) * 8);
    prop_set(node, "available", cells, (u32)stretches_cells(&available, cells) * 8);
}

void ram_add(u64 ra, u64 bytes)
{
    stretches_add(&installed, ra, bytes);
    stretches_add(&available, ra, bytes);
}

void ram_publish(void)
{
    publish();
}

u64 ram_bytes(void)
{
    u64 sum = 0;

    for (u64 i = 0; i < installed.count; i++)
        sum += installed.of[i].end - installed.of[i].from;
    return sum;
}

u64 ram_lowest(void)
{
    return available.count ? available.of[0].from : RAM_NONE;
}

int ram_is_free(u64 ra, u64 bytes)
{
    for (u64 i = 0; i < available.count; i++)
        if (available.of[i].from <= ra && ra <= available.of[i].end &&
            bytes <= available.of[i].end - ra)
            return 1;
    return 0;
}

static u64 pages(u64 bytes)
{
    return (bytes + RAM_PAGE - 1) & ~(RAM_PAGE - 1);
}

u64 ram_claim(u64 bytes, u64 align)
{
    u64 ra = stretches_take_high(&available, pages(bytes), align < RAM_PAGE ? RAM_PAGE : align);

    publish();
    return ra;
}

int ram_claim_at(u64 ra, u64 bytes)
{
    u64 from = ra & ~(RAM_PAGE - 1);
    int done = stretches_take_at(&available, from, pages(bytes + (ra - from)));

    publish();
    return done;
}

void ram_release(u64 ra, u64 bytes)
{
    u64 from = ra & ~(RAM_PAGE - 1), end = from + pages(bytes + (ra - from));

    /* Only what there is. */
    for (u64 i = 0; end > from && i < installed.count; i++) {
        u64 low = from > installed.of[i].from ? from : installed.of[i].from;
        u64 high = end < installed.of[i].end ? end : installed.of[i].end;
        if (low < high)
            stretches_add(&available, low, high - low);
    }
    publish();
}
