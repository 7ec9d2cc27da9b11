/*
 * The hostile guest: what the parts share.
 *
 * One image holds three guests; the domain's variable `role` says which it is:
 *
 *   hostile    every vCPU asks the hypervisor for random things without end
 *   neighbour  rover, and a fixed amount of computing whose result it prints
 *   (else)     idle: every vCPU yields
 *
 * The variable `seed` is the number that a hostile guest's streams begin with.
 */
#ifndef HOSTILE_H
#define HOSTILE_H

/* Offsets in struct strand, for the assembly. */
#define STRAND_STACK_TOP 0
#define STRAND_RESTARTS 8
#define STRAND_BYTES 128
#define STRAND_SHIFT 7

#define STRANDS_MAX 8
/* Words of generated code that are run at a time. */
#define WILD_WORDS 8

#ifndef __ASSEMBLER__
#include <stdarg.h>
#include <sun4v/types.h>

/* What a hostile vCPU has of its own; it outlives the vCPU's restarts. */
struct strand {
    u64 stack_top;
    u64 restarts; /* entered anew: first start, watchdog, lost mappings */
    u64 state;    /* of its random stream */
    u64 turns;
    u64 calls;
    u64 granted;  /* calls that answered EOK */
    u64 tell_at;  /* turns after which it says how far it is */
    u8 padding[72];
};
_Static_assert(sizeof(struct strand) == STRAND_BYTES, "");

extern struct strand hostile_strands[STRANDS_MAX];

/* Any trap, any function; results are %o0..%o5 afterwards. */
u64 hostile_trap(u64 trap, u64 function, const u64 args[5], u64 rets[6]);
/* Where a call that resumes elsewhere (mmu_enable) should resume. */
extern u8 hostile_resumed[];
/* Entry of every vCPU but the first, and base of the real-mode trap table. */
extern u8 hostile_entry[], hostile_base[];
/* Loads or stores at any address by any ASI; a trap is skipped. */
u64 hostile_load(u64 address, u64 asi);
void hostile_store(u64 address, u64 asi, u64 value);
/* A load at any address, which may be misaligned or unmapped. */
u64 hostile_peek(u64 address);
void hostile_poke(u64 address, u64 value);
/* Jumps to a real address, and comes back if what is there does. */
void hostile_jump(u64 address);

/* Never returns; called on a fresh stack with traps off. */
void NORETURN hostile_loop(struct strand *self);

/* What may be destroyed: memory behind the image. */
extern u64 arena_base, arena_bytes;

/* The domain's roles. */
void NORETURN hostile_boot(u64 base, u64 bytes, u64 seed);
void neighbour_work(void);
#endif
#endif
