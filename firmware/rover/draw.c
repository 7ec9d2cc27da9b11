/* The drawing program. */
#include "draw.h"

#include "../common/bytes.h"
#include "clock.h"
#include "net.h"

#define PERIOD_MS 50
#define FROM_PORT 7777
#define TO_PORT 6000
#define WORKSTATION 0xc0a8010au /* 192.168.1.10 */

_Static_assert(DRAW_HEADER_BYTES + DRAW_ROWS * DRAW_ROW_BYTES == DRAW_BYTES, "");

u64 draw_sent, draw_missed;

static u64 next;
static u32 sequence;

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

void draw_start(void)
{
    next = stick() + ticks_of_ms(PERIOD_MS);
}

u64 draw_tick(void)
{
    u64 now = stick();

    if (now < next)
        return next;
    next += ticks_of_ms(PERIOD_MS);
    if (next <= now)
        next = now + ticks_of_ms(PERIOD_MS);
    u8 *datagram = udp_begin(WORKSTATION, FROM_PORT, TO_PORT);
    if (!datagram) {
        draw_missed++;
        return next;
    }
    memcpy(datagram, &sequence, 4);
    memcpy(datagram + 4, &now, 8);
    draw_picture(datagram + DRAW_HEADER_BYTES, sequence);
    sequence++;
    draw_sent++;
    udp_send(DRAW_BYTES);
    return next;
}
