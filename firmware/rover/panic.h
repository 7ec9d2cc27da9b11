/* The end: says why, synchronously, and leaves. */
#ifndef ROVER_PANIC_H
#define ROVER_PANIC_H

#include <sun4v/types.h>

/* Exit codes of the domain. */
#define EXIT_TRAP 2
#define EXIT_PANIC 3

void NORETURN panic(const char *format, ...);
/* A trap nobody expects; `watchdog`: the hypervisor could not deliver it. */
void NORETURN panic_trap(u64 tt, u64 tpc, u64 tl, u64 watchdog, u64 address);

#endif
