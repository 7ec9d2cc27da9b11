/* Copying, filling and comparing, eight bytes at a time where both sides allow. */
#include "bytes.h"

static int together(const void *a, const void *b)
{
    return (((u64)a ^ (u64)b) & 7) == 0;
}

void *memcpy(void *to, const void *from, usize bytes)
{
    u8 *d = to;
    const u8 *s = from;

    if (together(d, s)) {
        for (; bytes && ((u64)d & 7); bytes--)
            *d++ = *s++;
        for (; bytes >= 32; bytes -= 32, d += 32, s += 32) {
            u64 a = ((const u64 *)s)[0], b = ((const u64 *)s)[1];
            u64 c = ((const u64 *)s)[2], e = ((const u64 *)s)[3];
            ((u64 *)d)[0] = a;
            ((u64 *)d)[1] = b;
            ((u64 *)d)[2] = c;
            ((u64 *)d)[3] = e;
        }
        for (; bytes >= 8; bytes -= 8, d += 8, s += 8)
            *(u64 *)d = *(const u64 *)s;
    }
    while (bytes--)
        *d++ = *s++;
    return to;
}

void *memmove(void *to, const void *from, usize bytes)
{
    u8 *d = to;
    const u8 *s = from;

    if ((u64)d - (u64)s >= bytes)
        return memcpy(to, from, bytes);
    while (bytes--)
        d[bytes] = s[bytes];
    return to;
}

void *memset(void *to, int value, usize bytes)
{
    u8 *d = to;
    u64 word = (u8)value * 0x0101010101010101ul;

    for (; bytes && ((u64)d & 7); bytes--)
        *d++ = (u8)value;
    for (; bytes >= 32; bytes -= 32, d += 32) {
        ((u64 *)d)[0] = word;
        ((u64 *)d)[1] = word;
        ((u64 *)d)[2] = word;
        ((u64 *)d)[3] = word;
    }
    while (bytes--)
        *d++ = (u8)value;
    return to;
}

int memcmp(const void *left, const void *right, usize bytes)
{
    const u8 *l = left, *r = right;

    for (; bytes; bytes--, l++, r++)
        if (*l != *r)
            return *l - *r;
    return 0;
}

usize text_length(const char *text)
{
    usize n = 0;

    while (text[n])
        n++;
    return n;
}

int text_equal(const char *left, const char *right)
{
    while (*left && *left == *right) {
        left++;
        right++;
    }
    return *left == *right;
}
