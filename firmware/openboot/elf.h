/* ELF-64 for SPARC V9, big-endian. Source: System V ABI, ELF-64; SPARC V9 supplement. */
#ifndef OPENBOOT_ELF_H
#define OPENBOOT_ELF_H

#include <sun4v/types.h>

struct elf_header {
    u8 ident[16];
    u16 type, machine;
    u32 version;
    u64 entry, phoff, shoff;
    u32 flags;
    u16 ehsize, phentsize, phnum, shentsize, shnum, shstrndx;
};

struct elf_segment {
    u32 type, flags;
    u64 offset, vaddr, paddr, filesz, memsz, align;
};

#define ELF_MAGIC "\177ELF\2\2\1" /* 64 bits, big-endian, version 1 */
#define ELF_EXEC 2
#define ELF_SPARCV9 43
#define ELF_LOAD 1
#define SEGMENTS_MAX 16

#endif
