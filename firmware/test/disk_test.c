/*
 * What stands on a disk: labels and file systems made by e2fsprogs and sfdisk (by
 * test/filesystems.sh), read byte for byte; and the same with damage, which may lead
 * to any answer but must lead to one.
 */
#include <stdarg.h>

#include "../openboot/disk/ext.h"
#include "../openboot/disk/label.h"
#include "../openboot/ram.h"
#include "openboot_world.h"

/* --- a disk that is a file --- */

static struct {
    struct source source;
    FILE *file;
    u8 *bytes; /* of one that is damaged */
    u64 reads;
    u8 *seen;  /* sectors that were read to find a file, one byte each */
} disk;

static const char *read_file(struct source *source, u64 sector, u64 count, u64 ra)
{
    disk.reads++;
    if (disk.seen && count <= 16)
        memset(disk.seen + sector, 1, count);
    CHECK_EQ(ra % 8, 0);
    CHECK(sector <= source->sectors && count <= source->sectors - sector);
    if (disk.bytes) {
        memcpy((void *)ra, disk.bytes + sector * 512, count * 512);
        return 0;
    }
    CHECK_EQ(fseek(disk.file, (long)(sector * 512), SEEK_SET), 0);
    CHECK_EQ(fread((void *)ra, 512, count, disk.file), count);
    return 0;
}

static const char *folder;

static FILE *open_file(const char *name)
{
    char path[512];

    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = fopen(path, "rb");
    if (!file)
        printf("%s: cannot be opened\n", path);
    CHECK(file);
    return file;
}

static u64 size_of(FILE *file)
{
    fseek(file, 0, SEEK_END);
    u64 bytes = (u64)ftell(file);
    fseek(file, 0, SEEK_SET);
    return bytes;
}

static void use(const char *image)
{
    static char is[64];

    if (disk.file && !strcmp(is, image))
        return;
    if (disk.file)
        fclose(disk.file);
    snprintf(is, sizeof is, "%s", image);
    disk.file = open_file(image);
    disk.source = (struct source){size_of(disk.file) / 512, read_file};
    source_forget();
}

static void clear(u64 ra, u64 bytes)
{
    memset((void *)ra, 0, bytes);
}

/* --- reading a file --- */

static const char *read_path(const char *partition, const char *path, u64 *ra, u64 *bytes)
{
    struct partition where;
    struct ext ext;
    struct ext_file file;
    const char *why = label_find(&disk.source, partition, &where);

    *ra = RAM_NONE;
    *bytes = 0;
    if (!why)
        why = ext_open(&ext, &where);
    if (!why)
        why = ext_find(&ext, path, &file);
    if (why)
        return why;
    *bytes = file.bytes;
    if (!file.bytes)
        return "empty";
    *ra = ram_claim(file.bytes, RAM_PAGE);
    if (*ra == RAM_NONE)
        return "no memory";
    memset((void *)*ra, 0x5a, file.bytes);
    why = ext_read(&ext, &file, *ra, clear);
    ram_check();
    return why;
}

static void check_read(const char *partition, const char *path, const char *reference)
{
    FILE *file = open_file(reference);
    u64 wanted = size_of(file), ra, bytes;
    const char *why = read_path(partition, path, &ra, &bytes);

    if (why)
        printf("%s: %s\n", path, why);
    CHECK(!why);
    CHECK_EQ(bytes, wanted);
    for (u64 at = 0; at < bytes;) {
        u8 part[65536];
        u64 count = fread(part, 1, sizeof part, file);
        CHECK(count);
        CHECK(!memcmp(part, (u8 *)ra + at, count));
        at += count;
    }
    fclose(file);
    ram_release(ra, bytes);
}

static void check_fail(const char *partition, const char *path, const char *text)
{
    u64 ra, bytes;
    const char *why = read_path(partition, path, &ra, &bytes);

    CHECK_EQ(ra, RAM_NONE);
    if (!why || !strstr(why, text))
        printf("%s: %s, not %s\n", path, why ? why : "was read", text);
    CHECK(why && strstr(why, text));
}

/* --- damage --- */

static u64 dice = 1;

static u64 roll(u64 below)
{
    dice ^= dice << 13;
    dice ^= dice >> 7;
    dice ^= dice << 17;
    return dice % below;
}

#define ROUNDS_EACH 1150

static u64 damaged_rounds, damaged_read;

/* The image with a few bytes changed where its metadata are. */
static void check_damaged(const char *partition, const char *path)
{
    u64 size = disk.source.sectors * 512;
    u8 *whole = malloc(size);

    fseek(disk.file, 0, SEEK_SET);
    CHECK_EQ(fread(whole, 1, size, disk.file), size);
    /* What is read to find the file, where anything stands there: there is no use in
     * damaging other bytes. */
    u64 *busy = malloc(size * sizeof *busy), count = 0, ra, bytes;
    disk.seen = calloc(1, size / 512);
    source_forget();
    CHECK(!read_path(partition, path, &ra, &bytes));
    ram_release(ra, bytes);
    for (u64 at = 0; at < size; at++)
        if (disk.seen[at / 512] && (whole[at] || roll(16) == 0))
            busy[count++] = at;
    free(disk.seen);
    disk.seen = 0;
    disk.bytes = malloc(size);
    memcpy(disk.bytes, whole, size);
    u64 limit = ram_limit;
    ram_limit = 4ul << 20;
    for (int round = 0; round < ROUNDS_EACH; round++) {
        u64 at[64], changes = 1 + roll(roll(2) ? 8 : 64);

        for (u64 i = 0; i < changes; i++) {
            at[i] = busy[roll(count)];
            static const u8 odd[] = {0, 0xff, 0x80, 1, 0x7f};
            disk.bytes[at[i]] = roll(3) ? (u8)roll(256) : odd[roll(sizeof odd)];
        }
        source_forget();
        disk.reads = 0;
        const char *why = read_path(partition, path, &ra, &bytes);
        CHECK(why || ra != RAM_NONE);
        CHECK(!why || *why);
        /* Bounded: no walk is longer than what is there. */
        CHECK(disk.reads < 200000);
        if (ra != RAM_NONE)
            ram_release(ra, bytes);
        damaged_rounds++;
        damaged_read += !why;
        for (u64 i = 0; i < changes; i++)
            disk.bytes[at[i]] = whole[at[i]];
    }
    ram_limit = limit;
    free(disk.bytes);
    disk.bytes = 0;
    free(busy);
    free(whole);
    source_forget();
}

/* --- labels made here --- */

static u8 label_disk[1 << 20];

static const char *read_label_disk(struct source *source, u64 sector, u64 count, u64 ra)
{
    CHECK(sector + count <= source->sectors);
    memcpy((void *)ra, label_disk + sector * 512, count * 512);
    return 0;
}

static void begin_label(void)
{
    memset(label_disk, 0, sizeof label_disk);
    source_forget();
}

static void sun_label_letters(void)
{
    struct source source = {sizeof label_disk / 512, read_label_disk};
    struct partition p;
    u16 *words = (u16 *)label_disk, sum = 0;

    begin_label();
    words[436 / 2] = 2;  /* heads */
    words[438 / 2] = 16; /* sectors */
    u32 table[] = {0, 320, 10, 640, 0, 2048, 60, 256};
    memcpy(label_disk + 444, table, sizeof table);
    words[508 / 2] = 0xdabe;
    for (int i = 0; i < 255; i++)
        sum ^= words[i];
    words[255] = sum;
    CHECK(!label_find(&source, "b", &p));
    CHECK_EQ(p.start, 320);
    CHECK_EQ(p.sectors, 640);
    CHECK(!label_find(&source, "c", &p));
    CHECK_EQ(p.sectors, 2048);
    CHECK(!label_find(&source, "", &p));
    CHECK_EQ(p.start, 0);
    CHECK_EQ(p.sectors, 2048);
    CHECK(!strcmp(label_find(&source, "d", &p), "the partition is not inside the disk"));
    CHECK(!strcmp(label_find(&source, "e", &p), "the disk has no such partition"));
    CHECK(!strcmp(label_find(&source, "i", &p), "the disk has no such partition"));
    /* A wrong sum is no label. */
    label_disk[3] ^= 1;
    source_forget();
    CHECK(!strcmp(label_find(&source, "b", &p), "the disk has no label"));
}

static void put_le32(u64 at, u32 value)
{
    for (int i = 0; i < 4; i++)
        label_disk[at + (u64)i] = (u8)(value >> 8 * i);
}

static void dos_entry(u64 sector, u64 n, u8 type, u32 start, u32 sectors)
{
    u64 at = sector * 512 + 446 + n * 16;

    label_disk[at + 4] = type;
    put_le32(at + 8, start);
    put_le32(at + 12, sectors);
    label_disk[sector * 512 + 510] = 0x55;
    label_disk[sector * 512 + 511] = 0xaa;
}

static void a_chain_of_logical_partitions_that_goes_round_ends(void)
{
    struct source source = {sizeof label_disk / 512, read_label_disk};
    struct partition p;

    begin_label();
    dos_entry(0, 0, 0x83, 8, 100);
    dos_entry(0, 1, 0x05, 200, 1000);
    dos_entry(200, 0, 0x83, 4, 10);
    dos_entry(200, 1, 0x05, 50, 100);
    dos_entry(250, 0, 0x83, 4, 20);
    dos_entry(250, 1, 0x05, 50, 100); /* itself */
    CHECK(!label_find(&source, "1", &p));
    CHECK_EQ(p.start, 8);
    CHECK(!label_find(&source, "5", &p));
    CHECK_EQ(p.start, 204);
    CHECK(!label_find(&source, "f", &p));
    CHECK_EQ(p.start, 254);
    CHECK_EQ(p.sectors, 20);
    CHECK(!label_find(&source, "26", &p));
    CHECK(label_find(&source, "27", &p));
    CHECK(label_find(&source, "0", &p));
    CHECK(label_find(&source, "99999999999999999999999", &p));
    CHECK(label_find(&source, "1x", &p));
}

static void a_disk_whose_size_is_not_known_is_read_up_to_its_end(void)
{
    struct source source = {SECTORS_UNKNOWN, read_label_disk};
    struct partition p;
    u8 byte;

    begin_label();
    label_disk[5] = 7;
    CHECK(!label_find(&source, "", &p));
    CHECK(!partition_bytes(&p, 5, &byte, 1));
    CHECK_EQ(byte, 7);
    CHECK(partition_bytes(&p, ~0ul - 3, &byte, 1));
    CHECK(partition_read(&p, ~0ul - 3, 8, (u64)label_disk));
    CHECK(partition_read(&p, 0, ~0ul, (u64)label_disk));
}

int main(int argc, char **argv)
{
    char line[512];
    u64 reads = 0, fails = 0;

    TEST(sun_label_letters);
    TEST(a_chain_of_logical_partitions_that_goes_round_ends);
    TEST(a_disk_whose_size_is_not_known_is_read_up_to_its_end);
    ram_limit = 256ul << 20;
    folder = argv[1];
    CHECK(folder);
    FILE *manifest = open_file("manifest");
    while (fgets(line, sizeof line, manifest)) {
        char kind[16], image[64], name[16], path[256], text[128];
        int fields = sscanf(line, "%15s %63s %15s %255s %127[^\n]", kind, image, name, path, text);
        const char *partition = !strcmp(name, "-") ? "" : name;

        CHECK(fields >= 3);
        use(image);
        if (!strcmp(kind, "read")) {
            check_read(partition, path, text);
            reads++;
        } else if (!strcmp(kind, "fail")) {
            check_fail(partition, path, text);
            fails++;
        } else if (!strcmp(kind, "dirty")) {
            struct partition where;
            struct ext ext;
            CHECK(!label_find(&disk.source, partition, &where));
            CHECK(!ext_open(&ext, &where));
            CHECK(ext.dirty);
        } else {
            check_damaged(partition, path);
        }
    }
    if (!reads) {
        printf("  NO FILE SYSTEMS TO READ: e2fsprogs is not there\n");
        return 0;
    }
    printf("  ok %lu files read byte for byte, %lu refused for the right reason\n", reads, fails);
    printf("  ok %lu damaged disks: %lu read, the others refused\n", damaged_rounds, damaged_read);
    return 0;
}
