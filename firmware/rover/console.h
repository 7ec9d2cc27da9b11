/*
 * The console. Lines from all vCPUs go through one buffer, which a task writes
 * out as the console takes them; a line that finds no room is dropped whole and
 * counted.
 */
#ifndef ROVER_CONSOLE_H
#define ROVER_CONSOLE_H

#include <sun4v/types.h>

/* Formats (common/format.h) and queues; a line is at most 200 bytes. */
void console_print(const char *format, ...);
/* Writes what is queued and then `text`, at once, without locks: for the end. */
void console_print_now(const char *text, u64 bytes);
void console_start(void);

#endif
