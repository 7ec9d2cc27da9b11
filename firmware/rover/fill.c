/* The memory fill. */
#include "fill.h"

#include <sun4v/hcall.h>

#include "block.h"
#include "clock.h"
#include "console.h"
#include "cpu.h"
#include "disk.h"
#include "lock.h"
#include "memory.h"
#include "task.h"

#define UNIT_PAGES (FILL_UNIT_BYTES / PAGE_BYTES)
/* Reads under way at a time. */
#define LANES 16
/* How long disks are waited for before memory stays as it is. */
#define PATIENCE_MS 20000

struct fill fill;

static struct task fill_task;
static u64 next_unit;      /* the next one to look at */
static u64 reads;          /* filled units so far, in order */
static u64 errors;
static u64 begun;

static struct lane {
    u32 busy;
    u64 unit;
    u64 at;                /* bytes of the unit that are read */
    u64 disk;
    u64 offset;
    struct disk_request request;
} lanes[LANES];

int fill_is_filled(u64 n)
{
    return n * fill.percent % 100 < fill.percent;
}

const void *fill_sample(u64 n)
{
    return fill.base + n * FILL_UNIT_BYTES + n % UNIT_PAGES * PAGE_BYTES;
}

/*
 * Which part of which disk a unit is read from: the disks take turns, each is
 * read through, and every further round begins a few blocks later, so that
 * equal content does not come at equal places.
 */
static void choose(struct lane *lane, u64 n)
{
    struct disk *disk = disk_nth(lane->disk = n % disk_count);
    u64 chunks = disk_bytes(disk) / FILL_UNIT_BYTES;
    u64 round = chunks ? n / chunks : 0;
    u64 chunk = chunks ? n % chunks : 0;
    u64 offset = chunk * FILL_UNIT_BYTES + round * 5 * PAGE_BYTES;

    lane->offset = offset + FILL_UNIT_BYTES <= disk_bytes(disk) ? offset : 0;
}

static void read_on(struct lane *lane)
{
    struct disk *disk = disk_nth(lane->disk);
    u64 bytes = FILL_UNIT_BYTES - lane->at;

    if (bytes > disk_request_max(disk))
        bytes = disk_request_max(disk);
    lane->request = (struct disk_request){
        .operation = VDISK_READ,
        .offset = lane->offset + lane->at,
        .bytes = bytes,
        .buffer = fill.base + lane->unit * FILL_UNIT_BYTES + lane->at,
        .owner = &fill_task,
    };
    disk_submit(disk, &lane->request);
}

/* Gives a lane the next unit to fill; false when there is none. */
static int issue(struct lane *lane)
{
    while (next_unit < fill.units && !fill_is_filled(next_unit)) {
        fill.sums[next_unit] = page_checksum(fill_sample(next_unit));
        next_unit++;
    }
    if (next_unit == fill.units)
        return 0;
    lane->unit = next_unit++;
    lane->at = 0;
    lane->busy = 1;
    choose(lane, reads++);
    read_on(lane);
    return 1;
}

static void advance(struct lane *lane)
{
    if (!load32(&lane->request.done))
        return;
    if (lane->request.status)
        errors++;
    lane->at += lane->request.bytes;
    if (lane->at < FILL_UNIT_BYTES) {
        read_on(lane);
        return;
    }
    fill.sums[lane->unit] = page_checksum(fill_sample(lane->unit));
    lane->busy = 0;
}

static void finish(void)
{
    static char state[32] ALIGNED(32) = "rover running";
    u64 ms = ms_of_ticks(stick() - begun);

    console_print("fill: %u MB of %u MB from %u disks in %u.%3 s, %u errors\n",
                  reads * FILL_UNIT_BYTES >> 20, fill.units * FILL_UNIT_BYTES >> 20, disk_count,
                  ms / 1000, ms % 1000, errors);
    hv_soft_state_set(1, state);
    console_print("rover: up, %u cpus, %u MB, fill done\n", cpu_count, memory_bytes >> 20);
    store32(&fill.done, 1);
}

static int disks_ready(void)
{
    for (u64 i = 0; i < disk_count; i++)
        if (!disk_ready(disk_nth(i)) || disk_bytes(disk_nth(i)) < FILL_UNIT_BYTES)
            return 0;
    return disk_count > 0;
}

static void fill_run(struct task *task)
{
    int busy = 0;

    if (fill.done)
        return;
    if (!disks_ready() && !reads) {
        if (disk_count && stick() - begun < ticks_of_ms(PATIENCE_MS)) {
            task_wake_at(task, stick() + ticks_of_ms(10));
            return;
        }
        fill.percent = 0;
    }
    for (u64 i = 0; i < LANES; i++) {
        if (lanes[i].busy)
            advance(&lanes[i]);
        if (!lanes[i].busy)
            issue(&lanes[i]);
        busy |= lanes[i].busy;
    }
    if (!busy && next_unit == fill.units)
        finish();
}

void fill_start(u64 percent)
{
    u64 bytes;
    u64 units = memory_bytes / FILL_UNIT_BYTES;

    fill.sums = memory_take(units * sizeof *fill.sums, PAGE_BYTES);
    fill.base = memory_take_rest(FILL_UNIT_BYTES, &bytes);
    fill.units = bytes / FILL_UNIT_BYTES;
    fill.percent = percent;
    begun = stick();
    task_start(&fill_task, "fill", fill_run, 0, TASK_CPU_FILL);
}
