/*
 * The memory fill: after boot, of the memory that nobody else has, 45 of 100
 * units stay zero and the rest is read from the disks, as a machine's memory is
 * after it has run for a while. A unit is 128 KB.
 */
#ifndef ROVER_FILL_H
#define ROVER_FILL_H

#include <sun4v/types.h>

#define FILL_UNIT_BYTES (128ul << 10)
#define FILL_PERCENT 55

/* The units, for whoever checks them. */
struct fill {
    u8 *base;
    u64 units;
    u64 percent;   /* of the units are filled */
    u64 *sums;     /* checksum of each unit's sampled page */
    u32 done;
};
extern struct fill fill;

/* Takes all memory that is left; last, therefore. */
void fill_start(u64 percent);
/* Is unit n filled, rather than zero? */
int fill_is_filled(u64 n);
/* The page of unit n whose checksum is kept. */
const void *fill_sample(u64 n);

#endif
