/* vCPUs: who was started, and where. */
#include "cpu.h"

#include <stddef.h>
#include <sun4v/hcall.h>

_Static_assert(offsetof(struct cpu, fault_area) == CPU_FAULT_AREA, "");
_Static_assert(offsetof(struct cpu, id) == CPU_ID, "");
_Static_assert(offsetof(struct cpu, pc) == CPU_PC, "");
_Static_assert(offsetof(struct cpu, argument) == CPU_ARGUMENT, "");
_Static_assert(sizeof(struct cpu) == CPU_BYTES, "");

extern u8 image_start[], secondary_entry[];

u64 cpu_self(void)
{
    return hv_cpu_myid();
}

u64 cpu_start(u64 id, u64 pc, u64 argument)
{
    struct cpu *cpu = &cpus[id];
    u64 status;

    if (id >= CPUS_MAX)
        return HV_ENOCPU;
    cpu->id = id;
    cpu->pc = pc;
    cpu->argument = argument;
    do
        status = hv_cpu_start(id, RA(secondary_entry), RA(image_start), RA(cpu));
    while (status == HV_EWOULDBLOCK);
    return status;
}
