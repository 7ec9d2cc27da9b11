/* vCPUs: how each sets itself up, how the others are started and kicked. */
#include "cpu.h"

#include <stddef.h>
#include <sun4v/hcall.h>

#include "console.h"
#include "lock.h"
#include "memory.h"
#include "panic.h"
#include "task.h"

_Static_assert(offsetof(struct cpu, id) == CPU_ID, "");
_Static_assert(offsetof(struct cpu, stack_top) == CPU_STACK_TOP, "");
_Static_assert(offsetof(struct cpu, memory_base) == CPU_MEMORY_BASE, "");
_Static_assert(offsetof(struct cpu, memory_end) == CPU_MEMORY_END, "");
_Static_assert(offsetof(struct cpu, tte) == CPU_TTE, "");
_Static_assert(offsetof(struct cpu, tsb) == CPU_TSB, "");
_Static_assert(offsetof(struct cpu, cpu_queue) == CPU_CPU_QUEUE, "");
_Static_assert(offsetof(struct cpu, dev_queue) == CPU_DEV_QUEUE, "");
_Static_assert(offsetof(struct cpu, reports) == CPU_REPORTS, "");
_Static_assert(offsetof(struct cpu, fault_area) == CPU_FAULT_AREA, "");
_Static_assert(offsetof(struct cpu, mondo) % 64 == 0, "a mondo is aligned to its size");

struct tsb_entry {
    u64 tag;
    u64 data;
};

struct tsb_descriptor {
    u16 index_size;
    u16 associativity;
    u32 entries;
    s32 context;
    u32 size_mask;
    u64 base;
    u64 reserved;
};

struct cpu cpus[CPUS_MAX] ALIGNED(64);
u64 cpu_count = 1;

static struct tsb_entry tsbs[CPUS_MAX][CPU_TSB_ENTRIES] ALIGNED(8192);
static u8 cpu_queues[CPUS_MAX][CPU_QUEUE_BYTES] ALIGNED(4096);
static u8 dev_queues[CPUS_MAX][CPU_QUEUE_BYTES] ALIGNED(4096);
static u8 report_queues[CPUS_MAX][2][CPU_REPORT_BYTES] ALIGNED(512);
static u8 stacks[CPUS_MAX][CPU_STACK_BYTES] ALIGNED(64);
static struct tsb_descriptor descriptors[CPUS_MAX] ALIGNED(64);

extern u8 image_start[], secondary_entry[];
u64 mmu_on(void);

#define MAP_BOTH_TLBS 3

void cpu_prepare(struct cpu *cpu, u64 id)
{
    u64 n = (u64)(cpu - cpus);

    cpu->id = id;
    cpu->stack_top = RA(stacks[n]) + CPU_STACK_BYTES - FRAME_BYTES - STACK_BIAS;
    cpu->memory_base = memory_base;
    cpu->memory_end = memory_base + memory_bytes;
    cpu->tte = TTE_V | TTE_CP | TTE_CV | TTE_P | TTE_W | TTE_4M;
    cpu->tsb = RA(tsbs[n]);
    cpu->cpu_queue = RA(cpu_queues[n]);
    cpu->dev_queue = RA(dev_queues[n]);
}

static void must(u64 status, const char *what)
{
    if (status != HV_EOK)
        panic("%s: status %u", what, status);
}

void cpu_set_up(struct cpu *cpu)
{
    u64 n = (u64)(cpu - cpus);
    struct tsb_descriptor *tsb = &descriptors[n];
    u64 queue_entries = CPU_QUEUE_BYTES / QUEUE_ENTRY_BYTES;
    u64 report_entries = CPU_REPORT_BYTES / QUEUE_ENTRY_BYTES;

    must(hv_mmu_fault_area_conf(cpu->fault_area), "mmu_fault_area_conf");
    *tsb = (struct tsb_descriptor){
        .index_size = TTE_4M,
        .associativity = 1,
        .entries = CPU_TSB_ENTRIES,
        .context = 0,
        .size_mask = 1 << TTE_4M,
        .base = cpu->tsb,
    };
    must(hv_mmu_tsb_ctx0(1, tsb), "mmu_tsb_ctx0");
    must(hv_mmu_map_perm_addr(RA(image_start),
                              cpu->tte | TTE_X | RA(image_start), MAP_BOTH_TLBS),
         "mmu_map_perm_addr");
    must(hv_cpu_qconf(QUEUE_CPU_MONDO, cpu_queues[n], queue_entries), "cpu_qconf 3c");
    must(hv_cpu_qconf(QUEUE_DEV_MONDO, dev_queues[n], queue_entries), "cpu_qconf 3d");
    must(hv_cpu_qconf(QUEUE_RESUMABLE, report_queues[n][0], report_entries), "cpu_qconf 3e");
    must(hv_cpu_qconf(QUEUE_NONRESUMABLE, report_queues[n][1], report_entries), "cpu_qconf 3f");
    must(mmu_on(), "mmu_enable");
    store32(&cpu->up, 1);
}

/* Where the other vCPUs arrive, by secondary_entry. */
void NORETURN rover_secondary(struct cpu *cpu)
{
    cpu_set_up(cpu);
    task_loop();
}

void cpu_start_others(void)
{
    for (u64 n = 1; n < cpu_count; n++) {
        u64 status;
        while ((status = hv_cpu_start(cpus[n].id, RA(secondary_entry), RA(image_start),
                                      RA(&cpus[n]))) == HV_EWOULDBLOCK)
            pause_spin();
        must(status, "cpu_start");
    }
    for (u64 n = 1; n < cpu_count; n++)
        while (!load32(&cpus[n].up))
            pause_spin();
}

/*
 * The one that is kicked stores `idle` before it looks at the flags, and we have
 * stored the flag before we look at `idle`: one of us sees the other. A mailbox
 * that is full holds an older kick, which will do.
 */
void cpu_kick(struct cpu *cpu)
{
    struct cpu *self = cpu_self();

    store_load_barrier();
    if (cpu == self || !load32(&cpu->idle))
        return;
    self->mondo[0] = RA(&cpu->kicked);
    self->mondo_list[0] = (u16)cpu->id;
    u64 status = hv_cpu_mondo_send(1, self->mondo_list, self->mondo);
    if (status != HV_EOK && status != HV_EWOULDBLOCK)
        panic("cpu_mondo_send to vcpu %u: status %u", cpu->id, status);
}
