/* Words about variables and aliases. */
#include "../../common/bytes.h"
#include "../../common/format.h"
#include "../prompt.h"
#include "../tree.h"
#include "edit.h"
#include "keep.h"
#include "variables.h"
#include "words.h"

#define NAME_COLUMNS 24
#define VALUE_COLUMNS 31

/* Text, and blanks up to a column; at least one. */
static void say_padded(const char *text, u64 columns)
{
    u64 length = text_length(text);

    say_text(text);
    do
        say_text(" ");
    while (++length < columns);
}

/* Values of several lines: the first, and that there are more. */
static void say_value(const char *value, u64 columns)
{
    char first[EDIT_LINE_BYTES];
    struct line line = line_in(first, sizeof first - 1);

    for (; *value && *value != '\n'; value++)
        line_char(&line, *value);
    if (*value && value[1])
        line_text(&line, " ...");
    first[line.length] = 0;
    say_padded(first, columns);
}

/* A change that was made: the new value, and whether it will be there again. */
static void say_changed(const char *name, const char *note)
{
    say("%s =", name);
    for (u64 length = text_length(name) + 2; length < NAME_COLUMNS; length++)
        say_text(" ");
    say_text(variable(name));
    say_end();
    if (note)
        say("%s: for this life of the domain only: %s\n", name, note);
}

static const char *one(const char *name)
{
    const char *is = variable_name(name);

    if (!is)
        return words_error("unknown variable: ", name);
    say_changed(is, 0);
    return 0;
}

const char *word_printenv(struct input *in)
{
    char name[WORD_BYTES];
    const char *is, *value, *otherwise;

    if (next_word(in, name))
        return one(name);
    say_padded("Variable Name", NAME_COLUMNS);
    say_padded("Value", VALUE_COLUMNS);
    say_text("Default Value\n\n");
    for (u64 i = 0; variable_nth(i, &is, &value, &otherwise); i++) {
        say_padded(is, NAME_COLUMNS);
        say_value(value, VALUE_COLUMNS);
        say_text(otherwise ? otherwise : "No default");
        say_text("\n");
    }
    return 0;
}

const char *word_setenv(struct input *in)
{
    char name[WORD_BYTES], value[EDIT_LINE_BYTES];
    const char *note;

    if (!next_word(in, name))
        return "setenv: which variable?";
    rest_of_line(in, value, sizeof value);
    const char *is = variable_name(name);
    if (!is)
        return words_error("unknown variable: ", name);
    const char *why = variable_change(is, value, &note);
    if (why)
        return words_error("setenv: ", why);
    say_changed(is, note);
    return 0;
}

const char *word_set_default(struct input *in)
{
    char name[WORD_BYTES];
    const char *note;

    if (!next_word(in, name))
        return "set-default: which variable?";
    const char *is = variable_name(name);
    if (!is)
        return words_error("unknown variable: ", name);
    const char *why = variable_default(is, &note);
    if (why)
        return words_error("set-default: ", why);
    say_changed(is, note);
    return 0;
}

const char *word_set_defaults(struct input *in)
{
    const char *is, *value, *otherwise, *note = 0;

    say_text("Setting NVRAM parameters to default values.\n");
    for (u64 i = 0; variable_nth(i, &is, &value, &otherwise); i++)
        if (otherwise && !text_equal(value, otherwise)) {
            variable_default(is, &note);
            if (note)
                say("%s: for this life of the domain only: %s\n", is, note);
        }
    return 0;
}

/* --- aliases --- */

static struct node *aliases(void)
{
    return tree_find("/aliases", 0, 0);
}

static void say_alias(const struct prop *prop)
{
    if (text_equal(prop->name, "name"))
        return;
    say_padded(prop->name, NAME_COLUMNS);
    say_text(prop->length ? prop->value : "");
    say_end();
}

static const char *make_alias(const char *name, const char *path)
{
    struct node *node = aliases();

    if (text_length(name) >= PROP_NAME_BYTES)
        return words_error("the name of an alias is too long: ", name);
    for (const char *c = name; *c; c++)
        if (*c == '/' || *c == ':' || *c == ',')
            return words_error("no name for an alias: ", name);
    if (!node || text_equal(name, "name") || !prop_text(node, name, path))
        return words_error("the alias cannot be made: ", name);
    return 0;
}

const char *word_devalias(struct input *in)
{
    char name[WORD_BYTES], path[PATH_BYTES];
    struct node *node = aliases();

    if (!next_word(in, name)) {
        for (struct prop *prop = node ? node->props : 0; prop; prop = prop->next)
            say_alias(prop);
        return 0;
    }
    if (rest_of_line(in, path, sizeof path))
        return make_alias(name, path);
    struct prop *prop = node ? prop_find(node, name) : 0;
    if (!prop)
        return words_error(name, " : no such alias");
    say_alias(prop);
    return 0;
}

/* --- nvramrc: lines, of which "devalias NAME PATH" are aliases that are kept --- */

static int is_alias_line(const char *line, const char *name)
{
    struct input in = {line};
    char text[WORD_BYTES];
    char first[VARIABLE_BYTES];
    usize length = 0;

    for (; line[length] && line[length] != '\n'; length++)
        first[length] = line[length];
    first[length] = 0;
    in.at = first;
    return next_word(&in, text) && same_name(text, "devalias") && next_word(&in, text) &&
           text_equal(text, name);
}

/* nvramrc without an alias; true when it was there. */
static int without_alias(const char *name, struct line *out)
{
    const char *at = variable("nvramrc");
    int found = 0;

    while (*at) {
        int drop = is_alias_line(at, name);

        found |= drop;
        while (*at && *at != '\n') {
            if (!drop)
                line_char(out, *at);
            at++;
        }
        if (*at)
            at++;
        if (!drop)
            line_char(out, '\n');
    }
    return found;
}

static const char *keep_nvramrc(const char *text, const char *use)
{
    const char *note = 0, *why = variable_change("nvramrc", text, &note);

    if (!why && use) {
        const char *first = note;
        why = variable_change("use-nvramrc?", use, &note);
        note = note ? note : first;
    }
    if (note)
        say("nvramrc: for this life of the domain only: %s\n", note);
    return why;
}

static char built[VARIABLE_BYTES + 2];

const char *word_nvalias(struct input *in)
{
    char name[WORD_BYTES], path[PATH_BYTES];

    if (!next_word(in, name) || !rest_of_line(in, path, sizeof path))
        return "nvalias: alias and path, please";
    const char *why = make_alias(name, path);
    if (why)
        return why;
    struct line line = line_in(built, sizeof built - 1);
    without_alias(name, &line);
    line_format(&line, "devalias %s %s\n", name, path);
    built[line.length] = 0;
    return keep_nvramrc(built, "true");
}

const char *word_nvunalias(struct input *in)
{
    char name[WORD_BYTES];

    if (!next_word(in, name))
        return "nvunalias: which alias?";
    struct line line = line_in(built, sizeof built - 1);
    int found = without_alias(name, &line);
    built[line.length] = 0;
    if (!found)
        return words_error(name, " : nvramrc has no such alias");
    struct node *node = aliases();
    if (node && !text_equal(name, "name"))
        prop_delete(node, name);
    return keep_nvramrc(built, 0);
}

const char *word_nvrun(struct input *in)
{
    static char text[VARIABLE_BYTES];
    static int running;
    char *at = text;
    const char *why = 0;

    /* nvramrc may name this word, and change itself. */
    if (running)
        return "nvrun: is running";
    running = 1;
    memcpy(text, variable("nvramrc"), text_length(variable("nvramrc")) + 1);
    while (*at && !why) {
        char *line = at;

        while (*at && *at != '\n')
            at++;
        if (*at)
            *at++ = 0;
        why = words_run(line);
    }
    running = 0;
    return why;
}
