/* Time, and waiting. */
#include "clock.h"

#include <sun4v/arch.h>
#include <sun4v/hcall.h>

#include "../client.h"
#include "../tree.h"
#include "order.h"

/* When no frequency is known: a machine faster than this waits less long. */
#define STICK_HZ_OTHERWISE 1000000000ul

u64 clock_ms(u64 ms)
{
    struct prop *prop = prop_find(node_root(), "stick-frequency");
    u64 hz = prop && prop->length == 4 ? be32(prop->value) : 0;

    if (hz < 1000)
        hz = STICK_HZ_OTHERWISE;
    return hz / 1000 * ms;
}

#ifndef HV_MOCK
/* Much less than a disk takes to answer. */
#define PAUSES_A_MS 50

void clock_pause(void)
{
    /* The comparison is a client's once there is one. */
    if (client_entered)
        return;
    /* A match ends the yield, whether interrupts are on or not. */
    __asm__ volatile("wr %0, 0, %%asr25" ::"r"(clock_now() + clock_ms(1) / PAUSES_A_MS));
    hv_cpu_yield();
    __asm__ volatile("wr %0, 0, %%asr25" ::"r"(STICK_CMPR_DISABLE));
    __asm__ volatile("wr %0, 0, %%clear_softint" ::"r"((u64)SOFTINT_STICK));
}
#endif
