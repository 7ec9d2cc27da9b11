//! Virtual CPUs.

use crate::case::{Case, End, Never, bad, change, good, never, order};
use hv::testing::{BASE, BYTES, Lab};
use hv::{GuestState, VcpuState};
use sun4v::hcall::HvError::{BadAlign, CpuError, Inval, NoCpu, NoRaddr, WouldBlock};
use sun4v::hcall::nr;
use sun4v::id::{GuestId, VcpuId};

const END: u64 = BASE + BYTES;
/// A trap table, where a program begins, a queue, a list of CPUs, a mondo.
const RTBA: u64 = BASE + 0x100;
const PC: u64 = BASE + 0x40;
const QUEUE: u64 = BASE + 0x1000;
const LIST: u64 = BASE + 0x2000;
const DATA: u64 = BASE + 0x2040;

/// Puts the guest into a state.
fn guest(lab: &mut Lab, state: GuestState) {
    change(lab, GuestId(0), |guest| guest.state = state);
}

/// Puts the guest's second virtual CPU into a state.
fn other(lab: &mut Lab, state: VcpuState) {
    change(lab, GuestId(0), |guest| guest.vcpus.entry(VcpuId(1)).or_default().state = state);
}

/// Starts the second virtual CPU.
fn start(lab: &mut Lab) {
    assert_eq!(lab.call(nr::cpu_start, [1, PC, RTBA, 0, 0]).status, 0);
}

/// Makes a call as the second virtual CPU.
fn by_other(lab: &mut Lab, nr: u64, args: [u64; 5]) {
    lab.caller.1 = VcpuId(1);
    assert_eq!(lab.call(nr, args).status, 0);
    lab.caller.1 = VcpuId(0);
}

/// Puts a list of CPUs and a mondo into memory.
fn mondo(lab: &mut Lab, ids: &[u16]) {
    for (at, id) in (0..).zip(ids) {
        lab.poke(LIST + 2 * at, &id.to_be_bytes());
    }
    lab.poke(DATA, &[0x5a; 16]);
}

/// The second virtual CPU has a mondo waiting in its mailbox.
fn busy(lab: &mut Lab) {
    mondo(lab, &[1]);
    assert_eq!(lab.call(nr::cpu_mondo_send, [1, LIST, DATA, 0, 0]).status, 0);
}

pub const CASES: &[Case] = &[
    good("cpu_start", "a stopped CPU, at a real address with an argument", |lab| {
        lab.show("cpu_start", &[1, PC, RTBA, 0x77])
    }),
    good("cpu_start", "a mondo that waited for it is forgotten", |lab| {
        busy(lab);
        lab.show("cpu_start", &[1, PC, RTBA, 0])
    }),
    bad("cpu_start", NoCpu, "a number that no CPU has", |lab| {
        lab.show("cpu_start", &[64, PC, RTBA, 0])
    }),
    bad("cpu_start", NoCpu, "a number that none of this guest's has", |lab| {
        lab.show("cpu_start", &[9, PC, RTBA, 0])
    }),
    bad("cpu_start", NoRaddr, "a PC outside memory", |lab| {
        lab.show("cpu_start", &[1, BASE - 4, RTBA, 0])
    }),
    bad("cpu_start", NoRaddr, "a PC with bits above 39", |lab| {
        lab.show("cpu_start", &[1, 1 << 40 | PC, RTBA, 0])
    }),
    bad("cpu_start", NoRaddr, "a trap table half outside memory", |lab| {
        lab.show("cpu_start", &[1, PC, END - 128, 0])
    }),
    bad("cpu_start", BadAlign, "a PC at two bytes", |lab| {
        lab.show("cpu_start", &[1, PC + 2, RTBA, 0])
    }),
    bad("cpu_start", BadAlign, "a trap table at 128 bytes", |lab| {
        lab.show("cpu_start", &[1, PC, RTBA + 128, 0])
    }),
    bad("cpu_start", WouldBlock, "a guest that does not run as usual", |lab| {
        guest(lab, GuestState::Suspended);
        lab.show("cpu_start", &[1, PC, RTBA, 0])
    }),
    bad("cpu_start", Inval, "a CPU that runs", |lab| {
        start(lab);
        lab.show("cpu_start", &[1, PC, RTBA, 0])
    }),
    bad("cpu_start", Inval, "the caller", |lab| lab.show("cpu_start", &[0, PC, RTBA, 0])),
    bad("cpu_start", Inval, "a CPU in error", |lab| {
        other(lab, VcpuState::Error);
        lab.show("cpu_start", &[1, PC, RTBA, 0])
    }),
    order("cpu_start", NoCpu, NoRaddr, "a number above 63 comes first", |lab| {
        lab.show("cpu_start", &[64, END, RTBA, 0])
    }),
    order("cpu_start", NoRaddr, BadAlign, "both ranges before both alignments", |lab| {
        lab.show("cpu_start", &[1, PC + 2, END, 0])
    }),
    order("cpu_start", BadAlign, NoCpu, "alignment before a number below 64", |lab| {
        lab.show("cpu_start", &[9, PC + 2, RTBA, 0])
    }),
    order("cpu_start", NoCpu, WouldBlock, "the number before the guest's state", |lab| {
        guest(lab, GuestState::Suspended);
        lab.show("cpu_start", &[9, PC, RTBA, 0])
    }),
    order("cpu_start", BadAlign, WouldBlock, "alignment before the guest's state", |lab| {
        guest(lab, GuestState::Suspended);
        lab.show("cpu_start", &[1, PC, RTBA + 8, 0])
    }),
    order("cpu_start", WouldBlock, Inval, "the guest's state before the CPU's", |lab| {
        guest(lab, GuestState::Suspended);
        lab.show("cpu_start", &[0, PC, RTBA, 0])
    }),
    good("cpu_stop", "all that the CPU had set up goes", |lab| {
        start(lab);
        by_other(lab, nr::cpu_qconf, [0x3c, QUEUE, 4, 0, 0]);
        by_other(lab, nr::mmu_fault_area_conf, [BASE + 0x3000, 0, 0, 0, 0]);
        lab.poke(BASE + 0x3080, &tsb());
        by_other(lab, nr::mmu_tsb_ctx0, [1, BASE + 0x3080, 0, 0, 0]);
        by_other(lab, nr::mmu_map_perm_addr, [0x40_0000, 0, 1 << 63 | BASE | 3, 3, 0]);
        for (call, value) in
            [(nr::vintr_setcookie, 7), (nr::vintr_settarget, 1), (nr::vintr_setvalid, 1)]
        {
            assert_eq!(lab.call(call, [0x200, 1, value, 0, 0]).status, 0);
        }
        lab.show("cpu_stop", &[1])
    }),
    good("cpu_stop", "a permanent mapping that another CPU has stays", |lab| {
        start(lab);
        let map = [0x40_0000, 0, 1 << 63 | BASE | 3, 3, 0];
        by_other(lab, nr::mmu_map_perm_addr, map);
        assert_eq!(lab.call(nr::mmu_map_perm_addr, map).status, 0);
        lab.show("cpu_stop", &[1])
    }),
    bad("cpu_stop", NoCpu, "a number that no CPU has", |lab| lab.show("cpu_stop", &[64])),
    bad("cpu_stop", NoCpu, "a number that none of this guest's has", |lab| {
        lab.show("cpu_stop", &[2])
    }),
    bad("cpu_stop", Inval, "the caller", |lab| lab.show("cpu_stop", &[0])),
    bad("cpu_stop", Inval, "a CPU that is stopped", |lab| lab.show("cpu_stop", &[1])),
    bad("cpu_stop", Inval, "a CPU in error", |lab| {
        other(lab, VcpuState::Error);
        lab.show("cpu_stop", &[1])
    }),
    bad("cpu_stop", WouldBlock, "a guest that is ending, and then ends", |lab| {
        start(lab);
        guest(lab, GuestState::Exiting);
        lab.show("cpu_stop", &[1])
    }),
    order("cpu_stop", Inval, WouldBlock, "the caller before the guest's state", |lab| {
        guest(lab, GuestState::Exiting);
        lab.show("cpu_stop", &[0])
    }),
    order("cpu_stop", NoCpu, WouldBlock, "the number before the guest's state", |lab| {
        guest(lab, GuestState::Exiting);
        lab.show("cpu_stop", &[2])
    }),
    order("cpu_stop", WouldBlock, Inval, "the guest's state before the CPU's", |lab| {
        guest(lab, GuestState::Exiting);
        lab.show("cpu_stop", &[1])
    }),
    good("cpu_yield", "nothing waits: it is parked", |lab| lab.show("cpu_yield", &[])),
    good("cpu_yield", "a mondo waits: it goes on", |lab| {
        queue_with_one(lab, 0x3c);
        lab.show("cpu_yield", &[])
    }),
    good("cpu_yield", "a non-resumable error waits: it is parked all the same", |lab| {
        queue_with_one(lab, 0x3f);
        lab.show("cpu_yield", &[])
    }),
    good("cpu_qconf", "a queue of two", |lab| lab.show("cpu_qconf", &[0x3c, QUEUE, 2])),
    good("cpu_qconf", "the largest queue", |lab| {
        lab.show("cpu_qconf", &[0x3e, BASE + 0x4_0000, 4096])
    }),
    good("cpu_qconf", "head and tail begin anew", |lab| {
        queue_with_one(lab, 0x3c);
        lab.show("cpu_qconf", &[0x3c, QUEUE + 0x100, 4])
    }),
    good("cpu_qconf", "without entries it is taken away, wherever it would be", |lab| {
        queue_with_one(lab, 0x3c);
        lab.show("cpu_qconf", &[0x3c, END + 1, 0])
    }),
    good("cpu_qconf", "what waits in the mailbox comes in", |lab| {
        start(lab);
        busy(lab);
        lab.caller.1 = VcpuId(1);
        lab.show("cpu_qconf", &[0x3c, QUEUE, 2])
    }),
    bad("cpu_qconf", Inval, "one entry", |lab| lab.show("cpu_qconf", &[0x3c, QUEUE, 1])),
    bad("cpu_qconf", Inval, "more than 4096 entries", |lab| {
        lab.show("cpu_qconf", &[0x3c, BASE, 8192])
    }),
    bad("cpu_qconf", Inval, "three entries", |lab| lab.show("cpu_qconf", &[0x3c, QUEUE, 3])),
    bad("cpu_qconf", Inval, "a queue that does not exist", |lab| {
        lab.show("cpu_qconf", &[0x40, QUEUE, 2])
    }),
    bad("cpu_qconf", Inval, "taking away a queue that does not exist", |lab| {
        lab.show("cpu_qconf", &[0x3b, QUEUE, 0])
    }),
    bad("cpu_qconf", BadAlign, "not aligned to the whole queue", |lab| {
        lab.show("cpu_qconf", &[0x3c, QUEUE + 64, 2])
    }),
    bad("cpu_qconf", NoRaddr, "behind memory", |lab| lab.show("cpu_qconf", &[0x3c, END, 2])),
    order("cpu_qconf", Inval, BadAlign, "entries before alignment", |lab| {
        lab.show("cpu_qconf", &[0x3c, QUEUE + 8, 3])
    }),
    order("cpu_qconf", BadAlign, NoRaddr, "alignment before range", |lab| {
        lab.show("cpu_qconf", &[0x3c, END + 64, 2])
    }),
    order("cpu_qconf", NoRaddr, Inval, "the queue's number comes last", |lab| {
        lab.show("cpu_qconf", &[0x40, END, 2])
    }),
    good("cpu_qinfo", "as it was set", |lab| {
        queue_with_one(lab, 0x3d);
        lab.show("cpu_qinfo", &[0x3d])
    }),
    good("cpu_qinfo", "a queue without memory", |lab| lab.show("cpu_qinfo", &[0x3f])),
    bad("cpu_qinfo", Inval, "a queue that does not exist", |lab| lab.show("cpu_qinfo", &[0x3b])),
    good("cpu_myid", "the first", |lab| lab.show("cpu_myid", &[])),
    good("cpu_myid", "the second", |lab| {
        lab.caller.1 = VcpuId(1);
        lab.show("cpu_myid", &[])
    }),
    good("cpu_state", "stopped", |lab| lab.show("cpu_state", &[1])),
    good("cpu_state", "running, as soon as it is started", |lab| {
        start(lab);
        lab.show("cpu_state", &[1])
    }),
    good("cpu_state", "in error", |lab| {
        other(lab, VcpuState::Error);
        lab.show("cpu_state", &[1])
    }),
    good("cpu_state", "of the caller", |lab| lab.show("cpu_state", &[0])),
    bad("cpu_state", NoCpu, "a number that no CPU has", |lab| lab.show("cpu_state", &[64])),
    bad("cpu_state", NoCpu, "a number that none of this guest's has", |lab| {
        lab.show("cpu_state", &[2])
    }),
    good("cpu_set_rtba", "the old one is given back", |lab| lab.show("cpu_set_rtba", &[RTBA])),
    bad("cpu_set_rtba", NoRaddr, "half outside memory; the old one is given", |lab| {
        lab.show("cpu_set_rtba", &[END - 128])
    }),
    bad("cpu_set_rtba", BadAlign, "at 128 bytes; the old one is given", |lab| {
        lab.show("cpu_set_rtba", &[RTBA + 128])
    }),
    order("cpu_set_rtba", NoRaddr, BadAlign, "range before alignment", |lab| {
        lab.show("cpu_set_rtba", &[END + 8])
    }),
    good("cpu_get_rtba", "as the guest began", |lab| lab.show("cpu_get_rtba", &[])),
    good("cpu_get_rtba", "as it was set", |lab| {
        assert_eq!(lab.call(nr::cpu_set_rtba, [RTBA, 0, 0, 0, 0]).status, 0);
        lab.show("cpu_get_rtba", &[])
    }),
    good("cpu_mondo_send", "into a queue; the entry is marked", |lab| {
        start(lab);
        by_other(lab, nr::cpu_qconf, [0x3c, QUEUE, 4, 0, 0]);
        mondo(lab, &[1]);
        lab.show("cpu_mondo_send", &[1, LIST, DATA])
    }),
    good("cpu_mondo_send", "a parked CPU wakes", |lab| {
        start(lab);
        by_other(lab, nr::cpu_qconf, [0x3c, QUEUE, 4, 0, 0]);
        by_other(lab, nr::cpu_yield, [0; 5]);
        mondo(lab, &[1]);
        lab.show("cpu_mondo_send", &[1, LIST, DATA])
    }),
    good("cpu_mondo_send", "a full queue leaves it in the mailbox", |lab| {
        start(lab);
        by_other(lab, nr::cpu_qconf, [0x3c, QUEUE, 2, 0, 0]);
        busy(lab);
        mondo(lab, &[1]);
        lab.show("cpu_mondo_send", &[1, LIST, DATA])
    }),
    good("cpu_mondo_send", "a stopped CPU takes one", |lab| {
        mondo(lab, &[1]);
        lab.show("cpu_mondo_send", &[1, LIST, DATA])
    }),
    good("cpu_mondo_send", "entries of all ones are passed over", |lab| {
        mondo(lab, &[0xffff, 0xffff]);
        lab.show("cpu_mondo_send", &[2, LIST, DATA])
    }),
    bad("cpu_mondo_send", BadAlign, "a list at an odd address", |lab| {
        lab.show("cpu_mondo_send", &[1, LIST + 1, DATA])
    }),
    bad("cpu_mondo_send", BadAlign, "a mondo at 32 bytes", |lab| {
        lab.show("cpu_mondo_send", &[1, LIST, DATA + 32])
    }),
    bad("cpu_mondo_send", NoRaddr, "a list of nobody", |lab| {
        lab.show("cpu_mondo_send", &[0, LIST, DATA])
    }),
    bad("cpu_mondo_send", NoRaddr, "a list half behind memory", |lab| {
        lab.show("cpu_mondo_send", &[2, END - 2, DATA])
    }),
    bad("cpu_mondo_send", NoRaddr, "a list longer than an address is", |lab| {
        lab.show("cpu_mondo_send", &[1 << 63 | 1, LIST, DATA])
    }),
    bad("cpu_mondo_send", NoRaddr, "a mondo behind memory", |lab| {
        lab.show("cpu_mondo_send", &[1, LIST, END])
    }),
    bad("cpu_mondo_send", NoCpu, "what was delivered before it is marked", |lab| {
        mondo(lab, &[1, 9]);
        lab.show("cpu_mondo_send", &[2, LIST, DATA])
    }),
    bad("cpu_mondo_send", Inval, "the caller", |lab| {
        mondo(lab, &[0, 1]);
        lab.show("cpu_mondo_send", &[2, LIST, DATA])
    }),
    bad("cpu_mondo_send", CpuError, "a CPU in error", |lab| {
        other(lab, VcpuState::Error);
        mondo(lab, &[1]);
        lab.show("cpu_mondo_send", &[1, LIST, DATA])
    }),
    bad("cpu_mondo_send", WouldBlock, "the mailbox is taken", |lab| {
        busy(lab);
        mondo(lab, &[1]);
        lab.show("cpu_mondo_send", &[1, LIST, DATA])
    }),
    bad("cpu_mondo_send", WouldBlock, "twice the same: the second waits", |lab| {
        mondo(lab, &[1, 1]);
        lab.show("cpu_mondo_send", &[2, LIST, DATA])
    }),
    order("cpu_mondo_send", BadAlign, NoRaddr, "both alignments before both ranges", |lab| {
        lab.show("cpu_mondo_send", &[1, END, DATA + 8])
    }),
    order("cpu_mondo_send", NoRaddr, NoCpu, "ranges before the list is read", |lab| {
        mondo(lab, &[9]);
        lab.show("cpu_mondo_send", &[1, LIST, END])
    }),
    order("cpu_mondo_send", NoCpu, Inval, "whichever entry of the list comes first", |lab| {
        mondo(lab, &[9, 0]);
        lab.show("cpu_mondo_send", &[2, LIST, DATA])
    }),
    order("cpu_mondo_send", Inval, CpuError, "whichever entry of the list comes first", |lab| {
        other(lab, VcpuState::Error);
        mondo(lab, &[0, 1]);
        lab.show("cpu_mondo_send", &[2, LIST, DATA])
    }),
    order("cpu_mondo_send", Inval, WouldBlock, "a busy CPU does not end the walk", |lab| {
        busy(lab);
        mondo(lab, &[1, 0]);
        lab.show("cpu_mondo_send", &[2, LIST, DATA])
    }),
    order("cpu_mondo_send", CpuError, WouldBlock, "an error does, a taken mailbox or not", |lab| {
        busy(lab);
        other(lab, VcpuState::Error);
        mondo(lab, &[1]);
        lab.show("cpu_mondo_send", &[1, LIST, DATA])
    }),
];

/// Gives the caller a queue that holds an entry.
fn queue_with_one(lab: &mut Lab, number: u64) {
    use hv::platform::{Machine, Queue};
    assert_eq!(lab.call(nr::cpu_qconf, [number, QUEUE, 4, 0, 0]).status, 0);
    let all = [Queue::CpuMondo, Queue::DevMondo, Queue::Resumable, Queue::NonResumable];
    let queue = all[(number - 0x3c) as usize];
    let (guest, vcpu) = lab.caller;
    lab.board.cpus(guest).set_queue(vcpu, queue, 0, 64);
}

/// A TSB descriptor: 512 entries of 8 KiB pages at the second 16 KiB of memory.
fn tsb() -> [u8; 32] {
    let mut tsb = [0; 32];
    (tsb[3], tsb[6], tsb[15]) = (1, 2, 1);
    tsb[16..24].copy_from_slice(&(BASE + 0x4000).to_be_bytes());
    tsb
}

pub const NEVERS: &[Never] = &[never(
    "cpu_stop",
    End::Order(NoCpu, Inval),
    "a CPU that does not exist is not the caller and has no state",
)];
