/*
 * The device tree: nodes with names and properties.
 *
 * A phandle is the node's number plus one: 32 bits, never 0 or -1. Names of
 * nodes are without their unit address; what a node is called in a path comes
 * from `unit`. Values are copied; integers of properties are 32 bits, big-endian.
 *
 * Source: IEEE 1275-1994, sections 3.2 and 6.3.
 */
#ifndef OPENBOOT_TREE_H
#define OPENBOOT_TREE_H

#include <sun4v/types.h>

#define NODE_NAME_BYTES 32   /* with the NUL */
#define PROP_NAME_BYTES 32
#define PATH_BYTES 256

struct prop {
    struct prop *next;
    char name[PROP_NAME_BYTES];
    void *value; /* may be null when length is 0 */
    u32 length;
};

struct node {
    u32 phandle;
    char name[NODE_NAME_BYTES];
    char unit[NODE_NAME_BYTES]; /* text after the @, or empty */
    struct node *parent, *child, *peer;
    struct prop *props;         /* in the order in which they were made */
};

/* A node below `parent` (null: the root); after its elder siblings. It has the
 * property "name" already. Null without memory. */
struct node *node_new(struct node *parent, const char *name, const char *unit);
struct node *node_root(void);
struct node *node_of(u32 phandle); /* null when there is none */

/* Sets a property, whether there is one or not; false without memory. */
int prop_set(struct node *node, const char *name, const void *value, u32 length);
int prop_text(struct node *node, const char *name, const char *text);   /* with its NUL */
int prop_u32(struct node *node, const char *name, u32 value);
void prop_delete(struct node *node, const char *name);
struct prop *prop_find(const struct node *node, const char *name);
/* A property's text, or `otherwise`. */
const char *prop_read_text(const struct node *node, const char *name, const char *otherwise);

/* The node that a path or alias names: "/virtual-devices@100/console",
 * "disk0:a,/vmlinux". Unit addresses may be left out. Arguments after the last
 * colon are put into `arguments` (may be null) without the colon. */
struct node *tree_find(const char *path, char *arguments, usize bytes);
/* The path of a node, cut to the buffer; its length. */
usize tree_path(const struct node *node, char *path, usize bytes);

#endif
