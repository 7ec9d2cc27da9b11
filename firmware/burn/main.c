/* Computes without end but for a count: what two domains side by side are timed by. */
#include <sun4v/hcall.h>

#include "../common/format.h"

#define ROUNDS 8u
#define STEPS  4000000ul

static void print(const struct line *line)
{
    for (usize n = 0; n < line->length; n++)
        while (hv_cons_putchar((u8)line->text[n]) == HV_EWOULDBLOCK)
            ;
}

void bare_unexpected(u64 tt, u64 tpc, u64 tl)
{
    char text[96];
    struct line line = line_in(text, sizeof text);

    line_format(&line, "burn: unexpected trap tt=%x tpc=%x tl=%u\n", tt, tpc, tl);
    print(&line);
    hv_mach_exit(2);
}

/* A register-only generator, with a table of its own to read and write. */
static u64 mix(u64 state)
{
    static u64 table[1024];

    for (u64 n = 0; n < STEPS; n++) {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        table[state & 1023] += state;
        state += table[(state >> 20) & 1023];
    }
    return state;
}

void bare_main(u64 memory_base, u64 memory_bytes)
{
    char text[96];
    u64 state = 88172645463325252ul;

    hv_api_set_version(HV_GROUP_CORE, 1, 1);
    for (u64 round = 1; round <= ROUNDS; round++) {
        struct line line = line_in(text, sizeof text);

        state = mix(state);
        line_format(&line, "burn: round %u of %u, sum 0x%x\n", round, (u64)ROUNDS, state);
        print(&line);
    }
    hv_mach_exit(0);
}
