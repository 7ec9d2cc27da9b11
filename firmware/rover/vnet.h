/*
 * The virtual network interface: one port, to the switch.
 *
 * Belongs to the network task. Frames that are queued survive a lost session:
 * those that the switch had not taken are offered to the next one.
 */
#ifndef ROVER_VNET_H
#define ROVER_VNET_H

#include <sun4v/types.h>

#include "ldc.h"

#define FRAME_BYTES_MAX 1514

/* Takes up the interface. */
void vnet_attach(const struct ldc_ids *ids, u64 mac, u32 *flag, u64 vcpu);
/* Room for a frame of up to FRAME_BYTES_MAX, its byte 14 aligned to 4; null when
 * the ring is full. The next call gives the same room until vnet_send. */
u8 *vnet_frame(void);
/* Sends what stands in vnet_frame's room. */
void vnet_send(u64 bytes);
/* Takes what arrived: each frame goes to net_frame, sessions to net_link_up. */
void vnet_poll(void);
u64 vnet_wake_at(void);

/* Counters. */
struct vnet_counters {
    u64 sent, received, full, sessions;
};
extern struct vnet_counters vnet_counters;

#endif
