/* A set of addresses. */
#include "stretch.h"

static void drop(struct stretches *set, u64 at)
{
    for (set->count--; at < set->count; at++)
        set->of[at] = set->of[at + 1];
}

static int insert(struct stretches *set, u64 at, struct stretch one)
{
    if (set->count == STRETCHES_MAX)
        return 0;
    for (u64 i = set->count++; i > at; i--)
        set->of[i] = set->of[i - 1];
    set->of[at] = one;
    return 1;
}

void stretches_add(struct stretches *set, u64 from, u64 bytes)
{
    struct stretch one = {from, from + bytes};
    u64 at = 0;

    if (!bytes || one.end < from)
        return;
    while (at < set->count && set->of[at].end < one.from)
        at++;
    while (at < set->count && set->of[at].from <= one.end) {
        if (set->of[at].from < one.from)
            one.from = set->of[at].from;
        if (set->of[at].end > one.end)
            one.end = set->of[at].end;
        drop(set, at);
    }
    insert(set, at, one);
}

/* Takes what lies inside of one stretch. */
static int take(struct stretches *set, u64 at, u64 from, u64 end)
{
    struct stretch whole = set->of[at];

    if (whole.from == from && whole.end == end) {
        drop(set, at);
    } else if (whole.from == from) {
        set->of[at].from = end;
    } else if (whole.end == end) {
        set->of[at].end = from;
    } else {
        if (!insert(set, at + 1, (struct stretch){end, whole.end}))
            return 0;
        set->of[at].end = from;
    }
    return 1;
}

int stretches_take_at(struct stretches *set, u64 from, u64 bytes)
{
    u64 end = from + bytes;

    if (!bytes || end < from)
        return 0;
    for (u64 at = 0; at < set->count; at++)
        if (set->of[at].from <= from && end <= set->of[at].end)
            return take(set, at, from, end);
    return 0;
}

u64 stretches_take_low(struct stretches *set, u64 bytes, u64 align)
{
    for (u64 at = 0; bytes && at < set->count; at++) {
        struct stretch one = set->of[at];
        u64 from = (one.from + align - 1) & -align;
        if (from >= one.from && from < one.end && one.end - from >= bytes)
            return take(set, at, from, from + bytes) ? from : STRETCH_NONE;
    }
    return STRETCH_NONE;
}

u64 stretches_take_high(struct stretches *set, u64 bytes, u64 align)
{
    for (u64 at = set->count; bytes && at-- > 0;) {
        struct stretch one = set->of[at];
        if (one.end - one.from < bytes)
            continue;
        u64 from = (one.end - bytes) & -align;
        if (from >= one.from)
            return take(set, at, from, from + bytes) ? from : STRETCH_NONE;
    }
    return STRETCH_NONE;
}

u64 stretches_cells(const struct stretches *set, u64 *cells)
{
    u64 n = 0;

    for (u64 at = 0; at < set->count; at++) {
        cells[n++] = set->of[at].from;
        cells[n++] = set->of[at].end - set->of[at].from;
    }
    return n;
}
