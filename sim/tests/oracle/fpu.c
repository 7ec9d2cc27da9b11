/* Prints, for each floating-point operation that computes or compares, each rounding
 * direction and many operands:
 *   mnemonic fsr rs1 rs2 -> rd fsr
 * in hexadecimal. Singles are in the low half; rd is 0 of a comparison. */
#include "common.h"

/* Ends of the range, small integers, near numbers, anything. */
static uint64_t number(int frac, int exp)
{
	uint64_t pick = any(), bits = any() >> 3, top = (1u << exp) - 1, sign = pick >> 63;
	uint64_t e;
	switch (pick & 7) {
	case 0: e = 0; break;
	case 1: e = top; break;
	case 2: e = top - 1 - (pick >> 8 & 1); break;
	case 3: e = 1 + (pick >> 8 & 3); break;
	case 4: e = pick >> 8 & top; break;
	default: e = top / 2 - 30 + (pick >> 8 & 63); break;
	}
	uint64_t all = ((uint64_t)1 << frac) - 1;
	uint64_t f = bits & all;
	switch (pick >> 16 & 7) {
	case 0: f = 0; break;
	case 1: f = all; break;
	case 2: f = 1; break;
	case 3: f &= (uint64_t)15 << (frac - 4); break;
	case 4: f &= 255; break;
	}
	return sign << (frac + exp) | e << frac | f;
}

static uint64_t d_bits(void) { return number(52, 11); }
static uint64_t s_bits(void) { return number(23, 8); }
static uint64_t x_bits(void) { return (int64_t)any() >> (any() & 63); }
static uint64_t i_bits(void) { return (uint32_t)((int32_t)any() >> (any() & 31)); }

#define SET "ldx [%4], %%fsr\n\t"
#define GET "\n\tstx %%fsr, [%4]"

#define OP(name, A, abits, aset, B, bbits, bset, R, rset, text)                    \
	for (int i = 0; i < 1200; i++) {                                           \
		uint64_t fsr = (uint64_t)(i & 3) << 30, before = fsr;              \
		A a = {.u = abits()};                                              \
		B b = {.u = bbits()};                                              \
		R r = {.u = 0};                                                    \
		if (i % 7 == 0)                                                    \
			b.u = a.u;                                                 \
		__asm__ volatile(SET name text GET                                 \
				 : rset(r.f) : aset(a.f), bset(b.f), "0"(r.f), "r"(&fsr) \
				 : "memory");                                      \
		printf("%s %lx %lx %lx -> %lx %lx\n", name, before, (uint64_t)a.u, \
		       (uint64_t)b.u, (uint64_t)r.u, fsr);                         \
	}
#define DDD(name) OP(name, D, d_bits, "e", D, d_bits, "e", D, "=&e", " %1, %2, %0")
#define SSS(name) OP(name, S, s_bits, "f", S, s_bits, "f", S, "=&f", " %1, %2, %0")
#define SSD(name) OP(name, S, s_bits, "f", S, s_bits, "f", D, "=&e", " %1, %2, %0")
#define TO(name, B, bits, bset, R, rset) OP(name, B, bits, bset, B, bits, bset, R, rset, " %2, %0")
#define CMP_D(name) OP(name, D, d_bits, "e", D, d_bits, "e", D, "=&e", " %%fcc0, %1, %2")
#define CMP_S(name) OP(name, S, s_bits, "f", S, s_bits, "f", S, "=&f", " %%fcc0, %1, %2")

int main(void)
{
	DDD("faddd") DDD("fsubd") DDD("fmuld") DDD("fdivd")
	SSS("fadds") SSS("fsubs") SSS("fmuls") SSS("fdivs")
	SSD("fsmuld")
	TO("fsqrtd", D, d_bits, "e", D, "=&e") TO("fsqrts", S, s_bits, "f", S, "=&f")
	TO("fdtos", D, d_bits, "e", S, "=&f")
	TO("fstoi", S, s_bits, "f", S, "=&f") TO("fdtoi", D, d_bits, "e", S, "=&f")
	TO("fstox", S, s_bits, "f", D, "=&e") TO("fdtox", D, d_bits, "e", D, "=&e")
	TO("fitos", S, i_bits, "f", S, "=&f") TO("fitod", S, i_bits, "f", D, "=&e")
	TO("fxtos", D, x_bits, "e", S, "=&f") TO("fxtod", D, x_bits, "e", D, "=&e")
	CMP_D("fcmpd") CMP_D("fcmped") CMP_S("fcmps") CMP_S("fcmpes")
	/* The last: QEMU keeps its exceptions for the operation after it. */
	TO("fstod", S, s_bits, "f", D, "=&e")
	return 0;
}
