/*
 * Variables kept with the domain, against a played manager that speaks packets: the link
 * protocol in reliable mode and domain services, byte by byte.
 */
#include <sun4v/hcall.h>
#include <sun4v/ldc.h>

#include "../openboot/prompt.h"
#include "../openboot/prompt/variables.h"
#include "../openboot/prompt/words.h"
#include "../openboot/release.h"
#include "../openboot/tree.h"
#include "openboot_world.h"

#define FIRMWARE 4
#define MANAGER 5
#define QUEUE 8192

static u8 tx[QUEUE] ALIGNED(8192), rx[QUEUE] ALIGNED(8192);

/* What the manager does. */
static struct {
    int starts;     /* it begins the handshake of the link */
    int asks;       /* it sends messages of its own before it answers */
    int no_service; /* it knows no var-config */
    int mute;       /* it registers and never answers */
    u32 result;     /* of every request */
    int resets;     /* so many requests lead to a reset */
    int pieces;     /* its answers come in packets of 7 bytes */
    int noise;      /* nonsense before every answer */
} play;

static struct manager {
    int there, up;
    u32 sent, accepted, acked, turns;
    u8 message[4096];
    u32 length;
    u64 handle;
    /* The last request. */
    u32 command, requests;
    char name[64], value[4096];
} m;

static void put(const struct ldc_packet *packet)
{
    u64 head, tail, state;

    CHECK_EQ(hv_ldc_tx_get_state(MANAGER, &head, &tail, &state), HV_EOK);
    u64 next = (tail + 64) % QUEUE;
    CHECK(next != head);
    memcpy(tx + tail, packet, 64);
    CHECK_EQ(hv_ldc_tx_set_qtail(MANAGER, next), HV_EOK);
}

static void put_control(u8 stype, u8 ctrl, u8 env, u32 seqid)
{
    struct ldc_packet p = {
        .type = LDC_CTRL, .stype = stype, .ctrl = ctrl, .env = env, .seqid = seqid};

    if (ctrl == LDC_VER)
        p.version.major = 1;
    if (ctrl == LDC_RDX)
        p.ackid = m.accepted;
    put(&p);
}

static void put_message(const void *bytes, u32 length)
{
    u32 each = play.pieces ? 7 : 48;

    for (u32 at = 0; at < length; at += each) {
        u32 part = length - at < each ? length - at : each;
        struct ldc_packet p = {
            .type = LDC_DATA, .stype = LDC_INFO, .env = (u8)part, .seqid = ++m.sent};

        p.env |= at == 0 ? LDC_ENV_START : 0;
        p.env |= at + part == length ? LDC_ENV_STOP : 0;
        p.ackid = m.accepted;
        memcpy(p.payload + 8, (const u8 *)bytes + at, part);
        put(&p);
    }
}

static u32 word(u32 at)
{
    u32 value;

    memcpy(&value, m.message + at, 4);
    return value;
}

static void answer(u32 type, const void *payload, u32 length)
{
    u8 bytes[256];

    memcpy(bytes, &type, 4);
    memcpy(bytes + 4, &length, 4);
    memcpy(bytes + 8, payload, length);
    put_message(bytes, 8 + length);
}

static void open_end(void)
{
    CHECK_EQ(hv_ldc_tx_qconf(MANAGER, tx, 128), HV_EOK);
    CHECK_EQ(hv_ldc_rx_qconf(MANAGER, rx, 128), HV_EOK);
    m.up = 0;
    m.sent = m.accepted = m.acked = m.length = 0;
    m.there = 1;
}

static void take_request(void)
{
    u32 payload[4] = {(u32)(m.handle >> 32), (u32)m.handle, word(16) + 2, play.result};
    static const u8 nothing[40];

    m.requests++;
    CHECK_EQ(word(8), (u32)(m.handle >> 32));
    CHECK_EQ(word(12), (u32)m.handle);
    m.command = word(16);
    CHECK(m.command < 2);
    strcpy(m.name, (char *)m.message + 20);
    u32 end = 20 + (u32)strlen(m.name) + 1;
    if (m.command == 0) {
        strcpy(m.value, (char *)m.message + end);
        end += (u32)strlen(m.value) + 1;
    }
    CHECK_EQ(m.length, end);
    if (play.mute)
        return;
    if (play.resets) {
        play.resets--;
        open_end();
        return;
    }
    if (play.noise) {
        put_message(nothing, 3);
        answer(9, nothing, 4);
        answer(9, payload, 12);
        answer(77, nothing, 40);
        u32 other[4] = {payload[0], payload[1], payload[2] ^ 1, 0};
        answer(9, other, 16);
    }
    answer(9, payload, 16);
}

static void take_message(void)
{
    CHECK_EQ(word(4), m.length - 8);
    switch (word(0)) {
    case 0: { /* INIT_REQ */
        static const u8 sent[] = {0, 0, 0, 0, 0, 0, 0, 4, 0, 1, 0, 0};
        CHECK_EQ(m.length, sizeof sent);
        CHECK(!memcmp(m.message, sent, sizeof sent));
        u8 minor[2] = {0, 0};
        if (play.asks) {
            u8 registers[32] = {0, 0, 0, 9, 0, 0, 0, 9, 0, 1, 0, 0};
            memcpy(registers + 12, "md-update", 10);
            answer(3, registers, 22);
        }
        answer(1, minor, 2);
        return;
    }
    case 3: { /* REG_REQ */
        u8 ack[24] = {0};
        CHECK_EQ(m.length, 8 + 12 + sizeof "var-config");
        CHECK_EQ(word(16), 0x10000);
        CHECK(!memcmp(m.message + 20, "var-config", sizeof "var-config"));
        memcpy(&m.handle, m.message + 8, 8);
        memcpy(ack, &m.handle, 8);
        ack[15] = play.no_service; /* REG_NACK: a wrong version */
        answer(play.no_service ? 5 : 4, ack, play.no_service ? 24 : 16);
        return;
    }
    case 5: /* REG_NACK of what the manager offered */
        CHECK(play.asks);
        CHECK_EQ(word(8), 9);
        CHECK_EQ(word(20), 1);
        return;
    case 9:
        take_request();
        return;
    default:
        CHECK(!"a message for a manager");
    }
}

static void take_packet(const struct ldc_packet *p)
{
    if (p->type == LDC_CTRL) {
        u8 ctrl = p->ctrl & LDC_CTRL_MASK;
        if (ctrl == LDC_VER && p->stype == LDC_INFO) {
            m.up = 0;
            m.sent = m.acked = 0;
            CHECK_EQ(p->version.major, 1);
            put_control(LDC_ACK, LDC_VER, 0, 0);
        } else if (ctrl == LDC_VER && p->stype == LDC_ACK) {
            put_control(LDC_INFO, LDC_RTS, 3, 0);
        } else if (ctrl == LDC_RTS) {
            CHECK_EQ(p->env, 3);
            CHECK_EQ(p->seqid, 0);
            m.accepted = 0;
            put_control(LDC_INFO, LDC_RTR, 3, 0);
        } else if (ctrl == LDC_RTR) {
            CHECK_EQ(p->env, 3);
            m.accepted = p->seqid;
            put_control(LDC_INFO, LDC_RDX, 0, ++m.sent);
            m.up = 1;
        } else if (ctrl == LDC_RDX) {
            CHECK_EQ(p->seqid, m.accepted + 1);
            m.accepted = p->seqid;
            m.up = 1;
        }
        return;
    }
    CHECK_EQ(p->type, LDC_DATA);
    CHECK(m.up);
    CHECK_EQ(p->seqid, m.accepted + 1);
    m.accepted = p->seqid;
    if (p->stype == LDC_ACK) {
        CHECK(p->ackid <= m.sent && p->ackid >= m.acked);
        m.acked = p->ackid;
        return;
    }
    CHECK_EQ(p->stype, LDC_INFO);
    u32 length = p->env & LDC_ENV_LENGTH;
    CHECK(length <= 48);
    if (p->env & LDC_ENV_START)
        m.length = 0;
    memcpy(m.message + m.length, p->payload + 8, length);
    m.length += length;
    if (p->env & LDC_ENV_STOP) {
        struct ldc_packet ack = {.type = LDC_DATA, .stype = LDC_ACK, .seqid = ++m.sent};
        ack.ackid = m.accepted;
        put(&ack);
        take_message();
    }
}

static void turn(void)
{
    static int inside;
    u64 head, tail, state;

    if (inside || !m.there || m.turns++ % 7)
        return;
    inside = 1;
    if (hv_ldc_rx_get_state(MANAGER, &head, &tail, &state) == HV_EOK) {
        if (state == LDC_RESET || state == LDC_DOWN)
            m.up = 0;
        if (state == LDC_RESET && play.starts)
            put_control(LDC_INFO, LDC_VER, 0, 0);
        while (state != LDC_DOWN && head != tail && m.there) {
            struct ldc_packet packet;

            memcpy(&packet, rx + head, 64);
            head = (head + 64) % QUEUE;
            hv_ldc_rx_set_qhead(MANAGER, head);
            take_packet(&packet);
            if (play.resets != 0 && !m.up)
                break;
        }
    }
    inside = 0;
}

static void describe_machine(int port)
{
    md_begin();
    md_node("root");
    md_end_node();
    u64 endpoint = md_node("channel-endpoint");
    md_add_value("id", FIRMWARE);
    md_end_node();
    u64 services = md_node("domain-services-port");
    md_add_value("id", 0);
    md_add_arc("fwd", endpoint);
    md_end_node();
    if (port) {
        md_node("openboot");
        md_add_arc("fwd", services);
        md_end_node();
    }
}

static void begin(void)
{
    variables_close();
    world_reset_channels();
    memset(&m, 0, sizeof m);
    memset(&play, 0, sizeof play);
    open_end();
    world_turn = turn;
    world_step = 1000;
    describe_machine(1);
    variables_init();
}

static void a_variable_is_set_and_deleted(void)
{
    const char *note;

    begin();
    CHECK(!variable_set("boot-device", "disk1 net"));
    CHECK_EQ(m.requests, 1);
    CHECK_EQ(m.command, 0);
    CHECK(!strcmp(m.name, "boot-device"));
    CHECK(!strcmp(m.value, "disk1 net"));
    CHECK(!strcmp(prop_read_text(tree_find("/options", 0, 0), "boot-device", ""), "disk1 net"));
    /* The name as it is written, a boolean in small letters. */
    CHECK(!variable_set("AUTO-BOOT?", "False"));
    CHECK(!strcmp(m.name, "auto-boot?"));
    CHECK(!strcmp(m.value, "false"));
    CHECK(!variable_default("boot-device", &note));
    CHECK(!note);
    CHECK_EQ(m.command, 1);
    CHECK(!strcmp(m.name, "boot-device"));
    CHECK_EQ(m.requests, 3);
    CHECK(!variable_set("boot-file", ""));
    CHECK(!strcmp(m.value, ""));
    /* Nothing is sent that is none of the variable's values. */
    CHECK(variable_set("auto-boot?", "perhaps"));
    CHECK(variable_set("colour", "red"));
    CHECK_EQ(m.requests, 4);
}

static void a_long_value_goes_in_many_packets(void)
{
    char value[VARIABLE_BYTES];

    begin();
    for (int i = 0; i < VARIABLE_BYTES - 1; i++)
        value[i] = (char)('a' + i % 26);
    value[VARIABLE_BYTES - 1] = 0;
    CHECK(!variable_set("nvramrc", value));
    CHECK(!strcmp(m.value, value));
    /* Many of them, so that the queue goes round. */
    for (int i = 0; i < 20; i++) {
        value[0] = (char)('A' + i);
        CHECK(!variable_set("nvramrc", value));
        CHECK(!strcmp(m.value, value));
    }
}

static void a_manager_that_begins_the_link_and_speaks_first(void)
{
    begin();
    play.starts = play.asks = 1;
    CHECK(!variable_set("boot-file", "x"));
    begin();
    play.pieces = play.noise = play.asks = 1;
    CHECK(!variable_set("boot-file", "y"));
    CHECK(!strcmp(m.value, "y"));
    CHECK(!variable_set("boot-file", "z"));
}

static void what_the_manager_says_is_said(void)
{
    static const char *const said[] = {0, "the manager has no room for it",
                                       "the manager takes no variable of this name",
                                       "the manager does not take this value",
                                       "the manager refuses it", "the manager refuses it"};
    const char *note;

    begin();
    for (u32 result = 1; result < COUNT_OF(said); result++) {
        play.result = result;
        const char *why = variable_set("boot-file", "x");
        CHECK(why && !strcmp(why, said[result]));
        CHECK(!strcmp(variable("boot-file"), "x"));
    }
    play.result = 4; /* nothing to delete */
    CHECK(!variable_default("boot-file", &note));
    CHECK(!note);
    begin();
    play.no_service = 1;
    CHECK(!strcmp(variable_set("boot-file", "x"),
                  "the manager of the domain does not keep variables"));
    play.no_service = 0;
    CHECK(!variable_set("boot-file", "x"));
}

static void nobody_is_waited_for_for_ever(void)
{
    static const char silent[] = "the manager of the domain does not answer";
    const char *note;
    u64 before;

    begin();
    world_step = 100000;
    play.mute = 1;
    before = world_now;
    CHECK(!strcmp(variable_set("boot-file", "x"), silent));
    CHECK(world_now - before < 9000000000ul);
    play.mute = 0;
    CHECK(!variable_set("boot-file", "x"));
    m.there = 0;
    before = world_now;
    CHECK(!strcmp(variable_set("boot-file", "x"), silent));
    CHECK(world_now - before < 9000000000ul);
    m.there = 1;
    /* A reset in the middle: said, and the next is kept. */
    begin();
    play.resets = 1;
    CHECK(!strcmp(variable_set("boot-file", "x"), silent));
    CHECK(!variable_set("boot-file", "x"));
    /* Without a channel a value holds for this life. */
    begin();
    describe_machine(0);
    CHECK(!variable_set("boot-file", "here"));
    CHECK(!strcmp(variable("boot-file"), "here"));
    CHECK(!variable_change("boot-file", "here", &note));
    CHECK(!strcmp(note, "the domain has no channel to keep variables"));
}

static void queues_are_given_back(void)
{
    u64 head, tail, state;

    begin();
    CHECK(!variable_set("boot-file", "x"));
    CHECK_EQ(hv_ldc_tx_get_state(MANAGER, &head, &tail, &state), HV_EOK);
    CHECK_EQ(state, LDC_UP);
    variables_close();
    hv_ldc_tx_get_state(MANAGER, &head, &tail, &state);
    CHECK_EQ(state, LDC_DOWN);
    CHECK(!variable_set("boot-file", "y"));
    /* While a client runs they are given back after each change. */
    client_entered = 1;
    CHECK(!variable_set("boot-file", "z"));
    client_entered = 0;
    hv_ldc_tx_get_state(MANAGER, &head, &tail, &state);
    CHECK_EQ(state, LDC_DOWN);
}

static void at_the_prompt(void)
{
    begin();
    node_new(node_root(), "aliases", "");
    console_clear();
    CHECK(!words_run("setenv auto-boot? false"));
    CHECK(!strcmp(console_said, "auto-boot? =            false\n"));
    CHECK(!words_run("nvalias root disk:a"));
    CHECK(!strcmp(m.name, "use-nvramrc?"));
    CHECK(!strcmp(variable("nvramrc"), "devalias root disk:a\n"));
    CHECK(!words_run("set-defaults"));
    CHECK_EQ(m.command, 1);
    CHECK(!strcmp(variable("nvramrc"), ""));
}

/* --- noise on the channel --- */

static u64 dice = 362436069;

static u64 roll(u64 below)
{
    dice ^= dice << 13;
    dice ^= dice >> 7;
    dice ^= dice << 17;
    return dice % below;
}

/* Packets that are right but for some bytes, and others that are not right at all. */
static void noise_turn(void)
{
    static int inside;
    u64 head, tail, state;

    if (inside || roll(5))
        return;
    inside = 1;
    if (roll(500) == 0)
        open_end();
    if (hv_ldc_rx_get_state(MANAGER, &head, &tail, &state) == HV_EOK && state != LDC_DOWN) {
        struct ldc_packet p;

        if (head != tail) {
            memcpy(&p, rx + head, 64);
            hv_ldc_rx_set_qhead(MANAGER, tail);
        } else {
            memset(&p, 0, 64);
        }
        p.type = roll(6) ? p.type : (u8)(1 + roll(2));
        p.stype = (u8)(1 << roll(3));
        p.ctrl = roll(3) ? (u8)roll(5) : p.ctrl;
        p.env = roll(2) ? (u8)(roll(64) | roll(4) << 6) : 3;
        p.seqid = roll(4) ? m.accepted + 1 : (u32)roll(4);
        m.accepted = p.seqid;
        for (u64 n = roll(12); n; n--)
            p.payload[roll(40)] = (u8)roll(roll(2) ? 256 : 12);
        u64 h, t, s;
        hv_ldc_tx_get_state(MANAGER, &h, &t, &s);
        if ((t + 64) % QUEUE != h)
            put(&p);
    }
    inside = 0;
}

static void noise_on_the_channel_ends_in_an_answer(void)
{
    begin();
    world_turn = noise_turn;
    world_step = 200000;
    for (int i = 0; i < 200; i++) {
        u64 before = world_now;
        variable_set("boot-file", roll(2) ? "x" : "a value that is longer than one packet is");
        CHECK(world_now - before < 9000000000ul);
    }
    world_turn = 0;
}

int main(void)
{
    TEST(a_variable_is_set_and_deleted);
    TEST(a_long_value_goes_in_many_packets);
    TEST(a_manager_that_begins_the_link_and_speaks_first);
    TEST(what_the_manager_says_is_said);
    TEST(nobody_is_waited_for_for_ever);
    TEST(queues_are_given_back);
    TEST(at_the_prompt);
    TEST(noise_on_the_channel_ends_in_an_answer);
    return 0;
}
