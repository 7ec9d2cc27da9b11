/*
 * The image's first bytes, and how vCPUs come here and go on to a client.
 *
 * +0x20 is where the hypervisor starts the guest; +0x40 is where it puts a vCPU
 * that it gave up on. vCPUs arrive with the MMU off, in real memory, where this
 * code must not care about addresses; a hypercall then takes them to the address
 * that the firmware is linked at.
 */
	.register %g2, #scratch
	.register %g3, #scratch

#include <sun4v/window.h>
#include "layout.h"

#define HV_API_SET_VERSION 0
#define HV_TSB_CTX0 0x20
#define HV_FAULT_AREA 0x26
#define HV_MMU_ENABLE 0x27

	/* What is linked at `symbol` is at `reg` + %l7 in real memory. */
	.macro	REAL symbol, reg
	set	\symbol, \reg
	add	\reg, %l7, \reg
	.endm

	/* %l7: real address less linked address. Destroys %o7. */
	.macro	FIND_REAL
0:	rd	%pc, %l7
	set	0b, %o7
	sub	%l7, %o7, %l7
	.endm

	/* Traps, windows, translation: everything of a vCPU whose struct is `reg`
	 * (real). Goes on behind itself at the linked address. */
	.macro	ENTER cpu
	wrpr	%g0, 15, %pil
	wrpr	%g0, PSTATE_PRIV, %pstate
	wrpr	%g0, 0, %tl
	wrpr	%g0, 0, %gl
	wr	%g0, ASI_PRIMARY, %asi
	wr	%g0, 0, %fprs
	set	trap_table, %g1
	wrpr	%g1, %tba
	mov	1, %g1
	sllx	%g1, 63, %g1
	wr	%g1, 0, %asr25			/* no stick match */
	ldx	[\cpu + CPU_ID], %g1
	mov	SCRATCH_ID, %g2
	stxa	%g1, [%g2] ASI_SCRATCHPAD
	sub	\cpu, %l7, %g1
	mov	SCRATCH_CPU, %g2
	stxa	%g1, [%g2] ASI_SCRATCHPAD
	mov	\cpu, %o0
	mov	HV_FAULT_AREA, %o5
	ta	HV_FAST_TRAP
	mov	2, %o0
	REAL	tsb_descriptors, %o1
	mov	HV_TSB_CTX0, %o5
	ta	HV_FAST_TRAP
	mov	1, %o0
	set	8f, %o1
	mov	HV_MMU_ENABLE, %o5
	ta	HV_FAST_TRAP
9:	ba,a,pt	%xcc, 9b			/* it comes back on error only */
	 nop
8:
	.endm

	.section .head, "ax"
	.global	image_start
image_start:
	.ascii	"openboot, firmware of ldomlab   "
	ba,a,pt	%xcc, boot
	 nop
	.align	32
	ba,a,pt	%xcc, given_up
	 nop
	.align	64

	/* %i0, %i1: base and bytes of memory; CWP is 0 */
boot:
	FIND_REAL
	REAL	bss_start, %l0
	REAL	bss_end, %l1
1:	stx	%g0, [%l0]
	add	%l0, 8, %l0
	cmp	%l0, %l1
	blu,pt	%xcc, 1b
	 nop
	/* the firmware's own page, in its place of the second table */
	REAL	tsb_large, %l0
	set	FIRMWARE_SLOT * 16, %l1
	add	%l0, %l1, %l0
	set	FIRMWARE_TAG, %l1
	stx	%l1, [%l0]
	mov	1, %l1
	sllx	%l1, 63, %l1
	or	%l1, TTE_CP | TTE_CV | TTE_P | TTE_X | TTE_W | TTE_4M, %l1
	REAL	image_start, %l2
	or	%l1, %l2, %l1
	stx	%l1, [%l0 + 8]
	/* two descriptors: index size and associativity, entries, context, sizes, base */
	REAL	tsb_descriptors, %l0
	mov	1, %l1
	sth	%g0, [%l0]
	sth	%l1, [%l0 + 2]
	set	TSB_ENTRIES, %l2
	st	%l2, [%l0 + 4]
	st	%l1, [%l0 + 12]
	REAL	tsb_small, %l3
	stx	%l3, [%l0 + 16]
	add	%l0, 32, %l0
	mov	TTE_4M, %l3
	sth	%l3, [%l0]
	sth	%l1, [%l0 + 2]
	st	%l2, [%l0 + 4]
	mov	1 << TTE_4M, %l3
	st	%l3, [%l0 + 12]
	REAL	tsb_large, %l3
	stx	%l3, [%l0 + 16]
	/* nothing is there before it is asked for: the core group, 1.1 */
	mov	1, %o0
	mov	1, %o1
	mov	1, %o2
	mov	HV_API_SET_VERSION, %o5
	ta	HV_CORE_TRAP
	/* who am I */
	mov	0x16, %o5			/* cpu_myid */
	ta	HV_FAST_TRAP
	mov	%o1, %l0
	mulx	%l0, CPU_BYTES, %l1
	REAL	cpus, %l2
	add	%l1, %l2, %l3
	stx	%l0, [%l3 + CPU_ID]
	RESET_WINDOWS
	ENTER	%l3
	set	stack_top - FRAME_BYTES - 256 - STACK_BIAS, %sp
	mov	%i0, %o0
	mov	%i1, %o1
	clr	%fp
	call	firmware_main
	 clr	%i7
0:	ba,a,pt	%xcc, 0b
	 nop

	/* cpu_start: %o0 is the struct cpu, in real memory. On to the client's code. */
	.global	secondary_entry
secondary_entry:
	RESET_WINDOWS
	mov	%o0, %l6
	FIND_REAL
	ENTER	%l6
	sub	%l6, %l7, %l6
	ldx	[%l6 + CPU_PC], %g1
	ldx	[%l6 + CPU_ARGUMENT], %o0
	clr	%fp
	jmpl	%g1, %g0
	 clr	%i7

	/* The hypervisor's verdict: a trap that could not be delivered. Nothing is to be
	 * relied on: it ends the domain. */
given_up:
	rdpr	%tt, %o0
	or	%o0, 0x200, %o0
	mov	0, %o5				/* mach_exit */
	ta	HV_FAST_TRAP
0:	ba,a,pt	%xcc, 0b
	 nop

	.text
	/*
	 * The client interface: %o0 is the argument array. It runs on the caller's stack
	 * with whatever traps are in force, and changes nothing but what a call may.
	 */
	.global	cif_entry
	.type	cif_entry, #function
cif_entry:
	save	%sp, -FRAME_BYTES, %sp
	mov	%g1, %l1
	mov	%g2, %l2
	mov	%g3, %l3
	mov	%g4, %l4
	mov	%g5, %l5
	mov	%g6, %l6
	mov	%g7, %l7
	call	cif
	 mov	%i0, %o0
	mov	%l1, %g1
	mov	%l2, %g2
	mov	%l3, %g3
	mov	%l4, %g4
	mov	%l5, %g5
	mov	%l6, %g6
	mov	%l7, %g7
	ret
	 restore %g0, %o0, %o0
	.size	cif_entry, . - cif_entry

	/* void client_jump(u64 pc, u64 cif, u64 stack): into a client, windows fresh */
	.global	client_jump
	.type	client_jump, #function
client_jump:
	mov	%o0, %g1
	mov	%o1, %g2
	mov	%o2, %g3
	RESET_WINDOWS
	wrpr	%g0, PSTATE_PRIV, %pstate
	wr	%g0, ASI_PRIMARY, %asi
	mov	%g3, %sp
	clr	%fp
	clr	%i7
	clr	%o0
	clr	%o1
	clr	%o2
	mov	%g2, %o3
	mov	%g2, %o4
	clr	%o5
	jmpl	%g1, %g0
	 clr	%o7
	.size	client_jump, . - client_jump

	/* void on_own_stack(void (*what)(void)): never comes back */
	.global	on_own_stack
	.type	on_own_stack, #function
on_own_stack:
	flushw
	mov	%o0, %g1
	set	stack_top - FRAME_BYTES - 256 - STACK_BIAS, %sp
	clr	%fp
	call	%g1
	 clr	%i7
0:	ba,a,pt	%xcc, 0b
	 nop
	.size	on_own_stack, . - on_own_stack

	.section .bss
	.align	8192
	.global	tsb_small, tsb_large, tsb_descriptors
tsb_small:
	.skip	TSB_ENTRIES * 16
tsb_large:
	.skip	TSB_ENTRIES * 16
	.align	64
	.global	cpus
cpus:
	.skip	CPU_BYTES * CPUS_MAX
tsb_descriptors:
	.skip	64
	.align	64
	.skip	STACK_BYTES
	.global	stack_top
stack_top:
	.skip	256

	.section .note.GNU-stack, "", @progbits
