/* The domain's devices, from its machine description. */
#include "devices.h"

#include <sun4v/hcall.h>

#include "../common/bytes.h"
#include "../common/md.h"
#include "console.h"
#include "disk.h"
#include "net.h"
#include "panic.h"

#define MD_BYTES_MAX 65536
#define CHANNEL_DEVICES 0x200
#define ADDRESS_DEFAULT "192.168.1.50"

static u8 block[MD_BYTES_MAX] ALIGNED(64);
static struct md md;

void devices_read(void)
{
    u64 bytes;
    u64 status = hv_mach_desc(block, sizeof block, &bytes);

    if (status != HV_EOK || !md_open(&md, block, bytes))
        panic("machine description: status %u, %u bytes", status, bytes);
}

u64 devices_cpus(u64 *ids, u64 room)
{
    u64 count = 0;

    for (u64 node = md_next(&md, MD_NONE, "cpu"); node != MD_NONE && count < room;
         node = md_next(&md, node, "cpu"))
        if (md_value(&md, node, "id", &ids[count]))
            count++;
    return count;
}

u64 devices_stick_hz(void)
{
    u64 hz = 0;

    md_value(&md, md_next(&md, MD_NONE, "platform"), "stick-frequency", &hz);
    return hz;
}

const char *devices_variable(const char *name)
{
    return md_string(&md, md_next(&md, MD_NONE, "variables"), name);
}

u64 devices_number(const char *name, u64 otherwise)
{
    const char *text = devices_variable(name);
    u64 value = 0;

    if (!text || !*text)
        return otherwise;
    for (; *text; text++) {
        if (*text < '0' || *text > '9' || value > 1ul << 40)
            return otherwise;
        value = value * 10 + (u64)(*text - '0');
    }
    return value;
}

static u64 channel_handle(void)
{
    u64 handle = CHANNEL_DEVICES;

    md_value(&md, md_next(&md, MD_NONE, "channel-devices"), "cfg-handle", &handle);
    return handle;
}

/* The endpoint of a device's port; `switch_only`: of the one to the switch. */
static int port_of(u64 device, int switch_only, struct ldc_ids *ids)
{
    u64 port, ignored;

    for (u64 n = 0; (port = md_arc(&md, device, "fwd", n)) != MD_NONE; n++) {
        if (!md_is(&md, port, "virtual-device-port"))
            continue;
        if (switch_only && !md_value(&md, port, "switch-port", &ignored))
            continue;
        u64 endpoint = md_child(&md, port, "channel-endpoint");
        if (endpoint == MD_NONE)
            continue;
        ids->handle = channel_handle();
        return md_value(&md, endpoint, "id", &ids->channel) &&
               md_value(&md, endpoint, "tx-ino", &ids->tx_ino) &&
               md_value(&md, endpoint, "rx-ino", &ids->rx_ino);
    }
    return 0;
}

/* The next virtual device of that name after `node`. */
static u64 device_after(u64 node, const char *name)
{
    while ((node = md_next(&md, node, "virtual-device")) != MD_NONE) {
        const char *is = md_string(&md, node, "name");
        if (is && text_equal(is, name))
            return node;
    }
    return MD_NONE;
}

/* Disks in ascending order of their number, whatever the description's order. */
static void attach_disks(void)
{
    struct ldc_ids ids;
    u64 number;

    for (u64 wanted = 0; wanted < DISKS_MAX; wanted++)
        for (u64 node = device_after(MD_NONE, "disk"); node != MD_NONE;
             node = device_after(node, "disk"))
            if (md_value(&md, node, "cfg-handle", &number) && number == wanted &&
                port_of(node, 0, &ids))
                disk_attach(number, &ids);
}

static void attach_net(void)
{
    const char *text = devices_variable("ip-address");
    u32 address = net_parse_address(text ? text : ADDRESS_DEFAULT);
    u64 node = device_after(MD_NONE, "network"), mac;
    struct ldc_ids ids;

    if (node != MD_NONE && md_value(&md, node, "local-mac-address", &mac) &&
        port_of(node, 1, &ids)) {
        console_print("net: %i, mac %x, channel %u\n", (u64)address, mac, ids.channel);
        net_start(&ids, mac, address);
    } else {
        console_print("net: no interface\n");
        net_start(0, 0, 0);
    }
}

void devices_attach(void)
{
    attach_disks();
    attach_net();
}
