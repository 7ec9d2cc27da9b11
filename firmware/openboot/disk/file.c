/* Files of a disk, into memory of the domain. */
#include "file.h"

#include "../../common/bytes.h"
#include "../../common/format.h"
#include "../prompt/edit.h"
#include "../ram.h"
#include "ext.h"
#include "label.h"
#include "vdisk.h"

#define FILE_BYTES_MAX (1ul << 40)
/* A partition of less holds no superblock. */
#define SECTORS_MIN 4

/* Tried in this order when no file is named. */
static const char *const usual[] = {"/vmlinux",      "/boot/vmlinux", "/vmlinuz",
                                    "/boot/vmlinuz", "/boot/image",   "/image"};

/* "`what`: `why`". */
static const char *about(const char *what, const char *why)
{
    static char text[FILE_PATH_BYTES + 160];
    struct line line = line_in(text, sizeof text - 1);

    line_format(&line, "%s: %s", what, why);
    line.text[line.length] = 0;
    return text;
}

static void clear(u64 ra, u64 bytes)
{
    memset(ram_window(ra), 0, bytes);
}

void file_release(struct image *image)
{
    if (image->bytes)
        ram_release(image->ra, image->bytes);
    *image = (struct image){0, 0};
}

static const char *load(const struct ext *ext, const struct ext_file *file, struct image *image)
{
    if (!file->bytes)
        return "the file is empty";
    if (file->bytes > FILE_BYTES_MAX)
        return "the file is too large";
    /* Pages are whole sectors. */
    u64 ra = ram_claim(file->bytes, RAM_PAGE);
    if (ra == RAM_NONE)
        return "no memory for the file";
    const char *why = ext_read(ext, file, ra, clear);
    if (why)
        ram_release(ra, file->bytes);
    else
        *image = (struct image){ra, file->bytes};
    return why;
}

static const char *load_named(const struct ext *ext, const char *path, struct image *image)
{
    struct ext_file file;
    const char *why = ext_find(ext, path, &file);

    return why ? why : load(ext, &file, image);
}

static void name_kernel(struct file_loaded *loaded, const char *path)
{
    usize length = text_length(path);

    if (length >= sizeof loaded->name)
        length = sizeof loaded->name - 1;
    memcpy(loaded->name, path, length);
    loaded->name[length] = 0;
}

static const char *load_kernel(const struct ext *ext, const struct file_wanted *wanted,
                               struct file_loaded *loaded)
{
    struct ext_file file;

    if (*wanted->kernel) {
        const char *why = load_named(ext, wanted->kernel, &loaded->kernel);
        name_kernel(loaded, wanted->kernel);
        return why ? about(wanted->kernel, why) : 0;
    }
    for (u64 i = 0; i < COUNT_OF(usual); i++) {
        if (ext_find(ext, usual[i], &file))
            continue;
        const char *why = load(ext, &file, &loaded->kernel);
        name_kernel(loaded, usual[i]);
        return why ? about(usual[i], why) : 0;
    }
    return "no file is named, and none is where kernels usually are (/vmlinux, /boot/vmlinux, ...)";
}

/* The first partition that holds a file system, when the disk itself does not. */
static const char *first_with_files(struct source *source, struct partition *partition,
                                    struct file_loaded *loaded)
{
    int is;
    const char *why = ext_is(partition, &is);

    if (why || is)
        return why;
    for (u64 n = 0; n < LABEL_PARTITIONS_MAX; n++) {
        if (label_nth(source, n, partition) || partition->sectors < SECTORS_MIN)
            continue;
        why = ext_is(partition, &is);
        if (why)
            return why;
        if (is) {
            loaded->partition[0] = (char)('a' + n);
            return 0;
        }
    }
    return "no ext2, ext3 or ext4 file system on the disk";
}

/* The partition that is named, or what may have been meant. */
static const char *choose(struct source *source, const char *name, struct partition *partition,
                          struct file_loaded *loaded)
{
    const char *why = label_find(source, name, partition);

    for (u64 i = 0; i < sizeof loaded->partition - 1 && name[i]; i++)
        loaded->partition[i] = name[i];
    return *name || why ? why : first_with_files(source, partition, loaded);
}

static const char *load_both(struct source *source, const struct file_wanted *wanted,
                             struct file_loaded *loaded)
{
    struct partition partition;
    struct ext ext;
    const char *why = choose(source, wanted->partition, &partition, loaded);

    if (!why)
        why = ext_open(&ext, &partition);
    if (why)
        return *loaded->partition ? about(loaded->partition, why) : why;
    if (ext.dirty)
        say("Warning: the file system was not unmounted; its journal is not played back.\n");
    why = load_kernel(&ext, wanted, loaded);
    if (!why && *wanted->initrd) {
        why = load_named(&ext, wanted->initrd, &loaded->initrd);
        if (why)
            why = about(wanted->initrd, why);
    }
    return why;
}

const char *file_load(const struct file_wanted *wanted, struct file_loaded *loaded)
{
    struct source *source;
    const char *why = vdisk_open(wanted->disk, &source);

    memset(loaded, 0, sizeof *loaded);
    if (!why)
        why = load_both(source, wanted, loaded);
    vdisk_close();
    if (why) {
        file_release(&loaded->kernel);
        file_release(&loaded->initrd);
    }
    return why;
}
