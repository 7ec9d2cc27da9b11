/* The picture that the drawing program sends. */
#include "draw.h"

/* Munching squares: a pixel is lit while x ^ y is below a threshold that goes
 * up and down. */
void draw_picture(u8 *picture, u32 step)
{
    u32 phase = step * 2 % 256;
    u32 threshold = phase < 128 ? phase : 255 - phase;

    for (u32 y = 0; y < DRAW_ROWS; y++)
        for (u32 column = 0; column < DRAW_ROW_BYTES; column++) {
            u32 bits = 0;
            for (u32 x = column * 8; x < column * 8 + 8; x++)
                bits = bits << 1 | ((x ^ y) < threshold);
            *picture++ = (u8)bits;
        }
}
