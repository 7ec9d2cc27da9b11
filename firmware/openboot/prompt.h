/*
 * What a person at the console sees: banner, variables, the ok prompt, and how
 * a client is found on a disk.
 */
#ifndef OPENBOOT_PROMPT_H
#define OPENBOOT_PROMPT_H

#include <sun4v/types.h>

#include "client.h"

/* Variables: defaults, then what the machine description says; makes /options. */
void variables_init(void);
/* A variable's value; null when there is none of that name. */
const char *variable(const char *name);
/* Changes one, keeps it with the domain; null, or why not. */
const char *variable_set(const char *name, const char *value);

void banner(void);
/* Starts what `auto-boot?` and the boot variables say; then the prompt, for ever. */
void NORETURN prompt_boot(void);
/* The ok prompt. Returns on "go", when `resumable`. */
void prompt(int resumable);
/* The client interface's "boot": a command line after "boot". */
void NORETURN prompt_reboot(const char *arguments);
/* The client interface's "interpret", as far as clients use it: null, or why not. */
const char *prompt_interpret(const char *text);

/* A gzip member; the unpacked image in memory claimed for it. Null, or why not. */
const char *gunzip(struct image packed, struct image *unpacked);

#endif
