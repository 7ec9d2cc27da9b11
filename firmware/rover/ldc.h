/*
 * A channel: two queues, the link protocol in unreliable mode, and memory that
 * is lent to the peer.
 *
 * One task owns a channel and calls ldc_poll whenever the channel's interrupt
 * set the task's flag, and at the latest when ldc_wake_at says. Whatever happens
 * to the peer (it goes away, comes back, is another one after a migration) shows
 * as `down` and then `up`; everything negotiated before is void.
 */
#ifndef ROVER_LDC_H
#define ROVER_LDC_H

#include <sun4v/ldc.h>
#include <sun4v/types.h>

/* Where a channel's endpoint is, from the machine description. */
struct ldc_ids {
    u64 channel;
    u64 tx_ino;
    u64 rx_ino;
    u64 handle; /* cfg handle of the channel devices */
};

struct ldc_ops {
    /* Messages may flow. */
    void (*up)(void *owner);
    /* They may not any longer; only after `up`. */
    void (*down)(void *owner);
    /* One arrived. */
    void (*message)(void *owner, const void *bytes, u64 length);
};

enum ldc_phase { LINK_CLOSED, LINK_PROPOSED, LINK_AGREED, LINK_READY, LINK_UP };

struct ldc {
    struct ldc_ids ids;
    const struct ldc_ops *ops;
    void *owner;
    u8 *tx, *rx;
    struct ldc_map_entry *map;
    u64 map_entries;
    u32 phase;
    u32 rts;        /* we sent RTS */
    u32 sent;       /* last sequence number sent */
    u32 accepted;   /* last one accepted */
    u32 reset_seen; /* the channel showed RESET to a sender */
    u32 failures;   /* handshakes that led nowhere */
    u64 deadline;   /* of the handshake */
    u64 next_look;  /* at the channel's state, which may change silently */
    u64 resets;     /* sessions lost so far */
};

#define LDC_QUEUE_ENTRIES 128

/* Prepares a channel; `map_entries` is a power of two of at least 512. Memory
 * is taken here. */
void ldc_init(struct ldc *ldc, const struct ldc_ids *ids, u64 map_entries,
              const struct ldc_ops *ops, void *owner);
/* Sets up queues and interrupt: `flag` is set to 1 on vCPU `vcpu` when something
 * arrives. */
void ldc_open(struct ldc *ldc, u32 *flag, u64 vcpu);
/* Takes what arrived, keeps the link going. */
void ldc_poll(struct ldc *ldc);
/* When ldc_poll wants to be called at the latest. */
u64 ldc_wake_at(const struct ldc *ldc);
/* Sends a message of at most 56 bytes; false when it cannot be sent now. */
int ldc_send(struct ldc *ldc, const void *message, u64 bytes);
/* Begins anew: the peer sees RESET. */
void ldc_reset(struct ldc *ldc);

static inline int ldc_is_up(const struct ldc *ldc)
{
    return ldc->phase == LINK_UP;
}

/* Lends `bytes` from `from` (page-aligned) as entries `index`.. of the map. */
void ldc_lend(struct ldc *ldc, u64 index, const void *from, u64 bytes, u64 rights);

/* Copies all of `bytes` between `local` and what the peer lends; multiples of 8.
 * False when the peer's side is not there. */
int ldc_copy_all(struct ldc *ldc, u64 direction, u64 cookie, void *local, u64 bytes);

#endif
