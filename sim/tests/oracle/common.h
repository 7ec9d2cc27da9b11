/* Inputs and register shapes of the oracles: programs that execute one instruction
 * after another on numbers of their own and print what came out, a line each. */
#include <stdint.h>
#include <stdio.h>

typedef union { double f; uint64_t u; } D;
typedef union { float f; uint32_t u; } S;

static uint64_t state = 0x9e3779b97f4a7c15u;

static uint64_t any(void)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return state * 0x2545f4914f6cdd1du;
}
