/*
 * Numbers of the processor, for C and assembly: PSTATE, ASIs, trap types.
 *
 * Source: UltraSPARC Architecture 2007; sun4v hypervisor API.
 */
#ifndef SUN4V_ARCH_H
#define SUN4V_ARCH_H

/* Register windows, and the frame that a window is spilled into. */
#define NWINDOWS 8
#define STACK_BIAS 2047
#define FRAME_BYTES 176

/* PSTATE */
#define PSTATE_IE 0x02
#define PSTATE_PRIV 0x04
#define PSTATE_PEF 0x10

/* ASIs */
#define ASI_SCRATCHPAD 0x20
#define ASI_MMU_CONTEXT 0x21
#define ASI_QUEUE 0x25
#define ASI_PRIMARY 0x80

/* Offsets in ASI_QUEUE of a queue's head; its tail is 8 further on. */
#define QUEUE_CPU_MONDO_HEAD 0x3c0
#define QUEUE_DEV_MONDO_HEAD 0x3d0
#define QUEUE_RESUMABLE_HEAD 0x3e0
#define QUEUE_NONRESUMABLE_HEAD 0x3f0
#define QUEUE_TAIL 8

/* Queue numbers of cpu_qconf. */
#define QUEUE_CPU_MONDO 0x3c
#define QUEUE_DEV_MONDO 0x3d
#define QUEUE_RESUMABLE 0x3e
#define QUEUE_NONRESUMABLE 0x3f
#define QUEUE_ENTRY_BYTES 64

/* Trap types. */
#define TT_INSN_MISS 0x09
#define TT_CLEAN_WINDOW 0x24
#define TT_DATA_MISS 0x31
#define TT_LEVEL_14 0x4e
#define TT_FAST_INSN_MISS 0x64
#define TT_FAST_DATA_MISS 0x68
#define TT_CPU_MONDO 0x7c
#define TT_DEV_MONDO 0x7d
#define TT_RESUMABLE 0x7e
#define TT_NONRESUMABLE 0x7f
#define TT_SPILL_0_NORMAL 0x80
#define TT_FILL_0_NORMAL 0xc0

/* Software traps of the hypervisor. */
#define HV_FAST_TRAP 0x80
#define HV_CORE_TRAP 0xff

/* SOFTINT: a match of STICK_CMPR; it interrupts at level 14. */
#define SOFTINT_STICK 0x10000

/* STICK_CMPR: no interrupt. */
#define STICK_CMPR_DISABLE (1ul << 63)

/* A TTE's data word. */
#define TTE_V (1ul << 63)
#define TTE_CP (1ul << 10)
#define TTE_CV (1ul << 9)
#define TTE_P (1ul << 8)
#define TTE_X (1ul << 7)
#define TTE_W (1ul << 6)
#define TTE_4M 3ul
#define TTE_4M_SHIFT 22
#define PAGE_BITS 13

/* MMU fault status area. */
#define FAULT_AREA_BYTES 128
#define FAULT_I_TYPE 0x00
#define FAULT_I_ADDR 0x08
#define FAULT_D_TYPE 0x40
#define FAULT_D_ADDR 0x48

#endif
