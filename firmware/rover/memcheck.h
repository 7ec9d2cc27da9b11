/*
 * The memory check: after the fill, one page of every 128 KB is summed again and
 * again, for ever, and must not have changed.
 */
#ifndef ROVER_MEMCHECK_H
#define ROVER_MEMCHECK_H

struct line;

void memcheck_start(void);
/* Its state as a line of text. */
void memcheck_describe(struct line *line);

#endif
