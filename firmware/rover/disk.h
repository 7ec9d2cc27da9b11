/*
 * Virtual disks.
 *
 * A request is the caller's, from disk_submit until `done`; buffers are whole
 * pages of 8 KB. Requests survive whatever happens to the disk's server: those
 * that it had not answered are asked again, in the order they were submitted.
 */
#ifndef ROVER_DISK_H
#define ROVER_DISK_H

#include <sun4v/types.h>
#include <sun4v/vio.h>

#include "ldc.h"
#include "task.h"

#define DISKS_MAX 4
#define DISK_REQUEST_BYTES_MAX (128ul << 10)

struct disk;

struct disk_request {
    u8 operation; /* VDISK_READ or VDISK_WRITE */
    u64 offset;   /* bytes, a multiple of 512 */
    u64 bytes;    /* at most disk_request_max() */
    void *buffer; /* page-aligned */
    struct task *owner;
    u32 done;     /* then `status` holds */
    u32 status;   /* 0, or the server's errno */
    struct disk_request *next;
};

extern u64 disk_count;

/* Takes up the disk with this number and channel. */
void disk_attach(u64 number, const struct ldc_ids *ids);
/* The nth disk, in order of its number. */
struct disk *disk_nth(u64 n);
/* True once it was up; its size is known then. */
int disk_ready(const struct disk *disk);
u64 disk_bytes(const struct disk *disk);
u64 disk_number(const struct disk *disk);
/* Largest request that the server takes, whole pages. */
u64 disk_request_max(const struct disk *disk);
/* Queues a request, from any vCPU; wakes its owner when done. */
void disk_submit(struct disk *disk, struct disk_request *request);

#endif
