/* ARP, IP, ICMP, UDP, TCP and the shell, spoken to in frames. */
#include "check.h"

#include "../common/format.h"
#include "../rover/clock.h"
#include "../rover/draw.h"
#include "../rover/ethernet.h"
#include "../rover/net.h"
#include "../rover/scrub.h"
#include "../rover/shell.h"
#include "../rover/tcp.h"
#include "../rover/vnet.h"

#define ROVER 0xc0a80132u
#define PEER 0xc0a8010au

/* --- an interface that keeps what is sent --- */

#define FRAMES 64
static u8 frames[FRAMES][2048] ALIGNED(8);
static u64 lengths[FRAMES];
static int count, full;
struct vnet_counters vnet_counters;
u32 net_address = ROVER;
struct mac net_mac = {{0x00, 0x14, 0x4f, 0xf8, 0x00, 0x01}};
static const struct mac peer_mac = {{0x02, 0, 0, 0, 0, 0x0a}};

u8 *vnet_frame(void)
{
    return full || count == FRAMES ? 0 : frames[count] + 6;
}

void vnet_send(u64 bytes)
{
    lengths[count++] = bytes;
}

static void forget_frames(void)
{
    count = 0;
}

/* --- what the shell asks others --- */

void memcheck_describe(struct line *line)
{
    line_text(line, "memcheck ok 7\r\n");
}

int scrub_request(enum scrub_wish wish)
{
    return wish == SCRUB_START;
}

void scrub_describe(struct line *line)
{
    line_text(line, "scrub: idle\r\n");
}

/* --- the peer's side, in bytes --- */

static u8 out[2048] ALIGNED(8);
static u8 *const frame = out + 6;
static u32 seq, ack;
static u16 window = 5000;
static u16 port = 40000;

static void put16(u8 *at, u32 value)
{
    at[0] = (u8)(value >> 8);
    at[1] = (u8)value;
}

static void put32(u8 *at, u32 value)
{
    put16(at, value >> 16);
    put16(at + 2, value);
}

static u32 get16(const u8 *at)
{
    return (u32)at[0] << 8 | at[1];
}

static u32 get32(const u8 *at)
{
    return get16(at) << 16 | get16(at + 2);
}

static void send_ip(u8 proto, u64 payload)
{
    u8 *ip = frame + 14;

    memcpy(frame, &net_mac, 6);
    memcpy(frame + 6, &peer_mac, 6);
    put16(frame + 12, ETHERTYPE_IP);
    memset(ip, 0, 20);
    ip[0] = 0x45;
    put16(ip + 2, (u32)(20 + payload));
    ip[8] = 64;
    ip[9] = proto;
    put32(ip + 12, PEER);
    put32(ip + 16, ROVER);
    put16(ip + 10, checksum_fold(checksum_add(0, ip, 20)));
    ip_input(frame, 34 + payload < 60 ? 60 : 34 + payload);
}

static void send_tcp_to(u16 to, u8 flags, const char *data)
{
    u8 *tcp = frame + 34;
    u64 bytes = strlen(data);

    memset(tcp, 0, 20);
    put16(tcp, port);
    put16(tcp + 2, to);
    put32(tcp + 4, seq);
    put32(tcp + 8, ack);
    tcp[12] = 5 << 4;
    tcp[13] = flags;
    put16(tcp + 14, window);
    memcpy(tcp + 20, data, bytes);
    u64 sum = checksum_pseudo(PEER, ROVER, IP_PROTO_TCP, 20 + bytes);
    put16(tcp + 16, checksum_fold(checksum_add(sum, tcp, 20 + bytes)));
    send_ip(IP_PROTO_TCP, 20 + bytes);
}

static void send_tcp(u8 flags, const char *data)
{
    send_tcp_to(23, flags, data);
}

enum { FIN = 1, SYN = 2, RST = 4, ACK = 16 };

struct seen {
    u32 seq, ack;
    u8 flags;
    u64 bytes;
    const u8 *data;
};

/* The nth frame sent, checked to be a sound TCP segment to us. */
static struct seen segment(int n)
{
    CHECK(n < count);
    const u8 *f = frames[n] + 6, *ip = f + 14;
    u64 length = get16(ip + 2), header = 20;
    const u8 *tcp = ip + 20;

    CHECK(!memcmp(f, &peer_mac, 6));
    CHECK_EQ(get16(f + 12), ETHERTYPE_IP);
    CHECK_EQ(checksum_fold(checksum_add(0, ip, 20)), 0);
    CHECK_EQ(get32(ip + 12), ROVER);
    CHECK_EQ(get32(ip + 16), PEER);
    CHECK_EQ(ip[9], IP_PROTO_TCP);
    CHECK_EQ(lengths[n], 14 + length);
    u64 sum = checksum_pseudo(ROVER, PEER, IP_PROTO_TCP, length - 20);
    CHECK_EQ(checksum_fold(checksum_add(sum, tcp, length - 20)), 0);
    CHECK_EQ(get16(tcp + 2), port);
    header = (tcp[12] >> 4) * 4ul;
    return (struct seen){get32(tcp + 4), get32(tcp + 8), tcp[13], length - 20 - header,
                         tcp + header};
}

/* All data sent since forget_frames, which must be in order; acknowledges it. */
static const char *read_all(void)
{
    static char text[8192];
    u64 at = 0;

    for (int n = 0; n < count; n++) {
        struct seen s = segment(n);
        if (!s.bytes)
            continue;
        CHECK_EQ(s.seq, ack);
        memcpy(text + at, s.data, s.bytes);
        at += s.bytes;
        ack += (u32)s.bytes;
    }
    text[at] = 0;
    forget_frames();
    return text;
}

static void type(const char *text)
{
    send_tcp(ACK, text);
    seq += (u32)strlen(text);
}

static void open_connection(void)
{
    port++;
    seq = 1000;
    ack = 0;
    window = 5000;
    forget_frames();
    send_tcp(SYN, "");
    CHECK_EQ(count, 1);
    struct seen s = segment(0);
    CHECK_EQ(s.flags, SYN | ACK);
    CHECK_EQ(s.ack, 1001);
    seq = 1001;
    ack = s.seq + 1;
    forget_frames();
    send_tcp(ACK, "");
    const char *greeting = read_all();
    CHECK(strstr(greeting, "rover$ "));
    send_tcp(ACK, "");
    CHECK_EQ(count, 0);
}

static void close_connection(void)
{
    send_tcp(FIN | ACK, "");
    seq++;
    struct seen s = segment(count - 1);
    CHECK(s.flags & FIN);
    CHECK_EQ(s.ack, seq);
    ack = s.seq + (u32)s.bytes + 1;
    send_tcp(ACK, "");
    forget_frames();
}

/* --- tests --- */

static void a_question_by_arp_is_answered(void)
{
    u8 *arp = frame + 14;

    memset(frame, 0xff, 6);
    memcpy(frame + 6, &peer_mac, 6);
    put16(frame + 12, ETHERTYPE_ARP);
    memset(arp, 0, 28);
    put16(arp, 1);
    put16(arp + 2, ETHERTYPE_IP);
    arp[4] = 6;
    arp[5] = 4;
    put16(arp + 6, 1);
    memcpy(arp + 8, &peer_mac, 6);
    put32(arp + 14, PEER);
    put32(arp + 24, ROVER);
    forget_frames();
    arp_input(frame, 60);
    CHECK_EQ(count, 1);
    const u8 *reply = frames[0] + 6 + 14;
    CHECK(!memcmp(frames[0] + 6, &peer_mac, 6));
    CHECK_EQ(get16(reply + 6), 2);
    CHECK(!memcmp(reply + 8, &net_mac, 6));
    CHECK_EQ(get32(reply + 14), ROVER);
    CHECK(!memcmp(reply + 18, &peer_mac, 6));
    CHECK_EQ(get32(reply + 24), PEER);
    put32(arp + 24, ROVER + 1);
    forget_frames();
    arp_input(frame, 60);
    CHECK_EQ(count, 0);
}

static void an_unknown_neighbour_is_asked_for_once_a_second(void)
{
    forget_frames();
    CHECK(!udp_begin(0xc0a80163, 1, 2));
    CHECK(!udp_begin(0xc0a80163, 1, 2));
    CHECK_EQ(count, 1);
    world_pass_ms(1001);
    CHECK(!udp_begin(0xc0a80163, 1, 2));
    CHECK_EQ(count, 2);
    /* Beyond the net, nobody is asked. */
    CHECK(!udp_begin(0x08080808, 1, 2));
    CHECK_EQ(count, 2);
}

static void a_ping_is_echoed_with_its_payload(void)
{
    u8 *icmp = frame + 34;

    for (u64 bytes = 8; bytes <= 1480; bytes += 67) {
        for (u64 i = 0; i < bytes; i++)
            icmp[i] = (u8)(i * 3);
        icmp[0] = 8;
        icmp[1] = 0;
        put16(icmp + 2, 0);
        put16(icmp + 2, checksum_fold(checksum_add(0, icmp, bytes)));
        forget_frames();
        send_ip(IP_PROTO_ICMP, bytes);
        CHECK_EQ(count, 1);
        const u8 *reply = frames[0] + 6 + 34;
        CHECK_EQ(reply[0], 0);
        CHECK_EQ(checksum_fold(checksum_add(0, reply, bytes)), 0);
        CHECK(!memcmp(reply + 4, icmp + 4, bytes - 4));
        icmp[5] ^= 1;
        forget_frames();
        send_ip(IP_PROTO_ICMP, bytes);
        CHECK_EQ(count, 0);
    }
}

static void a_datagram_has_a_right_checksum(void)
{
    forget_frames();
    u8 *payload = udp_begin(PEER, 7777, 6000);
    CHECK(payload);
    memcpy(payload, "abc", 3);
    udp_send(3);
    const u8 *ip = frames[0] + 6 + 14, *udp = ip + 20;
    CHECK_EQ(get16(udp + 4), 11);
    CHECK_EQ(checksum_fold(checksum_add(checksum_pseudo(ROVER, PEER, IP_PROTO_UDP, 11), udp, 11)), 0);
}

static void every_typed_byte_comes_back_with_its_acknowledgement(void)
{
    open_connection();
    for (const char *c = "hello"; *c; c++) {
        char one[2] = {*c, 0};
        type(one);
        CHECK_EQ(count, 1);
        CHECK_EQ(segment(0).ack, seq);
        CHECK(!strcmp(read_all(), one));
    }
    close_connection();
}

static void commands_are_answered(void)
{
    open_connection();
    type("time\r\n");
    CHECK(strstr(read_all(), "1308301456 2011-06-17 09:04:16 UTC\r\nrover$ "));
    type("sum\r");
    CHECK(strstr(read_all(), "memcheck ok 7\r\nrover$ "));
    type("scrub start\n");
    CHECK(strstr(read_all(), "scrub started"));
    type("scrub stop\n");
    CHECK(strstr(read_all(), "not running"));
    type("upt\x7f\x7f\x7fuptimx\be\n");
    CHECK(strstr(read_all(), "up "));
    type("nonsense\n");
    CHECK(strstr(read_all(), "nonsense: not found"));
    type("\xff\xfd\x01help\n");
    CHECK(strstr(read_all(), "uptime"));
    type("exit\n");
    struct seen s = segment(count - 1);
    CHECK(s.flags & FIN);
    ack = s.seq + (u32)s.bytes + 1;
    send_tcp(FIN | ACK, "");
    forget_frames();
}

static void what_is_lost_is_sent_again_and_again_and_arrives_once(void)
{
    open_connection();
    type("x");
    struct seen first = segment(0);
    forget_frames();
    /* Nobody acknowledges for ten seconds: a long pause. */
    u64 repeats = 0;
    for (int i = 0; i < 100; i++) {
        world_pass_ms(100);
        tcp_timers();
        for (int n = 0; n < count; n++) {
            struct seen s = segment(n);
            CHECK_EQ(s.seq, first.seq);
            CHECK_EQ(s.bytes, 1);
            repeats++;
        }
        forget_frames();
    }
    CHECK(repeats >= 3 && repeats < 12);
    ack = first.seq + 1;
    type("y");
    CHECK(!strcmp(read_all(), "y"));
    close_connection();
}

static void a_repeated_segment_is_acknowledged_and_not_taken_again(void)
{
    open_connection();
    type("a");
    CHECK(!strcmp(read_all(), "a"));
    seq -= 1;
    type("a");
    CHECK_EQ(count, 1);
    CHECK_EQ(segment(0).ack, seq);
    CHECK(!strcmp(read_all(), ""));
    /* Half old, half new. */
    seq -= 1;
    type("ab");
    CHECK(!strcmp(read_all(), "b"));
    close_connection();
}

static void what_comes_out_of_order_is_dropped_and_asked_for(void)
{
    open_connection();
    u32 here = seq;
    seq += 1;
    type("b");
    CHECK_EQ(count, 1);
    CHECK_EQ(segment(0).ack, here);
    CHECK_EQ(segment(0).bytes, 0);
    forget_frames();
    seq = here;
    type("ab");
    CHECK(!strcmp(read_all(), "ab"));
    close_connection();
}

static void a_closed_window_is_respected_and_asked_about(void)
{
    open_connection();
    window = 0;
    send_tcp(ACK, "");
    type("help\n");
    u32 from = ack;
    CHECK_EQ(count, 1);
    CHECK_EQ(segment(0).bytes, 0);
    forget_frames();
    for (int i = 0; i < 30 && !count; i++) {
        world_pass_ms(100);
        tcp_timers();
    }
    CHECK_EQ(count, 1);
    CHECK_EQ(segment(0).bytes, 1);
    CHECK_EQ(segment(0).seq, from);
    forget_frames();
    /* It opens by little. */
    window = 10;
    char all[256] = "";
    for (int i = 0; i < 20; i++) {
        send_tcp(ACK, "");
        for (int n = 0; n < count; n++)
            CHECK(segment(n).bytes <= 10);
        strcat(all, read_all());
        window = 10;
    }
    CHECK(strstr(all, "help\r\ntime uptime sum"));
    CHECK(strstr(all, "rover$ "));
    close_connection();
}

static void a_full_interface_only_delays(void)
{
    open_connection();
    full = 1;
    type("q");
    CHECK_EQ(count, 0);
    full = 0;
    for (int i = 0; i < 30 && !count; i++) {
        world_pass_ms(100);
        tcp_timers();
    }
    CHECK(!strcmp(read_all(), "q"));
    send_tcp(ACK, "");
    close_connection();
}

static void strangers_are_refused(void)
{
    port++;
    seq = 5;
    ack = 0;
    forget_frames();
    send_tcp_to(80, SYN, "");
    CHECK_EQ(count, 1);
    CHECK_EQ(segment(0).flags, RST | ACK);
    CHECK_EQ(segment(0).ack, 6);
    forget_frames();
    ack = 77;
    send_tcp(ACK, "data");
    CHECK_EQ(segment(0).flags, RST);
    CHECK_EQ(segment(0).seq, 77);
    forget_frames();
    send_tcp(RST, "");
    CHECK_EQ(count, 0);
}

static void damaged_segments_are_dropped(void)
{
    open_connection();
    u8 *tcp = frame + 34;
    for (int at = 0; at < 21; at++) {
        send_tcp(ACK, "");
        forget_frames();
        /* As send_tcp makes it, and then one bit turned. */
        memset(tcp, 0, 20);
        put16(tcp, port);
        put16(tcp + 2, 23);
        put32(tcp + 4, seq);
        put32(tcp + 8, ack);
        tcp[12] = 5 << 4;
        tcp[13] = ACK;
        put16(tcp + 14, window);
        tcp[20] = 'z';
        u64 sum = checksum_pseudo(PEER, ROVER, IP_PROTO_TCP, 21);
        put16(tcp + 16, checksum_fold(checksum_add(sum, tcp, 21)));
        tcp[at] ^= 0x10;
        send_ip(IP_PROTO_TCP, 21);
        CHECK_EQ(count, 0);
    }
    type("z");
    CHECK(!strcmp(read_all(), "z"));
    close_connection();
}

static void four_connections_and_no_more(void)
{
    u16 ports[TCP_CONNECTIONS];
    u32 seqs[TCP_CONNECTIONS], acks[TCP_CONNECTIONS];

    for (int i = 0; i < TCP_CONNECTIONS; i++) {
        open_connection();
        ports[i] = port;
        seqs[i] = seq;
        acks[i] = ack;
    }
    port++;
    seq = 1;
    ack = 0;
    forget_frames();
    send_tcp(SYN, "");
    CHECK(segment(0).flags & RST);
    u16 last = port;
    for (int i = 0; i < TCP_CONNECTIONS; i++) {
        forget_frames();
        port = ports[i];
        seq = seqs[i];
        ack = acks[i];
        type("k");
        CHECK(!strcmp(read_all(), "k"));
        close_connection();
    }
    port = last;
    open_connection();
    close_connection();
}

static void noise_breaks_nothing(void)
{
    u64 random = 12345;

    for (int round = 0; round < 20000; round++) {
        u64 bytes = 0;
        for (int i = 0; i < 100; i++) {
            random = random * 6364136223846793005ul + 1442695040888963407ul;
            out[i] = (u8)(random >> 56);
        }
        bytes = random >> 40 & 127;
        if (round & 1)
            put16(frame + 12, round & 2 ? ETHERTYPE_IP : ETHERTYPE_ARP);
        forget_frames();
        if (round & 2)
            ip_input(frame, bytes);
        else
            arp_input(frame, bytes);
    }
}

int main(void)
{
    shell_start();
    TEST(a_question_by_arp_is_answered);
    TEST(an_unknown_neighbour_is_asked_for_once_a_second);
    TEST(a_ping_is_echoed_with_its_payload);
    TEST(a_datagram_has_a_right_checksum);
    TEST(every_typed_byte_comes_back_with_its_acknowledgement);
    TEST(commands_are_answered);
    TEST(what_is_lost_is_sent_again_and_again_and_arrives_once);
    TEST(a_repeated_segment_is_acknowledged_and_not_taken_again);
    TEST(what_comes_out_of_order_is_dropped_and_asked_for);
    TEST(a_closed_window_is_respected_and_asked_about);
    TEST(a_full_interface_only_delays);
    TEST(strangers_are_refused);
    TEST(damaged_segments_are_dropped);
    TEST(four_connections_and_no_more);
    TEST(noise_breaks_nothing);
    return 0;
}
