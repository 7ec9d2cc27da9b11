/*
 * File systems ext2, ext3 and ext4, read only.
 *
 * Everything on the disk is an allegation: numbers are checked before they are
 * used, and every walk has a bound. A journal that was not played back is said
 * (`dirty`) and the file system read as it is.
 *
 * Errors: one line each, from static memory: what is wrong with the file system,
 * or with the path.
 *
 * Source: ext2 as in Linux fs/ext2/ext2.h; ext4 disk layout as in Linux
 * fs/ext4/ext4.h and Documentation/filesystems/ext4.
 */
#ifndef OPENBOOT_DISK_EXT_H
#define OPENBOOT_DISK_EXT_H

#include "source.h"

struct ext {
    struct partition *partition;
    u64 block_bytes;
    u64 blocks;
    u64 first_block; /* of the first group */
    u64 blocks_per_group;
    u64 groups;
    u64 inodes;
    u64 inodes_per_group;
    u64 inode_bytes;
    u64 descriptor_bytes;
    u64 first_meta_group;
    u32 compat, incompat, ro_compat;
    u32 backups[2];
    int dirty; /* the journal needs recovery */
};

/* A file's inode. */
struct ext_file {
    u64 inode;
    u64 bytes;
    u32 mode;
    u32 flags;
    u8 map[60]; /* block pointers, extents, or a short link's text */
};

/* Null, or why it cannot be read. */
const char *ext_open(struct ext *ext, struct partition *partition);
/* Is there any ext file system, supported or not? Null, or why that cannot be seen. */
const char *ext_is(struct partition *partition, int *is);
/* The regular file that a path names, links followed. */
const char *ext_find(const struct ext *ext, const char *path, struct ext_file *file);
/* Reads a whole file to a real address with room for its bytes rounded up to 512. `clear`
 * zeroes what the file does not hold. */
const char *ext_read(const struct ext *ext, const struct ext_file *file, u64 ra,
                     void (*clear)(u64 ra, u64 bytes));

#endif
