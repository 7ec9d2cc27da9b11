/* The integer types that everything here is written in. */
#ifndef SUN4V_TYPES_H
#define SUN4V_TYPES_H

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long u64;
typedef int s32;
typedef long s64;
typedef u64 usize;
typedef u32 bool32;

/* A guest that runs with virtual addresses equal to real ones hands a pointer to the
 * hypervisor as it stands; another one says how before it includes this. */
#ifndef RA
#define RA(pointer) ((u64)(pointer))
#endif

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))
#define PACKED __attribute__((packed))
#define ALIGNED(n) __attribute__((aligned(n)))
#define NORETURN __attribute__((noreturn))

#define PAGE_SHIFT 13
#define PAGE_BYTES (1ul << PAGE_SHIFT)
#define PAGE_MASK (PAGE_BYTES - 1)

#endif
