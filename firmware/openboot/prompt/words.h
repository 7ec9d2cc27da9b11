/*
 * The words of the ok prompt: a line is read word by word, each does what it does,
 * taking what follows it when that is its argument. A number goes on a stack.
 *
 * This is no Forth: nothing can be defined. Names have no case.
 *
 * Errors: "foo ?" for a word that is none, "Stack Underflow", or what a word says.
 *
 * Source: IEEE 1275-1994, chapter 7; OpenBoot 4.x Command Reference.
 */
#ifndef OPENBOOT_PROMPT_WORDS_H
#define OPENBOOT_PROMPT_WORDS_H

#include <sun4v/types.h>

#define WORD_BYTES 256

/* A line that is being read. */
struct input {
    const char *at;
};

/* A word of the dictionary; null, or why it did not work. */
struct word {
    const char *name;
    const char *(*run)(struct input *in);
    const char *help;
};
extern const struct word words[];
extern const u64 words_count;

/* Runs a line up to the first error: null, or what it is (static memory). */
const char *words_run(const char *line);

/* The next word into `to`, of WORD_BYTES; false at the end. One that is longer is cut. */
int next_word(struct input *in, char *to);
/* What is left of the line, without blanks around it, into `to`; false when nothing is
 * left. */
int rest_of_line(struct input *in, char *to, usize bytes);
/* An error of two parts, in static memory: good until eight more were made. */
const char *words_error(const char *what, const char *why);

/* --- words, by file --- */

/* numbers.c */
const char *word_add(struct input *in);
const char *word_subtract(struct input *in);
const char *word_multiply(struct input *in);
const char *word_divide(struct input *in);
const char *word_print(struct input *in);
const char *word_stack(struct input *in);
const char *word_dup(struct input *in);
const char *word_drop(struct input *in);
const char *word_swap(struct input *in);
const char *word_over(struct input *in);
const char *word_hex(struct input *in);
const char *word_decimal(struct input *in);
const char *word_hex_number(struct input *in);
const char *word_decimal_number(struct input *in);
/* True when the text is a number; it is on the stack then, or `*why` says why not. */
int number_word(const char *text, const char **why);
void numbers_clear(void);

/* settings.c */
const char *word_printenv(struct input *in);
const char *word_setenv(struct input *in);
const char *word_set_default(struct input *in);
const char *word_set_defaults(struct input *in);
const char *word_devalias(struct input *in);
const char *word_nvalias(struct input *in);
const char *word_nvunalias(struct input *in);
const char *word_nvrun(struct input *in);

/* nodes.c */
const char *word_show_devs(struct input *in);
const char *word_show_disks(struct input *in);
const char *word_show_nets(struct input *in);
const char *word_properties(struct input *in);
const char *word_cd(struct input *in);
const char *word_ls(struct input *in);
const char *word_pwd(struct input *in);
const char *word_device_end(struct input *in);

/* banner.c */
const char *word_banner(struct input *in);
const char *word_version(struct input *in);
const char *word_speed(struct input *in);
const char *word_enet_addr(struct input *in);

/* boot.c */
const char *word_boot(struct input *in);
const char *word_go(struct input *in);
const char *word_reset(struct input *in);
const char *word_power_off(struct input *in);

#endif
