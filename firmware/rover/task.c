/* Tasks and the loop of a vCPU. */
#include "task.h"

#include <sun4v/arch.h>
#include <sun4v/hcall.h>

#include "clock.h"
#include "console.h"
#include "cpu.h"
#include "lock.h"

/* Closer than this, a time is waited for awake: STICK_CMPR matches by equality,
 * and must be written well before the time comes. Ticks. */
#define COMPARE_AHEAD 4000

/* Protects the lists of tasks, which grow while other vCPUs walk them. */
static struct lock tasks_lock;

void task_start(struct task *task, const char *name, void (*run)(struct task *), void *own,
                u64 prefers)
{
    struct cpu *cpu = &cpus[prefers % cpu_count];

    task->pending = 1;
    task->wake_at = NEVER;
    task->run = run;
    task->own = own;
    task->name = name;
    task->cpu = cpu;
    lock_take(&tasks_lock);
    task->next = cpu->tasks;
    store_order();
    cpu->tasks = task;
    lock_free(&tasks_lock);
    cpu_kick(cpu);
}

void task_wake(struct task *task)
{
    store32(&task->pending, 1);
    if (task->cpu)
        cpu_kick(task->cpu);
}

void task_wake_at(struct task *task, u64 when)
{
    if (when < task->wake_at)
        task->wake_at = when;
}

static int anything_pending(const struct cpu *cpu)
{
    for (const struct task *t = cpu->tasks; t; t = t->next)
        if (load32(&t->pending))
            return 1;
    return 0;
}

static void write_stick_cmpr(u64 value)
{
    __asm__ volatile("wr %0, 0, %%stick_cmpr" ::"r"(value));
}

static void write_pstate(u64 value)
{
    __asm__ volatile("wrpr %0, 0, %%pstate" ::"r"(value) : "memory");
}

/*
 * Waits for an interrupt or for `until`.
 *
 * Interrupts stay off from the last look at the flags until the yield, so none
 * can slip in between; the hypervisor returns at once when a mondo waits. The
 * compare value is written before the clock is read: when the time has not come
 * within COMPARE_AHEAD of that, its match lies in the future and ends the yield.
 */
static void idle(struct cpu *cpu, u64 until)
{
    write_pstate(PSTATE_PRIV);
    store32(&cpu->idle, 1);
    store_load_barrier();
    if (!anything_pending(cpu)) {
        write_stick_cmpr(until == NEVER ? STICK_CMPR_DISABLE : until);
        if (until == NEVER || until > stick() + COMPARE_AHEAD)
            hv_cpu_yield();
        else
            pause_spin();
    }
    store32(&cpu->idle, 0);
    write_pstate(PSTATE_PRIV | PSTATE_IE);
}

void NORETURN task_loop(void)
{
    struct cpu *cpu = cpu_self();

    __asm__ volatile("wrpr %g0, 0, %pil");
    write_pstate(PSTATE_PRIV | PSTATE_IE);
    for (;;) {
        u64 until = NEVER;
        int ran = 0;

        for (struct task *t = cpu->tasks; t; t = t->next) {
            if (swap32(&t->pending, 0) || t->wake_at <= stick()) {
                t->wake_at = NEVER;
                t->run(t);
                ran = 1;
            }
            if (t->wake_at < until)
                until = t->wake_at;
        }
        if (load32(&cpu->reports) != cpu->reports_told) {
            cpu->reports_told = load32(&cpu->reports);
            console_print("rover: vcpu %u: %u error reports so far\n", cpu->id,
                          cpu->reports_told);
        }
        if (!ran)
            idle(cpu, until);
    }
}
