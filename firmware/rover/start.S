/*
 * The image's first bytes, and how a vCPU begins.
 *
 * +0x20 is where the hypervisor starts the guest; +0x40 is where it puts a vCPU
 * that it gave up on. The image's start also serves as real-mode trap base of
 * the other vCPUs.
 */
	.register %g2, #scratch
	.register %g3, #scratch

#include <sun4v/window.h>
#include "cpu.h"

	/* From whatever the hypervisor left to a C environment on CPU `cpu`. */
	.macro	ENTER cpu
	wrpr	%g0, 15, %pil
	wrpr	%g0, PSTATE_PRIV, %pstate
	set	trap_table, %g1
	wrpr	%g1, %tba
	RESET_WINDOWS
	wrpr	%g0, 0, %tl
	wrpr	%g0, 0, %gl
	wr	%g0, ASI_PRIMARY, %asi
	wr	%g0, 0, %fprs
	stxa	\cpu, [%g0] ASI_SCRATCHPAD
	.endm

	.section .head, "ax"
	.global	image_start
image_start:
	.ascii	"rover, a guest kernel of ldomlab"
	ba,a,pt	%xcc, boot
	 nop
	.align	32
	ba,a,pt	%xcc, given_up
	 nop
	.align	64

	/* %i0, %i1: base and bytes of memory; CWP is 0 */
boot:
	set	bss_start, %l0
	set	bss_end, %l1
1:	stx	%g0, [%l0]
	add	%l0, 8, %l0
	cmp	%l0, %l1
	blu,pt	%xcc, 1b
	 nop
	set	cpus, %l2
	set	boot_stack_top - FRAME_BYTES - STACK_BIAS, %sp
	ENTER	%l2
	mov	%i0, %o0
	mov	%i1, %o1
	clr	%fp
	call	rover_boot
	 clr	%i7
0:	ba,a,pt	%xcc, 0b
	 nop

	/* cpu_start: %o0 is the struct cpu */
	.global	secondary_entry
secondary_entry:
	ENTER	%o0
	ldx	[%o0 + CPU_STACK_TOP], %sp
	clr	%fp
	call	rover_secondary
	 clr	%i7
0:	ba,a,pt	%xcc, 0b
	 nop

	/* The hypervisor's verdict: a trap that could not be delivered. */
given_up:
	ba,pt	%xcc, report
	 mov	1, %g4

	/* A trap nobody expects: say what it was, and end. */
	.global	unexpected
unexpected:
	mov	0, %g4
report:
	rdpr	%tt, %g1
	rdpr	%tpc, %g2
	rdpr	%tl, %g3
	ldxa	[%g0] ASI_SCRATCHPAD, %g5
	mov	0, %g6
	brz,pn	%g5, 1f
	 nop
	ldx	[%g5 + CPU_FAULT_AREA + FAULT_D_ADDR], %g6
1:	wrpr	%g0, 15, %pil
	wrpr	%g0, PSTATE_PRIV, %pstate
	RESET_WINDOWS
	mov	%g1, %o0
	mov	%g2, %o1
	mov	%g3, %o2
	mov	%g4, %o3
	mov	%g6, %o4
	wrpr	%g0, 0, %tl
	wrpr	%g0, 0, %gl
	set	panic_stack_top - FRAME_BYTES - STACK_BIAS, %sp
	clr	%fp
	call	panic_trap
	 clr	%i7
0:	ba,a,pt	%xcc, 0b
	 nop

	.text
	/* u64 mmu_on(void): 0, or the hypervisor's status */
	.global	mmu_on
	.type	mmu_on, #function
mmu_on:
	mov	1, %o0
	set	1f, %o1
	mov	0x27, %o5		/* mmu_enable */
	ta	HV_FAST_TRAP
	retl				/* it returns here on error only */
	 nop
1:	retl
	 clr	%o0
	.size	mmu_on, . - mmu_on

	.section .bss
	.align	64
	.skip	CPU_STACK_BYTES
boot_stack_top:
	.skip	64
	.skip	4096
panic_stack_top:
	.skip	64

	.section .note.GNU-stack, "", @progbits
