/* The dictionary, and how a line is read. */
#include "words.h"

#include "../../common/bytes.h"
#include "../../common/format.h"
#include "edit.h"
#include "variables.h"

static const char *word_help(struct input *in);
static const char *word_words(struct input *in);
static const char *word_sifting(struct input *in);
static const char *word_probe(struct input *in);
static const char *word_text(struct input *in);
static const char *word_cr(struct input *in);
static const char *word_comment(struct input *in);
static const char *word_remark(struct input *in);

const struct word words[] = {
    {"boot", word_boot, "[device] [arguments]  loads a program and enters it"},
    {"go", word_go, "goes on with the program that was entered"},
    {"reset-all", word_reset, "starts the domain again"},
    {"reset", word_reset, "starts the domain again"},
    {"power-off", word_power_off, "stops the domain"},
    {"banner", word_banner, "says what this machine is"},
    {".version", word_version, "says what this firmware is"},
    {".speed", word_speed, "says how fast the processor is"},
    {".enet-addr", word_enet_addr, "says the Ethernet address"},
    {"printenv", word_printenv, "[variable]  shows variables and their defaults"},
    {"setenv", word_setenv, "variable value  changes a variable"},
    {"set-default", word_set_default, "variable  sets it to its default"},
    {"set-defaults", word_set_defaults, "sets all variables to their defaults"},
    {"devalias", word_devalias, "[alias [path]]  shows aliases, or makes one for now"},
    {"nvalias", word_nvalias, "alias path  makes an alias that is kept"},
    {"nvunalias", word_nvunalias, "alias  forgets an alias that was kept"},
    {"nvrun", word_nvrun, "runs the lines of nvramrc"},
    {"show-devs", word_show_devs, "shows all devices"},
    {"show-disks", word_show_disks, "shows disks; one may be chosen for ^Y"},
    {"show-nets", word_show_nets, "shows network interfaces; one may be chosen for ^Y"},
    {"probe-scsi-all", word_probe, "shows SCSI devices, of which there are none"},
    {"cd", word_cd, "path  selects a device"},
    {"dev", word_cd, "path  selects a device"},
    {"find-device", word_cd, "path  selects a device"},
    {"device-end", word_device_end, "selects no device"},
    {"ls", word_ls, "shows what is below the selected device"},
    {"pwd", word_pwd, "shows the path of the selected device"},
    {".properties", word_properties, "shows the properties of the selected device"},
    {"help", word_help, "[word]  says what words do"},
    {"words", word_words, "shows all words"},
    {"sifting", word_sifting, "text  shows words that contain it"},
    {"+", word_add, "( a b -- a+b )"},
    {"-", word_subtract, "( a b -- a-b )"},
    {"*", word_multiply, "( a b -- a*b )"},
    {"/", word_divide, "( a b -- a/b )"},
    {".", word_print, "( n -- )  prints a number"},
    {".s", word_stack, "prints the stack"},
    {"dup", word_dup, "( n -- n n )"},
    {"drop", word_drop, "( n -- )"},
    {"swap", word_swap, "( a b -- b a )"},
    {"over", word_over, "( a b -- a b a )"},
    {"hex", word_hex, "numbers are hexadecimal from here on"},
    {"decimal", word_decimal, "numbers are decimal from here on"},
    {"h#", word_hex_number, "number  in hexadecimal"},
    {"d#", word_decimal_number, "number  in decimal"},
    {".\"", word_text, "text\"  prints the text"},
    {"cr", word_cr, "begins a new line"},
    {"\\", word_comment, "the rest of the line is a remark"},
    {"(", word_remark, "a remark, up to the next )"},
};
const u64 words_count = COUNT_OF(words);

/* An error may be made of others that were made just before. */
#define ERRORS 8

/* --- reading --- */

static void skip_blanks(struct input *in)
{
    while (*in->at == ' ' || *in->at == '\t')
        in->at++;
}

int next_word(struct input *in, char *to)
{
    usize length = 0;

    skip_blanks(in);
    for (; *in->at && *in->at != ' ' && *in->at != '\t'; in->at++)
        if (length < WORD_BYTES - 1)
            to[length++] = *in->at;
    to[length] = 0;
    return length != 0;
}

int rest_of_line(struct input *in, char *to, usize bytes)
{
    usize length = 0;

    skip_blanks(in);
    for (; *in->at; in->at++)
        if (length < bytes - 1)
            to[length++] = *in->at;
    while (length && (to[length - 1] == ' ' || to[length - 1] == '\t'))
        length--;
    to[length] = 0;
    return length != 0;
}

const char *words_error(const char *what, const char *why)
{
    static char texts[ERRORS][2 * WORD_BYTES];
    static u32 next;
    char *text = texts[next++ % ERRORS];
    struct line line = line_in(text, sizeof texts[0] - 1);

    line_format(&line, "%s%s", what, why);
    text[line.length] = 0;
    return text;
}

static const struct word *find(const char *name)
{
    for (u64 i = 0; i < words_count; i++)
        if (same_name(words[i].name, name))
            return &words[i];
    return 0;
}

const char *words_run(const char *line)
{
    struct input in = {line};
    char name[WORD_BYTES];
    const char *why = 0;

    while (!why && next_word(&in, name)) {
        const struct word *word = find(name);

        if (word)
            why = word->run(&in);
        else if (!number_word(name, &why))
            why = words_error(name, " ?");
    }
    if (why)
        numbers_clear();
    return why;
}

/* --- words about words --- */

static const char *word_help(struct input *in)
{
    char name[WORD_BYTES];

    if (next_word(in, name)) {
        const struct word *word = find(name);
        if (!word)
            return words_error(name, " ?");
        say("%s %s\n", word->name, word->help);
        return 0;
    }
    for (u64 i = 0; i < words_count; i++)
        say("%s %s\n", words[i].name, words[i].help);
    return 0;
}

static int contains(const char *text, const char *part)
{
    for (; *text; text++) {
        usize n = 0;
        while (part[n] && text[n] == part[n])
            n++;
        if (!part[n])
            return 1;
    }
    return 0;
}

static void show_words(const char *part)
{
    u64 column = 0;

    for (u64 i = 0; i < words_count; i++) {
        u64 length = text_length(words[i].name) + 1;

        if (!contains(words[i].name, part))
            continue;
        if (column + length > 78) {
            say_text("\n");
            column = 0;
        }
        say("%s ", words[i].name);
        column += length;
    }
    say_end();
}

static const char *word_words(struct input *in)
{
    show_words("");
    return 0;
}

static const char *word_sifting(struct input *in)
{
    char part[WORD_BYTES];

    if (!next_word(in, part))
        return "sifting: which text?";
    show_words(part);
    return 0;
}

static const char *word_probe(struct input *in)
{
    return 0;
}

/* Text up to `end`, or to the end of the line; printed when `show`. */
static void text_up_to(struct input *in, char end, int show)
{
    char c[2] = {0, 0};

    if (*in->at)
        in->at++;
    for (; *in->at && *in->at != end; in->at++)
        if (show) {
            c[0] = *in->at;
            say_text(c);
        }
    if (*in->at)
        in->at++;
}

static const char *word_text(struct input *in)
{
    text_up_to(in, '"', 1);
    return 0;
}

static const char *word_cr(struct input *in)
{
    say_text("\n");
    return 0;
}

static const char *word_comment(struct input *in)
{
    in->at += text_length(in->at);
    return 0;
}

static const char *word_remark(struct input *in)
{
    text_up_to(in, ')', 0);
    return 0;
}
