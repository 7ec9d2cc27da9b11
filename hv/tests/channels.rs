//! Channels under random calls, beside a model that is small enough to be believed.

use hv::intr::IntrState;
use hv::platform::Memory as _;
use hv::testing::{BASE, BYTES, Lab};
use proptest::prelude::{Just, Strategy, any, prop_assert, prop_assert_eq, prop_oneof, proptest};
use proptest::test_runner::TestCaseError;
use std::collections::VecDeque;
use sun4v::addr::Pa;
use sun4v::hcall::{HvError, nr};
use sun4v::id::{GuestId, LdcId, VcpuId};

/// Queues of channel 0, for each guest.
const TX: u64 = BASE + 0x2000;
const RX: u64 = BASE + 0x4000;
/// The queue of device mondos, of which a test takes every entry.
const MONDOS: u64 = BASE + 0x8000;

/// Something that one end does, or both wait for.
#[derive(Clone, Debug)]
enum Step {
    /// Fills so many packets and moves the tail.
    Send(u64),
    /// Takes so many.
    Take(u64),
    /// Any tail, without filling anything.
    Tail(u64),
    /// Any head.
    Head(u64),
    /// Sets the transmit queue, to a size or away.
    TxConf(u64),
    /// Sets the receive queue.
    RxConf(u64),
    /// Says that it has seen its interrupt.
    Idle,
    /// Asks for the state of the link, by either call.
    Look(bool),
    /// A boundary.
    Boundary,
}

fn sizes() -> impl Strategy<Value = u64> {
    prop_oneof![Just(0), Just(1), Just(2), Just(4), Just(16), Just(64)]
}

fn step() -> impl Strategy<Value = Step> {
    let offset = prop_oneof![(0..70u64).prop_map(|n| n * 64), any::<u64>()];
    prop_oneof![
        4 => (0..20u64).prop_map(Step::Send),
        4 => (0..20u64).prop_map(Step::Take),
        1 => offset.clone().prop_map(Step::Tail),
        1 => offset.prop_map(Step::Head),
        1 => sizes().prop_map(Step::TxConf),
        1 => sizes().prop_map(Step::RxConf),
        2 => Just(Step::Idle),
        2 => any::<bool>().prop_map(Step::Look),
        4 => Just(Step::Boundary),
    ]
}

/// One queue as a guest would describe it. Offsets are counted in packets.
#[derive(Debug, Default)]
struct Queue {
    entries: u64,
    head: u64,
    packets: VecDeque<u64>,
    /// Where the tail was when it lost its memory.
    tail: u64,
}

impl Queue {
    fn tail(&self) -> u64 {
        match self.entries {
            0 => self.tail,
            entries => (self.head + self.packets.len() as u64) % entries,
        }
    }
    fn room(&self) -> u64 {
        self.entries.saturating_sub(1 + self.packets.len() as u64)
    }
    fn configure(&mut self, entries: u64) {
        let tail = self.tail();
        let head = if entries == 0 || tail < entries { tail } else { 0 };
        *self = Self { entries, head, packets: VecDeque::new(), tail: head };
    }
}

/// One end.
#[derive(Debug, Default)]
struct End {
    tx: Queue,
    rx: Queue,
    /// The receive queue had memory when it was set: the peer will read RESET.
    changed: bool,
    /// What the last boundary has told of the peer: it receives; it was set again.
    sees: (bool, bool),
}

/// Both ends and what they have sent so far.
#[derive(Default)]
struct Model {
    ends: [End; 2],
    sent: u64,
}

impl Model {
    fn boundary(&mut self) {
        for (from, to) in [(0, 1), (1, 0)] {
            let (receives, changed) =
                (self.ends[from].rx.entries != 0, std::mem::take(&mut self.ends[from].changed));
            let sees = &mut self.ends[to].sees;
            *sees = (receives, sees.1 || changed);
        }
        for (from, to) in [(0, 1), (1, 0)] {
            while self.ends[to].rx.room() > 0 {
                let tx = &mut self.ends[from].tx;
                let Some(packet) = tx.packets.pop_front() else { break };
                tx.head = (tx.head + 1) % tx.entries;
                self.ends[to].rx.packets.push_back(packet);
            }
        }
    }
}

struct Both {
    lab: Lab,
    model: Model,
}

impl Both {
    fn new() -> Self {
        let mut both = Self { lab: Lab::new(), model: Model::default() };
        for end in [0, 1] {
            for (call, args) in [
                (nr::cpu_qconf, [0x3d, MONDOS, 64, 0, 0]),
                (nr::vintr_setcookie, [0x200, 1, 0xc00c1e, 0, 0]),
                (nr::vintr_settarget, [0x200, 1, 0, 0, 0]),
                (nr::vintr_setvalid, [0x200, 1, 1, 0, 0]),
            ] {
                assert_eq!(both.call(end, call, args).0, 0);
            }
        }
        both
    }

    fn call(&mut self, end: usize, call: u64, args: [u64; 5]) -> (u64, [u64; 5]) {
        self.lab.caller = (GuestId(end as u8), VcpuId(0));
        let answer = self.lab.call(call, args);
        (answer.status, answer.rets)
    }

    fn step(&mut self, end: usize, step: &Step) -> Result<(), TestCaseError> {
        let invalid = HvError::Inval.code();
        match *step {
            Step::Boundary => {
                self.lab.hv.boundary(&mut self.lab.board);
                self.model.boundary();
                return self.compare();
            }
            Step::Send(count) => {
                let tx = &mut self.model.ends[end].tx;
                let (tail, entries) = (tx.tail(), tx.entries);
                let fits = count > 0 && count <= tx.room();
                if fits {
                    self.lab.caller.0 = GuestId(end as u8);
                    for at in 0..count {
                        self.model.sent += 1;
                        tx.packets.push_back(self.model.sent);
                        let place = TX + (tail + at) % entries * 64;
                        self.lab.poke(place, &self.model.sent.to_be_bytes());
                    }
                }
                let to = if entries == 0 { 0 } else { (tail + count) % entries };
                // Once around is where it was.
                let wrong = count >= entries && !fits && entries != 0;
                if !wrong {
                    let (status, _) = self.call(end, nr::ldc_tx_set_qtail, [0, to * 64, 0, 0, 0]);
                    prop_assert_eq!(status, if fits { 0 } else { invalid });
                }
            }
            Step::Take(count) => {
                let rx = &mut self.model.ends[end].rx;
                let count = count.min(rx.packets.len() as u64);
                if count > 0 {
                    rx.head = (rx.head + count) % rx.entries;
                    rx.packets.drain(..count as usize);
                    let head = rx.head * 64;
                    let (status, _) = self.call(end, nr::ldc_rx_set_qhead, [0, head, 0, 0, 0]);
                    prop_assert_eq!(status, 0);
                }
            }
            Step::Tail(to) => {
                let tx = &mut self.model.ends[end].tx;
                let expected = if !to.is_multiple_of(64) {
                    HvError::BadAlign.code()
                } else if to / 64 >= tx.entries {
                    invalid
                } else {
                    let added = (to / 64 + tx.entries - tx.tail()) % tx.entries;
                    if added == 0 || added > tx.room() {
                        invalid
                    } else {
                        // What lies there is sent: an old packet, or nothing.
                        self.lab.caller.0 = GuestId(end as u8);
                        for _ in 0..added {
                            let place = TX + tx.tail() * 64;
                            tx.packets.push_back(u64::from_be_bytes(self.lab.peek(place)));
                        }
                        0
                    }
                };
                let (status, _) = self.call(end, nr::ldc_tx_set_qtail, [0, to, 0, 0, 0]);
                prop_assert_eq!(status, expected);
            }
            Step::Head(to) => {
                let rx = &mut self.model.ends[end].rx;
                let expected = if !to.is_multiple_of(64) {
                    HvError::BadAlign.code()
                } else if to / 64 >= rx.entries {
                    invalid
                } else {
                    let taken = (to / 64 + rx.entries - rx.head) % rx.entries;
                    let all = to / 64 == rx.tail();
                    if all || taken > 0 && taken <= rx.packets.len() as u64 {
                        rx.head = to / 64;
                        rx.packets.drain(..taken as usize);
                        0
                    } else {
                        invalid
                    }
                };
                let (status, _) = self.call(end, nr::ldc_rx_set_qhead, [0, to, 0, 0, 0]);
                prop_assert_eq!(status, expected);
            }
            Step::TxConf(entries) => {
                self.model.ends[end].tx.configure(entries);
                let (status, _) = self.call(end, nr::ldc_tx_qconf, [0, TX, entries, 0, 0]);
                prop_assert_eq!(status, 0);
            }
            Step::RxConf(entries) => {
                let own = &mut self.model.ends[end];
                own.changed |= own.rx.entries != 0;
                own.rx.configure(entries);
                let (status, _) = self.call(end, nr::ldc_rx_qconf, [0, RX, entries, 0, 0]);
                prop_assert_eq!(status, 0);
            }
            Step::Idle => {
                let (status, _) = self.call(end, nr::vintr_setstate, [0x200, 1, 0, 0, 0]);
                prop_assert_eq!(status, 0);
            }
            Step::Look(transmit) => {
                let own = &mut self.model.ends[end];
                let queue = if transmit { &own.tx } else { &own.rx };
                let call = if transmit { nr::ldc_tx_get_state } else { nr::ldc_rx_get_state };
                let (there, head, tail) = (queue.entries != 0, queue.head * 64, queue.tail() * 64);
                let (receives, reset) = own.sees;
                own.sees.1 &= !there;
                let (status, rets) = self.call(end, call, [0; 5]);
                if there {
                    let state = if !receives { 0 } else { 1 + u64::from(reset) };
                    prop_assert_eq!((status, &rets[..3]), (0, &[head, tail, state][..]));
                } else {
                    prop_assert_eq!(status, invalid);
                }
            }
        }
        Ok(())
    }

    /// Queues, what lies in them, and interrupts are as they should be.
    fn compare(&mut self) -> Result<(), TestCaseError> {
        for end in [0, 1] {
            let id = GuestId(end as u8);
            let guest = self.lab.hv.guest(id);
            let endpoint = guest.map(|guest| guest.endpoints[&LdcId(0)].clone());
            let Some(endpoint) = endpoint else { return Err(TestCaseError::fail("no guest")) };
            let model = &self.model.ends[end];
            for (queue, wanted) in [(&endpoint.tx, &model.tx), (&endpoint.rx, &model.rx)] {
                prop_assert_eq!(queue.entries, wanted.entries);
                prop_assert_eq!(queue.len(), wanted.packets.len() as u64);
                if queue.entries != 0 {
                    prop_assert_eq!(queue.head, wanted.head * 64);
                    prop_assert_eq!(queue.tail, wanted.tail() * 64);
                }
            }
            self.lab.caller.0 = id;
            for (at, &packet) in (0..).zip(&model.rx.packets) {
                let place = RX + (model.rx.head + at) % model.rx.entries * 64;
                prop_assert_eq!(u64::from_be_bytes(self.lab.peek(place)), packet);
            }
            // Whoever has packets was told, and has not said since that it has seen them.
            if !endpoint.rx.is_empty() {
                prop_assert_eq!(endpoint.rx_intr.state, IntrState::Delivered);
            }
            while let Some(words) = self.lab.hv.next_mondo(id, &mut self.lab.board) {
                prop_assert_eq!(words[0], 0xc00c1e);
            }
        }
        Ok(())
    }
}

/// Pages of each guest that a copy may hit, the table's own among them, and one that does
/// not exist.
const TABLE: u64 = BASE + 0x1_0000;
const PAGES: u64 = 4;

fn page(index: u64) -> u64 {
    match index % (PAGES + 1) {
        PAGES => BASE + BYTES,
        index => TABLE + (index << 13),
    }
}

/// Fills the pages so that no two doublewords of the two guests are the same.
fn fill(lab: &Lab) {
    for guest in 0..2u64 {
        let base = 0x1000_0000 + guest * BYTES + (TABLE - BASE);
        for at in (0..PAGES << 13).step_by(8) {
            lab.board.memory.write_u64(Pa(base + at), 0x5a00_0000_0000_0000 | guest << 48 | at);
        }
    }
}

proptest! {
    #[test]
    fn what_is_sent_arrives_once_and_in_order_or_waits(
        steps in proptest::collection::vec((0usize..2, step()), 1..200)
    ) {
        let mut both = Both::new();
        for end in [0, 1] {
            both.step(end, &Step::TxConf(16))?;
            both.step(end, &Step::RxConf(16))?;
        }
        for (end, step) in &steps {
            both.step(*end, step)?;
        }
        both.step(0, &Step::Boundary)?;
    }

    #[test]
    fn a_copy_touches_what_is_lent_and_permitted_and_nothing_else(
        entries in proptest::collection::vec((0..=PAGES, any::<u16>()), 8),
        copies in proptest::collection::vec(
            (0..2u64, (0..10u64, 0..1024u64, 0..16u64), (0..=PAGES, 0..1024u64), 0..3000u64),
            1..30
        )
    ) {
        let mut lab = Lab::new();
        fill(&lab);
        lab.caller.0 = GuestId(1);
        prop_assert_eq!(lab.call(nr::ldc_set_map_table, [0, TABLE, 8, 0, 0]).status, 0);
        for (at, &(index, permissions)) in (0..).zip(&entries) {
            let word = page(index) | u64::from(permissions) & 0x1fff;
            lab.poke(TABLE + at * 16, &word.to_be_bytes());
        }
        lab.caller.0 = GuestId(0);
        for (out, (index, offset, size), (own, own_offset), words) in copies {
            let offset = offset * 8;
            let cookie = u64::from(size == 0) << 60 | index << 13 | offset;
            let ra = page(own) + own_offset * 8;
            // The table as it is now: it may have been copied over.
            lab.caller.0 = GuestId(1);
            let entry = u64::from_be_bytes(lab.peek(TABLE + index * 16));
            lab.caller.0 = GuestId(0);
            let before = lab.board.memory.snapshot();
            let answer = lab.call(nr::ldc_copy, [0, out, cookie, ra, words * 8]);
            let changes = lab.board.memory.differences(&before);
            if answer.status != 0 {
                prop_assert!(changes.is_empty(), "{answer:?} changed {changes:x?}");
                continue;
            }
            let copied = answer.rets[0];
            prop_assert!(index < 8 && size != 0);
            prop_assert!(entry >> 9 & 1 << out != 0, "entry {entry:#x}, out {out}");
            let lent = entry & 0x00ff_ffff_ffff_e000;
            prop_assert!((BASE..BASE + BYTES).contains(&lent));
            let ends = [words * 8, 0x2000 - offset, 0x2000 - (ra & 0x1fff)];
            prop_assert_eq!(Some(copied), ends.into_iter().min());
            let theirs = 0x1000_0000 + BYTES + (lent - BASE) + offset;
            let ours = 0x1000_0000 + (ra - BASE);
            let (from, to) = if out == 1 { (ours, theirs) } else { (theirs, ours) };
            for at in (0..copied).step_by(8) {
                let (was, is) = (before.read_u64(Pa(from + at)), lab.board.memory.read_u64(Pa(to + at)));
                prop_assert_eq!(was, is);
            }
            for (pa, ..) in changes {
                prop_assert!(pa.0 >= to && pa.0 < to + copied, "{:x?}", pa);
            }
        }
    }
}

#[test]
fn at_most_128_packets_of_a_channel_cross_at_a_boundary() {
    let mut both = Both::new();
    for (end, call, args) in [
        (0, nr::ldc_tx_qconf, [0, BASE + 0x1_0000, 512, 0, 0]),
        (1, nr::ldc_rx_qconf, [0, BASE + 0x1_0000, 512, 0, 0]),
    ] {
        assert_eq!(both.call(end, call, args).0, 0);
    }
    both.lab.hv.boundary(&mut both.lab.board);
    assert_eq!(both.call(0, nr::ldc_tx_set_qtail, [0, 300 * 64, 0, 0, 0]).0, 0);
    let mut tail = 0;
    for arrived in [128, 256, 300, 300] {
        // The other end takes what it has: its business makes no difference.
        assert_eq!(both.call(1, nr::ldc_rx_set_qhead, [0, tail, 0, 0, 0]).0, 0);
        tail = arrived * 64;
        both.lab.hv.boundary(&mut both.lab.board);
        assert_eq!(both.call(1, nr::ldc_rx_get_state, [0; 5]).1[1], tail);
    }
}
