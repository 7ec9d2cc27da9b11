/* The domain's console, polled. */
#ifndef OPENBOOT_CONSOLE_H
#define OPENBOOT_CONSOLE_H

#include <stdarg.h>
#include <sun4v/types.h>

#define KEY_NONE (-1)
#define KEY_BREAK (-2)
#define KEY_HANGUP (-3)

/* Writes all of it, waiting for room; "\n" goes out as "\r\n". */
void console_text(const char *text);
/* Writes all of it as it is. */
void console_write(const char *bytes, usize count);
/* As line_format, at most 512 bytes. */
void console_print(const char *format, ...);
/* A character, or KEY_NONE, KEY_BREAK, KEY_HANGUP: does not wait. */
int console_key(void);
/* Waits for one, giving the strand up meanwhile. */
int console_wait(void);

#endif
