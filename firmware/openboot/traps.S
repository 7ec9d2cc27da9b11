/*
 * The trap table, in force until a client sets its own.
 *
 * Misses are served from the list of mappings, and from the window through which
 * all memory can be reached: the TTE is put into one of the two tables, where
 * the walk will find it. Handlers use the trap level's globals and touch only
 * the firmware's own page, which is always in the second table.
 */
	.register %g2, #scratch
	.register %g3, #scratch
	.register %g6, #scratch
	.register %g7, #scratch

#include <sun4v/window.h>
#include "layout.h"

#define TTE_FLAGS (TTE_CP | TTE_CV | TTE_P | TTE_X | TTE_W)

	.macro	GO handler
	ba,a,pt	%xcc, \handler
	 nop
	.align	32
	.endm

	.macro	HALF
	TRAP_TABLE
	TRAP_AT	TT_INSN_MISS, 1, unexpected
	GO	insn_miss
	TRAP_AT	TT_CLEAN_WINDOW, 4, unexpected
	CLEAN_WINDOW
	.align	128
	TRAP_AT	TT_DATA_MISS, 1, unexpected
	GO	data_miss
	TRAP_AT	TT_FAST_INSN_MISS, 4, unexpected
	GO	insn_miss
	.align	128
	TRAP_AT	TT_FAST_DATA_MISS, 4, unexpected
	GO	data_miss
	.align	128
	TRAP_AT	TT_SPILL_0_NORMAL, 64, unexpected
	.rept	16
	SPILL_WINDOW
	.align	128
	.endr
	TRAP_AT	TT_FILL_0_NORMAL, 64, unexpected
	.rept	16
	FILL_WINDOW
	.align	128
	.endr
	TRAP_AT	0x200, 0, unexpected
	.endm

	.section .traps, "ax"
	.align	32768
	.global	trap_table
trap_table:
	HALF				/* trap level was 0 */
	HALF				/* trap level was 1 */

	.text
insn_miss:
	mov	SCRATCH_CPU, %g1
	ldxa	[%g1] ASI_SCRATCHPAD, %g1
	ba,pt	%xcc, miss
	 ldx	[%g1 + CPU_FAULT_AREA + FAULT_I_ADDR], %g2
data_miss:
	mov	SCRATCH_CPU, %g1
	ldxa	[%g1] ASI_SCRATCHPAD, %g1
	ldx	[%g1 + CPU_FAULT_AREA + FAULT_D_ADDR], %g2
	/* %g2: the address, to which we find %g3: real address, %g4: TTE bits and size */
miss:
	srlx	%g2, WINDOW_SHIFT, %g3
	cmp	%g3, 1
	be,pn	%xcc, window
	 sethi	%hi(mappings), %g5
	or	%g5, %lo(mappings), %g5
	sethi	%hi(mapping_count), %g6
	ldx	[%g6 + %lo(mapping_count)], %g6
1:	brz,pn	%g6, unexpected
	 dec	%g6
	ldx	[%g5 + MAP_VA], %g3
	cmp	%g2, %g3
	blu,pt	%xcc, 2f
	 ldx	[%g5 + MAP_END], %g4
	cmp	%g2, %g4
	blu,pt	%xcc, 3f
	 nop
2:	ba,pt	%xcc, 1b
	 add	%g5, MAP_BYTES, %g5
3:	ldx	[%g5 + MAP_RA], %g4
	sub	%g2, %g3, %g3
	add	%g3, %g4, %g3
	ba,pt	%xcc, insert
	 ldx	[%g5 + MAP_TTE], %g4
window:
	sllx	%g3, WINDOW_SHIFT, %g3
	sub	%g2, %g3, %g3
	mov	1, %g4
	sllx	%g4, 63, %g4
	or	%g4, TTE_FLAGS | TTE_4M, %g4
insert:
	srlx	%g2, TTE_4M_SHIFT, %g5		/* tag: context 0, VA 63:22 */
	btst	TTE_4M, %g4
	bz,pt	%xcc, small
	 and	%g5, TSB_ENTRIES - 1, %g6
	cmp	%g6, FIRMWARE_SLOT
	be,pn	%xcc, small			/* that place is taken */
	 andn	%g4, TTE_4M, %g7
	srlx	%g3, TTE_4M_SHIFT, %g3
	sllx	%g3, TTE_4M_SHIFT, %g3
	or	%g3, %g4, %g3
	sethi	%hi(tsb_large), %g7
	ba,pt	%xcc, store
	 or	%g7, %lo(tsb_large), %g7
small:
	andn	%g4, TTE_4M, %g4
	srlx	%g3, PAGE_BITS, %g3
	sllx	%g3, PAGE_BITS, %g3
	or	%g3, %g4, %g3
	srlx	%g2, PAGE_BITS, %g6
	and	%g6, TSB_ENTRIES - 1, %g6
	sethi	%hi(tsb_small), %g7
	or	%g7, %lo(tsb_small), %g7
	/* The tag is written last, and is no tag at all while the data changes. */
store:
	sllx	%g6, 4, %g6
	add	%g7, %g6, %g7
	mov	-1, %g6
	stx	%g6, [%g7]
	stx	%g3, [%g7 + 8]
	stx	%g5, [%g7]
	retry

	/* A trap nobody expects: say what it was; then the prompt, on the vCPU that the
	 * domain began on. Others say it on a stack of their own, the first of them. */
unexpected:
	mov	SCRATCH_CPU, %g5
	ldxa	[%g5] ASI_SCRATCHPAD, %g5
	sethi	%hi(boot_cpu), %g6
	ldx	[%g6 + %lo(boot_cpu)], %g6
	ldx	[%g5 + CPU_ID], %g7
	cmp	%g6, %g7
	be,pt	%xcc, 1f
	 sethi	%hi(stack_top - FRAME_BYTES - 256 - STACK_BIAS), %g6
	sethi	%hi(others_said), %g6
	ldstub	[%g6 + %lo(others_said)], %g7
	brnz,pn	%g7, 2f
	 sethi	%hi(others_top - FRAME_BYTES - STACK_BIAS), %g6
	ba,pt	%xcc, 3f
	 or	%g6, %lo(others_top - FRAME_BYTES - STACK_BIAS), %g6
2:	mov	0x12, %o5			/* cpu_yield, for ever */
	ta	HV_FAST_TRAP
	ba,a,pt	%xcc, 2b
	 nop
1:	or	%g6, %lo(stack_top - FRAME_BYTES - 256 - STACK_BIAS), %g6
3:	rdpr	%tt, %g1
	rdpr	%tpc, %g2
	rdpr	%tl, %g3
	ldx	[%g5 + CPU_FAULT_AREA + FAULT_D_ADDR], %g4
	wrpr	%g0, 15, %pil
	wrpr	%g0, PSTATE_PRIV, %pstate
	RESET_WINDOWS
	mov	%g1, %o0
	mov	%g2, %o1
	mov	%g3, %o2
	mov	%g4, %o3
	mov	%g6, %sp
	wrpr	%g0, 0, %tl
	wrpr	%g0, 0, %gl
	clr	%fp
	call	trap_report
	 clr	%i7
0:	ba,a,pt	%xcc, 0b
	 nop

	.section .bss
	.align	64
	.skip	8192
others_top:
	.skip	64
others_said:
	.skip	64

	.section .note.GNU-stack, "", @progbits
