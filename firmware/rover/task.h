/*
 * Tasks: what the kernel does, each bound to one vCPU.
 *
 * A task is a function that does a little and returns. It runs when its flag
 * `pending` is set (by an interrupt, or by task_wake from any vCPU) or when the
 * time it asked for has come. A vCPU whose tasks have nothing to do yields.
 *
 * A task runs on its own vCPU only, so state that one task alone touches needs
 * no lock.
 */
#ifndef ROVER_TASK_H
#define ROVER_TASK_H

#include <sun4v/types.h>

struct cpu;

struct task {
    u32 pending;              /* first: interrupts are given its address */
    u64 wake_at;              /* %stick; NEVER */
    void (*run)(struct task *);
    void *own;                /* what the task works on */
    const char *name;
    struct cpu *cpu;
    struct task *next;        /* of the same vCPU */
};

/* Which vCPU a task prefers, modulo their number. */
enum {
    TASK_CPU_CONSOLE = 0,
    TASK_CPU_CLOCK = 0,
    TASK_CPU_NET = 1,
    TASK_CPU_DISK = 2, /* and the next ones */
    TASK_CPU_SCRUB = 4,
    TASK_CPU_FILL = 5,
    TASK_CPU_MEMCHECK = 6,
};

/* Binds a task to a vCPU and has it run as soon as that one looks. */
void task_start(struct task *task, const char *name, void (*run)(struct task *), void *own,
                u64 prefers);
/* Has the task run soon, from any vCPU. */
void task_wake(struct task *task);
/* Asks for a run at a time; only inside the task's own run. Each run begins
 * with no time asked for; the earliest of several counts. */
void task_wake_at(struct task *task, u64 when);
/* Runs the tasks of the calling vCPU, for ever. */
void NORETURN task_loop(void);

#endif
