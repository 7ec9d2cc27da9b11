//! Instructions that trap here trap under QEMU.
//!
//! A trap ends the program under QEMU, so each case has one of its own, and there are
//! some hundred of them only. What is compared is whether it traps, the trap's type and
//! FSR, which QEMU prints as it ends; of misaligned addresses the signal.

use super::builder::size;
use super::case::{CODE, Case, F, FPRS, FSR, MEMORY, R, SLOTS_BASE, WINDOW, WORDS};
use super::faults::{self, Enabled, Fault};
use super::harness::Harness;
use super::strand::{Bench, ENGINES, Trap};
use super::values::Random;
use sim::engine::Exit;
use std::path::Path;
use sun4v::isa::{Format, Op, ROWS, Row, Word, tt};

/// How QEMU ends with a trap; `None` for one that should not be.
fn expected(trap: Trap, fsr: u64) -> Option<String> {
    let tt = match trap.0 {
        Exit::Plain { tt } | Exit::Fault { tt, .. } => tt,
        _ => return None,
    };
    match tt {
        tt::DIVISION_BY_ZERO | tt::FP_EXCEPTION_IEEE_754 | tt::TAG_OVERFLOW => {
            Some(format!("QEMU: trap {tt:#x}, fsr {fsr:016x}"))
        }
        tt::MEM_ADDRESS_NOT_ALIGNED
        | tt::LDDF_MEM_ADDRESS_NOT_ALIGNED
        | tt::STDF_MEM_ADDRESS_NOT_ALIGNED => Some("QEMU: signal: 7 (SIGBUS)".to_owned()),
        _ => None,
    }
}

/// A double at a multiple of four: T2 leaves it to the kernel, and so QEMU does it.
fn is_half(trap: Trap) -> bool {
    let halves = [tt::LDDF_MEM_ADDRESS_NOT_ALIGNED, tt::STDF_MEM_ADDRESS_NOT_ALIGNED];
    matches!(trap.0, Exit::Fault { tt, .. } if halves.contains(&tt))
}

fn case(random: &mut Random, word: u32) -> Case {
    let mut case = Case { state: [0; WORDS], words: vec![word] };
    case.state[CODE] = SLOTS_BASE;
    case.state[FPRS] = 4;
    for register in [8, 9, 10] {
        case.state[R + register] = random.integer();
    }
    case.state[F..MEMORY].fill_with(|| random.float());
    case
}

/// Operations on numbers, with any exceptions enabled.
fn enabled(random: &mut Random) -> Case {
    let numbers = |row: &&Row| {
        let op3 = row.bits >> 19 & 0x3f;
        row.bits >> 30 == 2 && (op3 == 0x34 || matches!(row.format, Format::FcmpS | Format::FcmpD))
    };
    let rows: Vec<_> = ROWS.iter().filter(numbers).collect();
    let row = random.pick(&rows);
    let mut case = case(random, 0);
    case.words[0] = row.bits | random.next() as u32 & !row.mask;
    case.state[FSR] = (1 + random.below(31)) << 23 | random.below(4) << 30;
    case
}

/// Divisions by zero, and tags where there should be none.
fn arithmetic(random: &mut Random) -> Case {
    let divides = random.pick(&[Op::Udivx, Op::Sdivx, Op::Udiv, Op::Sdiv, Op::Udivcc, Op::Sdivcc]);
    let tags = random.pick(&[Op::TaddCcTv, Op::TsubCcTv]);
    let op = if random.one_in(2) { divides } else { tags };
    let mut case = case(random, op.row().bits | 10 << 25 | 9 << 14 | 8);
    if op == divides {
        case.state[R + 8] = if random.one_in(2) { 0 } else { random.below(2) << 32 };
    }
    case
}

/// Accesses to addresses that are not multiples of their size.
fn misaligned(random: &mut Random) -> Case {
    let accesses = |row: &&Row| {
        matches!(
            row.format,
            Format::Load
                | Format::Store
                | Format::LoadS
                | Format::StoreS
                | Format::LoadD
                | Format::StoreD
                | Format::LoadFsr
                | Format::StoreFsr
                | Format::Cas
        ) && size(row.op) > 1
    };
    let rows: Vec<_> = ROWS.iter().filter(accesses).collect();
    let row = random.pick(&rows);
    let second = if row.format == Format::Cas { 0x80 << 5 | 10 } else { 1 << 13 };
    let rd = if matches!(row.format, Format::LoadFsr | Format::StoreFsr) { 0 } else { 12 << 25 };
    let mut case = case(random, row.bits | rd | 9 << 14 | second);
    let size = size(row.op);
    case.state[R + 9] = WINDOW + random.below(8) * size + 1 + random.below(size - 1);
    case
}

/// Compares that many cases, and gives those that differ.
pub fn compare(program: &Path, seed: u64, count: u64) -> Vec<String> {
    let mut random = Random::new(seed);
    let mut lines = Vec::new();
    let mut benches: Vec<_> = ENGINES.into_iter().map(Bench::new).collect();
    let mut traps = 0;
    for number in 0..count {
        let case = match number % 4 {
            0 | 1 => enabled(&mut random),
            2 => arithmetic(&mut random),
            _ => misaligned(&mut random),
        };
        let (Some(op), w) = (sun4v::isa::decode(case.words[0]), Word(case.words[0])) else {
            continue;
        };
        let mut harness = Harness::new(program);
        let qemu = harness.send(std::slice::from_ref(&case)).and_then(|()| harness.receive(1));
        for (bench, engine) in benches.iter_mut().zip(ENGINES) {
            bench.place(std::slice::from_ref(&case));
            bench.load(&case.state);
            let fault = faults::of(bench, None, op, w);
            let enabled = faults::enabled(bench, op, w);
            let ours = bench.run(1);
            let left = [Some(bench.fsr()), enabled.and_then(Enabled::fsr)];
            let mut left = left.into_iter().flatten();
            let same = match (&ours, &qemu) {
                (Err(trap), Err(death)) => {
                    left.any(|fsr| expected(*trap, fsr).as_ref() == Some(death))
                }
                (Ok(()), Ok(_)) => true,
                (Ok(()), Err(_)) => fault == Some(Fault::Traps),
                (Err(trap), Ok(_)) => enabled == Some(Enabled::Missed) || is_half(*trap),
            };
            traps += u64::from(ours.is_err());
            if !same {
                let qemu = qemu.as_ref().map_or_else(String::as_str, |_| "no trap");
                let name = engine.name();
                lines.push(format!("{case}\n    {name} {ours:x?}, fsr {:x}; {qemu}", bench.fsr()));
            }
        }
    }
    eprintln!("{traps} traps");
    lines
}
