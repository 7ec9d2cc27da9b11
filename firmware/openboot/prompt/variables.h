/*
 * Variables of the domain, beyond what prompt.h says: listing, defaults, aliases that
 * are kept.
 *
 * A change holds at once; whether it is also kept with the domain is said by `note`
 * (null: it is).
 */
#ifndef OPENBOOT_PROMPT_VARIABLES_H
#define OPENBOOT_PROMPT_VARIABLES_H

#include <sun4v/types.h>

#define VARIABLE_BYTES 2048 /* of a value, with the NUL */

/* The nth variable; false when there are fewer. `otherwise`: its default, null without. */
int variable_nth(u64 n, const char **name, const char **value, const char **otherwise);
/* The name as it is written, found without regard to case; null without. */
const char *variable_name(const char *name);
/* Changes one; null, or why not. */
const char *variable_change(const char *name, const char *value, const char **note);
/* Back to its default. */
const char *variable_default(const char *name, const char **note);
int variable_true(const char *name);

/* Are two names the same, without regard to case? */
int same_name(const char *left, const char *right);

#endif
