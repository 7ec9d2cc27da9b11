/*
 * gzip: one member unpacked into memory of the domain.
 *
 * The packed bytes are not trusted: every length and distance is checked, and
 * unpacking ends with the input or with the room that was claimed. The size at
 * the end of the file says how much to claim; when it is not this member's, the
 * member is unpacked once into a window alone, to be counted.
 *
 * Source: RFC 1952.
 */
#include "../common/bytes.h"
#include "heap.h"
#include "inflate.h"
#include "prompt.h"
#include "ram.h"

#define FLAG_CRC 2
#define FLAG_EXTRA 4
#define FLAG_NAME 8
#define FLAG_COMMENT 16
#define FLAGS_RESERVED 0xe0
#define HEADER_BYTES 10
#define TRAILER_BYTES 8
/* A byte of deflate makes no more than this. */
#define RATIO_MAX 1032
/* No image that a client is made of is larger. */
#define UNPACKED_BYTES_MAX (1ul << 32)

static const char no_memory[] = "gzip: no memory for the unpacked image";

/* --- the member --- */

/* Bytes of a gzip header; 0 when it is none that is known. */
static u64 header_bytes(const u8 *in, u64 bytes)
{
    u64 at = HEADER_BYTES;

    if (bytes < HEADER_BYTES || in[0] != 0x1f || in[1] != 0x8b || in[2] != 8 ||
        (in[3] & FLAGS_RESERVED))
        return 0;
    if (in[3] & FLAG_EXTRA) {
        if (bytes - at < 2)
            return 0;
        at += 2 + (in[at] | (u64)in[at + 1] << 8);
    }
    for (int text = !!(in[3] & FLAG_NAME) + !!(in[3] & FLAG_COMMENT); text; text--) {
        while (at < bytes && in[at])
            at++;
        at++;
    }
    if (in[3] & FLAG_CRC)
        at += 2;
    return at < bytes ? at : 0;
}

static u32 read_le32(const u8 *at)
{
    return at[0] | (u32)at[1] << 8 | (u32)at[2] << 16 | (u32)at[3] << 24;
}

static u32 crc_of(const u8 *bytes, u64 count)
{
    static u32 table[256];
    u32 crc = ~0u;

    if (!table[1])
        for (u32 i = 0; i < 256; i++) {
            u32 value = i;
            for (int bit = 0; bit < 8; bit++)
                value = value >> 1 ^ (value & 1 ? 0xedb88320 : 0);
            table[i] = value;
        }
    while (count--)
        crc = crc >> 8 ^ table[(crc ^ *bytes++) & 255];
    return ~crc;
}

/* Claims `room` and unpacks. */
static const char *unpack_into(struct inflate *s, const u8 *in, u64 bytes, u64 room,
                               struct image *unpacked)
{
    u64 ra = ram_claim(room ? room : 1, RAM_PAGE);

    if (ra == RAM_NONE)
        return no_memory;
    u8 *out = ram_window(ra);
    const char *why = inflate(s, in, bytes, out, ~0ul, room);
    if (!why) {
        const u8 *trailer = inflate_rest(s);
        if (inflate_rest_bytes(s) < TRAILER_BYTES)
            why = inflate_short;
        else if (read_le32(trailer) != crc_of(out, s->made) ||
                 read_le32(trailer + 4) != (u32)s->made)
            why = "gzip: the checksum does not match";
    }
    if (why)
        ram_release(ra, room ? room : 1);
    else
        *unpacked = (struct image){ra, s->made};
    return why;
}

const char *gunzip(struct image packed, struct image *unpacked)
{
    const u8 *in = ram_window(packed.ra);
    u64 skip = header_bytes(in, packed.bytes);
    const char *why;

    if (!skip || packed.bytes - skip < TRAILER_BYTES)
        return "gzip: not a gzip file";
    struct inflate *s = heap_take(sizeof *s);
    if (!s)
        return "gzip: no memory";
    u64 said = read_le32(in + packed.bytes - 4);
    why = inflate_no_room;
    if (said / RATIO_MAX <= packed.bytes)
        why = unpack_into(s, in + skip, packed.bytes - skip, said, unpacked);
    if (why == inflate_no_room || why == no_memory) {
        /* The size said may be another's: count. */
        u8 *window = heap_take(INFLATE_WINDOW_BYTES);

        why = no_memory;
        if (window) {
            why = inflate(s, in + skip, packed.bytes - skip, window, INFLATE_WINDOW_BYTES - 1,
                         UNPACKED_BYTES_MAX);
            heap_give(window);
        }
        if (!why)
            why = unpack_into(s, in + skip, packed.bytes - skip, s->made, unpacked);
    }
    heap_give(s);
    return why;
}
