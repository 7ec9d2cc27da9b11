/* The Internet checksum (RFC 1071). */
#include "net.h"

u64 checksum_add(u64 sum, const void *from, u64 bytes)
{
    const u8 *at = from;

    for (; bytes >= 2; bytes -= 2, at += 2)
        sum += *(const u16 *)at;
    if (bytes)
        sum += (u64)*at << 8;
    return sum;
}

u64 checksum_pseudo(u32 from, u32 to, u8 proto, u64 bytes)
{
    return (u64)from + to + proto + bytes;
}

u16 checksum_fold(u64 sum)
{
    while (sum >> 16)
        sum = (sum & 0xffff) + (sum >> 16);
    return (u16)~sum;
}
