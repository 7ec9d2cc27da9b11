/* What a test uses: a check that ends the program, and the played world. */
#ifndef TEST_CHECK_H
#define TEST_CHECK_H

#include <sun4v/types.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHECK(what)                                                            \
    do {                                                                       \
        if (!(what)) {                                                         \
            printf("%s:%d: %s: not so: %s\n", __FILE__, __LINE__, __func__, #what); \
            exit(1);                                                           \
        }                                                                      \
    } while (0)

#define CHECK_EQ(left, right)                                                  \
    do {                                                                       \
        u64 l_ = (u64)(left), r_ = (u64)(right);                               \
        if (l_ != r_) {                                                        \
            printf("%s:%d: %s: %s is %#lx, not %#lx\n", __FILE__, __LINE__, __func__, #left, l_, \
                   r_);                                                        \
            exit(1);                                                           \
        }                                                                      \
    } while (0)

/* Runs a test and says its name, which is a sentence. */
#define TEST(name)                    \
    do {                              \
        name();                       \
        printf("  ok %s\n", #name);   \
    } while (0)

/* --- the played world (world.c) --- */

/* %stick, which tests move. */
extern u64 world_now;
void world_pass_ms(u64 ms);
/* What the console was told, and whether `text` was among it. */
int world_said(const char *text);
void world_forget(void);

/* Channel ends 2n and 2n+1 are each other's peers. All ends as after power-on. */
void world_reset_channels(void);
/* The other chassis: peers of the even ends are gone and have never been. */
void world_migrate(void);
/* Fails every copy by `end` from now on, or none. */
void world_fail_copies(int fail);
struct hv_ret;
/* Every other hypercall: a test may play it, in place of the one that ends it. */
struct hv_ret world_call(u64 function, u64 a0, u64 a1);

#endif
