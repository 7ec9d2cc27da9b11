/*
 * storm: a guest that is moved about while everything goes wrong, and can tell whether it
 * was moved whole. On rover's kernel, with one disk and nothing else.
 *
 * It works in beats: each writes a few pages with words that say which beat wrote them, and
 * checks before that they held what an earlier beat had written; every third reads a record
 * of the disk, checks it, and writes the next over it. What all pages and records must hold
 * follows from two numbers, so whoever sees the report page and the memory can check it too.
 *
 * The report is the first page behind the image's 4 MB, the pages follow it.
 */
#include <sun4v/hcall.h>

#include "../rover/clock.h"
#include "../rover/console.h"
#include "../rover/cpu.h"
#include "../rover/devices.h"
#include "../rover/disk.h"
#include "../rover/memory.h"
#include "../rover/net.h"
#include "../rover/panic.h"
#include "../rover/task.h"

#define REPORT_MAGIC 0x53544f524d303031ul /* "STORM001" */
#define PAGES 32
/* Pages of a beat, the first of which moves on by so many. */
#define BEAT_PAGES 4
#define BEAT_STRIDE 5
/* Words of a page that are written, so far from each other. */
#define WORDS 8
#define WORD_STRIDE 128
/* A burst of beats, then a rest. It begins in haste; who waits for a connection to be given up,
 * or for a chassis to come back, waits long, and need not see so many beats meanwhile. */
#define BURST 6
#define BEAT_US 700
#define REST_MS 25
#define HASTE_BEATS 240
#define LONG_REST_MS 150
/* Beats to a record; records of the disk, which are written in turn. */
#define BEATS_A_RECORD 3
#define RECORDS 8
#define RECORD_BYTES 512ul
#define RECORD_WORDS (RECORD_BYTES / 8)
/* A request that failed is made again after so long, or with the next record's beat. */
#define AGAIN_MS 5

struct report {
    u64 magic;
    u64 begun;   /* the beat that is writing, or was the last */
    u64 done;    /* the last whole beat */
    u64 asked;   /* the last record that the disk was asked to write */
    u64 written; /* the last one that it has written */
    u64 bad;     /* pages and records that were not what they should be */
    u64 errors;  /* requests that failed */
};

static volatile struct report *report;
static u64 *pages;
static u64 *record;
static struct task beats, writer;
static struct disk_request request;
static u64 next; /* the record that is under way, or 0 */
static u32 failed; /* its request has, and is not made again yet */

/* There is no network. */
u32 net_parse_address(const char *text)
{
    return 0;
}

void net_start(const struct ldc_ids *ids, u64 mac, u32 address)
{
}

static u64 word_of(u64 number, u64 place, u64 word)
{
    u64 mixed = (number << 20 | place << 10 | word) * 0x9e3779b97f4a7c15ul;

    return mixed ^ mixed >> 29;
}

/* The last beat up to `beat` that wrote a page; 0 if none did. */
static u64 writer_of(u64 page, u64 beat)
{
    for (u64 back = 0; back < PAGES && back < beat; back++)
        if ((page - (beat - back) * BEAT_STRIDE) % PAGES < BEAT_PAGES)
            return beat - back;
    return 0;
}

static u64 *page_word(u64 page, u64 word)
{
    return pages + page * (PAGE_BYTES / 8) + word * WORD_STRIDE;
}

static void bad(const char *what, u64 which)
{
    report->bad++;
    console_print("storm: BAD %s %u\n", what, which);
}

static void beat(void)
{
    u64 number = report->done + 1;

    report->begun = number;
    for (u64 n = 0; n < BEAT_PAGES; n++) {
        u64 page = (number * BEAT_STRIDE + n) % PAGES;
        u64 last = writer_of(page, number - 1);
        int good = 1;

        for (u64 word = 0; word < WORDS; word++) {
            good &= *page_word(page, word) == (last ? word_of(last, page, word) : 0);
            *page_word(page, word) = word_of(number, page, word);
        }
        if (!good)
            bad("page", page);
    }
    report->done = number;
    if (number % BEATS_A_RECORD == 0)
        task_wake(&writer);
}

static void beats_run(struct task *task)
{
    u64 rest;

    beat();
    rest = ticks_of_ms(report->done < HASTE_BEATS ? REST_MS : LONG_REST_MS);
    task_wake_at(task, stick() + (report->done % BURST ? ticks_of_us(BEAT_US) : rest));
}

static void ask(u8 operation)
{
    request = (struct disk_request){
        .operation = operation,
        .offset = next % RECORDS * RECORD_BYTES,
        .bytes = RECORD_BYTES,
        .buffer = record,
        .owner = &writer,
    };
    disk_submit(disk_nth(0), &request);
}

/* The record that was read is that of `number`; before the first there is anything. */
static void check(u64 number)
{
    for (u64 word = 0; word < RECORD_WORDS; word++)
        if (record[word] != word_of(number, RECORDS, word)) {
            bad("record", number);
            return;
        }
}

static void writer_run(struct task *task)
{
    if (!disk_count || !disk_ready(disk_nth(0)))
        return;
    if (!next) {
        next = report->written + 1;
        ask(VDISK_READ);
        return;
    }
    if (!request.done)
        return;
    if (request.status && !failed) {
        failed = 1;
        report->errors++;
        task_wake_at(task, stick() + ticks_of_ms(AGAIN_MS));
        return;
    }
    if (request.status) {
        failed = 0;
        ask(request.operation);
        return;
    }
    if (request.operation == VDISK_READ) {
        if (next > RECORDS)
            check(next - RECORDS);
        for (u64 word = 0; word < RECORD_WORDS; word++)
            record[word] = word_of(next, RECORDS, word);
        report->asked = next;
        ask(VDISK_WRITE);
        return;
    }
    report->written = next;
    next = 0;
}

static void negotiate(u64 group, u64 minor, const char *name)
{
    u64 status = hv_api_set_version(group, 1, minor);

    if (status != HV_EOK)
        panic("api group %s: status %u", name, status);
}

/* Entered once, on the boot vCPU, MMU off. */
void NORETURN rover_boot(u64 base, u64 bytes)
{
    negotiate(HV_GROUP_CORE, 1, "core");
    negotiate(HV_GROUP_INTR, 0, "intr");
    negotiate(HV_GROUP_LDC, 0, "ldc");
    boot_stick = stick();
    memory_init(base, bytes);
    report = memory_take(PAGE_BYTES, PAGE_BYTES);
    pages = memory_take(PAGES * PAGE_BYTES, PAGE_BYTES);
    record = memory_take(PAGE_BYTES, PAGE_BYTES);
    devices_read();
    if (devices_stick_hz())
        stick_hz = devices_stick_hz();
    cpu_prepare(&cpus[0], hv_cpu_myid());
    cpu_set_up(&cpus[0]);
    console_start();
    devices_attach();
    report->magic = REPORT_MAGIC;
    task_start(&writer, "writer", writer_run, 0, 0);
    task_start(&beats, "beats", beats_run, 0, 0);
    console_print("storm: up, %u disks\n", disk_count);
    task_loop();
}
