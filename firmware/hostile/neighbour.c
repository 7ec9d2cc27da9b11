/*
 * The neighbour: what rover is, and a fixed amount of computing over all of the
 * memory that was filled from the disks. What it prints at its end depends on
 * nothing but the disks and the size of its memory.
 */
#include <sun4v/hcall.h>

#include "../rover/clock.h"
#include "../rover/console.h"
#include "../rover/cpu.h"
#include "../rover/fill.h"
#include "../rover/lock.h"
#include "../rover/task.h"
#include "hostile.h"

#define ROUNDS 3
#define UNIT_WORDS (FILL_UNIT_BYTES / 8)
#define FNV_PRIME 0x100000001b3ul
/* So long the result has to leave through the console. */
#define LINGER_MS 5

static struct task tasks[CPUS_MAX];
static u64 digests[CPUS_MAX];
static u64 units_done;
static u32 told;
static u64 exit_at;

/* A round over a unit: each doubleword depends on all before it. */
static u64 compute(u64 *words, u64 state)
{
    for (u64 n = 0; n < UNIT_WORDS; n++) {
        state ^= words[n] + 0x9e3779b97f4a7c15ul;
        state *= FNV_PRIME;
        state ^= state >> 29;
        words[n] = state;
    }
    return state;
}

static void tell(void)
{
    u64 digest = 0xcbf29ce484222325ul;

    for (u64 n = 0; n < cpu_count; n++)
        digest = (digest ^ digests[n]) * FNV_PRIME;
    console_print("neighbour: %u units of 128 KB at 0x%x, digest 0x%x\n", fill.units,
                  (u64)fill.base, digest);
    exit_at = stick() + ticks_of_ms(LINGER_MS);
}

/* One unit a run, so that everything else goes on between. */
static void work(struct task *task)
{
    u64 *next = task->own, mine = (u64)(task - tasks);

    if (!load32(&fill.done)) {
        task_wake_at(task, stick() + ticks_of_us(200));
        return;
    }
    if (*next < fill.units) {
        u64 *words = (u64 *)(fill.base + *next * FILL_UNIT_BYTES);

        for (u64 round = 0; round < ROUNDS; round++)
            digests[mine] = compute(words, digests[mine] + *next);
        add64(&units_done, 1);
        *next += cpu_count;
        store32(&task->pending, 1);
        return;
    }
    if (mine != 0)
        return;
    if (load64(&units_done) == fill.units && !told) {
        told = 1;
        tell();
    }
    if (told && stick() >= exit_at)
        hv_mach_exit(0);
    task_wake_at(task, stick() + ticks_of_us(200));
}

void neighbour_work(void)
{
    static u64 next[CPUS_MAX];

    for (u64 n = 0; n < cpu_count; n++) {
        next[n] = n;
        task_start(&tasks[n], "work", work, &next[n], n);
    }
}
