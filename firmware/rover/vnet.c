/* The virtual network interface: VIO net protocol 1.0 to 1.6. */
#include "vnet.h"

#include <sun4v/hcall.h>

#include "../common/bytes.h"
#include "clock.h"
#include "console.h"
#include "lock.h"
#include "memory.h"
#include "net.h"
#include "vio.h"

#define MINOR 6
#define MINOR_XFER_BITS 2
#define MINOR_MTU_1518 3
#define MINOR_OPTIONS 6
#define SLOTS 64
#define SLOT_BYTES 2048
/* Map entries: the ring's page, then the buffers. */
#define RING_INDEX 0
#define BUFFER_INDEX 1
#define MAP_ENTRIES 512
/* Our name for the switch's ring. */
#define PEER_RING 1
/* Frames taken before the switch is told to wait and start again. */
#define BURST_MAX 64
/* The switch does not take a frame for so long: it is another one. */
#define TAKEN_MS 3000

struct vnet {
    struct ldc ldc;
    struct vio vio;
    u64 mac;
    struct vnet_descriptor *ring;
    u8 *buffers;
    u64 head, tail;    /* ever growing; slot = n % SLOTS */
    u32 peer_runs;     /* the switch looks for ready descriptors by itself */
    u64 taken_by;
    /* The switch's ring, which we receive from. */
    u32 peer_sid;
    u32 peer_ring_known;
    struct vio_dring_reg peer_ring;
    u64 *room;         /* where a frame is copied to */
};

struct vnet_counters vnet_counters;
static struct vnet vnet;

static int session_up(void)
{
    return vnet.vio.step == VIO_STEP_DONE;
}

static u8 *buffer_of(u64 n)
{
    return vnet.buffers + n % SLOTS * SLOT_BYTES;
}

static u8 state_of(u64 n)
{
    return *(volatile u8 *)&vnet.ring[n % SLOTS].header.state;
}

/* Frees the slots of frames that the switch has taken. */
static void reclaim(void)
{
    while (vnet.tail != vnet.head && state_of(vnet.tail) == VIO_DONE) {
        vnet.ring[vnet.tail++ % SLOTS].header.state = VIO_FREE;
        vnet.taken_by = stick() + ticks_of_ms(TAKEN_MS);
    }
}

/* Tells a switch that has stopped where ready descriptors begin. */
static void start_peer(void)
{
    if (!session_up() || vnet.peer_runs || vnet.tail == vnet.head)
        return;
    if (vio_send_ready(&vnet.vio, (u32)(vnet.tail % SLOTS), -1)) {
        vnet.peer_runs = 1;
        vnet.taken_by = stick() + ticks_of_ms(TAKEN_MS);
    }
}

u8 *vnet_frame(void)
{
    reclaim();
    if (!vnet.ring || vnet.head - vnet.tail == SLOTS) {
        vnet_counters.full++;
        return 0;
    }
    return buffer_of(vnet.head) + VNET_LEAD_BYTES;
}

void vnet_send(u64 bytes)
{
    u64 slot = vnet.head % SLOTS, at = slot * SLOT_BYTES;
    u8 *frame = buffer_of(vnet.head) + VNET_LEAD_BYTES;

    if (bytes < VNET_FRAME_MIN) {
        memset(frame + bytes, 0, VNET_FRAME_MIN - bytes);
        bytes = VNET_FRAME_MIN;
    }
    vnet.ring[slot] = (struct vnet_descriptor){
        .header = {.state = VIO_FREE},
        .bytes = (u32)bytes,
        .cookies = 1,
        .cookie = {{ldc_cookie(BUFFER_INDEX + at / PAGE_BYTES, at % PAGE_BYTES),
                    (bytes + VNET_LEAD_BYTES + 7) & ~7ul}},
    };
    store_order();
    *(volatile u8 *)&vnet.ring[slot].header.state = VIO_READY;
    vnet.head++;
    vnet_counters.sent++;
    start_peer();
}

static void on_up(void *owner)
{
    vio_begin(&vnet.vio, MINOR);
}

static void on_down(void *owner)
{
    console_print("net: switch lost, %u frames wait\n", vnet.head - vnet.tail);
    vio_advance(&vnet.vio, VIO_STEP_VER);
    vnet.vio.deadline = NEVER;
    vnet.peer_ring_known = 0;
    vnet.peer_sid = 0;
}

static struct vnet_attr attributes(u8 stype)
{
    struct vio *vio = &vnet.vio;

    return (struct vnet_attr){
        .tag = vio_tag(vio, VIO_CTRL, stype, VIO_ATTR),
        .xfer_mode = vio->minor >= MINOR_XFER_BITS ? VNET_XFER_DRING_BIT : VNET_XFER_DRING,
        .addr_type = VNET_ADDR_MAC,
        .options = vio->minor >= MINOR_OPTIONS ? VNET_OPTION_TX : 0,
        .addr = vnet.mac,
        .mtu = vio->minor >= MINOR_MTU_1518 ? VNET_FRAME_MAX : FRAME_BYTES_MAX,
    };
}

/* The session stands: frames that the last one left over are offered again. */
static void session_begun(void)
{
    vio_advance(&vnet.vio, VIO_STEP_DONE);
    vnet_counters.sessions++;
    reclaim();
    for (u64 n = vnet.tail; n != vnet.head; n++)
        if (state_of(n) != VIO_DONE)
            vnet.ring[n % SLOTS].header.state = VIO_READY;
    vnet.peer_runs = 0;
    console_print("net: up, protocol 1.%u, %u frames waited\n", (u64)vnet.vio.minor,
                  vnet.head - vnet.tail);
    start_peer();
    net_link_up();
}

/* What the switch asks of us. */
static void take_question(const void *bytes)
{
    const struct vio_tag *tag = bytes;
    union {
        u8 bytes[56];
        struct vio_tag tag;
        struct vio_ver ver;
        struct vnet_attr attr;
        struct vio_dring_reg reg;
    } answer;
    u64 length = 56;

    memcpy(answer.bytes, bytes, sizeof answer.bytes);
    answer.tag.stype = VIO_ACK;
    answer.tag.sid = vnet.vio.sid;
    switch (tag->envelope) {
    case VIO_VER:
        vnet.peer_sid = tag->sid;
        answer.ver.class = VIO_NETWORK;
        if (answer.ver.major != VIO_MAJOR) {
            answer.tag.stype = VIO_NACK;
            answer.ver.major = answer.ver.major ? VIO_MAJOR : 0;
        }
        if (answer.ver.minor > MINOR || answer.tag.stype == VIO_NACK)
            answer.ver.minor = MINOR;
        if (answer.tag.stype == VIO_ACK && answer.ver.minor < vnet.vio.minor)
            vnet.vio.minor = answer.ver.minor;
        break;
    case VIO_ATTR: {
        u64 ours = attributes(VIO_ACK).mtu;
        if (answer.attr.mtu > ours)
            answer.attr.mtu = ours;
        if (answer.attr.options)
            answer.attr.options = VNET_OPTION_TX;
        break;
    }
    case VIO_DRING_REG:
        if (answer.reg.cookies != 1 || answer.reg.descriptors == 0 ||
            answer.reg.descriptor_bytes < sizeof(struct vnet_descriptor) ||
            answer.reg.descriptor_bytes % 8) {
            answer.tag.stype = VIO_NACK;
        } else {
            answer.reg.ident = PEER_RING;
            vnet.peer_ring = answer.reg;
            vnet.peer_ring_known = 1;
        }
        length = sizeof answer.reg;
        break;
    case VIO_DRING_UNREG:
        vnet.peer_ring_known = 0;
        break;
    case VIO_RDX:
        break;
    default:
        answer.tag.stype = VIO_NACK;
    }
    ldc_send(&vnet.ldc, answer.bytes, length);
}

/* What the switch says to what we asked. */
static void take_reply(const void *bytes)
{
    const struct vio_tag *tag = bytes;
    struct vio *vio = &vnet.vio;

    if (tag->envelope == VIO_VER && vio->step == VIO_STEP_VER) {
        if (vio_take_version(vio, bytes)) {
            struct vnet_attr attr = attributes(VIO_INFO);
            vio_advance(vio, VIO_STEP_ATTR);
            ldc_send(&vnet.ldc, &attr, sizeof attr);
        }
        return;
    }
    if (tag->stype == VIO_NACK)
        return; /* The step's deadline has us try again. */
    if (tag->envelope == VIO_ATTR && vio->step == VIO_STEP_ATTR) {
        vio_send_ring(vio, RING_INDEX, SLOTS, sizeof(struct vnet_descriptor));
    } else if (tag->envelope == VIO_DRING_REG && vio->step == VIO_STEP_RING) {
        vio->ring = ((const struct vio_dring_reg *)bytes)->ident;
        vio_send_rdx(vio);
    } else if (tag->envelope == VIO_RDX && vio->step == VIO_STEP_RDX) {
        session_begun();
    }
}

/* Copies a descriptor's frame in; its length, or 0. */
static u64 fetch_frame(const struct vnet_descriptor *d)
{
    u64 wanted = (d->bytes + VNET_LEAD_BYTES + 7) & ~7ul, done = 0;

    if (d->bytes < VNET_FRAME_MIN - 46 || d->bytes > VNET_FRAME_MAX)
        return 0;
    for (u32 i = 0; i < d->cookies && i < COUNT_OF(d->cookie) && done < wanted; i++) {
        u64 part = d->cookie[i].bytes & ~7ul;

        if (part > wanted - done)
            part = wanted - done;
        if (!ldc_copy_all(&vnet.ldc, LDC_COPY_IN, d->cookie[i].addr, (u8 *)vnet.room + done,
                          part))
            return 0;
        done += part;
    }
    return done >= d->bytes + VNET_LEAD_BYTES ? d->bytes : 0;
}

/* Takes ready descriptors from `start` on, and tells where it stopped. */
static void take_frames(const struct vio_dring_data *info)
{
    static struct vnet_descriptor d;
    u32 count = vnet.peer_ring.descriptors, taken = 0;
    u32 at = info->start, last = (info->start + count - 1) % count;
    struct vio_dring_data ack = *info;

    while (taken < count && taken < BURST_MAX) {
        u64 cookie = vnet.peer_ring.cookie.addr + (u64)at * vnet.peer_ring.descriptor_bytes;

        if (!ldc_copy_all(&vnet.ldc, LDC_COPY_IN, cookie, &d, sizeof d) ||
            d.header.state != VIO_READY)
            break;
        u64 bytes = fetch_frame(&d);
        d.header.state = VIO_DONE;
        if (!ldc_copy_all(&vnet.ldc, LDC_COPY_OUT, cookie, &d.header, sizeof d.header))
            break;
        last = at;
        taken++;
        at = (at + 1) % count;
        if (bytes) {
            vnet_counters.received++;
            net_frame((u8 *)vnet.room + VNET_LEAD_BYTES, bytes);
        }
        if (info->end >= 0 && last == (u32)info->end)
            break;
    }
    ack.tag.stype = VIO_ACK;
    ack.tag.sid = vnet.vio.sid;
    ack.start = taken ? info->start : last;
    ack.end = (s32)last;
    ack.state = VIO_RING_STOPPED;
    ldc_send(&vnet.ldc, &ack, sizeof ack);
}

static void take_ring_message(const struct vio_dring_data *data)
{
    if (data->tag.stype == VIO_INFO) {
        if (vnet.peer_ring_known && data->ident == PEER_RING &&
            data->start < vnet.peer_ring.descriptors)
            take_frames(data);
        return;
    }
    if (!session_up() || data->ident != vnet.vio.ring)
        return;
    reclaim();
    if (data->tag.stype == VIO_NACK) {
        ldc_reset(&vnet.ldc);
        return;
    }
    if (data->state == VIO_RING_STOPPED) {
        vnet.peer_runs = 0;
        start_peer();
    }
}

static void on_message(void *owner, const void *bytes, u64 length)
{
    const struct vio_tag *tag = bytes;

    if (length < sizeof(struct vio_dring_reg))
        return;
    if (tag->type == VIO_DATA && tag->envelope == VIO_DRING)
        take_ring_message(bytes);
    else if (tag->type == VIO_CTRL && tag->stype == VIO_INFO)
        take_question(bytes);
    else if (tag->type == VIO_CTRL)
        take_reply(bytes);
}

static const struct ldc_ops ops = {on_up, on_down, on_message};

void vnet_attach(const struct ldc_ids *ids, u64 mac, u32 *flag, u64 vcpu)
{
    vnet.mac = mac;
    vnet.vio.ldc = &vnet.ldc;
    vnet.vio.class = VIO_NETWORK;
    vnet.vio.deadline = NEVER;
    vnet.ring = memory_take(PAGE_BYTES, PAGE_BYTES);
    vnet.buffers = memory_take(SLOTS * SLOT_BYTES, PAGE_BYTES);
    vnet.room = memory_take(PAGE_BYTES, PAGE_BYTES);
    ldc_init(&vnet.ldc, ids, MAP_ENTRIES, &ops, &vnet);
    ldc_lend(&vnet.ldc, RING_INDEX, vnet.ring, PAGE_BYTES, MTE_COPY_READ | MTE_COPY_WRITE);
    ldc_lend(&vnet.ldc, BUFFER_INDEX, vnet.buffers, SLOTS * SLOT_BYTES, MTE_COPY_READ);
    ldc_open(&vnet.ldc, flag, vcpu);
}

void vnet_poll(void)
{
    u64 now = stick();

    if (!vnet.ring)
        return;
    ldc_poll(&vnet.ldc);
    reclaim();
    start_peer();
    if (ldc_is_up(&vnet.ldc) && now >= vnet.vio.deadline)
        ldc_reset(&vnet.ldc);
    if (session_up() && vnet.peer_runs && vnet.tail != vnet.head && now >= vnet.taken_by) {
        console_print("net: the switch takes nothing\n");
        ldc_reset(&vnet.ldc);
    }
}

u64 vnet_wake_at(void)
{
    return vnet.ring ? ldc_wake_at(&vnet.ldc) : NEVER;
}
