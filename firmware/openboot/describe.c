/*
 * From the machine description to the device tree.
 *
 * Source: what Linux, OpenBSD and HelenOS look for: Linux's prom_*.c, of_device_*.c,
 * mdesc.c; OpenBSD's autoconf.c, vbus.c; HelenOS's boot loader.
 */
#include "describe.h"

#include <sun4v/hcall.h>

#include "../common/bytes.h"
#include "../common/format.h"
#include "heap.h"
#include "instance.h"
#include "map.h"
#include "memory.h"
#include "ram.h"
#include "tree.h"

#define VERSION "OBP 4.33.0 ldomlab"
#define INO_SHIFT_MASK 0xff
#define INTERRUPTS_MAX 32

struct md md;

const char *md_read(void)
{
    u64 bytes = 0, status;

    hv_mach_desc((void *)0, 0, &bytes); /* says how long it is */
    if (!bytes || bytes > (1ul << 20))
        return "the hypervisor gives no machine description";
    void *block = heap_pages(bytes);
    if (!block)
        return "the machine description does not fit";
    status = hv_mach_desc(block, bytes, &bytes);
    if (status != HV_EOK || !md_open(&md, block, bytes))
        return "the machine description cannot be read";
    return 0;
}

static u64 value_of(u64 node, const char *name, u64 otherwise)
{
    u64 value;

    return md_value(&md, node, name, &value) ? value : otherwise;
}

/* An address of a network interface, as property. */
static void prop_mac(struct node *node, const char *name, u64 number)
{
    u8 mac[6];

    for (int i = 0; i < 6; i++)
        mac[i] = (u8)(number >> (40 - 8 * i));
    prop_set(node, name, mac, sizeof(mac));
}

/* "@c0" and the like: a number as the unit of a node. */
static struct node *numbered(struct node *parent, const char *name, u64 number)
{
    char unit[20];
    struct line line = line_in(unit, sizeof(unit) - 1);

    line_hex(&line, number);
    unit[line.length] = 0;
    return node_new(parent, name, unit);
}

static void root(u64 platform)
{
    struct node *node = node_new(0, "", "");
    const char *name = md_string(&md, platform, "name");
    const char *banner = md_string(&md, platform, "banner-name");
    u64 mac = value_of(platform, "mac-address", 0);
    u32 hostid = (u32)value_of(platform, "hostid", 0);
    u8 idprom[32] = {0x01, (u8)(hostid >> 24)};

    prop_text(node, "name", name ? name : "SUNW,sun4v");
    prop_text(node, "banner-name", banner ? banner : "sun4v");
    prop_text(node, "model", banner ? banner : "sun4v");
    prop_text(node, "compatible", "sun4v");
    prop_text(node, "device_type", "sun4v");
    prop_u32(node, "#address-cells", 2);
    prop_u32(node, "#size-cells", 2);
    prop_u32(node, "stick-frequency", (u32)value_of(platform, "stick-frequency", 0));
    prop_u32(node, "clock-frequency", (u32)value_of(platform, "stick-frequency", 0));
    for (int i = 0; i < 6; i++)
        idprom[2 + i] = (u8)(mac >> (40 - 8 * i));
    for (int i = 0; i < 3; i++)
        idprom[12 + i] = (u8)(hostid >> (16 - 8 * i));
    for (int i = 0; i < 15; i++)
        idprom[15] ^= idprom[i];
    prop_set(node, "idprom", idprom, sizeof(idprom));
}

static void processors(void)
{
    for (u64 cpu = md_next(&md, MD_NONE, "cpu"); cpu != MD_NONE; cpu = md_next(&md, cpu, "cpu")) {
        u32 id = (u32)value_of(cpu, "id", ~0u);
        if (id >= 0x10000)
            continue;
        struct node *node = numbered(node_root(), "cpu", id);
        u32 reg[4] = {0xc0000000u + id, 0, 0, 0};
        if (!node)
            return;
        prop_text(node, "device_type", "cpu");
        prop_text(node, "compatible", "SUNW,UltraSPARC-T2");
        prop_set(node, "reg", reg, sizeof(reg));
        prop_u32(node, "cpuid", id);
        prop_u32(node, "clock-frequency", (u32)value_of(cpu, "clock-frequency", 0));
        prop_u32(node, "icache-size", 16 << 10);
        prop_u32(node, "icache-line-size", 32);
        prop_u32(node, "icache-associativity", 8);
        prop_u32(node, "dcache-size", 8 << 10);
        prop_u32(node, "dcache-line-size", 16);
        prop_u32(node, "dcache-associativity", 4);
        prop_u32(node, "ecache-size", 4 << 20);
        prop_u32(node, "ecache-line-size", 64);
        prop_u32(node, "ecache-associativity", 16);
    }
}

/* One row of an interrupt map: who asks with what; the device's own number. */
struct route {
    u32 unit, interrupt, parent, ino;
};

static struct route routes[INTERRUPTS_MAX];
static u32 route_count;

static void route(const struct node *bus, u64 unit, u64 interrupt, u64 ino)
{
    if (route_count < INTERRUPTS_MAX)
        routes[route_count++] =
            (struct route){(u32)unit, (u32)interrupt, bus->phandle, (u32)ino};
}

/* Interrupt numbers of a device: a number, or a block of them. */
static u64 inos_of(u64 device, u64 *inos, u64 most)
{
    u64 bytes, n = 0;
    const u8 *data = md_data(&md, device, "ino", &bytes);

    for (; data && n < most && 8 * (n + 1) <= bytes; n++) {
        inos[n] = 0;
        for (int i = 0; i < 8; i++)
            inos[n] = inos[n] << 8 | data[8 * n + (u64)i];
    }
    if (!n && md_value(&md, device, "ino", inos))
        n = 1;
    return n;
}

static void device(struct node *bus, u64 from, const char *name)
{
    u64 handle = value_of(from, "cfg-handle", 0), inos[16];
    struct node *node = numbered(bus, name, handle);
    u64 bytes, count = inos_of(from, inos, COUNT_OF(inos));
    const u8 *compatible = md_data(&md, from, "compatible", &bytes);
    const char *type = md_string(&md, from, "device-type");
    u32 interrupts[16];

    if (!node)
        return;
    prop_u32(node, "reg", (u32)handle);
    if (type)
        prop_text(node, "device_type", type);
    if (compatible)
        prop_set(node, "compatible", compatible, (u32)bytes);
    if (text_equal(name, "console") || text_equal(name, "ncp") || text_equal(name, "n2cp")) {
        for (u64 i = 0; i < count; i++) {
            interrupts[i] = (u32)i + 1;
            route(bus, handle, i + 1, inos[i]);
        }
        prop_set(node, "interrupts", interrupts, (u32)count * 4);
    }
    if (text_equal(name, "console"))
        instance_set_console(node);
}

static void channel_device(struct node *bus, u64 from, const char *name)
{
    u64 handle = value_of(from, "cfg-handle", 0), bytes, mac, port = md_child(&md, from, "virtual-device-port");
    struct node *node = numbered(bus, name, handle);
    const u8 *compatible = md_data(&md, from, "compatible", &bytes);
    const char *type = md_string(&md, from, "device-type");
    u64 end = port == MD_NONE ? MD_NONE : md_arc(&md, port, "fwd", 0);

    if (!node)
        return;
    prop_u32(node, "reg", (u32)handle);
    if (type)
        prop_text(node, "device_type", type);
    if (compatible)
        prop_set(node, "compatible", compatible, (u32)bytes);
    if (end != MD_NONE) {
        u32 interrupts[2] = {(u32)value_of(end, "tx-ino", 0), (u32)value_of(end, "rx-ino", 0)};
        prop_set(node, "interrupts", interrupts, sizeof(interrupts));
        prop_u32(node, "channel#", (u32)value_of(end, "id", 0));
    }
    if (md_value(&md, from, "local-mac-address", &mac))
        prop_mac(node, "local-mac-address", mac);
    if (text_equal(name, "network")) {
        prop_u32(node, "max-frame-size", (u32)value_of(from, "mtu", 1500) + 18);
        prop_u32(node, "address-bits", 48);
    }
}

static void virtual_devices(void)
{
    u64 from = md_next(&md, MD_NONE, "virtual-devices"), child;
    u64 handle = from == MD_NONE ? 0x100 : value_of(from, "cfg-handle", 0x100);
    struct node *bus = numbered(node_root(), "virtual-devices", handle), *node;
    u32 reg[4] = {0xc0000000u + (u32)handle, 0, 0, 0}, mask[2] = {0xfff, INO_SHIFT_MASK};

    if (!bus)
        return;
    prop_text(bus, "device_type", "virtual-devices");
    prop_text(bus, "compatible", "SUNW,sun4v-virtual-devices");
    prop_set(bus, "reg", reg, sizeof(reg));
    prop_u32(bus, "#address-cells", 1);
    prop_u32(bus, "#size-cells", 0);
    prop_u32(bus, "#interrupt-cells", 1);
    prop_set(bus, "interrupt-controller", "", 0);
    for (u64 nth = 0; from != MD_NONE && (child = md_arc(&md, from, "fwd", nth)) != MD_NONE; nth++) {
        const char *name = md_string(&md, child, "name");
        if (name && md_is(&md, child, "virtual-device"))
            device(bus, child, name);
    }
    /* What every guest of this hypervisor has, and no description tells of. */
    node = numbered(bus, "rtc", 5);
    prop_u32(node, "reg", 5);
    prop_text(node, "compatible", "SUNW,sun4v-rtc");
    node = numbered(bus, "random-number-generator", 0xe);
    prop_u32(node, "reg", 0xe);
    prop_text(node, "compatible", "SUNW,n2-rng");
    prop_set(bus, "interrupt-map-mask", mask, sizeof(mask));
    prop_set(bus, "interrupt-map", routes, route_count * (u32)sizeof(struct route));
    from = md_next(&md, MD_NONE, "channel-devices");
    if (from == MD_NONE)
        return;
    handle = value_of(from, "cfg-handle", 0x200);
    node = numbered(bus, "channel-devices", handle);
    prop_u32(node, "reg", (u32)handle);
    prop_text(node, "device_type", "channel-devices");
    prop_text(node, "compatible", "SUNW,sun4v-channel-devices");
    prop_u32(node, "#address-cells", 1);
    prop_u32(node, "#size-cells", 0);
    prop_u32(node, "#interrupt-cells", 1);
    for (u64 nth = 0; (child = md_arc(&md, from, "fwd", nth)) != MD_NONE; nth++) {
        const char *name = md_string(&md, child, "name");
        if (name && (text_equal(name, "disk") || text_equal(name, "network")))
            channel_device(node, child, name);
    }
}

/* The nth device of a kind has an alias: disk0, net0; the first also without number. */
static void alias(struct node *aliases, const char *kind, const char *name)
{
    struct node *bus = tree_find("/virtual-devices/channel-devices", 0, 0);
    char path[PATH_BYTES], key[16];
    u64 n = 0;

    for (struct node *node = bus ? bus->child : 0; node; node = node->peer) {
        if (!text_equal(node->name, kind))
            continue;
        struct line line = line_in(key, sizeof(key) - 1);
        tree_path(node, path, sizeof(path));
        line_format(&line, "%s%u", name, n++);
        key[line.length] = 0;
        prop_text(aliases, key, path);
        if (n == 1)
            prop_text(aliases, name, path);
    }
}

const char *describe(void)
{
    u64 platform = md_next(&md, MD_NONE, "platform");
    struct node *node, *chosen;

    if (platform == MD_NONE)
        return "the machine description has no platform";
    root(platform);
    node_new(node_root(), "packages", "");
    chosen = node_new(node_root(), "chosen", "");
    node = node_new(node_root(), "openprom", "");
    prop_text(node, "model", "ldomlab,4.33.0");
    prop_text(node, "version", VERSION);
    prop_set(node, "relative-addressing", "", 0);
    node_new(node_root(), "options", "");
    node_new(node_root(), "aliases", "");
    node = node_new(node_root(), "memory", "m0,8000000");
    prop_text(node, "device_type", "memory");
    instance_set_memory(node);
    ram_publish();
    node = node_new(node_root(), "virtual-memory", "");
    prop_u32(node, "page-size", PAGE_BYTES);
    instance_set_mmu(node);
    map_publish();
    virtual_devices();
    processors();
    instance_publish(chosen);
    prop_text(chosen, "bootargs", "");
    prop_text(chosen, "bootpath", "");
    node = tree_find("/aliases", 0, 0);
    alias(node, "disk", "disk");
    alias(node, "network", "net");
    prop_text(node, "virtual-console", "/virtual-devices/console@1");
    return tree_find("/virtual-devices/console", 0, 0) ? 0 : "there is no console";
}
