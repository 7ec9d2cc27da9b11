/*
 * Which of the image's guests this domain is. The linker puts this before
 * rover's own entry (--wrap), so that rover is in here as it is.
 */
#include <sun4v/hcall.h>

#include "../common/bytes.h"
#include "../rover/devices.h"
#include "../rover/memcheck.h"
#include "hostile.h"

void NORETURN __real_rover_boot(u64 base, u64 bytes);
void NORETURN __wrap_rover_boot(u64 base, u64 bytes);
void __wrap_memcheck_start(void);

void NORETURN __wrap_rover_boot(u64 base, u64 bytes)
{
    const char *role;

    hv_api_set_version(HV_GROUP_CORE, 1, 1);
    devices_read();
    role = devices_variable("role");
    if (role && text_equal(role, "neighbour"))
        __real_rover_boot(base, bytes);
    if (role && text_equal(role, "hostile"))
        hostile_boot(base, bytes, devices_number("seed", 1));
    for (;;)
        hv_cpu_yield();
}

/* Rover checks that its memory stays as it is; the neighbour computes in it. */
void __wrap_memcheck_start(void)
{
    neighbour_work();
}
