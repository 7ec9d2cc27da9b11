/* Stand-ins for what the firmware's parts stand on. */
#include "openboot_world.h"

#include <setjmp.h>
#include <sun4v/hcall.h>

#include "../common/format.h"
#include "../openboot/client.h"
#include "../openboot/console.h"
#include "../openboot/heap.h"
#include "../openboot/ram.h"
#include "../openboot/tree.h"

/* --- heap --- */

void *heap_take(usize bytes)
{
    return calloc(1, bytes);
}

void *heap_pages(usize bytes)
{
    void *at = aligned_alloc(PAGE_BYTES > bytes ? PAGE_BYTES : bytes, bytes);

    memset(at, 0, bytes);
    return at;
}

void heap_give(void *block)
{
    free(block);
}

u64 real_address(const void *at)
{
    return (u64)at;
}

/* --- memory --- */

#define CLAIMS 64
#define GUARD 0xa5

u64 ram_limit = 64ul << 20, ram_used;
static struct claim {
    u64 ra, bytes;
} claims[CLAIMS];

static u64 pages(u64 bytes)
{
    return (bytes + RAM_PAGE - 1) & ~(RAM_PAGE - 1);
}

u64 ram_claim(u64 bytes, u64 align)
{
    if (!bytes || bytes > ram_limit || pages(bytes) > ram_limit - ram_used)
        return RAM_NONE;
    for (int i = 0; i < CLAIMS; i++)
        if (!claims[i].bytes) {
            u8 *at = aligned_alloc(RAM_PAGE, pages(bytes) + RAM_PAGE);
            CHECK(at);
            memset(at + pages(bytes), GUARD, RAM_PAGE);
            claims[i] = (struct claim){(u64)at, pages(bytes)};
            ram_used += pages(bytes);
            return (u64)at;
        }
    return RAM_NONE;
}

void ram_check(void)
{
    for (int i = 0; i < CLAIMS; i++)
        for (u64 at = 0; claims[i].bytes && at < RAM_PAGE; at++)
            CHECK_EQ(((u8 *)claims[i].ra)[claims[i].bytes + at], GUARD);
}

void ram_release(u64 ra, u64 bytes)
{
    ram_check();
    for (int i = 0; i < CLAIMS; i++)
        if (claims[i].bytes && claims[i].ra == ra) {
            CHECK_EQ(claims[i].bytes, pages(bytes));
            ram_used -= claims[i].bytes;
            claims[i].bytes = 0;
            free((void *)ra);
            return;
        }
    CHECK(!"released what was not claimed");
}

void *ram_window(u64 ra)
{
    return (void *)ra;
}

/* --- tree --- */

#define NODES 64
static struct node nodes[NODES];
static u32 node_count;

struct node *node_root(void)
{
    if (!node_count) {
        node_count = 1;
        nodes[0].phandle = 1;
    }
    return &nodes[0];
}

struct node *node_of(u32 phandle)
{
    return phandle && phandle <= node_count ? &nodes[phandle - 1] : 0;
}

struct node *node_new(struct node *parent, const char *name, const char *unit)
{
    parent = parent ? parent : node_root();
    CHECK(node_count < NODES);
    struct node *node = &nodes[node_count++], **link = &parent->child;

    node->phandle = node_count;
    strcpy(node->name, name);
    strcpy(node->unit, unit);
    node->parent = parent;
    while (*link)
        link = &(*link)->peer;
    *link = node;
    prop_text(node, "name", name);
    return node;
}

struct prop *prop_find(const struct node *node, const char *name)
{
    for (struct prop *p = node->props; p; p = p->next)
        if (!strcmp(p->name, name))
            return p;
    return 0;
}

int prop_set(struct node *node, const char *name, const void *value, u32 length)
{
    struct prop *p = prop_find(node, name), **link = &node->props;

    CHECK(strlen(name) < PROP_NAME_BYTES);
    void *copy = malloc(length + 1);
    memcpy(copy, value, length);
    if (!p) {
        p = calloc(1, sizeof *p);
        strcpy(p->name, name);
        while (*link)
            link = &(*link)->next;
        *link = p;
    }
    free(p->value);
    p->value = copy;
    p->length = length;
    return 1;
}

int prop_text(struct node *node, const char *name, const char *text)
{
    return prop_set(node, name, text, (u32)strlen(text) + 1);
}

int prop_u32(struct node *node, const char *name, u32 value)
{
    return prop_set(node, name, &value, 4);
}

void prop_delete(struct node *node, const char *name)
{
    for (struct prop **link = &node->props; *link; link = &(*link)->next)
        if (!strcmp((*link)->name, name)) {
            struct prop *gone = *link;
            *link = gone->next;
            free(gone->value);
            free(gone);
            return;
        }
}

const char *prop_read_text(const struct node *node, const char *name, const char *otherwise)
{
    struct prop *p = prop_find(node, name);

    return p && p->length ? p->value : otherwise;
}

static struct node *walk(struct node *node, const char *path, char *arguments, usize bytes)
{
    while (node) {
        while (*path == '/')
            path++;
        if (arguments && *path == ':' && strlen(path + 1) < bytes)
            strcpy(arguments, path + 1);
        if (!*path || *path == ':')
            return node;
        usize all = strcspn(path, "/:"), name = strcspn(path, "@/:");
        struct node *child = node->child;
        for (; child; child = child->peer) {
            if (strlen(child->name) != name || memcmp(child->name, path, name))
                continue;
            if (name == all || (strlen(child->unit) == all - name - 1 &&
                                !memcmp(child->unit, path + name + 1, all - name - 1)))
                break;
        }
        node = child;
        path += all;
    }
    return 0;
}

struct node *tree_find(const char *path, char *arguments, usize bytes)
{
    char name[PATH_BYTES];
    usize length = strcspn(path, "/:");

    if (arguments && bytes)
        *arguments = 0;
    if (*path == '/')
        return walk(node_root(), path, arguments, bytes);
    struct node *aliases = walk(node_root(), "/aliases", 0, 0);
    if (!aliases || length >= sizeof name)
        return 0;
    memcpy(name, path, length);
    name[length] = 0;
    const char *is = prop_read_text(aliases, name, 0);
    if (!is || !strcmp(name, "name"))
        return 0;
    return walk(walk(node_root(), is, 0, 0), path + length, arguments, bytes);
}

usize tree_path(const struct node *node, char *path, usize bytes)
{
    char built[PATH_BYTES] = "";

    for (; node->parent; node = node->parent) {
        char rest[PATH_BYTES];
        strcpy(rest, built);
        snprintf(built, sizeof built, "/%s%s%s%s", node->name, *node->unit ? "@" : "", node->unit,
                 rest);
    }
    if (!*built)
        strcpy(built, "/");
    snprintf(path, bytes, "%s", built);
    return strlen(path);
}

/* --- console --- */

char console_said[1 << 20];
u64 console_length;
static const char *keys = "";
void (*console_dry)(void);

void console_type(const char *text)
{
    keys = text;
}

void console_clear(void)
{
    console_length = 0;
    console_said[0] = 0;
}

void console_write(const char *bytes, usize count)
{
    if (console_length + count >= sizeof console_said)
        console_length = 0;
    memcpy(console_said + console_length, bytes, count);
    console_length += count;
    console_said[console_length] = 0;
}

void console_text(const char *text)
{
    console_write(text, strlen(text));
}

void console_print(const char *format, ...)
{
    char text[512];
    struct line line = line_in(text, sizeof text);
    va_list args;

    va_start(args, format);
    line_vformat(&line, format, args);
    va_end(args);
    console_write(text, line.length);
}

int console_key(void)
{
    int c = (u8)*keys;

    if (!c)
        return KEY_NONE;
    keys++;
    return c == 0x80 ? KEY_BREAK : c == 0x81 ? KEY_HANGUP : c;
}

int console_wait(void)
{
    while (!*keys) {
        CHECK(console_dry);
        console_dry();
    }
    return console_key();
}

/* --- the machine --- */

#define ELEMENTS 512
static struct {
    u32 version, node_bytes, name_bytes, data_bytes;
    u8 elements[ELEMENTS][16];
} description = {.version = 0x10000};
static char md_names[4096], md_data[4096];
static u32 md_elements, md_names_used, md_data_used, md_open_node;

void md_begin(void)
{
    md_elements = md_names_used = md_data_used = 0;
}

static u32 md_text(char *area, u32 *used, const char *text)
{
    u32 at = *used;

    strcpy(area + at, text);
    *used += (u32)strlen(text) + 1;
    CHECK(*used < 4000);
    return at;
}

static u8 *md_element(u8 tag, const char *name)
{
    u8 *e = description.elements[md_elements++];
    u32 at = md_text(md_names, &md_names_used, name);

    CHECK(md_elements < ELEMENTS - 1);
    memset(e, 0, 16);
    e[0] = tag;
    e[1] = (u8)strlen(name);
    memcpy(e + 4, &at, 4);
    return e;
}

u64 md_node(const char *name)
{
    md_open_node = md_elements;
    md_element('N', name);
    return md_open_node;
}

void md_add_value(const char *name, u64 value)
{
    memcpy(md_element('v', name) + 8, &value, 8);
}

void md_add_string(const char *name, const char *text)
{
    u8 *e = md_element('s', name);
    u32 length = (u32)strlen(text) + 1, at = md_text(md_data, &md_data_used, text);

    memcpy(e + 8, &length, 4);
    memcpy(e + 12, &at, 4);
}

void md_add_arc(const char *name, u64 to)
{
    memcpy(md_element('a', name) + 8, &to, 8);
}

void md_end_node(void)
{
    u64 next = md_elements + 1;

    memcpy(description.elements[md_open_node] + 8, &next, 8);
    memset(description.elements[md_elements], 0, 16);
    description.elements[md_elements++][0] = 'E';
}

static u64 md_whole(u8 *to, u64 room)
{
    u32 nodes_bytes = (md_elements + 1) * 16;
    u32 names = (md_names_used + 15) & ~15u, data = (md_data_used + 15) & ~15u;
    u64 bytes = 16 + nodes_bytes + names + data;

    memset(description.elements[md_elements], 0, 16);
    description.node_bytes = nodes_bytes;
    description.name_bytes = names;
    description.data_bytes = data;
    if (room >= bytes) {
        memcpy(to, &description, 16 + nodes_bytes);
        memcpy(to + 16 + nodes_bytes, md_names, names);
        memcpy(to + 16 + nodes_bytes + names, md_data, data);
    }
    return bytes;
}

void (*world_turn)(void);
u64 world_step = 1000;
int world_ended;
static jmp_buf end;

u64 stick(void)
{
    world_now += world_step;
    if (world_turn)
        world_turn();
    return world_now;
}

int world_try(void (*body)(void))
{
    world_ended = -1;
    if (!setjmp(end))
        body();
    return world_ended;
}

void world_stop(int how)
{
    world_ended = how;
    longjmp(end, 1);
}

struct hv_ret world_call(u64 function, u64 a0, u64 a1)
{
    if (function == HV_MACH_DESC) {
        u64 bytes = md_whole((u8 *)a0, a1);
        return (struct hv_ret){bytes <= a1 ? HV_EOK : HV_EINVAL, bytes, 0, 0};
    }
    if (function == HV_MACH_EXIT)
        world_stop(0);
    if (function == 2)
        world_stop(1);
    printf("world: hypercall %#lx is not played\n", function);
    exit(1);
}

/* --- the client --- */

struct payload payload = {.arguments = ""};
int client_entered;
struct started started;

__attribute__((weak)) const char *client_start(struct image kernel, struct image initrd,
                                               const char *path, const char *arguments)
{
    started.count++;
    started.kernel_bytes = kernel.bytes;
    started.initrd_bytes = initrd.bytes;
    memset(started.kernel, 0, sizeof started.kernel);
    memset(started.initrd, 0, sizeof started.initrd);
    if (kernel.bytes)
        memcpy(started.kernel, ram_window(kernel.ra),
               kernel.bytes < sizeof started.kernel ? kernel.bytes : sizeof started.kernel);
    if (initrd.bytes)
        memcpy(started.initrd, ram_window(initrd.ra),
               initrd.bytes < sizeof started.initrd ? initrd.bytes : sizeof started.initrd);
    snprintf(started.path, sizeof started.path, "%s", path);
    snprintf(started.arguments, sizeof started.arguments, "%s", arguments);
    return "client: not entered";
}
