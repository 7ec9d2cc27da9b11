/* What needs no machine: text, bytes, checksums, dates, the machine description. */
#include "check.h"

#include "../common/bytes.h"
#include "../common/format.h"
#include "../common/md.h"
#include "../rover/block.h"
#include "../rover/clock.h"
#include "../rover/draw.h"
#include "../rover/net.h"

static const char *text(const char *format, ...)
{
    static char buffer[64];
    struct line line = line_in(buffer, sizeof buffer - 1);
    va_list args;

    va_start(args, format);
    line_vformat(&line, format, args);
    va_end(args);
    buffer[line.length] = 0;
    return buffer;
}

static void text_is_formatted_and_cut_at_the_end(void)
{
    CHECK(!strcmp(text("%s %u %d %x %c%%", "a", 18446744073709551615ul, -5l, 0xbeeful, 'c'),
                  "a 18446744073709551615 -5 beef c%"));
    CHECK(!strcmp(text("%u.%3 %i", 7ul, 5ul, 0xc0a80132ul), "7.005 192.168.1.50"));
    char small[4];
    struct line line = line_in(small, sizeof small);
    line_format(&line, "%u", 123456ul);
    CHECK_EQ(line.length, 4);
    CHECK(!memcmp(small, "1234", 4));
}

static void copies_are_right_at_every_alignment(void)
{
    static u8 from[256], to[256], want[256];

    for (int i = 0; i < 256; i++)
        from[i] = (u8)(i * 7 + 1);
    for (int s = 0; s < 9; s++)
        for (int d = 0; d < 9; d++)
            for (int n = 0; n < 100; n++) {
                for (int i = 0; i < 256; i++)
                    to[i] = want[i] = 0xee;
                for (int i = 0; i < n; i++)
                    want[d + i] = from[s + i];
                memcpy(to + d, from + s, (u64)n);
                for (int i = 0; i < 256; i++)
                    CHECK_EQ(to[i], want[i]);
            }
    for (int i = 0; i < 64; i++)
        to[i] = (u8)i;
    memmove(to + 3, to, 40);
    memmove(to, to + 5, 30);
    CHECK_EQ(to[0], 2);
    CHECK_EQ(to[29], 31);
    memset(to + 1, 0xab, 77);
    CHECK_EQ(to[0], 2);
    CHECK_EQ(to[1], 0xab);
    CHECK_EQ(to[77], 0xab);
    CHECK(to[78] != 0xab);
}

static void dates_are_those_of_the_calendar(void)
{
    static const struct {
        u64 seconds;
        const char *date;
    } cases[] = {
        {0, "1970-01-01 00:00:00"},          {951782400, "2000-02-29 00:00:00"},
        {1308301456, "2011-06-17 09:04:16"}, {4107542399, "2100-02-28 23:59:59"},
        {4107542400, "2100-03-01 00:00:00"},
    };
    for (u64 i = 0; i < COUNT_OF(cases); i++) {
        char buffer[32];
        struct line line = line_in(buffer, sizeof buffer - 1);
        line_date(&line, cases[i].seconds);
        buffer[line.length] = 0;
        CHECK(!strcmp(buffer, cases[i].date));
    }
}

static void the_internet_checksum_is_that_of_rfc_1071(void)
{
    static const u8 example[] ALIGNED(2) = {0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7};
    static const u8 odd[] ALIGNED(2) = {0x12, 0x34, 0x56};

    CHECK_EQ(checksum_fold(checksum_add(0, example, sizeof example)), 0x220d);
    CHECK_EQ(checksum_fold(checksum_add(0, odd, 3)), (u16)~(0x1234 + 0x5600));
}

static void addresses_parse_or_are_none(void)
{
    CHECK_EQ(net_parse_address("192.168.1.50"), 0xc0a80132);
    const char *none[] = {"", "1.2.3", "1.2.3.4.5", "1.2.3.256", "1..3.4", "1.2.3.4 ", "a.b.c.d"};
    for (u64 i = 0; i < COUNT_OF(none); i++)
        CHECK_EQ(net_parse_address(none[i]), 0);
}

/* FNV-1a over words, as slowly as it is defined. */
static u64 slow_sum(const u64 *words, u64 skip)
{
    u64 sum = 14695981039346656037ul;

    for (u64 i = 0; i < 1024; i++) {
        sum ^= i == skip ? 0 : words[i];
        sum *= 1099511628211ul;
    }
    return sum;
}

static void a_block_is_good_only_whole_and_in_its_place(void)
{
    static u64 block[1024] ALIGNED(64);

    for (u64 i = 0; i < 1024; i++)
        block[i] = i * 0x9e3779b97f4a7c15ul;
    memcpy(block, "RVRBLK01", 8);
    block[1] = 77;
    block[2] = 42;
    block[3] = slow_sum(block, 3);
    CHECK(block_good(block, 77));
    CHECK(!block_good(block, 78));
    CHECK_EQ(page_checksum(block), slow_sum(block, ~0ul));
    for (u64 i = 0; i < 1024; i += 73) {
        block[i] ^= 1ul << (i % 64);
        CHECK(!block_good(block, 77));
        block[i] ^= 1ul << (i % 64);
    }
    CHECK(block_good(block, 77));
}

static void a_picture_moves(void)
{
    u8 one[1012], two[1012];

    draw_picture(one, 3);
    draw_picture(two, 4);
    CHECK(memcmp(one, two, sizeof one) != 0);
    draw_picture(two, 3 + 128);
    CHECK(!memcmp(one, two, sizeof one));
    /* Threshold 6: in row 0, pixels 0 to 5. */
    CHECK_EQ(one[0], 0xfc);
}

/* --- a small machine description --- */

static u8 md_block[1024] ALIGNED(16);
static u64 md_elements;
static char md_names[256];
static u32 md_names_bytes;
static u8 data_bytes_of_md[64];
static u32 md_data_bytes;

static void put(u8 tag, const char *name, u64 value)
{
    u8 *e = md_block + 16 + 16 * md_elements++;
    u32 at = md_names_bytes;

    strcpy(md_names + at, name);
    md_names_bytes += (u32)strlen(name) + 1;
    e[0] = tag;
    e[1] = (u8)strlen(name);
    memcpy(e + 4, &at, 4);
    memcpy(e + 8, &value, 8);
}

static void put_string(const char *name, const char *value)
{
    u32 length = (u32)strlen(value) + 1;

    put('s', name, (u64)length << 32 | md_data_bytes);
    memcpy(data_bytes_of_md + md_data_bytes, value, length);
    md_data_bytes += length;
}

static u64 build_md(void)
{
    md_elements = md_names_bytes = md_data_bytes = 0;
    put('N', "root", 3);
    put('a', "fwd", 3);
    put('E', "", 0);
    put('N', "platform", 7);
    put('v', "stick-frequency", 1165379264);
    put(' ', "", 0);
    put('E', "", 0);
    put('N', "virtual-device", 12);
    put_string("name", "disk");
    put('a', "back", 0);
    put('a', "fwd", 12);
    put('E', "", 0);
    put('N', "virtual-device-port", 16);
    put('v', "id", 5);
    put('a', "fwd", 999);
    put('E', "", 0);
    put(0, "", 0);
    u32 header[4] = {0x10000, (u32)md_elements * 16, (md_names_bytes + 15) & ~15u,
                     (md_data_bytes + 15) & ~15u};
    memcpy(md_block, header, 16);
    u8 *names = md_block + 16 + header[1];
    memcpy(names, md_names, md_names_bytes);
    memcpy(names + header[2], data_bytes_of_md, md_data_bytes);
    return 16 + header[1] + header[2] + header[3];
}

static void a_machine_description_is_read(void)
{
    struct md md;
    u64 bytes = build_md(), value;

    CHECK(md_open(&md, md_block, bytes));
    u64 platform = md_next(&md, MD_NONE, "platform");
    CHECK(md_value(&md, platform, "stick-frequency", &value));
    CHECK_EQ(value, 1165379264);
    CHECK(!md_value(&md, platform, "stick", &value));
    u64 disk = md_next(&md, MD_NONE, "virtual-device");
    CHECK(!strcmp(md_string(&md, disk, "name"), "disk"));
    CHECK_EQ(md_next(&md, disk, "virtual-device"), MD_NONE);
    u64 port = md_child(&md, disk, "virtual-device-port");
    CHECK(md_value(&md, port, "id", &value));
    CHECK_EQ(value, 5);
    /* An arc that leads outside leads nowhere. */
    CHECK_EQ(md_arc(&md, port, "fwd", 0), MD_NONE);
    CHECK_EQ(md_arc(&md, disk, "fwd", 1), MD_NONE);
    CHECK(!md_value(&md, MD_NONE, "id", &value));
}

static void a_damaged_description_gives_nothing_and_breaks_nothing(void)
{
    u64 bytes = build_md();

    for (u64 cut = 0; cut < bytes; cut++) {
        struct md md;
        if (cut < 16 || md_open(&md, md_block, cut))
            CHECK(cut < 16);
    }
    /* Any byte wrong: whatever is found, nothing outside is touched. */
    for (u64 at = 0; at < bytes; at++)
        for (int bit = 0; bit < 8; bit++) {
            struct md md;
            u64 value;
            md_block[at] ^= (u8)(1 << bit);
            if (md_open(&md, md_block, bytes)) {
                u64 disk = md_next(&md, MD_NONE, "virtual-device");
                md_string(&md, disk, "name");
                md_value(&md, md_child(&md, disk, "virtual-device-port"), "id", &value);
            }
            md_block[at] ^= (u8)(1 << bit);
        }
}

int main(void)
{
    TEST(text_is_formatted_and_cut_at_the_end);
    TEST(copies_are_right_at_every_alignment);
    TEST(dates_are_those_of_the_calendar);
    TEST(the_internet_checksum_is_that_of_rfc_1071);
    TEST(addresses_parse_or_are_none);
    TEST(a_block_is_good_only_whole_and_in_its_place);
    TEST(a_picture_moves);
    TEST(a_machine_description_is_read);
    TEST(a_damaged_description_gives_nothing_and_breaks_nothing);
    return 0;
}
