/*
 * Logical domain channels: packets, map tables, cookies.
 *
 * Source: sun4v hypervisor API, LDC; the link protocol as Linux and Solaris
 * speak it, unreliable mode.
 */
#ifndef SUN4V_LDC_H
#define SUN4V_LDC_H

#include <sun4v/types.h>

#define LDC_PACKET_BYTES 64
#define LDC_PAYLOAD_BYTES 56

enum ldc_type { LDC_CTRL = 0x01, LDC_DATA = 0x02, LDC_ERR = 0x10 };
enum ldc_stype { LDC_INFO = 0x01, LDC_ACK = 0x02, LDC_NACK = 0x04 };
enum ldc_ctrl { LDC_VER = 0x01, LDC_RTS = 0x02, LDC_RTR = 0x03, LDC_RDX = 0x04 };

#define LDC_CTRL_MASK 0x0f
#define LDC_MODE_UNRELIABLE 1
#define LDC_ENV_LENGTH 0x3f
#define LDC_ENV_START 0x40
#define LDC_ENV_STOP 0x80
#define LDC_VERSION_MAJOR 1
#define LDC_VERSION_MINOR 0

struct ldc_packet {
    u8 type;
    u8 stype;
    u8 ctrl;
    u8 env;
    u32 seqid;
    union {
        u8 payload[LDC_PAYLOAD_BYTES];
        struct {
            u16 major;
            u16 minor;
        } version;
        struct {
            u32 reserved;
            u32 ackid;
        };
    };
};
_Static_assert(sizeof(struct ldc_packet) == LDC_PACKET_BYTES, "a packet is 64 bytes");

/* A map table entry lends a page of 8 KB to the peer. */
struct ldc_map_entry {
    u64 mte;
    u64 revoke;
};

#define MTE_COPY_READ 0x200ul
#define MTE_COPY_WRITE 0x400ul

/* The cookie of a byte in the page that entry `index` lends. */
static inline u64 ldc_cookie(u64 index, u64 offset)
{
    return index << PAGE_SHIFT | offset;
}

/* A cookie on the wire; `bytes` may run on into the entries that follow. */
struct ldc_cookie {
    u64 addr;
    u64 bytes;
};

#endif
