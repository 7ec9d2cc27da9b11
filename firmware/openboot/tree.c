/* The device tree. */
#include "tree.h"

#include "../common/bytes.h"
#include "heap.h"

#define NODES_MAX 512

static struct node *nodes[NODES_MAX];
static u32 node_count;

static void copy_name(char *to, const char *from, usize room)
{
    usize n = text_length(from);

    if (n > room - 1)
        n = room - 1;
    memcpy(to, from, n);
    to[n] = 0;
}

struct node *node_new(struct node *parent, const char *name, const char *unit)
{
    struct node *node = node_count < NODES_MAX ? heap_take(sizeof(*node)) : 0;

    if (!node)
        return 0;
    nodes[node_count++] = node;
    node->phandle = node_count;
    copy_name(node->name, name, sizeof(node->name));
    copy_name(node->unit, unit, sizeof(node->unit));
    node->parent = parent;
    if (parent) {
        struct node **link = &parent->child;
        while (*link)
            link = &(*link)->peer;
        *link = node;
    }
    prop_text(node, "name", name);
    return node;
}

struct node *node_root(void)
{
    return nodes[0];
}

struct node *node_of(u32 phandle)
{
    return phandle && phandle <= node_count ? nodes[phandle - 1] : 0;
}

struct prop *prop_find(const struct node *node, const char *name)
{
    for (struct prop *prop = node->props; prop; prop = prop->next)
        if (text_equal(prop->name, name))
            return prop;
    return 0;
}

int prop_set(struct node *node, const char *name, const void *value, u32 length)
{
    struct prop *prop = prop_find(node, name);

    if (text_length(name) >= PROP_NAME_BYTES || !*name)
        return 0;
    if (prop && prop->length == length) {
        memmove(prop->value, value, length);
        return 1;
    }
    void *copy = length ? heap_take(length) : 0;
    if (length && !copy)
        return 0;
    if (!prop) {
        struct prop **link = &node->props;
        prop = heap_take(sizeof(*prop));
        if (!prop) {
            heap_give(copy);
            return 0;
        }
        copy_name(prop->name, name, sizeof(prop->name));
        while (*link)
            link = &(*link)->next;
        *link = prop;
    }
    if (length)
        memcpy(copy, value, length);
    heap_give(prop->value);
    prop->value = copy;
    prop->length = length;
    return 1;
}

int prop_text(struct node *node, const char *name, const char *text)
{
    return prop_set(node, name, text, (u32)text_length(text) + 1);
}

int prop_u32(struct node *node, const char *name, u32 value)
{
    return prop_set(node, name, &value, sizeof(value));
}

void prop_delete(struct node *node, const char *name)
{
    for (struct prop **link = &node->props; *link; link = &(*link)->next)
        if (text_equal((*link)->name, name)) {
            struct prop *prop = *link;
            *link = prop->next;
            heap_give(prop->value);
            heap_give(prop);
            return;
        }
}

const char *prop_read_text(const struct node *node, const char *name, const char *otherwise)
{
    const struct prop *prop = node ? prop_find(node, name) : 0;

    if (!prop || !prop->length || ((const char *)prop->value)[prop->length - 1])
        return otherwise;
    return prop->value;
}

/* Does a component of a path, "name@unit", "name" or "@unit", mean this node? A name may leave
 * out what stands before its comma: "console" means "SUNW,console". */
static int is_meant(const struct node *node, const char *part, usize length)
{
    usize at = 0;

    while (at < length && part[at] != '@')
        at++;
    usize unit = at < length ? at + 1 : length;
    const char *name = node->name;
    if (at) {
        int same = text_length(name) == at && !memcmp(name, part, at);
        for (const char *c = name; !same && *c; c++)
            same = *c == ',' && text_length(c + 1) == at && !memcmp(c + 1, part, at);
        if (!same)
            return 0;
    }
    return unit == length ? at != 0
                          : text_length(node->unit) == length - unit &&
                                !memcmp(node->unit, part + unit, length - unit);
}

static struct node *child_meant(struct node *parent, const char *part, usize length)
{
    for (struct node *node = parent->child; node; node = node->peer)
        if (is_meant(node, part, length))
            return node;
    return 0;
}

static struct node *walk(const char *path, char *arguments, usize bytes, int depth)
{
    struct node *node = node_root();

    if (arguments && bytes)
        *arguments = 0;
    if (!node)
        return 0;
    if (*path != '/') {
        /* An alias, up to a slash or a colon. */
        char name[PROP_NAME_BYTES], whole[PATH_BYTES];
        usize n = 0;
        while (path[n] && path[n] != '/' && path[n] != ':')
            n++;
        if (!n || n >= sizeof(name) || depth > 4)
            return 0;
        memcpy(name, path, n);
        name[n] = 0;
        struct node *aliases = walk("/aliases", 0, 0, 0);
        const char *value = prop_read_text(aliases, name, 0);
        usize length = value ? text_length(value) : 0, rest = text_length(path + n);
        if (!value || length + rest >= sizeof(whole))
            return 0;
        memcpy(whole, value, length);
        memcpy(whole + length, path + n, rest + 1);
        return walk(whole, arguments, bytes, depth + 1);
    }
    while (*path == '/') {
        const char *part = ++path;
        while (*path && *path != '/' && *path != ':')
            path++;
        usize length = (usize)(path - part);
        if (length && !(node = child_meant(node, part, length)))
            return 0;
        if (*path == ':') {
            /* What follows belongs to the node: its arguments, slashes and all, unless
             * there is a node of that name below. */
            const char *text = path + 1;
            if (arguments && bytes)
                copy_name(arguments, text, bytes);
            return node;
        }
    }
    return *path ? 0 : node;
}

struct node *tree_find(const char *path, char *arguments, usize bytes)
{
    return walk(path, arguments, bytes, 0);
}

usize tree_path(const struct node *node, char *path, usize bytes)
{
    const struct node *chain[32];
    usize depth = 0, n = 0;
    const char *parts[4];

    for (; node && node->parent && depth < COUNT_OF(chain); node = node->parent)
        chain[depth++] = node;
    if (!depth && bytes > 1)
        path[n++] = '/';
    while (depth-- > 0) {
        parts[0] = "/";
        parts[1] = chain[depth]->name;
        parts[2] = *chain[depth]->unit ? "@" : "";
        parts[3] = chain[depth]->unit;
        for (usize i = 0; i < 4; i++)
            for (const char *c = parts[i]; *c && n + 1 < bytes; c++)
                path[n++] = *c;
    }
    if (bytes)
        path[n] = 0;
    return n;
}
