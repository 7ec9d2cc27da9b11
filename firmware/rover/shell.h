/* The login shell on TCP port 23: echoes what is typed, and knows a few commands. */
#ifndef ROVER_SHELL_H
#define ROVER_SHELL_H

void shell_start(void);

#endif
