/* The scrub of a mirrored pair. */
#include "scrub.h"

#include "../common/bytes.h"
#include "../common/format.h"
#include "block.h"
#include "clock.h"
#include "console.h"
#include "disk.h"
#include "lock.h"
#include "memory.h"
#include "task.h"

#define SIDES 2
/* Chunks under way at a time, each read from both sides. */
#define LANES 8
#define BLOCKS_MAX (DISK_REQUEST_BYTES_MAX / BLOCK_BYTES)

/* A chunk's way: read both sides, check, write what has to be repaired. */
struct lane {
    u32 busy;
    u32 writing;
    u64 first;                   /* block number */
    u64 blocks;
    u64 checked;                 /* blocks that are through */
    struct disk_request request[SIDES];
    u8 *buffer[SIDES];
};

static struct task scrub_task;
static struct lane lanes[LANES];
static u64 rate; /* bytes per second and side; 0: no limit */
static u32 wish;
static u32 running;

/* Of the current or the last pass. */
static u64 pass, blocks_all, blocks_issued, blocks_done;
static u64 repaired, lost, errors;
static u64 started, ended, told_percent;

int scrub_request(enum scrub_wish what)
{
    int possible = what == SCRUB_STOP ? load32(&running) != 0
                                      : disk_count >= SIDES && disk_ready(disk_nth(0)) &&
                                            disk_ready(disk_nth(1)) && !load32(&running);

    if (possible) {
        store32(&wish, what);
        task_wake(&scrub_task);
    }
    return possible;
}

static u64 speed(void)
{
    u64 ms = ms_of_ticks((running ? stick() : ended) - started);

    return ms ? blocks_done * BLOCK_BYTES / 1000 / ms : 0;
}

void scrub_describe(struct line *line)
{
    if (!pass) {
        line_text(line, "scrub: never ran\r\n");
        return;
    }
    line_format(line, "scrub: %s %u%%, %u of %u blocks, %u repaired, %u lost, %u errors, ",
                running ? "running" : blocks_done == blocks_all ? "done" : "stopped",
                blocks_done * 100 / blocks_all, blocks_done, blocks_all, repaired, lost, errors);
    line_format(line, "%u MB/s a side\r\n", speed());
}

static void begin_pass(void)
{
    u64 bytes = disk_bytes(disk_nth(0));

    if (disk_bytes(disk_nth(1)) < bytes)
        bytes = disk_bytes(disk_nth(1));
    blocks_all = bytes / BLOCK_BYTES;
    if (!blocks_all)
        return;
    pass++;
    blocks_issued = blocks_done = repaired = lost = errors = told_percent = 0;
    started = stick();
    store32(&running, 1);
    console_print("scrub: started, %u blocks on each of 2 disks\n", blocks_all);
}

static void end_pass(void)
{
    ended = stick();
    store32(&running, 0);
    console_print("scrub: %s, %u blocks, %u repaired, %u lost, %u errors, %u MB/s a side\n",
                  blocks_done == blocks_all ? "done" : "stopped", blocks_done, repaired, lost,
                  errors, speed());
}

static void submit(struct lane *lane, int side, u8 operation, u64 block, u64 blocks, u8 *buffer)
{
    lane->request[side] = (struct disk_request){
        .operation = operation,
        .offset = block * BLOCK_BYTES,
        .bytes = blocks * BLOCK_BYTES,
        .buffer = buffer,
        .owner = &scrub_task,
    };
    disk_submit(disk_nth((u64)side), &lane->request[side]);
}

/* Starts reading the next chunk, if there is one and the rate allows; when to
 * look again. */
static u64 issue(struct lane *lane)
{
    u64 blocks = BLOCKS_MAX;

    if (rate) {
        u64 due = started + blocks_issued * BLOCK_BYTES / 1024 * stick_hz / (rate / 1024);
        if (due > stick())
            return due;
    }
    for (u64 side = 0; side < SIDES; side++)
        if (disk_request_max(disk_nth(side)) / BLOCK_BYTES < blocks)
            blocks = disk_request_max(disk_nth(side)) / BLOCK_BYTES;
    if (blocks > blocks_all - blocks_issued)
        blocks = blocks_all - blocks_issued;
    if (!blocks)
        return NEVER;
    lane->busy = 1;
    lane->writing = 0;
    lane->checked = 0;
    lane->first = blocks_issued;
    lane->blocks = blocks;
    blocks_issued += blocks;
    for (int side = 0; side < SIDES; side++)
        submit(lane, side, VDISK_READ, lane->first, blocks, lane->buffer[side]);
    return NEVER;
}

/* Checks on from where it stopped; stops again when a repair is to be written. */
static void check(struct lane *lane)
{
    for (; lane->checked < lane->blocks; lane->checked++) {
        u64 number = lane->first + lane->checked, at = lane->checked * BLOCK_BYTES;
        u8 *copy[SIDES] = {lane->buffer[0] + at, lane->buffer[1] + at};
        int good[SIDES] = {block_good(copy[0], number), block_good(copy[1], number)};

        blocks_done++;
        if (good[0] && good[1])
            continue;
        if (!good[0] && !good[1]) {
            lost++;
            console_print("scrub: block %u is bad on both sides\n", number);
            continue;
        }
        int bad = good[0];
        console_print("scrub: block %u of disk %u written anew\n", number,
                      disk_number(disk_nth((u64)bad)));
        lane->writing = 1;
        lane->checked++;
        submit(lane, bad, VDISK_WRITE, number, 1, copy[!bad]);
        lane->request[!bad].done = 1;
        return;
    }
    lane->busy = 0;
}

static void advance(struct lane *lane)
{
    u32 failed = lane->request[0].status | lane->request[1].status;

    if (!load32(&lane->request[0].done) || !load32(&lane->request[1].done))
        return;
    if (lane->writing) {
        if (failed)
            errors++;
        else
            repaired++;
        lane->writing = 0;
        lane->request[0].status = lane->request[1].status = 0;
    } else if (failed) {
        /* An unreadable side is treated as bad blocks; none is a block of zeros. */
        for (int side = 0; side < SIDES; side++)
            if (lane->request[side].status) {
                errors++;
                memory_zero(lane->buffer[side], lane->blocks * BLOCK_BYTES);
                lane->request[side].status = 0;
            }
    }
    check(lane);
}

static void progress(void)
{
    u64 percent = blocks_done * 100 / blocks_all;

    if (percent >= told_percent + 5) {
        told_percent = percent - percent % 5;
        console_print("scrub: %u%% %u repaired\n", told_percent, repaired);
    }
}

static void scrub_run(struct task *task)
{
    u32 wanted = swap32(&wish, SCRUB_NOTHING);
    int stopping = 0, busy = 0;

    if (wanted == SCRUB_START && !running)
        begin_pass();
    if (!running)
        return;
    if (wanted == SCRUB_STOP)
        blocks_issued = blocks_all, stopping = 1;
    for (u64 i = 0; i < LANES; i++) {
        struct lane *lane = &lanes[i];

        if (lane->busy)
            advance(lane);
        if (!lane->busy && !stopping)
            task_wake_at(task, issue(lane));
        busy |= lane->busy;
    }
    progress();
    if (!busy && blocks_issued == blocks_all)
        end_pass();
}

void scrub_init(u64 mb_per_s)
{
    rate = mb_per_s << 20;
    for (u64 i = 0; i < LANES; i++)
        for (u64 side = 0; side < SIDES; side++)
            lanes[i].buffer[side] = memory_take(DISK_REQUEST_BYTES_MAX, PAGE_BYTES);
    task_start(&scrub_task, "scrub", scrub_run, 0, TASK_CPU_SCRUB);
}
