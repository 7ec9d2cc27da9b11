/*
 * The domain's memory: what there is, what is free, and a window through which
 * the firmware reaches it before a client has taken the machine over.
 *
 * Source: IEEE 1275-1994, section 3.7.6 (memory node: reg, available, claim).
 */
#ifndef OPENBOOT_RAM_H
#define OPENBOOT_RAM_H

#include <sun4v/types.h>

#define RAM_NONE (~0ul)
#define RAM_PAGE 8192ul

/* Takes `bytes` (rounded up to pages) anywhere, aligned; its real address, or RAM_NONE.
 * From the top, so that what a client expects low stays free. */
u64 ram_claim(u64 bytes, u64 align);
/* Takes exactly this; 0 when it was not all free. */
int ram_claim_at(u64 ra, u64 bytes);
void ram_release(u64 ra, u64 bytes);
/* Where the firmware sees a real address; not after a client has set its trap table. */
void *ram_window(u64 ra);

#endif
