/*
 * A guest that has everything under way at once: a timer, mondos in both directions with
 * queues so short that mailboxes fill, a channel whose peer writes into memory that is lent
 * to it, copies from the peer that wait for a slice's end, jobs of a crypto unit, and stores
 * all over a megabyte. It polls; what it sees, and when, goes into a sum.
 *
 * Linked with firmware/common/bare.S.
 */
#include <sun4v/arch.h>
#include <sun4v/hcall.h>
#include <sun4v/ldc.h>

#define CHANNEL 0
#define CHANNELS 0x200ul
#define ENTRIES 8ul
#define JOB_BYTES 8192ul
#define COPY_BLOCK (0x20ul << 56 | 1ul << 54 | 1ul << 53)
#define NCS_QCONF 0x111
#define NCS_GETHEAD 0x113
#define NCS_SETTAIL 0x115

extern char second_entry[];
u64 second_tba;
u8 second_stack[8192] ALIGNED(64);

static u8 cpu_queue[2][256] ALIGNED(256);
static u8 dev_queue[256] ALIGNED(256);
static struct ldc_packet tx[ENTRIES] ALIGNED(512);
static struct ldc_packet rx[ENTRIES] ALIGNED(512);
static struct ldc_map_entry table[2] ALIGNED(64);
static u64 disk[2048] ALIGNED(8192);
static u64 copied[1024] ALIGNED(8192);
static u64 source[1024] ALIGNED(8192);
static u64 result[1024] ALIGNED(8192);
static u64 words[ENTRIES][8] ALIGNED(512);
static u64 work[2][131072] ALIGNED(8192);
static u8 text[32] ALIGNED(32);
static u64 mondo[2][8] ALIGNED(64);
static u16 other[2][4] ALIGNED(64);
static u64 sums[2];
static u32 lock;

static void mix(u64 me, u64 value)
{
    sums[me] = (sums[me] ^ value) * 0x100000001b3ul + 1;
}

static u64 stick(void)
{
    u64 value;

    __asm__ volatile("rd %%asr24, %0" : "=r"(value));
    return value;
}

static void arm(u64 ticks)
{
    __asm__ volatile("wr %0, 0, %%asr25" : : "r"(stick() + ticks));
}

/* The timer, if it has rung. */
static u64 rung(void)
{
    u64 bits;

    __asm__ volatile("rd %%asr22, %0" : "=r"(bits));
    __asm__ volatile("wr %0, 0, %%asr21" : : "r"(bits));
    return bits;
}

static u64 queue_at(u64 reg)
{
    u64 value;

    __asm__ volatile("ldxa [%1] 0x25, %0" : "=r"(value) : "r"(reg));
    return value;
}

static void queue_to(u64 reg, u64 value)
{
    __asm__ volatile("stxa %0, [%1] 0x25" : : "r"(value), "r"(reg));
}

/* Takes one entry of a queue of 256 bytes. */
static u64 take(u64 me, const u8 *queue, u64 reg)
{
    u64 head = queue_at(reg);

    if (head == queue_at(reg + QUEUE_TAIL))
        return 0;
    mix(me, *(const u64 *)(queue + head));
    mix(me, *(const u64 *)(queue + head + 56));
    queue_to(reg, (head + 64) & 255);
    return 1;
}

static void send(u64 me)
{
    for (u64 n = 0; n < 8; n++)
        mondo[me][n] = sums[me] + n;
    other[me][0] = !me;
    mix(me, hv_cpu_mondo_send(1, other[me], mondo[me]));
}

/* Stores here and there, and calls deep enough to spill windows. */
static u64 __attribute__((noinline)) deep(u64 me, u64 level)
{
    u64 at = (sums[me] >> 13) % COUNT_OF(work[me]);

    work[me][at] += sums[me] + level;
    mix(me, work[me][(at + level) % COUNT_OF(work[me])]);
    return level ? deep(me, level - 1) + at : at;
}

static void locked(u64 me)
{
    while (__sync_lock_test_and_set(&lock, 1))
        mix(me, 3);
    mix(me, sums[!me]);
    __sync_lock_release(&lock);
}

void second_main(void)
{
    mix(1, hv_cpu_qconf(QUEUE_CPU_MONDO, cpu_queue[1], 4));
    for (u64 n = 0;; n++) {
        deep(1, 3 + (n & 7));
        take(1, cpu_queue[1], QUEUE_CPU_MONDO_HEAD);
        if ((n & 7) == 0)
            send(1);
        locked(1);
        if ((n & 127) == 0)
            hv_cpu_yield();
    }
}

static u64 waits, asked, handle, job_tail, has_unit;

static void channel(void)
{
    u64 head, tail, state, done, before, bits;

    if (hv_ldc_rx_get_state(CHANNEL, &head, &tail, &state) != HV_EOK)
        return;
    mix(0, head << 32 | tail << 8 | state);
    if (state != LDC_UP) {
        if (head != tail)
            hv_ldc_rx_set_qhead(CHANNEL, tail);
        waits = 0;
        return;
    }
    if (head != tail) {
        const struct ldc_packet *packet = &rx[head / 64];

        mix(0, *(const u64 *)packet);
        mix(0, *(const u64 *)&packet->payload);
        hv_ldc_rx_set_qhead(CHANNEL, (head + 64) % sizeof rx);
        for (u64 n = 0; n < COUNT_OF(disk); n += 7)
            mix(0, disk[n]);
        /* The timer rings while this waits for the end of the slice. */
        mix(0, rung());
        before = stick();
        arm(256);
        mix(0, hv_ldc_copy(CHANNEL, LDC_COPY_IN, ldc_cookie(0, 64), copied, 4096, &done));
        mix(0, done + copied[asked % 512]);
        bits = rung();
        mix(0, bits);
        if (stick() - before > 512 && !(bits & SOFTINT_STICK))
            hv_mach_exit(3);
        arm(5000);
        waits = 0;
    }
    if (!waits && hv_ldc_tx_get_state(CHANNEL, &head, &tail, &state) == HV_EOK &&
        state == LDC_UP) {
        u64 *packet = (u64 *)&tx[tail / 64];

        packet[0] = 1;
        packet[1] = ++asked;
        waits = hv_ldc_tx_set_qtail(CHANNEL, (tail + 64) % sizeof tx) == HV_EOK;
    }
}

static void unit(u64 n)
{
    struct hv_ret r = hv_call(NCS_GETHEAD, handle, 0, 0, 0, 0);
    u64 *word = words[job_tail / 64];

    mix(0, r.status << 32 | r.ret1);
    if (r.ret1 != job_tail)
        return;
    for (u64 at = 0; at < COUNT_OF(result); at += 5)
        mix(0, result[at]);
    for (u64 at = 0; at < COUNT_OF(source); at += 3)
        source[at] = sums[0] + at;
    word[0] = COPY_BLOCK | (JOB_BYTES - 1);
    word[1] = RA(source);
    word[7] = RA(result);
    job_tail = (job_tail + 64) % sizeof words;
    mix(0, hv_call(NCS_SETTAIL, handle, job_tail, 0, 0, 0).status);
}

static void say(void)
{
    u64 written;

    for (u64 at = 0; at < 16; at++)
        text[at] = "0123456789abcdef"[sums[0] >> (60 - 4 * at) & 15];
    text[16] = '\n';
    text[17] = 0;
    mix(0, hv_cons_write(text, 17, &written));
    hv_soft_state_set(1 + (sums[0] & 1), text);
}

void bare_unexpected(u64 tt, u64 tpc, u64 tl)
{
    hv_mach_exit(tt << 8 | 2);
}

void bare_main(u64 memory_base, u64 memory_bytes)
{
    struct hv_ret r;

    hv_api_set_version(HV_GROUP_CORE, 1, 1);
    hv_api_set_version(HV_GROUP_INTR, 1, 0);
    hv_api_set_version(HV_GROUP_SOFT_STATE, 1, 0);
    hv_api_set_version(HV_GROUP_LDC, 1, 0);
    hv_api_set_version(HV_GROUP_NCS, 2, 0);
    hv_cpu_qconf(QUEUE_CPU_MONDO, cpu_queue[0], 4);
    hv_cpu_qconf(QUEUE_DEV_MONDO, dev_queue, 4);
    table[0].mte = RA(disk) | MTE_COPY_READ | MTE_COPY_WRITE;
    table[1].mte = RA(disk + 1024) | MTE_COPY_READ | MTE_COPY_WRITE;
    hv_ldc_set_map_table(CHANNEL, table, 2);
    hv_ldc_tx_qconf(CHANNEL, tx, ENTRIES);
    hv_ldc_rx_qconf(CHANNEL, rx, ENTRIES);
    for (u64 ino = 0; ino < 2; ino++) {
        hv_vintr_setcookie(CHANNELS, ino, 0xc00c00 + ino);
        hv_vintr_settarget(CHANNELS, ino, 0);
        hv_vintr_setstate(CHANNELS, ino, VINTR_IDLE);
        hv_vintr_setvalid(CHANNELS, ino, 1);
    }
    r = hv_call(NCS_QCONF, 2, RA(words), ENTRIES, 0, 0);
    has_unit = r.status == HV_EOK;
    handle = r.ret1;
    __asm__ volatile("rdpr %%tba, %0" : "=r"(second_tba));
    mix(0, hv_cpu_start(1, RA(second_entry), memory_base, 0));
    arm(5000);
    for (u64 n = 0;; n++) {
        u64 bits = rung();

        if (bits) {
            mix(0, bits + stick());
            arm(5000);
        }
        deep(0, n & 15);
        take(0, cpu_queue[0], QUEUE_CPU_MONDO_HEAD);
        if ((n & 3) == 0 && take(0, dev_queue, QUEUE_DEV_MONDO_HEAD)) {
            hv_vintr_setstate(CHANNELS, 0, VINTR_IDLE);
            hv_vintr_setstate(CHANNELS, 1, VINTR_IDLE);
        }
        if ((n & 15) == 1)
            send(0);
        if ((n & 7) == 2)
            channel();
        if (has_unit && (n & 7) == 5)
            unit(n);
        locked(0);
        if ((n & 255) == 9)
            say();
    }
}
