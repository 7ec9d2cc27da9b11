//! Channels: channel 0 joins the two guests; channel 3 is guest 1's console at guest 0.

use crate::case::{Case, End, Never, bad, change, good, never, order};
use hv::intr::IntrState;
use hv::testing::{BASE, BYTES, Lab};
use sun4v::hcall::HvError::{
    BadAlign, BadPgsz, Channel, Inval, NoAccess, NoMap, NoRaddr, NotSupported,
};
use sun4v::hcall::nr;
use sun4v::id::{GuestId, LdcId};

const END: u64 = BASE + BYTES;
/// Queues, a map table, the page that it lends, and a place to copy to.
const TX: u64 = BASE + 0x2000;
const RX: u64 = BASE + 0x4000;
const TABLE: u64 = BASE + 0x6000;
const LENT: u64 = BASE + 0x8000;
const PLACE: u64 = BASE + 0xa000;
/// The peer may copy from it; to it.
const CR: u64 = 1 << 9;
const CW: u64 = 1 << 10;

/// Makes a call of guest 1.
fn other(lab: &mut Lab, call: u64, args: [u64; 5]) {
    lab.caller.0 = GuestId(1);
    assert_eq!(lab.call(call, args).status, 0, "{call:#x}");
    lab.caller.0 = GuestId(0);
}

/// Makes a call of guest 0.
fn own(lab: &mut Lab, call: u64, args: [u64; 5]) {
    assert_eq!(lab.call(call, args).status, 0, "{call:#x}");
}

fn boundary(lab: &mut Lab) {
    lab.hv.boundary(&mut lab.board);
}

/// Both guests have both queues, of eight packets, and have looked.
fn up(lab: &mut Lab) {
    for (call, base) in [(nr::ldc_tx_qconf, TX), (nr::ldc_rx_qconf, RX)] {
        own(lab, call, [0, base, 8, 0, 0]);
        other(lab, call, [0, base, 8, 0, 0]);
    }
    boundary(lab);
}

/// Guest 0 is told of packets and of changes of the link.
fn listen(lab: &mut Lab) {
    own(lab, nr::cpu_qconf, [0x3d, BASE + 0x1000, 8, 0, 0]);
    for (call, value) in
        [(nr::vintr_setcookie, 0xc00c1e), (nr::vintr_settarget, 0), (nr::vintr_setvalid, 1)]
    {
        own(lab, call, [0x200, 1, value, 0, 0]);
    }
}

/// Guest 0's interrupt is idle, although it was told of packets and did not take them.
fn forget(lab: &mut Lab) {
    change(lab, GuestId(0), |guest| {
        guest.endpoints.values_mut().for_each(|end| end.rx_intr.state = IntrState::Idle);
    });
}

/// Guest 1 has queued `count` packets.
fn queue(lab: &mut Lab, count: u64) {
    for at in 0..count {
        lab.caller.0 = GuestId(1);
        lab.poke(TX + at * 64, &[0x50 + at as u8; 8]);
        lab.caller.0 = GuestId(0);
    }
    other(lab, nr::ldc_tx_set_qtail, [0, count * 64, 0, 0, 0]);
}

/// And they have arrived.
fn packets(lab: &mut Lab, count: u64) {
    up(lab);
    queue(lab, count);
    boundary(lab);
}

/// Guest 1 lends a page, in the second entry of two.
fn lend(lab: &mut Lab, page: u64, permissions: u64) {
    other(lab, nr::ldc_set_map_table, [0, TABLE, 2, 0, 0]);
    lab.caller.0 = GuestId(1);
    lab.poke(TABLE + 16, &(page | permissions).to_be_bytes());
    lab.poke(LENT + 0x10, b"lent");
    lab.poke(LENT + 0x1ff8, b"the end.");
    lab.caller.0 = GuestId(0);
    lab.poke(PLACE, b"own");
    lab.poke(PLACE + 0x1ff8, b"own end.");
}

/// A byte of that page, as a cookie.
const fn cookie(offset: u64) -> u64 {
    1 << 13 | offset
}

/// What every call of the group refuses first.
macro_rules! channels {
    ($call:literal $(, $arg:expr)*) => {
        [
            bad($call, Channel, "a channel that the guest does not have", |lab| {
                lab.show($call, &[1 $(, $arg)*])
            }),
            bad($call, Channel, "a number that no channel has", |lab| {
                lab.show($call, &[1 << 32 $(, $arg)*])
            }),
            bad($call, Channel, "the hypervisor's own", |lab| {
                lab.caller.0 = GuestId(1);
                lab.show($call, &[3 $(, $arg)*])
            }),
        ]
    };
}

const LISTS: [[Case; 3]; 12] = [
    channels!("ldc_tx_qconf", TX, 8),
    channels!("ldc_tx_qinfo"),
    channels!("ldc_tx_get_state"),
    channels!("ldc_tx_set_qtail", 64),
    channels!("ldc_rx_qconf", RX, 8),
    channels!("ldc_rx_qinfo"),
    channels!("ldc_rx_get_state"),
    channels!("ldc_rx_set_qhead", 64),
    channels!("ldc_set_map_table", TABLE, 2),
    channels!("ldc_get_map_table"),
    channels!("ldc_copy", 0, 0, PLACE, 8),
    channels!("ldc_mapin", 0),
];

/// Channels that are refused.
pub const REFUSALS: &[Case] = LISTS.as_flattened();

pub const CASES: &[Case] = &[
    good("ldc_tx_qconf", "eight packets; the peer is not told", |lab| {
        lab.show("ldc_tx_qconf", &[0, TX, 8])
    }),
    good("ldc_tx_qconf", "one packet, of which none can ever be sent", |lab| {
        lab.show("ldc_tx_qconf", &[0, TX + 64, 1])
    }),
    good("ldc_tx_qconf", "again: packets go, the tail stays", |lab| {
        own(lab, nr::ldc_tx_qconf, [0, TX, 8, 0, 0]);
        own(lab, nr::ldc_tx_set_qtail, [0, 128, 0, 0, 0]);
        lab.show("ldc_tx_qconf", &[0, TX, 8])
    }),
    good("ldc_tx_qconf", "again, smaller than the tail: from zero", |lab| {
        own(lab, nr::ldc_tx_qconf, [0, TX, 8, 0, 0]);
        own(lab, nr::ldc_tx_set_qtail, [0, 128, 0, 0, 0]);
        lab.show("ldc_tx_qconf", &[0, TX, 2])
    }),
    good("ldc_tx_qconf", "taken away, wherever it would be", |lab| {
        own(lab, nr::ldc_tx_qconf, [0, TX, 8, 0, 0]);
        lab.show("ldc_tx_qconf", &[0, END + 1, 0])
    }),
    bad("ldc_tx_qconf", Inval, "three packets", |lab| lab.show("ldc_tx_qconf", &[0, TX, 3])),
    bad("ldc_tx_qconf", Inval, "more bytes than 64 bits count", |lab| {
        lab.show("ldc_tx_qconf", &[0, TX, 1 << 58])
    }),
    bad("ldc_tx_qconf", BadAlign, "at half its size", |lab| {
        lab.show("ldc_tx_qconf", &[0, TX + 256, 8])
    }),
    bad("ldc_tx_qconf", NoRaddr, "behind memory", |lab| lab.show("ldc_tx_qconf", &[0, END, 8])),
    order("ldc_tx_qconf", Channel, Inval, "the channel first", |lab| {
        lab.show("ldc_tx_qconf", &[1, TX, 3])
    }),
    order("ldc_tx_qconf", Inval, BadAlign, "entries before alignment", |lab| {
        lab.show("ldc_tx_qconf", &[0, TX + 8, 3])
    }),
    order("ldc_tx_qconf", BadAlign, NoRaddr, "alignment before range", |lab| {
        lab.show("ldc_tx_qconf", &[0, END + 256, 8])
    }),
    good("ldc_tx_qinfo", "as it was set", |lab| {
        own(lab, nr::ldc_tx_qconf, [0, TX, 8, 0, 0]);
        lab.show("ldc_tx_qinfo", &[0])
    }),
    good("ldc_tx_qinfo", "as a guest begins", |lab| lab.show("ldc_tx_qinfo", &[0])),
    good("ldc_tx_qinfo", "taken away: the address stays", |lab| {
        own(lab, nr::ldc_tx_qconf, [0, TX, 8, 0, 0]);
        own(lab, nr::ldc_tx_qconf, [0, 0, 0, 0, 0]);
        lab.show("ldc_tx_qinfo", &[0])
    }),
    good("ldc_tx_get_state", "the peer has no receive queue: DOWN", |lab| {
        own(lab, nr::ldc_tx_qconf, [0, TX, 8, 0, 0]);
        lab.show("ldc_tx_get_state", &[0])
    }),
    good("ldc_tx_get_state", "it has one: UP", |lab| {
        up(lab);
        lab.show("ldc_tx_get_state", &[0])
    }),
    good("ldc_tx_get_state", "packets that wait for room", |lab| {
        own(lab, nr::ldc_tx_qconf, [0, TX, 8, 0, 0]);
        other(lab, nr::ldc_rx_qconf, [0, RX, 2, 0, 0]);
        boundary(lab);
        own(lab, nr::ldc_tx_set_qtail, [0, 3 * 64, 0, 0, 0]);
        boundary(lab);
        lab.show("ldc_tx_get_state", &[0])
    }),
    good("ldc_tx_get_state", "the peer's queue was set again: RESET", |lab| {
        up(lab);
        other(lab, nr::ldc_rx_qconf, [0, RX, 8, 0, 0]);
        boundary(lab);
        lab.show("ldc_tx_get_state", &[0])
    }),
    good("ldc_tx_get_state", "the other call has read that already: UP", |lab| {
        up(lab);
        other(lab, nr::ldc_rx_qconf, [0, RX, 8, 0, 0]);
        boundary(lab);
        own(lab, nr::ldc_rx_get_state, [0; 5]);
        lab.show("ldc_tx_get_state", &[0])
    }),
    good("ldc_tx_get_state", "taken away and set again, and nobody looked: RESET", |lab| {
        up(lab);
        other(lab, nr::ldc_rx_qconf, [0, 0, 0, 0, 0]);
        boundary(lab);
        other(lab, nr::ldc_rx_qconf, [0, RX, 8, 0, 0]);
        boundary(lab);
        lab.show("ldc_tx_get_state", &[0])
    }),
    good("ldc_tx_get_state", "and where somebody looked while it was DOWN: UP", |lab| {
        up(lab);
        other(lab, nr::ldc_rx_qconf, [0, 0, 0, 0, 0]);
        boundary(lab);
        assert_eq!(lab.call(nr::ldc_tx_get_state, [0; 5]).rets[2], 0);
        other(lab, nr::ldc_rx_qconf, [0, RX, 8, 0, 0]);
        boundary(lab);
        lab.show("ldc_tx_get_state", &[0])
    }),
    bad("ldc_tx_get_state", Inval, "no queue", |lab| lab.show("ldc_tx_get_state", &[0])),
    order("ldc_tx_get_state", Channel, Inval, "the channel first", |lab| {
        lab.show("ldc_tx_get_state", &[1])
    }),
    good("ldc_tx_set_qtail", "two packets: they cross, and ring once", |lab| {
        up(lab);
        listen(lab);
        queue(lab, 1);
        other(lab, nr::ldc_tx_set_qtail, [0, 128, 0, 0, 0]);
        lab.caller.0 = GuestId(1);
        lab.show("ldc_tx_set_qtail", &[0, 192])
    }),
    good("ldc_tx_set_qtail", "more where some wait already: nothing rings", |lab| {
        packets(lab, 1);
        listen(lab);
        own(lab, nr::vintr_setstate, [0x200, 1, 0, 0, 0]);
        forget(lab);
        lab.caller.0 = GuestId(1);
        lab.show("ldc_tx_set_qtail", &[0, 128])
    }),
    good("ldc_tx_set_qtail", "the peer has no receive queue: they wait", |lab| {
        own(lab, nr::ldc_tx_qconf, [0, TX, 8, 0, 0]);
        lab.show("ldc_tx_set_qtail", &[0, 448])
    }),
    good("ldc_tx_set_qtail", "round the end", |lab| {
        up(lab);
        own(lab, nr::ldc_tx_set_qtail, [0, 448, 0, 0, 0]);
        boundary(lab);
        lab.show("ldc_tx_set_qtail", &[0, 64])
    }),
    bad("ldc_tx_set_qtail", BadAlign, "half a packet", |lab| {
        up(lab);
        lab.show("ldc_tx_set_qtail", &[0, 32])
    }),
    bad("ldc_tx_set_qtail", Inval, "no queue", |lab| lab.show("ldc_tx_set_qtail", &[0, 64])),
    bad("ldc_tx_set_qtail", Inval, "behind the queue", |lab| {
        up(lab);
        lab.show("ldc_tx_set_qtail", &[0, 512])
    }),
    bad("ldc_tx_set_qtail", Inval, "where it is", |lab| {
        up(lab);
        lab.show("ldc_tx_set_qtail", &[0, 0])
    }),
    bad("ldc_tx_set_qtail", Inval, "onto the head", |lab| {
        own(lab, nr::ldc_tx_qconf, [0, TX, 8, 0, 0]);
        own(lab, nr::ldc_tx_set_qtail, [0, 64, 0, 0, 0]);
        lab.show("ldc_tx_set_qtail", &[0, 0])
    }),
    bad("ldc_tx_set_qtail", Inval, "back", |lab| {
        own(lab, nr::ldc_tx_qconf, [0, TX, 8, 0, 0]);
        own(lab, nr::ldc_tx_set_qtail, [0, 128, 0, 0, 0]);
        lab.show("ldc_tx_set_qtail", &[0, 64])
    }),
    order("ldc_tx_set_qtail", Channel, BadAlign, "the channel first", |lab| {
        lab.show("ldc_tx_set_qtail", &[1, 32])
    }),
    order("ldc_tx_set_qtail", BadAlign, Inval, "alignment before the queue", |lab| {
        lab.show("ldc_tx_set_qtail", &[0, 32])
    }),
    good("ldc_rx_qconf", "the first time: the peer is told, and reads UP", |lab| {
        own(lab, nr::ldc_rx_qconf, [0, RX, 8, 0, 0]);
        listen(lab);
        lab.caller.0 = GuestId(1);
        lab.show("ldc_rx_qconf", &[0, RX, 8])
    }),
    good("ldc_rx_qconf", "again: packets go, the peer is told", |lab| {
        packets(lab, 2);
        lab.show("ldc_rx_qconf", &[0, RX, 8])
    }),
    good("ldc_rx_qconf", "again, while the peer has packets waiting: it is told", |lab| {
        packets(lab, 1);
        listen(lab);
        own(lab, nr::vintr_setstate, [0x200, 1, 0, 0, 0]);
        forget(lab);
        lab.caller.0 = GuestId(1);
        lab.show("ldc_rx_qconf", &[0, RX, 8])
    }),
    good("ldc_rx_qconf", "taken away: the peer is told", |lab| {
        up(lab);
        listen(lab);
        lab.caller.0 = GuestId(1);
        lab.show("ldc_rx_qconf", &[0, 0, 0])
    }),
    good("ldc_rx_qconf", "taken away where there was none: nobody is told", |lab| {
        own(lab, nr::ldc_rx_qconf, [0, RX, 8, 0, 0]);
        listen(lab);
        lab.caller.0 = GuestId(1);
        lab.show("ldc_rx_qconf", &[0, 0, 0])
    }),
    good("ldc_rx_qconf", "packets that waited for it come in, and ring", |lab| {
        other(lab, nr::ldc_tx_qconf, [0, TX, 8, 0, 0]);
        queue(lab, 1);
        boundary(lab);
        listen(lab);
        lab.show("ldc_rx_qconf", &[0, RX, 8])
    }),
    bad("ldc_rx_qconf", Inval, "three packets", |lab| lab.show("ldc_rx_qconf", &[0, RX, 3])),
    bad("ldc_rx_qconf", BadAlign, "at half its size", |lab| {
        lab.show("ldc_rx_qconf", &[0, RX + 256, 8])
    }),
    bad("ldc_rx_qconf", NoRaddr, "behind memory", |lab| lab.show("ldc_rx_qconf", &[0, END, 8])),
    order("ldc_rx_qconf", Channel, Inval, "the channel first", |lab| {
        lab.show("ldc_rx_qconf", &[1, RX, 3])
    }),
    order("ldc_rx_qconf", Inval, BadAlign, "entries before alignment", |lab| {
        lab.show("ldc_rx_qconf", &[0, RX + 8, 3])
    }),
    order("ldc_rx_qconf", BadAlign, NoRaddr, "alignment before range", |lab| {
        lab.show("ldc_rx_qconf", &[0, END + 256, 8])
    }),
    good("ldc_rx_qinfo", "as it was set", |lab| {
        up(lab);
        lab.show("ldc_rx_qinfo", &[0])
    }),
    good("ldc_rx_qinfo", "taken away: the address stays", |lab| {
        up(lab);
        own(lab, nr::ldc_rx_qconf, [0, 0, 0, 0, 0]);
        lab.show("ldc_rx_qinfo", &[0])
    }),
    good("ldc_rx_get_state", "packets that came, and UP", |lab| {
        packets(lab, 3);
        lab.show("ldc_rx_get_state", &[0])
    }),
    good("ldc_rx_get_state", "packets of this slice are not there yet", |lab| {
        up(lab);
        queue(lab, 3);
        lab.show("ldc_rx_get_state", &[0])
    }),
    good("ldc_rx_get_state", "a queue is never filled to the last place", |lab| {
        own(lab, nr::ldc_rx_qconf, [0, RX, 4, 0, 0]);
        other(lab, nr::ldc_tx_qconf, [0, TX, 8, 0, 0]);
        queue(lab, 7);
        boundary(lab);
        lab.show("ldc_rx_get_state", &[0])
    }),
    good("ldc_rx_get_state", "RESET is read once", |lab| {
        up(lab);
        other(lab, nr::ldc_rx_qconf, [0, RX, 8, 0, 0]);
        boundary(lab);
        own(lab, nr::ldc_tx_get_state, [0; 5]);
        lab.show("ldc_rx_get_state", &[0])
    }),
    good("ldc_rx_get_state", "the peer has ended: DOWN, and its packets came before", |lab| {
        packets(lab, 1);
        lab.caller.0 = GuestId(1);
        lab.call(nr::mach_exit, [0; 5]);
        lab.caller.0 = GuestId(0);
        lab.show("ldc_rx_get_state", &[0])
    }),
    bad("ldc_rx_get_state", Inval, "no queue", |lab| lab.show("ldc_rx_get_state", &[0])),
    order("ldc_rx_get_state", Channel, Inval, "the channel first", |lab| {
        lab.show("ldc_rx_get_state", &[1])
    }),
    good("ldc_rx_set_qhead", "one of two packets is taken; nobody is told", |lab| {
        packets(lab, 2);
        lab.show("ldc_rx_set_qhead", &[0, 64])
    }),
    good("ldc_rx_set_qhead", "all are taken", |lab| {
        packets(lab, 2);
        lab.show("ldc_rx_set_qhead", &[0, 128])
    }),
    good("ldc_rx_set_qhead", "onto the tail where nothing waits", |lab| {
        up(lab);
        lab.show("ldc_rx_set_qhead", &[0, 0])
    }),
    good("ldc_rx_set_qhead", "room: what waited at the peer comes", |lab| {
        own(lab, nr::ldc_rx_qconf, [0, RX, 2, 0, 0]);
        other(lab, nr::ldc_tx_qconf, [0, TX, 8, 0, 0]);
        queue(lab, 2);
        boundary(lab);
        lab.show("ldc_rx_set_qhead", &[0, 64])
    }),
    bad("ldc_rx_set_qhead", BadAlign, "half a packet", |lab| {
        packets(lab, 2);
        lab.show("ldc_rx_set_qhead", &[0, 32])
    }),
    bad("ldc_rx_set_qhead", Inval, "no queue", |lab| lab.show("ldc_rx_set_qhead", &[0, 64])),
    bad("ldc_rx_set_qhead", Inval, "behind the queue", |lab| {
        packets(lab, 2);
        lab.show("ldc_rx_set_qhead", &[0, 512])
    }),
    bad("ldc_rx_set_qhead", Inval, "where it is, while packets wait", |lab| {
        packets(lab, 2);
        lab.show("ldc_rx_set_qhead", &[0, 0])
    }),
    bad("ldc_rx_set_qhead", Inval, "beyond the tail", |lab| {
        packets(lab, 2);
        lab.show("ldc_rx_set_qhead", &[0, 192])
    }),
    bad("ldc_rx_set_qhead", Inval, "beyond the tail of an empty queue", |lab| {
        up(lab);
        lab.show("ldc_rx_set_qhead", &[0, 64])
    }),
    order("ldc_rx_set_qhead", Channel, BadAlign, "the channel first", |lab| {
        lab.show("ldc_rx_set_qhead", &[1, 32])
    }),
    order("ldc_rx_set_qhead", BadAlign, Inval, "alignment before the queue", |lab| {
        lab.show("ldc_rx_set_qhead", &[0, 32])
    }),
    good("ldc_set_map_table", "two entries", |lab| lab.show("ldc_set_map_table", &[0, TABLE, 2])),
    good("ldc_set_map_table", "removed", |lab| {
        own(lab, nr::ldc_set_map_table, [0, TABLE, 2, 0, 0]);
        lab.show("ldc_set_map_table", &[0, END, 0])
    }),
    bad("ldc_set_map_table", BadAlign, "at 32 bytes", |lab| {
        lab.show("ldc_set_map_table", &[0, TABLE + 32, 2])
    }),
    bad("ldc_set_map_table", BadAlign, "removed at 32 bytes", |lab| {
        lab.show("ldc_set_map_table", &[0, TABLE + 32, 0])
    }),
    bad("ldc_set_map_table", Inval, "one entry", |lab| {
        lab.show("ldc_set_map_table", &[0, TABLE, 1])
    }),
    bad("ldc_set_map_table", Inval, "three entries", |lab| {
        lab.show("ldc_set_map_table", &[0, TABLE, 3])
    }),
    bad("ldc_set_map_table", Inval, "a gibi of entries", |lab| {
        lab.show("ldc_set_map_table", &[0, TABLE, 1 << 30])
    }),
    bad("ldc_set_map_table", NoRaddr, "half behind memory", |lab| {
        lab.show("ldc_set_map_table", &[0, END - 64, 8])
    }),
    order("ldc_set_map_table", BadAlign, Channel, "here alignment is first", |lab| {
        lab.show("ldc_set_map_table", &[1, TABLE + 8, 2])
    }),
    order("ldc_set_map_table", Channel, Inval, "the channel before entries", |lab| {
        lab.show("ldc_set_map_table", &[1, TABLE, 3])
    }),
    order("ldc_set_map_table", Inval, NoRaddr, "entries before range", |lab| {
        lab.show("ldc_set_map_table", &[0, END, 3])
    }),
    good("ldc_get_map_table", "as it was set", |lab| {
        own(lab, nr::ldc_set_map_table, [0, TABLE, 2, 0, 0]);
        lab.show("ldc_get_map_table", &[0])
    }),
    good("ldc_get_map_table", "none", |lab| lab.show("ldc_get_map_table", &[0])),
    good("ldc_copy", "in; what the call does not answer is cleared", |lab| {
        lend(lab, LENT, CR);
        lab.show("ldc_copy", &[0, 0, cookie(0x10), PLACE, 8])
    }),
    good("ldc_copy", "out", |lab| {
        lend(lab, LENT, CW);
        lab.show("ldc_copy", &[0, 1, cookie(0x10), PLACE, 8])
    }),
    good("ldc_copy", "up to the end of the lender's page", |lab| {
        lend(lab, LENT, CR);
        lab.show("ldc_copy", &[0, 0, cookie(0x1ff8), PLACE, 64])
    }),
    good("ldc_copy", "up to the end of the own page", |lab| {
        lend(lab, LENT, CW);
        lab.show("ldc_copy", &[0, 1, cookie(0x10), PLACE + 0x1ff8, 64])
    }),
    good("ldc_copy", "the table is read each time", |lab| {
        lend(lab, LENT, CR);
        own(lab, nr::ldc_copy, [0, 0, cookie(0x10), PLACE, 8]);
        lend(lab, LENT + 0x2000, CR);
        lab.show("ldc_copy", &[0, 0, cookie(0x10), PLACE, 8])
    }),
    bad("ldc_copy", BadAlign, "a cookie at 4 bytes", |lab| {
        lab.show("ldc_copy", &[0, 0, cookie(4), PLACE, 8])
    }),
    bad("ldc_copy", BadAlign, "an address at 4 bytes", |lab| {
        lab.show("ldc_copy", &[0, 0, cookie(0), PLACE + 4, 8])
    }),
    bad("ldc_copy", BadAlign, "four bytes", |lab| {
        lab.show("ldc_copy", &[0, 0, cookie(0), PLACE, 4])
    }),
    bad("ldc_copy", Inval, "neither in nor out", |lab| {
        lab.show("ldc_copy", &[0, 2, cookie(0), PLACE, 8])
    }),
    bad("ldc_copy", Inval, "nothing", |lab| lab.show("ldc_copy", &[0, 0, cookie(0), PLACE, 0])),
    bad("ldc_copy", Inval, "less than nothing", |lab| {
        lab.show("ldc_copy", &[0, 0, cookie(0), PLACE, 1 << 63])
    }),
    bad("ldc_copy", Channel, "the other end is gone", |lab| {
        lend(lab, LENT, CR);
        change(lab, GuestId(1), |guest| guest.endpoints.retain(|&id, _| id != LdcId(0)));
        lab.show("ldc_copy", &[0, 0, cookie(0), PLACE, 8])
    }),
    bad("ldc_copy", Channel, "the other end is a console", |lab| {
        lab.show("ldc_copy", &[3, 0, cookie(0), PLACE, 8])
    }),
    bad("ldc_copy", NoRaddr, "half behind memory, which a page's end would have spared", |lab| {
        lend(lab, LENT, CR);
        lab.show("ldc_copy", &[0, 0, cookie(0x1ff8), END - 8, 16])
    }),
    bad("ldc_copy", NoRaddr, "a lent page that the lender does not have", |lab| {
        lend(lab, END, CR);
        lab.show("ldc_copy", &[0, 0, cookie(0), PLACE, 8])
    }),
    bad("ldc_copy", NoMap, "nothing is lent", |lab| {
        lab.show("ldc_copy", &[0, 0, cookie(0), PLACE, 8])
    }),
    bad("ldc_copy", NoMap, "behind the table", |lab| {
        lend(lab, LENT, CR);
        lab.show("ldc_copy", &[0, 0, 2 << 13, PLACE, 8])
    }),
    bad("ldc_copy", NoMap, "the lender has ended, and its table with it", |lab| {
        lend(lab, LENT, CR);
        lab.caller.0 = GuestId(1);
        lab.call(nr::mach_exit, [0; 5]);
        lab.caller.0 = GuestId(0);
        lab.show("ldc_copy", &[0, 0, cookie(0), PLACE, 8])
    }),
    bad("ldc_copy", BadPgsz, "a cookie of 64 KiB pages", |lab| {
        lend(lab, LENT, CR);
        lab.show("ldc_copy", &[0, 0, 1 << 60 | cookie(0), PLACE, 8])
    }),
    bad("ldc_copy", NoAccess, "in from a page to write", |lab| {
        lend(lab, LENT, CW);
        lab.show("ldc_copy", &[0, 0, cookie(0), PLACE, 8])
    }),
    bad("ldc_copy", NoAccess, "out to a page to read", |lab| {
        lend(lab, LENT, CR);
        lab.show("ldc_copy", &[0, 1, cookie(0), PLACE, 8])
    }),
    bad("ldc_copy", NoAccess, "an entry that lends to be mapped only", |lab| {
        lend(lab, LENT, 0x1f0);
        lab.show("ldc_copy", &[0, 0, cookie(0), PLACE, 8])
    }),
    bad("ldc_copy", NoAccess, "an empty entry", |lab| {
        lend(lab, LENT, CR);
        lab.show("ldc_copy", &[0, 0, 0, PLACE, 8])
    }),
    order("ldc_copy", BadAlign, Inval, "alignment first", |lab| {
        lab.show("ldc_copy", &[0, 2, cookie(4), PLACE, 0])
    }),
    order("ldc_copy", Inval, Channel, "direction and length before the channel", |lab| {
        lab.show("ldc_copy", &[1, 0, cookie(0), PLACE, 0])
    }),
    order("ldc_copy", Channel, NoRaddr, "the channel before the own range", |lab| {
        lab.show("ldc_copy", &[1, 0, cookie(0), END, 8])
    }),
    order("ldc_copy", NoRaddr, Channel, "the own range before the other end", |lab| {
        lab.show("ldc_copy", &[3, 0, cookie(0), END, 8])
    }),
    order("ldc_copy", NoRaddr, NoMap, "the own range before the table", |lab| {
        lab.show("ldc_copy", &[0, 0, cookie(0), END, 8])
    }),
    order("ldc_copy", NoMap, BadPgsz, "a table before the cookie", |lab| {
        lab.show("ldc_copy", &[0, 0, 1 << 60, PLACE, 8])
    }),
    order("ldc_copy", BadPgsz, NoMap, "the cookie's pages before its place in the table", |lab| {
        lend(lab, LENT, CR);
        lab.show("ldc_copy", &[0, 0, 1 << 60 | 2 << 13, PLACE, 8])
    }),
    order("ldc_copy", BadPgsz, NoAccess, "the cookie before the entry", |lab| {
        lend(lab, LENT, CW);
        lab.show("ldc_copy", &[0, 0, 1 << 60 | cookie(0), PLACE, 8])
    }),
    order("ldc_copy", NoAccess, NoRaddr, "what is permitted before the lender's range", |lab| {
        lend(lab, END, CW);
        lab.show("ldc_copy", &[0, 0, cookie(0), PLACE, 8])
    }),
    bad("ldc_mapin", NotSupported, "a page that is lent to be mapped", |lab| {
        lend(lab, LENT, 0x1f0);
        lab.show("ldc_mapin", &[0, cookie(0)])
    }),
    order("ldc_mapin", Channel, NotSupported, "the channel first", |lab| {
        lab.show("ldc_mapin", &[1, cookie(0)])
    }),
    bad("ldc_unmap", NoRaddr, "where T2 would map in", |lab| {
        lab.show("ldc_unmap", &[0x40_0000_0000])
    }),
    bad("ldc_revoke", NotSupported, "a page that is lent", |lab| {
        lend(lab, LENT, CR);
        lab.show("ldc_revoke", &[0, cookie(0), 0])
    }),
    bad("ldc_revoke", NotSupported, "of no channel", |lab| lab.show("ldc_revoke", &[1, 0, 0])),
];

pub const NEVERS: &[Never] = &[
    never("ldc_mapin", End::Success, "no guest has a region to map into"),
    never("ldc_unmap", End::Success, "nothing is ever mapped in"),
    never("ldc_revoke", End::Success, "T2 does not revoke"),
];
