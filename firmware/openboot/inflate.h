/*
 * Deflate: what is inside a gzip member.
 *
 * Nothing is read behind the input nor written behind the room; a distance never
 * reaches before what was made. The state is large: it is kept on the heap.
 *
 * Source: RFC 1951.
 */
#ifndef OPENBOOT_INFLATE_H
#define OPENBOOT_INFLATE_H

#include <sun4v/types.h>

#define INFLATE_WINDOW_BYTES 32768ul /* as far back as anything refers */

#define CODE_BITS_MAX 15
#define LITERALS 288
#define DISTANCES 32
#define QUICK_BITS 10

extern const char inflate_short[];   /* the input ends too early */
extern const char inflate_damaged[];
extern const char inflate_no_room[]; /* more comes out than there is room for */

/* A Huffman code: codes of up to QUICK_BITS by a table, longer ones bit by bit. */
struct code {
    u16 quick[1 << QUICK_BITS]; /* symbol << 4 | bits; 0: longer or none */
    u16 count[CODE_BITS_MAX + 1];
    u16 symbol[LITERALS];
};

struct inflate {
    const u8 *in;
    u64 left; /* bytes of input */
    u64 bits;
    u32 held; /* bits in `bits` */
    u8 *out;
    u64 mask; /* of an index into `out` */
    u64 made;
    u64 room;
    struct code literal, distance;
    u8 lengths[LITERALS + DISTANCES];
};

/* Unpacks `bytes` at `in`: byte n goes to `out[n & mask]`, at most `room` of them. Null, or
 * why not. Then `made` is how many there were, and what follows the data begins at
 * inflate_rest, inflate_rest_bytes of it. */
const char *inflate(struct inflate *s, const u8 *in, u64 bytes, u8 *out, u64 mask, u64 room);

static inline const u8 *inflate_rest(const struct inflate *s)
{
    return s->in - s->held / 8;
}

static inline u64 inflate_rest_bytes(const struct inflate *s)
{
    return s->left + s->held / 8;
}

#endif
