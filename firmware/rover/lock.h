/*
 * Spinlocks and the atomics that the rest uses. The memory model is TSO: only a
 * store that a later load must not overtake needs a barrier.
 *
 * No trap handler takes a lock, so a holder need not mask interrupts.
 */
#ifndef ROVER_LOCK_H
#define ROVER_LOCK_H

#include <sun4v/types.h>

struct lock {
    u32 held;
};

/* One turn of a spinning loop: three reads of %ccr are the hint to give way. */
static inline void pause_spin(void)
{
    __asm__ volatile("rd %%ccr, %%g0\n\trd %%ccr, %%g0\n\trd %%ccr, %%g0" ::: "memory");
}

static inline u32 swap32(u32 *word, u32 value)
{
    return __atomic_exchange_n(word, value, __ATOMIC_SEQ_CST);
}

static inline u32 load32(const u32 *word)
{
    return *(const volatile u32 *)word;
}

static inline void store32(u32 *word, u32 value)
{
    *(volatile u32 *)word = value;
}

static inline u64 load64(const u64 *word)
{
    return *(const volatile u64 *)word;
}

static inline void add64(u64 *word, u64 value)
{
    __atomic_fetch_add(word, value, __ATOMIC_SEQ_CST);
}

/* Stores before it are seen before loads after it are done. */
static inline void store_load_barrier(void)
{
    __asm__ volatile("membar #StoreLoad" ::: "memory");
}

/* Keeps the compiler from moving stores across; the machine does not. */
static inline void store_order(void)
{
    __asm__ volatile("" ::: "memory");
}

static inline void lock_take(struct lock *lock)
{
    while (swap32(&lock->held, 1))
        while (load32(&lock->held))
            pause_spin();
}

static inline void lock_free(struct lock *lock)
{
    __atomic_store_n(&lock->held, 0, __ATOMIC_RELEASE);
}

#endif
