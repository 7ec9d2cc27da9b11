/* A guest for a debugger: functions that call each other, each in a window of its own. */
typedef unsigned long u64;

volatile u64 counter;
u64 history[8];

static long call(long function, long argument)
{
	register long o0 __asm__("o0") = argument;
	register long o5 __asm__("o5") = function;
	__asm__ volatile("ta 0x80" : "+r"(o0), "+r"(o5) : : "o1", "o2", "o3", "o4", "memory");
	return o0;
}

__attribute__((noinline)) u64 inner(u64 n)
{
	counter = counter + n;
	return n * 3;
}

__attribute__((noinline)) u64 middle(u64 n)
{
	u64 a = inner(n + 1);
	history[n & 7] = a;
	return a + n;
}

__attribute__((noinline)) u64 outer(u64 n)
{
	u64 keep = n * 100;
	__asm__("" : "+r"(keep)); /* in a register, whatever n is */
	u64 b = middle(n);
	return keep + b;
}

void begin(void)
{
	u64 sum = 0;
	for (u64 i = 0; i < 3; i++)
		sum += outer(i);
	call(0x61, '!');
	call(0, sum & 0xff);
	for (;;)
		;
}
