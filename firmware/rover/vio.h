/*
 * A VIO session: version, attributes, ring, ready for data. What disks and
 * networks have in common on the side that asks.
 */
#ifndef ROVER_VIO_H
#define ROVER_VIO_H

#include <sun4v/vio.h>

#include "ldc.h"

/* What our questions have got so far; each step waits for the one before. */
enum vio_step { VIO_STEP_VER, VIO_STEP_ATTR, VIO_STEP_RING, VIO_STEP_RDX, VIO_STEP_DONE };

struct vio {
    struct ldc *ldc;
    u32 sid;      /* ours */
    u8 class;     /* ours */
    u8 step;
    u16 minor;    /* agreed on; the major is 1 */
    u64 ring;     /* the peer's name for our ring */
    u64 seq;      /* of the next message about it */
    u64 deadline; /* of the step */
};

#define VIO_MAJOR 1
#define VIO_STEP_MS 2000

/* Begins a session by proposing 1.`minor`. */
void vio_begin(struct vio *vio, u16 minor);
struct vio_tag vio_tag(const struct vio *vio, u8 type, u8 stype, u16 envelope);
/* The step's question was answered: on to `step`. */
void vio_advance(struct vio *vio, enum vio_step step);
/* Registers our ring; its descriptors begin where map entry `index` lends. */
void vio_send_ring(struct vio *vio, u64 index, u32 descriptors, u32 descriptor_bytes);
void vio_send_rdx(struct vio *vio);
/* Says that descriptors from `start` on are ready; false when it cannot now. */
int vio_send_ready(struct vio *vio, u32 start, s32 end);
/* Handles the answer to our VER; true when a version is agreed on. */
int vio_take_version(struct vio *vio, const struct vio_ver *answer);

#endif
