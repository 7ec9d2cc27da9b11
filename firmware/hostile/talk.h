/* What the hostile guest says on its channels. */
#ifndef HOSTILE_TALK_H
#define HOSTILE_TALK_H

#include "hostile.h"

#define HV_FAST_TRAP_NUMBER 0x80

/* A call; its first result if that is wanted. */
u64 ask(struct strand *self, u64 function, u64 a0, u64 a1, u64 a2, u64 a3, u64 a4, u64 *ret1);
/* An aligned address in memory that may be destroyed. */
u64 arena(struct strand *self, u64 align);

/* Channel calls as they come: queues, tables, copies, random packets. */
void talk_loose(struct strand *self);
/* A conversation with a virtual device's server, true but for a few bytes. */
void talk_session(struct strand *self);

#endif
