/*
 * The drawing program: a picture that moves, as UDP datagrams of 1 KiB to the
 * workstation, twenty a second.
 *
 * A datagram is: u32 sequence number, u64 %stick (unaligned, at byte 4), then
 * 1012 bytes of picture: 92 rows of 88 pixels, one bit each, most significant
 * bit first.
 */
#ifndef ROVER_DRAW_H
#define ROVER_DRAW_H

#include <sun4v/types.h>

#define DRAW_BYTES 1024
#define DRAW_HEADER_BYTES 12
#define DRAW_ROWS 92
#define DRAW_ROW_BYTES 11

void draw_start(void);
/* Sends a datagram when one is due; when the next is. Part of the network task. */
u64 draw_tick(void);
/* Fills the picture of step `step`. */
void draw_picture(u8 *picture, u32 step);
/* Datagrams sent, and due but not sendable. */
extern u64 draw_sent, draw_missed;

#endif
