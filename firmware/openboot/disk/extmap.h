/* Where the blocks of a file are: block pointers of ext2 and ext3, extents of ext4. */
#ifndef OPENBOOT_DISK_EXTMAP_H
#define OPENBOOT_DISK_EXTMAP_H

#include "ext.h"

/* Where a file's block `at` is, and how many follow it in a row (at least 1); block 0:
 * they are not there, and read as zeroes. Null, or what is wrong. */
const char *extmap_run(const struct ext *ext, const struct ext_file *file, u64 at, u64 *block,
                       u64 *run);
/* Null, or why this file's blocks cannot be found here. */
const char *extmap_check(const struct ext_file *file);
int extmap_has_extents(const struct ext_file *file);

#endif
