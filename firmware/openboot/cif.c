/*
 * The client interface: services that a client calls with an array of cells.
 *
 * It runs on the caller's stack and, once the client has set its trap table, with
 * the caller's traps: it touches nothing but the firmware's own memory and what
 * the caller names.
 *
 * Errors: a service that does not exist gives -1 in %o0; one that fails says so in
 * its results, as the standard has it for each.
 *
 * Source: IEEE 1275-1994, section 6.3.2; its SPARC binding, section 7; OpenBoot's
 * additions for sun4v (SUNW,...), as Linux's prom/ and OpenBSD's openfirm.c call them.
 */
#include "cif.h"

#include <sun4v/hcall.h>

#include "../common/bytes.h"
#include "client.h"
#include "console.h"
#include "cpu.h"
#include "instance.h"
#include "map.h"
#include "memory.h"
#include "prompt.h"
#include "ram.h"
#include "tree.h"

#define CELLS_MAX 16
#define STATUS_BUSY 17 /* a group that the firmware itself uses with another major */

struct call {
    u64 nargs, nrets;
    const u64 *args;
    u64 *rets;
};

static u64 arg(const struct call *call, u64 n)
{
    return n < call->nargs ? call->args[n] : 0;
}

static const char *text(const struct call *call, u64 n)
{
    return arg(call, n) ? (const char *)arg(call, n) : "";
}

static void ret(const struct call *call, u64 n, u64 value)
{
    if (n < call->nrets)
        call->rets[n] = value;
}

static u64 phandle_of(const struct node *node)
{
    return node ? node->phandle : 0;
}

/* --- the tree --- */

static void peer(struct call *call)
{
    struct node *node = node_of((u32)arg(call, 0));

    ret(call, 0, phandle_of(arg(call, 0) ? (node ? node->peer : 0) : node_root()));
}

static void child(struct call *call)
{
    struct node *node = node_of((u32)arg(call, 0));

    ret(call, 0, phandle_of(node ? node->child : 0));
}

static void parent(struct call *call)
{
    struct node *node = node_of((u32)arg(call, 0));

    ret(call, 0, phandle_of(node ? node->parent : 0));
}

static void finddevice(struct call *call)
{
    struct node *node = tree_find(text(call, 0), 0, 0);

    ret(call, 0, node ? node->phandle : -1ul);
}

static struct prop *named_prop(const struct call *call)
{
    struct node *node = node_of((u32)arg(call, 0));

    return node ? prop_find(node, text(call, 1)) : 0;
}

static void getproplen(struct call *call)
{
    struct prop *prop = named_prop(call);

    ret(call, 0, prop ? prop->length : -1ul);
}

static void getprop(struct call *call)
{
    struct prop *prop = named_prop(call);
    u64 room = arg(call, 3);

    if (prop && room && arg(call, 2))
        memcpy((void *)arg(call, 2), prop->value, prop->length < room ? prop->length : room);
    ret(call, 0, prop ? prop->length : -1ul);
}

static void nextprop(struct call *call)
{
    struct node *node = node_of((u32)arg(call, 0));
    const char *previous = text(call, 1);
    struct prop *prop = node ? node->props : 0;
    char *buffer = (char *)arg(call, 2);

    if (*previous && node) {
        prop = prop_find(node, previous);
        if (!prop) {
            ret(call, 0, -1ul);
            return;
        }
        prop = prop->next;
    }
    if (buffer)
        memcpy(buffer, prop ? prop->name : "", prop ? text_length(prop->name) + 1 : 1);
    ret(call, 0, node ? prop != 0 : -1ul);
}

static void setprop(struct call *call)
{
    struct node *node = node_of((u32)arg(call, 0));
    const char *name = text(call, 1);
    u64 length = arg(call, 3);
    int done;

    if (!node || length > 4096 || (length && !arg(call, 2))) {
        ret(call, 0, -1ul);
        return;
    }
    if (node == tree_find("/options", 0, 0))
        done = !variable_set(name, (const char *)arg(call, 2));
    else
        done = prop_set(node, name, (void *)arg(call, 2), (u32)length);
    ret(call, 0, done ? length : -1ul);
}

static void path_into(struct call *call, const struct node *node)
{
    char path[PATH_BYTES];
    usize length = tree_path(node, path, sizeof(path)), room = arg(call, 2);

    if (!node) {
        ret(call, 0, -1ul);
        return;
    }
    if (room && arg(call, 1))
        memcpy((void *)arg(call, 1), path, length + 1 < room ? length + 1 : room);
    ret(call, 0, length);
}

static void package_to_path(struct call *call)
{
    path_into(call, node_of((u32)arg(call, 0)));
}

static void instance_to_path(struct call *call)
{
    path_into(call, instance_of(arg(call, 0)).node);
}

static void instance_to_package(struct call *call)
{
    struct node *node = instance_of(arg(call, 0)).node;

    ret(call, 0, node ? node->phandle : -1ul);
}

static void canon(struct call *call)
{
    path_into(call, tree_find(text(call, 0), 0, 0));
}

/* --- devices --- */

static void open_(struct call *call)
{
    ret(call, 0, instance_open(tree_find(text(call, 0), 0, 0)));
}

static void close_(struct call *call)
{
    instance_close(arg(call, 0));
}

static void write_(struct call *call)
{
    int is_console = instance_of(arg(call, 0)).kind == INSTANCE_CONSOLE;

    if (is_console && arg(call, 1))
        console_write((const char *)arg(call, 1), arg(call, 2));
    ret(call, 0, is_console ? arg(call, 2) : -1ul);
}

static void read_(struct call *call)
{
    char *buffer = (char *)arg(call, 1);
    u64 room = arg(call, 2), n = 0;
    int key;

    if (instance_of(arg(call, 0)).kind != INSTANCE_CONSOLE || !buffer) {
        ret(call, 0, -1ul);
        return;
    }
    while (n < room && (key = console_key()) >= 0)
        buffer[n++] = (char)key;
    ret(call, 0, n ? n : room ? -2ul : 0);
}

static void seek(struct call *call)
{
    ret(call, 0, -1ul);
}

/* --- memory --- */

static void claim(struct call *call)
{
    u64 virt = arg(call, 0), bytes = arg(call, 1), align = arg(call, 2);
    u64 ra = bytes ? ram_claim(bytes, align ? align : PAGE_BYTES) : RAM_NONE;

    if (ra != RAM_NONE && map_claim(&virt, bytes, align) &&
        map_add(virt & ~PAGE_MASK, ra, (bytes + PAGE_MASK) & ~PAGE_MASK)) {
        ret(call, 0, virt);
        return;
    }
    if (ra != RAM_NONE)
        ram_release(ra, bytes);
    ret(call, 0, -1ul);
}

static void release(struct call *call)
{
    u64 virt = arg(call, 0), bytes = arg(call, 1), ra;

    if (map_translate(virt, &ra))
        ram_release(ra, bytes);
    map_remove(virt, bytes);
    map_release(virt, bytes);
}

/* Methods take a stack, its top first; the first result says whether they were carried out. */
static int mmu_method(const char *name, struct call *call)
{
    u64 ra, virt;

    if (text_equal(name, "translate")) {
        int known = map_translate(arg(call, 2), &ra);
        ret(call, 1, known ? -1ul : 0);
        ret(call, 2, known ? 0 : -1ul); /* mode */
        ret(call, 3, known ? ra >> 32 : 0);
        ret(call, 4, known ? ra : 0);
    } else if (text_equal(name, "map")) {
        ra = arg(call, 5) << 32 | arg(call, 6);
        return map_add(arg(call, 4), ra, arg(call, 3)) ? 0 : -1;
    } else if (text_equal(name, "unmap")) {
        map_remove(arg(call, 3), arg(call, 2));
    } else if (text_equal(name, "claim")) {
        virt = arg(call, 4);
        if (!map_claim(&virt, arg(call, 3), arg(call, 2)))
            return -1;
        ret(call, 1, virt);
    } else if (text_equal(name, "release")) {
        map_release(arg(call, 3), arg(call, 2));
    } else {
        return -1;
    }
    return 0;
}

static int memory_method(const char *name, struct call *call)
{
    u64 ra;

    if (text_equal(name, "claim")) {
        u64 align = arg(call, 2), bytes = arg(call, 3);
        ra = arg(call, 4) << 32 | (arg(call, 5) & 0xffffffff);
        if (align)
            ra = bytes && !(align & (align - 1)) ? ram_claim(bytes, align) : RAM_NONE;
        else if (!bytes || !ram_claim_at(ra, bytes))
            ra = RAM_NONE;
        if (ra == RAM_NONE)
            return -1;
        ret(call, 1, ra >> 32);
        ret(call, 2, ra & 0xffffffff);
    } else if (text_equal(name, "release")) {
        ram_release(arg(call, 3) << 32 | (arg(call, 4) & 0xffffffff), arg(call, 2));
    } else if (text_equal(name, "SUNW,retain")) {
        u64 align = arg(call, 2), bytes = arg(call, 3);
        ra = bytes && !(align & (align - 1)) ? ram_claim(bytes, align ? align : 1) : RAM_NONE;
        if (ra == RAM_NONE)
            return -1;
        ret(call, 1, ra >> 32);
        ret(call, 2, ra & 0xffffffff);
    } else {
        return -1;
    }
    return 0;
}

static void call_method(struct call *call)
{
    const char *name = text(call, 0);
    int result = -1;

    switch (instance_of(arg(call, 1)).kind) {
    case INSTANCE_MMU:
        result = mmu_method(name, call);
        break;
    case INSTANCE_MEMORY:
        result = memory_method(name, call);
        break;
    }
    ret(call, 0, (u64)(s64)result);
}

/* --- control --- */

static void set_trap_table(struct call *call)
{
    if (call->nargs > 1)
        hv_call(HV_MMU_FAULT_AREA_CONF, arg(call, 1), 0, 0, 0, 0);
    trap_table_set(arg(call, 0));
}

static void start_cpu(struct call *call)
{
    u64 status = cpu_start(arg(call, 0), arg(call, 1), arg(call, 2));

    ret(call, 0, status == HV_EOK ? 0 : -1ul);
}

/* The argument names the node. */
static void start_cpu_of(struct call *call)
{
    struct node *node = node_of((u32)arg(call, 0));
    struct prop *id = node ? prop_find(node, "cpuid") : 0;

    ret(call, 0, -1ul);
    if (id)
        ret(call, 0, cpu_start(*(u32 *)id->value, arg(call, 1), arg(call, 2)) ? -1ul : 0);
}

static void stop_cpu(struct call *call)
{
    ret(call, 0, hv_cpu_stop(arg(call, 0)) == HV_EOK ? 0 : -1ul);
}

static void stop_self(struct call *call)
{
    for (;;)
        hv_cpu_yield();
}

static void enter(struct call *call)
{
    console_text("\n");
    prompt(1);
}

static void left(void)
{
    console_text("\nProgram terminated\n");
    for (;;)
        prompt(0);
}

void on_own_stack(void (*what)(void)) NORETURN;

static void exit_(struct call *call)
{
    on_own_stack(left);
}

static const char *reboot_line;
static void reboot(void)
{
    prompt_reboot(reboot_line);
}

static void boot(struct call *call)
{
    static char line[256];
    const char *from = text(call, 0);
    usize n = 0;

    for (; from[n] && n + 1 < sizeof(line); n++)
        line[n] = from[n];
    line[n] = 0;
    reboot_line = line;
    on_own_stack(reboot);
}

static void power_off(struct call *call)
{
    hv_mach_exit(0);
}

static void reset_all(struct call *call)
{
    hv_mach_sir();
}

static void interpret(struct call *call)
{
    const char *why = prompt_interpret(text(call, 0));

    ret(call, 0, why ? -1ul : 0);
    for (u64 n = 1; n < call->nrets; n++)
        ret(call, n, 0);
}

static void milliseconds(struct call *call)
{
    ret(call, 0, stick_read() / 1165000);
}

static void nothing(struct call *call)
{
}

static void zero(struct call *call)
{
    ret(call, 0, 0);
}

/* Which groups the firmware itself uses, and the major that it must keep. */
static const struct {
    u64 group, major;
} own_groups[] = {{HV_GROUP_CORE, 1}, {HV_GROUP_LDC, 1}};

static void set_api_version(struct call *call)
{
    u64 group = arg(call, 0), major = arg(call, 1);
    struct hv_ret r;

    for (u64 i = 0; i < COUNT_OF(own_groups); i++)
        if (own_groups[i].group == group && own_groups[i].major != major) {
            ret(call, 0, STATUS_BUSY);
            ret(call, 1, 0);
            return;
        }
    r = hv_core_call(HV_API_SET_VERSION, group, major, arg(call, 2));
    ret(call, 0, r.status);
    ret(call, 1, r.ret1);
}

static void get_api_version(struct call *call)
{
    struct hv_ret r = hv_core_call(HV_API_GET_VERSION, arg(call, 0), 0, 0);

    ret(call, 0, r.status);
    ret(call, 1, r.ret1);
    ret(call, 2, r.ret2);
}

static void test(struct call *call);

/* A method of a device, found by its node. */
static void test_method(struct call *call)
{
    static const char *const mmu[] = {"translate", "map", "unmap", "claim", "release"};
    static const char *const memory[] = {"claim", "release", "SUNW,retain"};
    struct node *node = node_of((u32)arg(call, 0));
    const char *const *known = 0;
    u64 count = 0, missing = 1;

    if (node && text_equal(node->name, "virtual-memory")) {
        known = mmu;
        count = COUNT_OF(mmu);
    } else if (node && text_equal(node->name, "memory")) {
        known = memory;
        count = COUNT_OF(memory);
    }
    for (u64 i = 0; i < count; i++)
        missing &= !text_equal(known[i], text(call, 1));
    ret(call, 0, missing ? -1ul : 0);
}

static const struct service {
    const char *name;
    void (*serve)(struct call *call);
} services[] = {
    {"getprop", getprop},
    {"getproplen", getproplen},
    {"nextprop", nextprop},
    {"peer", peer},
    {"child", child},
    {"parent", parent},
    {"write", write_},
    {"finddevice", finddevice},
    {"call-method", call_method},
    {"SUNW,set-trap-table", set_trap_table},
    {"SUNW,start-cpu-by-cpuid", start_cpu},
    {"SUNW,start-cpu", start_cpu_of},
    {"SUNW,stop-cpu-by-cpuid", stop_cpu},
    {"SUNW,stop-self", stop_self},
    {"SUNW,soft-state-supported", nothing},
    {"SUNW,set-sun4v-api-version", set_api_version},
    {"SUNW,get-sun4v-api-version", get_api_version},
    {"SUNW,power-off", power_off},
    {"test", test},
    {"test-method", test_method},
    {"setprop", setprop},
    {"canon", canon},
    {"instance-to-package", instance_to_package},
    {"instance-to-path", instance_to_path},
    {"package-to-path", package_to_path},
    {"open", open_},
    {"close", close_},
    {"read", read_},
    {"seek", seek},
    {"claim", claim},
    {"release", release},
    {"boot", boot},
    {"enter", enter},
    {"exit", exit_},
    {"chain", zero},
    {"interpret", interpret},
    {"milliseconds", milliseconds},
    {"set-callback", zero},
    {"reset-all", reset_all},
};

static const struct service *find(const char *name)
{
    for (u64 i = 0; i < COUNT_OF(services); i++)
        if (text_equal(services[i].name, name))
            return &services[i];
    return 0;
}

static void test(struct call *call)
{
    ret(call, 0, find(text(call, 0)) ? 0 : -1ul);
}

s64 cif(u64 *array)
{
    const char *name = (const char *)array[0];
    struct call call = {array[1], array[2], array + 3, array + 3 + array[1]};
    const struct service *service = name ? find(name) : 0;

    if (!service || call.nargs > CELLS_MAX || call.nrets > CELLS_MAX)
        return -1;
    service->serve(&call);
    return 0;
}
