/* The login shell. */
#include "shell.h"

#include "../common/bytes.h"
#include "../common/format.h"
#include "clock.h"
#include "cpu.h"
#include "draw.h"
#include "memcheck.h"
#include "memory.h"
#include "net.h"
#include "scrub.h"
#include "tcp.h"
#include "vnet.h"

#define PORT 23
#define LINE_MAX 80
#define OUTPUT_MAX 640
#define TELNET_IAC 255
#define TELNET_COMMAND_BYTES 2 /* after IAC: command, option */
#define BACKSPACE 8
#define DELETE 127

struct shell {
    struct tcp *tcp;
    u32 length;
    u32 skip;   /* bytes of a telnet command still to come */
    u8 last;
    char line[LINE_MAX + 1];
};

static struct shell shells[TCP_CONNECTIONS];

static void say(struct shell *shell, const char *text)
{
    tcp_write(shell->tcp, text, text_length(text));
}

static void prompt(struct shell *shell)
{
    say(shell, "rover$ ");
}

static void command_time(struct line *out)
{
    u64 seconds = time_of_day();

    line_format(out, "%u ", seconds);
    line_date(out, seconds);
    line_text(out, " UTC\r\n");
}

static void command_uptime(struct line *out)
{
    u64 ms = uptime_ms();

    line_format(out, "up %u.%3 s, %u cpus, %u MB\r\n", ms / 1000, ms % 1000, cpu_count,
                memory_bytes >> 20);
}

static void command_net(struct line *out)
{
    line_format(out, "frames: %u sent, %u received, %u not sendable; sessions %u\r\n",
                vnet_counters.sent, vnet_counters.received, vnet_counters.full,
                vnet_counters.sessions);
    line_format(out, "segments: %u in, %u out, %u retransmitted, %u out of order, %u refused\r\n",
                tcp_counters.segments_in, tcp_counters.segments_out, tcp_counters.retransmitted,
                tcp_counters.out_of_order, tcp_counters.refused);
    line_format(out, "drawing: %u sent, %u missed\r\n", draw_sent, draw_missed);
}

static void command_help(struct line *out)
{
    line_text(out, "time uptime sum net scrub start|stop|status help exit\r\n");
}

/* Runs a command line; false to log out. */
static int run(const char *command, struct line *out)
{
    if (text_equal(command, ""))
        return 1;
    if (text_equal(command, "exit"))
        return 0;
    if (text_equal(command, "time"))
        command_time(out);
    else if (text_equal(command, "uptime"))
        command_uptime(out);
    else if (text_equal(command, "sum"))
        memcheck_describe(out);
    else if (text_equal(command, "net"))
        command_net(out);
    else if (text_equal(command, "help"))
        command_help(out);
    else if (text_equal(command, "scrub start"))
        line_text(out, scrub_request(SCRUB_START) ? "scrub started\r\n" : "scrub: no\r\n");
    else if (text_equal(command, "scrub stop"))
        line_text(out, scrub_request(SCRUB_STOP) ? "scrub stopped\r\n" : "scrub: not running\r\n");
    else if (text_equal(command, "scrub status"))
        scrub_describe(out);
    else
        line_format(out, "%s: not found; try help\r\n", command);
    return 1;
}

static void enter(struct shell *shell)
{
    char text[OUTPUT_MAX];
    struct line out = line_in(text, sizeof text);

    say(shell, "\r\n");
    shell->line[shell->length] = 0;
    shell->length = 0;
    if (!run(shell->line, &out)) {
        say(shell, "logged out\r\n");
        tcp_close(shell->tcp);
        return;
    }
    tcp_write(shell->tcp, out.text, out.length);
    prompt(shell);
}

static void key(struct shell *shell, u8 c)
{
    u8 last = shell->last;

    shell->last = c;
    if (shell->skip) {
        shell->skip--;
        return;
    }
    if (c == TELNET_IAC) {
        shell->skip = TELNET_COMMAND_BYTES;
    } else if (c == '\r') {
        enter(shell);
    } else if (c == '\n') {
        if (last != '\r')
            enter(shell);
    } else if (c == BACKSPACE || c == DELETE) {
        if (shell->length) {
            shell->length--;
            say(shell, "\b \b");
        }
    } else if (c >= ' ' && shell->length < LINE_MAX) {
        shell->line[shell->length++] = (char)c;
        tcp_write(shell->tcp, &c, 1);
    }
}

static void opened(struct tcp *tcp)
{
    for (u64 i = 0; i < COUNT_OF(shells); i++) {
        struct shell *shell = &shells[i];
        if (shell->tcp)
            continue;
        *shell = (struct shell){.tcp = tcp};
        tcp->session = shell;
        say(shell, "rover, a guest of ldomlab\r\n");
        prompt(shell);
        return;
    }
    tcp_close(tcp);
}

static void received(struct tcp *tcp, const u8 *bytes, u64 count)
{
    struct shell *shell = tcp->session;

    for (u64 i = 0; shell && i < count; i++)
        key(shell, bytes[i]);
}

static void ended(struct tcp *tcp)
{
    struct shell *shell = tcp->session;

    if (shell)
        shell->tcp = 0;
    tcp->session = 0;
}

static const struct tcp_user user = {opened, received, ended};

void shell_start(void)
{
    tcp_listen(PORT, &user);
}
