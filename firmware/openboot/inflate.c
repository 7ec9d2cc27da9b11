/* Deflate. */
#include "inflate.h"

#include "../common/bytes.h"

const char inflate_short[] = "gzip: the data end too early";
const char inflate_damaged[] = "gzip: the data are damaged";
const char inflate_no_room[] = "gzip: the unpacked image is too large";

/* --- bits --- */

static inline void refill(struct inflate *s)
{
    while (s->held <= 56 && s->left) {
        s->bits |= (u64)*s->in++ << s->held;
        s->held += 8;
        s->left--;
    }
}

/* At most 32 bits; false at the end of input. */
static inline int take_bits(struct inflate *s, u32 count, u32 *value)
{
    if (s->held < count) {
        refill(s);
        if (s->held < count)
            return 0;
    }
    *value = (u32)(s->bits & ((1ul << count) - 1));
    s->bits >>= count;
    s->held -= count;
    return 1;
}

/* --- codes --- */

static u32 reversed(u32 code, u32 bits)
{
    u32 out = 0;

    for (; bits; bits--, code >>= 1)
        out = out << 1 | (code & 1);
    return out;
}

/* False when the lengths are no code. One that is not complete is allowed where zlib
 * allows it: a single code of one bit, or none at all. */
static int make_code(struct code *code, const u8 *lengths, u32 symbols)
{
    u16 offset[CODE_BITS_MAX + 2];
    u32 next = 0;
    s64 open = 1;

    memset(code, 0, sizeof *code);
    for (u32 i = 0; i < symbols; i++)
        code->count[lengths[i]]++;
    u32 used = symbols - code->count[0];
    code->count[0] = 0;
    for (u32 bits = 1; bits <= CODE_BITS_MAX; bits++) {
        open = open * 2 - code->count[bits];
        if (open < 0)
            return 0;
    }
    if (open && !(used == 0 || (used == 1 && code->count[1] == 1)))
        return 0;
    offset[1] = 0;
    for (u32 bits = 1; bits <= CODE_BITS_MAX; bits++)
        offset[bits + 1] = (u16)(offset[bits] + code->count[bits]);
    for (u32 i = 0; i < symbols; i++)
        if (lengths[i])
            code->symbol[offset[lengths[i]]++] = (u16)i;
    u32 index = 0;
    for (u32 bits = 1; bits <= QUICK_BITS; bits++, next <<= 1)
        for (u32 i = 0; i < code->count[bits]; i++, next++, index++)
            for (u32 at = reversed(next, bits); at < 1u << QUICK_BITS; at += 1u << bits)
                code->quick[at] = (u16)(code->symbol[index] << 4 | bits);
    return 1;
}

/* The next symbol; negative when there is none. */
static inline int decode(struct inflate *s, const struct code *code)
{
    if (s->held < CODE_BITS_MAX)
        refill(s);
    u32 quick = code->quick[s->bits & ((1u << QUICK_BITS) - 1)];
    if (quick && (quick & 15) <= s->held) {
        s->bits >>= quick & 15;
        s->held -= quick & 15;
        return (int)(quick >> 4);
    }
    s64 value = 0, first = 0, index = 0;
    for (u32 bits = 1; bits <= CODE_BITS_MAX && bits <= s->held; bits++) {
        value |= (s64)(s->bits >> (bits - 1) & 1);
        s64 count = code->count[bits];
        if (value - count < first) {
            s->bits >>= bits;
            s->held -= bits;
            return code->symbol[index + value - first];
        }
        index += count;
        first = (first + count) << 1;
        value <<= 1;
    }
    return -1;
}

/* --- blocks --- */

static const u16 length_base[] = {3,  4,  5,  6,  7,  8,  9,  10, 11,  13,  15,  17,  19,  23, 27,
                                  31, 35, 43, 51, 59, 67, 83, 99, 115, 131, 163, 195, 227, 258};
static const u8 length_bits[] = {0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2,
                                 2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 0};
static const u16 distance_base[] = {1,   2,   3,   4,   5,   7,    9,    13,   17,   25,
                                    33,  49,  65,  97,  129, 193,  257,  385,  513,  769,
                                    1025, 1537, 2049, 3073, 4097, 6145, 8193, 12289, 16385, 24577};
static const u8 distance_bits[] = {0, 0, 0, 0, 1, 1, 2, 2,  3,  3,  4,  4,  5,  5,  6,
                                   6, 7, 7, 8, 8, 9, 9, 10, 10, 11, 11, 12, 12, 13, 13};

static const char *copy_back(struct inflate *s, u64 length, u64 distance)
{
    if (distance > s->made || distance > INFLATE_WINDOW_BYTES)
        return inflate_damaged;
    if (length > s->room - s->made)
        return inflate_no_room;
    for (; length; length--, s->made++)
        s->out[s->made & s->mask] = s->out[(s->made - distance) & s->mask];
    return 0;
}

static const char *coded_block(struct inflate *s)
{
    for (;;) {
        int symbol = decode(s, &s->literal);
        u32 extra;

        if (symbol < 0)
            return s->left || s->held >= CODE_BITS_MAX ? inflate_damaged : inflate_short;
        if (symbol < 256) {
            if (s->made == s->room)
                return inflate_no_room;
            s->out[s->made++ & s->mask] = (u8)symbol;
            continue;
        }
        if (symbol == 256)
            return 0;
        u64 index = (u64)symbol - 257;
        if (index >= COUNT_OF(length_base))
            return inflate_damaged;
        if (!take_bits(s, length_bits[index], &extra))
            return inflate_short;
        u64 length = length_base[index] + extra;
        symbol = decode(s, &s->distance);
        if (symbol < 0)
            return s->left || s->held >= CODE_BITS_MAX ? inflate_damaged : inflate_short;
        if ((u64)symbol >= COUNT_OF(distance_base))
            return inflate_damaged;
        if (!take_bits(s, distance_bits[symbol], &extra))
            return inflate_short;
        const char *why = copy_back(s, length, distance_base[symbol] + extra);
        if (why)
            return why;
    }
}

static const char *fixed_block(struct inflate *s)
{
    memset(s->lengths, 8, 144);
    memset(s->lengths + 144, 9, 112);
    memset(s->lengths + 256, 7, 24);
    memset(s->lengths + 280, 8, 8);
    make_code(&s->literal, s->lengths, LITERALS);
    memset(s->lengths, 5, DISTANCES);
    make_code(&s->distance, s->lengths, DISTANCES);
    return coded_block(s);
}

/* The lengths of both codes, themselves coded. */
static const char *read_lengths(struct inflate *s, u32 wanted)
{
    for (u32 n = 0; n < wanted;) {
        int symbol = decode(s, &s->literal);
        u32 repeat;
        u8 value = 0;

        if (symbol < 0)
            return s->left || s->held >= CODE_BITS_MAX ? inflate_damaged : inflate_short;
        if (symbol < 16) {
            s->lengths[n++] = (u8)symbol;
            continue;
        }
        if (symbol == 16) {
            if (n == 0)
                return inflate_damaged;
            value = s->lengths[n - 1];
        }
        if (!take_bits(s, symbol == 16 ? 2 : symbol == 17 ? 3 : 7, &repeat))
            return inflate_short;
        repeat += symbol == 18 ? 11 : 3;
        if (repeat > wanted - n)
            return inflate_damaged;
        memset(s->lengths + n, value, repeat);
        n += repeat;
    }
    return 0;
}

static const char *dynamic_block(struct inflate *s)
{
    static const u8 order[] = {16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15};
    u32 literals, distances, codes, value;
    u8 lengths[COUNT_OF(order)] = {0};

    if (!take_bits(s, 5, &literals) || !take_bits(s, 5, &distances) || !take_bits(s, 4, &codes))
        return inflate_short;
    literals += 257;
    distances += 1;
    if (literals > 286 || distances > 30)
        return inflate_damaged;
    for (u32 i = 0; i < codes + 4; i++) {
        if (!take_bits(s, 3, &value))
            return inflate_short;
        lengths[order[i]] = (u8)value;
    }
    if (!make_code(&s->literal, lengths, COUNT_OF(lengths)))
        return inflate_damaged;
    const char *why = read_lengths(s, literals + distances);
    if (why)
        return why;
    if (s->lengths[256] == 0 || !make_code(&s->distance, s->lengths + literals, distances) ||
        !make_code(&s->literal, s->lengths, literals))
        return inflate_damaged;
    return coded_block(s);
}

static const char *stored_block(struct inflate *s)
{
    u32 length, complement;

    s->bits >>= s->held & 7;
    s->held &= ~7u;
    if (!take_bits(s, 16, &length) || !take_bits(s, 16, &complement))
        return inflate_short;
    if (length != (~complement & 0xffff))
        return inflate_damaged;
    for (; length; length--) {
        u32 byte;

        if (s->made == s->room)
            return inflate_no_room;
        if (!take_bits(s, 8, &byte))
            return inflate_short;
        s->out[s->made++ & s->mask] = (u8)byte;
    }
    return 0;
}

static const char *all_blocks(struct inflate *s)
{
    for (;;) {
        u32 last, kind;
        const char *why = inflate_damaged;

        if (!take_bits(s, 1, &last) || !take_bits(s, 2, &kind))
            return inflate_short;
        if (kind == 0)
            why = stored_block(s);
        else if (kind == 1)
            why = fixed_block(s);
        else if (kind == 2)
            why = dynamic_block(s);
        if (why || last)
            return why;
    }
}

const char *inflate(struct inflate *s, const u8 *in, u64 bytes, u8 *out, u64 mask, u64 room)
{
    s->in = in;
    s->left = bytes;
    s->bits = 0;
    s->held = 0;
    s->out = out;
    s->mask = mask;
    s->made = 0;
    s->room = room;
    return all_blocks(s);
}
