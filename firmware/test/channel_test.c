/* Channels and virtual disks: the kernel's end against a played peer. */
#include "check.h"

#include <sun4v/hcall.h>
#include <sun4v/vio.h>

#include "../rover/block.h"
#include "../rover/clock.h"
#include "../rover/disk.h"
#include "../rover/ldc.h"

/* --- two ends that only count --- */

struct counter {
    struct ldc ldc;
    int ups, downs, messages;
    u8 last[56];
};

static void count_up(void *owner)
{
    ((struct counter *)owner)->ups++;
}

static void count_down(void *owner)
{
    ((struct counter *)owner)->downs++;
}

static void count_message(void *owner, const void *bytes, u64 length)
{
    struct counter *c = owner;

    c->messages++;
    memcpy(c->last, bytes, length);
}

static const struct ldc_ops counting = {count_up, count_down, count_message};
static struct counter a, b;
static u32 flag;

static void settle(void)
{
    for (int i = 0; i < 20; i++) {
        ldc_poll(&a.ldc);
        ldc_poll(&b.ldc);
    }
}

static void open_end(struct counter *c, u64 channel)
{
    struct ldc_ids ids = {channel, 2 * channel, 2 * channel + 1, 0x200};

    memset(c, 0, sizeof *c);
    ldc_init(&c->ldc, &ids, 512, &counting, c);
    ldc_open(&c->ldc, &flag, 0);
}

static void connect_both(void)
{
    world_reset_channels();
    open_end(&a, 0);
    open_end(&b, 1);
    settle();
    CHECK_EQ(a.ups, 1);
    CHECK_EQ(b.ups, 1);
}

static void say(struct counter *from, struct counter *to, const char *text)
{
    int before = to->messages;

    CHECK(ldc_send(&from->ldc, text, strlen(text) + 1));
    settle();
    CHECK_EQ(to->messages, before + 1);
    CHECK(!strcmp((const char *)to->last, text));
}

static void handshakes_that_cross_meet(void)
{
    connect_both();
    say(&a, &b, "hello");
    say(&b, &a, "world");
    CHECK_EQ(a.downs + b.downs, 0);
}

static void the_second_to_come_up_is_met_too(void)
{
    world_reset_channels();
    open_end(&a, 0);
    for (int i = 0; i < 5; i++)
        ldc_poll(&a.ldc);
    CHECK(!ldc_is_up(&a.ldc));
    open_end(&b, 1);
    settle();
    say(&a, &b, "hello");
}

static void an_end_that_begins_anew_is_followed(void)
{
    connect_both();
    say(&a, &b, "one");
    ldc_reset(&b.ldc);
    settle();
    CHECK_EQ(a.downs, 1);
    CHECK_EQ(a.ups, 2);
    say(&a, &b, "two");
    say(&b, &a, "three");
}

static void a_full_queue_refuses_and_loses_nothing(void)
{
    int sent = 0;

    connect_both();
    while (ldc_send(&a.ldc, "x", 2))
        sent++;
    CHECK_EQ(sent, LDC_QUEUE_ENTRIES - 1);
    settle();
    CHECK_EQ(b.messages, sent);
    say(&a, &b, "more");
}

static void a_lost_packet_ends_the_session_and_another_begins(void)
{
    connect_both();
    a.ldc.sent++;
    CHECK(ldc_send(&a.ldc, "gap", 4));
    settle();
    CHECK_EQ(b.messages, 0);
    CHECK_EQ(b.downs, 1);
    say(&a, &b, "again");
}

static void a_new_peer_after_a_migration_is_negotiated_with(void)
{
    connect_both();
    say(&a, &b, "here");
    world_migrate();
    settle();
    CHECK_EQ(a.downs, 1);
    open_end(&b, 1);
    settle();
    say(&a, &b, "there");
    say(&b, &a, "too");
}

static void a_handshake_without_answers_is_begun_anew(void)
{
    world_reset_channels();
    open_end(&a, 0);
    /* A peer that listens and says nothing. */
    static u8 queue[8192] ALIGNED(8192);
    hv_ldc_rx_qconf(1, queue, 128);
    for (int i = 0; i < 10; i++) {
        ldc_poll(&a.ldc);
        world_pass_ms(1100);
    }
    open_end(&b, 1);
    settle();
    say(&a, &b, "at last");
}

/* --- a disk server --- */

#define SERVER_BYTES (4ul << 20)

static struct server {
    struct ldc ldc;
    struct vio_dring_reg ring;
    u8 *content;
    u32 sid;
    int sessions, requests, holding;
    u64 seq;
    struct vio_dring_data held[64];
    int held_count;
} server;

static u8 *room;

static void serve(const struct vio_dring_data *info)
{
    struct vdisk_descriptor d;
    u64 at = server.ring.cookie.addr + (u64)info->start * server.ring.descriptor_bytes;
    struct vio_dring_data ack = *info;

    CHECK(ldc_copy_all(&server.ldc, LDC_COPY_IN, at, room, sizeof d));
    memcpy(&d, room, sizeof d);
    CHECK_EQ(d.header.state, VIO_READY);
    CHECK_EQ(d.cookies, 1);
    CHECK_EQ(d.cookie.bytes, d.bytes);
    if (d.block * 512 + d.bytes > SERVER_BYTES) {
        d.status = 22;
    } else {
        u8 *content = server.content + d.block * 512;
        CHECK(ldc_copy_all(&server.ldc, d.operation == VDISK_READ ? LDC_COPY_OUT : LDC_COPY_IN,
                           d.cookie.addr, content, d.bytes));
        d.status = 0;
    }
    d.header.state = VIO_DONE;
    memcpy(room, &d, sizeof d);
    CHECK(ldc_copy_all(&server.ldc, LDC_COPY_OUT, at, room, sizeof d));
    server.requests++;
    ack.tag.stype = VIO_ACK;
    CHECK(ldc_send(&server.ldc, &ack, sizeof ack));
}

static void server_up(void *owner)
{
}

static void server_down(void *owner)
{
    server.held_count = 0;
}

static void server_message(void *owner, const void *bytes, u64 length)
{
    const struct vio_tag *tag = bytes;
    union {
        u8 bytes[56];
        struct vio_tag tag;
        struct vio_ver ver;
        struct vdisk_attr attr;
        struct vio_dring_reg reg;
    } answer;

    CHECK_EQ(tag->stype, VIO_INFO);
    if (tag->type == VIO_DATA) {
        const struct vio_dring_data *data = bytes;
        CHECK_EQ(length, 56);
        CHECK_EQ(data->ident, 9);
        CHECK_EQ(data->start, data->end);
        CHECK_EQ(data->seq, ++server.seq);
        if (server.holding)
            server.held[server.held_count++] = *data;
        else
            serve(data);
        return;
    }
    memcpy(answer.bytes, bytes, length);
    answer.tag.stype = VIO_ACK;
    switch (tag->envelope) {
    case VIO_VER:
        CHECK_EQ(length, 56);
        CHECK_EQ(answer.ver.class, VIO_DISK);
        server.sid = tag->sid;
        server.seq = 0;
        answer.ver.class = VIO_DISK_SERVER;
        break;
    case VIO_ATTR:
        CHECK_EQ(length, 56);
        answer.attr.disk_type = 2;
        answer.attr.operations = 6;
        answer.attr.blocks = SERVER_BYTES / 512;
        break;
    case VIO_DRING_REG:
        CHECK_EQ(length, 48);
        server.ring = answer.reg;
        answer.reg.ident = 9;
        break;
    case VIO_RDX:
        server.sessions++;
        break;
    default:
        CHECK(!"a message for a server");
    }
    CHECK_EQ(tag->sid, server.sid);
    CHECK(ldc_send(&server.ldc, answer.bytes, length));
}

static const struct ldc_ops serving = {server_up, server_down, server_message};

static void open_server(void)
{
    struct ldc_ids ids = {3, 6, 7, 0x200};
    u8 *content = server.content;

    memset(&server, 0, sizeof server);
    server.content = content;
    ldc_init(&server.ldc, &ids, 512, &serving, &server);
    ldc_open(&server.ldc, &flag, 0);
}

static struct task *disk_task;
static struct task nobody;

static void run_disk(int rounds)
{
    for (int i = 0; i < rounds; i++) {
        disk_task->wake_at = NEVER;
        disk_task->run(disk_task);
        ldc_poll(&server.ldc);
    }
}

/* What task_start was last given (world.c). */
extern struct task *world_last_task;

static struct disk_request request(u8 operation, u64 offset, u64 bytes, void *buffer)
{
    return (struct disk_request){.operation = operation,
                                 .offset = offset,
                                 .bytes = bytes,
                                 .buffer = buffer,
                                 .owner = &nobody};
}

static void a_disk_reads_and_writes(void)
{
    static u8 buffer[DISK_REQUEST_BYTES_MAX] ALIGNED(8192);
    struct ldc_ids ids = {2, 4, 5, 0x200};

    world_reset_channels();
    room = aligned_alloc(8192, 8192);
    server.content = aligned_alloc(8192, SERVER_BYTES);
    for (u64 i = 0; i < SERVER_BYTES; i++)
        server.content[i] = (u8)(i * 31 >> 5);
    disk_attach(0, &ids);
    disk_task = world_last_task;
    open_server();
    run_disk(20);
    struct disk *disk = disk_nth(0);
    CHECK(disk_ready(disk));
    CHECK_EQ(disk_bytes(disk), SERVER_BYTES);
    struct disk_request read = request(VDISK_READ, 8192 * 3, sizeof buffer, buffer);
    disk_submit(disk, &read);
    run_disk(5);
    CHECK(read.done);
    CHECK_EQ(read.status, 0);
    CHECK(!memcmp(buffer, server.content + 8192 * 3, sizeof buffer));
    memset(buffer, 0x5a, 8192);
    struct disk_request write = request(VDISK_WRITE, 8192, 8192, buffer);
    disk_submit(disk, &write);
    run_disk(5);
    CHECK(write.done);
    CHECK(!memcmp(server.content + 8192, buffer, 8192));
    struct disk_request beyond = request(VDISK_READ, SERVER_BYTES, 8192, buffer);
    disk_submit(disk, &beyond);
    run_disk(5);
    CHECK(beyond.done);
    CHECK_EQ(beyond.status, 22);
}

#define MANY 100
static struct disk_request many[MANY];
static u8 *many_buffers;

static void submit_many(void)
{
    if (!many_buffers)
        many_buffers = aligned_alloc(8192, MANY * 8192);
    memset(many_buffers, 0, MANY * 8192);
    for (u64 i = 0; i < MANY; i++) {
        many[i] = request(VDISK_READ, i * 8192, 8192, many_buffers + i * 8192);
        disk_submit(disk_nth(0), &many[i]);
    }
}

static void check_many(void)
{
    for (u64 i = 0; i < MANY; i++) {
        CHECK(many[i].done);
        CHECK_EQ(many[i].status, 0);
        CHECK(!memcmp(many_buffers + i * 8192, server.content + i * 8192, 8192));
    }
}

static void more_requests_than_slots_are_all_answered(void)
{
    submit_many();
    run_disk(20);
    check_many();
}

static void requests_open_at_a_reset_are_asked_again(void)
{
    server.holding = 1;
    submit_many();
    run_disk(5);
    CHECK(server.held_count > 8);
    CHECK(!many[0].done);
    /* Some are answered, then the server begins anew. */
    for (int i = 0; i < 3; i++)
        serve(&server.held[i]);
    run_disk(1);
    CHECK(many[2].done && !many[3].done);
    server.holding = 0;
    world_forget();
    ldc_reset(&server.ldc);
    run_disk(30);
    CHECK(world_said("server lost"));
    CHECK(world_said("32 requests asked again"));
    check_many();
}

static void requests_open_at_a_migration_are_asked_of_the_new_server(void)
{
    server.holding = 1;
    submit_many();
    run_disk(5);
    CHECK(server.held_count > 8);
    world_migrate();
    run_disk(2);
    open_server();
    run_disk(30);
    check_many();
}

static void a_new_server_that_was_never_seen_to_be_away_is_found_by_its_silence(void)
{
    server.holding = 1;
    submit_many();
    run_disk(5);
    /* Between two looks: the old server goes, a new one comes. */
    world_migrate();
    open_server();
    for (int i = 0; i < 400; i++) {
        run_disk(1);
        world_pass_ms(100);
    }
    check_many();
    CHECK(server.sessions >= 1);
}

int main(void)
{
    TEST(handshakes_that_cross_meet);
    TEST(the_second_to_come_up_is_met_too);
    TEST(an_end_that_begins_anew_is_followed);
    TEST(a_full_queue_refuses_and_loses_nothing);
    TEST(a_lost_packet_ends_the_session_and_another_begins);
    TEST(a_new_peer_after_a_migration_is_negotiated_with);
    TEST(a_handshake_without_answers_is_begun_anew);
    TEST(a_disk_reads_and_writes);
    TEST(more_requests_than_slots_are_all_answered);
    TEST(requests_open_at_a_reset_are_asked_again);
    TEST(requests_open_at_a_migration_are_asked_of_the_new_server);
    TEST(a_new_server_that_was_never_seen_to_be_away_is_found_by_its_silence);
    return 0;
}
