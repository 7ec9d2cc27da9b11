/* The guest's memory. */
#include "memory.h"

#include <sun4v/hcall.h>

#include "../common/bytes.h"
#include "panic.h"

/* The image and its data have the first page of 4 MB. */
#define IMAGE_BYTES (4ul << 20)

u64 memory_base;
u64 memory_bytes;

static u64 next;

void memory_init(u64 base, u64 bytes)
{
    memory_base = base;
    memory_bytes = bytes;
    next = base + IMAGE_BYTES;
}

void memory_zero(void *from, u64 bytes)
{
    u64 at = RA(from), end = at + bytes, done;

    while (at < end && hv_mem_scrub(at, end - at, &done) == HV_EOK && done)
        at += done;
    if (at < end)
        memset((void *)at, 0, end - at);
}

void *memory_take(u64 bytes, u64 align)
{
    u64 at = (next + align - 1) & -align;

    bytes = (bytes + PAGE_MASK) & ~PAGE_MASK;
    if (at + bytes > memory_base + memory_bytes)
        panic("out of memory: %u bytes", bytes);
    next = at + bytes;
    memory_zero((void *)at, bytes);
    return (void *)at;
}

void *memory_take_rest(u64 align, u64 *bytes)
{
    u64 at = (next + align - 1) & -align;
    u64 end = memory_base + memory_bytes;

    *bytes = at < end ? end - at : 0;
    next = end;
    if (*bytes)
        memory_zero((void *)at, *bytes);
    return (void *)at;
}
