/*
 * Files of a disk, into memory of the domain.
 *
 * Errors: one line, from static memory, that names the partition and the file.
 */
#ifndef OPENBOOT_DISK_FILE_H
#define OPENBOOT_DISK_FILE_H

#include "../client.h"

#define FILE_PATH_BYTES 256

/* What to take from which disk. */
struct file_wanted {
    u64 disk;               /* its number */
    const char *partition;  /* "": the whole disk, or the first partition with a file system */
    const char *kernel;     /* "": where kernels usually are */
    const char *initrd;     /* "": none */
};

struct file_loaded {
    struct image kernel, initrd;
    char partition[4];              /* the one it was taken from; "" the whole disk */
    char name[FILE_PATH_BYTES];     /* of the kernel */
};

/* Loads them and closes the disk again; null, or why not. Memory taken for what was
 * loaded before an error is given back. */
const char *file_load(const struct file_wanted *wanted, struct file_loaded *loaded);
/* Gives the memory of an image back. */
void file_release(struct image *image);

#endif
