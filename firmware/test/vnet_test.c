/* The virtual network interface against a played switch. */
#include "check.h"

#include <sun4v/hcall.h>
#include <sun4v/vio.h>

#include "../rover/clock.h"
#include "../rover/ldc.h"
#include "../rover/memory.h"
#include "../rover/net.h"
#include "../rover/vnet.h"

static void *memory_take_pages(u64 pages)
{
    return memory_take(pages * PAGE_BYTES, PAGE_BYTES);
}

/* --- what the interface hands on --- */

static u8 arrived[64][2048];
static u64 arrived_bytes[64];
static int arrivals, link_ups;

void net_frame(const u8 *frame, u64 bytes)
{
    memcpy(arrived[arrivals], frame, bytes);
    arrived_bytes[arrivals++] = bytes;
}

void net_link_up(void)
{
    link_ups++;
}

/* --- a switch's port --- */

#define SLOTS 16

static struct {
    struct ldc ldc;
    u16 minor;          /* the highest it speaks */
    u16 agreed;
    u32 sid, peer_sid;
    int rdx, options;
    u64 mtu;
    struct vio_dring_reg peer_ring;
    /* its own ring */
    struct vnet_descriptor *ring;
    u8 *buffers;
    u32 head;
    u64 seq;
    int stopped;
    /* frames it took */
    u8 taken[64][2048];
    u64 taken_bytes[64];
    int count;
    int sleeping;       /* takes no frames */
} port;

static u8 *room;

static struct vio_tag tag_of(u8 type, u8 stype, u16 envelope)
{
    return (struct vio_tag){type, stype, envelope, port.sid};
}

static void port_up(void *owner)
{
    struct vio_ver ver = {.tag = tag_of(VIO_CTRL, VIO_INFO, VIO_VER),
                          .major = 1,
                          .minor = port.minor,
                          .class = VIO_NETWORK_SWITCH};

    ldc_send(&port.ldc, &ver, sizeof ver);
}

static void port_down(void *owner)
{
    port.rdx = 0;
    port.peer_sid = 0;
}

static void take_frames(const struct vio_dring_data *info)
{
    struct vio_dring_data ack = *info;
    struct vnet_descriptor d;
    u32 at = info->start, last = (info->start + port.peer_ring.descriptors - 1) %
                                 port.peer_ring.descriptors;
    int any = 0;

    for (;;) {
        u64 cookie = port.peer_ring.cookie.addr + (u64)at * port.peer_ring.descriptor_bytes;
        CHECK(ldc_copy_all(&port.ldc, LDC_COPY_IN, cookie, room, sizeof d));
        memcpy(&d, room, sizeof d);
        if (d.header.state != VIO_READY)
            break;
        u64 bytes = (d.bytes + 6 + 7) & ~7ul;
        CHECK_EQ(d.cookie[0].bytes, bytes);
        CHECK(ldc_copy_all(&port.ldc, LDC_COPY_IN, d.cookie[0].addr, room, bytes));
        memcpy(port.taken[port.count], room + 6, d.bytes);
        port.taken_bytes[port.count++] = d.bytes;
        d.header.state = VIO_DONE;
        memcpy(room, &d.header, 8);
        CHECK(ldc_copy_all(&port.ldc, LDC_COPY_OUT, cookie, room, 8));
        last = at;
        any = 1;
        at = (at + 1) % port.peer_ring.descriptors;
    }
    ack.tag.stype = VIO_ACK;
    ack.tag.sid = port.sid;
    ack.start = any ? info->start : last;
    ack.end = (s32)last;
    ack.state = VIO_RING_STOPPED;
    CHECK(ldc_send(&port.ldc, &ack, sizeof ack));
}

static void port_message(void *owner, const void *bytes, u64 length)
{
    const struct vio_tag *tag = bytes;
    union {
        u8 bytes[56];
        struct vio_tag tag;
        struct vio_ver ver;
        struct vnet_attr attr;
        struct vio_dring_reg reg;
    } m;

    memcpy(m.bytes, bytes, length);
    if (tag->type == VIO_DATA) {
        CHECK_EQ(tag->sid, port.peer_sid);
        if (tag->stype == VIO_ACK)
            port.stopped = 1;
        else if (!port.sleeping)
            take_frames(bytes);
        return;
    }
    if (tag->stype == VIO_INFO) {
        m.tag.stype = VIO_ACK;
        m.tag.sid = port.sid;
        if (tag->envelope == VIO_VER) {
            CHECK_EQ(m.ver.class, VIO_NETWORK);
            port.peer_sid = tag->sid;
            m.ver.class = VIO_NETWORK_SWITCH;
            if (m.ver.minor > port.minor)
                m.ver.minor = port.minor;
            port.agreed = m.ver.minor;
        } else if (tag->envelope == VIO_ATTR) {
            CHECK_EQ(tag->sid, port.peer_sid);
            CHECK_EQ(m.attr.addr, 0x00144ff80001);
            CHECK_EQ(m.attr.xfer_mode, port.agreed >= 2 ? 4 : 3);
            port.mtu = m.attr.mtu;
            port.options = m.attr.options;
        } else if (tag->envelope == VIO_DRING_REG) {
            CHECK_EQ(m.reg.options, VIO_RING_TX);
            port.peer_ring = m.reg;
            m.reg.ident = 4;
        } else if (tag->envelope == VIO_RDX) {
            port.rdx++;
        }
        CHECK(ldc_send(&port.ldc, m.bytes, length));
        return;
    }
    CHECK_EQ(tag->stype, VIO_ACK);
    if (tag->envelope == VIO_VER) {
        struct vnet_attr attr = {.tag = tag_of(VIO_CTRL, VIO_INFO, VIO_ATTR),
                                 .xfer_mode = 4,
                                 .addr_type = 1,
                                 .options = 1,
                                 .mtu = 1514};
        ldc_send(&port.ldc, &attr, sizeof attr);
    } else if (tag->envelope == VIO_ATTR) {
        struct vio_dring_reg reg = {.tag = tag_of(VIO_CTRL, VIO_INFO, VIO_DRING_REG),
                                    .descriptors = SLOTS,
                                    .descriptor_bytes = sizeof(struct vnet_descriptor),
                                    .options = VIO_RING_TX,
                                    .cookies = 1,
                                    .cookie = {0, SLOTS * sizeof(struct vnet_descriptor)}};
        ldc_send(&port.ldc, &reg, sizeof reg);
    } else if (tag->envelope == VIO_DRING_REG) {
        struct vio_rdx rdx = {.tag = tag_of(VIO_CTRL, VIO_INFO, VIO_RDX)};
        port.peer_ring.ident = ((const struct vio_dring_reg *)bytes)->ident;
        ldc_send(&port.ldc, &rdx, sizeof rdx);
    }
}

static const struct ldc_ops ops = {port_up, port_down, port_message};

static void open_port(u16 minor)
{
    struct ldc_ids ids = {1, 2, 3, 0x200};
    static u32 flag;

    memset(&port, 0, sizeof port);
    port.minor = minor;
    port.sid = 0x5157;
    port.ring = memory_take_pages(1);
    port.buffers = memory_take_pages(SLOTS);
    ldc_init(&port.ldc, &ids, 512, &ops, 0);
    ldc_lend(&port.ldc, 0, port.ring, PAGE_BYTES, MTE_COPY_READ | MTE_COPY_WRITE);
    ldc_lend(&port.ldc, 1, port.buffers, SLOTS * PAGE_BYTES, MTE_COPY_READ);
    ldc_open(&port.ldc, &flag, 0);
}

static void run(int rounds)
{
    for (int i = 0; i < rounds; i++) {
        vnet_poll();
        ldc_poll(&port.ldc);
    }
}

/* Puts a frame into the switch's ring, split over two cookies when it says so. */
static void offer(const char *text, u64 bytes, u64 split)
{
    u32 slot = port.head++ % SLOTS;
    u8 *buffer = port.buffers + slot * PAGE_BYTES;
    u64 all = (bytes + 6 + 7) & ~7ul;

    memset(buffer, 0, PAGE_BYTES);
    memcpy(buffer + 6, text, strlen(text));
    buffer[6 + bytes - 1] = 0x77;
    port.ring[slot] = (struct vnet_descriptor){
        .header = {.state = VIO_READY},
        .bytes = (u32)bytes,
        .cookies = split ? 2 : 1,
        .cookie = {{ldc_cookie(1 + slot, 0), split ? split : all},
                   {ldc_cookie(1 + slot, split), split ? all - split : 0}},
    };
}

static void ring_bell(u32 start)
{
    struct vio_dring_data data = {.tag = tag_of(VIO_DATA, VIO_INFO, VIO_DRING),
                                  .seq = ++port.seq,
                                  .ident = port.peer_ring.ident,
                                  .start = start,
                                  .end = -1};

    port.stopped = 0;
    CHECK(ldc_send(&port.ldc, &data, sizeof data));
}

static void send(const char *text)
{
    u8 *frame = vnet_frame();

    CHECK(frame);
    memset(frame, 0, 100);
    memcpy(frame, text, strlen(text));
    vnet_send(100);
}

/* --- tests --- */

static void attach(u16 minor)
{
    static int attached;
    struct ldc_ids ids = {0, 0, 1, 0x200};
    static u32 flag;

    if (!attached++) {
        world_reset_channels();
        vnet_attach(&ids, 0x00144ff80001, &flag, 0);
    } else {
        world_migrate();
        run(3);
    }
    open_port(minor);
    run(20);
    CHECK_EQ(port.rdx, 1);
}

static void a_session_is_negotiated_in_both_directions(void)
{
    attach(6);
    CHECK_EQ(link_ups, 1);
    CHECK_EQ(port.mtu, 1518);
    CHECK_EQ(port.options, VNET_OPTION_TX);
}

static void frames_go_out_in_order(void)
{
    send("one");
    send("two");
    send("three");
    run(5);
    CHECK_EQ(port.count, 3);
    CHECK_EQ(port.taken_bytes[0], 100);
    CHECK(!strcmp((char *)port.taken[0], "one"));
    CHECK(!strcmp((char *)port.taken[2], "three"));
    /* A short one is padded. */
    u8 *frame = vnet_frame();
    memset(frame, 0xaa, 60);
    vnet_send(42);
    run(5);
    CHECK_EQ(port.taken_bytes[3], 60);
    CHECK_EQ(port.taken[3][41], 0xaa);
    CHECK_EQ(port.taken[3][42], 0);
}

static void frames_come_in_also_when_cut_in_two(void)
{
    arrivals = 0;
    offer("alpha", 60, 0);
    offer("beta", 1514, 0);
    offer("gamma", 777, 400);
    ring_bell(0);
    run(3);
    CHECK(port.stopped);
    CHECK_EQ(arrivals, 3);
    CHECK_EQ(arrived_bytes[1], 1514);
    CHECK_EQ(arrived[1][1513], 0x77);
    CHECK(!strcmp((char *)arrived[2], "gamma"));
    CHECK_EQ(arrived[2][776], 0x77);
    for (int i = 0; i < 3; i++)
        CHECK_EQ(port.ring[i].header.state, VIO_DONE);
    /* A bell with nothing behind it. */
    ring_bell(3);
    run(3);
    CHECK(port.stopped);
    CHECK_EQ(arrivals, 3);
}

static void a_descriptor_that_lies_is_passed_over(void)
{
    arrivals = 0;
    u32 start = port.head % SLOTS;
    offer("huge", 60, 0);
    port.ring[start].bytes = 1u << 31;
    offer("empty", 60, 0);
    port.ring[start + 1].bytes = 0;
    offer("wild", 60, 0);
    port.ring[start + 2].cookie[0].addr = ~7ul;
    offer("short", 60, 0);
    port.ring[start + 3].cookie[0].bytes = 8;
    offer("good", 60, 0);
    ring_bell(start);
    run(3);
    CHECK_EQ(arrivals, 1);
    CHECK(!strcmp((char *)arrived[0], "good"));
}

static void the_ring_goes_round_many_times(void)
{
    for (int i = 0; i < 500; i++) {
        port.count = 0;
        send("round");
        run(3);
        CHECK_EQ(port.count, 1);
    }
}

static void a_full_ring_says_so_and_recovers(void)
{
    int sent = 0;

    port.count = 0;
    port.sleeping = 1;
    while (vnet_frame()) {
        vnet_send(60);
        sent++;
    }
    CHECK_EQ(sent, 64);
    run(3);
    CHECK_EQ(port.count, 0);
    port.sleeping = 0;
    /* It slept for too long and is taken for another one. */
    for (int i = 0; i < 60; i++) {
        world_pass_ms(100);
        run(1);
    }
    CHECK_EQ(port.count, 64);
    CHECK(vnet_frame());
}

static void waiting_frames_survive_a_migration(void)
{
    int before = link_ups;

    port.sleeping = 1;
    send("kept");
    send("too");
    run(2);
    attach(6);
    run(5);
    CHECK_EQ(link_ups, before + 1);
    CHECK_EQ(port.count, 2);
    CHECK(!strcmp((char *)port.taken[0], "kept"));
    CHECK(!strcmp((char *)port.taken[1], "too"));
}

static void an_old_switch_is_spoken_to_in_its_version(void)
{
    attach(0);
    CHECK_EQ(port.agreed, 0);
    CHECK_EQ(port.mtu, 1514);
    CHECK_EQ(port.options, 0);
    send("old");
    run(3);
    CHECK_EQ(port.count, 1);
}

int main(void)
{
    room = memory_take_pages(1);
    TEST(a_session_is_negotiated_in_both_directions);
    TEST(frames_go_out_in_order);
    TEST(frames_come_in_also_when_cut_in_two);
    TEST(a_descriptor_that_lies_is_passed_over);
    TEST(the_ring_goes_round_many_times);
    TEST(a_full_ring_says_so_and_recovers);
    TEST(waiting_frames_survive_a_migration);
    TEST(an_old_switch_is_spoken_to_in_its_version);
    return 0;
}
