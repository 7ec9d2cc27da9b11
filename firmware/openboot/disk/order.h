/* Numbers as they lie on a disk, in either order of bytes. */
#ifndef OPENBOOT_DISK_ORDER_H
#define OPENBOOT_DISK_ORDER_H

#include <sun4v/types.h>

static inline u32 le16(const u8 *at)
{
    return at[0] | (u32)at[1] << 8;
}

static inline u32 le32(const u8 *at)
{
    return le16(at) | le16(at + 2) << 16;
}

static inline u64 le64(const u8 *at)
{
    return le32(at) | (u64)le32(at + 4) << 32;
}

static inline u32 be16(const u8 *at)
{
    return (u32)at[0] << 8 | at[1];
}

static inline u32 be32(const u8 *at)
{
    return be16(at) << 16 | be16(at + 2);
}

#endif
