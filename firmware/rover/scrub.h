/*
 * The scrub: reads a mirrored pair of disks from end to end, checks every block
 * of both, and writes the good copy over a bad one.
 */
#ifndef ROVER_SCRUB_H
#define ROVER_SCRUB_H

#include <sun4v/types.h>

struct line;

enum scrub_wish { SCRUB_NOTHING, SCRUB_START, SCRUB_STOP };

/* `mb_per_s`: what it reads of each side at most; 0 for no limit. */
void scrub_init(u64 mb_per_s);
/* From any vCPU; false when there is nothing to start or to stop. */
int scrub_request(enum scrub_wish wish);
/* Its state as a line of text. */
void scrub_describe(struct line *line);

#endif
