/*
 * The firmware's disk: its client against a played server (rover's link layer at the
 * other end of the channel), and `boot` from a file system behind it.
 */
#include <sun4v/hcall.h>
#include <sun4v/vio.h>

#include "../openboot/client.h"
#include "../openboot/disk/vdisk.h"
#include "../openboot/prompt.h"
#include "../openboot/prompt/edit.h"
#include "../openboot/prompt/words.h"
#include "../openboot/ram.h"
#include "../openboot/release.h"
#include "../openboot/tree.h"
#include "../rover/ldc.h"
#include "openboot_world.h"

#define DISK "/virtual-devices@100/channel-devices@200/disk@3"
#define CLIENT 2
#define SERVER 3

/* What the server does. */
static struct {
    u16 minor;        /* it speaks 1.`minor` */
    u64 transfer_max; /* blocks */
    int nack_attr, nack_version;
    int silent;       /* takes requests and does not answer */
    int reset_after;  /* begins anew instead of answering the nth request */
    u32 status;       /* of every request */
    u32 block_bytes;
} play;

static struct {
    struct ldc ldc;
    int there;
    struct vio_dring_reg ring;
    u8 *content;
    u64 bytes;
    u32 sid;
    u64 seq, requests, sessions, turns;
    struct vio_dring_data last;
} server;

static u32 flag;

static int serve(const struct vio_dring_data *info)
{
    static struct vdisk_descriptor d ALIGNED(8192);
    u64 at = server.ring.cookie.addr + (u64)info->start * server.ring.descriptor_bytes;
    struct vio_dring_data ack = *info;

    if (!ldc_copy_all(&server.ldc, LDC_COPY_IN, at, &d, sizeof d))
        return 0;
    CHECK_EQ(d.header.state, VIO_READY);
    CHECK(d.header.ack);
    CHECK_EQ(d.operation, VDISK_READ);
    CHECK_EQ(d.slice, VDISK_WHOLE);
    CHECK_EQ(d.cookies, 1);
    CHECK_EQ(d.cookie.bytes, d.bytes);
    CHECK_EQ(d.bytes % 512, 0);
    CHECK(d.bytes && d.bytes <= play.transfer_max * 512);
    d.status = play.status;
    if (d.block * 512 + d.bytes > server.bytes)
        d.status = 22;
    else if (!ldc_copy_all(&server.ldc, LDC_COPY_OUT, d.cookie.addr,
                           server.content + d.block * 512, d.bytes))
        return 0;
    d.header.state = VIO_DONE;
    CHECK(ldc_copy_all(&server.ldc, LDC_COPY_OUT, at, &d, sizeof d));
    ack.tag.stype = VIO_ACK;
    CHECK(ldc_send(&server.ldc, &ack, sizeof ack));
    return 1;
}

static void up(void *owner)
{
}

static void take_data(const struct vio_dring_data *data)
{
    CHECK_EQ(data->ident, 77);
    CHECK_EQ(data->start, data->end);
    CHECK_EQ(data->seq, ++server.seq);
    server.requests++;
    server.last = *data;
    if (play.silent)
        return;
    if (play.reset_after && --play.reset_after == 0) {
        ldc_reset(&server.ldc);
        return;
    }
    CHECK(serve(data));
}

static void take(void *owner, const void *bytes, u64 length)
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
    CHECK_EQ(length, tag->envelope == VIO_DRING_REG ? 48 : 56);
    if (tag->type == VIO_DATA) {
        CHECK_EQ(tag->sid, server.sid);
        return take_data(bytes);
    }
    memcpy(answer.bytes, bytes, length);
    answer.tag.stype = VIO_ACK;
    switch (tag->envelope) {
    case VIO_VER:
        server.sid = tag->sid;
        server.seq = 0;
        answer.ver.class = VIO_DISK_SERVER;
        if (play.nack_version && answer.ver.minor > play.minor)
            answer.tag.stype = VIO_NACK;
        if (answer.ver.minor > play.minor)
            answer.ver.minor = play.minor;
        break;
    case VIO_ATTR:
        CHECK_EQ(answer.attr.xfer_mode, VDISK_XFER_DRING);
        answer.attr.disk_type = 2;
        answer.attr.operations = 2;
        answer.attr.blocks = play.minor ? server.bytes / 512 : 0;
        answer.attr.block_bytes = play.block_bytes;
        if (answer.attr.transfer_blocks_max > play.transfer_max)
            answer.attr.transfer_blocks_max = play.transfer_max;
        if (play.nack_attr)
            answer.tag.stype = VIO_NACK;
        break;
    case VIO_DRING_REG:
        CHECK_EQ(answer.reg.cookies, 1);
        server.ring = answer.reg;
        answer.reg.ident = 77;
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

static const struct ldc_ops serving = {up, up, take};

/* The server has its turn at every tenth look of the firmware at the clock. */
static void turn(void)
{
    static int inside;

    if (inside || !server.there || server.turns++ % 10)
        return;
    inside = 1;
    ldc_poll(&server.ldc);
    inside = 0;
}

static void describe_machine(void)
{
    md_begin();
    md_node("root");
    md_end_node();
    u64 endpoint = md_node("channel-endpoint");
    md_add_value("id", CLIENT);
    md_end_node();
    u64 port = md_node("virtual-device-port");
    md_add_value("id", 0);
    md_add_arc("fwd", endpoint);
    md_end_node();
    md_node("virtual-device");
    md_add_string("name", "disk");
    md_add_value("cfg-handle", 3);
    md_add_arc("fwd", port);
    md_end_node();
}

static void begin(void)
{
    struct ldc_ids ids = {SERVER, 6, 7, 0x200};
    u8 *content = server.content;
    u64 bytes = server.bytes;

    world_reset_channels();
    memset(&server, 0, sizeof server);
    server.content = content;
    server.bytes = bytes;
    server.there = 1;
    memset(&play, 0, sizeof play);
    play.minor = 1;
    play.transfer_max = 1 << 20;
    play.block_bytes = 512;
    ldc_init(&server.ldc, &ids, 512, &serving, &server);
    ldc_open(&server.ldc, &flag, 0);
    describe_machine();
    world_turn = turn;
    console_type("");
}

static void gone(void)
{
    disk_close_all();
    CHECK_EQ(hv_ldc_tx_get_state(SERVER, &(u64){0}, &(u64){0}, &(u64){0}), HV_EOK);
    u64 head, tail, state;
    hv_ldc_tx_get_state(SERVER, &head, &tail, &state);
    CHECK_EQ(state, LDC_DOWN);
}

/* Reads in pieces of all sizes, to memory that begins anywhere in a page. */
static void check_reads(struct source *source)
{
    static u8 room[1 << 20] ALIGNED(8192);
    static const u64 cases[][3] = {{0, 1, 0}, {5, 3, 8}, {17, 600, 512}, {100, 1200, 4096 + 8},
                                   {1, 16, 8192 - 8}, {700, 512, 0}};

    for (u64 i = 0; i < COUNT_OF(cases); i++) {
        u64 sector = cases[i][0], count = cases[i][1];
        u8 *at = room + cases[i][2];

        memset(room, 0xa5, sizeof room);
        CHECK(!source->read(source, sector, count, (u64)at));
        CHECK(!memcmp(at, server.content + sector * 512, count * 512));
        CHECK_EQ(at[count * 512], 0xa5);
        CHECK(at == room || at[-1] == 0xa5);
    }
}

static void fill(u64 bytes)
{
    server.bytes = bytes;
    server.content = aligned_alloc(8192, bytes);
    for (u64 i = 0; i < bytes; i++)
        server.content[i] = (u8)(i * 2654435761u >> 13);
}

static void a_disk_is_read(void)
{
    struct source *source;

    fill(2 << 20);
    begin();
    CHECK(!vdisk_open(3, &source));
    CHECK_EQ(source->sectors, server.bytes / 512);
    check_reads(source);
    CHECK_EQ(server.sessions, 1);
    CHECK(!strcmp(source->read(source, 5000, 1, (u64)server.content),
                  "its server reports an error"));
    gone();
    /* And again, after it was closed. */
    CHECK(!vdisk_open(3, &source));
    check_reads(source);
    gone();
}

static void a_server_of_version_1_0_does_not_say_how_large_it_is(void)
{
    struct source *source;

    begin();
    play.minor = 0;
    CHECK(!vdisk_open(3, &source));
    CHECK_EQ(source->sectors, SECTORS_UNKNOWN);
    check_reads(source);
    gone();
    begin();
    play.minor = 0;
    play.nack_version = 1;
    CHECK(!vdisk_open(3, &source));
    check_reads(source);
    gone();
}

static void small_transfers(void)
{
    struct source *source;

    begin();
    play.transfer_max = 7;
    CHECK(!vdisk_open(3, &source));
    check_reads(source);
    gone();
}

static void what_a_server_refuses_is_said(void)
{
    struct source *source;

    begin();
    play.nack_attr = 1;
    CHECK(!strcmp(vdisk_open(3, &source), "its server refuses it (no backend?)"));
    gone();
    begin();
    play.block_bytes = 4096;
    CHECK(!strcmp(vdisk_open(3, &source), "its blocks are not of 512 bytes"));
    gone();
    begin();
    CHECK(!strcmp(vdisk_open(4, &source), "the machine description has no such disk"));
}

static void nobody_is_waited_for_for_ever(void)
{
    struct source *source;
    u64 before = world_now;
    static u8 room[8192] ALIGNED(8192);

    world_step = 100000;

    begin();
    server.there = 0;
    hv_ldc_rx_qconf(SERVER, 0, 0);
    CHECK(!strcmp(vdisk_open(3, &source), "its server is not there"));
    CHECK(world_now - before < 10000000000ul);
    /* One that is there and says nothing. */
    begin();
    play.silent = 1;
    CHECK(!vdisk_open(3, &source));
    before = world_now;
    CHECK(!strcmp(source->read(source, 0, 16, (u64)room), "its server does not answer"));
    CHECK(world_now - before < 12000000000ul);
    /* An answer that comes now may not reach the memory any more. */
    memset(room, 1, sizeof room);
    CHECK(!serve(&server.last));
    CHECK_EQ(room[0], 1);
    gone();
    world_step = 1000;
}

static void a_request_is_asked_again_of_a_server_that_began_anew(void)
{
    struct source *source;

    begin();
    CHECK(!vdisk_open(3, &source));
    play.reset_after = 3;
    check_reads(source);
    CHECK_EQ(server.sessions, 2);
    gone();
}

static void a_break_ends_the_wait(void)
{
    struct source *source;
    u64 before = world_now;

    begin();
    server.there = 0;
    hv_ldc_rx_qconf(SERVER, 0, 0);
    console_type("ab\x80");
    CHECK(!strcmp(vdisk_open(3, &source), "interrupted"));
    CHECK(world_now - before < 1000000000ul);
}

/* --- a server that answers anything --- */

static u64 dice = 521288629;

static u64 roll(u64 below)
{
    dice ^= dice << 13;
    dice ^= dice >> 7;
    dice ^= dice << 17;
    return dice % below;
}

#define QUEUE 8192
static u8 noise_tx[QUEUE] ALIGNED(8192), noise_rx[QUEUE] ALIGNED(8192);
static u64 heard, said;
static u32 said_seqid;

static void noise_open(void)
{
    hv_ldc_tx_qconf(SERVER, noise_tx, 128);
    hv_ldc_rx_qconf(SERVER, noise_rx, 128);
    said_seqid = 0;
}

static void noise_say(struct ldc_packet *p)
{
    u64 head, tail, state;

    hv_ldc_tx_get_state(SERVER, &head, &tail, &state);
    if ((tail + 64) % QUEUE == head)
        return;
    memcpy(noise_tx + tail, p, 64);
    hv_ldc_tx_set_qtail(SERVER, (tail + 64) % QUEUE);
    said++;
}

/* What a server might say to a packet, and then a few bytes of it are others. */
static void noise_turn(void)
{
    static int inside;
    u64 head, tail, state;

    if (inside || roll(4))
        return;
    inside = 1;
    if (roll(3000) == 0)
        noise_open();
    if (hv_ldc_rx_get_state(SERVER, &head, &tail, &state) == HV_EOK && state != LDC_DOWN &&
        head != tail) {
        struct ldc_packet p;

        heard++;
        memcpy(&p, noise_rx + head, 64);
        hv_ldc_rx_set_qhead(SERVER, (head + 64) % QUEUE);
        if (p.type == LDC_CTRL && p.ctrl == LDC_VER) {
            p.stype = LDC_ACK;
            said_seqid = 0;
        } else if (p.type == LDC_CTRL && p.ctrl == LDC_RTS) {
            p.ctrl = LDC_RTR;
        } else if (p.type == LDC_DATA) {
            struct vio_tag *tag = (struct vio_tag *)p.payload;
            tag->stype = roll(20) ? VIO_ACK : VIO_NACK;
            p.seqid = ++said_seqid;
            if (tag->envelope == VIO_DRING && roll(2)) {
                /* It writes to the ring, as the map lets it: mostly nonsense. */
                static u8 junk[64] ALIGNED(64);
                u64 done;
                for (u64 i = 0; i < sizeof junk; i++)
                    junk[i] = (u8)(roll(2) ? roll(256) : 0);
                junk[0] = VIO_DONE;
                /* Sometimes what it should: the descriptor that was asked about. */
                u64 slot = ((struct vio_dring_data *)p.payload)->start % 8;
                if (roll(2)) {
                    u64 zero[8] ALIGNED(64) = {(u64)VIO_DONE << 56};
                    hv_ldc_copy(SERVER, LDC_COPY_OUT, slot * 64, zero, 64, &done);
                } else
                    hv_ldc_copy(SERVER, LDC_COPY_OUT, roll(8192) & ~7ul, junk, 64, &done);
            }
        } else {
            inside = 0;
            return;
        }
        if (roll(6) == 0)
            for (u64 n = 1 + roll(3); n; n--)
                ((u8 *)&p)[roll(64)] = (u8)roll(roll(2) ? 256 : 5);
        noise_say(&p);
        if (roll(40) == 0)
            noise_say(&p);
    }
    inside = 0;
}

static void noise_from_a_server_ends_in_an_answer(void)
{
    static u8 room[65536 + 16] ALIGNED(8192);
    struct source *source;
    u64 opened = 0, done = 0;

    begin();
    edit_calm();
    noise_open();
    world_turn = noise_turn;
    world_step = 3000000;
    for (int i = 0; i < 1000; i++) {
        u64 before = world_now;
        const char *why = vdisk_open(3, &source);

        CHECK(world_now - before < 10000000000ul);
        opened += !why;
        for (int n = 0; !why && n < 4; n++) {
            u64 count = 1 + roll(128);
            before = world_now;
            memset(room + count * 512, 0x5a, 16);
            why = source->read(source, roll(100), count, (u64)room);
            done += !why;
            CHECK_EQ(room[count * 512], 0x5a);
            CHECK(world_now - before < 120000000000ul);
        }
        disk_close_all();
    }
    CHECK(opened > 200 && done > 100);
    world_turn = turn;
    world_step = 1000;
}

/* --- booting --- */

static const char *folder;

static u8 *read_all(const char *name, u64 *bytes)
{
    char path[512];

    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = fopen(path, "rb");
    if (!file)
        return 0;
    fseek(file, 0, SEEK_END);
    *bytes = (u64)ftell(file);
    fseek(file, 0, SEEK_SET);
    u8 *all = aligned_alloc(8192, (*bytes + 8191) & ~8191ul);
    CHECK_EQ(fread(all, 1, *bytes, file), *bytes);
    fclose(file);
    return all;
}

static void make_tree(void)
{
    struct node *bus = node_new(node_root(), "virtual-devices", "100");

    struct node *aliases = node_new(node_root(), "aliases", "");

    prop_text(aliases, "disk", DISK);
    prop_text(aliases, "disk3", DISK);
    bus = node_new(bus, "channel-devices", "200");
    prop_u32(node_new(bus, "disk", "3"), "reg", 3);
    describe_machine();
    variables_init();
}

static void one_boots(const char *image, const char *line, const char *path, const char *arguments,
                      u64 kernel_bytes, u64 initrd_bytes)
{
    server.content = read_all(image, &server.bytes);
    begin();
    started.count = 0;
    console_clear();
    const char *why = words_run(line);
    if (!started.count)
        printf("%s: %s\n", line, why);
    CHECK_EQ(started.count, 1);
    CHECK(strstr(why, "client: not entered") || strstr(console_said, "client: not entered"));
    CHECK_EQ(started.kernel_bytes, kernel_bytes);
    CHECK_EQ(started.initrd_bytes, initrd_bytes);
    CHECK(!strcmp(started.path, path));
    if (strcmp(started.arguments, arguments))
        printf("%s: arguments %s\n", line, started.arguments);
    CHECK(!strcmp(started.arguments, arguments));
    CHECK_EQ(ram_used, 0);
    free(server.content);
    gone();
}

static void a_kernel_is_found_on_a_disk(void)
{
    make_tree();
    one_boots("few4.img", "boot", DISK, "", 300000, 0);
    one_boots("few4.img", "boot disk", DISK, "", 300000, 0);
    one_boots("few2.img", "BOOT disk3 -v  root=/dev/x", DISK, "-v  root=/dev/x", 300000, 0);
    one_boots("few2.img", "boot disk:,/boot/small", DISK, "", 1000, 0);
    one_boots("few2.img", "boot disk:,\\boot\\small a", DISK, "a", 1000, 0);
    one_boots("few2.img", "boot /link initrd=/slow quiet", DISK, "initrd=/slow quiet", 1000, 1000);
    one_boots("few4.img", "boot " DISK " /link", DISK, "", 1000, 0);
    one_boots("few4.img", "boot disk initrd=/vmlinux initrd=/link", DISK,
              "initrd=/vmlinux initrd=/link", 300000, 1000);
    variable_set("boot-file", "/boot/small -x");
    one_boots("few4.img", "boot", DISK, "-x", 1000, 0);
    one_boots("few4.img", "boot disk -y", DISK, "-y", 300000, 0);
    variable_set("boot-file", "");
    FILE *probe;
    char name[512];
    snprintf(name, sizeof name, "%s/sun.img", folder);
    if (!(probe = fopen(name, "rb"))) {
        printf("  NO LABELS: sfdisk is not there\n");
        return;
    }
    fclose(probe);
    one_boots("sun.img", "boot disk:b,/boot/small -s", DISK ":b", "-s", 1000, 0);
    one_boots("sun.img", "boot disk:b", DISK ":b", "", 300000, 0);
    one_boots("sun.img", "boot " DISK ":b,/link", DISK ":b", "", 1000, 0);
    /* Without a letter: the first partition with a file system. */
    one_boots("sun.img", "boot disk", DISK ":b", "", 300000, 0);
    one_boots("gpt.img", "boot disk:2", DISK ":2", "", 300000, 0);
    one_boots("dos.img", "boot disk:6", DISK ":6", "", 300000, 0);
}

static void check_refused(const char *line, const char *reason)
{
    started.count = 0;
    const char *why = words_run(line);
    if (!why || strcmp(why, reason))
        printf("%s: %s\n", line, why);
    CHECK(why && !strcmp(why, reason));
    CHECK_EQ(started.count, 0);
    CHECK_EQ(ram_used, 0);
}

static void what_is_not_there_is_said(void)
{
    server.content = read_all("few4.img", &server.bytes);
    begin();
    check_refused("boot disk /nothing", "disk: /nothing: no such file");
    check_refused("boot disk initrd=/nothing", "disk: /nothing: no such file");
    check_refused("boot disk:a", "disk:a: a: the disk has no label");
    check_refused("boot disk /boot", "disk: /boot: not a file");
    CHECK(!strcmp(words_run("boot disk /link"), "disk: /link: client: not entered"));
    play.status = 5;
    check_refused("boot disk", "disk: its server reports an error");
    play.status = 0;
    u64 limit = ram_limit;
    ram_limit = 65536;
    check_refused("boot disk", "disk: /vmlinux: no memory for the file");
    ram_limit = limit;
    console_type("\x80");
    check_refused("boot disk", "disk: interrupted");
    /* With a list, a break ends all of it. */
    variable_set("boot-device", "disk disk3");
    server.there = 0;
    console_clear();
    console_type("\x80");
    check_refused("boot", "disk: interrupted");
    variable_set("boot-device", "nothing disk3:z");
    server.there = 1;
    console_clear();
    check_refused("boot", "boot: no device of boot-device could be booted from");
    CHECK(strstr(console_said, "nothing: no such device\n"));
    CHECK(strstr(console_said, "disk3:z: z: the disk has no label\n"));
}

int main(int argc, char **argv)
{
    u64 bytes;

    TEST(a_disk_is_read);
    TEST(a_server_of_version_1_0_does_not_say_how_large_it_is);
    TEST(small_transfers);
    TEST(what_a_server_refuses_is_said);
    TEST(nobody_is_waited_for_for_ever);
    TEST(a_request_is_asked_again_of_a_server_that_began_anew);
    TEST(a_break_ends_the_wait);
    TEST(noise_from_a_server_ends_in_an_answer);
    folder = argv[1];
    CHECK(folder);
    if (!read_all("few4.img", &bytes)) {
        printf("  NOTHING TO BOOT FROM: e2fsprogs is not there\n");
        return 0;
    }
    TEST(a_kernel_is_found_on_a_disk);
    TEST(what_is_not_there_is_said);
    return 0;
}
