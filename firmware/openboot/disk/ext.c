/* ext2, ext3, ext4: the file system and its inodes; blocks of a file are in extmap.c. */
#include "ext.h"

#include "../../common/bytes.h"
#include "../../common/format.h"
#include "extmap.h"
#include "order.h"

#define SUPER_AT 1024
#define SUPER_BYTES 1024
#define MAGIC 0xef53

#define COMPAT_SPARSE_SUPER2 0x200
#define RO_SPARSE_SUPER 0x1
#define INCOMPAT_RECOVER 0x4
#define INCOMPAT_META_BG 0x10
#define INCOMPAT_64BIT 0x80

/* Every feature that changes what reading finds; `ok`: read here. */
static const struct feature {
    u32 bit;
    int ok;
    const char *name;
} features[] = {
    {0x1, 0, "compression"},    {0x2, 1, "filetype"},      {0x4, 1, "needs_recovery"},
    {0x8, 0, "journal_dev"},    {0x10, 1, "meta_bg"},      {0x40, 1, "extent"},
    {0x80, 1, "64bit"},         {0x100, 1, "mmp"},         {0x200, 1, "flex_bg"},
    {0x400, 1, "ea_inode"},     {0x1000, 0, "dirdata"},    {0x2000, 1, "metadata_csum_seed"},
    {0x4000, 1, "large_dir"},   {0x8000, 0, "inline_data"}, {0x10000, 0, "encrypt"},
    {0x20000, 0, "casefold"},
};

#define MODE_TYPE 0170000
#define MODE_FILE 0100000
#define MODE_DIRECTORY 0040000
#define MODE_LINK 0120000

#define ROOT_INODE 2
#define LINKS_MAX 8
#define PATH_MAX 1024
/* No directory that a kernel lies in is larger. */
#define DIRECTORY_BYTES_MAX (64ul << 20)
#define FAST_LINK_BYTES 60

static const char damaged[] = "the file system is damaged";

const char *ext_is(struct partition *partition, int *is)
{
    u8 magic[2] = {0, 0};
    const char *why = partition_bytes(partition, SUPER_AT + 56, magic, sizeof magic);

    *is = le16(magic) == MAGIC;
    return why;
}

/* Names what is asked for and not known here. */
static const char *unsupported(u32 incompat)
{
    static char text[160];
    struct line line = line_in(text, sizeof text - 1);
    u32 left = incompat;

    for (u64 i = 0; i < COUNT_OF(features); i++)
        if (features[i].ok)
            left &= ~features[i].bit;
    if (!left)
        return 0;
    line_text(&line, "the file system has features that are not supported:");
    for (u64 i = 0; i < COUNT_OF(features); i++)
        if (left & features[i].bit) {
            line_format(&line, " %s", features[i].name);
            left &= ~features[i].bit;
        }
    if (left)
        line_format(&line, " 0x%x", (u64)left);
    line.text[line.length] = 0;
    return text;
}

const char *ext_open(struct ext *ext, struct partition *partition)
{
    u8 super[SUPER_BYTES];
    const char *why = partition_bytes(partition, SUPER_AT, super, sizeof super);

    if (why)
        return why;
    if (le16(super + 56) != MAGIC)
        return "no ext2, ext3 or ext4 file system";
    u32 log = le32(super + 24), revision = le32(super + 76);
    *ext = (struct ext){
        .partition = partition,
        .blocks = le32(super + 4),
        .first_block = le32(super + 20),
        .blocks_per_group = le32(super + 32),
        .inodes = le32(super),
        .inodes_per_group = le32(super + 40),
        .inode_bytes = 128,
        .descriptor_bytes = 32,
        .first_meta_group = ~0ul,
    };
    if (log > 6)
        return damaged;
    ext->block_bytes = 1024ul << log;
    if (revision > 0) {
        ext->inode_bytes = le16(super + 88);
        ext->compat = le32(super + 92);
        ext->incompat = le32(super + 96);
        ext->ro_compat = le32(super + 100);
        ext->backups[0] = le32(super + 0x24c);
        ext->backups[1] = le32(super + 0x250);
    }
    why = unsupported(ext->incompat);
    if (why)
        return why;
    if (ext->incompat & INCOMPAT_64BIT) {
        ext->descriptor_bytes = le16(super + 254);
        ext->blocks |= (u64)le32(super + 0x150) << 32;
    }
    if (ext->incompat & INCOMPAT_META_BG)
        ext->first_meta_group = le32(super + 0x104);
    ext->dirty = (ext->incompat & INCOMPAT_RECOVER) != 0;
    if (ext->inode_bytes < 128 || ext->inode_bytes > ext->block_bytes ||
        (ext->inode_bytes & (ext->inode_bytes - 1)) || ext->descriptor_bytes < 32 ||
        ext->descriptor_bytes > 1024 || (ext->descriptor_bytes & (ext->descriptor_bytes - 1)) ||
        !ext->blocks_per_group || !ext->inodes_per_group || ext->first_block > 1 ||
        ext->blocks <= ext->first_block || ext->blocks > ~0ul >> 20 ||
        ext->blocks_per_group > ext->block_bytes * 8 * 64 ||
        ext->inodes_per_group > ext->block_bytes * 8)
        return damaged;
    ext->groups =
        (ext->blocks - ext->first_block + ext->blocks_per_group - 1) / ext->blocks_per_group;
    return 0;
}

/* --- inodes --- */

static int power_of(u64 n, u64 base)
{
    while (n > 1 && n % base == 0)
        n /= base;
    return n == 1;
}

/* Does the group begin with a copy of the superblock? */
static int has_super(const struct ext *ext, u64 group)
{
    if (group == 0)
        return 1;
    if (ext->compat & COMPAT_SPARSE_SUPER2)
        return group == ext->backups[0] || group == ext->backups[1];
    if (!(ext->ro_compat & RO_SPARSE_SUPER))
        return 1;
    return power_of(group, 3) || power_of(group, 5) || power_of(group, 7);
}

/* Where the descriptor of a group is, in bytes. */
static u64 descriptor_at(const struct ext *ext, u64 group)
{
    u64 each = ext->block_bytes / ext->descriptor_bytes;
    u64 chapter = group / each;
    u64 block = ext->first_block + 1 + chapter;

    if (chapter >= ext->first_meta_group) {
        u64 first = chapter * each;
        block = ext->first_block + first * ext->blocks_per_group + (u64)has_super(ext, first);
    }
    return block * ext->block_bytes + group % each * ext->descriptor_bytes;
}

static const char *read_inode(const struct ext *ext, u64 number, struct ext_file *file)
{
    u8 d[64], inode[128];

    if (!number || number > ext->inodes)
        return damaged;
    u64 group = (number - 1) / ext->inodes_per_group, index = (number - 1) % ext->inodes_per_group;
    if (group >= ext->groups)
        return damaged;
    u64 bytes = ext->descriptor_bytes < sizeof d ? ext->descriptor_bytes : sizeof d;
    const char *why = partition_bytes(ext->partition, descriptor_at(ext, group), d, bytes);
    if (why)
        return why;
    u64 table = le32(d + 8);
    if (ext->descriptor_bytes >= 64)
        table |= (u64)le32(d + 0x28) << 32;
    if (table >= ext->blocks)
        return damaged;
    why = partition_bytes(ext->partition, table * ext->block_bytes + index * ext->inode_bytes,
                          inode, sizeof inode);
    if (why)
        return why;
    *file = (struct ext_file){
        .inode = number,
        .mode = le16(inode),
        .bytes = le32(inode + 4) | (u64)le32(inode + 108) << 32,
        .flags = le32(inode + 32),
    };
    /* In a revision 0 directory the upper word is something else. */
    if ((file->mode & MODE_TYPE) == MODE_DIRECTORY && ext->incompat == 0)
        file->bytes &= 0xffffffff;
    memcpy(file->map, inode + 40, sizeof file->map);
    return extmap_check(file);
}

/* --- directories and paths --- */

static int of_type(const struct ext_file *file, u32 type)
{
    return (file->mode & MODE_TYPE) == type;
}

/* Looks through one block of a directory; the inode's number, 0 when it is not there. */
static const char *search_block(const struct ext *ext, u64 block, const char *name, u64 length,
                                u64 *found)
{
    u64 at = 0;

    while (at + 8 <= ext->block_bytes) {
        u8 head[8];
        char is[256];
        const char *why =
            partition_bytes(ext->partition, block * ext->block_bytes + at, head, sizeof head);

        if (why)
            return why;
        u64 bytes = le16(head + 4);
        if (bytes == 0xffff || bytes == 0)
            bytes = 65536; /* in blocks of 64 KB */
        if (bytes < 8 || bytes % 4 || bytes > ext->block_bytes - at || head[6] > bytes - 8u)
            return damaged;
        if (le32(head) && head[6] == length) {
            why = partition_bytes(ext->partition, block * ext->block_bytes + at + 8, is, length);
            if (why)
                return why;
            if (memcmp(is, name, length) == 0) {
                *found = le32(head);
                return 0;
            }
        }
        at += bytes;
    }
    return 0;
}

static const char *search(const struct ext *ext, const struct ext_file *directory,
                          const char *name, u64 length, u64 *found)
{
    u64 blocks = directory->bytes / ext->block_bytes;

    *found = 0;
    if (directory->bytes > DIRECTORY_BYTES_MAX)
        return "a directory is too large";
    for (u64 at = 0; at < blocks && !*found;) {
        u64 block, run;
        const char *why = extmap_run(ext, directory, at, &block, &run);

        if (why)
            return why;
        if (run > blocks - at)
            run = blocks - at;
        for (u64 i = 0; block && i < run && !*found && !why; i++)
            why = search_block(ext, block + i, name, length, found);
        if (why)
            return why;
        at += run;
    }
    return 0;
}

/* The text of a link, without NUL. */
static const char *read_link(const struct ext *ext, const struct ext_file *link, char *text)
{
    u64 block, run;

    if (link->bytes == 0 || link->bytes >= PATH_MAX)
        return damaged;
    if (link->bytes < FAST_LINK_BYTES && !extmap_has_extents(link)) {
        memcpy(text, link->map, link->bytes);
        return 0;
    }
    const char *why = extmap_run(ext, link, 0, &block, &run);
    if (why)
        return why;
    if (!block)
        return damaged;
    return partition_bytes(ext->partition, block * ext->block_bytes, text, link->bytes);
}

const char *ext_find(const struct ext *ext, const char *path, struct ext_file *file)
{
    char left[2 * PATH_MAX], text[PATH_MAX];
    struct ext_file directory;
    u64 length = text_length(path), links = 0;
    char *at = left;
    const char *why = read_inode(ext, ROOT_INODE, &directory);

    if (why)
        return why;
    if (length >= PATH_MAX)
        return "the path is too long";
    memcpy(left, path, length + 1);
    *file = directory;
    for (;;) {
        while (*at == '/')
            at++;
        if (!*at)
            break;
        if (!of_type(&directory, MODE_DIRECTORY))
            return "no such file";
        u64 name = 0, number;
        while (at[name] && at[name] != '/')
            name++;
        why = name > 255 ? "no such file" : search(ext, &directory, at, name, &number);
        if (why)
            return why;
        if (!number)
            return "no such file";
        why = read_inode(ext, number, file);
        if (why)
            return why;
        at += name;
        if (!of_type(file, MODE_LINK)) {
            directory = *file;
            continue;
        }
        if (++links > LINKS_MAX)
            return "too many symbolic links";
        why = read_link(ext, file, text);
        if (why)
            return why;
        u64 rest = text_length(at);
        if (file->bytes + rest >= sizeof left)
            return "the path is too long";
        memmove(left + file->bytes, at, rest + 1);
        memcpy(left, text, file->bytes);
        /* A NUL within the text ends it, as it would elsewhere. */
        at = left;
        if (*at == '/') {
            why = read_inode(ext, ROOT_INODE, &directory);
            if (why)
                return why;
        }
        *file = directory;
    }
    return of_type(file, MODE_FILE) ? 0 : "not a file";
}

const char *ext_read(const struct ext *ext, const struct ext_file *file, u64 ra,
                     void (*clear)(u64 ra, u64 bytes))
{
    u64 left = (file->bytes + SECTOR_BYTES - 1) & ~(SECTOR_BYTES - 1);

    for (u64 at = 0; left;) {
        u64 block, run;
        const char *why = extmap_run(ext, file, at, &block, &run);

        if (why)
            return why;
        u64 bytes = run > left / ext->block_bytes ? left : run * ext->block_bytes;
        if (!block) {
            clear(ra, bytes);
        } else {
            why = partition_read(ext->partition, block * (ext->block_bytes / SECTOR_BYTES),
                                 bytes / SECTOR_BYTES, ra);
            if (why)
                return why;
        }
        at += run;
        ra += bytes;
        left -= bytes;
    }
    return 0;
}
