/* Numbers and their stack. */
#include "edit.h"
#include "words.h"

#define DEPTH 64

static s64 stack[DEPTH];
static u64 depth;
static u64 base = 16;

static const char underflow[] = "Stack Underflow";
static const char overflow[] = "Stack Overflow";

void numbers_clear(void)
{
    depth = 0;
}

static const char *push(s64 value)
{
    if (depth == DEPTH)
        return overflow;
    stack[depth++] = value;
    return 0;
}

/* A number in base `in`, with or without a sign. */
static int parse(const char *text, u64 in, s64 *value)
{
    int minus = *text == '-';
    u64 sum = 0;

    text += minus;
    if (!*text)
        return 0;
    for (; *text; text++) {
        char c = *text;
        u64 digit;

        if (c >= '0' && c <= '9')
            digit = (u64)(c - '0');
        else if ((c | 0x20) >= 'a' && (c | 0x20) <= 'f')
            digit = (u64)((c | 0x20) - 'a') + 10;
        else
            return 0;
        if (digit >= in || sum > (~0ul - digit) / in)
            return 0;
        sum = sum * in + digit;
    }
    *value = (s64)(minus ? -sum : sum);
    return 1;
}

int number_word(const char *text, const char **why)
{
    s64 value;

    if (!parse(text, base, &value))
        return 0;
    *why = push(value);
    return 1;
}

static const char *number_in(struct input *in, u64 in_base)
{
    char text[WORD_BYTES];
    s64 value;

    if (!next_word(in, text) || !parse(text, in_base, &value))
        return words_error(text, " ?");
    return push(value);
}

const char *word_hex_number(struct input *in)
{
    return number_in(in, 16);
}

const char *word_decimal_number(struct input *in)
{
    return number_in(in, 10);
}

const char *word_hex(struct input *in)
{
    base = 16;
    return 0;
}

const char *word_decimal(struct input *in)
{
    base = 10;
    return 0;
}

/* Arithmetic is modulo 2^64. */
const char *word_add(struct input *in)
{
    if (depth < 2)
        return underflow;
    depth--;
    stack[depth - 1] = (s64)((u64)stack[depth - 1] + (u64)stack[depth]);
    return 0;
}

const char *word_subtract(struct input *in)
{
    if (depth < 2)
        return underflow;
    depth--;
    stack[depth - 1] = (s64)((u64)stack[depth - 1] - (u64)stack[depth]);
    return 0;
}

const char *word_multiply(struct input *in)
{
    if (depth < 2)
        return underflow;
    depth--;
    stack[depth - 1] = (s64)((u64)stack[depth - 1] * (u64)stack[depth]);
    return 0;
}

const char *word_divide(struct input *in)
{
    if (depth < 2)
        return underflow;
    if (!stack[depth - 1])
        return "Division by zero";
    depth--;
    if (stack[depth] == -1)
        stack[depth - 1] = (s64)(-(u64)stack[depth - 1]);
    else
        stack[depth - 1] /= stack[depth];
    return 0;
}

static void print(s64 value)
{
    if (base == 16)
        say("%x ", (u64)value);
    else
        say("%d ", value);
}

const char *word_print(struct input *in)
{
    if (!depth)
        return underflow;
    print(stack[--depth]);
    return 0;
}

const char *word_stack(struct input *in)
{
    if (!depth)
        say_text("Empty ");
    for (u64 i = 0; i < depth; i++)
        print(stack[i]);
    return 0;
}

const char *word_dup(struct input *in)
{
    return depth ? push(stack[depth - 1]) : underflow;
}

const char *word_drop(struct input *in)
{
    if (!depth)
        return underflow;
    depth--;
    return 0;
}

const char *word_swap(struct input *in)
{
    if (depth < 2)
        return underflow;
    s64 top = stack[depth - 1];
    stack[depth - 1] = stack[depth - 2];
    stack[depth - 2] = top;
    return 0;
}

const char *word_over(struct input *in)
{
    return depth < 2 ? underflow : push(stack[depth - 2]);
}
