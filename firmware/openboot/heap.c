/*
 * The heap: blocks with a header, in the order of their addresses; the first that
 * fits is taken. Pages are taken from its other end.
 */
#include "heap.h"

#include "../common/bytes.h"
#include "memory.h"

#define GRAIN 16ul

struct block {
    u64 bytes; /* with this header; a multiple of GRAIN */
    u64 used;
};

extern u8 heap_start[], heap_end[];

static u8 *end;

void heap_init(void)
{
    struct block *all = (struct block *)heap_start;

    end = heap_end;
    *all = (struct block){(u64)(end - heap_start), 0};
}

static struct block *next_of(struct block *block)
{
    return (struct block *)((u8 *)block + block->bytes);
}

void *heap_take(usize bytes)
{
    u64 need = (bytes + sizeof(struct block) + GRAIN - 1) & ~(GRAIN - 1);

    if (bytes > (usize)(heap_end - heap_start))
        return 0;
    for (struct block *block = (struct block *)heap_start; (u8 *)block < end;
         block = next_of(block)) {
        if (block->used)
            continue;
        /* Free neighbours become one. */
        for (struct block *after = next_of(block); (u8 *)after < end && !after->used;
             after = next_of(block))
            block->bytes += after->bytes;
        if (block->bytes < need)
            continue;
        if (block->bytes - need >= 2 * GRAIN) {
            u64 rest = block->bytes - need;
            block->bytes = need;
            *next_of(block) = (struct block){rest, 0};
        }
        block->used = 1;
        memset(block + 1, 0, block->bytes - sizeof(*block));
        return block + 1;
    }
    return 0;
}

void heap_give(void *at)
{
    if (at)
        ((struct block *)at)[-1].used = 0;
}

void *heap_pages(usize bytes)
{
    struct block *last = 0;

    bytes = (bytes + PAGE_MASK) & ~PAGE_MASK;
    for (struct block *block = (struct block *)heap_start; (u8 *)block < end;
         block = next_of(block)) {
        if (!block->used)
            for (struct block *after = next_of(block); (u8 *)after < end && !after->used;
                 after = next_of(block))
                block->bytes += after->bytes;
        last = block;
    }
    /* The end stays a page's start, as it was at first. */
    if (!last || last->used || bytes > last->bytes || last->bytes - bytes < 2 * GRAIN)
        return 0;
    last->bytes -= bytes;
    end -= bytes;
    memset(end, 0, bytes);
    return end;
}
