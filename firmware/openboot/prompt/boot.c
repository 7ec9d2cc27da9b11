/*
 * Finding a client and starting it; the prompt around that.
 *
 * `boot [device] [arguments]`: the first word is a device when it is an alias or a
 * path of the tree. Without one it is what the operator put beside the firmware, or
 * else each device of `boot-device` until one works. A file is named by the device
 * ("disk:a,/vmlinux"), or by the first argument when that begins with a slash; an
 * argument "initrd=/path" names a second file of the same file system.
 *
 * Source: IEEE 1275-1994, section 7.4.3; OpenBoot 4.x Command Reference, `boot`; for
 * initrd=, SILO.
 */
#include <sun4v/hcall.h>

#include "../../common/bytes.h"
#include "../../common/format.h"
#include "../console.h"
#include "../disk/file.h"
#include "../disk/order.h"
#include "../prompt.h"
#include "../tree.h"
#include "edit.h"
#include "variables.h"
#include "words.h"

#define MACH_SIR 0x02 /* starts the domain again */
#define ARGUMENTS_BYTES 1024

/* Where a client is taken from. */
struct device {
    const struct node *node;
    char partition[8];
    char file[FILE_PATH_BYTES];
};

static int leaving;  /* "go" was said */
static int resuming; /* and means something */

static void NORETURN restart(void)
{
    for (;;)
        hv_call(MACH_SIR, 0, 0, 0, 0, 0);
}

/* --- devices --- */

/* An alias (its name up to what follows it), or a path? One that is none of the tree
 * and does not look like it ("@", ":") is a file's. */
static int names_device(const char *text)
{
    struct node *aliases = tree_find("/aliases", 0, 0);
    char name[WORD_BYTES];
    usize length = 0;

    if (*text == '/') {
        for (const char *c = text; *c; c++)
            if (*c == '@' || *c == ':')
                return 1;
        return tree_find(text, 0, 0) != 0;
    }
    for (; text[length] && text[length] != ':' && text[length] != '/' && text[length] != '@';
         length++)
        name[length] = text[length];
    name[length] = 0;
    return aliases && length && prop_find(aliases, name) && !text_equal(name, "name");
}

/* "a,/vmlinux", "/vmlinux", "a": partition and file. */
static const char *take_arguments(struct device *device, const char *arguments)
{
    usize length = 0;

    while (*arguments && *arguments != ',' && *arguments != '/' && *arguments != '\\') {
        if (length == sizeof device->partition - 1)
            return "no such partition";
        device->partition[length++] = *arguments++;
    }
    device->partition[length] = 0;
    if (*arguments == ',')
        arguments++;
    for (length = 0; *arguments; arguments++) {
        if (length == sizeof device->file - 1)
            return "the file's path is too long";
        device->file[length++] = *arguments == '\\' ? '/' : *arguments;
    }
    device->file[length] = 0;
    return 0;
}

static const char *find_device(const char *text, struct device *device)
{
    char arguments[WORD_BYTES] = "";
    struct node *node = tree_find(text, arguments, sizeof arguments);

    *device = (struct device){.node = node};
    if (!node)
        return "no such device";
    if (text_equal(node->name, "network") ||
        text_equal(prop_read_text(node, "device_type", ""), "network"))
        return "booting from a network is not supported";
    struct prop *reg = prop_find(node, "reg");
    if (!text_equal(node->name, "disk") || !reg || reg->length < 4)
        return "is not a device to boot from";
    return take_arguments(device, arguments);
}

/* The value of an argument "initrd=/path"; "" without. */
static void find_initrd(const char *arguments, char *path)
{
    static const char key[] = "initrd=/";
    struct input in = {arguments};
    char text[WORD_BYTES];

    *path = 0;
    while (next_word(&in, text))
        if (text_length(text) >= sizeof key - 1 && memcmp(text, key, sizeof key - 1) == 0)
            memcpy(path, text + sizeof key - 2, text_length(text) - (sizeof key - 2) + 1);
}

/* --- starting --- */

static void say_start(const char *path, const char *file, const char *arguments)
{
    say_end();
    say_text("Boot device: ");
    say_text(path);
    say_text("  File and args: ");
    say_text(file);
    say_text(*file && *arguments ? " " : "");
    say_text(arguments);
    say_text("\n");
}

static const char *boot_disk(struct device *device, const char *arguments)
{
    static char path[PATH_BYTES + 8];
    static struct file_loaded loaded;
    char initrd[FILE_PATH_BYTES], word[WORD_BYTES];
    struct input in = {arguments};
    const u8 *reg = prop_find(device->node, "reg")->value;

    /* A file may be named by the first argument as well, which is then none. */
    if (!*device->file && *arguments == '/' && next_word(&in, word)) {
        memcpy(device->file, word, text_length(word) + 1);
        arguments = in.at;
        while (*arguments == ' ')
            arguments++;
    }
    find_initrd(arguments, initrd);
    usize length = tree_path(device->node, path, PATH_BYTES);
    struct line line = line_in(path, sizeof path - 1);
    line.length = length < PATH_BYTES ? length : PATH_BYTES - 1;
    if (*device->partition)
        line_format(&line, ":%s", device->partition);
    path[line.length] = 0;
    say_start(path, device->file, arguments);

    struct file_wanted wanted = {be32(reg), device->partition, device->file, initrd};
    const char *why = file_load(&wanted, &loaded);
    if (why)
        return why;
    if (!*device->partition && *loaded.partition) {
        line_format(&line, ":%s", loaded.partition);
        path[line.length] = 0;
    }
    say("%s: %u bytes\n", loaded.name, loaded.kernel.bytes);
    if (*initrd)
        say("%s: %u bytes\n", initrd, loaded.initrd.bytes);
    why = client_start(loaded.kernel, loaded.initrd, path, arguments);
    file_release(&loaded.kernel);
    file_release(&loaded.initrd);
    return words_error(words_error(loaded.name, ": "), why);
}

static const char *boot_payload(const char *arguments)
{
    const char *given = *arguments ? arguments : payload.arguments;

    if (!*given)
        given = variable("boot-file");
    say_start("memory", "", given);
    return words_error("the kernel beside the firmware: ",
                       client_start(payload.kernel, payload.initrd, "", given));
}

static const char *boot_from(const char *text, const char *arguments)
{
    struct device device;
    const char *why = find_device(text, &device);

    if (!why && *arguments == 0)
        arguments = variable("boot-file");
    if (!why)
        why = boot_disk(&device, arguments);
    return words_error(words_error(text, ": "), why);
}

/* The devices of `boot-device`, one after the other. */
static const char *boot_list(const char *arguments)
{
    static char list[VARIABLE_BYTES];
    struct input in = {list};
    char text[WORD_BYTES];
    const char *why = "boot: no device: boot-device is empty";

    memcpy(list, variable("boot-device"), text_length(variable("boot-device")) + 1);
    while (next_word(&in, text)) {
        why = boot_from(text, arguments);
        if (edit_interrupted())
            return why;
        say_end();
        say_text(why);
        say_text("\n");
        why = "boot: no device of boot-device could be booted from";
    }
    return why;
}

const char *word_boot(struct input *in)
{
    static char arguments[ARGUMENTS_BYTES];
    char first[WORD_BYTES];
    struct input ahead = *in;

    if (client_entered) {
        rest_of_line(in, arguments, sizeof arguments);
        prompt_reboot(arguments);
    }
    edit_calm();
    if (next_word(&ahead, first) && names_device(first)) {
        *in = ahead;
        rest_of_line(in, arguments, sizeof arguments);
        return boot_from(first, arguments);
    }
    rest_of_line(in, arguments, sizeof arguments);
    return payload.kernel.bytes ? boot_payload(arguments) : boot_list(arguments);
}

/* --- the prompt --- */

const char *word_go(struct input *in)
{
    if (!resuming)
        return "No program is active";
    leaving = 1;
    in->at += text_length(in->at);
    return 0;
}

const char *word_reset(struct input *in)
{
    say_end();
    restart();
}

const char *word_power_off(struct input *in)
{
    say_end();
    for (;;)
        hv_call(HV_MACH_EXIT, 0, 0, 0, 0, 0);
}

static void run(const char *line)
{
    const char *why = words_run(line);

    if (why) {
        say_end();
        say_text(why);
        say_text("\n");
    }
}

void prompt(int resumable)
{
    static char line[EDIT_LINE_BYTES];
    int outer = resuming;

    resuming = resumable;
    leaving = 0;
    if (resumable) {
        say_end();
        say_text("Type  'go' to resume\n");
    }
    while (!leaving)
        if (edit_line("{0} ok ", line))
            run(line);
    leaving = 0;
    resuming = outer;
}

/* What is to happen without a person; returns when it did not work. */
static void boot_unattended(void)
{
    static char command[VARIABLE_BYTES];
    const char *note, *again = variable("reboot-command");

    if (*again) {
        memcpy(command, again, text_length(again) + 1);
        variable_default("reboot-command", &note);
        say("Rebooting with command: %s\n", command);
        run(command);
    } else if (variable_true("auto-boot?")) {
        memcpy(command, variable("boot-command"), text_length(variable("boot-command")) + 1);
        run(command);
    }
}

void NORETURN prompt_boot(void)
{
    edit_calm();
    if (variable_true("use-nvramrc?"))
        run("nvrun");
    banner();
    if (edit_interrupted())
        say("Break: auto-boot is off for this start.\n");
    else
        boot_unattended();
    for (;;)
        prompt(0);
}

void NORETURN prompt_reboot(const char *arguments)
{
    static char command[VARIABLE_BYTES];
    struct line line = line_in(command, sizeof command - 1);
    const char *note;

    while (*arguments == ' ')
        arguments++;
    line_text(&line, "boot");
    if (*arguments)
        line_format(&line, " %s", arguments);
    command[line.length] = 0;
    const char *why = variable_change("reboot-command", command, &note);
    if (why || note)
        say("reboot-command: %s\n", why ? why : note);
    restart();
}

const char *prompt_interpret(const char *text)
{
    return words_run(text);
}
