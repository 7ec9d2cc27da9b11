/* Copying, filling and comparing stretches of memory. */
#ifndef COMMON_BYTES_H
#define COMMON_BYTES_H

#include <sun4v/types.h>

void *memcpy(void *to, const void *from, usize bytes);
void *memmove(void *to, const void *from, usize bytes);
void *memset(void *to, int value, usize bytes);
int memcmp(const void *left, const void *right, usize bytes);
usize text_length(const char *text);
int text_equal(const char *left, const char *right);

#endif
