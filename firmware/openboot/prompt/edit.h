/*
 * Lines from a person, and text to one.
 *
 * `say` knows whether the line that is being written has begun, so that the
 * prompt always stands at the beginning of one. Keys typed while something is
 * under way are kept for the next line.
 */
#ifndef OPENBOOT_PROMPT_EDIT_H
#define OPENBOOT_PROMPT_EDIT_H

#include <sun4v/types.h>

#define EDIT_LINE_BYTES 512 /* with the NUL */

/* As console_print. */
void say(const char *format, ...);
void say_text(const char *text);
/* Ends the line if one has begun. */
void say_end(void);

/* Reads a line into `line`, of EDIT_LINE_BYTES; false when it was abandoned (^C,
 * hang-up). */
int edit_line(const char *prompt, char *line);
/* One key, waiting; breaks are not seen. */
int edit_key(void);
/* What ^Y will insert. */
void edit_keep(const char *text);
/* Was there a break since edit_calm? Looks at the console now and then only. */
int edit_interrupted(void);
/* Forgets breaks that were seen, before something that they would interrupt. */
void edit_calm(void);

#endif
