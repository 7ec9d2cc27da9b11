/* From the machine description to the device tree. */
#ifndef OPENBOOT_DESCRIBE_H
#define OPENBOOT_DESCRIBE_H

#include "../common/md.h"

/* The domain's machine description. */
extern struct md md;

/* Reads it; null, or why not. */
const char *md_read(void);
/* Makes the tree; null, or why not. */
const char *describe(void);

#endif
