/* Channels, polled. */
#include "channel.h"

#include <sun4v/hcall.h>

#include "../../common/bytes.h"
#include "../heap.h"
#include "clock.h"

#define QUEUE_BYTES (CHANNEL_PACKETS * LDC_PACKET_BYTES)
#define MAP_BYTES (CHANNEL_MAP_ENTRIES * sizeof(struct ldc_map_entry))
/* In reliable mode a packet says what was taken, and has 8 bytes less. */
#define RELIABLE_LEAD 8
/* A handshake that takes longer is begun anew, and with new queues after some. */
#define HANDSHAKE_MS 500
#define HANDSHAKES_MAX 3

/* --- the hypervisor's calls, by real addresses --- */

static u64 configure(u64 call, u64 id, const void *base, u64 packets)
{
    return hv_call(call, id, base ? real_address(base) : 0, packets, 0, 0).status;
}

struct place {
    u64 head, tail, state;
};

static int place_of(u64 call, u64 id, struct place *place)
{
    struct hv_ret r = hv_call(call, id, 0, 0, 0, 0);

    *place = (struct place){r.ret1, r.ret2, r.ret3};
    /* What the hypervisor says is trusted, but not with memory. */
    return r.status == HV_EOK && place->head < QUEUE_BYTES && place->tail < QUEUE_BYTES &&
           place->head % LDC_PACKET_BYTES == 0 && place->tail % LDC_PACKET_BYTES == 0;
}

static const char *configure_queues(struct channel *c)
{
    if (configure(HV_LDC_TX_QCONF, c->id, c->tx, CHANNEL_PACKETS) != HV_EOK ||
        configure(HV_LDC_RX_QCONF, c->id, c->rx, CHANNEL_PACKETS) != HV_EOK)
        return "the hypervisor refuses the channel's queues";
    return 0;
}

const char *channel_open(struct channel *c, u64 id, u8 mode, int lends)
{
    if (!c->tx)
        c->tx = heap_pages(QUEUE_BYTES);
    if (!c->rx)
        c->rx = heap_pages(QUEUE_BYTES);
    if (lends && !c->map)
        c->map = heap_pages(MAP_BYTES);
    if (!c->tx || !c->rx || (lends && !c->map))
        return "no memory for a channel";
    c->id = id;
    c->mode = mode;
    c->phase = CHANNEL_SHUT;
    c->rts = c->owes_ack = c->reset_seen = c->filling = 0;
    c->sent = c->accepted = c->failures = 0;
    c->sessions = 0;
    if (lends) {
        memset(c->map, 0, MAP_BYTES);
        if (configure(HV_LDC_SET_MAP_TABLE, id, c->map, CHANNEL_MAP_ENTRIES) != HV_EOK)
            return "the hypervisor refuses the channel's map table";
    }
    const char *why = configure_queues(c);
    if (!why)
        c->phase = CHANNEL_CLOSED;
    return why;
}

void channel_close(struct channel *c)
{
    if (c->phase == CHANNEL_SHUT)
        return;
    c->phase = CHANNEL_SHUT;
    configure(HV_LDC_TX_QCONF, c->id, 0, 0);
    configure(HV_LDC_RX_QCONF, c->id, 0, 0);
    if (c->map)
        configure(HV_LDC_SET_MAP_TABLE, c->id, 0, 0);
}

void channel_lend(struct channel *c, u64 index, u64 ra, u64 bytes, u64 rights)
{
    for (u64 page = ra & ~PAGE_MASK; page < ra + bytes && index < CHANNEL_MAP_ENTRIES;
         page += PAGE_BYTES)
        c->map[index++] = (struct ldc_map_entry){page | rights, 0};
}

/* --- sending --- */

/* Room in the queue, in packets, and where the next one goes; 0 when the peer is away. */
static u64 room(struct channel *c, u64 *tail)
{
    struct place at;

    if (!place_of(HV_LDC_TX_GET_STATE, c->id, &at))
        return 0;
    if (at.state == LDC_RESET)
        c->reset_seen = 1;
    if (at.state != LDC_UP)
        return 0;
    *tail = at.tail;
    u64 used = (at.tail - at.head + QUEUE_BYTES) % QUEUE_BYTES / LDC_PACKET_BYTES;
    return CHANNEL_PACKETS - 1 - used;
}

static int publish(struct channel *c, u64 tail)
{
    return hv_call(HV_LDC_TX_SET_QTAIL, c->id, tail, 0, 0, 0).status == HV_EOK;
}

static int send_packet(struct channel *c, const struct ldc_packet *packet)
{
    u64 tail;

    if (!room(c, &tail))
        return 0;
    memcpy(c->tx + tail, packet, sizeof *packet);
    return publish(c, (tail + LDC_PACKET_BYTES) % QUEUE_BYTES);
}

int channel_send(struct channel *c, const void *message, u64 bytes)
{
    u64 lead = c->mode == CHANNEL_MODE_RELIABLE ? RELIABLE_LEAD : 0;
    u64 each = LDC_PAYLOAD_BYTES - lead, tail, free;
    u64 packets = (bytes + each - 1) / each;
    const u8 *from = message;

    if (!channel_up(c) || !bytes || (!lead && packets > 1) || bytes > CHANNEL_MESSAGE_MAX)
        return 0;
    free = room(c, &tail);
    if (free < packets)
        return 0;
    for (u64 i = 0; i < packets; i++) {
        u64 part = bytes < each ? bytes : each;
        struct ldc_packet packet = {.type = LDC_DATA, .stype = LDC_INFO, .env = (u8)part};

        packet.env |= i == 0 ? LDC_ENV_START : 0;
        packet.env |= i + 1 == packets ? LDC_ENV_STOP : 0;
        packet.seqid = c->sent + 1 + (u32)i;
        if (lead)
            packet.ackid = c->accepted;
        memcpy(packet.payload + lead, from, part);
        memcpy(c->tx + tail, &packet, sizeof packet);
        tail = (tail + LDC_PACKET_BYTES) % QUEUE_BYTES;
        from += part;
        bytes -= part;
    }
    /* All at once: a reader may not wait for the rest of a message. */
    if (!publish(c, tail))
        return 0;
    c->sent += (u32)packets;
    return 1;
}

static void send_control(struct channel *c, u8 ctrl, u8 env, u32 seqid)
{
    struct ldc_packet packet = {
        .type = LDC_CTRL, .stype = LDC_INFO, .ctrl = ctrl, .env = env, .seqid = seqid};

    if (ctrl == LDC_VER) {
        packet.version.major = LDC_VERSION_MAJOR;
        packet.version.minor = LDC_VERSION_MINOR;
    }
    if (ctrl == LDC_RDX)
        packet.ackid = c->accepted;
    send_packet(c, &packet);
}

static void acknowledge(struct channel *c)
{
    struct ldc_packet packet = {.type = LDC_DATA, .stype = LDC_ACK, .seqid = c->sent + 1};

    packet.ackid = c->accepted;
    if (send_packet(c, &packet)) {
        c->sent++;
        c->owes_ack = 0;
    }
}

/* --- the link --- */

static void close_link(struct channel *c)
{
    c->phase = CHANNEL_CLOSED;
    c->rts = c->owes_ack = c->filling = 0;
    c->sent = c->accepted = 0;
}

static void propose(struct channel *c)
{
    close_link(c);
    c->phase = CHANNEL_PROPOSED;
    c->deadline = clock_now() + clock_ms(HANDSHAKE_MS);
    send_control(c, LDC_VER, 0, 0);
}

static void link_up(struct channel *c)
{
    c->phase = CHANNEL_UP;
    c->failures = 0;
    c->sessions++;
}

void channel_reset(struct channel *c)
{
    close_link(c);
    configure_queues(c);
}

/* False: begin anew. */
static int take_version(struct channel *c, const struct ldc_packet *p)
{
    struct ldc_packet answer = *p;
    int proposed = c->phase == CHANNEL_PROPOSED;

    if (p->stype == LDC_ACK) {
        if (!proposed && !(c->phase == CHANNEL_AGREED && !c->rts))
            return 1;
        c->phase = CHANNEL_AGREED;
        c->rts = 1;
        send_control(c, LDC_RTS, c->mode, 0);
        return 1;
    }
    close_link(c);
    if (p->version.major == LDC_VERSION_MAJOR) {
        answer.stype = LDC_ACK;
        answer.version.minor = LDC_VERSION_MINOR;
        /* When proposals cross, ours will be answered too. */
        c->phase = proposed ? CHANNEL_PROPOSED : CHANNEL_AGREED;
    } else {
        answer.stype = LDC_NACK;
        answer.version.major = p->version.major ? LDC_VERSION_MAJOR : 0;
        answer.version.minor = LDC_VERSION_MINOR;
    }
    c->deadline = clock_now() + clock_ms(HANDSHAKE_MS);
    send_packet(c, &answer);
    return 1;
}

static int take_control(struct channel *c, const struct ldc_packet *p)
{
    if (p->stype == LDC_NACK)
        return 0;
    switch (p->ctrl & LDC_CTRL_MASK) {
    case LDC_VER:
        return take_version(c, p);
    case LDC_RTS:
        if (c->phase != CHANNEL_AGREED && c->phase != CHANNEL_PROPOSED)
            return 1;
        if (p->env != c->mode)
            return 0;
        c->accepted = p->seqid;
        c->phase = CHANNEL_READY;
        send_control(c, LDC_RTR, c->mode, 0);
        return 1;
    case LDC_RTR:
        if (!c->rts || (c->phase != CHANNEL_AGREED && c->phase != CHANNEL_READY))
            return 1;
        if (p->env != c->mode)
            return 0;
        if (c->phase == CHANNEL_AGREED)
            c->accepted = p->seqid;
        send_control(c, LDC_RDX, 0, ++c->sent);
        link_up(c);
        return 1;
    case LDC_RDX:
        /* Also the second one of handshakes that crossed. */
        if (c->phase != CHANNEL_READY && c->phase != CHANNEL_UP)
            return 1;
        if (p->seqid != c->accepted + 1)
            return 0;
        c->accepted = p->seqid;
        if (c->phase == CHANNEL_READY)
            link_up(c);
        return 1;
    default:
        return 1;
    }
}

/* A packet of a message: whole, or put together with those before it. */
static int take_part(struct channel *c, const struct ldc_packet *p)
{
    u64 lead = c->mode == CHANNEL_MODE_RELIABLE ? RELIABLE_LEAD : 0;
    u64 length = p->env & LDC_ENV_LENGTH;

    if (length > LDC_PAYLOAD_BYTES - lead)
        return 0;
    if (p->env & LDC_ENV_START) {
        c->filling = 1;
        c->length = 0;
    }
    /* Out of place, or longer than any message: dropped up to the next start. */
    if (!c->filling || length > sizeof c->message - c->length) {
        c->filling = 0;
        return 1;
    }
    memcpy(c->message + c->length, p->payload + lead, length);
    c->length += (u32)length;
    if (p->env & LDC_ENV_STOP) {
        c->filling = 0;
        if (c->take)
            c->take(c->owner, c->message, c->length);
    }
    return 1;
}

static int take(struct channel *c, const struct ldc_packet *p)
{
    if (p->type == LDC_CTRL)
        return take_control(c, p);
    if (p->type != LDC_DATA)
        return 0;
    if (!channel_up(c))
        return 1;
    if (p->stype == LDC_NACK || p->seqid != c->accepted + 1)
        return 0;
    c->accepted = p->seqid;
    if (p->stype != LDC_INFO)
        return 1;
    c->owes_ack = c->mode == CHANNEL_MODE_RELIABLE;
    return take_part(c, p);
}

/* Takes packets from `head` to `tail`; false when the link was given up meanwhile. */
static int take_all(struct channel *c, u64 head, u64 tail)
{
    while (head != tail) {
        struct ldc_packet packet;

        memcpy(&packet, c->rx + head, sizeof packet);
        if (!take(c, &packet)) {
            channel_reset(c);
            return 0;
        }
        /* Whoever took the message may have had enough of its peer. */
        if (c->phase == CHANNEL_SHUT || c->phase == CHANNEL_CLOSED)
            return 0;
        head = (head + LDC_PACKET_BYTES) % QUEUE_BYTES;
    }
    return 1;
}

void channel_poll(struct channel *c)
{
    struct place at;

    if (c->phase == CHANNEL_SHUT)
        return;
    if (!place_of(HV_LDC_RX_GET_STATE, c->id, &at))
        at = (struct place){0, 0, LDC_DOWN};
    if (at.state == LDC_DOWN || at.state == LDC_RESET || c->reset_seen) {
        c->reset_seen = 0;
        close_link(c);
    }
    if (at.state == LDC_DOWN) {
        if (at.head != at.tail)
            hv_call(HV_LDC_RX_SET_QHEAD, c->id, at.tail, 0, 0, 0);
        return;
    }
    if (c->phase == CHANNEL_CLOSED)
        propose(c);
    if (at.head != at.tail && take_all(c, at.head, at.tail))
        hv_call(HV_LDC_RX_SET_QHEAD, c->id, at.tail, 0, 0, 0);
    if (c->owes_ack && channel_up(c))
        acknowledge(c);
    if (c->phase > CHANNEL_CLOSED && c->phase != CHANNEL_UP && clock_now() >= c->deadline) {
        if (++c->failures % HANDSHAKES_MAX == 0)
            channel_reset(c);
        else
            propose(c);
    }
}
