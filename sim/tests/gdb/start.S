	.section .note.GNU-stack,"",@progbits
	.text
	.globl _start
_start:
	wrpr	%g0, 0, %tl
	wrpr	%g0, 0, %gl
	set	0x500000 - 2047 - 192, %sp
	clr	%fp
	call	begin
	 nop
