/*
 * A vCPU's own state. Its address is in scratchpad 0; the assembly reaches the
 * first fields by the offsets below. All of it lies in the image's first 4 MB,
 * which a permanent mapping holds, so no trap handler can miss.
 */
#ifndef ROVER_CPU_H
#define ROVER_CPU_H

#define CPU_ID 0x00
#define CPU_STACK_TOP 0x08
#define CPU_MEMORY_BASE 0x10
#define CPU_MEMORY_END 0x18
#define CPU_TTE 0x20
#define CPU_TSB 0x28
#define CPU_CPU_QUEUE 0x30
#define CPU_DEV_QUEUE 0x38
#define CPU_REPORTS 0x40
#define CPU_FAULT_AREA 0x80

#define CPU_QUEUE_BYTES 4096
#define CPU_REPORT_BYTES 512
#define CPU_STACK_BYTES 16384
#define CPU_TSB_ENTRIES 512

#ifndef __ASSEMBLER__
#include <sun4v/arch.h>
#include <sun4v/types.h>

#define CPUS_MAX 64

struct task;

struct cpu {
    u64 id;          /* vCPU number */
    u64 stack_top;
    u64 memory_base; /* what the miss handler may map */
    u64 memory_end;
    u64 tte;         /* flags of the mappings it makes */
    u64 tsb;
    u64 cpu_queue;   /* cpu mondos */
    u64 dev_queue;   /* device mondos */
    u32 reports;     /* resumable error reports so far */
    u32 idle;        /* in cpu_yield, or about to be */
    u32 kicked;      /* a mondo came */
    u32 up;          /* takes part */
    struct task *tasks;
    u64 reports_told;
    u8 padding[0x80 - 0x60];
    u8 fault_area[FAULT_AREA_BYTES]; /* 0x80 */
    u64 mondo[8];                    /* 0x100: for cpu_mondo_send */
    u16 mondo_list[32];
};

extern struct cpu cpus[CPUS_MAX];
extern u64 cpu_count;

static inline struct cpu *cpu_self(void)
{
    struct cpu *self;

    __asm__ volatile("ldxa [%%g0] %1, %0" : "=r"(self) : "i"(ASI_SCRATCHPAD));
    return self;
}

/* Prepares the calling vCPU's own struct: before anything else. */
void cpu_prepare(struct cpu *cpu, u64 id);
/* Queues, TSB, permanent mapping of the image, MMU on. */
void cpu_set_up(struct cpu *cpu);
/* Starts the other vCPUs; returns when all are up. */
void cpu_start_others(void);
/* Makes another vCPU return from its yield. */
void cpu_kick(struct cpu *cpu);

#endif
#endif
