/* Variables of the domain. */
#include "variables.h"

#include "../../common/bytes.h"
#include "../disk/endpoint.h"
#include "../heap.h"
#include "../prompt.h"
#include "../tree.h"
#include "keep.h"

enum kind { TEXT, BOOLEAN, NUMBER, SECURITY };

static struct known {
    const char *name;
    const char *otherwise; /* null: it came with the domain, and nobody here knows it */
    u8 kind;
    const char *value;     /* on the heap, or `otherwise` */
} variables[96] = {
    {"ttya-rts-dtr-off", "false", BOOLEAN, 0},
    {"ttya-ignore-cd", "true", BOOLEAN, 0},
    {"reboot-command", "", TEXT, 0},
    {"security-mode", "none", SECURITY, 0},
    {"security-#badlogins", "0", NUMBER, 0},
    {"verbosity", "min", TEXT, 0},
    {"diag-switch?", "false", BOOLEAN, 0},
    {"local-mac-address?", "true", BOOLEAN, 0},
    {"fcode-debug?", "false", BOOLEAN, 0},
    {"scsi-initiator-id", "7", NUMBER, 0},
    {"oem-logo?", "false", BOOLEAN, 0},
    {"oem-banner", "", TEXT, 0},
    {"oem-banner?", "false", BOOLEAN, 0},
    {"ansi-terminal?", "true", BOOLEAN, 0},
    {"screen-#columns", "80", NUMBER, 0},
    {"screen-#rows", "34", NUMBER, 0},
    {"ttya-mode", "9600,8,n,1,-", TEXT, 0},
    {"output-device", "virtual-console", TEXT, 0},
    {"input-device", "virtual-console", TEXT, 0},
    {"auto-boot-on-error?", "false", BOOLEAN, 0},
    {"load-base", "16384", NUMBER, 0},
    {"auto-boot?", "true", BOOLEAN, 0},
    {"network-boot-arguments", "", TEXT, 0},
    {"boot-command", "boot", TEXT, 0},
    {"boot-file", "", TEXT, 0},
    {"boot-device", "disk net", TEXT, 0},
    {"multipath-boot?", "false", BOOLEAN, 0},
    {"boot-device-index", "0", NUMBER, 0},
    {"use-nvramrc?", "false", BOOLEAN, 0},
    {"nvramrc", "", TEXT, 0},
    {"error-reset-recovery", "boot", TEXT, 0},
};

static u64 count;

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
}

int same_name(const char *left, const char *right)
{
    while (*left && lower(*left) == lower(*right)) {
        left++;
        right++;
    }
    return lower(*left) == lower(*right);
}

static struct known *find(const char *name)
{
    for (u64 i = 0; i < count; i++)
        if (same_name(variables[i].name, name))
            return &variables[i];
    return 0;
}

static int number(const char *value)
{
    u64 digits = 0;

    for (; value[digits]; digits++)
        if (value[digits] < '0' || value[digits] > '9' || digits > 9)
            return 0;
    return digits != 0;
}

static const char *check(const struct known *v, const char *value)
{
    if (text_length(value) >= VARIABLE_BYTES)
        return "the value is too long";
    if (v->kind == BOOLEAN && !same_name(value, "true") && !same_name(value, "false"))
        return "the value is true or false";
    if (v->kind == NUMBER && !number(value))
        return "the value is a decimal number";
    if (v->kind == SECURITY && !same_name(value, "none"))
        return "no security mode but none is supported";
    return 0;
}

static void show(const struct known *v)
{
    struct node *options = tree_find("/options", 0, 0);

    if (options)
        prop_text(options, v->name, v->value);
}

static char *copy_of(const char *text)
{
    usize bytes = text_length(text) + 1;
    char *copy = heap_take(bytes);

    if (copy)
        memcpy(copy, text, bytes);
    return copy;
}

/* In this life. */
static const char *assign(struct known *v, const char *value)
{
    const char *why = check(v, value);
    char *copy = why ? 0 : copy_of(value);

    if (why)
        return why;
    if (!copy)
        return "no memory";
    /* True and false are written in small letters. */
    for (char *c = copy; v->kind == BOOLEAN && *c; c++)
        *c = lower(*c);
    if (v->value != v->otherwise)
        heap_give((void *)v->value);
    v->value = copy;
    show(v);
    return 0;
}

/* --- what the machine description says --- */

#define ELEMENT_BYTES 16

/* Every string of the node `variables`. The walk goes by the format's elements, for a
 * reader of single properties must know their names. */
static void each_initial(const struct md *md, u64 node)
{
    for (u64 i = node + 1; i < md->count; i++) {
        const u8 *e = md->elements + i * ELEMENT_BYTES;
        u64 name = (u64)e[4] << 24 | (u64)e[5] << 16 | (u64)e[6] << 8 | e[7];

        if (e[0] == 'E' || e[0] == 'N' || e[0] == 0)
            return;
        if (e[0] != 's' || name >= md->names_bytes || e[1] >= md->names_bytes - name ||
            md->names[name + e[1]] || e[1] == 0 || e[1] >= PROP_NAME_BYTES)
            continue;
        const char *text = md->names + name, *value = md_string(md, node, text);
        struct known *v = find(text);
        if (!value)
            continue;
        if (!v && count < COUNT_OF(variables)) {
            char *own = copy_of(text);
            if (!own)
                return;
            v = &variables[count++];
            *v = (struct known){own, 0, TEXT, 0};
        }
        /* A value that is none of this variable's leaves the default. */
        if (v)
            assign(v, value);
    }
}

void variables_init(void)
{
    struct md md;
    void *block;

    for (count = 0; count < COUNT_OF(variables) && variables[count].otherwise; count++)
        variables[count].value = variables[count].otherwise;
    if (!tree_find("/options", 0, 0))
        node_new(node_root(), "options", "");
    if (!description_read(&md, &block)) {
        u64 node = md_next(&md, MD_NONE, "variables");
        if (node != MD_NONE)
            each_initial(&md, node);
        heap_give(block);
    }
    for (u64 i = 0; i < count; i++)
        show(&variables[i]);
}

/* --- what prompt.h and variables.h offer --- */

const char *variable(const char *name)
{
    struct known *v = find(name);

    return v ? v->value : 0;
}

int variable_true(const char *name)
{
    const char *value = variable(name);

    return value && same_name(value, "true");
}

int variable_nth(u64 n, const char **name, const char **value, const char **otherwise)
{
    if (n >= count)
        return 0;
    *name = variables[n].name;
    *value = variables[n].value;
    *otherwise = variables[n].otherwise;
    return 1;
}

const char *variable_name(const char *name)
{
    struct known *v = find(name);

    return v ? v->name : 0;
}

const char *variable_change(const char *name, const char *value, const char **note)
{
    struct known *v = find(name);

    *note = 0;
    if (!v)
        return "there is no such variable";
    const char *why = assign(v, value);
    if (!why)
        *note = keep_set(v->name, v->value);
    /* A running client has its own service for this, and the channel's peer is not
     * kept waiting by a firmware that nobody calls. */
    if (client_entered)
        keep_close();
    return why;
}

const char *variable_default(const char *name, const char **note)
{
    struct known *v = find(name);

    *note = 0;
    if (!v)
        return "there is no such variable";
    if (!v->otherwise)
        return "the variable has no default";
    if (v->value != v->otherwise)
        heap_give((void *)v->value);
    v->value = v->otherwise;
    show(v);
    *note = keep_delete(v->name);
    if (client_entered)
        keep_close();
    return 0;
}

const char *variable_set(const char *name, const char *value)
{
    const char *note, *why = variable_change(name, value, &note);

    /* Without a channel it holds for this life: that is all there is. */
    return why ? why : note == keep_missing ? 0 : note;
}
