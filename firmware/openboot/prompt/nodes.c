/* Words about the device tree. */
#include "../../common/bytes.h"
#include "../../common/format.h"
#include "../tree.h"
#include "edit.h"
#include "words.h"

#define NAME_COLUMNS 25
#define NUMBERS_A_LINE 6 /* of 32 bits */
#define BYTES_A_LINE 16
#define CHOICES_MAX 20

/* The device that is selected: by handle, for a device may go. */
static u32 selected;

static struct node *current(void)
{
    return selected ? node_of(selected) : 0;
}

/* The node after this one when all are walked, parents first. */
static struct node *after(struct node *node)
{
    if (node->child)
        return node->child;
    while (node && !node->peer)
        node = node->parent;
    return node ? node->peer : 0;
}

static void say_path(const struct node *node)
{
    char path[PATH_BYTES];

    tree_path(node, path, sizeof path);
    say_text(path);
    say_text("\n");
}

const char *word_show_devs(struct input *in)
{
    for (struct node *node = node_root(); node; node = after(node))
        if (node->parent)
            say_path(node);
    return 0;
}

/* --- choosing one of several --- */

static const char *choose(const char *name, const char *type)
{
    struct node *choices[CHOICES_MAX];
    char path[PATH_BYTES];
    u64 count = 0;

    for (struct node *node = node_root(); node && count < CHOICES_MAX; node = after(node))
        if (text_equal(node->name, name) ||
            text_equal(prop_read_text(node, "device_type", ""), type))
            choices[count++] = node;
    for (u64 i = 0; i < count; i++) {
        tree_path(choices[i], path, sizeof path);
        say("%c) %s\n", (int)('a' + i), path);
    }
    say_text("q) NO SELECTION\nEnter Selection, q to quit: ");
    int key = edit_key();
    if (key > ' ' && key < 0x7f)
        say("%c", key);
    say_text("\n");
    if (key < 'a' || (u64)(key - 'a') >= count)
        return 0;
    tree_path(choices[key - 'a'], path, sizeof path);
    edit_keep(path);
    say("%s has been selected.\n"
        "Type ^Y ( Control-Y ) to insert it in the command line.\n",
        path);
    return 0;
}

const char *word_show_disks(struct input *in)
{
    return choose("disk", "block");
}

const char *word_show_nets(struct input *in)
{
    return choose("network", "network");
}

/* --- the selected device --- */

static struct node *child_named(struct node *parent, const char *name)
{
    for (struct node *node = parent->child; node; node = node->peer) {
        usize length = text_length(node->name);

        if (text_equal(node->name, name))
            return node;
        if (text_length(name) > length && memcmp(name, node->name, length) == 0 &&
            name[length] == '@' && text_equal(name + length + 1, node->unit))
            return node;
    }
    return 0;
}

/* From the selected device on: "..", or names with slashes between them. */
static struct node *relative(const char *path)
{
    struct node *node = current();
    char name[WORD_BYTES];

    while (node && *path) {
        usize length = 0;

        for (; *path && *path != '/'; path++)
            name[length++] = *path;
        name[length] = 0;
        if (*path)
            path++;
        node = text_equal(name, "..") ? node->parent : child_named(node, name);
    }
    return node;
}

const char *word_cd(struct input *in)
{
    char path[WORD_BYTES];

    if (!next_word(in, path)) {
        selected = node_root()->phandle;
        return 0;
    }
    struct node *node = text_equal(path, "/") ? node_root() : relative(path);
    if (!node)
        node = tree_find(path, 0, 0);
    if (!node)
        return words_error(path, " : no such device");
    selected = node->phandle;
    return 0;
}

const char *word_device_end(struct input *in)
{
    selected = 0;
    return 0;
}

static const char none_selected[] = "No active device";

const char *word_pwd(struct input *in)
{
    if (!current())
        return none_selected;
    say_path(current());
    return 0;
}

static void say_hex(u64 value, int digits)
{
    char text[17];

    for (int i = 0; i < digits; i++)
        text[i] = "0123456789abcdef"[value >> 4 * (digits - 1 - i) & 15];
    text[digits] = 0;
    say_text(text);
}

const char *word_ls(struct input *in)
{
    if (!current())
        return none_selected;
    for (struct node *node = current()->child; node; node = node->peer) {
        say_hex(node->phandle, 8);
        say(*node->unit ? "  %s@%s\n" : "  %s%s\n", node->name, node->unit);
    }
    return 0;
}

static void next_column(u64 *column)
{
    say_text("\n");
    for (u64 i = 0; i < NAME_COLUMNS; i++)
        say_text(" ");
    *column = 0;
}

/* One string or several, each ended by NUL and none empty? */
static int is_text(const u8 *value, u64 length)
{
    u8 before = 0;

    if (!length || value[length - 1])
        return 0;
    for (u64 i = 0; i < length; before = value[i++])
        if (value[i] == 0 ? before == 0 : value[i] < ' ' || value[i] > '~')
            return 0;
    return 1;
}

static void say_value(const struct prop *prop)
{
    const u8 *value = prop->value;
    u64 width = prop->length % 4 ? 1 : 4, column = 0;

    if (is_text(value, prop->length)) {
        for (u64 at = 0; at < prop->length; at += text_length((const char *)value + at) + 1) {
            if (at)
                next_column(&column);
            say_text((const char *)value + at);
        }
        return;
    }
    for (u64 at = 0; at < prop->length; at += width, column++) {
        u64 number = 0;

        if (column == (width == 4 ? NUMBERS_A_LINE : BYTES_A_LINE))
            next_column(&column);
        for (u64 i = 0; i < width; i++)
            number = number << 8 | value[at + i];
        say_hex(number, (int)width * 2);
        say_text(" ");
    }
}

const char *word_properties(struct input *in)
{
    if (!current())
        return none_selected;
    for (struct prop *prop = current()->props; prop; prop = prop->next) {
        u64 length = text_length(prop->name);

        say_text(prop->name);
        do
            say_text(" ");
        while (++length < NAME_COLUMNS);
        say_value(prop);
        say_text("\n");
    }
    return 0;
}
