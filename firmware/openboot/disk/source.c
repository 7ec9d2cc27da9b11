/* Sectors, and a small cache of what is read again and again. */
#include "source.h"

#include "../../common/bytes.h"
#include "../heap.h"

#define LINE_BYTES PAGE_BYTES
#define LINE_SECTORS (LINE_BYTES / SECTOR_BYTES)
#define LINES 32

static u8 *lines;
static struct tag {
    struct source *source;
    u64 line;
    u64 from, to; /* sectors of the line that are there */
} tags[LINES];

void source_forget(void)
{
    memset(tags, 0, sizeof tags);
}

const char *partition_read(struct partition *p, u64 sector, u64 count, u64 ra)
{
    if (p->sectors != SECTORS_UNKNOWN && (sector > p->sectors || count > p->sectors - sector))
        return "beyond the end of the partition";
    if (sector > ~0ul - p->start || p->start + sector > (~0ul >> 10) ||
        count > (~0ul >> 10) - p->start - sector)
        return "beyond the end of the disk";
    sector += p->start;
    if (p->source->sectors != SECTORS_UNKNOWN &&
        (sector > p->source->sectors || count > p->source->sectors - sector))
        return "beyond the end of the disk";
    return p->source->read(p->source, sector, count, ra);
}

/* Sectors `from`..`to` of a line are in the cache afterwards. */
static const char *fetch(struct source *source, u64 line, u64 from, u64 to, u8 **at)
{
    struct tag *tag = &tags[line % LINES];
    u64 first = line * LINE_SECTORS, end = LINE_SECTORS;

    if (!lines)
        lines = heap_pages(LINES * LINE_BYTES);
    if (!lines)
        return "no memory to read a disk";
    *at = lines + line % LINES * LINE_BYTES;
    if (tag->source == source && tag->line == line && tag->from <= from && tag->to >= to)
        return 0;
    tag->source = 0;
    if (source->sectors != SECTORS_UNKNOWN && source->sectors - first < end)
        end = source->sectors - first;
    if (end < to)
        return "beyond the end of the disk";
    u64 begin = 0;
    const char *why = source->read(source, first, end, real_address(*at));
    if (why && source->sectors == SECTORS_UNKNOWN) {
        /* The disk may end within the line: then only what is asked for. */
        begin = from;
        end = to;
        why = source->read(source, first + from, to - from,
                           real_address(*at + from * SECTOR_BYTES));
    }
    if (!why)
        *tag = (struct tag){source, line, begin, end};
    return why;
}

const char *partition_bytes(struct partition *p, u64 offset, void *to, u64 bytes)
{
    u64 limit = p->sectors == SECTORS_UNKNOWN ? ~0ul >> 12 : p->sectors * SECTOR_BYTES;
    u8 *out = to;

    if (offset > limit || bytes > limit - offset)
        return "beyond the end of the partition";
    if (p->start > ~0ul >> 12)
        return "beyond the end of the disk";
    offset += p->start * SECTOR_BYTES;
    if (p->source->sectors != SECTORS_UNKNOWN &&
        (bytes > p->source->sectors * SECTOR_BYTES ||
         offset > p->source->sectors * SECTOR_BYTES - bytes))
        return "beyond the end of the disk";
    while (bytes) {
        u64 line = offset / LINE_BYTES, in = offset % LINE_BYTES;
        u64 part = LINE_BYTES - in < bytes ? LINE_BYTES - in : bytes;
        u8 *at;
        const char *why = fetch(p->source, line, in / SECTOR_BYTES,
                                (in + part + SECTOR_BYTES - 1) / SECTOR_BYTES, &at);

        if (why)
            return why;
        memcpy(out, at + in, part);
        out += part;
        offset += part;
        bytes -= part;
    }
    return 0;
}
