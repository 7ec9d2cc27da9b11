/*
 * The virtual disk that the firmware reads from: one at a time, polled, read
 * only.
 *
 * Waits are bounded: a server that does not come up or does not answer is an
 * error; a session lost meanwhile is begun anew, and the request asked again.
 *
 * Source: VIO disk protocol 1.1 and 1.0, as Linux (sunvdc.c) and illumos
 * (vdsk_common.h) speak it; descriptor rings (transfer mode 3).
 */
#ifndef OPENBOOT_DISK_VDISK_H
#define OPENBOOT_DISK_VDISK_H

#include "source.h"

/* Opens the disk with this number, closing another; its sectors, or why not. */
const char *vdisk_open(u64 number, struct source **source);
/* Ends the session; the queues are given back. */
void vdisk_close(void);

#endif
