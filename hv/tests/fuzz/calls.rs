//! Every call and every trap of two guests with two virtual CPUs each, in any order,
//! with boundaries, time and restarts between. What one does changes nothing of the
//! other but what the other has lent: receive queues, exported pages, mondo queues;
//! and no memory that neither has.

use crate::drive::{Dice, fuzz};
use hv::testing::{BASE, BYTES, Lab, Pages};
use hv::{Guest, GuestState, Trap, VcpuState};
use std::collections::BTreeMap;
use std::ops::Range;
use sun4v::hcall::{all, nr};
use sun4v::id::{GuestId, VcpuId};
use sun4v::time::SimTime;

const PAGE: u64 = 0x2000;
/// Most of what is done is done in the first pages, so that it meets.
const ARENA: u64 = 24 * PAGE;
/// Where the guests' memory lies in a [`Lab`].
const MEMORY: u64 = 0x1000_0000;
const STEPS: u64 = 48;

/// Physical addresses of a guest's memory.
fn owned(guest: u8) -> Range<u64> {
    let first = MEMORY + u64::from(guest) * BYTES;
    first..first + BYTES
}

fn address(dice: &mut Dice) -> u64 {
    let align = dice.one(&[1, 8, 16, 32, 64, 64, 256, 0x1000, PAGE, PAGE]);
    match dice.below(16) {
        0 => BASE + BYTES - dice.below(130),
        1 => BASE - dice.below(130),
        2 => dice.bits(),
        3 => MEMORY + dice.below(2 * BYTES) / align * align,
        4 => BASE + dice.below(BYTES) / align * align,
        _ => BASE + dice.below(ARENA) / align * align,
    }
}

fn argument(dice: &mut Dice) -> u64 {
    match dice.below(16) {
        0 => dice.bits(),
        1 => 1 << dice.below(64),
        2 => 0x3c + dice.below(5),
        3 => dice.one(&[0x100, 0x200]),
        4 => dice.below(64) * 64,
        5 => 2 << dice.below(12),
        6 => 0,
        7 => 1 << 63 | (BASE + dice.below(ARENA) / PAGE * PAGE) | dice.below(16) | 0x640,
        8 | 9 => dice.below(8),
        _ => address(dice),
    }
}

/// Something in the caller's memory that a call may be pointed at.
fn furnish(lab: &mut Lab, dice: &mut Dice) {
    let at = BASE + dice.below(ARENA) / 64 * 64;
    let page = BASE + dice.below(ARENA) / PAGE * PAGE;
    let words: Vec<u64> = match dice.below(5) {
        // Map table entries.
        0 => (0..16).flat_map(|_| [page | dice.one(&[0x600, 0x200, 0x400, 0]), 0]).collect(),
        // TSB descriptors.
        1 => {
            let size = dice.one(&[0, 1, 3, 5, 2]);
            let entries = 512 << dice.below(3);
            vec![size << 48 | 1 << 32 | entries, dice.below(2) << 32 | 1 << size, page, 0]
        }
        // A mondo list.
        2 => vec![dice.bits() & 0x0001_0001_0001_0001, u64::MAX],
        // Control words, or descriptors of a modular arithmetic unit.
        3 => (0..16)
            .flat_map(|_| {
                let opcode = dice.one(&[0x20, 0x40, 0x41, 0xc0]);
                let control = opcode << 56 | dice.below(8) << 53 | dice.bits() & 0xfff_ffff_ffff;
                let mut word = [control, 0, 0, 0, 0, 0, 0, 0];
                word[1..].iter_mut().for_each(|place| *place = argument(dice));
                word
            })
            .collect(),
        // Packets of a console.
        _ => (0..32).map(|n| if n % 8 == 0 { 2 << 56 | 8 << 48 } else { dice.bits() }).collect(),
    };
    let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_be_bytes()).collect();
    lab.poke(at, &bytes);
}

/// Calls by name: how many were made, and how many were granted.
type Tally = BTreeMap<&'static str, (u64, u64)>;

fn call(lab: &mut Lab, dice: &mut Dice, tally: &mut Tally) {
    let rows: Vec<_> = all().collect();
    let row = dice.one(&rows);
    let mut args = [0; 5];
    args.iter_mut().for_each(|place| *place = argument(dice));
    if row.trap == 0x80 && (0xe0..=0xef).contains(&row.nr) {
        args[0] = dice.one(&[0, 0, 0, 3, 3, 1, args[0]]);
        if row.nr == nr::ldc_copy && !dice.hit(4) {
            args = [
                args[0],
                dice.below(2),
                dice.below(17) << 13 | (dice.below(1024) * 8),
                args[3] & !7,
                8 + dice.below(2048) * 8,
            ];
        }
    }
    // The group of the row is seldom given up, or nothing is left to do.
    if row.name == "api_set_version" && !dice.hit(8) {
        return;
    }
    let ends = matches!(row.name, "mach_exit" | "mach_sir" | "api_exit");
    if ends && !dice.hit(8) {
        return;
    }
    match dice.below(32) {
        0 => drop(lab.number(0x80 | dice.bits() as u8, dice.bits(), args)),
        1 => drop(lab.call(dice.below(0x240), args)),
        _ => {
            let answer = lab.number(row.trap, row.nr, args);
            let (calls, granted) = tally.entry(row.name).or_default();
            *calls += 1;
            *granted += u64::from(answer.status == 0);
        }
    }
}

fn trap(lab: &mut Lab, dice: &mut Dice) {
    let (instruction, va, context) = (dice.hit(2), argument(dice), dice.below(8192) as u16);
    let trap = match dice.below(5) {
        0 => Trap::Miss { instruction, va, context: if dice.hit(2) { 0 } else { context } },
        1 => Trap::Protection { va, context },
        2 => {
            let tt = dice.one(&[0x08, 0x30, 0x34, 0x35, 0x36, 0x37]);
            Trap::Fault { tt, instruction, kind: dice.below(17), address: va, context }
        }
        3 => Trap::Plain { tt: dice.below(0x200) as u16 },
        _ => Trap::Watchdog,
    };
    lab.trap(trap);
}

/// What a guest has that nobody else may change.
fn own(guest: &Guest) -> String {
    let mut text = format!("{:?}", (&guest.state, &guest.soft_state, &guest.tod_offset));
    text += &format!("{:?}{:?}{:?}", guest.api, guest.permanent, guest.crypto);
    for (id, vcpu) in &guest.vcpus {
        let all = (id, vcpu.state, vcpu.rtba, vcpu.fault_area, vcpu.queues, &vcpu.tsbs);
        text += &format!("{all:?}{:?}", vcpu.mailbox);
    }
    for (id, end) in &guest.endpoints {
        let (tx, rx) = (end.tx, end.rx);
        text += &format!("{id}{:?}", (end.conf, end.table, tx.ra, tx.pa, tx.entries, tx.tail));
        text += &format!("{:?}", (rx.ra, rx.pa, rx.entries, rx.head));
    }
    text
}

/// Physical memory of a guest that its peers may write.
fn lent(guest: &Guest, memory: &Pages) -> Vec<Range<u64>> {
    use hv::platform::Memory as _;
    let mut ranges = Vec::new();
    for end in guest.endpoints.values() {
        ranges.push(end.rx.pa.0..end.rx.pa.0 + end.rx.entries * 64);
        let table = end.table.iter();
        for entry in
            table.flat_map(|t| (0..t.entries).map(|n| memory.read_u64(t.pa.offset(n * 16))))
        {
            let page = sun4v::addr::Ra(entry & 0x00ff_ffff_ffff_e000);
            let writable = entry & 0x400 != 0;
            if let Some(pa) = guest.map.resolve(page, PAGE).filter(|_| writable) {
                ranges.push(pa.0..pa.0 + PAGE);
            }
        }
    }
    for queue in guest.vcpus.values().flat_map(|vcpu| vcpu.queues.iter().flatten()) {
        ranges.push(queue.pa.0..queue.pa.0 + queue.bytes());
    }
    ranges
}

/// Is there a virtual CPU of that guest that could call?
fn executes(lab: &Lab, (guest, vcpu): (GuestId, VcpuId)) -> bool {
    let guest = lab.hv.guest(guest);
    guest.is_some_and(|guest| {
        guest.state == GuestState::Normal
            && guest.vcpus.get(&vcpu).is_some_and(|vcpu| vcpu.state == VcpuState::Running)
    })
}

fn step(lab: &mut Lab, dice: &mut Dice, tally: &mut Tally) {
    let actor = dice.below(2) as u8;
    let other = GuestId(1 - actor);
    lab.caller = (GuestId(actor), VcpuId(dice.below(2) as u8));
    let before = lab.board.memory.snapshot();
    let theirs = lab.hv.guest(other).map(own);
    let lends = lab.hv.guest(other).map(|guest| lent(guest, &before)).unwrap_or_default();
    if !executes(lab, lab.caller) {
        lab.caller.1 = VcpuId(0);
        if !executes(lab, lab.caller) && dice.hit(2) {
            // Refused while it runs or is ending.
            let _ = lab.hv.boot(GuestId(actor), sun4v::addr::Ra(BASE + 0x40), &mut lab.board);
            lab.core(0, [1, 1, 1, 0, 0]);
            lab.core(0, [0x101, 1, 0, 0, 0]);
        }
    } else {
        match dice.below(12) {
            0 => lab.board.advance(SimTime::us(dice.below(1000))),
            1 | 2 => furnish(lab, dice),
            3 => trap(lab, dice),
            _ => call(lab, dice, tally),
        }
    }
    if dice.hit(3) {
        lab.hv.boundary(&mut lab.board);
    }
    let changed = lab.board.memory.differences(&before);
    let (mine, their) = (owned(actor), owned(1 - actor));
    for (pa, was, is) in changed {
        let allowed = mine.contains(&pa.0)
            || their.contains(&pa.0) && lends.iter().any(|range| range.contains(&pa.0));
        assert!(allowed, "guest {actor} changed {pa}: {was:#x} to {is:#x}");
    }
    assert_eq!(lab.hv.guest(other).map(own), theirs, "guest {actor} changed the other one");
}

#[test]
fn hypercalls() {
    let mut tally = Tally::new();
    fuzz("hypercalls", &[], |dice| {
        let mut lab = Lab::new();
        lab.hv.set_trace(dice.hit(4));
        // Both begin with something that the other can reach.
        for guest in 0..2 {
            lab.caller = (GuestId(guest), VcpuId(0));
            for _ in 0..4 {
                furnish(&mut lab, dice);
            }
            if dice.hit(2) {
                let at = BASE + dice.below(ARENA) / 0x1000 * 0x1000;
                lab.call(nr::ldc_rx_qconf, [0, at, 64, 0, 0]);
                lab.call(nr::ldc_tx_qconf, [0, at, 64, 0, 0]);
                lab.call(nr::ldc_set_map_table, [0, BASE + dice.below(ARENA) / 64 * 64, 16, 0, 0]);
            }
        }
        lab.hv.boundary(&mut lab.board);
        for _ in 0..STEPS {
            step(&mut lab, dice, &mut tally);
        }
    });
    let sum = tally.values().fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1));
    eprintln!("{} calls, {} granted", sum.0, sum.1);
    let never = tally.iter().filter(|(_, (_, granted))| *granted == 0).map(|(name, _)| *name);
    eprintln!("never granted: {}", never.collect::<Vec<_>>().join(" "));
}
