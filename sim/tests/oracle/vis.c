/* Prints, for each VIS instruction and many operands:
 *   mnemonic gsr rs1 rs2 rd -> rd ccr gsr
 * in hexadecimal. Singles are in the low half. */
#include "common.h"

static const uint16_t EDGES[] = {
	0x0000, 0x0001, 0x007f, 0x0080, 0x00ff, 0x0100, 0x7fff, 0x8000, 0x8001, 0xff80, 0xffff,
};

/* Half of the lanes are at an edge of their range. */
static uint64_t lanes(void)
{
	uint64_t all = 0, pick = any();
	for (int lane = 0; lane < 4; lane++, pick >>= 8) {
		uint16_t value = pick & 1 ? EDGES[(pick >> 1 & 127) % 11] : (uint16_t)(any() >> 20);
		all = all << 16 | value;
	}
	return all;
}

static uint64_t some_gsr(void)
{
	return any() & 0xffffffff000000ffu;
}

static void say(const char *name, uint64_t gsr, uint64_t a, uint64_t b, uint64_t d, uint64_t rd,
		uint64_t ccr, uint64_t after)
{
	printf("%s %lx %lx %lx %lx -> %lx %lx %lx\n", name, gsr, a, b, d, rd, ccr, after);
}

#define COUNT 400
#define EACH for (int i = 0; i < COUNT; i++)
#define GIVEN "wr %4, 0, %%gsr\n\t"

/* QEMU reads a single source as the low half of a double register, so each single
 * is in both halves of one. */
#define DOUBLED(x) ((uint64_t)(x) << 32 | (uint32_t)(x))

#define OP(name, aset, bset, R, rset, text)                                        \
	EACH {                                                                     \
		uint64_t gsr = some_gsr();                                         \
		D a = {.u = lanes()};                                              \
		D b = {.u = i % 5 ? lanes() : a.u};                                \
		a.u = aset(a.u);                                                   \
		b.u = bset(b.u);                                                   \
		R r = {.u = lanes()}, d = r;                                       \
		register double ra __asm__("f8") = a.f, rb __asm__("f12") = b.f;   \
		__asm__ volatile(GIVEN name text                                   \
				 : rset(r.f) : "e"(ra), "e"(rb), "0"(d.f), "r"(gsr)); \
		say(name, gsr, a.u, b.u, d.u, r.u, 0, gsr);                        \
	}
#define DDD(name) OP(name, , , D, "=e", " %1, %2, %0")
#define SDD(name) OP(name, DOUBLED, , D, "=e", " %1, %2, %0")
#define SSD(name) OP(name, DOUBLED, DOUBLED, D, "=e", " %1, %2, %0")
#define SSS(name) OP(name, DOUBLED, DOUBLED, S, "=f", " %1, %2, %0")
#define SD(name) OP(name, DOUBLED, DOUBLED, D, "=e", " %2, %0")
#define DS(name) OP(name, , , S, "=f", " %2, %0")
#define DD(name) OP(name, , , D, "=e", " %2, %0")
#define SS(name) OP(name, DOUBLED, DOUBLED, S, "=f", " %2, %0")
#define DD1(name) OP(name, , , D, "=e", " %1, %0")
#define SS1(name) OP(name, DOUBLED, DOUBLED, S, "=f", " %1, %0")
#define D0(name) OP(name, , , D, "=e", " %0")
#define S0(name) OP(name, DOUBLED, DOUBLED, S, "=f", " %0")
#define BOTH(name) DDD(name "d") SSS(name "s")

#define DDR(name)                                                                  \
	EACH {                                                                     \
		uint64_t rd;                                                       \
		D a = {.u = lanes()}, b = {.u = i % 5 ? lanes() : a.u};            \
		__asm__ volatile(name " %1, %2, %0" : "=r"(rd) : "e"(a.f), "e"(b.f)); \
		say(name, 0, a.u, b.u, 0, rd, 0, 0);                               \
	}

#define RRR(name)                                                                  \
	EACH {                                                                     \
		uint64_t rd, ccr, after, gsr = some_gsr(), a = any();              \
		uint64_t b = i % 3 == 0 ? any() : i % 3 == 1 ? a ^ any() % 8 : a + any() % 16; \
		__asm__ volatile("wr %5, 0, %%gsr\n\twr %%g0, 0, %%ccr\n\t"        \
				 name " %3, %4, %0\n\trd %%ccr, %1\n\trd %%gsr, %2" \
				 : "=&r"(rd), "=&r"(ccr), "=&r"(after)             \
				 : "r"(a), "r"(b), "r"(gsr) : "cc");               \
		say(name, gsr, a, b, 0, rd, ccr, after);                           \
	}

int main(void)
{
	RRR("edge8cc") RRR("edge8n") RRR("edge8lcc") RRR("edge8ln")
	RRR("edge16cc") RRR("edge16n") RRR("edge16lcc") RRR("edge16ln")
	RRR("edge32cc") RRR("edge32n") RRR("edge32lcc") RRR("edge32ln")
	RRR("array8") RRR("array16") RRR("array32")
	RRR("alignaddr") RRR("alignaddrl") RRR("bmask")
	DDR("fpcmple16") DDR("fpcmpne16") DDR("fpcmple32") DDR("fpcmpne32")
	DDR("fpcmpgt16") DDR("fpcmpeq16") DDR("fpcmpgt32") DDR("fpcmpeq32")
	SDD("fmul8x16") SSD("fmul8x16au") SSD("fmul8x16al")
	DDD("fmul8sux16") DDD("fmul8ulx16") SSD("fmuld8sux16") SSD("fmuld8ulx16")
	DDD("fpack32") DS("fpack16") DS("fpackfix") DDD("pdist")
	DDD("faligndata") SSD("fpmerge") DDD("bshuffle") SD("fexpand")
	DDD("fpadd16") SSS("fpadd16s") DDD("fpadd32") SSS("fpadd32s")
	DDD("fpsub16") SSS("fpsub16s") DDD("fpsub32") SSS("fpsub32s")
	BOTH("fnor") BOTH("fandnot2") BOTH("fandnot1") BOTH("fxor") BOTH("fnand") BOTH("fand")
	BOTH("fxnor") BOTH("fornot2") BOTH("fornot1") BOTH("for")
	D0("fzerod") S0("fzeros") D0("foned") S0("fones")
	DD("fnot2d") SS("fnot2s") DD("fsrc2d") SS("fsrc2s")
	DD1("fnot1d") SS1("fnot1s") DD1("fsrc1d") SS1("fsrc1s")
	return 0;
}
