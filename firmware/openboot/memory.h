/* What only the firmware's core does with memory. */
#ifndef OPENBOOT_MEMORY_H
#define OPENBOOT_MEMORY_H

#include <sun4v/types.h>

/* Where the firmware's 4 MB are. */
extern u64 image_real;

void ram_add(u64 ra, u64 bytes);
/* Tells the node /memory what there is; claims tell it by themselves. */
void ram_publish(void);
u64 ram_bytes(void);
/* The lowest free address, from which clients count; RAM_NONE without. */
u64 ram_lowest(void);
int ram_is_free(u64 ra, u64 bytes);
void heap_init(void);

#endif
