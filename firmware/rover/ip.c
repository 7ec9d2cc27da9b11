/* IPv4 (RFC 791) without fragments or routes, ICMP echo (RFC 792), UDP (RFC 768). */
#include "../common/bytes.h"
#include "ethernet.h"
#include "net.h"
#include "tcp.h"
#include "vnet.h"

#define IP_BYTES 20
#define IP_VERSION_4_WORDS_5 0x45
#define IP_DONT_FRAGMENT 0x4000
#define IP_FRAGMENT_MASK 0x3fff
#define IP_TTL 64
#define NETMASK 0xffffff00u

#define ICMP_BYTES 8
enum { ICMP_ECHO_REPLY = 0, ICMP_ECHO = 8 };

#define UDP_BYTES 8

struct ip {
    u8 version_words;
    u8 tos;
    u16 length;
    u16 ident;
    u16 fragment;
    u8 ttl;
    u8 proto;
    u16 checksum;
    u32 from;
    u32 to;
};

struct icmp {
    u8 type;
    u8 code;
    u16 checksum;
};

struct udp {
    u16 from;
    u16 to;
    u16 length;
    u16 checksum;
};

static u16 next_ident;
/* The packet that ip_begin made room for. */
static struct ip *begun;

u8 *ip_begin(u32 to, u8 proto)
{
    struct mac mac;

    /* Without a gateway, only neighbours can be reached. */
    if (!net_address || (to ^ net_address) & NETMASK || !arp_lookup(to, &mac))
        return 0;
    u8 *frame = vnet_frame();
    if (!frame)
        return 0;
    begun = (struct ip *)ethernet_begin(frame, &mac, ETHERTYPE_IP);
    *begun = (struct ip){
        .version_words = IP_VERSION_4_WORDS_5,
        .ident = next_ident++,
        .fragment = IP_DONT_FRAGMENT,
        .ttl = IP_TTL,
        .proto = proto,
        .from = net_address,
        .to = to,
    };
    return (u8 *)begun + IP_BYTES;
}

void ip_send(u64 payload_bytes)
{
    begun->length = (u16)(IP_BYTES + payload_bytes);
    begun->checksum = checksum_fold(checksum_add(0, begun, IP_BYTES));
    vnet_send(ETHERNET_BYTES + begun->length);
}

u8 *udp_begin(u32 to, u16 from_port, u16 to_port)
{
    struct udp *udp = (struct udp *)ip_begin(to, IP_PROTO_UDP);

    if (!udp)
        return 0;
    udp->from = from_port;
    udp->to = to_port;
    return (u8 *)udp + UDP_BYTES;
}

void udp_send(u64 bytes)
{
    struct udp *udp = (struct udp *)((u8 *)begun + IP_BYTES);

    udp->length = (u16)(UDP_BYTES + bytes);
    udp->checksum = 0;
    u64 sum = checksum_pseudo(begun->from, begun->to, IP_PROTO_UDP, udp->length);
    u16 checksum = checksum_fold(checksum_add(sum, udp, udp->length));
    udp->checksum = checksum ? checksum : 0xffff;
    ip_send(udp->length);
}

static void icmp_input(u32 from, const u8 *packet, u64 bytes)
{
    const struct icmp *asked = (const struct icmp *)packet;

    if (bytes < ICMP_BYTES || bytes > IP_PAYLOAD_MAX || asked->type != ICMP_ECHO ||
        asked->code != 0 || checksum_fold(checksum_add(0, packet, bytes)) != 0)
        return;
    struct icmp *reply = (struct icmp *)ip_begin(from, IP_PROTO_ICMP);
    if (!reply)
        return;
    memcpy(reply, packet, bytes);
    reply->type = ICMP_ECHO_REPLY;
    reply->checksum = 0;
    reply->checksum = checksum_fold(checksum_add(0, reply, bytes));
    ip_send(bytes);
}

void ip_input(const u8 *frame, u64 bytes)
{
    const struct ip *ip = (const struct ip *)(frame + ETHERNET_BYTES);

    if (bytes < ETHERNET_BYTES + IP_BYTES)
        return;
    bytes -= ETHERNET_BYTES;
    u64 header = (ip->version_words & 15) * 4ul;
    if (ip->version_words >> 4 != 4 || header < IP_BYTES || ip->length < header ||
        ip->length > bytes || checksum_fold(checksum_add(0, ip, header)) != 0 ||
        ip->to != net_address || ip->fragment & IP_FRAGMENT_MASK)
        return;
    /* A neighbour's frame says where to answer. */
    if (!((ip->from ^ net_address) & NETMASK)) {
        struct mac mac;
        memcpy(&mac, frame + 6, sizeof mac);
        arp_learn(ip->from, &mac);
    }
    const u8 *payload = (const u8 *)ip + header;
    u64 length = ip->length - header;
    if (ip->proto == IP_PROTO_ICMP)
        icmp_input(ip->from, payload, length);
    else if (ip->proto == IP_PROTO_TCP)
        tcp_input(ip->from, payload, length);
}
