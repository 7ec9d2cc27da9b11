/*
 * gunzip against what gzip makes (test/filesystems.sh), at every level, whole, cut short
 * and damaged; and against members that gzip does not make.
 */
#include "../openboot/prompt.h"
#include "../openboot/ram.h"
#include "openboot_world.h"

static const char *folder;

static u8 *read_all(const char *name, u64 *bytes)
{
    char path[512];

    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = fopen(path, "rb");
    if (!file)
        return 0;
    fseek(file, 0, SEEK_END);
    *bytes = (u64)ftell(file);
    fseek(file, 0, SEEK_SET);
    u8 *all = malloc(*bytes + 1);
    CHECK_EQ(fread(all, 1, *bytes, file), *bytes);
    fclose(file);
    return all;
}

/* The packed bytes lie at the very end of what may be read. */
static const char *unpack(const u8 *packed, u64 bytes, struct image *out)
{
    *out = (struct image){0, 0};
    const char *why = gunzip((struct image){(u64)packed, bytes}, out);
    ram_check();
    CHECK(why || out->bytes <= ram_limit);
    CHECK(!why || out->bytes == 0);
    return why;
}

static void give(struct image *image)
{
    if (image->ra)
        ram_release(image->ra, image->bytes ? image->bytes : 1);
    CHECK_EQ(ram_used, 0);
}

static void check_same(const char *packed_name, const char *reference)
{
    u64 bytes, wanted;
    u8 *packed = read_all(packed_name, &bytes), *plain = read_all(reference, &wanted);
    struct image out;
    const char *why = unpack(packed, bytes, &out);

    if (why)
        printf("%s: %s\n", packed_name, why);
    CHECK(!why);
    CHECK_EQ(out.bytes, wanted);
    CHECK(!memcmp((void *)out.ra, plain, wanted));
    give(&out);
    free(packed);
    free(plain);
}

static void every_level_is_unpacked(void)
{
    char name[16];

    for (int level = 1; level <= 9; level++) {
        snprintf(name, sizeof name, "big%d.gz", level);
        check_same(name, "big.ref");
    }
    check_same("small.gz", "small.ref");
    check_same("zero.gz", "zero.ref");
    check_same("named.gz", "small.ref");
}

static void one_cut_short_is_refused_wherever_it_is_cut(void)
{
    u64 bytes;
    u8 *packed = read_all("small.gz", &bytes);
    struct image out;

    for (u64 cut = 0; cut < bytes; cut++) {
        /* Nothing behind the cut may be read: it is a copy of its own. */
        u8 *part = malloc(cut ? cut : 1);
        memcpy(part, packed, cut);
        CHECK(unpack(part, cut, &out));
        CHECK_EQ(ram_used, 0);
        free(part);
    }
    free(packed);
}

/* What follows a member is not its business, and its last four bytes are not its size. */
static void bytes_behind_the_member_do_not_matter(void)
{
    u64 bytes, wanted;
    u8 *packed = read_all("small.gz", &bytes), *plain = read_all("small.ref", &wanted);
    static const u8 tails[][8] = {{0},
                                  {1, 2, 3, 4, 0, 0, 0, 0},
                                  {255, 255, 255, 255, 255, 255, 255, 255},
                                  {9, 9, 9, 9, 1, 0, 0, 0}};
    struct image out;

    for (u64 i = 0; i < COUNT_OF(tails); i++) {
        u8 *longer = malloc(bytes + 8);
        memcpy(longer, packed, bytes);
        memcpy(longer + bytes, tails[i], 8);
        CHECK(!unpack(longer, bytes + 8, &out));
        CHECK_EQ(out.bytes, wanted);
        CHECK(!memcmp((void *)out.ra, plain, wanted));
        give(&out);
        free(longer);
    }
    free(packed);
    free(plain);
}

static void headers_of_all_kinds(void)
{
    u64 bytes;
    u8 *packed = read_all("small.gz", &bytes), longer[4096];
    struct image out;

    for (u8 flags = 0; flags < 32; flags++) {
        u64 at = 10;

        memcpy(longer, packed, 10);
        longer[3] = flags;
        if (flags & 4) {
            longer[at++] = 3;
            longer[at++] = 0;
            at += 3;
        }
        for (int text = 8; text <= 16; text *= 2)
            if (flags & text) {
                strcpy((char *)longer + at, "name");
                at += 5;
            }
        if (flags & 2)
            at += 2;
        memcpy(longer + at, packed + 10, bytes - 10);
        CHECK(!unpack(longer, at + bytes - 10, &out));
        CHECK_EQ(out.bytes, 1000);
        give(&out);
    }
    memcpy(longer, packed, bytes);
    longer[3] = 0x80;
    CHECK(!strcmp(unpack(longer, bytes, &out), "gzip: not a gzip file"));
    free(packed);
}

static void one_larger_than_memory_is_refused(void)
{
    u64 bytes, limit = ram_limit;
    u8 *packed = read_all("big6.gz", &bytes);
    struct image out;

    ram_limit = 65536;
    CHECK(!strcmp(unpack(packed, bytes, &out), "gzip: no memory for the unpacked image"));
    ram_limit = limit;
    CHECK_EQ(ram_used, 0);
    free(packed);
}

static u64 dice = 88172645463325252ul;

static u64 roll(u64 below)
{
    dice ^= dice << 13;
    dice ^= dice >> 7;
    dice ^= dice << 17;
    return dice % below;
}

#define ROUNDS 10000

static void ten_thousand_damaged_members_are_refused_or_right(void)
{
    static const char *const names[] = {"small.gz", "zero.gz", "named.gz", "big9.gz", "big1.gz"};
    static const char *const plains[] = {"small.ref", "zero.ref", "small.ref", "big.ref", "big.ref"};
    u64 refused = 0;

    for (u64 n = 0; n < COUNT_OF(names); n++) {
        u64 bytes, rounds = n < 3 ? ROUNDS / 4 : ROUNDS / 8;
        u8 *packed = read_all(names[n], &bytes);

        for (u64 round = 0; round < rounds; round++) {
            u64 length = roll(3) ? bytes : 1 + roll(bytes), changes = roll(8);
            u8 *damaged = malloc(length);
            struct image out;

            memcpy(damaged, packed, length);
            for (u64 i = 0; i < changes; i++)
                damaged[roll(roll(4) && length > 400 ? 400 : length)] ^= (u8)(1 << roll(8));
            const char *why = unpack(damaged, length, &out);
            refused += why != 0;
            /* The checksum: what is not refused is what was packed. */
            if (!why) {
                u64 wanted;
                u8 *plain = read_all(plains[n], &wanted);
                CHECK_EQ(out.bytes, wanted);
                CHECK(!memcmp((void *)out.ra, plain, wanted));
                free(plain);
            }
            give(&out);
            free(damaged);
        }
        free(packed);
    }
    CHECK(refused > ROUNDS / 2);
}

int main(int argc, char **argv)
{
    u64 bytes;

    folder = argv[1];
    CHECK(folder);
    if (!read_all("small.gz", &bytes)) {
        printf("  NOTHING TO UNPACK: e2fsprogs is not there\n");
        return 0;
    }
    TEST(every_level_is_unpacked);
    TEST(one_cut_short_is_refused_wherever_it_is_cut);
    TEST(bytes_behind_the_member_do_not_matter);
    TEST(headers_of_all_kinds);
    TEST(one_larger_than_memory_is_refused);
    TEST(ten_thousand_damaged_members_are_refused_or_right);
    return 0;
}
