/*
 * A small TCP (RFC 9293): one listening port, a few connections.
 *
 * Segments are taken in order only; what comes out of order is dropped and
 * asked for again. Retransmission by timer, after RFC 6298. A connection gives
 * up on its peer after two minutes without an answer, so it outlives a
 * migration.
 */
#ifndef ROVER_TCP_H
#define ROVER_TCP_H

#include <sun4v/types.h>

#define TCP_CONNECTIONS 4
#define TCP_OUT_BYTES 8192

enum tcp_state {
    TCP_CLOSED,
    TCP_SYN_RECEIVED,
    TCP_ESTABLISHED,
    TCP_CLOSING, /* our end is closed or about to be; waits for its ACK */
};

struct tcp {
    u8 state;
    u8 closing;     /* FIN follows what is queued */
    u8 peer_closed; /* its FIN was taken */
    u8 probing;     /* a round trip is being timed */
    u16 remote_port;
    u16 mss;
    u32 remote;
    u32 una;        /* first byte not acknowledged */
    u32 next;       /* first byte to send */
    u32 most;       /* first byte never sent */
    u32 window;     /* the peer's, from `una` on */
    u32 expected;   /* of the peer's bytes */
    u32 queued;     /* bytes in `out`, from `una` on */
    u32 out_at;     /* where in `out` byte `una` is */
    u64 retransmit_at;
    u64 rto;        /* ticks */
    u64 srtt, rttvar;
    u32 probe_seq;
    u64 probe_sent;
    u64 heard;      /* when the peer last said anything that counts */
    void *session;  /* the user's */
    u8 out[TCP_OUT_BYTES];
};

struct tcp_user {
    void (*opened)(struct tcp *tcp);
    void (*received)(struct tcp *tcp, const u8 *bytes, u64 count);
    void (*ended)(struct tcp *tcp);
};

struct tcp_counters {
    u64 segments_in, segments_out, retransmitted, out_of_order, refused;
};
extern struct tcp_counters tcp_counters;

void tcp_listen(u16 port, const struct tcp_user *user);
void tcp_input(u32 from, const u8 *segment, u64 bytes);
/* Queues bytes and sends what may be sent; how many found room. */
u64 tcp_write(struct tcp *tcp, const void *bytes, u64 count);
/* Closes our end after what is queued. */
void tcp_close(struct tcp *tcp);
/* Retransmits what is due; when it wants to be called again. */
u64 tcp_timers(void);

#endif
