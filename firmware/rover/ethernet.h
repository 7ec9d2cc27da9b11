/* The Ethernet header. */
#ifndef ROVER_ETHERNET_H
#define ROVER_ETHERNET_H

#include "../common/bytes.h"
#include "net.h"

#define ETHERNET_BYTES 14
#define ETHERTYPE_IP 0x0800
#define ETHERTYPE_ARP 0x0806

/* Writes the header; where the payload goes. */
static inline u8 *ethernet_begin(u8 *frame, const struct mac *to, u16 type)
{
    memcpy(frame, to, 6);
    memcpy(frame + 6, &net_mac, 6);
    frame[12] = (u8)(type >> 8);
    frame[13] = (u8)type;
    return frame + ETHERNET_BYTES;
}

#endif
