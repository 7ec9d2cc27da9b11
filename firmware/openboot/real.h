/* Real addresses of what the firmware sees; included before everything else. */
#ifndef OPENBOOT_REAL_H
#define OPENBOOT_REAL_H

unsigned long real_address(const void *at);
#define RA(pointer) real_address((const void *)(pointer))

#endif
