/*
 * The ok prompt, typed at by a script: what the console shows is test/prompt.transcript,
 * byte for byte (UPDATE=1 writes it anew). And 10^5 lines of noise.
 */
#include "../openboot/console.h"
#include "../openboot/prompt.h"
#include "../openboot/prompt/edit.h"
#include "../openboot/prompt/variables.h"
#include "../openboot/prompt/words.h"
#include "../openboot/tree.h"
#include "openboot_world.h"

static void make_tree(void)
{
    struct node *root = node_root(), *node, *bus;
    u8 idprom[32] = {1, 0x84, 0, 0x14, 0x4f, 0xfa, 0xed, 0x88, 0, 0, 0, 0, 0xfa, 0xed, 0x88};
    u64 memory[] = {0x8000000, 512ul << 20};
    u32 numbers[] = {1, 2, 3, 4, 5, 6, 7, 0xdeadbeef};

    prop_text(root, "name", "SUNW,SPARC-Enterprise-T5120");
    prop_text(root, "banner-name", "SPARC Enterprise T5120");
    prop_u32(root, "stick-frequency", 1165379275);
    prop_set(root, "idprom", idprom, sizeof idprom);
    node = node_new(root, "openprom", "");
    prop_text(node, "model", "ldomlab,1");
    prop_text(node, "version", "OBP 4.33.0 ldomlab 1");
    node = node_new(root, "aliases", "");
    prop_text(node, "disk", "/virtual-devices@100/channel-devices@200/disk@0");
    prop_text(node, "disk0", "/virtual-devices@100/channel-devices@200/disk@0");
    prop_text(node, "disk1", "/virtual-devices@100/channel-devices@200/disk@1");
    prop_text(node, "net", "/virtual-devices@100/channel-devices@200/network@0");
    node = node_new(root, "memory", "m0,8000000");
    prop_set(node, "reg", memory, sizeof memory);
    node = node_new(root, "cpu", "0");
    prop_u32(node, "clock-frequency", 1165379275);
    bus = node_new(root, "virtual-devices", "100");
    prop_u32(bus, "reg", 0xc0000100);
    node = node_new(bus, "console", "1");
    prop_text(node, "device_type", "serial");
    bus = node_new(bus, "channel-devices", "200");
    prop_set(bus, "compatible", "SUNW,sun4v-channel-devices\0other", 33);
    prop_set(bus, "empty", "", 0);
    prop_set(bus, "numbers", numbers, sizeof numbers);
    prop_set(bus, "bytes", "\1\2\3\4\5\6\7", 7);
    node = node_new(bus, "disk", "0");
    prop_text(node, "device_type", "block");
    prop_u32(node, "reg", 0);
    node = node_new(bus, "disk", "1");
    prop_text(node, "device_type", "block");
    prop_u32(node, "reg", 1);
    node = node_new(bus, "network", "0");
    prop_text(node, "device_type", "network");
    prop_u32(node, "reg", 0);
    md_begin();
    md_node("variables");
    md_add_string("auto-boot?", "FALSE");
    md_add_string("boot-device", "disk1 net");
    md_add_string("fill-percent", "55");
    md_add_string("security-#badlogins", "many");
    md_end_node();
}

static const char script[] =
    "printenv\r"
    "PRINTENV Auto-Boot?\r"
    "setenv auto-boot? maybe\r"
    "setenv auto-boot? True\r"
    "setenv screen-#rows 5x\r"
    "setenv screen-#rows 25\r"
    "setenv boot-file   -v  -s  \r"
    "setenv colour red\r"
    "setenv\r"
    "set-default boot-file\r"
    "set-default fill-percent\r"
    "setenv security-mode full\r"
    "printenv nonsense\r"
    "3 4 + .\r"
    "ff 1 + . decimal 255 1 + . hex\r"
    "10 d# 10 h# a .s\r"
    "drop drop drop drop\r"
    "1 0 /\r"
    "7 2 - dup * . 6 3 swap / .\r"
    "8000000000000000 decimal -1 / . hex\r"
    "12345678901234567\r"
    ".\" hello\" cr .\" there\" ( no ) \\ 1 2 nothing\r"
    "foo\r"
    "1 2 bar 3\r"
    ".s\r"
    "devalias\r"
    "devalias mydisk /virtual-devices/channel-devices/disk@1\r"
    "devalias mydisk\r"
    "devalias nosuch\r"
    "devalias a/b /x\r"
    "nvalias rootdisk /virtual-devices@100/channel-devices@200/disk@1\r"
    "nvalias second disk0:b\r"
    "nvalias rootdisk /virtual-devices@100/channel-devices@200/disk@0\r"
    "printenv nvramrc\r"
    "printenv use-nvramrc?\r"
    "nvunalias rootdisk\r"
    "nvunalias rootdisk\r"
    "printenv nvramrc\r"
    "nvrun\r"
    "show-devs\r"
    "show-disks\rb"
    "\x19\r"
    "show-nets\rq"
    "pwd\r"
    "cd /virtual-devices/channel-devices\r"
    "pwd ls .properties\r"
    "cd disk@1\r"
    "pwd\r"
    "cd ..\r"
    "cd nothing\r"
    "cd ../console pwd\r"
    "dev rootdisk\r"
    "device-end pwd\r"
    "cd disk pwd\r"
    "banner\r"
    ".version .speed .enet-addr\r"
    "probe-scsi-all\r"
    "sifting env\r"
    "words\r"
    "help boot\r"
    "help\r"
    "go\r"
    "\x80\x80" /* breaks */
    "boot disk0 -s\r"
    "boot net\r"
    "boot cpu\r"
    "boot /cpu@0\r"
    "boot /virtual-devices/channel-devices/disk@7:a\r"
    "boot disk0:abcdefghij,/vmlinux\r"
    "boot -v\r"
    /* line editing */
    "3 4 +x\x7f .\r"
    "garbage\x15 1 .\r"
    "1 2 +  word \x17\x17 9 .s drop drop drop\r"
    "24 .\x01\x06\b3\x05\r"
    "7 .\x02\x02 5 . \x0b.\r"
    "abandoned\x03" /* ^C */
    "\x10\x10\r"
    "\x1b[A\x1b[A\x1b[B\r"
    "1\x1b[D2\x1b[C .\x1b[3~\x1b[H\x04\x1b[F\r"
    "hang up\x81"
    "\xff\xfe" "1 .\r\n"
    "2 .\n"
    "\r"
    "set-defaults\r"
    "printenv boot-device\r"
    "1 \x12.\r"
    "power-off\r";

static void type_script(void)
{
    console_type(script);
    variables_init();
    prompt_boot();
}

static void a_person_types(void)
{
    char *expected = calloc(1, sizeof console_said);
    const char *name = "test/prompt.transcript";

    make_tree();
    console_clear();
    CHECK_EQ(world_try(type_script), 0);
    if (getenv("UPDATE")) {
        FILE *file = fopen(name, "wb");
        CHECK(file && fwrite(console_said, 1, console_length, file) == console_length);
        fclose(file);
    }
    FILE *file = fopen(name, "rb");
    CHECK(file);
    u64 length = fread(expected, 1, sizeof console_said - 1, file);
    fclose(file);
    for (u64 at = 0, line = 1; at < length || at < console_length; at++) {
        if (expected[at] != console_said[at]) {
            printf("%s:%lu: differs: %.40s, not %.40s\n", name, line, console_said + at,
                   expected + at);
            exit(1);
        }
        line += expected[at] == '\n';
    }
    free(expected);
}

/* --- what happens without a person --- */

static void boot_now(void)
{
    variables_init();
    prompt_boot();
}

static void say_power_off(void)
{
    console_type("power-off\r");
}

static void a_payload_is_started_with_its_arguments(void)
{
    static u8 kernel[64] = "kernel", initrd[64] = "initrd";

    md_begin();
    payload.kernel = (struct image){(u64)kernel, sizeof kernel};
    payload.initrd = (struct image){(u64)initrd, 32};
    payload.arguments = "root=/dev/vdiska1 ro";
    started.count = 0;
    console_dry = say_power_off;
    CHECK_EQ(world_try(boot_now), 0);
    CHECK_EQ(started.count, 1);
    CHECK(!strcmp(started.arguments, "root=/dev/vdiska1 ro"));
    CHECK(!memcmp(started.kernel, kernel, 64));
    CHECK_EQ(started.initrd_bytes, 32);
    /* Typed arguments stand in for the operator's. */
    console_type("boot -s\r");
    CHECK_EQ(world_try(boot_now), 0);
    CHECK(!strcmp(started.arguments, "-s"));
}

static void a_break_stops_auto_boot(void)
{
    started.count = 0;
    console_clear();
    console_type("\x80" "1 2 +\x80 .\r");
    CHECK_EQ(world_try(boot_now), 0);
    CHECK_EQ(started.count, 0);
    CHECK(strstr(console_said, "auto-boot is off"));
    CHECK(strstr(console_said, "{0} ok 1 2 + .\n3 \n"));
}

static void auto_boot_false_stops_at_the_prompt(void)
{
    md_begin();
    md_node("variables");
    md_add_string("auto-boot?", "false");
    md_end_node();
    started.count = 0;
    CHECK_EQ(world_try(boot_now), 0);
    CHECK_EQ(started.count, 0);
    /* But a command that the life before left is run. */
    md_begin();
    md_node("variables");
    md_add_string("auto-boot?", "false");
    md_add_string("reboot-command", "boot -r");
    md_end_node();
    CHECK_EQ(world_try(boot_now), 0);
    CHECK_EQ(started.count, 1);
    CHECK(!strcmp(started.arguments, "-r"));
    CHECK(!strcmp(variable("reboot-command"), ""));
}

static void nvramrc_is_run_before_anything_else(void)
{
    md_begin();
    md_node("variables");
    md_add_string("auto-boot?", "true");
    md_add_string("use-nvramrc?", "true");
    md_add_string("nvramrc", "devalias other /virtual-devices/channel-devices/disk@0\n"
                             ".\" from nvramrc\"\nnvrun\nsetenv boot-command 1");
    md_end_node();
    started.count = 0;
    console_clear();
    CHECK_EQ(world_try(boot_now), 0);
    CHECK(strstr(console_said, "from nvramrc\nnvrun: is running\n"));
    CHECK(tree_find("other", 0, 0) != 0);
    CHECK_EQ(started.count, 1);
}

static void enter(void)
{
    prompt(1);
    console_type("power-off\r");
    prompt(0);
}

static void go_goes_on_with_a_client(void)
{
    client_entered = 1;
    started.count = 0;
    console_clear();
    console_type("1 .\rgo nowhere\r");
    CHECK_EQ(world_try(enter), 0);
    CHECK(strstr(console_said, "Type  'go' to resume\n{0} ok 1 .\n1 \n{0} ok go nowhere\n"));
    /* To boot is to start the domain again. */
    console_type("boot disk1 -v\r");
    CHECK_EQ(world_try(enter), 1);
    CHECK_EQ(started.count, 0);
    CHECK(!strcmp(variable("reboot-command"), "boot disk1 -v"));
    client_entered = 0;
}

static void interpret_reset(void)
{
    prompt_interpret("reset-all");
}

static void reboot(void)
{
    prompt_reboot("net:dhcp  -s");
}

static void what_clients_interpret(void)
{
    CHECK(!prompt_interpret(""));
    CHECK(!prompt_interpret("1 2 + drop"));
    CHECK(!strcmp(prompt_interpret("stdout @ is my-self"), "stdout ?"));
    CHECK_EQ(world_try(interpret_reset), 1);
    CHECK_EQ(world_try(reboot), 1);
    CHECK(!strcmp(variable("reboot-command"), "boot net:dhcp  -s"));
}

/* --- noise --- */

#define LINES 100000

static u64 dice = 2463534242;
static u64 lines_left;

static u64 roll(u64 below)
{
    dice ^= dice << 13;
    dice ^= dice >> 7;
    dice ^= dice << 17;
    return dice % below;
}

static void make_noise(void)
{
    static char line[700];
    u64 length = 0, wanted = roll(8) ? roll(40) : roll(640);

    if (!lines_left--) {
        console_type("\x03\x1b\x1b\x1bpower-off\r\rpower-off\r");
        return;
    }
    while (length < wanted) {
        static const char odd[] = "\b\x7f\x15\x17\x03\x01\x05\x02\x06\x0b\x04\x19\x10\x0e\x12"
                                  "\x1b[\x1bO\x80\x81\n\t \xff:/@\"(\\";
        const char *part = words[roll(words_count)].name;

        switch (roll(6)) {
        case 0:
            line[length++] = (char)(1 + roll(255));
            break;
        case 1:
            line[length++] = odd[roll(sizeof odd - 1)];
            break;
        case 2:
            line[length++] = "0123456789abcdef-"[roll(17)];
            break;
        default: {
            static const char *const more[] = {
                "nvramrc",          "auto-boot?", "true", "disk:a,/x", "boot-device",
                "/virtual-devices", "..",         "net",  "initrd=/y", "use-nvramrc?"};
            if (roll(3) == 0)
                part = more[roll(COUNT_OF(more))];
            /* Those that end the test are for its end. */
            if (!strcmp(part, "power-off") || strstr(part, "reset"))
                break;
            if (length + strlen(part) + 2 < sizeof line) {
                strcpy(line + length, part);
                length += strlen(part);
                line[length++] = ' ';
            }
        }
        }
    }
    line[length++] = '\r';
    line[length] = 0;
    console_type(line);
}

static void noise(void)
{
    variables_init();
    for (;;)
        prompt(1);
}

static void a_hundred_thousand_lines_of_noise(void)
{
    payload.kernel.bytes = 0;
    md_begin();
    lines_left = LINES;
    console_dry = make_noise;
    CHECK_EQ(world_try(noise), 0);
    CHECK(lines_left + 2 < 4);
    /* All variables are still what they may be. */
    const char *name, *value, *otherwise;
    for (u64 i = 0; variable_nth(i, &name, &value, &otherwise); i++)
        CHECK(strlen(value) < VARIABLE_BYTES);
}

int main(void)
{
    TEST(a_person_types);
    TEST(a_payload_is_started_with_its_arguments);
    TEST(a_break_stops_auto_boot);
    TEST(auto_boot_false_stops_at_the_prompt);
    TEST(nvramrc_is_run_before_anything_else);
    TEST(go_goes_on_with_a_client);
    TEST(what_clients_interpret);
    TEST(a_hundred_thousand_lines_of_noise);
    return 0;
}
