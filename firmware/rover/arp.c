/* Ethernet addresses of our neighbours (RFC 826). */
#include "../common/bytes.h"
#include "clock.h"
#include "ethernet.h"
#include "net.h"
#include "vnet.h"

#define NEIGHBOURS 16
#define ASK_MS 1000
#define ARP_BYTES 28

enum { ARP_REQUEST = 1, ARP_REPLY = 2 };

struct neighbour {
    u32 address;
    u32 known;
    struct mac mac;
    u64 asked; /* %stick */
};

/* An ARP packet's fields after the Ethernet header, as they lie. */
struct arp {
    u16 hardware;
    u16 protocol;
    u8 hardware_bytes;
    u8 protocol_bytes;
    u16 operation;
    u8 sender_mac[6];
    u8 sender_ip[4];
    u8 target_mac[6];
    u8 target_ip[4];
};
_Static_assert(sizeof(struct arp) == ARP_BYTES, "");

static struct neighbour neighbours[NEIGHBOURS];
static u64 next_victim;

static const struct mac broadcast = {{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}};

static struct neighbour *find(u32 address)
{
    for (u64 i = 0; i < NEIGHBOURS; i++)
        if (neighbours[i].address == address)
            return &neighbours[i];
    struct neighbour *n = &neighbours[next_victim++ % NEIGHBOURS];
    *n = (struct neighbour){.address = address};
    return n;
}

static void send(u16 operation, const struct mac *to, u32 target_ip, const struct mac *target_mac)
{
    u8 *frame = vnet_frame();

    if (!frame)
        return;
    struct arp *arp = (struct arp *)ethernet_begin(frame, to, ETHERTYPE_ARP);
    arp->hardware = 1;
    arp->protocol = ETHERTYPE_IP;
    arp->hardware_bytes = 6;
    arp->protocol_bytes = 4;
    arp->operation = operation;
    memcpy(arp->sender_mac, &net_mac, 6);
    memcpy(arp->sender_ip, &net_address, 4);
    memcpy(arp->target_mac, target_mac, 6);
    memcpy(arp->target_ip, &target_ip, 4);
    vnet_send(ETHERNET_BYTES + ARP_BYTES);
}

int arp_lookup(u32 address, struct mac *mac)
{
    static const struct mac nobody;
    struct neighbour *n = find(address);
    u64 now = stick();

    if (n->known) {
        *mac = n->mac;
        return 1;
    }
    if (!n->asked || now - n->asked >= ticks_of_ms(ASK_MS)) {
        n->asked = now;
        send(ARP_REQUEST, &broadcast, address, &nobody);
    }
    return 0;
}

void arp_learn(u32 address, const struct mac *mac)
{
    struct neighbour *n = find(address);

    n->mac = *mac;
    n->known = 1;
}

void arp_announce(void)
{
    if (net_address)
        send(ARP_REQUEST, &broadcast, net_address, &broadcast);
}

void arp_input(const u8 *frame, u64 bytes)
{
    const struct arp *arp = (const struct arp *)(frame + ETHERNET_BYTES);
    u32 sender, target;

    if (bytes < ETHERNET_BYTES + ARP_BYTES || arp->hardware != 1 ||
        arp->protocol != ETHERTYPE_IP || arp->hardware_bytes != 6 || arp->protocol_bytes != 4)
        return;
    memcpy(&sender, arp->sender_ip, 4);
    memcpy(&target, arp->target_ip, 4);
    if (sender == 0 || sender == net_address)
        return;
    struct mac mac;
    memcpy(&mac, arp->sender_mac, 6);
    if (target == net_address) {
        arp_learn(sender, &mac);
        if (arp->operation == ARP_REQUEST)
            send(ARP_REPLY, &mac, sender, &mac);
        return;
    }
    /* Somebody else's business, but news of one we know. */
    for (u64 i = 0; i < NEIGHBOURS; i++)
        if (neighbours[i].address == sender && neighbours[i].known)
            neighbours[i].mac = mac;
}
