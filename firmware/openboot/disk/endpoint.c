/* Channels of the machine description. */
#include "endpoint.h"

#include <sun4v/hcall.h>

#include "../../common/bytes.h"
#include "../heap.h"

#define DESCRIPTION_BYTES_MAX (1ul << 20)

const char *description_read(struct md *md, void **block)
{
    u64 bytes = hv_call(HV_MACH_DESC, 0, 0, 0, 0, 0).ret1;

    *block = 0;
    if (!bytes || bytes > DESCRIPTION_BYTES_MAX)
        return "no machine description";
    bytes = (bytes + 15) & ~15ul;
    *block = heap_take(bytes);
    if (!*block)
        return "no memory for the machine description";
    struct hv_ret r = hv_call(HV_MACH_DESC, real_address(*block), bytes, 0, 0, 0);
    if (r.status == HV_EOK && r.ret1 <= bytes && md_open(md, *block, r.ret1))
        return 0;
    heap_give(*block);
    *block = 0;
    return "no machine description";
}

/* The endpoint below a port. */
static int endpoint_below(const struct md *md, u64 port, u64 *channel)
{
    u64 endpoint = md_child(md, port, "channel-endpoint");

    return endpoint != MD_NONE && md_value(md, endpoint, "id", channel);
}

static u64 disk_node(const struct md *md, u64 number)
{
    u64 node = MD_NONE, is;

    while ((node = md_next(md, node, "virtual-device")) != MD_NONE) {
        const char *name = md_string(md, node, "name");

        if (name && text_equal(name, "disk") && md_value(md, node, "cfg-handle", &is) &&
            is == number)
            return node;
    }
    return MD_NONE;
}

const char *endpoint_of_disk(u64 number, u64 *channel)
{
    struct md md;
    void *block;
    const char *why = description_read(&md, &block);

    if (why)
        return why;
    why = "the machine description has no such disk";
    u64 node = disk_node(&md, number), port;
    if (node != MD_NONE)
        why = "the machine description has no channel of the disk";
    for (u64 n = 0; node != MD_NONE && (port = md_arc(&md, node, "fwd", n)) != MD_NONE; n++)
        if (md_is(&md, port, "virtual-device-port") && endpoint_below(&md, port, channel)) {
            why = 0;
            break;
        }
    heap_give(block);
    return why;
}

int endpoint_of_services(u64 *channel)
{
    struct md md;
    void *block;
    int found = 0;

    if (description_read(&md, &block))
        return 0;
    u64 node = md_next(&md, MD_NONE, "openboot"), port;
    for (u64 n = 0; node != MD_NONE && (port = md_arc(&md, node, "fwd", n)) != MD_NONE; n++)
        if (md_is(&md, port, "domain-services-port") && endpoint_below(&md, port, channel)) {
            found = 1;
            break;
        }
    heap_give(block);
    return found;
}
