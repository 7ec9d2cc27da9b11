/* Lines from a person, and text to one. */
#include "edit.h"

#include <stdarg.h>

#include "../../common/bytes.h"
#include "../../common/format.h"
#include "../console.h"

#define CTRL(letter) ((letter) & 0x1f)
#define DELETE 0x7f
#define ESCAPE 0x1b

#define HISTORY 16
#define AHEAD 128 /* keys typed ahead */
/* A look at the console costs a hypercall; whoever polls looks this seldom. */
#define LOOK_EVERY 64

static int begun; /* there is text in the line that is being written */

void say_text(const char *text)
{
    usize length = text_length(text);

    if (length) {
        console_text(text);
        begun = text[length - 1] != '\n';
    }
}

void say(const char *format, ...)
{
    char text[EDIT_LINE_BYTES];
    struct line line = line_in(text, sizeof text - 1);
    va_list args;

    va_start(args, format);
    line_vformat(&line, format, args);
    va_end(args);
    text[line.length] = 0;
    say_text(text);
}

void say_end(void)
{
    if (begun)
        say_text("\n");
}

/* --- keys --- */

static char ahead[AHEAD];
static u32 ahead_count, looks;
static int broken;

/* The keys that are there: characters are kept as long as there is room, the others stay
 * where they are; a break is noted. */
static void look(void)
{
    while (ahead_count < AHEAD) {
        int key = console_key();

        if (key == KEY_BREAK)
            broken = 1;
        else if (key == KEY_HANGUP)
            ahead_count = 0;
        else if (key < 0)
            return;
        else
            ahead[ahead_count++] = (char)key;
    }
}

int edit_interrupted(void)
{
    if (looks++ % LOOK_EVERY == 0)
        look();
    return broken;
}

void edit_calm(void)
{
    looks = 0;
    broken = 0;
}

/* A character, or KEY_HANGUP. */
static int key(void)
{
    for (;;) {
        if (ahead_count) {
            int first = (u8)ahead[0];
            memmove(ahead, ahead + 1, --ahead_count);
            return first;
        }
        int next = console_wait();
        if (next >= 0 || next == KEY_HANGUP)
            return next;
    }
}

int edit_key(void)
{
    return key();
}

/* --- the line --- */

static char history[HISTORY][EDIT_LINE_BYTES];
static u32 history_count;
static char kept[EDIT_LINE_BYTES];
static int after_return; /* the last line ended with CR: an LF belongs to it */

struct edit {
    const char *prompt;
    char *text;
    u32 length;
    u32 at;
    u32 back; /* lines back in history; 0: the new one */
};

static void put(const char *bytes, u32 count)
{
    console_write(bytes, count);
}

static void left(u32 count)
{
    while (count--)
        put("\b", 1);
}

static void move(struct edit *e, u32 at)
{
    if (at < e->at)
        left(e->at - at);
    else
        put(e->text + e->at, at - e->at);
    e->at = at;
}

/* Replaces `count` characters at `at` by `with`; the cursor stands behind them. */
static void replace(struct edit *e, u32 at, u32 count, const char *with, u32 length)
{
    u32 room = EDIT_LINE_BYTES - 1 - (e->length - count), was = e->length;

    if (length > room)
        length = room;
    move(e, at);
    memmove(e->text + at + length, e->text + at + count, e->length - at - count);
    memcpy(e->text + at, with, length);
    e->length = e->length - count + length;
    put(e->text + at, e->length - at);
    u32 blanks = was > e->length ? was - e->length : 0;
    for (u32 i = 0; i < blanks; i++)
        put(" ", 1);
    left(blanks + e->length - at - length);
    e->at = at + length;
}

static void recall(struct edit *e, u32 back)
{
    if (back > history_count || back > HISTORY)
        return;
    const char *line = back ? history[(history_count - back) % HISTORY] : "";
    e->back = back;
    replace(e, 0, e->length, line, (u32)text_length(line));
}

static u32 word_start(const struct edit *e)
{
    u32 at = e->at;

    while (at && e->text[at - 1] == ' ')
        at--;
    while (at && e->text[at - 1] != ' ')
        at--;
    return at;
}

static void redraw(struct edit *e)
{
    u32 at = e->at;

    say_text("\n");
    console_text(e->prompt);
    e->at = 0;
    move(e, e->length);
    move(e, at);
}

static void escape(struct edit *e)
{
    int next = key();

    if (next != '[' && next != 'O')
        return;
    next = key();
    switch (next) {
    case 'A':
        return recall(e, e->back + 1);
    case 'B':
        if (e->back)
            recall(e, e->back - 1);
        return;
    case 'C':
        if (e->at < e->length)
            move(e, e->at + 1);
        return;
    case 'D':
        if (e->at)
            move(e, e->at - 1);
        return;
    case 'H':
        return move(e, 0);
    case 'F':
        return move(e, e->length);
    case '3': /* delete: ESC [ 3 ~ */
        if (key() == '~' && e->at < e->length)
            replace(e, e->at, 1, "", 0);
        return;
    default:
        return;
    }
}

static void control(struct edit *e, int c)
{
    switch (c) {
    case CTRL('H'):
    case DELETE:
        if (e->at)
            replace(e, e->at - 1, 1, "", 0);
        return;
    case CTRL('U'):
        return replace(e, 0, e->length, "", 0);
    case CTRL('W'): {
        u32 start = word_start(e);
        return replace(e, start, e->at - start, "", 0);
    }
    case CTRL('K'):
        return replace(e, e->at, e->length - e->at, "", 0);
    case CTRL('D'):
        if (e->at < e->length)
            replace(e, e->at, 1, "", 0);
        return;
    case CTRL('Y'):
        return replace(e, e->at, 0, kept, (u32)text_length(kept));
    case CTRL('A'):
        return move(e, 0);
    case CTRL('E'):
        return move(e, e->length);
    case CTRL('B'):
        return move(e, e->at ? e->at - 1 : 0);
    case CTRL('F'):
        return move(e, e->at < e->length ? e->at + 1 : e->at);
    case CTRL('P'):
        return recall(e, e->back + 1);
    case CTRL('N'):
        return recall(e, e->back ? e->back - 1 : 0);
    case CTRL('R'):
    case CTRL('L'):
        return redraw(e);
    case ESCAPE:
        return escape(e);
    default:
        return;
    }
}

static void remember(const char *line)
{
    const char *last = history_count ? history[(history_count - 1) % HISTORY] : "";

    if (*line && !text_equal(line, last))
        memcpy(history[history_count++ % HISTORY], line, text_length(line) + 1);
}

void edit_keep(const char *text)
{
    usize length = text_length(text);

    if (length >= sizeof kept)
        length = sizeof kept - 1;
    memcpy(kept, text, length);
    kept[length] = 0;
}

int edit_line(const char *prompt, char *text)
{
    struct edit e = {.prompt = prompt, .text = text};

    say_end();
    console_text(prompt);
    for (;;) {
        int c = key();
        int was_return = after_return;

        after_return = c == '\r';
        if (c == '\n' && was_return)
            continue;
        if (c == '\r' || c == '\n') {
            move(&e, e.length);
            text[e.length] = 0;
            say_text("\n");
            remember(text);
            return 1;
        }
        if (c == CTRL('C') || c == KEY_HANGUP) {
            if (c == CTRL('C'))
                console_text("^C");
            say_text("\n");
            return 0;
        }
        if (c >= ' ' && c < DELETE) {
            char letter = (char)c;
            replace(&e, e.at, 0, &letter, 1);
        } else if (c < ' ' || c == DELETE) {
            control(&e, c == '\t' ? 0 : c);
        }
        /* Bytes of other character sets are no part of any word. */
    }
}
