/*
 * A client of the guest firmware that asks for random things: 10^5 calls of its
 * interface with handles, names, numbers and buffers that are sometimes right. What the
 * firmware must not do: write outside of a buffer, touch memory that is the client's,
 * lose its tree, not come back.
 *
 * Bare: it is linked at 0x400000 and enters at _start with the interface in %o4.
 */
typedef unsigned char u8;
typedef unsigned int u32;
typedef unsigned long u64;
typedef long s64;

#define CALLS 100000
#define ARENA 8192
#define GUARD 4096
#define FIELD (16ul << 20)

s64 (*volatile firmware)(u64 *cells); /* the entry code sets it */
static u64 seed;
static u8 arena[GUARD + ARENA + GUARD];
static u64 calls[64], granted[64];

static u64 draw(void)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return seed;
}

static u64 below(u64 n)
{
    return draw() % n;
}

static u64 length(const char *text)
{
    u64 n = 0;

    while (text[n])
        n++;
    return n;
}

/* The interface, called with up to eight arguments. */
static u64 cell[40];
static u64 ask(const char *service, u64 nargs, u64 nrets, const u64 *args)
{
    cell[0] = (u64)service;
    cell[1] = nargs;
    cell[2] = nrets;
    for (u64 i = 0; i < nargs; i++)
        cell[3 + i] = args[i];
    for (u64 i = 0; i < nrets; i++)
        cell[3 + nargs + i] = -1ul;
    /* One more, which must stay. */
    cell[3 + nargs + nrets] = 0x5a5a5a5a5a5a5a5aul;
    firmware(cell);
    return nrets ? cell[3 + nargs] : 0;
}

static u64 one(const char *service, u64 argument)
{
    return ask(service, 1, 1, &argument);
}

static u64 out;
static void say(const char *text)
{
    u64 args[3] = {out, (u64)text, length(text)};

    ask("write", 3, 1, args);
}

static void say_number(u64 n)
{
    char text[24];
    int at = 23;

    text[at] = 0;
    do
        text[--at] = (char)('0' + n % 10);
    while (n /= 10);
    say(text + at);
}

static void __attribute__((noreturn)) end(u64 code)
{
    register u64 o0 __asm__("o0") = code;
    register u64 o5 __asm__("o5") = 0;

    for (;;)
        __asm__ volatile("ta 0x80" : "+r"(o0) : "r"(o5) : "memory");
}

static void __attribute__((noreturn)) fail(const char *what, u64 n)
{
    say("client: ");
    say(what);
    say(" after call ");
    say_number(n);
    say("\n");
    end(9);
}

/* All nodes by their handles; how many. */
static u64 handles[512];
static u64 walk(u64 node, u64 n)
{
    for (; node && node != -1ul && n < 512; node = one("peer", node)) {
        handles[n++] = node;
        n = walk(one("child", node), n);
    }
    return n;
}

static const char *const services[] = {
    "getprop", "getproplen", "nextprop", "peer", "child", "parent", "finddevice", "canon",
    "instance-to-package", "instance-to-path", "package-to-path", "open", "close", "read", "seek",
    "claim", "release", "call-method", "test", "test-method", "setprop", "milliseconds",
    "SUNW,set-sun4v-api-version", "SUNW,get-sun4v-api-version", "SUNW,soft-state-supported",
    "interpret", "set-callback", "chain", "no-such-service", "", "SUNW,start-cpu-by-cpuid",
    "SUNW,stop-cpu-by-cpuid",
};
#define SERVICES (sizeof(services) / sizeof(services[0]))

static const char *const words[] = {
    "/", "/chosen", "/memory", "/cpu", "/cpu@0", "/options", "/aliases", "/openprom", "disk",
    "/virtual-devices@100/console@1", "/virtual-memory", "net0:dhcp", "name", "reg", "available",
    "translations", "stdout", "translate", "map", "claim", "unmap", "release", "boot-device",
    "compatible", "a-name-that-is-much-longer-than-thirty-one-characters", "//", "@", "/@",
    ":", "/a:b/c", "", "boot", "no such word", "1 2 3", "bootargs", "idprom",
};
#define WORDS (sizeof(words) / sizeof(words[0]))

static const char *const interpreted[] = {
    "", "1 2 3", "1 2 + drop", "1 0 /", "no such word", "stdout @ is my-self addr line#",
    "drop drop drop drop drop", "99999999999999999999", "dup dup dup over swap", "\" text", "( never ended",
};

/* A text: a word that means something, or letters. */
static u64 text(u8 *at)
{
    static char letters[64];

    if (below(4))
        return (u64)words[below(WORDS)];
    for (u64 i = 0; i < 63; i++)
        letters[i] = (char)(below(6) ? 33 + below(94) : "/@:, -"[below(6)]);
    letters[below(64)] = 0;
    letters[63] = 0;
    return (u64)letters;
}

static u64 number(void)
{
    static const u64 some[] = {0, 1, 2, 3, 8, 64, 8191, 8192, 65536, 4ul << 20, -1ul, 1ul << 31,
                               1ul << 32, 1ul << 63, 0xffffffff, 0x7fffffff};

    return below(3) ? some[below(sizeof(some) / sizeof(some[0]))] : draw() >> below(64);
}

/* An argument of any kind. `at` is where a buffer may begin, `room` what it may have. */
static u64 argument(u8 *at, u64 room, u64 nodes, u64 position)
{
    switch (below(6)) {
    case 0:
        return handles[below(nodes)];
    case 1:
        return text(at);
    case 2:
        return (u64)at;
    case 3:
        return below(room + 1);
    case 4:
        return out;
    default:
        return number();
    }
}

void client(void)
{
    u64 nodes, chosen, args[8], field_va = 0x20000000, field_ra;
    u8 *field = (u8 *)field_va;

    chosen = one("finddevice", (u64) "/chosen");
    u32 handle = 0;
    u64 property[4] = {chosen, (u64) "stdout", (u64)&handle, 4};
    ask("getprop", 4, 1, property);
    out = handle;
    property[1] = (u64) "mmu";
    ask("getprop", 4, 1, property);
    u64 mmu = handle;
    property[1] = (u64) "memory";
    ask("getprop", 4, 1, property);
    u64 memory = handle;
    static char seed_text[32];
    u64 arguments[4] = {chosen, (u64) "bootargs", (u64)seed_text, 31};
    ask("getprop", 4, 1, arguments);
    for (u64 i = 0; seed_text[i] >= '0' && seed_text[i] <= '9'; i++)
        seed = 10 * seed + (u64)(seed_text[i] - '0');
    seed = seed * 0x9e3779b97f4a7c15ul + 1;

    /* Memory of ours, which the firmware has no reason to touch. */
    u64 claim[4] = {(u64) "claim", memory, 4ul << 20, FIELD};
    ask("call-method", 4, 3, claim);
    if (cell[7])
        fail("no memory", 0);
    field_ra = cell[8] << 32 | cell[9];
    u64 map[7] = {(u64) "map", mmu, -1ul, FIELD, field_va, field_ra >> 32, field_ra & 0xffffffff};
    if (ask("call-method", 7, 1, map))
        fail("no mapping", 0);
    for (u64 i = 0; i < FIELD; i += 8)
        *(u64 *)(field + i) = i * 0x9e3779b97f4a7c15ul;
    for (u64 i = 0; i < sizeof(arena); i++)
        arena[i] = (u8)(i * 7);
    nodes = walk(one("peer", 0), 0);
    say("client: ");
    say_number(nodes);
    say(" nodes\n");

    for (u64 n = 1; n <= CALLS; n++) {
        u64 s = below(SERVICES), nargs = below(9), nrets = below(7);
        const char *service = services[s];
        u8 *at = arena + GUARD + below(ARENA);
        u64 room = (u64)(arena + GUARD + ARENA - at);
        for (u64 i = 0; i < nargs; i++)
            args[i] = argument(at, room, nodes, i);
        /* What a service takes for a place must be one, and no longer than it says:
         * a client that lies about its own memory harms itself. */
        if (s == 0 || s == 2) {                         /* node, name, buffer[, room] */
            nargs = s ? 3 : 4;
            args[1] = below(8) ? text(at) : 0;
            args[2] = (u64)at;
            args[3] = below(room + 1);
            if (s == 2 && room < 32)
                continue;
        } else if (s == 1 || s == 19) {
            args[1] = text(at);
        } else if (s == 25) {                           /* words that come back, unlike "boot" */
            args[0] = (u64)interpreted[below(sizeof(interpreted) / sizeof(interpreted[0]))];
        } else if (s == 6 || s == 11 || s == 18) {
            args[0] = text(at);
        } else if (s == 7 || s == 9 || s == 10) {       /* what, buffer, room */
            nargs = 3;
            args[0] = s == 7 ? text(at) : args[0];
            args[1] = (u64)at;
            args[2] = below(room + 1);
        } else if (s == 13) {
            args[1] = (u64)at;
            args[2] = below(room + 1);
        } else if (s == 15 || s == 16) {                /* addresses away from ours */
            args[0] = 0x40000000 + below(0x40000000);
            args[1] = below(1ul << 22);
            args[2] = below(2) ? 1ul << below(24) : 0;
        } else if (s == 17) {
            args[0] = text(at);
            args[1] = below(2) ? mmu : below(2) ? memory : number();
            args[2] = below(2) ? 0 : number();
            args[3] = below(1ul << 22);
            args[4] = 0x40000000 + below(0x40000000);
            if (!below(4))                              /* size and place, of "unmap" */
                args[2] = args[3], args[3] = args[4];
            else if (args[3] < 0x40000000 && below(2))
                args[2] = 8192;
            args[5] = 0;
            args[6] = field_ra + FIELD + below(1ul << 24);
            /* Nothing below our own addresses: "unmap" has its size third. */
            if (args[3] < 0x40000000 && args[2] > (1ul << 22))
                args[2] = 8192;
            if (args[3] < 0x40000000)
                args[3] &= 0x3fffff, args[2] = 0;
        } else if (s == 20) {
            args[1] = text(at);
            args[2] = (u64)at;
            args[3] = below(room < 200 ? room + 1 : 200);
            if (args[3])
                at[args[3] - 1] = 0;
        } else if (s == 30 || s == 31) {                /* vCPUs that there are not */
            args[0] = 1 + below(1ul << below(63));
        }
        if (nargs < 8)
            args[nargs] = 0;
        u64 before = room;
        ask(service, nargs, nrets, args);
        calls[s]++;
        if (nrets && cell[3 + nargs] != -1ul)
            granted[s]++;
        if (cell[3 + nargs + nrets] != 0x5a5a5a5a5a5a5a5aul)
            fail("a result too many", n);
        for (u64 i = 0; i < GUARD; i++)
            if (arena[i] != (u8)(i * 7) ||
                arena[GUARD + ARENA + i] != (u8)((GUARD + ARENA + i) * 7))
                fail("a buffer was left", n);
        if (before != room)
            fail("our own stack changed", n);
        if (n % 20000 == 0) {
            for (u64 i = 0; i < FIELD; i += 8)
                if (*(u64 *)(field + i) != i * 0x9e3779b97f4a7c15ul)
                    fail("memory of ours was written", n);
            if (walk(one("peer", 0), 0) != nodes)
                fail("the tree is another", n);
        }
    }
    u64 all = 0, some = 0;
    for (u64 s = 0; s < SERVICES; s++) {
        all += calls[s] != 0;
        some += granted[s] != 0;
    }
    say("client: ");
    say_number(CALLS);
    say(" calls of ");
    say_number(all);
    say(" services, ");
    say_number(some);
    say(" gave something\n");
    end(0);
}

__asm__(".register %g2, #scratch\n"
        ".register %g3, #scratch\n"
        ".section .head, \"ax\"\n"
        ".globl _start\n"
        "_start:\n"
        "    sethi %hi(firmware), %g1\n"
        "    stx %o4, [%g1 + %lo(firmware)]\n"
        "    sethi %hi(stack_end - 2047 - 256), %g1\n"
        "    or %g1, %lo(stack_end - 2047 - 256), %sp\n"
        "    call client\n"
        "     nop\n"
        ".bss\n"
        ".align 16\n"
        "    .skip 65536\n"
        "stack_end:\n"
        "    .skip 64\n"
        ".previous\n");
