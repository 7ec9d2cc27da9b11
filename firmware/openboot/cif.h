/* The client interface. */
#ifndef OPENBOOT_CIF_H
#define OPENBOOT_CIF_H

#include <sun4v/types.h>

/* A client's argument array: service, counts, arguments, results. */
s64 cif(u64 *array);
/* Where clients call it. */
extern u8 cif_entry[];

#endif
