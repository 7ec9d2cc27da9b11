/*
 * The hostile guest's entries, traps and raw accesses.
 *
 * Nothing in here trusts memory, mappings or registers: a vCPU comes here from a
 * start, from the watchdog, or from a trap that nobody can serve, and begins anew
 * with what its number says.
 */
	.register %g2, #scratch
	.register %g3, #scratch

#include <sun4v/window.h>
#include "hostile.h"

	.text
	.align	256
	/* The real-mode trap table: the watchdog vector is at +0x40. */
	.global	hostile_base
hostile_base:
	.rept	8
	ba,a,pt	%xcc, hostile_entry
	 nop
	.align	32
	.endr
	.align	256

	/* A vCPU begins, whatever it was doing. */
	.global	hostile_entry
hostile_entry:
	wrpr	%g0, 15, %pil
	wrpr	%g0, PSTATE_PRIV, %pstate
	set	hostile_traps, %g1
	wrpr	%g1, %tba
	RESET_WINDOWS
	wrpr	%g0, 0, %tl
	wrpr	%g0, 0, %gl
	wr	%g0, ASI_PRIMARY, %asi
	wr	%g0, 4, %fprs
	/* The core group is open, whatever was asked for before. */
	mov	1, %o0
	mov	1, %o1
	mov	1, %o2
	clr	%o5
	ta	HV_CORE_TRAP
	/* MMU off; if it is, this is an error and nothing happens. */
	clr	%o0
	set	1f, %o1
	mov	0x27, %o5
	ta	HV_FAST_TRAP
1:	/* Our number. */
	mov	0x16, %o5
	ta	HV_FAST_TRAP
	and	%o1, STRANDS_MAX - 1, %o1
	sllx	%o1, STRAND_SHIFT, %o1
	set	hostile_strands, %o0
	add	%o0, %o1, %o0
	ldx	[%o0 + STRAND_RESTARTS], %g1
	inc	%g1
	stx	%g1, [%o0 + STRAND_RESTARTS]
	ldx	[%o0 + STRAND_STACK_TOP], %sp
	clr	%fp
	call	hostile_loop
	 clr	%i7
0:	ba,a,pt	%xcc, 0b
	 nop

	/* u64 hostile_trap(u64 trap, u64 function, const u64 args[5], u64 rets[6]) */
	.global	hostile_trap
	.type	hostile_trap, #function
hostile_trap:
	save	%sp, -FRAME_BYTES, %sp
	ldx	[%i2], %o0
	ldx	[%i2 + 8], %o1
	ldx	[%i2 + 16], %o2
	ldx	[%i2 + 24], %o3
	ldx	[%i2 + 32], %o4
	mov	%i1, %o5
	ta	%xcc, %i0
	.global	hostile_resumed
hostile_resumed:
	stx	%o0, [%i3]
	stx	%o1, [%i3 + 8]
	stx	%o2, [%i3 + 16]
	stx	%o3, [%i3 + 24]
	stx	%o4, [%i3 + 32]
	stx	%o5, [%i3 + 40]
	mov	%o0, %i0
	ret
	restore
	.size	hostile_trap, . - hostile_trap

	.global	hostile_load
	.type	hostile_load, #function
hostile_load:
	wr	%o1, 0, %asi
	ldxa	[%o0] %asi, %o0
	retl
	 wr	%g0, ASI_PRIMARY, %asi
	.size	hostile_load, . - hostile_load

	.global	hostile_store
	.type	hostile_store, #function
hostile_store:
	wr	%o1, 0, %asi
	stxa	%o2, [%o0] %asi
	retl
	 wr	%g0, ASI_PRIMARY, %asi
	.size	hostile_store, . - hostile_store

	.global	hostile_peek
	.type	hostile_peek, #function
hostile_peek:
	retl
	 ldx	[%o0], %o0
	.size	hostile_peek, . - hostile_peek

	.global	hostile_poke
	.type	hostile_poke, #function
hostile_poke:
	retl
	 stx	%o1, [%o0]
	.size	hostile_poke, . - hostile_poke

	.global	hostile_jump
	.type	hostile_jump, #function
hostile_jump:
	save	%sp, -FRAME_BYTES, %sp
	jmpl	%i0, %o7
	 nop
	ret
	restore
	.size	hostile_jump, . - hostile_jump

	/*
	 * Any trap that is not a window's: what lies in a queue is taken out, soft
	 * interrupts are cleared, and the instruction is skipped. A second level,
	 * or a miss of an instruction, cannot be skipped: the vCPU begins anew.
	 */
caught:
	rdpr	%tl, %g1
	cmp	%g1, 1
	bg,pn	%xcc, hostile_entry
	 rdpr	%tt, %g1
	cmp	%g1, 0x09
	be,pn	%xcc, hostile_entry
	 cmp	%g1, 0x08
	be,pn	%xcc, hostile_entry
	 cmp	%g1, 0x64
	be,pn	%xcc, hostile_entry
	 cmp	%g1, TT_CPU_MONDO
	blu,pt	%xcc, 1f
	 cmp	%g1, TT_NONRESUMABLE
	bgu,pt	%xcc, 1f
	 sub	%g1, TT_CPU_MONDO, %g2
	sllx	%g2, 4, %g2
	add	%g2, QUEUE_CPU_MONDO_HEAD, %g2
	add	%g2, QUEUE_TAIL, %g3
	ldxa	[%g3] ASI_QUEUE, %g3
	stxa	%g3, [%g2] ASI_QUEUE
	membar	#Sync
	retry
1:	cmp	%g1, 0x41
	blu,pt	%xcc, 2f
	 cmp	%g1, 0x4f
	bgu,pt	%xcc, 2f
	 sub	%g0, 1, %g2
	wr	%g2, 0, %clear_softint
	retry
2:	done

	.macro	HALF
	TRAP_TABLE
	TRAP_AT	TT_CLEAN_WINDOW, 4, caught
	CLEAN_WINDOW
	.align	128
	TRAP_AT	TT_SPILL_0_NORMAL, 4, caught
	SPILL_WINDOW
	.align	128
	TRAP_AT	TT_FILL_0_NORMAL, 4, caught
	FILL_WINDOW
	.align	128
	TRAP_AT	0x200, 0, caught
	.endm

	.section .traps, "ax"
	.align	32768
hostile_traps:
	HALF
	HALF

	.section .note.GNU-stack, "", @progbits
