/* Stands in for the prompt until there is one. */
#include <sun4v/hcall.h>
#include "console.h"
#include "prompt.h"
#include "release.h"
void variables_init(void) {}
const char *variable_set(const char *name, const char *value) { return 0; }
void prompt(int resumable) { for (;;) console_wait(); }
void NORETURN prompt_reboot(const char *arguments) { hv_mach_sir(); }
const char *prompt_interpret(const char *text) { return "no"; }
const char *gunzip(struct image packed, struct image *unpacked) { return "no gzip"; }
void disk_close_all(void) {}
void variables_close(void) {}
void NORETURN prompt_boot(void)
{
    console_text("openboot: plain\n");
    console_print("%s\n", client_start(payload.kernel, payload.initrd, "", payload.arguments));
    for (;;) prompt(0);
}
