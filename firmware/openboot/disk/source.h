/*
 * Where blocks come from, whole disk or partition, and a cache before it.
 *
 * Sectors are 512 bytes. `bytes` of a source may be unknown: a server of version
 * 1.0 does not say. All offsets are checked against the partition, whoever
 * computed them from whatever stands on the disk.
 */
#ifndef OPENBOOT_DISK_SOURCE_H
#define OPENBOOT_DISK_SOURCE_H

#include <sun4v/types.h>

#define SECTOR_BYTES 512ul
#define SECTORS_UNKNOWN (~0ul)

/* A whole disk. */
struct source {
    u64 sectors; /* or SECTORS_UNKNOWN */
    /* Reads sectors to a real address (8-byte aligned); null, or why not. */
    const char *(*read)(struct source *source, u64 sector, u64 count, u64 ra);
};

/* A stretch of one. */
struct partition {
    struct source *source;
    u64 start;
    u64 sectors; /* or SECTORS_UNKNOWN */
};

/* Reads sectors of a partition to a real address. */
const char *partition_read(struct partition *partition, u64 sector, u64 count, u64 ra);
/* Reads any bytes of it through the cache. */
const char *partition_bytes(struct partition *partition, u64 offset, void *to, u64 bytes);
/* Forgets what the cache holds: another disk, or the disk anew. */
void source_forget(void);

#endif
