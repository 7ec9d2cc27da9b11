/* What the firmware's parts stand on in tests: heap, memory, a small device tree, a
 * console that a script types at. The rest of the world is check.h's. */
#ifndef TEST_OPENBOOT_WORLD_H
#define TEST_OPENBOOT_WORLD_H

#include <sun4v/types.h>

#include "check.h"

/* Memory of the domain that ram_claim may give out; every claim has a guard behind it. */
extern u64 ram_limit, ram_used;
/* No guard was written to. */
void ram_check(void);

/* Keys to come; '\x80' is a break, '\x81' a hang-up. Called when they are used up. */
void console_type(const char *keys);
extern void (*console_dry)(void);
/* Everything that the console was told since the last console_clear. */
extern char console_said[1 << 20];
extern u64 console_length;
void console_clear(void);

/* The machine description: nodes are added, then it is what MACH_DESC answers. */
void md_begin(void);
u64 md_node(const char *name);
void md_add_value(const char *name, u64 value);
void md_add_string(const char *name, const char *text);
void md_add_arc(const char *name, u64 to);
void md_end_node(void);

/* Called at every look at the clock, which has moved by `world_step` nanoseconds then. */
extern void (*world_turn)(void);
extern u64 world_step;

/* How the domain ended: -1 it runs, 0 power-off, 1 restart. Then `world_end` is jumped to. */
extern int world_ended;
int world_try(void (*body)(void)); /* runs it; what world_ended became */

/* What client_start was last given. */
struct started {
    int count;
    u64 kernel_bytes, initrd_bytes;
    u8 kernel[64], initrd[64];
    char path[256], arguments[1024];
};
extern struct started started;

#endif
