/* Checksums of blocks and pages. */
#include "block.h"

#define FNV_BASIS 0xcbf29ce484222325ul
#define FNV_PRIME 0x100000001b3ul
#define CHECKSUM_WORD 3

static inline u64 step(u64 sum, u64 word)
{
    return (sum ^ word) * FNV_PRIME;
}

/* `words` is a multiple of 8. */
static u64 run(u64 sum, const u64 *at, u64 words)
{
    for (const u64 *stop = at + words; at != stop; at += 8) {
        sum = step(sum, at[0]);
        sum = step(sum, at[1]);
        sum = step(sum, at[2]);
        sum = step(sum, at[3]);
        sum = step(sum, at[4]);
        sum = step(sum, at[5]);
        sum = step(sum, at[6]);
        sum = step(sum, at[7]);
    }
    return sum;
}

u64 page_checksum(const void *page)
{
    return run(FNV_BASIS, page, BLOCK_WORDS);
}

u64 block_checksum(const void *block)
{
    const u64 *words = block;
    u64 sum = FNV_BASIS;

    for (u64 i = 0; i < 8; i++)
        sum = step(sum, i == CHECKSUM_WORD ? 0 : words[i]);
    return run(sum, words + 8, BLOCK_WORDS - 8);
}

int block_good(const void *block, u64 number)
{
    const struct block_header *header = block;

    return header->magic == BLOCK_MAGIC && header->number == number &&
           header->checksum == block_checksum(block);
}
