/*
 * Channels that the machine description gives to the firmware, and the variables
 * it holds. The description is read anew each time: devices come and go.
 *
 * Source: sun4v machine description; nodes `virtual-device`, `openboot`,
 * `variables`.
 */
#ifndef OPENBOOT_DISK_ENDPOINT_H
#define OPENBOOT_DISK_ENDPOINT_H

#include <sun4v/types.h>

#include "../../common/md.h"

/* The description on the heap, for heap_give; null, or why there is none. */
const char *description_read(struct md *md, void **block);

/* The channel of the disk with this number (`cfg-handle`); null, or why not. */
const char *endpoint_of_disk(u64 number, u64 *channel);
/* The channel of the firmware's own domain services; false without. */
int endpoint_of_services(u64 *channel);

#endif
