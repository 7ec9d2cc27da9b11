/* The firmware's own heap: everything that must stay while a client runs. */
#ifndef OPENBOOT_HEAP_H
#define OPENBOOT_HEAP_H

#include <sun4v/types.h>

/* 16-byte aligned, zeroed; null without room. */
void *heap_take(usize bytes);
/* Whole pages of 8 KB at a page's start (queues and tables of channels); null without
 * room. They are not given back. */
void *heap_pages(usize bytes);
void heap_give(void *block);
/* The real address of something in the firmware: heap, data, stack. */
u64 real_address(const void *at);

#endif
