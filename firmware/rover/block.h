/*
 * How rover's disks are written: every 8 KB block says which one it is and
 * carries a checksum over itself.
 *
 * Byte 0: magic; 8: block number; 16: seed of the content, the same in all
 * blocks; 24: checksum; 32: content. The checksum is FNV-1a over the block's
 * 1024 doublewords (big-endian), the checksum's own taken as zero: for each,
 * exclusive-or it in, then multiply by the 64-bit FNV prime.
 */
#ifndef ROVER_BLOCK_H
#define ROVER_BLOCK_H

#include <sun4v/types.h>

#define BLOCK_BYTES 8192ul
#define BLOCK_WORDS (BLOCK_BYTES / 8)
#define BLOCK_MAGIC 0x525652424c4b3031ul /* "RVRBLK01" */

struct block_header {
    u64 magic;
    u64 number;
    u64 seed;
    u64 checksum;
};

/* The checksum of any 8 KB, 64-byte aligned. */
u64 page_checksum(const void *page);
/* What a block's checksum field should hold. */
u64 block_checksum(const void *block);
/* Is it block `number`, whole? */
int block_good(const void *block, u64 number);

#endif
