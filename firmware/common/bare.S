/*
 * What the smallest guests begin with: one vCPU, MMU off, no interrupts, real
 * addresses, and a trap table that serves register windows and nothing else.
 * Calls bare_main(memory base, bytes), or bare_unexpected(tt, tpc, tl).
 */
	.register %g2, #scratch
	.register %g3, #scratch

#include <sun4v/window.h>

	.section .head, "ax"
	.global	image_start
image_start:
	.ascii	"a bare sun4v guest              "
	/* +0x20: where the hypervisor starts a guest */
	ba,a,pt	%xcc, boot
	 nop
	.align	32
	/* +0x40: where it puts a vCPU that it gave up on */
	ba,a,pt	%xcc, unexpected
	 nop
	.align	64

boot:
	mov	%i1, %l1		/* bytes of memory */
	mov	%i0, %l0		/* its real address */
	wrpr	%g0, 15, %pil
	wrpr	%g0, PSTATE_PRIV, %pstate
	set	trap_table, %g1
	wrpr	%g1, %tba
	RESET_WINDOWS
	mov	%l0, %o0
	mov	%l1, %o1
	wrpr	%g0, 0, %tl
	wrpr	%g0, 0, %gl
	wr	%g0, ASI_PRIMARY, %asi
	set	bss_start, %g1
	set	bss_end, %g2
1:	stx	%g0, [%g1]
	add	%g1, 8, %g1
	cmp	%g1, %g2
	blu,pt	%xcc, 1b
	 nop
	set	stack_top - FRAME_BYTES - STACK_BIAS, %sp
	clr	%fp
	call	bare_main
	 clr	%i7
0:	ba,a,pt	%xcc, 0b
	 nop

unexpected:
	rdpr	%tt, %g1
	rdpr	%tpc, %g2
	rdpr	%tl, %g3
	RESET_WINDOWS
	mov	%g1, %o0
	mov	%g2, %o1
	mov	%g3, %o2
	wrpr	%g0, 0, %tl
	wrpr	%g0, 0, %gl
	set	stack_top - FRAME_BYTES - STACK_BIAS, %sp
	call	bare_unexpected
	 nop

	.macro	HALF
	TRAP_TABLE
	TRAP_AT	TT_CLEAN_WINDOW, 4, unexpected
	CLEAN_WINDOW
	.align	128
	TRAP_AT	TT_SPILL_0_NORMAL, 4, unexpected
	SPILL_WINDOW
	.align	128
	TRAP_AT	TT_FILL_0_NORMAL, 4, unexpected
	FILL_WINDOW
	.align	128
	TRAP_AT	0x200, 0, unexpected
	.endm

	.section .traps, "ax"
	.align	32768
trap_table:
	HALF
	HALF

	.section .bss
	.align	64
	.skip	8192
stack_top:
	.skip	64

	.section .note.GNU-stack, "", @progbits
