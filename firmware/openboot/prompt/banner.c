/*
 * What this machine is, in the lines that a person looks for.
 *
 * Source: IEEE 1275-1994, section 7.4.5 (banner); the format of IDPROM as in Linux
 * asm/idprom.h.
 */
#include "../../common/bytes.h"
#include "../../common/format.h"
#include "../disk/order.h"
#include "../prompt.h"
#include "../tree.h"
#include "edit.h"
#include "variables.h"
#include "words.h"

#define IDPROM_BYTES 32
#define IDPROM_MAC 2
#define IDPROM_SERIAL 12
/* A serial number is the host id without its upper four bits. */
#define SERIAL_MASK 0x0fffffff

static const char *openprom(const char *property, const char *otherwise)
{
    struct node *node = tree_find("/openprom", 0, 0);

    return node ? prop_read_text(node, property, otherwise) : otherwise;
}

static const char no_version[] = "ldomlab guest firmware";

static const u8 *idprom(void)
{
    static const u8 none[IDPROM_BYTES];
    struct prop *prop = prop_find(node_root(), "idprom");

    return prop && prop->length >= IDPROM_BYTES ? prop->value : none;
}

/* "0:14:4f:f9:ed:88" */
static void add_mac(struct line *line)
{
    const u8 *mac = idprom() + IDPROM_MAC;

    for (int i = 0; i < 6; i++)
        line_format(line, i ? ":%x" : "%x", (u64)mac[i]);
}

/* Megabytes of all memory nodes. */
static u64 memory_megabytes(void)
{
    struct node *node = tree_find("/memory", 0, 0);
    struct prop *reg = node ? prop_find(node, "reg") : 0;
    u64 bytes = 0;

    for (u64 at = 0; reg && at + 16 <= reg->length; at += 16) {
        const u8 *size = (const u8 *)reg->value + at + 8;
        bytes += (u64)be32(size) << 32 | be32(size + 4);
    }
    return bytes >> 20;
}

void banner(void)
{
    const u8 *id = idprom(), *serial = id + IDPROM_SERIAL;
    u64 host = (u64)id[1] << 24 | (u64)serial[0] << 16 | (u64)serial[1] << 8 | serial[2];
    char mac[24];
    struct line line = line_in(mac, sizeof mac - 1);

    add_mac(&line);
    mac[line.length] = 0;
    say_end();
    if (variable_true("oem-banner?"))
        say("\n%s\n", variable("oem-banner"));
    else
        say("\n%s, No Keyboard\n", prop_read_text(node_root(), "banner-name", "sun4v"));
    say("%s, %u MB memory installed, Serial #%u.\n", openprom("version", no_version),
        memory_megabytes(), host & SERIAL_MASK);
    say("Ethernet address %s, Host ID: %x.\n\n\n", mac, host);
}

const char *word_banner(struct input *in)
{
    banner();
    return 0;
}

const char *word_version(struct input *in)
{
    say("%s\n", openprom("version", no_version));
    return 0;
}

const char *word_enet_addr(struct input *in)
{
    char mac[24];
    struct line line = line_in(mac, sizeof mac - 1);

    add_mac(&line);
    mac[line.length] = 0;
    say("%s", mac);
    return 0;
}

const char *word_speed(struct input *in)
{
    struct node *cpu = tree_find("/cpu", 0, 0);
    struct prop *clock = cpu ? prop_find(cpu, "clock-frequency") : 0;
    u64 hz = clock && clock->length == 4 ? be32(clock->value) : 0;

    if (!hz)
        return "The speed of the processor is not known";
    say("CPU Speed : %u.%u%uMHz\n", hz / 1000000, hz / 100000 % 10, hz / 10000 % 10);
    return 0;
}
