/* What the machine description says of this domain, and its devices. */
#ifndef ROVER_DEVICES_H
#define ROVER_DEVICES_H

#include <sun4v/types.h>

#include "cpu.h"

/* Reads the machine description from the hypervisor; panics when there is none. */
void devices_read(void);
/* Numbers of the domain's vCPUs, in the description's order; how many. */
u64 devices_cpus(u64 *ids, u64 room);
/* %stick's frequency in Hz, 0 when it is not said. */
u64 devices_stick_hz(void);
/* A variable of the domain (`ldm set-var`); null when it is not set. */
const char *devices_variable(const char *name);
/* A variable that is a decimal number. */
u64 devices_number(const char *name, u64 otherwise);
/* Takes up disks and the network. */
void devices_attach(void);

#endif
