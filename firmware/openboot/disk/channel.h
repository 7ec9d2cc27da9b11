/*
 * A channel, polled: two queues, the link protocol in unreliable and in reliable
 * mode, and memory that is lent to the peer.
 *
 * No interrupt is used: whoever waits calls channel_poll again and again and
 * looks at the clock. Whatever happens to the peer shows as a session lost
 * (`sessions` grows when the next one stands). Memory is taken once and stays.
 *
 * Errors: a status of the hypervisor at opening; a message that does not fit or
 * cannot be sent now. A packet out of sequence begins the link anew.
 *
 * Source: sun4v hypervisor API, LDC; the link protocol as Linux (ldc.c) and
 * illumos (io/ldc.c) speak it.
 */
#ifndef OPENBOOT_DISK_CHANNEL_H
#define OPENBOOT_DISK_CHANNEL_H

#include <sun4v/ldc.h>
#include <sun4v/types.h>

#define CHANNEL_MODE_UNRELIABLE 1
#define CHANNEL_MODE_RELIABLE 3

#define CHANNEL_PACKETS 128
#define CHANNEL_MAP_ENTRIES 512
/* The longest message in reliable mode. */
#define CHANNEL_MESSAGE_MAX 4096

enum channel_phase {
    CHANNEL_SHUT, /* no queues */
    CHANNEL_CLOSED,
    CHANNEL_PROPOSED,
    CHANNEL_AGREED,
    CHANNEL_READY,
    CHANNEL_UP,
};

struct channel {
    u64 id;
    u8 mode;
    u8 phase;
    u8 rts;      /* we sent RTS */
    u8 owes_ack; /* reliable mode: something taken is not acknowledged yet */
    u8 reset_seen;
    u8 filling;  /* a message of several packets has begun */
    u32 sent;    /* last sequence number sent */
    u32 accepted;
    u32 failures; /* handshakes that led nowhere */
    u64 sessions; /* that have stood since the channel was opened */
    u64 deadline; /* of the handshake */
    u8 *tx, *rx;
    struct ldc_map_entry *map;
    u32 length; /* of the message so far */
    u8 message[CHANNEL_MESSAGE_MAX];
    /* A message arrived. */
    void (*take)(void *owner, const void *bytes, u64 length);
    void *owner;
};

/* Configures the queues; null, or why not. `lends`: with a map table. */
const char *channel_open(struct channel *channel, u64 id, u8 mode, int lends);
/* Unconfigures them. */
void channel_close(struct channel *channel);
/* Takes what arrived, keeps the link going. */
void channel_poll(struct channel *channel);
/* Sends a message; false when it cannot be sent now. */
int channel_send(struct channel *channel, const void *message, u64 bytes);
/* Begins anew: the peer sees RESET. */
void channel_reset(struct channel *channel);
/* Lends pages from real address `ra` on (its page and those after it) as entries
 * `index`.. of the map. */
void channel_lend(struct channel *channel, u64 index, u64 ra, u64 bytes, u64 rights);

static inline int channel_up(const struct channel *channel)
{
    return channel->phase == CHANNEL_UP;
}

#endif
