/* Time: %stick, in ticks. */
#ifndef OPENBOOT_DISK_CLOCK_H
#define OPENBOOT_DISK_CLOCK_H

#include <sun4v/types.h>

#ifdef HV_MOCK
u64 stick(void);
#define clock_now stick
static inline void clock_pause(void) {}
#else
static inline u64 clock_now(void)
{
    u64 now;

    __asm__ volatile("rd %%stick, %0" : "=r"(now));
    return now;
}
/* Gives the strand up for a moment; whoever waits calls it between two looks. */
void clock_pause(void);
#endif

/* So many milliseconds, in ticks. */
u64 clock_ms(u64 ms);

#endif
