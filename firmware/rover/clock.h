/* Time: %stick since boot, in ticks; and the time of day. */
#ifndef ROVER_CLOCK_H
#define ROVER_CLOCK_H

#include <sun4v/types.h>

#define NEVER (~0ul)

extern u64 stick_hz;
extern u64 boot_stick;

#ifdef HV_MOCK
u64 stick(void);
#else
static inline u64 stick(void)
{
    u64 now;

    __asm__ volatile("rd %%stick, %0" : "=r"(now));
    return now;
}
#endif

static inline u64 ticks_of_ms(u64 ms)
{
    return stick_hz / 1000 * ms;
}

static inline u64 ticks_of_us(u64 us)
{
    return stick_hz / 1000 * us / 1000;
}

static inline u64 ms_of_ticks(u64 ticks)
{
    return ticks / (stick_hz / 1000);
}

static inline u64 uptime_ms(void)
{
    return ms_of_ticks(stick() - boot_stick);
}

/* Seconds since 1970, UTC; 0 when the machine has no clock. */
u64 time_of_day(void);

/* The program that says the time on the console every two seconds. */
void clock_start(void);

#endif
