/*
 * rover: a kernel of one purpose, to be busy and observable while its domain is
 * moved about. It tells the time, answers pings, runs a login shell, draws,
 * scrubs a mirrored pair of disks, and checks its own memory.
 */
#include <sun4v/hcall.h>

#include "clock.h"
#include "console.h"
#include "cpu.h"
#include "devices.h"
#include "fill.h"
#include "memcheck.h"
#include "memory.h"
#include "panic.h"
#include "scrub.h"
#include "task.h"

#define SCRUB_MB_PER_S 16

static void negotiate(u64 group, u64 minor, const char *name, int needed)
{
    u64 status = hv_api_set_version(group, 1, minor);

    if (status != HV_EOK && needed)
        panic("api group %s: status %u", name, status);
}

/* The boot vCPU first, the others in the description's order. */
static void prepare_cpus(void)
{
    u64 ids[CPUS_MAX], self = hv_cpu_myid();
    u64 count = devices_cpus(ids, CPUS_MAX);

    cpu_prepare(&cpus[0], self);
    for (u64 i = 0; i < count; i++)
        if (ids[i] != self && cpu_count < CPUS_MAX)
            cpu_prepare(&cpus[cpu_count++], ids[i]);
}

/* Entered once, on the boot vCPU, MMU off. */
void NORETURN rover_boot(u64 base, u64 bytes)
{
    negotiate(HV_GROUP_CORE, 1, "core", 1);
    negotiate(HV_GROUP_INTR, 0, "intr", 1);
    negotiate(HV_GROUP_LDC, 0, "ldc", 1);
    negotiate(HV_GROUP_SOFT_STATE, 0, "soft state", 0);
    boot_stick = stick();
    memory_init(base, bytes);
    devices_read();
    if (devices_stick_hz())
        stick_hz = devices_stick_hz();
    prepare_cpus();
    cpu_set_up(&cpus[0]);
    console_start();
    console_print("rover: %u cpus, %u MB at 0x%x, stick %u Hz\n", cpu_count, bytes >> 20, base,
                  stick_hz);
    cpu_start_others();
    devices_attach();
    clock_start();
    scrub_init(devices_number("scrub-rate", SCRUB_MB_PER_S));
    u64 percent = devices_number("fill-percent", FILL_PERCENT);
    fill_start(percent <= 100 ? percent : FILL_PERCENT);
    memcheck_start();
    task_loop();
}
