/* VIO sessions. */
#include "vio.h"

#include "clock.h"

struct vio_tag vio_tag(const struct vio *vio, u8 type, u8 stype, u16 envelope)
{
    return (struct vio_tag){type, stype, envelope, vio->sid};
}

void vio_advance(struct vio *vio, enum vio_step step)
{
    vio->step = step;
    vio->deadline = step == VIO_STEP_DONE ? NEVER : stick() + ticks_of_ms(VIO_STEP_MS);
}

static void propose(struct vio *vio, u16 minor)
{
    struct vio_ver ver = {
        .tag = vio_tag(vio, VIO_CTRL, VIO_INFO, VIO_VER),
        .major = VIO_MAJOR,
        .minor = minor,
        .class = vio->class,
    };

    vio->minor = minor;
    ldc_send(vio->ldc, &ver, sizeof ver);
}

void vio_begin(struct vio *vio, u16 minor)
{
    vio->sid = (u32)(stick() >> 7) | 1;
    vio->seq = 1;
    vio->ring = 0;
    vio_advance(vio, VIO_STEP_VER);
    propose(vio, minor);
}

int vio_take_version(struct vio *vio, const struct vio_ver *answer)
{
    if (answer->tag.stype == VIO_ACK && answer->major == VIO_MAJOR &&
        answer->minor <= vio->minor) {
        vio->minor = answer->minor;
        return 1;
    }
    if (answer->tag.stype == VIO_NACK && answer->major == VIO_MAJOR &&
        answer->minor < vio->minor)
        propose(vio, answer->minor);
    return 0;
}

void vio_send_ring(struct vio *vio, u64 index, u32 descriptors, u32 descriptor_bytes)
{
    struct vio_dring_reg reg = {
        .tag = vio_tag(vio, VIO_CTRL, VIO_INFO, VIO_DRING_REG),
        .descriptors = descriptors,
        .descriptor_bytes = descriptor_bytes,
        .options = VIO_RING_TX,
        .cookies = 1,
        .cookie = {ldc_cookie(index, 0), (u64)descriptors * descriptor_bytes},
    };

    vio_advance(vio, VIO_STEP_RING);
    ldc_send(vio->ldc, &reg, sizeof reg);
}

void vio_send_rdx(struct vio *vio)
{
    struct vio_rdx rdx = {.tag = vio_tag(vio, VIO_CTRL, VIO_INFO, VIO_RDX)};

    vio_advance(vio, VIO_STEP_RDX);
    ldc_send(vio->ldc, &rdx, sizeof rdx);
}

int vio_send_ready(struct vio *vio, u32 start, s32 end)
{
    struct vio_dring_data data = {
        .tag = vio_tag(vio, VIO_DATA, VIO_INFO, VIO_DRING),
        .seq = vio->seq,
        .ident = vio->ring,
        .start = start,
        .end = end,
        .state = VIO_RING_ACTIVE,
    };

    if (!ldc_send(vio->ldc, &data, sizeof data))
        return 0;
    vio->seq++;
    return 1;
}
