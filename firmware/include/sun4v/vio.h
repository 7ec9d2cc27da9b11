/*
 * Virtual I/O: the messages of virtual disks and virtual networks, as they lie
 * in a packet's payload.
 *
 * Source: VIO protocol as in Linux asm/vio.h and illumos vio_mailbox.h,
 * vdsk_mailbox.h, vnet_mailbox.h.
 */
#ifndef SUN4V_VIO_H
#define SUN4V_VIO_H

#include <sun4v/ldc.h>
#include <sun4v/types.h>

enum vio_type { VIO_CTRL = 0x01, VIO_DATA = 0x02, VIO_ERR = 0x04 };
enum vio_stype { VIO_INFO = 0x01, VIO_ACK = 0x02, VIO_NACK = 0x04 };
enum vio_envelope {
    VIO_VER = 0x0001,
    VIO_ATTR = 0x0002,
    VIO_DRING_REG = 0x0003,
    VIO_DRING_UNREG = 0x0004,
    VIO_RDX = 0x0005,
    VIO_DRING = 0x0042,
};
enum vio_class { VIO_NETWORK = 1, VIO_NETWORK_SWITCH = 2, VIO_DISK = 3, VIO_DISK_SERVER = 4 };

struct vio_tag {
    u8 type;
    u8 stype;
    u16 envelope;
    u32 sid;
};

struct vio_ver {
    struct vio_tag tag;
    u16 major;
    u16 minor;
    u8 class;
    u8 pad[43];
};

#define VIO_RING_TX 1

struct vio_dring_reg {
    struct vio_tag tag;
    u64 ident;
    u32 descriptors;
    u32 descriptor_bytes;
    u16 options;
    u16 reserved;
    u32 cookies;
    struct ldc_cookie cookie;
};

struct vio_rdx {
    struct vio_tag tag;
    u8 pad[48];
};

enum vio_ring_state { VIO_RING_ACTIVE = 1, VIO_RING_STOPPED = 2 };

struct vio_dring_data {
    struct vio_tag tag;
    u64 seq;
    u64 ident;
    u32 start;
    s32 end; /* -1: as long as descriptors are ready */
    u8 state;
    u8 pad[23];
};

/* A descriptor's first bytes. */
enum vio_descriptor_state { VIO_FREE = 1, VIO_READY = 2, VIO_ACCEPTED = 3, VIO_DONE = 4 };

struct vio_descriptor {
    u8 state;
    u8 ack;
    u8 pad[6];
};

/* --- virtual disk --- */

#define VDISK_BLOCK_BYTES 512
#define VDISK_XFER_DRING 3
#define VDISK_WHOLE 0xff /* no slice */

enum vdisk_operation { VDISK_READ = 1, VDISK_WRITE = 2, VDISK_FLUSH = 3 };

struct vdisk_attr {
    struct vio_tag tag;
    u8 xfer_mode;
    u8 disk_type;
    u8 media;
    u8 reserved;
    u32 block_bytes;
    u64 operations;
    u64 blocks;
    u64 transfer_blocks_max;
    u32 physical_block_bytes;
    u8 pad[12];
};

struct vdisk_descriptor {
    struct vio_descriptor header;
    u64 request;
    u8 operation;
    u8 slice;
    u16 reserved;
    u32 status;
    u64 block;
    u64 bytes;
    u32 cookies;
    u32 reserved2;
    struct ldc_cookie cookie;
};

/* --- virtual network --- */

#define VNET_ADDR_MAC 1
#define VNET_XFER_DRING 3     /* before 1.2 */
#define VNET_XFER_DRING_BIT 4 /* from 1.2 on */
#define VNET_OPTION_TX 1      /* from 1.6 on */
#define VNET_LEAD_BYTES 6     /* before a frame in its buffer */
#define VNET_FRAME_MAX 1518
#define VNET_FRAME_MIN 60

struct vnet_attr {
    struct vio_tag tag;
    u8 xfer_mode;
    u8 addr_type;
    u16 ack_frequency;
    u8 physlink_update;
    u8 options;
    u16 reserved;
    u64 addr;
    u64 mtu;
    u8 pad[24];
};

struct vnet_descriptor {
    struct vio_descriptor header;
    u32 bytes;
    u32 cookies;
    struct ldc_cookie cookie[2];
};

_Static_assert(sizeof(struct vio_ver) == 56, "control messages are 56 bytes");
_Static_assert(sizeof(struct vio_dring_reg) == 48, "");
_Static_assert(sizeof(struct vio_rdx) == 56, "");
_Static_assert(sizeof(struct vio_dring_data) == 56, "");
_Static_assert(sizeof(struct vdisk_attr) == 56, "");
_Static_assert(sizeof(struct vdisk_descriptor) == 64, "");
_Static_assert(sizeof(struct vnet_attr) == 56, "");
_Static_assert(sizeof(struct vnet_descriptor) == 48, "");

#endif
