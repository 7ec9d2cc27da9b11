/* Random numbers: xorshift64*, its state in the strand. */
#ifndef HOSTILE_RANDOM_H
#define HOSTILE_RANDOM_H

#include "hostile.h"

static inline u64 draw(struct strand *self)
{
    u64 x = self->state;

    x ^= x >> 12;
    x ^= x << 25;
    x ^= x >> 27;
    self->state = x;
    return x * 0x2545f4914f6cdd1dul;
}

/* Below n. */
static inline u64 below(struct strand *self, u64 n)
{
    return (draw(self) >> 32) * n >> 32;
}

/* One time in n. */
static inline int hit(struct strand *self, u64 n)
{
    return below(self, n) == 0;
}

#endif
