/*
 * The trap table and its handlers.
 *
 * Everything is served with the trap level's own globals and touches only
 * memory of the permanent mapping; no handler calls C or takes a lock. An
 * interrupt sets a 32-bit flag, whose address it brings along, to 1; whoever
 * owns the flag looks at it outside the trap.
 */
	.register %g2, #scratch
	.register %g3, #scratch
	.register %g6, #scratch
	.register %g7, #scratch

#include <sun4v/window.h>
#include "cpu.h"

	.macro	GO handler
	ba,a,pt	%xcc, \handler
	 nop
	.align	32
	.endm

	.macro	HALF
	TRAP_TABLE
	TRAP_AT	TT_CLEAN_WINDOW, 4, unexpected
	CLEAN_WINDOW
	.align	128
	TRAP_AT	TT_DATA_MISS, 1, unexpected
	GO	data_miss
	TRAP_AT	TT_LEVEL_14, 1, unexpected
	GO	level_14
	TRAP_AT	TT_FAST_DATA_MISS, 4, unexpected
	GO	data_miss
	.align	128
	TRAP_AT	TT_CPU_MONDO, 1, unexpected
	GO	cpu_mondo
	TRAP_AT	TT_DEV_MONDO, 1, unexpected
	GO	dev_mondo
	TRAP_AT	TT_RESUMABLE, 1, unexpected
	GO	resumable
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
	.global	trap_table
trap_table:
	HALF				/* trap level was 0 */
	HALF				/* trap level was 1 */

	.text
	/*
	 * A page of memory is used for the first time: its TTE is made and put
	 * into this vCPU's TSB, where the walk will find it. Virtual addresses
	 * equal real ones, pages are 4 MB. The tag is written last, and is no tag
	 * at all while the data changes.
	 */
data_miss:
	ldxa	[%g0] ASI_SCRATCHPAD, %g1
	ldx	[%g1 + CPU_FAULT_AREA + FAULT_D_ADDR], %g2
	ldx	[%g1 + CPU_MEMORY_BASE], %g3
	ldx	[%g1 + CPU_MEMORY_END], %g4
	cmp	%g2, %g3
	blu,pn	%xcc, unexpected
	 cmp	%g2, %g4
	bgeu,pn	%xcc, unexpected
	 srlx	%g2, TTE_4M_SHIFT, %g2
	ldx	[%g1 + CPU_TTE], %g3
	sllx	%g2, TTE_4M_SHIFT, %g4
	or	%g3, %g4, %g3		/* data */
	and	%g2, CPU_TSB_ENTRIES - 1, %g4
	sllx	%g4, 4, %g4
	ldx	[%g1 + CPU_TSB], %g5
	add	%g4, %g5, %g4		/* entry */
	mov	-1, %g5
	stx	%g5, [%g4]
	stx	%g3, [%g4 + 8]
	stx	%g2, [%g4]		/* tag: context 0, VA 63:22 */
	retry

	/* STICK_CMPR matched: the scheduler, back from its yield, sees the time. */
level_14:
	sethi	%hi(SOFTINT_STICK), %g1
	or	%g1, 1, %g1
	wr	%g1, 0, %clear_softint
	retry

	/* Empties a mondo queue; word 0 of an entry is the address of a flag. */
	.macro	DRAIN head, queue
	ldxa	[%g0] ASI_SCRATCHPAD, %g1
	ldx	[%g1 + \queue], %g1
	mov	\head, %g2
	mov	\head + QUEUE_TAIL, %g3
	ldxa	[%g2] ASI_QUEUE, %g4
	ldxa	[%g3] ASI_QUEUE, %g3
	mov	1, %g6
1:	cmp	%g4, %g3
	be,pn	%xcc, 2f
	 nop
	ldx	[%g1 + %g4], %g5
	st	%g6, [%g5]
	add	%g4, QUEUE_ENTRY_BYTES, %g4
	ba,pt	%xcc, 1b
	 and	%g4, CPU_QUEUE_BYTES - 1, %g4
2:	stxa	%g4, [%g2] ASI_QUEUE
	membar	#Sync
	retry
	.endm

cpu_mondo:
	DRAIN	QUEUE_CPU_MONDO_HEAD, CPU_CPU_QUEUE
dev_mondo:
	DRAIN	QUEUE_DEV_MONDO_HEAD, CPU_DEV_QUEUE

	/* Error reports that one may live with: counted, and told later. */
resumable:
	ldxa	[%g0] ASI_SCRATCHPAD, %g1
	lduw	[%g1 + CPU_REPORTS], %g2
	inc	%g2
	st	%g2, [%g1 + CPU_REPORTS]
	mov	QUEUE_RESUMABLE_HEAD + QUEUE_TAIL, %g2
	ldxa	[%g2] ASI_QUEUE, %g3
	mov	QUEUE_RESUMABLE_HEAD, %g2
	stxa	%g3, [%g2] ASI_QUEUE
	membar	#Sync
	retry

	.section .note.GNU-stack, "", @progbits
