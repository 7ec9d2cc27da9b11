/*
 * Variables kept with the domain: the service `var-config` of whoever manages it,
 * over the firmware's own domain-services channel.
 *
 * The channel is opened when something is to be kept, and stays open until
 * keep_close. Waits are bounded.
 *
 * Errors: no channel (keep_missing), nobody answers, the manager refuses.
 *
 * Source: domain services as Linux (arch/sparc/kernel/ds.c) and illumos (sys/ds_impl.h,
 * promif_prop.c) speak them.
 */
#ifndef OPENBOOT_PROMPT_KEEP_H
#define OPENBOOT_PROMPT_KEEP_H

#include <sun4v/types.h>

/* What is answered when the domain has no such channel. */
extern const char keep_missing[];

/* Sets a variable where the domain's are kept; null, or why it is not. */
const char *keep_set(const char *name, const char *value);
/* Deletes one; one that was not there is deleted. */
const char *keep_delete(const char *name);
void keep_close(void);

#endif
