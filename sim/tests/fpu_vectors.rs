//! Floating point on ten million vectors and more, instruction by instruction, on
//! every engine: result, FSR and trap against an arithmetic of other hands and T2's
//! rules (`oracle/ieee.rs`).
//!
//! Every pair of special values in every direction, then random operands from a fixed
//! seed; trap masks, FSR.NS, GSR.IM and what FSR held before vary along. A vector that
//! differs is one line. `LDOMLAB_FP_VECTORS` says how many random ones an operation
//! gets.

#![expect(clippy::unwrap_used, reason = "a test may")]

#[expect(dead_code, reason = "another test asks for more")]
#[path = "../../sun4v/tests/fuzz/dice.rs"]
mod dice;
#[path = "oracle/ieee.rs"]
mod ieee;
#[path = "oracle/operands.rs"]
mod operands;
#[path = "oracle/strand.rs"]
mod strand;

use dice::Dice;
use ieee::{Of, Outcome, ROWS, Row};
use operands::{random, special};
use sim::chip::fpu::{Exc, t2};
use sim::chip::strand::fprs;
use sim::engine::Engine;
use sim::engine::Which;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use strand::{Bench, HCALL};

/// Random vectors of an operation, unless the environment says otherwise.
const RANDOM: u64 = 300_000;
/// Where instructions lie.
const ORG: u64 = 0x1000;
/// Lines that are printed.
const LINES: usize = 40;

/// FSR and GSR of a vector in the direction `round`.
fn mode(dice: &mut Dice, round: u64) -> (u64, u64) {
    let bits = dice.bits();
    // Trap masks: none, one, any.
    let tem = match bits & 7 {
        0..5 => 0,
        5 => 1 << (bits >> 8 & 0xff).checked_rem(5).unwrap(),
        _ => bits >> 8 & 0x1f,
    };
    let ns = u64::from(bits >> 16 & 3 == 0);
    // Conditions, accrued and current exceptions and ftt from before.
    let before = bits & (0x3f_0000_0000 | 3 << 14 | 3 << 10 | 0x3ff);
    let im = bits >> 40 & 3 == 0;
    let rd = if im { bits >> 42 & 3 } else { round };
    let gsr = if im { 1 << 27 | round << 25 } else { (bits >> 42 & 3) << 25 };
    (rd << 30 | tem << 23 | ns << 22 | before, gsr | bits & 0xff << 48)
}

/// One instruction on a strand.
struct Slot<'a> {
    bench: Bench,
    engine: Box<dyn Engine + Send>,
    row: &'a Row,
}

impl<'a> Slot<'a> {
    fn new(engine: Which, row: &'a Row) -> Self {
        let bench = Bench::new().unwrap();
        // Doubles: %f0, %f2, %f4. Singles: %f1, %f2, %f5, in odd and even halves.
        let number = |of: Of, single: u32, double: u32| match of {
            Of::Nothing => 0,
            of if of.is_single() => single,
            _ => double,
        };
        let (rs1, rs2) = (number(row.rs1, 1, 0), number(row.rs2, 2, 2));
        for cc in 0..4 {
            let (op3, rd) = match row.rd {
                Of::Code => (0x35, cc),
                of => (0x34, number(of, 5, 4)),
            };
            let word = 2 << 30 | rd << 25 | op3 << 19 | rs1 << 14 | row.opf << 5 | rs2;
            bench.put(ORG + 8 * u64::from(cc), word);
            bench.put(ORG + 8 * u64::from(cc) + 4, HCALL);
        }
        Self { bench, engine: engine.engine(), row }
    }

    /// Runs one vector; a line if something differs.
    fn check(&mut self, fsr: u64, gsr: u64, a: u64, b: u64, seen: &mut Seen) -> Option<String> {
        let (row, strand) = (self.row, &mut self.bench.strand);
        let rest = 0x5a5a_a5a5_0ff0_f00f;
        strand.fp[0] = if row.rs1.is_single() { rest << 32 | a } else { a };
        strand.fp[1] = if row.rs2.is_single() { b << 32 | rest >> 32 } else { b };
        strand.fp[2] = rest;
        (strand.fsr, strand.gsr, strand.fprs) = (fsr, gsr, fprs::FEF);
        let cc = (a ^ b) as u32 & 3;
        let tt = match self.bench.step(&mut *self.engine, ORG + 8 * u64::from(cc)) {
            Ok(tt) => tt,
            Err(exit) => return Some(format!("{:?}: {exit:?}", row.op)),
        };
        let expected = ieee::outcome(row, cc, fsr, gsr, a, b);
        seen.note(&expected, fsr);
        let strand = &self.bench.strand;
        let written = row.rd != Of::Code && tt == 0;
        let bits = match row.rd {
            _ if !written => 0,
            of if of.is_single() => strand.fp[2] & 0xffff_ffff,
            _ => strand.fp[2],
        };
        let ours = Outcome { tt, bits, fsr: strand.fsr };
        let beside = match row.rd {
            _ if !written => strand.fp[2] == rest && strand.fprs == fprs::FEF,
            of => {
                let half = !of.is_single() || strand.fp[2] >> 32 == rest >> 32;
                half && strand.fprs == fprs::FEF | fprs::DL
            }
        };
        let asked = t2::fpop(row.op, fsr, gsr, true, a, b);
        let gives_up = asked.is_some_and(|(_, exc)| exc == Exc(Exc::UNFINISHED));
        let software = ieee::unfinished(row, fsr, gsr, a, b);
        if ours == expected && beside && gives_up == software {
            return None;
        }
        let round = ["near", "zero", "up", "down"][ieee::direction(fsr, gsr) as usize];
        Some(format!(
            "{:?} {a:#x} {b:#x} {round} (fsr {fsr:#x} gsr {gsr:#x} cc {cc}): ours {ours:x?}, \
             theirs {expected:x?}{}{}",
            row.op,
            if beside { "" } else { "; and another register" },
            match (gives_up, software) {
                (true, false) => "; only ours leaves it to software",
                (false, true) => "; only theirs leaves it to software",
                _ => "",
            },
        ))
    }
}

/// What the vectors of an operation were.
#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    vectors: u64,
    /// Exceptions without a trap, in ordinary mode.
    raised: u8,
    /// Exceptions that trapped.
    trapped: u8,
}

impl Seen {
    fn note(&mut self, expected: &Outcome, fsr: u64) {
        self.vectors += 1;
        let exc = (expected.fsr & 0x1f) as u8;
        match expected.tt {
            0 if fsr & 1 << 22 == 0 => self.raised |= exc,
            0 => {}
            _ => self.trapped |= exc,
        }
    }
}

/// All vectors of an operation on an engine: what they were, and the lines.
fn vectors(engine: Which, row: &Row, random_ones: u64) -> (Seen, Vec<String>) {
    let mut slot = Slot::new(engine, row);
    let (mut seen, mut lines) = (Seen::default(), Vec::new());
    let mut dice = Dice::new(row.opf.into());
    let (first, second) = (special(row.rs1), special(row.rs2));
    let repeats = if first.len() == 1 { 64 } else { 1 };
    for &a in &first {
        for &b in &second {
            for round in 0..4 * repeats {
                let (fsr, gsr) = mode(&mut dice, round & 3);
                lines.extend(slot.check(fsr, gsr, a, b, &mut seen));
            }
        }
    }
    for _ in 0..random_ones {
        let (a, b) = random(&mut dice, row, &second);
        let round = dice.below(4);
        let (fsr, gsr) = mode(&mut dice, round);
        lines.extend(slot.check(fsr, gsr, a, b, &mut seen));
    }
    (seen, lines)
}

#[test]
fn ten_million_vectors_have_the_outcome_of_another_arithmetic() {
    let random_ones = std::env::var("LDOMLAB_FP_VECTORS")
        .map_or(RANDOM, |text| text.parse().expect("LDOMLAB_FP_VECTORS is a number"));
    let jobs: Vec<(Which, &Row)> =
        Which::ALL.iter().flat_map(|&engine| ROWS.iter().map(move |row| (engine, row))).collect();
    let next = AtomicUsize::new(0);
    let results = Mutex::new(vec![None; jobs.len()]);
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(2, usize::from) {
            scope.spawn(|| {
                loop {
                    let at = next.fetch_add(1, Relaxed);
                    let Some(&(engine, row)) = jobs.get(at) else { break };
                    let found = vectors(engine, row, random_ones);
                    results.lock().unwrap()[at] = Some(found);
                }
            });
        }
    });
    let results = results.into_inner().unwrap();
    let (mut total, mut wrong) = (0, 0);
    for ((engine, row), result) in jobs.into_iter().zip(results) {
        let (seen, lines) = result.unwrap();
        total += seen.vectors;
        for line in lines.iter().take(LINES.saturating_sub(wrong).min(4)) {
            eprintln!("{engine}: {line}");
        }
        wrong += lines.len();
        // The vectors reach every exception of the operation, trapping or not.
        let untrapped = if row.raises & ieee::UF == 0 { 0 } else { ieee::UF };
        assert_eq!(seen.raised & !untrapped, row.raises & !untrapped, "{:?}", row.op);
        assert_eq!(seen.trapped & row.raises, row.raises, "{:?} traps", row.op);
    }
    eprintln!("{total} vectors");
    assert!(
        random_ones < RANDOM || total >= 10_000_000 * Which::ALL.len() as u64,
        "only {total} vectors"
    );
    assert_eq!(wrong, 0, "vectors that differ, of {total}");
}
