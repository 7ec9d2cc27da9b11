/*
 * Hypercalls: numbers, status codes, and one inline function a call.
 *
 * Every function returns the status (%o0); results come through pointers and
 * are written whatever the status is, which for the few calls that answer beside
 * an error (mach_desc) is what is wanted.
 *
 * Source: sun4v hypervisor API, as an UltraSPARC T2's firmware implements it.
 */
#ifndef SUN4V_HCALL_H
#define SUN4V_HCALL_H

#include <sun4v/types.h>

/* Status codes. */
enum hv_status {
    HV_EOK = 0,
    HV_ENOCPU = 1,
    HV_ENORADDR = 2,
    HV_ENOINTR = 3,
    HV_EBADPGSZ = 4,
    HV_EBADTSB = 5,
    HV_EINVAL = 6,
    HV_EBADTRAP = 7,
    HV_EBADALIGN = 8,
    HV_EWOULDBLOCK = 9,
    HV_ENOACCESS = 10,
    HV_EIO = 11,
    HV_ECPUERROR = 12,
    HV_ENOTSUPPORTED = 13,
    HV_ENOMAP = 14,
    HV_ETOOMANY = 15,
    HV_ECHANNEL = 16,
};

/* Functions of the fast trap. */
enum hv_function {
    HV_MACH_EXIT = 0x00,
    HV_MACH_DESC = 0x01,
    HV_MACH_SIR = 0x02,
    HV_CPU_START = 0x10,
    HV_CPU_STOP = 0x11,
    HV_CPU_YIELD = 0x12,
    HV_CPU_QCONF = 0x14,
    HV_CPU_MYID = 0x16,
    HV_CPU_SET_RTBA = 0x18,
    HV_MMU_TSB_CTX0 = 0x20,
    HV_MMU_DEMAP_CTX = 0x23,
    HV_MMU_MAP_PERM_ADDR = 0x25,
    HV_MMU_FAULT_AREA_CONF = 0x26,
    HV_MMU_ENABLE = 0x27,
    HV_MEM_SCRUB = 0x31,
    HV_CPU_MONDO_SEND = 0x42,
    HV_TOD_GET = 0x50,
    HV_CONS_GETCHAR = 0x60,
    HV_CONS_PUTCHAR = 0x61,
    HV_CONS_WRITE = 0x63,
    HV_SOFT_STATE_SET = 0x70,
    HV_INTR_DEVINO_TO_SYSINO = 0xa0,
    HV_INTR_SETENABLED = 0xa2,
    HV_INTR_SETSTATE = 0xa4,
    HV_INTR_SETTARGET = 0xa6,
    HV_VINTR_SETCOOKIE = 0xa8,
    HV_VINTR_SETVALID = 0xaa,
    HV_VINTR_SETSTATE = 0xac,
    HV_VINTR_SETTARGET = 0xae,
    HV_LDC_TX_QCONF = 0xe0,
    HV_LDC_TX_GET_STATE = 0xe2,
    HV_LDC_TX_SET_QTAIL = 0xe3,
    HV_LDC_RX_QCONF = 0xe4,
    HV_LDC_RX_GET_STATE = 0xe6,
    HV_LDC_RX_SET_QHEAD = 0xe7,
    HV_LDC_SET_MAP_TABLE = 0xea,
    HV_LDC_COPY = 0xec,
};

/* Functions of the core trap. */
enum hv_core_function {
    HV_API_SET_VERSION = 0x00,
    HV_API_GET_VERSION = 0x03,
};

/* API groups. */
enum hv_group {
    HV_GROUP_CORE = 0x001,
    HV_GROUP_INTR = 0x002,
    HV_GROUP_SOFT_STATE = 0x003,
    HV_GROUP_LDC = 0x101,
    HV_GROUP_NCS = 0x103,
    HV_GROUP_RNG = 0x104,
};

/* What a call leaves in %o0..%o3. */
struct hv_ret {
    u64 status;
    u64 ret1;
    u64 ret2;
    u64 ret3;
};

#ifdef HV_MOCK
/* A test plays the hypervisor. */
struct hv_ret hv_call(u64 function, u64 a0, u64 a1, u64 a2, u64 a3, u64 a4);
#else
static inline struct hv_ret hv_call(u64 function, u64 a0, u64 a1, u64 a2, u64 a3, u64 a4)
{
    register u64 o0 __asm__("o0") = a0;
    register u64 o1 __asm__("o1") = a1;
    register u64 o2 __asm__("o2") = a2;
    register u64 o3 __asm__("o3") = a3;
    register u64 o4 __asm__("o4") = a4;
    register u64 o5 __asm__("o5") = function;

    __asm__ volatile("ta 0x80"
                     : "+r"(o0), "+r"(o1), "+r"(o2), "+r"(o3), "+r"(o4), "+r"(o5)
                     :
                     : "memory");
    return (struct hv_ret){o0, o1, o2, o3};
}

static inline struct hv_ret hv_core_call(u64 function, u64 a0, u64 a1, u64 a2)
{
    register u64 o0 __asm__("o0") = a0;
    register u64 o1 __asm__("o1") = a1;
    register u64 o2 __asm__("o2") = a2;
    register u64 o3 __asm__("o3");
    register u64 o4 __asm__("o4");
    register u64 o5 __asm__("o5") = function;

    __asm__ volatile("ta 0xff"
                     : "+r"(o0), "+r"(o1), "+r"(o2), "=r"(o3), "=r"(o4), "+r"(o5)
                     :
                     : "memory");
    return (struct hv_ret){o0, o1, o2, 0};
}

/* Asks for `major`.`minor` of a group; a smaller minor may be granted. */
static inline u64 hv_api_set_version(u64 group, u64 major, u64 minor)
{
    return hv_core_call(HV_API_SET_VERSION, group, major, minor).status;
}
#endif

/* --- machine, vCPUs --- */

/* The guest starts again. */
static inline void NORETURN hv_mach_sir(void)
{
    hv_call(HV_MACH_SIR, 0, 0, 0, 0, 0);
    for (;;)
        ;
}

static inline void NORETURN hv_mach_exit(u64 code)
{
    hv_call(HV_MACH_EXIT, code, 0, 0, 0, 0);
    for (;;)
        ;
}

/* `*size` becomes the MD's size, also when `bytes` is too small (EINVAL). */
static inline u64 hv_mach_desc(void *buffer, u64 bytes, u64 *size)
{
    struct hv_ret r = hv_call(HV_MACH_DESC, RA(buffer), bytes, 0, 0, 0);
    *size = r.ret1;
    return r.status;
}

static inline u64 hv_cpu_start(u64 vcpu, u64 pc, u64 rtba, u64 argument)
{
    return hv_call(HV_CPU_START, vcpu, pc, rtba, argument, 0).status;
}

static inline u64 hv_cpu_stop(u64 vcpu)
{
    return hv_call(HV_CPU_STOP, vcpu, 0, 0, 0, 0).status;
}

static inline void hv_cpu_yield(void)
{
    hv_call(HV_CPU_YIELD, 0, 0, 0, 0, 0);
}

static inline u64 hv_cpu_qconf(u64 queue, void *base, u64 entries)
{
    return hv_call(HV_CPU_QCONF, queue, RA(base), entries, 0, 0).status;
}

static inline u64 hv_cpu_myid(void)
{
    return hv_call(HV_CPU_MYID, 0, 0, 0, 0, 0).ret1;
}

static inline u64 hv_cpu_mondo_send(u64 count, const u16 *list, const void *mondo)
{
    return hv_call(HV_CPU_MONDO_SEND, count, RA(list), RA(mondo), 0, 0).status;
}

static inline u64 hv_tod_get(u64 *seconds)
{
    struct hv_ret r = hv_call(HV_TOD_GET, 0, 0, 0, 0, 0);
    *seconds = r.ret1;
    return r.status;
}

/* Zeroes memory; may do less than asked, `*done` says how much. */
static inline u64 hv_mem_scrub(u64 ra, u64 bytes, u64 *done)
{
    struct hv_ret r = hv_call(HV_MEM_SCRUB, ra, bytes, 0, 0, 0);
    *done = r.ret1;
    return r.status;
}

/* --- MMU --- */

static inline u64 hv_mmu_tsb_ctx0(u64 count, const void *descriptors)
{
    return hv_call(HV_MMU_TSB_CTX0, count, RA(descriptors), 0, 0, 0).status;
}

/* Both TLBs forget what they hold of a context. */
static inline u64 hv_mmu_demap_ctx(u64 context)
{
    return hv_call(HV_MMU_DEMAP_CTX, 0, 0, context, 3, 0).status;
}

/* `flags`: 1 data TLB, 2 instruction TLB. */
static inline u64 hv_mmu_map_perm_addr(u64 va, u64 tte, u64 flags)
{
    return hv_call(HV_MMU_MAP_PERM_ADDR, va, 0, tte, flags, 0).status;
}

static inline u64 hv_mmu_fault_area_conf(void *area)
{
    return hv_call(HV_MMU_FAULT_AREA_CONF, RA(area), 0, 0, 0, 0).status;
}

/* --- console, soft state --- */

static inline u64 hv_cons_putchar(u64 c)
{
    return hv_call(HV_CONS_PUTCHAR, c, 0, 0, 0, 0).status;
}

/* `*c` is a character, or -1 for a break, -2 for a hang-up; EWOULDBLOCK without. */
static inline u64 hv_cons_getchar(s64 *c)
{
    struct hv_ret r = hv_call(HV_CONS_GETCHAR, 0, 0, 0, 0, 0);
    *c = (s64)r.ret1;
    return r.status;
}

static inline u64 hv_cons_write(const void *text, u64 bytes, u64 *written)
{
    struct hv_ret r = hv_call(HV_CONS_WRITE, RA(text), bytes, 0, 0, 0);
    *written = r.ret1;
    return r.status;
}

/* `state`: 1 normal, 2 in transition; `text`: 32 bytes, 32-byte aligned. */
static inline u64 hv_soft_state_set(u64 state, const void *text)
{
    return hv_call(HV_SOFT_STATE_SET, state, RA(text), 0, 0, 0).status;
}

/* --- virtual interrupts of channels --- */

#define VINTR_IDLE 0ul

static inline u64 hv_vintr_setcookie(u64 handle, u64 ino, u64 cookie)
{
    return hv_call(HV_VINTR_SETCOOKIE, handle, ino, cookie, 0, 0).status;
}

static inline u64 hv_vintr_setvalid(u64 handle, u64 ino, u64 valid)
{
    return hv_call(HV_VINTR_SETVALID, handle, ino, valid, 0, 0).status;
}

static inline u64 hv_vintr_setstate(u64 handle, u64 ino, u64 state)
{
    return hv_call(HV_VINTR_SETSTATE, handle, ino, state, 0, 0).status;
}

static inline u64 hv_vintr_settarget(u64 handle, u64 ino, u64 vcpu)
{
    return hv_call(HV_VINTR_SETTARGET, handle, ino, vcpu, 0, 0).status;
}

/* --- logical domain channels; offsets are bytes --- */

enum ldc_state { LDC_DOWN = 0, LDC_UP = 1, LDC_RESET = 2 };

static inline u64 hv_ldc_tx_qconf(u64 channel, void *base, u64 entries)
{
    return hv_call(HV_LDC_TX_QCONF, channel, RA(base), entries, 0, 0).status;
}

static inline u64 hv_ldc_rx_qconf(u64 channel, void *base, u64 entries)
{
    return hv_call(HV_LDC_RX_QCONF, channel, RA(base), entries, 0, 0).status;
}

static inline u64 hv_ldc_tx_get_state(u64 channel, u64 *head, u64 *tail, u64 *state)
{
    struct hv_ret r = hv_call(HV_LDC_TX_GET_STATE, channel, 0, 0, 0, 0);
    *head = r.ret1;
    *tail = r.ret2;
    *state = r.ret3;
    return r.status;
}

static inline u64 hv_ldc_rx_get_state(u64 channel, u64 *head, u64 *tail, u64 *state)
{
    struct hv_ret r = hv_call(HV_LDC_RX_GET_STATE, channel, 0, 0, 0, 0);
    *head = r.ret1;
    *tail = r.ret2;
    *state = r.ret3;
    return r.status;
}

static inline u64 hv_ldc_tx_set_qtail(u64 channel, u64 tail)
{
    return hv_call(HV_LDC_TX_SET_QTAIL, channel, tail, 0, 0, 0).status;
}

static inline u64 hv_ldc_rx_set_qhead(u64 channel, u64 head)
{
    return hv_call(HV_LDC_RX_SET_QHEAD, channel, head, 0, 0, 0).status;
}

static inline u64 hv_ldc_set_map_table(u64 channel, void *table, u64 entries)
{
    return hv_call(HV_LDC_SET_MAP_TABLE, channel, RA(table), entries, 0, 0).status;
}

#define LDC_COPY_IN 0ul
#define LDC_COPY_OUT 1ul

/* Copies up to the end of the page on either side; `*done` says how far. */
static inline u64 hv_ldc_copy(u64 channel, u64 direction, u64 cookie, void *local, u64 bytes,
                              u64 *done)
{
    struct hv_ret r = hv_call(HV_LDC_COPY, channel, direction, cookie, RA(local), bytes);
    *done = r.ret1;
    return r.status;
}

#endif
