/*
 * The hostile guest: every vCPU follows a random stream of its own and asks the
 * hypervisor and its devices for whatever comes. What it asks is half plausible,
 * so that it gets past the first check, and half nonsense.
 *
 * It keeps to nothing: API groups are closed under its own feet, mappings and
 * stacks vanish, siblings are stopped in mid-call. A vCPU that is lost comes back
 * through the watchdog or is started again by a sibling.
 */
#include <sun4v/arch.h>
#include <sun4v/hcall.h>

#include "../common/format.h"
#include "../rover/clock.h"
#include "../rover/lock.h"
#include "hostile.h"
#include "random.h"
#include "talk.h"

/* The image has the first 4 MB; what is behind may be destroyed at will. */
#define IMAGE_BYTES (4ul << 20)
#define STACK_BYTES 8192
/* A vCPU that sleeps wakes after so many ticks. */
#define NAP_TICKS 20000
/* Turns between two reports. */
#define TELL_TURNS 256
/* One turn in so many ends the guest, or starts it again. */
#define END_TURNS 12000

struct strand hostile_strands[STRANDS_MAX] ALIGNED(128);
u64 arena_base, arena_bytes;

static u8 stacks[STRANDS_MAX][STACK_BYTES] ALIGNED(64);
static u64 memory_first, memory_last;
static u64 seed;

static const u16 functions[] = {
    0x01, 0x05, 0x10, 0x11, 0x12, 0x13, 0x14, 0x15, 0x16, 0x17, 0x18, 0x19, 0x20, 0x21, 0x22,
    0x23, 0x24, 0x25, 0x26, 0x27, 0x28, 0x29, 0x2a, 0x2b, 0x31, 0x32, 0x42, 0x50, 0x51, 0x60,
    0x61, 0x62, 0x63, 0x70, 0x71, 0x90, 0x91, 0x92, 0x93, 0x94, 0x95, 0xa0, 0xa1, 0xa2, 0xa3,
    0xa4, 0xa5, 0xa6, 0xa7, 0xa8, 0xa9, 0xaa, 0xab, 0xac, 0xad, 0xae, 0xb0, 0xb1, 0xb2, 0xb3,
    0xb4, 0xb5, 0xb6, 0xb7, 0xb8, 0xc0, 0xc1, 0xc2, 0xc3, 0xc4, 0xc5, 0xc6, 0xc7, 0xc8, 0xc9,
    0xca, 0xcb, 0xcc, 0xcd, 0xce, 0xd0, 0xd1, 0xd2, 0xd3, 0xe0, 0xe1, 0xe2, 0xe3, 0xe4, 0xe5,
    0xe6, 0xe7, 0xea, 0xeb, 0xec, 0xed, 0xee, 0xef, 0x104, 0x105, 0x110, 0x111, 0x112, 0x113,
    0x114, 0x115, 0x116, 0x117, 0x130, 0x131, 0x132, 0x133, 0x134, 0x140, 0x141, 0x142, 0x143,
    0x144, 0x145, 0x200, 0x201,
};
static const u16 groups[] = {0x000, 0x001, 0x002, 0x003, 0x100, 0x101, 0x103,
                             0x104, 0x202, 0x203, 0x204, 0x300};

u64 ask(struct strand *self, u64 function, u64 a0, u64 a1, u64 a2, u64 a3, u64 a4, u64 *ret1)
{
    u64 args[5] = {a0, a1, a2, a3, a4}, rets[6];
    u64 status = hostile_trap(HV_FAST_TRAP_NUMBER, function, args, rets);

    self->calls++;
    self->granted += status == HV_EOK;
    if (ret1)
        *ret1 = rets[1];
    return status;
}

u64 arena(struct strand *self, u64 align)
{
    return arena_base + (below(self, arena_bytes) & -align);
}

/* An address: mostly our own, at times near an edge, or somebody else's. */
static u64 address(struct strand *self)
{
    static const u64 steps[] = {1, 2, 8, 16, 32, 64, 64, 256, 4096, 8192, 8192, 65536};
    u64 step = steps[below(self, COUNT_OF(steps))];

    switch (below(self, 24)) {
    case 0:
        return memory_last - below(self, 130);
    case 1:
        return memory_last + below(self, 1 << 20);
    case 2:
        return memory_first - below(self, 1 << 20);
    case 3: /* where the hypervisor and other domains are, were it physical */
        return below(self, 1ul << 32) & -step;
    case 4:
        return draw(self) & -step;
    case 5:
        return 0x4000000000ul + (below(self, 1ul << 32) & -step);
    default:
        return arena(self, step);
    }
}

/* An argument of anything. */
static u64 argument(struct strand *self)
{
    switch (below(self, 20)) {
    case 0:
        return draw(self);
    case 1:
        return below(self, STRANDS_MAX + 1);
    case 2:
        return 1ul << below(self, 64);
    case 3:
        return (1ul << below(self, 16)) - 1;
    case 4:
        return 0x3c + below(self, 5);
    case 5:
        return hit(self, 2) ? 0x100 : 0x200;
    case 6:
        return below(self, 1 << 11);
    case 7:
        return below(self, 64) << 6;
    case 8:
        return 2ul << below(self, 12);
    case 9:
        return -below(self, 66);
    case 10:
        return TTE_V | arena(self, 8192) | (draw(self) & 0x1fff);
    case 11:
        return 0;
    case 12:
    case 13:
        return below(self, 16);
    default:
        return address(self);
    }
}

static void anything(struct strand *self)
{
    u64 args[5], rets[6], trap = HV_FAST_TRAP_NUMBER, function;

    for (u64 n = 0; n < 5; n++)
        args[n] = argument(self);
    function = functions[below(self, COUNT_OF(functions))];
    switch (below(self, 32)) {
    case 0:
        trap = below(self, 256);
        break;
    case 1:
        function = below(self, 0x240);
        break;
    case 2:
        function = draw(self);
        break;
    case 3:
        trap = 0x83 + below(self, 3);
        break;
    case 4:
        trap = 0xff;
        function = below(self, 5);
        break;
    }
    /* Ends have a place of their own. */
    if ((trap == 0x80 && (function == 0 || function == 2)) || (trap == 0xff && function == 2))
        return;
    if (trap == 0x80 && function == 0x27)
        args[1] = hit(self, 8) ? args[1] : RA(hostile_resumed);
    if (trap == 0x80 && function == 0x10 && !hit(self, 8)) {
        args[1] = RA(hostile_entry);
        args[2] = RA(hostile_base);
    }
    self->calls++;
    self->granted += hostile_trap(trap, function, args, rets) == HV_EOK;
    if (trap == 0x80 && function == 0x18)
        ask(self, 0x18, RA(hostile_base), 0, 0, 0, 0, 0);
}

static void negotiate(struct strand *self)
{
    for (u64 n = 0; n < COUNT_OF(groups); n++) {
        u64 major = groups[n] == 0x103 && !hit(self, 8) ? 2 : 1;
        hv_api_set_version(groups[n], major, 1);
    }
}

static void queues(struct strand *self)
{
    u64 entries = 2ul << below(self, 8);
    u64 queue = 0x3c + below(self, 4);

    ask(self, 0x14, queue, arena(self, entries * 64), entries, 0, 0, 0);
}

/* A mondo to some siblings, or to nobody. */
static void mondo(struct strand *self)
{
    u64 list = arena(self, 64), data = arena(self, 64), count = below(self, 10);

    for (u64 n = 0; n < count; n++)
        ((u16 *)list)[n] = (u16)(hit(self, 16) ? draw(self) : below(self, STRANDS_MAX));
    ask(self, 0x42, count, list, data, 0, 0, 0);
}

static void siblings(struct strand *self)
{
    u64 other = below(self, STRANDS_MAX);

    if (hit(self, 3))
        ask(self, 0x11, other, 0, 0, 0, 0, 0);
    else
        ask(self, 0x10, other, RA(hostile_entry), RA(hostile_base), draw(self), 0, 0);
}

static void write_pstate(u64 value)
{
    __asm__ volatile("wrpr %0, 0, %%pstate" ::"r"(value) : "memory");
}

/* Interrupts are let in for a moment. */
static void listen(struct strand *self)
{
    __asm__ volatile("wrpr %g0, 0, %pil");
    write_pstate(PSTATE_PRIV | PSTATE_IE);
    for (u64 n = below(self, 64); n; n--)
        pause_spin();
    write_pstate(PSTATE_PRIV);
    __asm__ volatile("wrpr %g0, 15, %pil");
}

static void nap(struct strand *self)
{
    __asm__ volatile("wr %0, 0, %%stick_cmpr" ::"r"(stick() + NAP_TICKS));
}

static void wild_accesses(struct strand *self)
{
    static const u16 asis[] = {0x14, 0x15, 0x1c, 0x20, 0x21, 0x25, 0x80, 0x88, 0x4f, 0x50,
                               0x58, 0x72, 0x73, 0x40, 0x41, 0x10, 0x11, 0x22, 0xe2, 0xf0};

    for (u64 n = below(self, 16); n; n--) {
        u64 at = address(self);
        u64 asi = hit(self, 4) ? below(self, 256) : asis[below(self, COUNT_OF(asis))];

        if (asi < 0x80 && hit(self, 2))
            at = below(self, 0x400) & (hit(self, 4) ? ~0ul : ~7ul);
        switch (below(self, 4)) {
        case 0:
            hostile_load(at, asi);
            break;
        case 1: /* block stores and such change 64 bytes, of the arena only */
            hostile_store(at < memory_first || at > memory_last ? at : arena(self, 64), asi,
                          draw(self));
            break;
        case 2:
            hostile_peek(at);
            break;
        default:
            if (at < memory_first || at >= arena_base)
                hostile_poke(at, draw(self));
        }
    }
}

/* Some words that nobody has thought of, ended by a return. */
static void wild_code(struct strand *self)
{
    u32 *code = (u32 *)arena(self, 64);

    for (u64 n = 0; n < WILD_WORDS; n++)
        code[n] = (u32)draw(self);
    code[WILD_WORDS] = 0x81c3e008; /* retl */
    code[WILD_WORDS + 1] = 0x01000000;
    hostile_jump(RA(code));
}

static void translations(struct strand *self)
{
    u64 count = 1 + below(self, 5), descriptors = arena(self, 64);
    static const u8 sizes[] = {0, 1, 3, 5, 2};

    /* Our own image stays where it is, as long as nobody unmaps it. */
    ask(self, 0x25, RA(hostile_base) & ~(IMAGE_BYTES - 1), 0,
        TTE_V | TTE_CP | TTE_CV | TTE_P | TTE_X | TTE_W | TTE_4M |
            (RA(hostile_base) & ~(IMAGE_BYTES - 1)),
        3, 0, 0);
    ask(self, 0x26, arena(self, 64), 0, 0, 0, 0, 0);
    for (u64 n = 0; n < count; n++) {
        u8 *d = (u8 *)(descriptors + 32 * n);
        u64 size = sizes[below(self, COUNT_OF(sizes))], entries = 512ul << below(self, 3);
        u64 base = arena(self, entries * 16);

        *(u16 *)d = (u16)size;
        *(u16 *)(d + 2) = 1;
        *(u32 *)(d + 4) = (u32)entries;
        *(u32 *)(d + 8) = (u32)below(self, 2);
        *(u32 *)(d + 12) = (u32)(1 << size | (hit(self, 2) ? 0x2b & -(1 << size) : 0));
        *(u64 *)(d + 16) = base;
        *(u64 *)(d + 24) = hit(self, 16);
        for (u64 k = below(self, 32); k; k--) {
            u64 *entry = (u64 *)(base + 16 * below(self, entries));
            u64 va = address(self);

            entry[0] = va >> 22 | (hit(self, 4) ? draw(self) << 48 : 0);
            entry[1] = argument(self) | (hit(self, 4) ? 0 : TTE_V);
        }
    }
    ask(self, 0x20 + below(self, 2), count, descriptors, 0, 0, 0, 0);
    ask(self, 0x27, 1, RA(hostile_resumed), 0, 0, 0, 0);
    for (u64 n = below(self, 8); n; n--) {
        u64 args[5] = {address(self) & -8192, hit(self, 2) ? 0 : below(self, 8192),
                       argument(self) | TTE_V, 1 + below(self, 3), 0};
        u64 rets[6];

        hostile_trap(0x83 + below(self, 2), 0, args, rets);
        hostile_store(below(self, 2) * 8 + 8, ASI_MMU_CONTEXT, below(self, 8192));
        hostile_peek(args[0] + (below(self, 8192) & ~7ul));
        if (args[0] < memory_first || args[0] >= arena_base)
            hostile_poke(args[0], draw(self));
        wild_accesses(self);
    }
    ask(self, 0x27, 0, RA(hostile_resumed), 0, 0, 0, 0);
}

static void crypto(struct strand *self)
{
    u64 entries = 2ul << below(self, 6), base = arena(self, entries * 64), handle;
    u64 kind = 1 + below(self, 2), words = below(self, entries);

    if (ask(self, 0x111, kind, base, entries, 0, 0, &handle) != HV_EOK)
        handle = (below(self, 64) << 16) | (kind == 1 ? 0x864 : 0xa72);
    for (u64 n = 0; n < entries; n++) {
        u64 *word = (u64 *)(base + 64 * n);

        if (kind == 1) {
            word[1] = below(self, 256);
            word[2] = draw(self) & (hit(self, 4) ? ~0ul : 0x1fff);
            word[3] = address(self);
            word[4] = draw(self);
            word[5] = draw(self);
            continue;
        }
        static const u8 opcodes[] = {0x10, 0x20, 0x40, 0x41, 0xa0, 0xc0, 0xc1};

        word[0] = draw(self);
        if (!hit(self, 8))
            word[0] = (u64)opcodes[below(self, COUNT_OF(opcodes))] << 56 | below(self, 4) << 53 |
                      1ul << 54 | 1ul << 53 | below(self, 2) << 55 | below(self, 2) << 48 |
                      below(self, 21) << 40 | below(self, 12) << 32 | below(self, 28) << 24 |
                      below(self, 65) << 16 | below(self, 2048);
        for (u64 k = 1; k < 8; k++)
            word[k] = hit(self, 8) ? argument(self) : arena(self, 8);
    }
    ask(self, 0x115, handle, hit(self, 8) ? draw(self) : words * 64, 0, 0, 0, 0);
    ask(self, 0x113, handle, 0, 0, 0, 0, 0);
    ask(self, 0x117, handle, below(self, entries + 1) * 64, 0, 0, 0, 0);
    if (hit(self, 2))
        ask(self, 0x111, kind, handle, 0, 0, 0, 0);
}

static void interrupts(struct strand *self)
{
    u64 ino = below(self, 36);

    ask(self, 0xa8, 0x200, ino, draw(self), 0, 0, 0);
    ask(self, 0xae, 0x200, ino, below(self, STRANDS_MAX), 0, 0, 0);
    ask(self, 0xaa, 0x200, ino, 1, 0, 0, 0);
    ask(self, 0xac, 0x200, ino, below(self, 3), 0, 0, 0);
    ino = hit(self, 2) ? below(self, 64) : below(self, 2048);
    ask(self, 0xa6, 0x100 | ino, below(self, STRANDS_MAX), 0, 0, 0, 0);
    ask(self, 0xa2, 0x100 | ino, below(self, 2), 0, 0, 0, 0);
    ask(self, 0xa4, 0x100 | ino, below(self, 3), 0, 0, 0, 0);
}

static void console(struct strand *self)
{
    u64 text = arena(self, 8), bytes = below(self, 100);

    for (u64 n = 0; n < bytes; n++)
        ((u8 *)text)[n] = (u8)draw(self);
    ask(self, 0x63, text, bytes, 0, 0, 0, 0);
    ask(self, 0x61, draw(self), 0, 0, 0, 0, 0);
    ask(self, 0x62, arena(self, 8), below(self, 100), 0, 0, 0, 0);
    text = arena(self, 32);
    ((u8 *)text)[below(self, 32)] = 0;
    ask(self, 0x70, 1 + below(self, 2), text, 0, 0, 0, 0);
}

static void scrub(struct strand *self)
{
    ask(self, 0x31, arena(self, 64), below(self, 1 << 16) & ~63ul, 0, 0, 0, 0);
    ask(self, 0x32, arena(self, 8192), below(self, 1 << 20) & ~8191ul, 0, 0, 0, 0);
}

static void end(struct strand *self)
{
    if (hit(self, 2))
        ask(self, hit(self, 2) ? 0x00 : 0x02, draw(self), 0, 0, 0, 0, 0);
}

static void tell(struct strand *self)
{
    char text[160];
    struct line line = line_in(text, sizeof text);
    u64 done = 0, written;

    self->tell_at = self->turns + TELL_TURNS;
    line_format(&line, "\nhostile: v%u turns %u calls %u granted %u restarts %u\n",
                (u64)(self - hostile_strands), self->turns, self->calls, self->granted,
                self->restarts);
    for (u64 tries = 0; done < line.length && tries < 64; tries++)
        if (hv_cons_write(text + done, line.length - done, &written) == HV_EOK)
            done += written;
}

void NORETURN hostile_loop(struct strand *self)
{
    static void (*const acts[])(struct strand *) = {
        queues, mondo, siblings, listen, wild_accesses, translations, crypto, interrupts,
        console, scrub, talk_loose, talk_session, talk_loose, talk_session,
    };

    negotiate(self);
    for (;;) {
        if (hit(self, 16))
            negotiate(self);
        nap(self);
        if (hit(self, 2))
            for (u64 n = 16; n; n--)
                anything(self);
        else
            acts[below(self, COUNT_OF(acts))](self);
        if (hit(self, 512))
            wild_code(self);
        if (hit(self, END_TURNS))
            end(self);
        if (++self->turns >= self->tell_at)
            tell(self);
    }
}

void NORETURN hostile_boot(u64 base, u64 bytes, u64 number)
{
    seed = number;
    memory_first = base;
    memory_last = base + bytes;
    arena_base = base + IMAGE_BYTES;
    arena_bytes = bytes - IMAGE_BYTES;
    for (u64 n = 0; n < STRANDS_MAX; n++) {
        struct strand *strand = &hostile_strands[n];

        /* After a restart of the domain the streams are others. */
        strand->state = (seed * 0x9e3779b97f4a7c15ul ^ stick() ^ (n + 1) * 0xbf58476d1ce4e5b9ul) | 1;
        strand->stack_top = RA(stacks[n]) + STACK_BYTES - FRAME_BYTES - STACK_BIAS;
        for (u64 k = 0; k < 8; k++)
            draw(strand);
    }
    hv_call(HV_CPU_SET_RTBA, RA(hostile_base), 0, 0, 0, 0);
    for (u64 n = 1; n < STRANDS_MAX; n++)
        hv_cpu_start(n, RA(hostile_entry), RA(hostile_base), 0);
    __asm__ volatile("ba,a %xcc, hostile_entry\n\tnop");
    for (;;)
        ;
}
