/*
 * What the firmware holds of the hypervisor's and gives back before a client is
 * entered: a client that finds a queue of a channel configured, and somebody's
 * session on it, does not begin from the start.
 */
#ifndef OPENBOOT_RELEASE_H
#define OPENBOOT_RELEASE_H

/* Ends the session with a disk's server and unconfigures its queues. */
void disk_close_all(void);
/* The same for the channel that keeps variables. */
void variables_close(void);

#endif
