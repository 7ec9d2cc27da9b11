/*
 * A client: the program that is loaded and entered.
 *
 * Source: ELF-64, SPARC V9 ABI; Linux's boot header "HdrS" (head_64.S);
 * IEEE 1275-1994, section 3.6.
 */
#ifndef OPENBOOT_CLIENT_H
#define OPENBOOT_CLIENT_H

#include <sun4v/types.h>

/* Bytes in the domain's memory. */
struct image {
    u64 ra;
    u64 bytes; /* 0: there is none */
};

/* What the operator has put beside the firmware. */
struct payload {
    struct image kernel;
    struct image initrd;
    const char *arguments; /* "" without */
};
extern struct payload payload;

/* Loads an ELF64 image (plain or gzip) and enters it with `arguments` as bootargs and
 * `path` as bootpath; returns only when it cannot, with a line for a person why. */
const char *client_start(struct image kernel, struct image initrd, const char *path,
                         const char *arguments);
/* A client has been entered since the domain was started. */
extern int client_entered;

#endif
