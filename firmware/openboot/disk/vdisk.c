/* The client's side of a virtual disk, polled. */
#include "vdisk.h"

#include <sun4v/hcall.h>
#include <sun4v/vio.h>

#include "../../common/bytes.h"
#include "../heap.h"
#include "../prompt/edit.h"
#include "../release.h"
#include "channel.h"
#include "clock.h"
#include "endpoint.h"

#define MAJOR 1
#define MINOR 1
#define SLOTS 8 /* of the ring; one request is under way at a time */
#define TRANSFER_BYTES_MAX (256ul << 10)
/* Map entries: the ring's page, then the buffer's (one more, as it may begin inside). */
#define RING_INDEX 0
#define BUFFER_INDEX 1
#define BUFFER_PAGES (TRANSFER_BYTES_MAX / PAGE_BYTES + 1)
/* A session stands within this, or there is no server. */
#define SESSION_MS 8000
#define ANSWER_MS 10000
/* Sessions begun for one request. */
#define TRIES 3

_Static_assert(BUFFER_INDEX + BUFFER_PAGES <= CHANNEL_MAP_ENTRIES, "the map holds a request");

enum step { STEP_NONE, STEP_VER, STEP_ATTR, STEP_RING, STEP_RDX, STEP_DONE, STEP_REFUSED };

static struct vdisk {
    struct source source;
    struct channel channel;
    struct vdisk_descriptor *ring;
    u64 session; /* of the channel, which this handshake belongs to */
    u64 bytes_max;
    u64 ident; /* the server's name for the ring */
    u64 seq;
    u64 requests;
    u32 sid;
    u16 minor;
    u8 step;
    u8 answered;
    const char *refusal;
} disk;

static struct vio_tag tag(u8 type, u16 envelope)
{
    return (struct vio_tag){type, VIO_INFO, envelope, disk.sid};
}

/* A message of the handshake; one that finds no room is the timeout's business. */
static void ask(enum step step, const void *message, u64 bytes)
{
    disk.step = (u8)step;
    channel_send(&disk.channel, message, bytes);
}

static void propose(u16 minor)
{
    struct vio_ver ver = {
        .tag = tag(VIO_CTRL, VIO_VER), .major = MAJOR, .minor = minor, .class = VIO_DISK};

    disk.minor = minor;
    ask(STEP_VER, &ver, sizeof ver);
}

static void refuse(const char *why)
{
    disk.step = STEP_REFUSED;
    disk.refusal = why;
}

static void take_version(const struct vio_ver *answer)
{
    if (answer->tag.stype == VIO_ACK && answer->major == MAJOR && answer->minor <= disk.minor) {
        struct vdisk_attr attr = {
            .tag = tag(VIO_CTRL, VIO_ATTR),
            .xfer_mode = VDISK_XFER_DRING,
            .block_bytes = VDISK_BLOCK_BYTES,
            .transfer_blocks_max = TRANSFER_BYTES_MAX / VDISK_BLOCK_BYTES,
        };

        disk.minor = answer->minor;
        ask(STEP_ATTR, &attr, sizeof attr);
    } else if (answer->tag.stype == VIO_NACK && answer->major == MAJOR &&
               answer->minor < disk.minor) {
        propose(answer->minor);
    } else {
        refuse("its server speaks another version of the disk protocol");
    }
}

static void take_attributes(const struct vdisk_attr *attr)
{
    if (attr->tag.stype == VIO_NACK)
        return refuse("its server refuses it (no backend?)");
    if (attr->block_bytes != VDISK_BLOCK_BYTES)
        return refuse("its blocks are not of 512 bytes");
    if (attr->xfer_mode != VDISK_XFER_DRING || !attr->transfer_blocks_max)
        return refuse("its server has no descriptor rings");
    u64 blocks = attr->transfer_blocks_max;
    disk.bytes_max = blocks > TRANSFER_BYTES_MAX / SECTOR_BYTES ? TRANSFER_BYTES_MAX
                                                                : blocks * SECTOR_BYTES;
    disk.source.sectors =
        disk.minor >= 1 && attr->blocks <= ~0ul >> 10 ? attr->blocks : SECTORS_UNKNOWN;

    struct vio_dring_reg reg = {
        .tag = tag(VIO_CTRL, VIO_DRING_REG),
        .descriptors = SLOTS,
        .descriptor_bytes = sizeof(struct vdisk_descriptor),
        .options = VIO_RING_TX,
        .cookies = 1,
        .cookie = {ldc_cookie(RING_INDEX, 0), SLOTS * sizeof(struct vdisk_descriptor)},
    };
    ask(STEP_RING, &reg, sizeof reg);
}

static void take_ring(const struct vio_dring_reg *answer)
{
    struct vio_rdx rdx = {.tag = tag(VIO_CTRL, VIO_RDX)};

    if (answer->tag.stype == VIO_NACK)
        return refuse("its server refuses the ring");
    disk.ident = answer->ident;
    ask(STEP_RDX, &rdx, sizeof rdx);
}

static void take(void *owner, const void *bytes, u64 length)
{
    /* Messages are of 56 bytes and less; what a short one lacks reads as zero. */
    union {
        u8 bytes[LDC_PAYLOAD_BYTES];
        struct vio_tag tag;
        struct vio_ver ver;
        struct vdisk_attr attr;
        struct vio_dring_reg ring;
    } m = {{0}};

    if (length < sizeof m.tag || length > sizeof m)
        return;
    memcpy(m.bytes, bytes, length);
    if (m.tag.sid != disk.sid || (m.tag.stype != VIO_ACK && m.tag.stype != VIO_NACK))
        return;
    if (m.tag.type == VIO_DATA && m.tag.envelope == VIO_DRING && disk.step == STEP_DONE) {
        if (m.tag.stype == VIO_NACK)
            channel_reset(&disk.channel);
        else
            disk.answered = 1;
        return;
    }
    if (m.tag.type != VIO_CTRL)
        return;
    if (m.tag.envelope == VIO_VER && disk.step == STEP_VER)
        take_version(&m.ver);
    else if (m.tag.envelope == VIO_ATTR && disk.step == STEP_ATTR)
        take_attributes(&m.attr);
    else if (m.tag.envelope == VIO_DRING_REG && disk.step == STEP_RING)
        take_ring(&m.ring);
    else if (m.tag.envelope == VIO_RDX && disk.step == STEP_RDX && m.tag.stype == VIO_ACK)
        disk.step = STEP_DONE;
}

/* Keeps link and session going. */
static void poll(void)
{
    channel_poll(&disk.channel);
    if (!channel_up(&disk.channel)) {
        disk.step = STEP_NONE;
    } else if (disk.step == STEP_NONE || disk.session != disk.channel.sessions) {
        disk.session = disk.channel.sessions;
        disk.sid = (u32)(clock_now() >> 7) | 1;
        disk.seq = 1;
        memset(disk.ring, 0, PAGE_BYTES);
        propose(MINOR);
        /* What came with the end of the link's handshake was not for this session. */
    }
}

static const char *await_session(void)
{
    u64 until = clock_now() + clock_ms(SESSION_MS);

    do {
        poll();
        if (disk.step == STEP_DONE)
            return 0;
        if (disk.step == STEP_REFUSED)
            return disk.refusal;
        if (edit_interrupted())
            return "interrupted";
        clock_pause();
    } while (clock_now() < until);
    return channel_up(&disk.channel) ? "its server does not answer" : "its server is not there";
}

/* One request; `*lost` when the session ended before it was answered. */
static const char *request(u64 sector, u64 bytes, u64 ra, int *lost)
{
    u64 slot = disk.requests++ % SLOTS;
    struct vdisk_descriptor *d = &disk.ring[slot];
    struct vio_dring_data data = {
        .tag = tag(VIO_DATA, VIO_DRING),
        .seq = disk.seq,
        .ident = disk.ident,
        .start = (u32)slot,
        .end = (s32)slot,
        .state = VIO_RING_ACTIVE,
    };

    channel_lend(&disk.channel, BUFFER_INDEX, ra, bytes, MTE_COPY_WRITE);
    *d = (struct vdisk_descriptor){
        .header = {.state = VIO_FREE, .ack = 1},
        .request = disk.requests,
        .operation = VDISK_READ,
        .slice = VDISK_WHOLE,
        .block = sector,
        .bytes = bytes,
        .cookies = 1,
        .cookie = {ldc_cookie(BUFFER_INDEX, ra & PAGE_MASK), bytes},
    };
    __asm__ volatile("" ::: "memory"); /* stores are seen in order: TSO */
    *(volatile u8 *)&d->header.state = VIO_READY;

    u64 session = disk.session, until = clock_now() + clock_ms(ANSWER_MS);
    int told = 0;
    const char *why = "its server does not answer";
    disk.answered = 0;
    while (clock_now() < until) {
        if (!told && channel_send(&disk.channel, &data, sizeof data)) {
            told = 1;
            disk.seq++;
        }
        poll();
        *lost = disk.step != STEP_DONE || disk.session != session;
        if (*lost)
            break;
        if (disk.answered && *(volatile u8 *)&d->header.state == VIO_DONE) {
            why = d->status ? "its server reports an error" : 0;
            break;
        }
        if (edit_interrupted()) {
            why = "interrupted";
            break;
        }
        clock_pause();
    }
    /* A server that answers late must not write into memory that is something else. */
    memset(disk.channel.map + BUFFER_INDEX, 0, BUFFER_PAGES * sizeof *disk.channel.map);
    return why;
}

static const char *read_some(u64 sector, u64 bytes, u64 ra)
{
    const char *why = 0;

    for (int tries = 0; tries < TRIES; tries++) {
        int lost = 0;

        why = await_session();
        if (!why)
            why = request(sector, bytes, ra, &lost);
        if (!lost)
            return why;
    }
    return why;
}

static const char *vdisk_read(struct source *source, u64 sector, u64 count, u64 ra)
{
    if (ra & 7)
        return "a buffer that is not aligned";
    while (count) {
        u64 part = count;

        if (part > disk.bytes_max / SECTOR_BYTES)
            part = disk.bytes_max / SECTOR_BYTES;
        const char *why = read_some(sector, part * SECTOR_BYTES, ra);
        if (why)
            return why;
        sector += part;
        ra += part * SECTOR_BYTES;
        count -= part;
    }
    return 0;
}

const char *vdisk_open(u64 number, struct source **source)
{
    u64 channel;
    const char *why = endpoint_of_disk(number, &channel);

    vdisk_close();
    source_forget();
    if (why)
        return why;
    if (!disk.ring)
        disk.ring = heap_pages(PAGE_BYTES);
    if (!disk.ring)
        return "no memory for a disk";
    disk.channel.take = take;
    disk.step = STEP_NONE;
    disk.source = (struct source){SECTORS_UNKNOWN, vdisk_read};
    why = channel_open(&disk.channel, channel, CHANNEL_MODE_UNRELIABLE, 1);
    if (!why) {
        channel_lend(&disk.channel, RING_INDEX, real_address(disk.ring), PAGE_BYTES,
                     MTE_COPY_READ | MTE_COPY_WRITE);
        why = await_session();
    }
    if (why)
        vdisk_close();
    *source = &disk.source;
    return why;
}

void vdisk_close(void)
{
    channel_close(&disk.channel);
    disk.step = STEP_NONE;
}

void disk_close_all(void)
{
    vdisk_close();
}
