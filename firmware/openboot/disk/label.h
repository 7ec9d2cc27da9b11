/*
 * Disk labels: Sun's VTOC (letters a to h), MS-DOS partitions (numbers from 1 on,
 * or letters; logical ones from 5 on) and GPT (numbers from 1 on, or letters).
 *
 * Errors: no label; no such partition; a partition that leaves the disk.
 *
 * Source: Sun disk label as in Linux block/partitions/sun.h; MS-DOS partition
 * table; UEFI specification, section 5.3 (GPT).
 */
#ifndef OPENBOOT_DISK_LABEL_H
#define OPENBOOT_DISK_LABEL_H

#include "source.h"

#define LABEL_PARTITIONS_MAX 26

/* The partition that `name` names: "" the whole disk, "a" or "1" the first. Null, or
 * why not. */
const char *label_find(struct source *source, const char *name, struct partition *partition);
/* The nth partition in order, from 0; why not when it is empty or there is none. */
const char *label_nth(struct source *source, u64 n, struct partition *partition);

#endif
