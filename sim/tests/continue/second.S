/* Where the second virtual CPU begins: as bare.S does, on a stack of its own. */
	.register %g2, #scratch
	.register %g3, #scratch

#include <sun4v/window.h>

	.text
	.global	second_entry
second_entry:
	wrpr	%g0, 15, %pil
	wrpr	%g0, PSTATE_PRIV, %pstate
	set	second_tba, %g1
	ldx	[%g1], %g1
	wrpr	%g1, %tba
	RESET_WINDOWS
	wrpr	%g0, 0, %tl
	wrpr	%g0, 0, %gl
	wr	%g0, ASI_PRIMARY, %asi
	set	second_stack + 8192 - FRAME_BYTES - STACK_BIAS, %sp
	clr	%fp
	call	second_main
	 clr	%i7
0:	ba,a,pt	%xcc, 0b
	 nop

	.section .note.GNU-stack, "", @progbits
