/* A small TCP. */
#include "tcp.h"

#include "../common/bytes.h"
#include "clock.h"
#include "net.h"

#define TCP_BYTES 20
enum { FIN = 0x01, SYN = 0x02, RST = 0x04, PSH = 0x08, ACK = 0x10 };
#define OPTION_END 0
#define OPTION_NOP 1
#define OPTION_MSS 2
#define MSS_DEFAULT 536
#define MSS_MAX (IP_PAYLOAD_MAX - TCP_BYTES)
/* What we take in is handed on at once, so the window is always open. */
#define OUR_WINDOW 8192

/* RFC 6298, and how long a silent peer is waited for. */
#define RTO_FIRST_MS 1000
#define RTO_MIN_MS 200
#define RTO_MAX_MS 4000
#define GIVE_UP_MS 120000

struct header {
    u16 from;
    u16 to;
    u32 seq;
    u32 ack;
    u8 words; /* in the high half */
    u8 flags;
    u16 window;
    u16 checksum;
    u16 urgent;
};
_Static_assert(sizeof(struct header) == TCP_BYTES, "");

struct tcp_counters tcp_counters;
static struct tcp connections[TCP_CONNECTIONS];
static u16 listening;
static const struct tcp_user *user;

/* Sequence numbers compare modulo 2^32. */
static int before(u32 a, u32 b)
{
    return (s32)(a - b) < 0;
}

void tcp_listen(u16 port, const struct tcp_user *of)
{
    listening = port;
    user = of;
}

static struct header *begin(u32 to, u16 port)
{
    struct header *h = (struct header *)ip_begin(to, IP_PROTO_TCP);

    if (h)
        *h = (struct header){.from = listening, .to = port, .window = OUR_WINDOW};
    return h;
}

static void finish(struct header *h, u32 to, u64 bytes)
{
    if (!h->words)
        h->words = TCP_BYTES / 4 << 4;
    h->checksum =
        checksum_fold(checksum_add(checksum_pseudo(net_address, to, IP_PROTO_TCP, bytes), h, bytes));
    tcp_counters.segments_out++;
    ip_send(bytes);
}

static void arm(struct tcp *t)
{
    t->retransmit_at = stick() + t->rto;
}

/* One segment from sequence number `seq`, `bytes` of data behind it. */
static int send_segment(struct tcp *t, u32 seq, u32 bytes, u8 flags)
{
    struct header *h = begin(t->remote, t->remote_port);

    if (!h)
        return 0;
    h->seq = seq;
    h->ack = t->expected;
    h->flags = flags | ACK;
    u8 *to = (u8 *)h + TCP_BYTES;
    u32 at = (t->out_at + (seq - t->una)) % TCP_OUT_BYTES;
    for (u32 i = 0; i < bytes; i++)
        to[i] = t->out[(at + i) % TCP_OUT_BYTES];
    if (bytes)
        h->flags |= PSH;
    finish(h, t->remote, TCP_BYTES + bytes);
    return 1;
}

static void send_ack(struct tcp *t)
{
    send_segment(t, t->next, 0, 0);
}

static void send_syn(struct tcp *t)
{
    struct header *h = begin(t->remote, t->remote_port);

    if (!h)
        return;
    u8 *option = (u8 *)h + TCP_BYTES;
    h->seq = t->una;
    h->ack = t->expected;
    h->flags = SYN | ACK;
    h->words = (TCP_BYTES + 4) / 4 << 4;
    option[0] = OPTION_MSS;
    option[1] = 4;
    option[2] = MSS_MAX >> 8;
    option[3] = MSS_MAX & 0xff;
    finish(h, t->remote, TCP_BYTES + 4);
}

/* Answers a segment that belongs to nothing. */
static void refuse(u32 to, const struct header *in, u64 data)
{
    if (in->flags & RST)
        return;
    tcp_counters.refused++;
    struct header *h = begin(to, in->from);
    if (!h)
        return;
    h->from = in->to;
    if (in->flags & ACK) {
        h->seq = in->ack;
        h->flags = RST;
    } else {
        h->ack = in->seq + (u32)data + !!(in->flags & SYN) + !!(in->flags & FIN);
        h->flags = RST | ACK;
    }
    finish(h, to, TCP_BYTES);
}

/* Sends whatever the window allows; true when anything went out. */
static int output(struct tcp *t)
{
    int sent = 0;

    if (t->state != TCP_ESTABLISHED && !(t->state == TCP_CLOSING && t->una != t->most))
        return 0;
    for (;;) {
        u32 flight = t->next - t->una;
        u32 waiting = flight < t->queued ? t->queued - flight : 0;
        u32 room = flight < t->window ? t->window - flight : 0;
        u32 bytes = waiting < room ? waiting : room;
        u8 flags = 0;

        if (bytes > t->mss)
            bytes = t->mss;
        /* FIN, once, behind the last byte. */
        if (t->closing && bytes == waiting && flight <= t->queued)
            flags = FIN;
        if (!bytes && !flags)
            break;
        if (!send_segment(t, t->next, bytes, flags))
            break;
        if (t->next == t->most && bytes && !t->probing) {
            t->probing = 1;
            t->probe_seq = t->next + bytes;
            t->probe_sent = stick();
        }
        if (before(t->next, t->most))
            tcp_counters.retransmitted++;
        t->next += bytes + !!flags;
        if (before(t->most, t->next))
            t->most = t->next;
        if (flags)
            t->state = TCP_CLOSING;
        sent = 1;
        if (t->retransmit_at == NEVER)
            arm(t);
        if (flags)
            break;
    }
    /* Data behind a closed window is tried again by the timer. */
    if (t->retransmit_at == NEVER && t->queued)
        arm(t);
    return sent;
}

static void end(struct tcp *t)
{
    if (t->state != TCP_SYN_RECEIVED && t->state != TCP_CLOSED)
        user->ended(t);
    t->state = TCP_CLOSED;
}

u64 tcp_write(struct tcp *t, const void *bytes, u64 count)
{
    const u8 *from = bytes;
    u64 done = 0;

    if (t->closing || t->state == TCP_CLOSED)
        return 0;
    for (; done < count && t->queued < TCP_OUT_BYTES; done++)
        t->out[(t->out_at + t->queued++) % TCP_OUT_BYTES] = from[done];
    return done;
}

void tcp_close(struct tcp *t)
{
    t->closing = 1;
}

/* A measured round trip (RFC 6298). */
static void measured(struct tcp *t, u64 rtt)
{
    u64 low = ticks_of_ms(RTO_MIN_MS), high = ticks_of_ms(RTO_MAX_MS);

    if (!t->srtt) {
        t->srtt = rtt;
        t->rttvar = rtt / 2;
    } else {
        u64 off = rtt > t->srtt ? rtt - t->srtt : t->srtt - rtt;
        t->rttvar = (3 * t->rttvar + off) / 4;
        t->srtt = (7 * t->srtt + rtt) / 8;
    }
    t->rto = t->srtt + 4 * t->rttvar;
    t->rto = t->rto < low ? low : t->rto > high ? high : t->rto;
}

/* Takes the acknowledgement and the window; false when it is nonsense. */
static int take_ack(struct tcp *t, const struct header *in)
{
    if (before(t->most, in->ack))
        return 0;
    if (before(t->una, in->ack)) {
        u32 acked = in->ack - t->una;
        u32 data = acked < t->queued ? acked : t->queued;

        if (t->probing && !before(in->ack, t->probe_seq)) {
            measured(t, stick() - t->probe_sent);
            t->probing = 0;
        }
        t->queued -= data;
        t->out_at = (t->out_at + data) % TCP_OUT_BYTES;
        t->una = in->ack;
        if (before(t->next, t->una))
            t->next = t->una;
        if (t->una == t->most)
            t->retransmit_at = NEVER;
        else
            arm(t);
    }
    if (!before(in->ack, t->una)) {
        /* It opens: what asked about it was likely dropped. */
        if (!t->window && in->window)
            t->next = t->una;
        t->window = in->window;
    }
    return 1;
}

static u16 mss_option(const struct header *in, u64 header_bytes)
{
    const u8 *at = (const u8 *)in + TCP_BYTES, *stop = (const u8 *)in + header_bytes;

    while (at < stop && *at != OPTION_END) {
        if (*at == OPTION_NOP) {
            at++;
            continue;
        }
        if (stop - at < 2 || at[1] < 2 || at[1] > stop - at)
            break;
        if (*at == OPTION_MSS && at[1] == 4)
            return (u16)(at[2] << 8 | at[3]);
        at += at[1];
    }
    return MSS_DEFAULT;
}

static void accept(u32 from, const struct header *in, u64 header_bytes)
{
    struct tcp *t = 0;

    for (u64 i = 0; i < TCP_CONNECTIONS && !t; i++)
        if (connections[i].state == TCP_CLOSED)
            t = &connections[i];
    if (!t) {
        refuse(from, in, 0);
        return;
    }
    memset(t, 0, sizeof *t);
    u16 mss = mss_option(in, header_bytes);
    t->state = TCP_SYN_RECEIVED;
    t->remote = from;
    t->remote_port = in->from;
    t->mss = mss < 64 ? 64 : mss > MSS_MAX ? MSS_MAX : mss;
    t->expected = in->seq + 1;
    t->window = in->window;
    t->una = (u32)(stick() >> 8);
    t->next = t->most = t->una + 1;
    t->rto = ticks_of_ms(RTO_FIRST_MS);
    t->heard = stick();
    send_syn(t);
    arm(t);
}

/* Data, cut to what is new; true when it was taken or there was none. */
static int take_data(struct tcp *t, const struct header *in, const u8 *data, u32 bytes)
{
    u32 seq = in->seq;

    if (before(seq, t->expected)) {
        u32 old = t->expected - seq;
        if (old > bytes)
            return 0;
        data += old;
        bytes -= old;
        seq = t->expected;
    }
    if (seq != t->expected) {
        tcp_counters.out_of_order++;
        return 0;
    }
    t->expected += bytes;
    if (bytes && t->state == TCP_ESTABLISHED && !t->closing)
        user->received(t, data, bytes);
    if (in->flags & FIN && !t->peer_closed) {
        t->peer_closed = 1;
        t->expected++;
        t->closing = 1;
    }
    return 1;
}

static void take(struct tcp *t, const struct header *in, const u8 *data, u32 bytes)
{
    t->heard = stick();
    if (in->flags & RST) {
        /* Exactly where we are, or it may be somebody's guess (RFC 5961). */
        if (in->seq == t->expected)
            end(t);
        return;
    }
    if (in->flags & SYN) {
        if (t->state == TCP_SYN_RECEIVED && in->seq + 1 == t->expected)
            send_syn(t);
        else
            send_ack(t);
        return;
    }
    if (!(in->flags & ACK) || !take_ack(t, in)) {
        send_ack(t);
        return;
    }
    if (t->state == TCP_SYN_RECEIVED) {
        if (t->una != t->most)
            return;
        t->state = TCP_ESTABLISHED;
        user->opened(t);
    }
    take_data(t, in, data, bytes);
    /* Our FIN is behind all data: when everything ever sent is acknowledged and
     * FIN was among it, our end is over. */
    if (t->state == TCP_CLOSING && t->una == t->most) {
        if (bytes || in->flags & FIN)
            send_ack(t);
        if (t->peer_closed)
            end(t);
        return;
    }
    if (!output(t) && (bytes || in->flags & FIN))
        send_ack(t);
}

void tcp_input(u32 from, const u8 *segment, u64 bytes)
{
    const struct header *in = (const struct header *)segment;

    if (bytes < TCP_BYTES)
        return;
    u64 header_bytes = (in->words >> 4) * 4ul;
    u64 sum = checksum_pseudo(from, net_address, IP_PROTO_TCP, bytes);
    if (header_bytes < TCP_BYTES || header_bytes > bytes ||
        checksum_fold(checksum_add(sum, segment, bytes)) != 0)
        return;
    tcp_counters.segments_in++;
    for (u64 i = 0; i < TCP_CONNECTIONS; i++) {
        struct tcp *t = &connections[i];
        if (t->state != TCP_CLOSED && t->remote == from && t->remote_port == in->from &&
            in->to == listening) {
            take(t, in, segment + header_bytes, (u32)(bytes - header_bytes));
            return;
        }
    }
    if (in->to == listening && listening && (in->flags & (SYN | ACK | RST | FIN)) == SYN)
        accept(from, in, header_bytes);
    else
        refuse(from, in, bytes - header_bytes);
}

static void timeout(struct tcp *t, u64 now)
{
    if (now - t->heard > ticks_of_ms(GIVE_UP_MS)) {
        end(t);
        return;
    }
    t->rto = t->rto * 2 < ticks_of_ms(RTO_MAX_MS) ? t->rto * 2 : ticks_of_ms(RTO_MAX_MS);
    t->probing = 0; /* a repeated segment times nothing (Karn) */
    t->retransmit_at = NEVER;
    if (t->state == TCP_SYN_RECEIVED) {
        send_syn(t);
        arm(t);
        return;
    }
    t->next = t->una;
    if (t->window == 0 && t->queued) {
        /* Is the window still closed? One byte asks. */
        send_segment(t, t->una, 1, 0);
        t->next = t->una + 1;
        if (before(t->most, t->next))
            t->most = t->next;
    } else {
        output(t);
    }
    arm(t);
}

u64 tcp_timers(void)
{
    u64 now = stick(), next = NEVER;

    for (u64 i = 0; i < TCP_CONNECTIONS; i++) {
        struct tcp *t = &connections[i];

        if (t->state == TCP_CLOSED)
            continue;
        if (t->retransmit_at <= now)
            timeout(t, now);
        /* The peer owes its FIN: half an hour would be polite, two minutes do. */
        if (t->state == TCP_CLOSING && t->una == t->most &&
            now - t->heard > ticks_of_ms(GIVE_UP_MS))
            end(t);
        output(t);
        if (t->state != TCP_CLOSED && t->retransmit_at < next)
            next = t->retransmit_at;
    }
    return next;
}
