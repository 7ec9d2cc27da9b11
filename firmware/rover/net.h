/*
 * The network: Ethernet, ARP, IPv4, ICMP echo, UDP, and the task that runs it
 * together with everything that talks over it.
 *
 * All of it belongs to one task, so nothing here takes a lock. Addresses are
 * host integers, which on this machine is also their order on the wire.
 */
#ifndef ROVER_NET_H
#define ROVER_NET_H

#include <sun4v/types.h>

#include "ldc.h"

#define IP_PROTO_ICMP 1
#define IP_PROTO_TCP 6
#define IP_PROTO_UDP 17

/* Payload bytes of the largest IP packet that we send. */
#define IP_PAYLOAD_MAX 1480

struct mac {
    u8 byte[6];
};

extern u32 net_address;
extern struct mac net_mac;

/* Starts the task and what it serves; `ids` is null without an interface. */
void net_start(const struct ldc_ids *ids, u64 mac, u32 address);

/* From the interface: a frame arrived; a session with a switch began. */
void net_frame(const u8 *frame, u64 bytes);
void net_link_up(void);

/* Adds to a ones' complement sum; `from` is 2-aligned, and odd lengths are
 * padded with a zero. */
u64 checksum_add(u64 sum, const void *from, u64 bytes);
/* The sum of TCP's and UDP's pseudo header. */
u64 checksum_pseudo(u32 from, u32 to, u8 proto, u64 bytes);
/* The checksum that goes into a header. */
u16 checksum_fold(u64 sum);

/* Who has `address`? False when not known; then it asks, once a second. */
int arp_lookup(u32 address, struct mac *mac);
void arp_learn(u32 address, const struct mac *mac);
void arp_input(const u8 *frame, u64 bytes);
/* Tells everyone where we are. */
void arp_announce(void);

/* Room for the payload of a packet to `to`, aligned to 4; null when the address
 * is not known yet or the interface is full. */
u8 *ip_begin(u32 to, u8 proto);
void ip_send(u64 payload_bytes);
void ip_input(const u8 *frame, u64 bytes);
/* Room for a UDP payload, aligned to 4; null as ip_begin. */
u8 *udp_begin(u32 to, u16 from_port, u16 to_port);
void udp_send(u64 bytes);

/* An address as "192.168.1.50"; 0 when it is none. */
u32 net_parse_address(const char *text);

#endif
