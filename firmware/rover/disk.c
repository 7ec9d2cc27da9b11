/* Virtual disks: the client's side of the VIO disk protocol 1.1. */
#include "disk.h"

#include "clock.h"
#include "console.h"
#include "cpu.h"
#include "lock.h"
#include "memory.h"
#include "vio.h"

#define MINOR 1
#define SLOTS 32
#define SLOT_PAGES (DISK_REQUEST_BYTES_MAX / PAGE_BYTES)
/* Map entries: the ring's page, and then each slot's buffer. */
#define RING_INDEX 0
#define BUFFER_INDEX 16
#define MAP_ENTRIES 1024
/* A server that does not answer for so long is asked anew. */
#define ANSWER_MS 10000

_Static_assert(BUFFER_INDEX + SLOTS * SLOT_PAGES <= MAP_ENTRIES, "the map holds all slots");
_Static_assert(SLOTS * sizeof(struct vdisk_descriptor) <= PAGE_BYTES, "the ring is one page");

struct disk {
    struct ldc ldc;
    struct vio vio;
    struct task task;
    u64 number;
    u64 bytes;
    u64 request_max;
    u32 ready;               /* was up once */
    struct lock lock;        /* of the list of new requests */
    struct disk_request *first, *last;
    struct vdisk_descriptor *ring;
    struct disk_request *slots[SLOTS]; /* in use from `tail` to `head` */
    u64 head, tail;          /* ever growing; slot = n % SLOTS */
    u64 told;                /* up to here the server knows */
    u64 answer_by;
};

u64 disk_count;
static struct disk disks[DISKS_MAX];

static u64 bytes_up(u64 bytes)
{
    return (bytes + PAGE_MASK) & ~PAGE_MASK;
}

static int session_up(const struct disk *disk)
{
    return disk->vio.step == VIO_STEP_DONE;
}

/* Puts a request into the ring, for the server to find when it is told. */
static void describe(struct disk *disk, u64 n)
{
    u64 slot = n % SLOTS, index = BUFFER_INDEX + slot * SLOT_PAGES;
    struct disk_request *request = disk->slots[slot];
    struct vdisk_descriptor *d = &disk->ring[slot];
    u64 rights = request->operation == VDISK_READ ? MTE_COPY_WRITE : MTE_COPY_READ;

    ldc_lend(&disk->ldc, index, request->buffer, bytes_up(request->bytes), rights);
    *d = (struct vdisk_descriptor){
        .header = {.state = VIO_FREE, .ack = 1},
        .request = n,
        .operation = request->operation,
        .slice = VDISK_WHOLE,
        .block = request->offset / VDISK_BLOCK_BYTES,
        .bytes = request->bytes,
        .cookies = 1,
        .cookie = {ldc_cookie(index, 0), request->bytes},
    };
    store_order();
    *(volatile u8 *)&d->header.state = VIO_READY;
}

static void complete(struct disk *disk, u32 status)
{
    u64 slot = disk->tail % SLOTS, index = BUFFER_INDEX + slot * SLOT_PAGES;
    struct disk_request *request = disk->slots[slot];

    for (u64 page = 0; page < SLOT_PAGES; page++)
        disk->ldc.map[index + page].mte = 0;
    disk->ring[slot].header.state = VIO_FREE;
    disk->slots[slot] = 0;
    disk->tail++;
    request->status = status;
    store_order();
    store32(&request->done, 1);
    task_wake(request->owner);
}

/* New requests into free slots; then tells the server of all it does not know. */
static void feed(struct disk *disk)
{
    if (!session_up(disk))
        return;
    while (disk->head - disk->tail < SLOTS) {
        lock_take(&disk->lock);
        struct disk_request *request = disk->first;
        if (request) {
            disk->first = request->next;
            if (!disk->first)
                disk->last = 0;
        }
        lock_free(&disk->lock);
        if (!request)
            break;
        disk->slots[disk->head % SLOTS] = request;
        describe(disk, disk->head++);
    }
    while (disk->told != disk->head) {
        u32 slot = (u32)(disk->told % SLOTS);

        if (!vio_send_ready(&disk->vio, slot, (s32)slot))
            return;
        if (disk->told++ == disk->tail)
            disk->answer_by = stick() + ticks_of_ms(ANSWER_MS);
    }
}

static void on_up(void *owner)
{
    struct disk *disk = owner;

    vio_begin(&disk->vio, MINOR);
}

static void on_down(void *owner)
{
    struct disk *disk = owner;

    console_print("disk%u: server lost, %u requests open\n", disk->number,
                  disk->head - disk->tail);
    vio_advance(&disk->vio, VIO_STEP_VER);
    disk->vio.deadline = NEVER;
}

static void send_attributes(struct disk *disk)
{
    struct vdisk_attr attr = {
        .tag = vio_tag(&disk->vio, VIO_CTRL, VIO_INFO, VIO_ATTR),
        .xfer_mode = VDISK_XFER_DRING,
        .block_bytes = VDISK_BLOCK_BYTES,
        .transfer_blocks_max = DISK_REQUEST_BYTES_MAX / VDISK_BLOCK_BYTES,
    };

    vio_advance(&disk->vio, VIO_STEP_ATTR);
    ldc_send(&disk->ldc, &attr, sizeof attr);
}

static int take_attributes(struct disk *disk, const struct vdisk_attr *attr)
{
    u64 max = attr->transfer_blocks_max * VDISK_BLOCK_BYTES & ~PAGE_MASK;

    if (attr->block_bytes != VDISK_BLOCK_BYTES || attr->xfer_mode != VDISK_XFER_DRING || max == 0)
        return 0;
    disk->request_max = max < DISK_REQUEST_BYTES_MAX ? max : DISK_REQUEST_BYTES_MAX;
    /* 1.0 does not say how large the disk is: until the first error, then. */
    disk->bytes = disk->vio.minor >= 1 ? attr->blocks * VDISK_BLOCK_BYTES : ~0ul;
    return 1;
}

/* The session stands: what the server has not answered is asked (again). */
static void session_begun(struct disk *disk)
{
    vio_advance(&disk->vio, VIO_STEP_DONE);
    console_print("disk%u: up, %u MB, protocol 1.%u, %u requests asked again\n", disk->number,
                  disk->bytes >> 20, (u64)disk->vio.minor, disk->head - disk->tail);
    for (u64 n = disk->tail; n != disk->head; n++)
        describe(disk, n);
    disk->told = disk->tail;
    store32(&disk->ready, 1);
    feed(disk);
}

static void take_answer(struct disk *disk, const struct vio_dring_data *answer)
{
    u32 slot = (u32)(disk->tail % SLOTS);

    if (answer->tag.stype == VIO_NACK) {
        ldc_reset(&disk->ldc);
        return;
    }
    /* The server answers in order; an answer may speak for several. */
    while (disk->tail != disk->told) {
        struct vdisk_descriptor *d = &disk->ring[slot];

        if (*(volatile u8 *)&d->header.state != VIO_DONE)
            break;
        complete(disk, d->status);
        disk->answer_by = stick() + ticks_of_ms(ANSWER_MS);
        slot = (u32)(disk->tail % SLOTS);
    }
    feed(disk);
}

static void on_message(void *owner, const void *bytes, u64 length)
{
    struct disk *disk = owner;
    const struct vio_tag *tag = bytes;
    struct vio *vio = &disk->vio;

    if (length < sizeof *tag || tag->sid != vio->sid || tag->stype == VIO_INFO)
        return;
    if (tag->type == VIO_DATA && tag->envelope == VIO_DRING) {
        if (session_up(disk) && length >= sizeof(struct vio_dring_data))
            take_answer(disk, bytes);
        return;
    }
    if (tag->type != VIO_CTRL)
        return;
    if (tag->envelope == VIO_VER && vio->step == VIO_STEP_VER) {
        if (vio_take_version(vio, bytes))
            send_attributes(disk);
        return;
    }
    if (tag->stype == VIO_NACK)
        return; /* The step's deadline has us try again. */
    if (tag->envelope == VIO_ATTR && vio->step == VIO_STEP_ATTR && take_attributes(disk, bytes)) {
        vio_send_ring(vio, RING_INDEX, SLOTS, sizeof(struct vdisk_descriptor));
    } else if (tag->envelope == VIO_DRING_REG && vio->step == VIO_STEP_RING) {
        vio->ring = ((const struct vio_dring_reg *)bytes)->ident;
        vio_send_rdx(vio);
    } else if (tag->envelope == VIO_RDX && vio->step == VIO_STEP_RDX) {
        session_begun(disk);
    }
}

static const struct ldc_ops ops = {on_up, on_down, on_message};

static void disk_run(struct task *task)
{
    struct disk *disk = task->own;
    u64 now = stick();

    ldc_poll(&disk->ldc);
    feed(disk);
    if (ldc_is_up(&disk->ldc) && now >= disk->vio.deadline)
        ldc_reset(&disk->ldc);
    if (session_up(disk) && disk->tail != disk->told && now >= disk->answer_by) {
        console_print("disk%u: no answer\n", disk->number);
        ldc_reset(&disk->ldc);
    }
    /* No interrupt tells of room in the queue. */
    if (session_up(disk) && disk->told != disk->head)
        task_wake_at(task, now + ticks_of_us(50));
    task_wake_at(task, ldc_wake_at(&disk->ldc));
}

void disk_attach(u64 number, const struct ldc_ids *ids)
{
    if (disk_count == DISKS_MAX)
        return;
    struct disk *disk = &disks[disk_count];
    disk->number = number;
    disk->vio.ldc = &disk->ldc;
    disk->vio.class = VIO_DISK;
    disk->vio.deadline = NEVER;
    disk->ring = memory_take(PAGE_BYTES, PAGE_BYTES);
    ldc_init(&disk->ldc, ids, MAP_ENTRIES, &ops, disk);
    ldc_lend(&disk->ldc, RING_INDEX, disk->ring, PAGE_BYTES, MTE_COPY_READ | MTE_COPY_WRITE);
    task_start(&disk->task, "disk", disk_run, disk, TASK_CPU_DISK + disk_count);
    ldc_open(&disk->ldc, &disk->task.pending, disk->task.cpu->id);
    disk_count++;
}

struct disk *disk_nth(u64 n)
{
    return &disks[n];
}

int disk_ready(const struct disk *disk)
{
    return load32(&disk->ready) != 0;
}

u64 disk_bytes(const struct disk *disk)
{
    return disk->bytes;
}

u64 disk_number(const struct disk *disk)
{
    return disk->number;
}

u64 disk_request_max(const struct disk *disk)
{
    return disk->request_max;
}

void disk_submit(struct disk *disk, struct disk_request *request)
{
    request->done = 0;
    request->next = 0;
    lock_take(&disk->lock);
    if (disk->last)
        disk->last->next = request;
    else
        disk->first = request;
    disk->last = request;
    lock_free(&disk->lock);
    task_wake(&disk->task);
}
