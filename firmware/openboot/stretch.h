/* A set of addresses: stretches that neither touch nor overlap, ascending. */
#ifndef OPENBOOT_STRETCH_H
#define OPENBOOT_STRETCH_H

#include <sun4v/types.h>

#define STRETCHES_MAX 128
#define STRETCH_NONE (~0ul)

struct stretch {
    u64 from, end;
};
struct stretches {
    u64 count;
    struct stretch of[STRETCHES_MAX];
};

/* Adds addresses, some of which may be there; those without room are lost. */
void stretches_add(struct stretches *set, u64 from, u64 bytes);
/* Takes exactly these; false, and nothing taken, when they are not all there. */
int stretches_take_at(struct stretches *set, u64 from, u64 bytes);
/* Takes the lowest or highest place; STRETCH_NONE without. `align` is a power of two. */
u64 stretches_take_low(struct stretches *set, u64 bytes, u64 align);
u64 stretches_take_high(struct stretches *set, u64 bytes, u64 align);
/* Pairs of address and bytes; how many cells. */
u64 stretches_cells(const struct stretches *set, u64 *cells);

#endif
