/*
 * Where things are: for C and assembly.
 *
 * The firmware has the first 4 MB of the domain's memory, which must begin on a
 * multiple of 4 MB, and sees it at FIRMWARE_VA. Until a client has set its own trap
 * table, all memory can be reached through the window at WINDOW_VA plus the real
 * address. What the operator has put beside the firmware follows its 4 MB.
 */
#ifndef OPENBOOT_LAYOUT_H
#define OPENBOOT_LAYOUT_H

#define FIRMWARE_VA 0xf0000000
#define FIRMWARE_BYTES 0x400000
#define WINDOW_SHIFT 40 /* the window's address is 1 << WINDOW_SHIFT */

/* One table for pages of 8 KB, one for pages of 4 MB. The second always holds the
 * firmware's own page, whose place in it nothing else may take. */
#define TSB_ENTRIES 512
#define FIRMWARE_TAG (FIRMWARE_VA >> 22)
#define FIRMWARE_SLOT (FIRMWARE_TAG & (TSB_ENTRIES - 1))

/* Scratchpads: the vCPU's number, which clients expect there; its struct, in the one
 * that is the firmware's own. */
#define SCRATCH_ID 0x08
#define SCRATCH_CPU 0x38

/* struct cpu */
#define CPU_FAULT_AREA 0x00
#define CPU_ID 0x80
#define CPU_PC 0x88
#define CPU_ARGUMENT 0x90
#define CPU_BYTES 0xc0
#define CPUS_MAX 64

/* struct mapping */
#define MAP_VA 0x00
#define MAP_END 0x08
#define MAP_RA 0x10
#define MAP_TTE 0x18
#define MAP_BYTES 0x20

#define STACK_BYTES 65536

#endif
