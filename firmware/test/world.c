/*
 * A played world for the kernel's parts: a hypervisor that knows channels and
 * nothing else, a clock that tests move, and stand-ins for tasks and memory.
 *
 * Channels behave as the T2 firmware's: packets wait in the sender's queue until
 * the receiver reads its state; RESET shows once, when the peer's receive queue
 * was configured again.
 */
#include "check.h"

#include <stdarg.h>
#include <sun4v/hcall.h>
#include <sun4v/ldc.h>

#include "../common/format.h"
#include "../rover/clock.h"
#include "../rover/cpu.h"
#include "../rover/memory.h"
#include "../rover/panic.h"
#include "../rover/task.h"

#define ENDS 8

struct queue {
    u64 base, bytes, head, tail;
};
static struct end {
    struct queue tx, rx;
    int updated;
    struct ldc_map_entry *map;
    u64 map_entries;
} ends[ENDS];

u64 world_now = 1000000;
u64 stick_hz = 1000000000;
u64 boot_stick;
static char said[65536];
static int copies_fail;

__attribute__((weak)) u64 stick(void)
{
    return world_now;
}

void world_pass_ms(u64 ms)
{
    world_now += ticks_of_ms(ms);
}

int world_said(const char *text)
{
    return strstr(said, text) != 0;
}

void world_forget(void)
{
    said[0] = 0;
}

void world_reset_channels(void)
{
    memset(ends, 0, sizeof ends);
    copies_fail = 0;
}

void world_migrate(void)
{
    for (int i = 1; i < ENDS; i += 2) {
        ends[i] = (struct end){0};
        /* What was sent on the old chassis stays there. */
        ends[i - 1].tx.head = ends[i - 1].tx.tail;
    }
}

void world_fail_copies(int fail)
{
    copies_fail = fail;
}

static u64 qconf(struct queue *q, u64 base, u64 entries)
{
    if (entries && (base % (entries * 64) || (entries & (entries - 1))))
        return HV_EBADALIGN;
    q->base = base;
    q->bytes = entries * 64;
    if (q->tail >= q->bytes)
        q->tail = 0;
    q->head = q->tail;
    return HV_EOK;
}

static u64 link_state(struct end *peer)
{
    u64 state = peer->rx.bytes == 0 ? LDC_DOWN : peer->updated ? LDC_RESET : LDC_UP;

    peer->updated = 0;
    return state;
}

static void pull(struct end *self, struct end *peer)
{
    struct queue *from = &peer->tx, *to = &self->rx;

    while (from->bytes && from->head != from->tail && (to->tail + 64) % to->bytes != to->head) {
        memcpy((void *)(to->base + to->tail), (void *)(from->base + from->head), 64);
        to->tail = (to->tail + 64) % to->bytes;
        from->head = (from->head + 64) % from->bytes;
    }
}

static struct hv_ret copy(struct end *peer, u64 direction, u64 cookie, u64 local, u64 bytes)
{
    u64 index = cookie >> PAGE_SHIFT, offset = cookie & PAGE_MASK;

    if ((cookie | local | bytes) & 7)
        return (struct hv_ret){HV_EBADALIGN, 0, 0, 0};
    if (copies_fail || !peer->map || index >= peer->map_entries)
        return (struct hv_ret){HV_ENOMAP, 0, 0, 0};
    u64 mte = peer->map[index].mte;
    if (!(mte & (direction == LDC_COPY_IN ? MTE_COPY_READ : MTE_COPY_WRITE)))
        return (struct hv_ret){HV_ENOACCESS, 0, 0, 0};
    if (bytes > PAGE_BYTES - offset)
        bytes = PAGE_BYTES - offset;
    if (bytes > PAGE_BYTES - (local & PAGE_MASK))
        bytes = PAGE_BYTES - (local & PAGE_MASK);
    u8 *theirs = (u8 *)((mte & ~PAGE_MASK) + offset);
    if (direction == LDC_COPY_IN)
        memcpy((void *)local, theirs, bytes);
    else
        memcpy(theirs, (void *)local, bytes);
    return (struct hv_ret){HV_EOK, bytes, 0, 0};
}

/* Calls that a test plays itself. */
__attribute__((weak)) struct hv_ret world_call(u64 function, u64 a0, u64 a1)
{
    printf("world: hypercall %#lx is not played\n", function);
    exit(1);
}

struct hv_ret hv_call(u64 function, u64 a0, u64 a1, u64 a2, u64 a3, u64 a4)
{
    struct hv_ret ok = {HV_EOK, 0, 0, 0};
    struct end *self = &ends[a0 % ENDS], *peer = &ends[(a0 ^ 1) % ENDS];

    switch (function) {
    case HV_VINTR_SETCOOKIE:
    case HV_VINTR_SETVALID:
    case HV_VINTR_SETSTATE:
    case HV_VINTR_SETTARGET:
        return ok;
    case HV_TOD_GET:
        return (struct hv_ret){HV_EOK, 1308301456, 0, 0};
    case HV_LDC_TX_QCONF:
        return (struct hv_ret){qconf(&self->tx, a1, a2), 0, 0, 0};
    case HV_LDC_RX_QCONF:
        if (self->rx.bytes)
            self->updated = 1;
        return (struct hv_ret){qconf(&self->rx, a1, a2), 0, 0, 0};
    case HV_LDC_TX_GET_STATE:
        return (struct hv_ret){HV_EOK, self->tx.head, self->tx.tail, link_state(peer)};
    case HV_LDC_RX_GET_STATE:
        if (!self->rx.bytes)
            return (struct hv_ret){HV_EINVAL, 0, 0, 0};
        pull(self, peer);
        return (struct hv_ret){HV_EOK, self->rx.head, self->rx.tail, link_state(peer)};
    case HV_LDC_TX_SET_QTAIL:
        CHECK(a1 % 64 == 0 && a1 < self->tx.bytes && a1 != self->tx.tail);
        self->tx.tail = a1;
        return ok;
    case HV_LDC_RX_SET_QHEAD:
        CHECK(a1 % 64 == 0 && a1 < self->rx.bytes);
        self->rx.head = a1;
        return ok;
    case HV_LDC_SET_MAP_TABLE:
        self->map = (struct ldc_map_entry *)a1;
        self->map_entries = a2;
        return ok;
    case HV_LDC_COPY:
        return copy(peer, a1, a2, a3, a4);
    default:
        return world_call(function, a0, a1);
    }
}

/* --- stand-ins --- */

struct task *world_last_task;
struct cpu cpus[CPUS_MAX];
u64 cpu_count = 1;

__attribute__((weak)) void console_print(const char *format, ...)
{
    usize at = strlen(said);
    struct line line = line_in(said + at, sizeof said - at - 1);
    va_list args;

    va_start(args, format);
    line_vformat(&line, format, args);
    va_end(args);
    said[at + line.length] = 0;
}

void panic(const char *format, ...)
{
    printf("panic: %s\n", format);
    exit(1);
}

void *memory_take(u64 bytes, u64 align)
{
    void *at = aligned_alloc(align < PAGE_BYTES ? PAGE_BYTES : align,
                             (bytes + PAGE_MASK) & ~PAGE_MASK);

    memset(at, 0, bytes);
    return at;
}

void memory_zero(void *from, u64 bytes)
{
    memset(from, 0, bytes);
}

void task_start(struct task *task, const char *name, void (*run)(struct task *), void *own,
                u64 prefers)
{
    *task = (struct task){.pending = 1, .wake_at = NEVER, .run = run, .own = own, .name = name};
    task->cpu = &cpus[0];
    world_last_task = task;
}

void task_wake(struct task *task)
{
    task->pending = 1;
}

void task_wake_at(struct task *task, u64 when)
{
    if (when < task->wake_at)
        task->wake_at = when;
}
