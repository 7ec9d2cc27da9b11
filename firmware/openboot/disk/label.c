/* Disk labels. */
#include "label.h"

#include "../../common/bytes.h"
#include "order.h"

static const char no_label[] = "the disk has no label";
static const char no_partition[] = "the disk has no such partition";
static const char outside[] = "the partition is not inside the disk";

static struct partition whole(struct source *source)
{
    return (struct partition){source, 0, source->sectors};
}

static const char *stretch(struct source *source, u64 start, u64 sectors,
                           struct partition *partition)
{
    if (!sectors)
        return no_partition;
    if (start > ~0ul >> 11 || sectors > ~0ul >> 11 ||
        (source->sectors != SECTORS_UNKNOWN &&
         (start > source->sectors || sectors > source->sectors - start)))
        return outside;
    *partition = (struct partition){source, start, sectors};
    return 0;
}

/* --- Sun --- */

#define SUN_MAGIC 0xdabe
#define SUN_MAGIC_AT 508
#define SUN_HEADS_AT 436
#define SUN_SECTORS_AT 438
#define SUN_TABLE_AT 444
#define SUN_PARTITIONS 8

static int is_sun(const u8 *block)
{
    u32 sum = 0;

    for (u64 at = 0; at < SECTOR_BYTES; at += 2)
        sum ^= be16(block + at);
    return be16(block + SUN_MAGIC_AT) == SUN_MAGIC && sum == 0;
}

static const char *sun_nth(struct source *source, const u8 *block, u64 n,
                           struct partition *partition)
{
    if (n >= SUN_PARTITIONS)
        return no_partition;
    const u8 *entry = block + SUN_TABLE_AT + n * 8;
    u64 cylinder = (u64)be16(block + SUN_HEADS_AT) * be16(block + SUN_SECTORS_AT);
    return stretch(source, be32(entry) * cylinder, be32(entry + 4), partition);
}

/* --- GPT --- */

#define GPT_ENTRY_BYTES_MIN 128
#define GPT_ENTRIES_MAX 1024

static const char *gpt_nth(struct source *source, const u8 *header, u64 n,
                           struct partition *partition)
{
    struct partition disk = whole(source);
    u64 table = le64(header + 72), count = le32(header + 80), bytes = le32(header + 84);
    u8 entry[48], used = 0;

    if (n >= count || n >= GPT_ENTRIES_MAX)
        return no_partition;
    if (bytes < GPT_ENTRY_BYTES_MIN || bytes > SECTOR_BYTES * 8 || table > ~0ul >> 20)
        return "the disk's GPT is damaged";
    const char *why = partition_bytes(&disk, table * SECTOR_BYTES + n * bytes, entry, sizeof entry);
    if (why)
        return why;
    for (int i = 0; i < 16; i++)
        used |= entry[i];
    u64 first = le64(entry + 32), last = le64(entry + 40);
    if (!used)
        return no_partition;
    if (last < first || last - first == ~0ul)
        return outside;
    return stretch(source, first, last - first + 1, partition);
}

/* --- MS-DOS --- */

#define DOS_TABLE_AT 446
#define DOS_ENTRY_BYTES 16
#define DOS_PRIMARY 4
#define DOS_TYPE_GPT 0xee

static int is_dos(const u8 *block)
{
    return block[510] == 0x55 && block[511] == 0xaa;
}

static int is_extended(const u8 *entry)
{
    return entry[4] == 0x05 || entry[4] == 0x0f || entry[4] == 0x85;
}

/* The nth logical partition, from 0, of the extended one at `base`. Each has a table
 * of its own: itself, and where the next one's table is. */
static const char *logical_nth(struct source *source, u64 base, u64 n,
                               struct partition *partition)
{
    struct partition disk = whole(source);
    u64 table = base;
    u8 block[SECTOR_BYTES];

    /* A chain that goes round ends with the count. */
    for (;; n--) {
        const char *why = partition_bytes(&disk, table * SECTOR_BYTES, block, sizeof block);
        if (why)
            return why;
        if (!is_dos(block))
            return no_partition;
        const u8 *own = block + DOS_TABLE_AT, *next = own + DOS_ENTRY_BYTES;
        if (n == 0)
            return stretch(source, table + le32(own + 8), le32(own + 12), partition);
        if (!is_extended(next) || !le32(next + 8))
            return no_partition;
        table = base + le32(next + 8);
    }
}

static const char *dos_nth(struct source *source, const u8 *block, u64 n,
                           struct partition *partition)
{
    const u8 *entries = block + DOS_TABLE_AT;

    if (n < DOS_PRIMARY) {
        const u8 *entry = entries + n * DOS_ENTRY_BYTES;
        if (!entry[4])
            return no_partition;
        return stretch(source, le32(entry + 8), le32(entry + 12), partition);
    }
    for (u64 i = 0; i < DOS_PRIMARY; i++)
        if (is_extended(entries + i * DOS_ENTRY_BYTES))
            return logical_nth(source, le32(entries + i * DOS_ENTRY_BYTES + 8), n - DOS_PRIMARY,
                               partition);
    return no_partition;
}

/* --- all --- */

const char *label_nth(struct source *source, u64 n, struct partition *partition)
{
    struct partition disk = whole(source);
    u8 block[SECTOR_BYTES], header[SECTOR_BYTES];
    const char *why = partition_bytes(&disk, 0, block, sizeof block);

    if (why)
        return why;
    if (n >= LABEL_PARTITIONS_MAX)
        return no_partition;
    if (is_sun(block))
        return sun_nth(source, block, n, partition);
    if (!is_dos(block))
        return no_label;
    if (block[DOS_TABLE_AT + 4] == DOS_TYPE_GPT) {
        why = partition_bytes(&disk, SECTOR_BYTES, header, sizeof header);
        if (why)
            return why;
        if (memcmp(header, "EFI PART", 8) == 0)
            return gpt_nth(source, header, n, partition);
    }
    return dos_nth(source, block, n, partition);
}

const char *label_find(struct source *source, const char *name, struct partition *partition)
{
    u64 n = 0;

    if (!*name) {
        *partition = whole(source);
        return 0;
    }
    char letter = (char)(*name | 0x20);
    if (letter >= 'a' && letter <= 'z' && !name[1])
        return label_nth(source, (u64)(letter - 'a'), partition);
    for (; *name; name++) {
        if (*name < '0' || *name > '9' || n > LABEL_PARTITIONS_MAX)
            return no_partition;
        n = n * 10 + (u64)(*name - '0');
    }
    return n ? label_nth(source, n - 1, partition) : no_partition;
}
