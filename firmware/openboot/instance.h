/*
 * Instances: opened devices, which clients name by ihandles: 32 bits, never 0 or -1.
 *
 * Source: IEEE 1275-1994, sections 3.4 and 6.3.2.3.
 */
#ifndef OPENBOOT_INSTANCE_H
#define OPENBOOT_INSTANCE_H

#include "tree.h"

enum instance_kind { INSTANCE_NONE, INSTANCE_CONSOLE, INSTANCE_MEMORY, INSTANCE_MMU, INSTANCE_NODE };

struct instance {
    u32 kind;
    struct node *node;
};

void instance_set_console(struct node *node);
void instance_set_memory(struct node *node);
void instance_set_mmu(struct node *node);
/* Tells /chosen of those that are always open. */
void instance_publish(struct node *chosen);

/* What an ihandle means; kind NONE when nothing. */
struct instance instance_of(u64 ihandle);
/* 0 when it cannot be opened. */
u32 instance_open(struct node *node);
void instance_close(u64 ihandle);

#endif
