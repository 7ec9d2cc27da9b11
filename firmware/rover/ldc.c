/* Channels: queues, link protocol, lent memory. */
#include "ldc.h"

#include <sun4v/hcall.h>

#include "../common/bytes.h"
#include "clock.h"
#include "memory.h"
#include "panic.h"

#define QUEUE_BYTES (LDC_QUEUE_ENTRIES * LDC_PACKET_BYTES)
/* A handshake that takes longer is begun anew... */
#define HANDSHAKE_MS 1000
/* ...and the queues are set anew when so many in a row led nowhere. */
#define HANDSHAKES_MAX 3
/* A peer that comes or goes while our interrupt is not idle tells nobody. */
#define LOOK_MS 100

void ldc_init(struct ldc *ldc, const struct ldc_ids *ids, u64 map_entries,
              const struct ldc_ops *ops, void *owner)
{
    u64 map_bytes = map_entries * sizeof(struct ldc_map_entry);

    *ldc = (struct ldc){.ids = *ids, .ops = ops, .owner = owner, .map_entries = map_entries};
    ldc->tx = memory_take(QUEUE_BYTES, QUEUE_BYTES);
    ldc->rx = memory_take(QUEUE_BYTES, QUEUE_BYTES);
    ldc->map = memory_take(map_bytes, map_bytes);
}

static void configure_queues(struct ldc *ldc)
{
    u64 tx = hv_ldc_tx_qconf(ldc->ids.channel, ldc->tx, LDC_QUEUE_ENTRIES);
    u64 rx = hv_ldc_rx_qconf(ldc->ids.channel, ldc->rx, LDC_QUEUE_ENTRIES);

    if (tx != HV_EOK || rx != HV_EOK)
        panic("channel %u: qconf: status %u, %u", ldc->ids.channel, tx, rx);
}

void ldc_open(struct ldc *ldc, u32 *flag, u64 vcpu)
{
    u64 handle = ldc->ids.handle;
    u64 inos[] = {ldc->ids.tx_ino, ldc->ids.rx_ino};

    for (u64 i = 0; i < COUNT_OF(inos); i++) {
        u64 status = hv_vintr_setcookie(handle, inos[i], RA(flag));
        status = status ? status : hv_vintr_settarget(handle, inos[i], vcpu);
        status = status ? status : hv_vintr_setstate(handle, inos[i], VINTR_IDLE);
        status = status ? status : hv_vintr_setvalid(handle, inos[i], 1);
        if (status != HV_EOK)
            panic("channel %u: interrupt %u: status %u", ldc->ids.channel, inos[i], status);
    }
    u64 status = hv_ldc_set_map_table(ldc->ids.channel, ldc->map, ldc->map_entries);
    if (status != HV_EOK)
        panic("channel %u: set_map_table: status %u", ldc->ids.channel, status);
    configure_queues(ldc);
}

void ldc_lend(struct ldc *ldc, u64 index, const void *from, u64 bytes, u64 rights)
{
    for (u64 page = RA(from); page < RA(from) + bytes; page += PAGE_BYTES)
        ldc->map[index++] = (struct ldc_map_entry){page | rights, 0};
}

/* Queues one packet; false when the peer is away or its queue is full. */
static int transmit(struct ldc *ldc, const struct ldc_packet *packet)
{
    u64 head, tail, state;

    if (hv_ldc_tx_get_state(ldc->ids.channel, &head, &tail, &state) != HV_EOK)
        return 0;
    if (state == LDC_RESET)
        ldc->reset_seen = 1;
    if (state != LDC_UP)
        return 0;
    u64 next = (tail + LDC_PACKET_BYTES) % QUEUE_BYTES;
    if (next == head)
        return 0;
    memcpy(ldc->tx + tail, packet, sizeof *packet);
    return hv_ldc_tx_set_qtail(ldc->ids.channel, next) == HV_EOK;
}

int ldc_send(struct ldc *ldc, const void *message, u64 bytes)
{
    struct ldc_packet packet = {
        .type = LDC_DATA,
        .stype = LDC_INFO,
        .env = (u8)(bytes | LDC_ENV_START | LDC_ENV_STOP),
        .seqid = ldc->sent + 1,
    };

    if (!ldc_is_up(ldc) || bytes > LDC_PAYLOAD_BYTES)
        return 0;
    memcpy(packet.payload, message, bytes);
    if (!transmit(ldc, &packet))
        return 0;
    ldc->sent++;
    return 1;
}

static void send_control(struct ldc *ldc, u8 stype, u8 ctrl, u8 env, u32 seqid)
{
    struct ldc_packet packet = {
        .type = LDC_CTRL, .stype = stype, .ctrl = ctrl, .env = env, .seqid = seqid};

    if (ctrl == LDC_VER) {
        packet.version.major = LDC_VERSION_MAJOR;
        packet.version.minor = LDC_VERSION_MINOR;
    }
    if (ctrl == LDC_RDX)
        packet.ackid = ldc->accepted;
    transmit(ldc, &packet);
}

/* Back to the beginning; tells the owner if it had a session. */
static void close_link(struct ldc *ldc)
{
    int was_up = ldc_is_up(ldc);

    ldc->phase = LINK_CLOSED;
    ldc->rts = 0;
    ldc->sent = 0;
    ldc->accepted = 0;
    if (was_up) {
        ldc->resets++;
        ldc->ops->down(ldc->owner);
    }
}

static void propose(struct ldc *ldc)
{
    close_link(ldc);
    ldc->phase = LINK_PROPOSED;
    ldc->deadline = stick() + ticks_of_ms(HANDSHAKE_MS);
    send_control(ldc, LDC_INFO, LDC_VER, 0, 0);
}

static void link_up(struct ldc *ldc)
{
    ldc->phase = LINK_UP;
    ldc->failures = 0;
    ldc->ops->up(ldc->owner);
}

void ldc_reset(struct ldc *ldc)
{
    close_link(ldc);
    configure_queues(ldc);
    ldc->next_look = 0;
}

/* What is to be done after a packet. */
enum verdict { GO_ON, BEGIN_ANEW };

static enum verdict take_version(struct ldc *ldc, const struct ldc_packet *p)
{
    struct ldc_packet answer = *p;
    int proposed = ldc->phase == LINK_PROPOSED;

    if (p->stype == LDC_ACK) {
        if (!proposed && !(ldc->phase == LINK_AGREED && !ldc->rts))
            return GO_ON;
        ldc->phase = LINK_AGREED;
        ldc->rts = 1;
        send_control(ldc, LDC_INFO, LDC_RTS, LDC_MODE_UNRELIABLE, 0);
        return GO_ON;
    }
    close_link(ldc);
    if (p->version.major == LDC_VERSION_MAJOR) {
        answer.stype = LDC_ACK;
        answer.version.minor = LDC_VERSION_MINOR;
        /* When proposals cross, ours will be answered too. */
        ldc->phase = proposed ? LINK_PROPOSED : LINK_AGREED;
    } else {
        answer.stype = LDC_NACK;
        answer.version.major = p->version.major ? LDC_VERSION_MAJOR : 0;
        answer.version.minor = LDC_VERSION_MINOR;
    }
    ldc->deadline = stick() + ticks_of_ms(HANDSHAKE_MS);
    transmit(ldc, &answer);
    return GO_ON;
}

static enum verdict take_control(struct ldc *ldc, const struct ldc_packet *p)
{
    if (p->stype == LDC_NACK)
        return BEGIN_ANEW;
    switch (p->ctrl & LDC_CTRL_MASK) {
    case LDC_VER:
        return take_version(ldc, p);
    case LDC_RTS:
        if (ldc->phase != LINK_AGREED && ldc->phase != LINK_PROPOSED)
            return GO_ON;
        if (p->env != LDC_MODE_UNRELIABLE)
            return BEGIN_ANEW;
        ldc->accepted = p->seqid;
        ldc->phase = LINK_READY;
        send_control(ldc, LDC_INFO, LDC_RTR, LDC_MODE_UNRELIABLE, 0);
        return GO_ON;
    case LDC_RTR:
        if (!ldc->rts || (ldc->phase != LINK_AGREED && ldc->phase != LINK_READY))
            return GO_ON;
        if (p->env != LDC_MODE_UNRELIABLE)
            return BEGIN_ANEW;
        if (ldc->phase == LINK_AGREED)
            ldc->accepted = p->seqid;
        send_control(ldc, LDC_INFO, LDC_RDX, 0, ++ldc->sent);
        link_up(ldc);
        return GO_ON;
    case LDC_RDX:
        /* Also the second one of handshakes that crossed. */
        if (ldc->phase != LINK_READY && ldc->phase != LINK_UP)
            return GO_ON;
        if (p->seqid != ldc->accepted + 1)
            return BEGIN_ANEW;
        ldc->accepted = p->seqid;
        if (ldc->phase == LINK_READY)
            link_up(ldc);
        return GO_ON;
    default:
        return GO_ON;
    }
}

static enum verdict take(struct ldc *ldc, const struct ldc_packet *p)
{
    if (p->type == LDC_CTRL)
        return take_control(ldc, p);
    if (p->type != LDC_DATA)
        return BEGIN_ANEW;
    if (!ldc_is_up(ldc))
        return GO_ON;
    if (p->stype == LDC_NACK || p->seqid != ldc->accepted + 1)
        return BEGIN_ANEW;
    ldc->accepted = p->seqid;
    u64 length = p->env & LDC_ENV_LENGTH;
    /* All our peers' messages fit one packet; a longer one is none of theirs. */
    if (p->stype == LDC_INFO && length <= LDC_PAYLOAD_BYTES &&
        (p->env & (LDC_ENV_START | LDC_ENV_STOP)) == (LDC_ENV_START | LDC_ENV_STOP))
        ldc->ops->message(ldc->owner, p->payload, length);
    return GO_ON;
}

/* Takes the packets from `head` to `tail`; false when the queues were set anew. */
static int take_all(struct ldc *ldc, u64 head, u64 tail)
{
    u64 resets = ldc->resets;

    while (head != tail) {
        struct ldc_packet packet;

        memcpy(&packet, ldc->rx + head, sizeof packet);
        if (take(ldc, &packet) == BEGIN_ANEW) {
            ldc_reset(ldc);
            return 0;
        }
        /* The owner may have had enough of its peer. */
        if (ldc->resets != resets && ldc->phase == LINK_CLOSED)
            return 0;
        head = (head + LDC_PACKET_BYTES) % QUEUE_BYTES;
    }
    return 1;
}

static void drain(struct ldc *ldc)
{
    for (;;) {
        u64 head, tail, state;

        if (hv_ldc_rx_get_state(ldc->ids.channel, &head, &tail, &state) != HV_EOK)
            state = LDC_DOWN, head = tail = 0;
        if (state == LDC_DOWN || state == LDC_RESET || ldc->reset_seen) {
            ldc->reset_seen = 0;
            close_link(ldc);
        }
        if (state == LDC_DOWN) {
            if (head != tail)
                hv_ldc_rx_set_qhead(ldc->ids.channel, tail);
            return;
        }
        if (ldc->phase == LINK_CLOSED)
            propose(ldc);
        if (head == tail)
            return;
        if (take_all(ldc, head, tail))
            hv_ldc_rx_set_qhead(ldc->ids.channel, tail);
    }
}

void ldc_poll(struct ldc *ldc)
{
    u64 now = stick();

    drain(ldc);
    if (ldc->phase != LINK_CLOSED && ldc->phase != LINK_UP && now >= ldc->deadline) {
        if (++ldc->failures % HANDSHAKES_MAX == 0)
            ldc_reset(ldc);
        else
            propose(ldc);
    }
    ldc->next_look = now + ticks_of_ms(LOOK_MS);
    hv_vintr_setstate(ldc->ids.handle, ldc->ids.rx_ino, VINTR_IDLE);
}

u64 ldc_wake_at(const struct ldc *ldc)
{
    return ldc->next_look;
}

int ldc_copy_all(struct ldc *ldc, u64 direction, u64 cookie, void *local, u64 bytes)
{
    u8 *at = local;

    while (bytes) {
        u64 done;
        u64 status =
            hv_ldc_copy(ldc->ids.channel, direction, cookie, at, bytes, &done);

        if (status != HV_EOK || done == 0 || done > bytes)
            return 0;
        cookie += done;
        at += done;
        bytes -= done;
    }
    return 1;
}
