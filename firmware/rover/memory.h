/*
 * The guest's memory: where it is, and who gets what beyond the image.
 *
 * Memory is given out once and never taken back; what remains when all drivers
 * have theirs is the fill's.
 */
#ifndef ROVER_MEMORY_H
#define ROVER_MEMORY_H

#include <sun4v/types.h>

extern u64 memory_base;
extern u64 memory_bytes;

/* Notes what the hypervisor said about memory. */
void memory_init(u64 base, u64 bytes);
/* A zeroed stretch; panics when memory is used up. */
void *memory_take(u64 bytes, u64 align);
/* Everything that is left, from the first multiple of `align` on; zeroed. */
void *memory_take_rest(u64 align, u64 *bytes);
/* Zeroes a stretch of whole pages. */
void memory_zero(void *from, u64 bytes);

#endif
