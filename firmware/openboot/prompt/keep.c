/* Variables kept with the domain. */
#include "keep.h"

#include "../../common/bytes.h"
#include "../disk/channel.h"
#include "../disk/clock.h"
#include "../disk/endpoint.h"
#include "../disk/order.h"
#include "../release.h"

#define MESSAGE_MAX 4096 /* of domain services */
#define HEAD_BYTES 8     /* type, length of what follows */
#define SERVICE "var-config"
#define MAJOR 1
#define MINOR 0
/* Our name for the service. */
#define HANDLE 1ul
/* From opening the channel to the service being there, and for an answer. */
#define SESSION_MS 3000
#define ANSWER_MS 5000

enum ds_type {
    DS_INIT_REQ = 0,
    DS_INIT_ACK = 1,
    DS_INIT_NACK = 2,
    DS_REG_REQ = 3,
    DS_REG_ACK = 4,
    DS_REG_NACK = 5,
    DS_UNREG_REQ = 6,
    DS_UNREG_ACK = 7,
    DS_DATA = 9,
    DS_NACK = 10,
};

enum command { SET_REQ = 0, DELETE_REQ = 1, SET_RESP = 2, DELETE_RESP = 3 };
enum result { DONE = 0, NO_SPACE = 1, INVALID_NAME = 2, INVALID_VALUE = 3, NOT_PRESENT = 4 };
/* A DS_REG_NACK that says: no such service or version. */
#define RESULT_VERSION 1ul

enum stage { STAGE_NONE, STAGE_INIT, STAGE_REGISTER, STAGE_READY, STAGE_REFUSED };

const char keep_missing[] = "the domain has no channel to keep variables";

static struct channel channel;
static u64 session;
static u8 stage, answered;
static u32 answer_command, answer_result;

/* --- messages --- */

struct message {
    u8 bytes[MESSAGE_MAX];
    u32 length; /* beyond the end: it does not fit */
};

static void add(struct message *m, const void *bytes, u64 count)
{
    if (m->length + count <= sizeof m->bytes)
        memcpy(m->bytes + m->length, bytes, count);
    m->length += (u32)count;
}

static void add_number(struct message *m, u64 value, u32 bytes)
{
    while (bytes--) {
        u8 byte = (u8)(value >> bytes * 8);
        add(m, &byte, 1);
    }
}

static void begin(struct message *m, u32 type)
{
    m->length = 0;
    add_number(m, type, 4);
    add_number(m, 0, 4);
}

static int send(struct message *m)
{
    u32 payload = m->length - HEAD_BYTES;

    if (m->length > sizeof m->bytes)
        return 0;
    m->length = 4;
    add_number(m, payload, 4);
    m->length = HEAD_BYTES + payload;
    return channel_send(&channel, m->bytes, m->length);
}

/* One at a time is written, and it is long for a stack. */
static struct message out;

static void send_init(void)
{
    begin(&out, DS_INIT_REQ);
    add_number(&out, MAJOR, 2);
    add_number(&out, MINOR, 2);
    stage = STAGE_INIT;
    send(&out);
}

static void send_register(void)
{
    begin(&out, DS_REG_REQ);
    add_number(&out, HANDLE, 8);
    add_number(&out, MAJOR, 2);
    add_number(&out, MINOR, 2);
    add(&out, SERVICE, sizeof SERVICE);
    stage = STAGE_REGISTER;
    send(&out);
}

/* Services of the other side are none of ours. */
static void refuse_register(u64 handle)
{
    begin(&out, DS_REG_NACK);
    add_number(&out, handle, 8);
    add_number(&out, RESULT_VERSION, 8);
    add_number(&out, 0, 8); /* no version, padding */
    send(&out);
}

static void take_data(const u8 *payload, u64 length)
{
    if (stage != STAGE_READY || length < 8)
        return;
    answer_command = be32(payload);
    answer_result = be32(payload + 4);
    answered = 1;
}

static void take(void *owner, const void *bytes, u64 length)
{
    const u8 *m = bytes;

    if (length < HEAD_BYTES)
        return;
    u32 type = be32(m);
    u64 payload = be32(m + 4), handle = 0;
    if (payload > length - HEAD_BYTES)
        return;
    m += HEAD_BYTES;
    if (type >= DS_REG_REQ) {
        if (payload < 8)
            return;
        handle = (u64)be32(m) << 32 | be32(m + 4);
    }
    switch (type) {
    case DS_INIT_REQ:
        begin(&out, DS_INIT_ACK);
        add_number(&out, MINOR, 2);
        send(&out);
        return;
    case DS_INIT_ACK:
        if (stage == STAGE_INIT)
            send_register();
        return;
    case DS_INIT_NACK:
        stage = STAGE_REFUSED;
        return;
    case DS_REG_REQ:
        refuse_register(handle);
        return;
    case DS_REG_ACK:
        if (stage == STAGE_REGISTER && handle == HANDLE)
            stage = STAGE_READY;
        return;
    case DS_REG_NACK:
        if (stage == STAGE_REGISTER && handle == HANDLE)
            stage = STAGE_REFUSED;
        return;
    case DS_UNREG_REQ:
        begin(&out, DS_UNREG_ACK);
        add_number(&out, handle, 8);
        send(&out);
        if (handle == HANDLE)
            stage = STAGE_REFUSED;
        return;
    case DS_DATA:
        if (handle == HANDLE)
            take_data(m + 8, payload - 8);
        return;
    case DS_NACK:
        if (handle == HANDLE && stage == STAGE_READY)
            stage = STAGE_REFUSED;
        return;
    default:
        return;
    }
}

/* --- the session --- */

static void poll(void)
{
    channel_poll(&channel);
    if (!channel_up(&channel))
        stage = STAGE_NONE;
    else if (stage == STAGE_NONE || session != channel.sessions) {
        session = channel.sessions;
        send_init();
    }
}

static const char *await_service(void)
{
    u64 until = clock_now() + clock_ms(SESSION_MS);

    do {
        poll();
        if (stage == STAGE_READY)
            return 0;
        if (stage == STAGE_REFUSED)
            return "the manager of the domain does not keep variables";
        clock_pause();
    } while (clock_now() < until);
    return "the manager of the domain does not answer";
}

static const char *open_session(void)
{
    u64 id;
    const char *why = 0;

    if (channel.phase == CHANNEL_SHUT) {
        if (!endpoint_of_services(&id))
            return keep_missing;
        channel.take = take;
        stage = STAGE_NONE;
        why = channel_open(&channel, id, CHANNEL_MODE_RELIABLE, 0);
    }
    if (!why)
        why = await_service();
    if (why)
        keep_close();
    return why;
}

static const char *meaning(u32 result)
{
    switch (result) {
    case NO_SPACE:
        return "the manager has no room for it";
    case INVALID_NAME:
        return "the manager takes no variable of this name";
    case INVALID_VALUE:
        return "the manager does not take this value";
    default:
        return "the manager refuses it";
    }
}

static const char *ask(u32 command, const char *name, const char *value)
{
    const char *why = open_session();

    if (why)
        return why;
    begin(&out, DS_DATA);
    add_number(&out, HANDLE, 8);
    add_number(&out, command, 4);
    add(&out, name, text_length(name) + 1);
    if (value)
        add(&out, value, text_length(value) + 1);
    if (out.length > sizeof out.bytes)
        return "the value is too long";
    answered = 0;
    u64 until = clock_now() + clock_ms(ANSWER_MS), asked = session;
    int sent = send(&out);
    while (sent && session == asked && stage == STAGE_READY && clock_now() < until) {
        poll();
        if (!answered) {
            clock_pause();
            continue;
        }
        answered = 0;
        if (answer_command != command + 2)
            continue;
        if (answer_result == DONE || (command == DELETE_REQ && answer_result == NOT_PRESENT))
            return 0;
        return meaning(answer_result);
    }
    keep_close();
    return "the manager of the domain does not answer";
}

const char *keep_set(const char *name, const char *value)
{
    return ask(SET_REQ, name, value);
}

const char *keep_delete(const char *name)
{
    return ask(DELETE_REQ, name, 0);
}

void keep_close(void)
{
    channel_close(&channel);
    stage = STAGE_NONE;
}

void variables_close(void)
{
    keep_close();
}
