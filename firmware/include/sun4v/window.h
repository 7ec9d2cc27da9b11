/*
 * Register window trap handlers, as macros: they stand in the trap table
 * itself, 32 instructions at most.
 *
 * Source: UltraSPARC Architecture 2007, register window management.
 */
#ifndef SUN4V_WINDOW_H
#define SUN4V_WINDOW_H

#include <sun4v/arch.h>

	/* One register of the 16 that a frame begins with. */
	.macro	SPILL_REG reg, slot
	stx	%\reg, [%sp + STACK_BIAS + 8 * \slot]
	.endm
	.macro	FILL_REG reg, slot
	ldx	[%sp + STACK_BIAS + 8 * \slot], %\reg
	.endm

	.macro	EACH_WINDOW_REG op
	\op	l0, 0
	\op	l1, 1
	\op	l2, 2
	\op	l3, 3
	\op	l4, 4
	\op	l5, 5
	\op	l6, 6
	\op	l7, 7
	\op	i0, 8
	\op	i1, 9
	\op	i2, 10
	\op	i3, 11
	\op	i4, 12
	\op	i5, 13
	\op	i6, 14
	\op	i7, 15
	.endm

	.macro	SPILL_WINDOW
	EACH_WINDOW_REG SPILL_REG
	saved
	retry
	.endm

	.macro	FILL_WINDOW
	EACH_WINDOW_REG FILL_REG
	restored
	retry
	.endm

	/* The window that a SAVE will show is cleaned, and counted. */
	.macro	CLEAN_REG reg
	clr	%\reg
	.endm
	.macro	CLEAN_WINDOW
	rdpr	%cleanwin, %l0
	inc	%l0
	wrpr	%l0, %cleanwin
	.irp	reg, l0, l1, l2, l3, l4, l5, l6, l7, o0, o1, o2, o3, o4, o5, o6, o7
	CLEAN_REG \reg
	.endr
	retry
	.endm

	/* A fresh window state, as at the start of a program. */
	.macro	RESET_WINDOWS
	wrpr	%g0, 0, %cwp
	wrpr	%g0, NWINDOWS - 2, %cansave
	wrpr	%g0, 0, %canrestore
	wrpr	%g0, 0, %otherwin
	wrpr	%g0, NWINDOWS - 1, %cleanwin
	wrpr	%g0, 0, %wstate
	.endm

	/*
	 * A trap table is written in ascending order: TRAP_TABLE begins a half of
	 * 512 entries, 32 bytes each; TRAP_AT fills up to entry `tt` with branches
	 * to `other` and reserves `slots` entries for the handler that follows.
	 */
	.macro	TRAP_TABLE
	.set	trap_slot, 0
	.endm
	.macro	TRAP_AT tt, slots, other
	.rept	\tt - trap_slot
	.align	32
	ba,a,pt	%xcc, \other
	 nop
	.endr
	.align	32
	.set	trap_slot, \tt + \slots
	.endm

#endif
