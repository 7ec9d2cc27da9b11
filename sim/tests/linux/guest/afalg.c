/*
 * Asks the kernel's crypto interface for hashes and ciphers of a known text, and
 * prints what comes back: one line an algorithm and length.
 *
 *   afalg hash NAME KEYBYTES LENGTH      (KEYBYTES 0: no key)
 *   afalg cipher NAME KEYBYTES IVBYTES LENGTH
 *
 * The text is byte i = 7 i + 3, a key byte i = 5 i + 1, an IV byte i = 3 i + 2. A hash is
 * asked for in one piece from a page (splice), which is what a driver without states
 * can do in hardware.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/if_alg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <unistd.h>

static void fill(unsigned char *to, size_t bytes, int step, int first)
{
    for (size_t i = 0; i < bytes; i++)
        to[i] = (unsigned char)(step * i + first);
}

static int fail(const char *what)
{
    printf("afalg: %s: %s\n", what, strerror(errno));
    return 1;
}

int main(int argc, char **argv)
{
    static unsigned char text[65536], out[65536], key[64], iv[16];
    int is_hash = argc == 5 && !strcmp(argv[1], "hash");
    if (!is_hash && argc != 6)
        return fail("arguments");
    size_t key_bytes = strtoul(argv[3], 0, 10), iv_bytes = is_hash ? 0 : strtoul(argv[4], 0, 10);
    size_t length = strtoul(argv[is_hash ? 4 : 5], 0, 10);
    struct sockaddr_alg name = {.salg_family = AF_ALG};
    if (key_bytes > sizeof(key) || iv_bytes > sizeof(iv) || length > sizeof(text))
        return fail("sizes");
    fill(text, length, 7, 3);
    fill(key, key_bytes, 5, 1);
    fill(iv, iv_bytes, 3, 2);
    strcpy((char *)name.salg_type, is_hash ? "hash" : "skcipher");
    strncpy((char *)name.salg_name, argv[2], sizeof(name.salg_name) - 1);
    int algorithm = socket(AF_ALG, SOCK_SEQPACKET, 0);
    if (algorithm < 0 || bind(algorithm, (void *)&name, sizeof(name)))
        return fail(argv[2]);
    if (key_bytes && setsockopt(algorithm, SOL_ALG, ALG_SET_KEY, key, key_bytes))
        return fail("key");
    int op = accept(algorithm, 0, 0);
    if (op < 0)
        return fail("accept");
    ssize_t got;
    if (is_hash) {
        int file = open("/tmp/afalg", O_RDWR | O_CREAT | O_TRUNC, 0600);
        off_t from = 0;
        if (file < 0 || write(file, text, length) != (ssize_t)length)
            return fail("/tmp/afalg");
        if (sendfile(op, file, &from, length) != (ssize_t)length)
            return fail("sendfile");
        got = read(op, out, sizeof(out));
    } else {
        char control[CMSG_SPACE(4) + CMSG_SPACE(sizeof(struct af_alg_iv) + 16)] = {0};
        struct iovec piece = {text, length};
        struct msghdr message = {.msg_control = control, .msg_controllen = CMSG_SPACE(4),
                                 .msg_iov = &piece, .msg_iovlen = 1};
        if (iv_bytes)
            message.msg_controllen += CMSG_SPACE(sizeof(struct af_alg_iv) + iv_bytes);
        struct cmsghdr *header = CMSG_FIRSTHDR(&message);
        header->cmsg_level = SOL_ALG;
        header->cmsg_type = ALG_SET_OP;
        header->cmsg_len = CMSG_LEN(4);
        *(unsigned *)CMSG_DATA(header) = ALG_OP_ENCRYPT;
        if (iv_bytes) {
            header = CMSG_NXTHDR(&message, header);
            header->cmsg_level = SOL_ALG;
            header->cmsg_type = ALG_SET_IV;
            header->cmsg_len = CMSG_LEN(sizeof(struct af_alg_iv) + iv_bytes);
            struct af_alg_iv *vector = (void *)CMSG_DATA(header);
            vector->ivlen = iv_bytes;
            memcpy(vector->iv, iv, iv_bytes);
        }
        if (sendmsg(op, &message, 0) != (ssize_t)length)
            return fail("sendmsg");
        got = read(op, out, length);
    }
    if (got < 0)
        return fail("read");
    printf("%s %zu ", argv[2], length);
    for (ssize_t i = 0; i < got; i++)
        printf("%02x", out[i]);
    printf("\n");
    return 0;
}
