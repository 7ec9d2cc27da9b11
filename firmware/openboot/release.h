/* What is let go of before a client is entered. */
#ifndef OPENBOOT_RELEASE_H
#define OPENBOOT_RELEASE_H

/* Channels of disks. */
void disk_close_all(void);
/* The channel to the domain's manager. */
void variables_close(void);

#endif
