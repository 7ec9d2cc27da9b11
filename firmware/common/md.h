/*
 * The machine description: a graph of nodes with properties, as one block of
 * bytes. Nothing in it is trusted: what does not parse is as if it were absent.
 *
 * Source: sun4v machine description, binary format 1.0.
 */
#ifndef COMMON_MD_H
#define COMMON_MD_H

#include <sun4v/types.h>

/* An opened description. A node is named by the index of its first element. */
struct md {
    const u8 *elements;
    u64 count;
    const char *names;
    u64 names_bytes;
    const u8 *data;
    u64 data_bytes;
};

#define MD_NONE (~0ul)

/* False when the block is not a machine description. */
int md_open(struct md *md, const void *block, u64 bytes);
/* The first node with this node name after node `after` (MD_NONE: from the start). */
u64 md_next(const struct md *md, u64 after, const char *name);
/* A number; false when there is none of that name. */
int md_value(const struct md *md, u64 node, const char *name, u64 *value);
/* A string, NUL-terminated inside the block; null when there is none. */
const char *md_string(const struct md *md, u64 node, const char *name);
/* A block of bytes; null when there is none. */
const u8 *md_data(const struct md *md, u64 node, const char *name, u64 *bytes);
/* The target of the nth arc of that name; MD_NONE when there are fewer. */
u64 md_arc(const struct md *md, u64 node, const char *name, u64 nth);
/* Does the node have this node name? */
int md_is(const struct md *md, u64 node, const char *name);
/* The node's first child (by "fwd" arcs) of that name; MD_NONE without. */
u64 md_child(const struct md *md, u64 node, const char *name);

#endif
