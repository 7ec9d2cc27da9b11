/*
 * What the operator has put beside the firmware: behind its 4 MB, in the same boot
 * image. Offsets count from the header.
 */
#ifndef OPENBOOT_PAYLOAD_H
#define OPENBOOT_PAYLOAD_H

#include <sun4v/types.h>

#define PAYLOAD_MAGIC "LDLBOOT1"

struct payload_part {
    u64 offset, bytes; /* 0 bytes: there is none */
};

struct payload_header {
    char magic[8];
    u64 bytes; /* of all, with this header */
    struct payload_part kernel, initrd, arguments;
};

#endif
