/* The network task: frames in, timers, and the programs that talk. */
#include "net.h"

#include "../common/bytes.h"
#include "clock.h"
#include "cpu.h"
#include "draw.h"
#include "ethernet.h"
#include "shell.h"
#include "task.h"
#include "tcp.h"
#include "vnet.h"

u32 net_address;
struct mac net_mac;

static struct task net_task;

void net_frame(const u8 *frame, u64 bytes)
{
    u16 type = (u16)(frame[12] << 8 | frame[13]);
    int ours = (frame[0] & 1) || memcmp(frame, &net_mac, 6) == 0;

    if (bytes < ETHERNET_BYTES || !ours)
        return;
    if (type == ETHERTYPE_ARP)
        arp_input(frame, bytes);
    else if (type == ETHERTYPE_IP)
        ip_input(frame, bytes);
}

void net_link_up(void)
{
    arp_announce();
}

static void net_run(struct task *task)
{
    vnet_poll();
    task_wake_at(task, tcp_timers());
    task_wake_at(task, draw_tick());
    task_wake_at(task, vnet_wake_at());
}

void net_start(const struct ldc_ids *ids, u64 mac, u32 address)
{
    net_address = address;
    for (int i = 0; i < 6; i++)
        net_mac.byte[i] = (u8)(mac >> (40 - 8 * i));
    shell_start();
    draw_start();
    task_start(&net_task, "net", net_run, 0, TASK_CPU_NET);
    if (ids)
        vnet_attach(ids, mac, &net_task.pending, net_task.cpu->id);
}
