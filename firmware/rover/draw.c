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
