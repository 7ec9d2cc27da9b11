/*
 * Translations: what the firmware's miss handler serves, and what clients ask of
 * the node behind /chosen's "mmu".
 *
 * Source: IEEE 1275-1994, section 3.6.5; its binding for SPARC (translate, map).
 */
#ifndef OPENBOOT_MAP_H
#define OPENBOOT_MAP_H

#include <sun4v/types.h>

#define MAPPINGS_MAX 256

struct mapping {
    u64 va, end;
    u64 ra;
    u64 tte; /* flags, and the size code of the pages it is made of */
};

extern struct mapping mappings[MAPPINGS_MAX];
extern u64 mapping_count;

/* The firmware's own page. */
void map_init(void);
/* Tells the node /virtual-memory what there is; changes tell it by themselves. */
void map_publish(void);
/* Maps whole pages of 8 KB, in place of what was there; false without room. */
int map_add(u64 va, u64 ra, u64 bytes);
void map_remove(u64 va, u64 bytes);
/* False when there is none. */
int map_translate(u64 va, u64 *ra);
/* Addresses that nobody has: `align` 0 means exactly at `*va`. */
int map_claim(u64 *va, u64 bytes, u64 align);
void map_release(u64 va, u64 bytes);

#endif
