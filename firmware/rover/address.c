/* IPv4 addresses as text. */
#include "net.h"

u32 net_parse_address(const char *text)
{
    u32 address = 0;

    for (int part = 0; part < 4; part++) {
        u32 value = 0, digits = 0;

        for (; *text >= '0' && *text <= '9' && digits < 4; text++, digits++)
            value = value * 10 + (u32)(*text - '0');
        if (!digits || value > 255 || *text != (part < 3 ? '.' : 0))
            return 0;
        address = address << 8 | value;
        text++;
    }
    return address;
}
