//! Consoles: guest 0's is the service processor's; guest 0 is the concentrator of guest 1's.

use crate::case::{Case, Never, bad, change, good, order};
use hv::console::{Console, Input};
use hv::testing::{BASE, BYTES, Lab};
use sun4v::hcall::HvError::{NoRaddr, WouldBlock};
use sun4v::hcall::nr;
use sun4v::id::{GuestId, VcpuId};

const END: u64 = BASE + BYTES;
/// A buffer, and the concentrator's queues on channel 3.
const TEXT: u64 = BASE + 0x1000;
const TX: u64 = BASE + 0x2000;
const RX: u64 = BASE + 0x4000;

/// Something arrives for guest 0.
fn arrive(lab: &mut Lab, inputs: &[Input]) {
    change(lab, GuestId(0), |guest| {
        let Some(console) = &mut guest.console else { panic!("no console") };
        inputs.iter().for_each(|&input| console.arrive(input));
    });
}

/// Guest 0 has no console.
fn none(lab: &mut Lab) {
    change(lab, GuestId(0), |guest| guest.console = None);
}

/// The concentrator takes packets, up to `packets`; guest 1 calls from now on.
fn concentrator(lab: &mut Lab, packets: u64) {
    for (call, base, entries) in [(nr::ldc_tx_qconf, TX, 8), (nr::ldc_rx_qconf, RX, packets + 1)] {
        assert_eq!(lab.call(call, [3, base, entries, 0, 0]).status, 0);
    }
    lab.hv.boundary(&mut lab.board);
    lab.caller = (GuestId(1), VcpuId(0));
}

/// A packet of the concentrator; guest 1 calls from now on.
fn packet(lab: &mut Lab, packet: [u8; 64]) {
    concentrator(lab, 7);
    lab.caller = (GuestId(0), VcpuId(0));
    lab.poke(TX, &packet);
    assert_eq!(lab.call(nr::ldc_tx_set_qtail, [3, 64, 0, 0, 0]).status, 0);
    lab.hv.boundary(&mut lab.board);
    lab.caller = (GuestId(1), VcpuId(0));
}

/// A packet that says something instead of carrying characters.
fn control(code: u32) -> [u8; 64] {
    let mut packet = [0; 64];
    packet[0] = 1;
    packet[4..8].copy_from_slice(&code.to_be_bytes());
    packet
}

/// Fills guest 1's console, whose concentrator has room for one packet.
fn full(lab: &mut Lab) {
    concentrator(lab, 1);
    let write = |lab: &mut Lab| lab.call(nr::cons_write, [TEXT, 56, 0, 0, 0]);
    lab.poke(TEXT, &[b'x'; 56]);
    while write(lab).status == 0 {}
}

pub const CASES: &[Case] = &[
    good("cons_getchar", "a character", |lab| {
        arrive(lab, &[Input::Char(b'a'), Input::Char(b'b')]);
        lab.show("cons_getchar", &[])
    }),
    good("cons_getchar", "a break is -1", |lab| {
        arrive(lab, &[Input::Break]);
        lab.show("cons_getchar", &[])
    }),
    good("cons_getchar", "a character of all ones is none", |lab| {
        arrive(lab, &[Input::Char(0xff)]);
        lab.show("cons_getchar", &[])
    }),
    good("cons_getchar", "a hang-up that a concentrator tells is -2", |lab| {
        packet(lab, control(0xffff_fffe));
        lab.show("cons_getchar", &[])
    }),
    bad("cons_getchar", WouldBlock, "nothing waits", |lab| lab.show("cons_getchar", &[])),
    bad("cons_getchar", WouldBlock, "no console", |lab| {
        none(lab);
        lab.show("cons_getchar", &[])
    }),
    good("cons_putchar", "to the service processor", |lab| lab.show("cons_putchar", &[0x141])),
    good("cons_putchar", "-1 is a character", |lab| lab.show("cons_putchar", &[u64::MAX])),
    good("cons_putchar", "to a concentrator", |lab| {
        concentrator(lab, 7);
        lab.show("cons_putchar", &[0x41])
    }),
    good("cons_putchar", "to a concentrator that does not listen", |lab| {
        lab.caller = (GuestId(1), VcpuId(0));
        lab.show("cons_putchar", &[0x41])
    }),
    good("cons_putchar", "no console", |lab| {
        none(lab);
        lab.show("cons_putchar", &[0x41])
    }),
    bad("cons_putchar", WouldBlock, "a concentrator that does not read", |lab| {
        full(lab);
        lab.show("cons_putchar", &[0x41])
    }),
    good("cons_read", "what waits, if it fits", |lab| {
        arrive(lab, &[Input::Char(b'a'), Input::Char(b'b')]);
        lab.show("cons_read", &[TEXT, 8])
    }),
    good("cons_read", "as much as fits", |lab| {
        packet(lab, Console::emit(b"abc"));
        lab.show("cons_read", &[TEXT + 1, 2])
    }),
    good("cons_read", "up to a break", |lab| {
        arrive(lab, &[Input::Char(b'a'), Input::Break, Input::Char(b'b')]);
        lab.show("cons_read", &[TEXT, 8])
    }),
    good("cons_read", "a break comes alone", |lab| {
        packet(lab, control(0xffff_ffff));
        lab.show("cons_read", &[TEXT, 8])
    }),
    good("cons_read", "and so does a hang-up", |lab| {
        arrive(lab, &[Input::HangUp, Input::Char(b'b')]);
        lab.show("cons_read", &[TEXT, 8])
    }),
    good("cons_read", "nothing, into no memory, although a character waits", |lab| {
        arrive(lab, &[Input::Char(b'a')]);
        lab.show("cons_read", &[END, 0])
    }),
    bad("cons_read", WouldBlock, "nothing waits", |lab| lab.show("cons_read", &[TEXT, 8])),
    bad("cons_read", NoRaddr, "half behind memory; the character is kept", |lab| {
        arrive(lab, &[Input::Char(b'a')]);
        lab.show("cons_read", &[END - 4, 8])
    }),
    order("cons_read", WouldBlock, NoRaddr, "where nothing waits, no buffer is looked at", |lab| {
        lab.show("cons_read", &[END, 8])
    }),
    good("cons_write", "to the service processor", |lab| {
        lab.poke(TEXT, b"rover: up\n");
        lab.show("cons_write", &[TEXT, 10])
    }),
    good("cons_write", "56 of 100", |lab| {
        lab.poke(TEXT, &[b'x'; 100]);
        lab.show("cons_write", &[TEXT, 100])
    }),
    good("cons_write", "to a concentrator: a packet", |lab| {
        concentrator(lab, 7);
        lab.poke(TEXT, b"rover: up\n");
        lab.show("cons_write", &[TEXT, 10])
    }),
    good("cons_write", "to a concentrator that does not listen", |lab| {
        lab.caller = (GuestId(1), VcpuId(0));
        lab.show("cons_write", &[TEXT, 10])
    }),
    good("cons_write", "no console: all of it is written", |lab| {
        none(lab);
        lab.show("cons_write", &[TEXT, 100])
    }),
    good("cons_write", "nothing, from no memory", |lab| lab.show("cons_write", &[END, 0])),
    bad("cons_write", NoRaddr, "half behind memory", |lab| lab.show("cons_write", &[END - 4, 8])),
    bad("cons_write", NoRaddr, "half behind memory, and no console", |lab| {
        none(lab);
        lab.show("cons_write", &[END - 4, 8])
    }),
    bad("cons_write", WouldBlock, "a concentrator that does not read", |lab| {
        full(lab);
        lab.show("cons_write", &[TEXT, 1])
    }),
    order("cons_write", NoRaddr, WouldBlock, "the buffer before the console", |lab| {
        full(lab);
        lab.show("cons_write", &[END, 1])
    }),
];

pub const NEVERS: &[Never] = &[];
