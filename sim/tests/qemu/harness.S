! Runs cases that it reads, and writes back what they leave. See harness.rs for the
! protocol and case.rs for the layout of a record.
!
! A case is code below CODE that ends with a branch to CODE, where the way out is. The
! only register that a case has not for itself is %g1.

#define CODE		0x40000000
#define CODE_BYTES	0x20000
! The memory window is at 0x1234000000.
#define WINDOW_HIGH	0x48d
#define RECORD		960
#define RECORDS		1024

#define INTEGERS	64
#define DEPTH1		320
#define DEPTH2		448
#define DOUBLES		576
#define MEMORY		832

	.register %g2, #scratch
	.register %g3, #scratch
	.register %g6, #scratch
	.register %g7, #scratch

	.text
	.global	_start
_start:
	flushw
	set	CODE, %o0
	set	CODE_BYTES, %o1
	call	map
	 nop
	mov	WINDOW_HIGH, %o0
	sllx	%o0, 26, %o0
	call	map
	 mov	128, %o1
	! The way out, at CODE: sethi %hi(leave), %g1; jmp %g1 + %lo(leave); nop.
	set	CODE, %o0
	set	way_out, %o1
	ldx	[%o1], %o2
	stx	%o2, [%o0]
	ldx	[%o1 + 8], %o2
	stx	%o2, [%o0 + 8]

! A batch: records, where code goes, bytes of code; the code; the records.
batch:
	set	header, %o0
	call	receive
	 mov	24, %o1
	set	header, %l0
	ldx	[%l0 + 8], %o0
	call	receive
	 ldx	[%l0 + 16], %o1
	ldx	[%l0], %l1
	mulx	%l1, RECORD, %o1
	set	records, %o0
	call	receive
	 nop
	set	control, %l2
	set	records, %l3
	stx	%l3, [%l2]
	stx	%l1, [%l2 + 8]

enter:
	set	control, %g1
	ldx	[%g1], %g1
	! QEMU may keep an exception of an instruction for the next one. No traps: word 7
	! of a record is zero.
	ldx	[%g1 + 56], %fsr
	faddd	%f0, %f0, %f2

	mov	WINDOW_HIGH, %g3
	sllx	%g3, 26, %g3
	.irp	n, 0, 8, 16, 24, 32, 40, 48, 56, 64, 72, 80, 88, 96, 104, 112, 120
	ldx	[%g1 + MEMORY + \n], %g2
	stx	%g2, [%g3 + \n]
	.endr
	.irp	n, 0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30, 32, 34, 36, 38, 40, 42, 44, 46, 48, 50, 52, 54, 56, 58, 60, 62
	ldd	[%g1 + DOUBLES + 4 * \n], %f\n
	.endr
	ldx	[%g1 + 16], %g2
	wr	%g2, %g0, %y
	ldx	[%g1 + 24], %g2
	wr	%g2, %g0, %asi
	ldx	[%g1 + 32], %g2
	wr	%g2, %g0, %gsr
	ldx	[%g1 + 40], %fsr
	ldx	[%g1 + 48], %g2
	wr	%g2, %g0, %fprs
	ldx	[%g1 + 8], %g2
	wr	%g2, %g0, %ccr
	save	%g0, %g0, %g0
	save	%g0, %g0, %g0
	.irp	n, 0, 1, 2, 3, 4, 5, 6, 7
	ldx	[%g1 + DEPTH2 + 8 * \n], %o\n
	ldx	[%g1 + DEPTH2 + 64 + 8 * \n], %l\n
	.endr
	restore
	.irp	n, 0, 1, 2, 3, 4, 5, 6, 7
	ldx	[%g1 + DEPTH1 + 8 * \n], %o\n
	ldx	[%g1 + DEPTH1 + 64 + 8 * \n], %l\n
	.endr
	restore
	.irp	n, 0, 1, 2, 3, 4, 5, 6, 7
	ldx	[%g1 + INTEGERS + 64 + 8 * \n], %o\n
	ldx	[%g1 + INTEGERS + 128 + 8 * \n], %l\n
	ldx	[%g1 + INTEGERS + 192 + 8 * \n], %i\n
	.endr
	.irp	n, 2, 3, 4, 5, 6, 7
	ldx	[%g1 + INTEGERS + 8 * \n], %g\n
	.endr
	ldx	[%g1], %g1
	jmp	%g1
	 nop

	.align	8
way_out:
	sethi	%hi(leave), %g1
	jmp	%g1 + %lo(leave)
	 nop
	nop

leave:
	sethi	%hi(control), %g1
	ldx	[%g1 + %lo(control)], %g1
	.irp	n, 2, 3, 4, 5, 6, 7
	stx	%g\n, [%g1 + INTEGERS + 8 * \n]
	.endr
	.irp	n, 0, 1, 2, 3, 4, 5, 6, 7
	stx	%o\n, [%g1 + INTEGERS + 64 + 8 * \n]
	stx	%l\n, [%g1 + INTEGERS + 128 + 8 * \n]
	stx	%i\n, [%g1 + INTEGERS + 192 + 8 * \n]
	.endr
	rd	%ccr, %g2
	stx	%g2, [%g1 + 8]
	rd	%y, %g2
	stx	%g2, [%g1 + 16]
	rd	%asi, %g2
	stx	%g2, [%g1 + 24]
	rd	%gsr, %g2
	stx	%g2, [%g1 + 32]
	stx	%fsr, [%g1 + 40]
	rd	%fprs, %g2
	stx	%g2, [%g1 + 48]
	.irp	n, 0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30, 32, 34, 36, 38, 40, 42, 44, 46, 48, 50, 52, 54, 56, 58, 60, 62
	std	%f\n, [%g1 + DOUBLES + 4 * \n]
	.endr
	save	%g0, %g0, %g0
	.irp	n, 0, 1, 2, 3, 4, 5, 6, 7
	stx	%o\n, [%g1 + DEPTH1 + 8 * \n]
	stx	%l\n, [%g1 + DEPTH1 + 64 + 8 * \n]
	.endr
	save	%g0, %g0, %g0
	.irp	n, 0, 1, 2, 3, 4, 5, 6, 7
	stx	%o\n, [%g1 + DEPTH2 + 8 * \n]
	stx	%l\n, [%g1 + DEPTH2 + 64 + 8 * \n]
	.endr
	restore
	restore
	mov	WINDOW_HIGH, %g3
	sllx	%g3, 26, %g3
	.irp	n, 0, 8, 16, 24, 32, 40, 48, 56, 64, 72, 80, 88, 96, 104, 112, 120
	ldx	[%g3 + \n], %g2
	stx	%g2, [%g1 + MEMORY + \n]
	.endr

	set	control, %g2
	add	%g1, RECORD, %g1
	stx	%g1, [%g2]
	ldx	[%g2 + 8], %g3
	subcc	%g3, 1, %g3
	bne,pt	%xcc, enter
	 stx	%g3, [%g2 + 8]

	set	header, %l0
	ldx	[%l0], %l1
	mulx	%l1, RECORD, %l1
	set	records, %l0
send:
	mov	1, %o0
	mov	%l0, %o1
	mov	%l1, %o2
	mov	4, %g1
	ta	0x6d
	bcs,pn	%xcc, fail
	 sub	%l1, %o0, %l1
	brnz,pt	%l1, send
	 add	%l0, %o0, %l0
	ba,a	batch

! Reads %o1 bytes to %o0; the end of the input is the end of the program.
receive:
	mov	%o0, %l6
	mov	%o1, %l7
	mov	%o7, %l5
0:	brz,pn	%l7, 1f
	 mov	0, %o0
	mov	%l6, %o1
	mov	%l7, %o2
	mov	3, %g1
	ta	0x6d
	bcs,pn	%xcc, fail
	 sub	%l7, %o0, %l7
	brnz,pt	%o0, 0b
	 add	%l6, %o0, %l6
	mov	0, %o0
	mov	1, %g1
	ta	0x6d
1:	jmp	%l5 + 8
	 nop

! Maps %o1 bytes at %o0.
map:
	mov	7, %o2
	mov	0x32, %o3
	mov	-1, %o4
	mov	0, %o5
	mov	71, %g1
	ta	0x6d
	bcs,pn	%xcc, fail
	 nop
	retl
	 nop

fail:
	mov	2, %o0
	mov	1, %g1
	ta	0x6d

	.bss
	.align	64
header:
	.skip	24
	.align	16
control:
	.skip	16
	.align	64
records:
	.skip	RECORD * RECORDS
