/* vCPUs, as far as the firmware cares: who was started, and where. */
#ifndef OPENBOOT_CPU_H
#define OPENBOOT_CPU_H

#include <sun4v/arch.h>
#include <sun4v/types.h>

#include "layout.h"

/* Where its misses are reported, and what it is to do when it comes up. */
struct cpu {
    u8 fault_area[FAULT_AREA_BYTES];
    u64 id;
    u64 pc;
    u64 argument;
    u8 padding[CPU_BYTES - 0x98];
} ALIGNED(64);

extern struct cpu cpus[CPUS_MAX];

/* The number of the vCPU that runs this. */
u64 cpu_self(void);
/* Starts a vCPU at `pc` (virtual) with `argument`; the hypervisor's status. */
u64 cpu_start(u64 id, u64 pc, u64 argument);

static inline void trap_table_set(u64 va)
{
    __asm__ volatile("wrpr %0, 0, %%tba" ::"r"(va));
}
static inline u64 stick_read(void)
{
    u64 value;
    __asm__ volatile("rd %%asr24, %0" : "=r"(value));
    return value;
}

#endif
