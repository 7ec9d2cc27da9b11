/*
 * Channels. Two manners: loose calls in any order, and sessions that go through
 * the handshakes of link and device as a driver does, so that the servers behind
 * come to see descriptors and cookies; now and then a byte is another one.
 */
#include "talk.h"

#include <sun4v/hcall.h>
#include <sun4v/ldc.h>
#include <sun4v/vio.h>

#include "../common/bytes.h"
#include "../rover/clock.h"
#include "../rover/lock.h"
#include "random.h"

#define CHANNELS 8
#define ENTRIES 64ul
#define QUEUE_BYTES (ENTRIES * LDC_PACKET_BYTES)
#define TABLE_ENTRIES 64ul
#define RING_SLOTS 16u
/* One packet in so many is spoilt. */
#define SPOIL 12
/* What an answer is waited for, in ticks, and how often. */
#define WAIT_TICKS 20000
#define WAITS 3

struct talk {
    struct strand *self;
    u64 channel;
    u64 tx;
    u64 rx;
    u64 tail;
    u64 table;
    u64 pages; /* ring and buffers: TABLE_ENTRIES pages from here, if there are so many */
    u32 seq;
    u32 sid;
    u64 ident;
    u64 data_seq;
};

static u64 channel_of(struct strand *self)
{
    return hit(self, 32) ? draw(self) : below(self, CHANNELS);
}

static void random_bytes(struct strand *self, u64 at, u64 bytes)
{
    for (u64 n = 0; n < bytes; n += 8)
        *(u64 *)(at + n) = draw(self);
}

static u64 table_word(struct strand *self)
{
    static const u64 perms[] = {0x600, 0x7f0, 0x200, 0x400, 0, 0x10};
    u64 page = hit(self, 8) ? draw(self) & 0xffffffe000ul : arena(self, PAGE_BYTES);

    return page | perms[below(self, COUNT_OF(perms))] | (hit(self, 16) ? below(self, 16) : 0);
}

static u64 cookie_of(struct strand *self)
{
    if (hit(self, 16))
        return draw(self);
    return (below(self, 80) << PAGE_SHIFT) | (below(self, PAGE_BYTES) & (hit(self, 8) ? ~0ul : ~7ul));
}

void talk_loose(struct strand *self)
{
    u64 channel = channel_of(self), entries = 1ul << below(self, 10);

    switch (below(self, 8)) {
    case 0:
        ask(self, HV_LDC_TX_QCONF, channel, arena(self, entries * 64), entries, 0, 0, 0);
        break;
    case 1:
        ask(self, HV_LDC_RX_QCONF, channel, arena(self, entries * 64), hit(self, 8) ? 0 : entries,
            0, 0, 0);
        break;
    case 2:
    case 3: {
        u64 args[5] = {channel}, rets[6], ra;

        if (hostile_trap(HV_FAST_TRAP_NUMBER, 0xe1, args, rets) != HV_EOK || rets[2] == 0)
            break;
        ra = rets[1];
        entries = rets[2];
        /* Only where we put it: it may be anywhere by now. */
        if (ra < arena_base || entries > 4096)
            break;
        random_bytes(self, ra, entries * 64);
        for (u64 n = 0; n < entries; n++) {
            u8 *packet = (u8 *)(ra + n * 64);

            if (!hit(self, 4)) {
                packet[0] = (u8)(1 + below(self, 2));
                packet[1] = (u8)(1ul << below(self, 3));
                packet[2] = (u8)(1 + below(self, 4));
                packet[3] = hit(self, 2) ? 0xc0 | 56 : (u8)draw(self);
            }
        }
        ask(self, HV_LDC_TX_SET_QTAIL, channel, below(self, entries) * 64, 0, 0, 0, 0);
        break;
    }
    case 4: {
        u64 table = arena(self, 64);

        for (u64 n = 0; n < 16; n++)
            *(u64 *)(table + 16 * n) = table_word(self);
        ask(self, HV_LDC_SET_MAP_TABLE, channel, table, 2ul << below(self, 8), 0, 0, 0);
        break;
    }
    case 5:
    case 6:
        ask(self, HV_LDC_COPY, channel, below(self, 2), cookie_of(self), arena(self, 8),
            below(self, 20000) & ~7ul, 0);
        break;
    default: {
        u64 args[5] = {channel}, rets[6];

        if (hostile_trap(HV_FAST_TRAP_NUMBER, HV_LDC_RX_GET_STATE, args, rets) == HV_EOK)
            ask(self, HV_LDC_RX_SET_QHEAD, channel, hit(self, 4) ? draw(self) : rets[2], 0, 0, 0,
                0);
        ask(self, HV_LDC_TX_GET_STATE, channel, 0, 0, 0, 0, 0);
    }
    }
}

/* One packet; spoilt at times. */
static void put(struct talk *talk, u8 type, u8 stype, u8 ctrl, u8 env, const void *payload)
{
    u8 *packet = (u8 *)(talk->tx + talk->tail);

    memset(packet, 0, LDC_PACKET_BYTES);
    packet[0] = type;
    packet[1] = stype;
    packet[2] = ctrl;
    packet[3] = env;
    *(u32 *)(packet + 4) = talk->seq;
    if (payload)
        memcpy(packet + 8, payload, LDC_PAYLOAD_BYTES);
    if (hit(talk->self, SPOIL))
        packet[below(talk->self, LDC_PACKET_BYTES)] = (u8)draw(talk->self);
    talk->tail = (talk->tail + LDC_PACKET_BYTES) % QUEUE_BYTES;
    ask(talk->self, HV_LDC_TX_SET_QTAIL, talk->channel, talk->tail, 0, 0, 0, 0);
}

static void message(struct talk *talk, const void *payload)
{
    talk->seq++;
    put(talk, LDC_DATA, LDC_INFO, 0, LDC_ENV_START | LDC_ENV_STOP | LDC_PAYLOAD_BYTES, payload);
}

/* Takes what came: remembers the ring's name, says yes to what is asked. */
static void hear(struct talk *talk)
{
    u64 args[5] = {talk->channel}, rets[6];
    u64 until = stick() + below(talk->self, WAIT_TICKS);

    while (stick() < until)
        pause_spin();
    if (hostile_trap(HV_FAST_TRAP_NUMBER, HV_LDC_RX_GET_STATE, args, rets) != HV_EOK)
        return;
    for (u64 head = rets[1], n = 0; head != rets[2] && n < ENTRIES; n++) {
        u8 *packet = (u8 *)(talk->rx + head % QUEUE_BYTES);

        if (packet[0] == LDC_DATA && packet[9] == VIO_ACK &&
            *(u16 *)(packet + 10) == VIO_DRING_REG)
            talk->ident = *(u64 *)(packet + 16);
        if (packet[0] == LDC_DATA && packet[9] == VIO_INFO && !hit(talk->self, 8)) {
            packet[9] = VIO_ACK;
            message(talk, packet + 8);
        } else if (packet[0] == LDC_CTRL && packet[1] == LDC_INFO && !hit(talk->self, 8)) {
            put(talk, LDC_CTRL, packet[2] == LDC_VER ? LDC_ACK : LDC_INFO,
                packet[2] == LDC_RTS ? LDC_RTR : packet[2] == LDC_RTR ? LDC_RDX : packet[2],
                packet[3], packet + 8);
        }
        head = (head + LDC_PACKET_BYTES) % QUEUE_BYTES;
    }
    ask(talk->self, HV_LDC_RX_SET_QHEAD, talk->channel, rets[2], 0, 0, 0, 0);
}

static struct vio_tag tag(const struct talk *talk, u8 type, u16 envelope)
{
    return (struct vio_tag){type, VIO_INFO, envelope, talk->sid};
}

static u64 cookie_bytes(struct strand *self)
{
    return hit(self, 8) ? draw(self) : below(self, 4 * PAGE_BYTES) & ~7ul;
}

/* Descriptors of disk or network, ready to be taken. */
static void describe(struct talk *talk, int disk)
{
    struct strand *self = talk->self;

    for (u64 n = 0; n < RING_SLOTS; n++) {
        if (disk) {
            struct vdisk_descriptor *d = (void *)(talk->pages + n * sizeof *d);

            *d = (struct vdisk_descriptor){
                .header = {.state = VIO_READY, .ack = 1},
                .request = n,
                .operation = (u8)(hit(self, 4) ? below(self, 24) : 1 + below(self, 2)),
                .slice = hit(self, 8) ? (u8)draw(self) : VDISK_WHOLE,
                .block = hit(self, 8) ? draw(self) : below(self, 1024),
                .bytes = hit(self, 8) ? draw(self) : below(self, 32) * 512,
                .cookies = hit(self, 8) ? (u32)draw(self) : 1,
                .cookie = {cookie_of(self), cookie_bytes(self)},
            };
        } else {
            struct vnet_descriptor *d = (void *)(talk->pages + n * sizeof *d);

            *d = (struct vnet_descriptor){
                .header = {.state = VIO_READY, .ack = 1},
                .bytes = hit(self, 8) ? (u32)draw(self) : (u32)below(self, 1600),
                .cookies = hit(self, 8) ? (u32)draw(self) : 1,
                .cookie = {{cookie_of(self), cookie_bytes(self)}, {cookie_of(self), 64}},
            };
        }
        if (hit(self, 16))
            random_bytes(self, talk->pages + n * 64, 64);
    }
}

static void attributes(struct talk *talk, int disk)
{
    if (disk) {
        struct vdisk_attr attr = {
            .tag = tag(talk, VIO_CTRL, VIO_ATTR),
            .xfer_mode = VDISK_XFER_DRING,
            .block_bytes = VDISK_BLOCK_BYTES,
            .transfer_blocks_max = 256,
        };
        message(talk, &attr);
    } else {
        struct vnet_attr attr = {
            .tag = tag(talk, VIO_CTRL, VIO_ATTR),
            .xfer_mode = VNET_XFER_DRING_BIT,
            .addr_type = VNET_ADDR_MAC,
            .options = VNET_OPTION_TX,
            .addr = draw(talk->self) & 0xfffffffffffful,
            .mtu = 1518,
        };
        message(talk, &attr);
    }
}

void talk_session(struct strand *self)
{
    struct talk talk = {
        .self = self,
        .channel = below(self, CHANNELS),
        .tx = arena(self, QUEUE_BYTES),
        .rx = arena(self, QUEUE_BYTES),
        .table = arena(self, 64),
        .pages = arena(self, PAGE_BYTES),
        .sid = (u32)draw(self),
        .data_seq = 1,
    };
    int disk = hit(self, 2);
    u64 args[5] = {talk.channel, talk.tx, ENTRIES}, rets[6];
    struct vio_ver ver = {.major = 1, .minor = disk ? 1 : (u16)below(self, 7),
                          .class = disk ? VIO_DISK : VIO_NETWORK};
    struct vio_dring_reg reg = {.descriptors = RING_SLOTS, .options = VIO_RING_TX, .cookies = 1};
    struct vio_rdx rdx;
    u8 version[LDC_PAYLOAD_BYTES] = {0, 1, 0, 0};
    u8 padded[LDC_PAYLOAD_BYTES] = {0};

    for (u64 n = 0; n < TABLE_ENTRIES; n++)
        *(u64 *)(talk.table + 16 * n) =
            hit(self, 8) ? table_word(self) : (talk.pages + n * PAGE_BYTES) | 0x600;
    if (hostile_trap(HV_FAST_TRAP_NUMBER, HV_LDC_TX_QCONF, args, rets) != HV_EOK)
        return;
    ask(self, HV_LDC_RX_QCONF, talk.channel, talk.rx, ENTRIES, 0, 0, 0);
    ask(self, HV_LDC_SET_MAP_TABLE, talk.channel, talk.table, TABLE_ENTRIES, 0, 0, 0);
    if (hostile_trap(HV_FAST_TRAP_NUMBER, HV_LDC_TX_GET_STATE, args, rets) == HV_EOK)
        talk.tail = rets[2] % QUEUE_BYTES;
    put(&talk, LDC_CTRL, LDC_INFO, LDC_VER, 0, version);
    hear(&talk);
    put(&talk, LDC_CTRL, LDC_INFO, LDC_RTS, LDC_MODE_UNRELIABLE, 0);
    hear(&talk);
    put(&talk, LDC_CTRL, LDC_INFO, LDC_RDX, 0, 0);
    hear(&talk);
    ver.tag = tag(&talk, VIO_CTRL, VIO_VER);
    message(&talk, &ver);
    hear(&talk);
    attributes(&talk, disk);
    hear(&talk);
    reg.tag = tag(&talk, VIO_CTRL, VIO_DRING_REG);
    reg.descriptor_bytes = disk ? sizeof(struct vdisk_descriptor) : sizeof(struct vnet_descriptor);
    reg.cookie = (struct ldc_cookie){0, (u64)RING_SLOTS * reg.descriptor_bytes};
    memcpy(padded, &reg, sizeof reg);
    message(&talk, padded);
    hear(&talk);
    memset(&rdx, 0, sizeof rdx);
    rdx.tag = tag(&talk, VIO_CTRL, VIO_RDX);
    message(&talk, &rdx);
    hear(&talk);
    for (u64 n = below(self, 6); n; n--) {
        struct vio_dring_data data = {
            .tag = tag(&talk, VIO_DATA, VIO_DRING),
            .seq = talk.data_seq++,
            .ident = talk.ident,
            .start = (u32)below(self, RING_SLOTS),
            .end = disk || hit(self, 2) ? (s32)below(self, RING_SLOTS) : -1,
            .state = VIO_RING_ACTIVE,
        };
        describe(&talk, disk);
        message(&talk, &data);
        for (u64 waits = 0; waits < WAITS; waits++)
            hear(&talk);
    }
}
