/* Instances: opened devices. */
#include "instance.h"

#define FIRST 0xf0010000u
#define STEP 0x40u
#define INSTANCES_MAX 32

enum { STDIN, STDOUT, MEMORY, MMU, OTHERS };

static struct instance instances[INSTANCES_MAX];

static u32 ihandle(u32 n)
{
    return FIRST + n * STEP;
}

void instance_set_console(struct node *node)
{
    instances[STDIN] = instances[STDOUT] = (struct instance){INSTANCE_CONSOLE, node};
}

void instance_set_memory(struct node *node)
{
    instances[MEMORY] = (struct instance){INSTANCE_MEMORY, node};
}

void instance_set_mmu(struct node *node)
{
    instances[MMU] = (struct instance){INSTANCE_MMU, node};
}

void instance_publish(struct node *chosen)
{
    prop_u32(chosen, "stdin", ihandle(STDIN));
    prop_u32(chosen, "stdout", ihandle(STDOUT));
    prop_u32(chosen, "memory", ihandle(MEMORY));
    prop_u32(chosen, "mmu", ihandle(MMU));
}

static struct instance *find(u64 handle)
{
    u64 at = handle - FIRST;

    return at % STEP || at / STEP >= INSTANCES_MAX ? 0 : &instances[at / STEP];
}

struct instance instance_of(u64 handle)
{
    struct instance *instance = find(handle & 0xffffffff);

    return instance ? *instance : (struct instance){0};
}

u32 instance_open(struct node *node)
{
    if (!node)
        return 0;
    for (u32 n = 0; n < OTHERS; n++)
        if (instances[n].node == node)
            return ihandle(n);
    for (u32 n = OTHERS; n < INSTANCES_MAX; n++)
        if (!instances[n].kind) {
            instances[n] = (struct instance){INSTANCE_NODE, node};
            return ihandle(n);
        }
    return 0;
}

void instance_close(u64 handle)
{
    struct instance *instance = find(handle & 0xffffffff);

    if (instance && instance >= &instances[OTHERS])
        *instance = (struct instance){0};
}
