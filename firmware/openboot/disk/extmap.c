/* Where the blocks of a file are. */
#include "extmap.h"

#include "../../common/bytes.h"
#include "order.h"

#define FLAG_ENCRYPT 0x800
#define FLAG_EXTENTS 0x80000
#define FLAG_INLINE_DATA 0x10000000

static const char damaged[] = "the file system is damaged";

const char *extmap_check(const struct ext_file *file)
{
    if (file->flags & FLAG_INLINE_DATA)
        return "data inside an inode are not supported";
    if (file->flags & FLAG_ENCRYPT)
        return "encrypted files are not supported";
    return 0;
}

int extmap_has_extents(const struct ext_file *file)
{
    return (file->flags & FLAG_EXTENTS) != 0;
}

/* Blocks in a row that are all inside the file system. */
static const char *inside(const struct ext *ext, u64 block, u64 run)
{
    return block < ext->blocks && run <= ext->blocks - block ? 0 : damaged;
}

/* --- block pointers --- */

#define DIRECT 12
#define POINTER_BYTES 4

/* Pointers `index`.. of a table of `count`, in the inode or (`table` not 0) in a block:
 * the one at `index`, and how many blocks follow each other from there. */
static const char *pointers(const struct ext *ext, const struct ext_file *file, u64 table,
                            u64 index, u64 count, u64 *block, u64 *run)
{
    *run = 0;
    for (; index < count; index++, (*run)++) {
        u8 bytes[POINTER_BYTES];
        const u8 *at = bytes;

        if (!table) {
            at = file->map + index * POINTER_BYTES;
        } else {
            const char *why = partition_bytes(
                ext->partition, table * ext->block_bytes + index * POINTER_BYTES, bytes,
                sizeof bytes);
            if (why)
                return why;
        }
        u64 next = le32(at);
        if (*run == 0)
            *block = next;
        else if (next != (*block ? *block + *run : 0))
            break;
    }
    return *block ? inside(ext, *block, *run) : 0;
}

static const char *indirect_run(const struct ext *ext, const struct ext_file *file, u64 at,
                                u64 *block, u64 *run)
{
    u64 each = ext->block_bytes / POINTER_BYTES, reach = 1, level = 0;

    if (at < DIRECT)
        return pointers(ext, file, 0, at, DIRECT, block, run);
    at -= DIRECT;
    /* Through which of the three trees, and how many blocks each of its pointers spans. */
    for (;;) {
        if (++level > 3)
            return damaged;
        if (at < reach * each)
            break;
        at -= reach * each;
        reach *= each;
    }
    u64 table = le32(file->map + (DIRECT + level - 1) * POINTER_BYTES);
    for (; table; reach /= each) {
        const char *why = inside(ext, table, 1);
        u64 index = at / reach;

        if (why)
            return why;
        if (reach == 1)
            return pointers(ext, file, table, index, each, block, run);
        u8 bytes[POINTER_BYTES];
        why = partition_bytes(ext->partition, table * ext->block_bytes + index * POINTER_BYTES,
                              bytes, sizeof bytes);
        if (why)
            return why;
        table = le32(bytes);
        at %= reach;
        if (!table) {
            /* None of the blocks below this pointer is there. */
            *block = 0;
            *run = reach - at;
            return 0;
        }
    }
    *block = 0;
    *run = reach * each - at;
    return 0;
}

/* --- extents --- */

#define EXTENT_MAGIC 0xf30a
#define EXTENT_BYTES 12
#define EXTENT_DEPTH_MAX 5
#define EXTENT_WRITTEN_MAX 32768 /* a longer one was allocated and never written */
#define BLOCKS_MAX (1ul << 32)

/* A node of the tree: in the inode (`table` 0), or a block. */
static const char *node_bytes(const struct ext *ext, const struct ext_file *file, u64 table,
                              u64 offset, u8 *to)
{
    if (table)
        return partition_bytes(ext->partition, table * ext->block_bytes + offset, to, EXTENT_BYTES);
    memcpy(to, file->map + offset, EXTENT_BYTES);
    return 0;
}

static const char *leaf_run(const u8 *e, u64 at, u64 next, u64 *block, u64 *run)
{
    u64 first = le32(e), length = le16(e + 4);
    int written = length <= EXTENT_WRITTEN_MAX;

    if (!written)
        length -= EXTENT_WRITTEN_MAX;
    if (at >= first + length) {
        *block = 0;
        *run = next - at;
        return 0;
    }
    *run = first + length - at;
    *block = written ? (le32(e + 8) | (u64)le16(e + 6) << 32) + (at - first) : 0;
    return 0;
}

static const char *extent_run(const struct ext *ext, const struct ext_file *file, u64 at,
                              u64 *block, u64 *run)
{
    u64 table = 0, room = sizeof file->map, depth_was = EXTENT_DEPTH_MAX + 1;
    u64 end = BLOCKS_MAX; /* of what the node speaks for */

    if (at >= BLOCKS_MAX)
        return damaged;
    for (;;) {
        u8 e[EXTENT_BYTES], best[EXTENT_BYTES];
        const char *why = node_bytes(ext, file, table, 0, e);

        if (why)
            return why;
        u64 count = le16(e + 2), depth = le16(e + 6);
        if (le16(e) != EXTENT_MAGIC || (count + 1) * EXTENT_BYTES > room ||
            (table ? depth + 1 != depth_was : depth >= depth_was))
            return damaged;
        /* The last entry that begins at `at` or before; where the one after it begins. */
        u64 low = 0, high = count;
        while (low < high) {
            u64 middle = (low + high) / 2;

            why = node_bytes(ext, file, table, (middle + 1) * EXTENT_BYTES, e);
            if (why)
                return why;
            if (le32(e) <= at) {
                memcpy(best, e, sizeof best);
                low = middle + 1;
            } else {
                if (le32(e) < end)
                    end = le32(e);
                high = middle;
            }
        }
        if (low == 0) {
            *block = 0;
            *run = end - at;
            return 0;
        }
        if (depth == 0) {
            why = leaf_run(best, at, end, block, run);
            return why || !*block ? why : inside(ext, *block, *run);
        }
        table = le32(best + 4) | (u64)le16(best + 8) << 32;
        if (!table || inside(ext, table, 1))
            return damaged;
        depth_was = depth;
        room = ext->block_bytes;
    }
}

const char *extmap_run(const struct ext *ext, const struct ext_file *file, u64 at, u64 *block,
                       u64 *run)
{
    const char *why = extmap_has_extents(file) ? extent_run(ext, file, at, block, run)
                                               : indirect_run(ext, file, at, block, run);

    if (!why && *run == 0)
        return damaged;
    return why;
}
