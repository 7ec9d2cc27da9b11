/* The machine description. */
#include "md.h"

#include "bytes.h"

#define HEADER_BYTES 16
#define ELEMENT_BYTES 16
#define TRANSPORT_MAJOR 1

/* One element, as it lies in the block. */
struct element {
    u8 tag;
    u8 name_length;
    u16 reserved;
    u32 name;
    union {
        u64 value;
        struct {
            u32 length;
            u32 offset;
        } data;
    };
};
_Static_assert(sizeof(struct element) == ELEMENT_BYTES, "an element is 16 bytes");

struct header {
    u32 version;
    u32 node_bytes;
    u32 name_bytes;
    u32 data_bytes;
};

static const struct element *element(const struct md *md, u64 index)
{
    return (const struct element *)(md->elements + index * ELEMENT_BYTES);
}

static int named(const struct md *md, const struct element *e, const char *name)
{
    u64 length = text_length(name);

    return e->name_length == length && e->name < md->names_bytes &&
           length < md->names_bytes - e->name &&
           memcmp(md->names + e->name, name, length + 1) == 0;
}

int md_open(struct md *md, const void *block, u64 bytes)
{
    const struct header *header = block;

    if (bytes < HEADER_BYTES || header->version >> 16 != TRANSPORT_MAJOR)
        return 0;
    u64 left = bytes - HEADER_BYTES;
    if (header->node_bytes % ELEMENT_BYTES || header->node_bytes > left)
        return 0;
    left -= header->node_bytes;
    if (header->name_bytes > left || header->data_bytes > left - header->name_bytes)
        return 0;
    md->elements = (const u8 *)block + HEADER_BYTES;
    md->count = header->node_bytes / ELEMENT_BYTES;
    md->names = (const char *)md->elements + header->node_bytes;
    md->names_bytes = header->name_bytes;
    md->data = (const u8 *)md->names + header->name_bytes;
    md->data_bytes = header->data_bytes;
    return 1;
}

int md_is(const struct md *md, u64 node, const char *name)
{
    if (node >= md->count)
        return 0;
    const struct element *e = element(md, node);
    return e->tag == 'N' && named(md, e, name);
}

u64 md_next(const struct md *md, u64 after, const char *name)
{
    for (u64 i = after == MD_NONE ? 0 : after + 1; i < md->count; i++) {
        if (element(md, i)->tag == 0)
            break;
        if (md_is(md, i, name))
            return i;
    }
    return MD_NONE;
}

/* The nth property of that tag and name in a node. */
static const struct element *property(const struct md *md, u64 node, u8 tag, const char *name,
                                      u64 nth)
{
    if (node >= md->count || element(md, node)->tag != 'N')
        return 0;
    for (u64 i = node + 1; i < md->count; i++) {
        const struct element *e = element(md, i);
        if (e->tag == 'E' || e->tag == 'N' || e->tag == 0)
            break;
        if (e->tag == tag && named(md, e, name) && nth-- == 0)
            return e;
    }
    return 0;
}

int md_value(const struct md *md, u64 node, const char *name, u64 *value)
{
    const struct element *e = property(md, node, 'v', name, 0);

    if (e)
        *value = e->value;
    return e != 0;
}

const char *md_string(const struct md *md, u64 node, const char *name)
{
    const struct element *e = property(md, node, 's', name, 0);

    if (!e || e->data.offset >= md->data_bytes || !e->data.length ||
        e->data.length > md->data_bytes - e->data.offset)
        return 0;
    const char *text = (const char *)md->data + e->data.offset;
    return text[e->data.length - 1] == 0 ? text : 0;
}

const u8 *md_data(const struct md *md, u64 node, const char *name, u64 *bytes)
{
    const struct element *e = property(md, node, 'd', name, 0);

    *bytes = 0;
    if (!e || e->data.offset > md->data_bytes || e->data.length > md->data_bytes - e->data.offset)
        return 0;
    *bytes = e->data.length;
    return md->data + e->data.offset;
}

u64 md_arc(const struct md *md, u64 node, const char *name, u64 nth)
{
    const struct element *e = property(md, node, 'a', name, nth);

    return e && e->value < md->count ? e->value : MD_NONE;
}

u64 md_child(const struct md *md, u64 node, const char *name)
{
    u64 child;

    for (u64 n = 0; (child = md_arc(md, node, "fwd", n)) != MD_NONE; n++)
        if (md_is(md, child, name))
            return child;
    return MD_NONE;
}
