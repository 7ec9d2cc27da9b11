//! Random instructions and short sequences leave what `qemu-sparc64` leaves: integer
//! registers of three windows, condition codes, `%y`, `%asi`, FSR, GSR, FPRS, all
//! floating-point registers, and a window of memory.
//!
//! ```text
//! cargo test -p sim --test qemu -- --nocapture                       # a million cases
//! LDOMLAB_CASES=100000000 cargo test --release -p sim --test qemu -- --nocapture
//! LDOMLAB_SEED=8 …                                                   # other ones
//! LDOMLAB_CASE='8ea06001: g2=3' cargo test -p sim --test qemu one_case -- --nocapture
//! ```
//!
//! A case that comes out differently is shrunk to one line, which says the code and
//! the state that is not zero; given as `LDOMLAB_CASE` it runs again. Where QEMU is
//! wrong is in [`faults`], and nowhere else. [`strand`] is our side and has the list
//! of engines, all of which have to agree. Without the cross assembler or
//! `qemu-sparc64` the tests say so and pass.

mod builder;
mod case;
mod compare;
mod faults;
mod generate;
mod harness;
mod shrink;
mod strand;
mod trace;
mod traps;
mod values;

use case::{BATCH, Case, Y};
use compare::{Difference, Pair, Tally};
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use sun4v::isa::{Op, ROWS, decode};

/// Lines that a failure has at most.
const LINES_MAX: usize = 12;

fn setting(name: &str, usual: u64) -> u64 {
    match std::env::var(name) {
        Err(_) => usual,
        Ok(text) => text.parse().unwrap_or_else(|_| panic!("{name}={text} is not a number")),
    }
}

/// The seed of a batch: it does not depend on who runs it.
fn seed_of(seed: u64, batch: u64) -> u64 {
    seed.wrapping_add(1).wrapping_mul(0xd134_2543_de82_ef95) ^ batch
}

struct Run {
    seed: u64,
    batches: u64,
    next: AtomicU64,
    lines: Mutex<BTreeSet<String>>,
    tally: Mutex<Tally>,
}

impl Run {
    fn lines(&self) -> MutexGuard<'_, BTreeSet<String>> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn work(&self, program: &Path) {
        let alphabet = generate::alphabet();
        let mut pair = Pair::new(program);
        loop {
            let batch = self.next.fetch_add(1, Ordering::Relaxed);
            if batch >= self.batches || self.lines().len() >= LINES_MAX {
                break;
            }
            if batch % 1000 == 999 {
                eprintln!("{} cases", (batch + 1) * BATCH as u64);
            }
            let differences = match pair.batch(seed_of(self.seed, batch), BATCH, &alphabet) {
                Ok((cases, fits)) => pair.compare(&cases, &fits),
                Err(difference) => vec![*difference],
            };
            // The first ones of a batch are enough: many of them shrink to the same.
            for difference in differences.into_iter().take(3) {
                let Difference { case, what } = shrink::shrink(&mut pair, difference);
                self.lines().insert(format!("LDOMLAB_CASE='{case}'\n    {what}"));
            }
        }
        self.tally.lock().unwrap_or_else(PoisonError::into_inner).join(&pair.tally);
    }
}

#[test]
fn random_instructions_leave_what_qemu_leaves() {
    let Some(program) = harness::build("random") else { return };
    let (seed, cases) = (setting("LDOMLAB_SEED", 7), setting("LDOMLAB_CASES", 1_000_000));
    let batches = cases.div_ceil(BATCH as u64);
    eprintln!("seed {seed}, {} cases", batches * BATCH as u64);
    let (next, lines) = (AtomicU64::new(0), Mutex::default());
    let run = Run { seed, batches, next, lines, tally: Mutex::default() };
    std::thread::scope(|scope| {
        for _ in 0..setting("LDOMLAB_JOBS", 2) {
            scope.spawn(|| run.work(&program));
        }
    });
    let lines = run.lines.into_inner().unwrap();
    let text: Vec<_> = lines.into_iter().collect();
    assert!(text.is_empty(), "seed {seed}: ours and QEMU's differ\n{}", text.join("\n"));

    let Tally { executed, faults, cases } =
        run.tally.into_inner().unwrap_or_else(PoisonError::into_inner);
    let instructions: u64 = executed.iter().sum();
    let rows = ROWS.iter().filter(|row| generate::is_wanted(row));
    let rarest = rows.min_by_key(|row| executed[row.op as usize]).expect("a row");
    let times = executed[rarest.op as usize];
    eprintln!("{instructions} instructions; the rarest is {:?}, {times} times", rarest.op);
    eprintln!("{faults} of {cases} cases end with a fault of QEMU's");
    assert!(times >= cases / 4000, "{:?} is there {times} times only", rarest.op);
}

#[test]
fn what_traps_here_traps_under_qemu() {
    let Some(program) = harness::build("traps") else { return };
    let (seed, count) = (setting("LDOMLAB_SEED", 7), setting("LDOMLAB_TRAPS", 200));
    let lines = traps::compare(&program, seed, count);
    assert!(lines.is_empty(), "seed {seed}: ours and QEMU's differ\n{}", lines.join("\n"));
}

#[test]
fn a_fault_of_ours_is_found_and_shrunk_to_the_instruction() {
    let Some(program) = harness::build("spoilt") else { return };
    let mut pair = Pair::new(&program);
    pair.spoil = Some(|case, state| {
        let popc = |&word: &u32| decode(word) == Some(Op::Popc);
        state[Y] ^= u64::from(case.words.iter().any(popc));
    });
    let (cases, fits) = pair.batch(3, BATCH, &generate::alphabet()).expect("no traps");
    let difference = pair.compare(&cases, &fits).pop().expect("a difference");
    let Difference { case, what } = shrink::shrink(&mut pair, difference);
    assert_eq!(case.to_string(), "81700000: # popc %g0, %g0");
    assert!(what.ends_with("1 qemu 0; "), "{what}");
    assert_eq!(Case::parse(&case.to_string()), Ok(case));
}

#[test]
fn one_case_of_a_line_leaves_what_qemu_leaves() {
    let Ok(line) = std::env::var("LDOMLAB_CASE") else { return };
    let Some(program) = harness::build("one") else { return };
    let mut case = Case::parse(&line).unwrap_or_else(|why| panic!("{why}: {line}"));
    let mut pair = Pair::new(&program);
    let fit = trace::settle(pair.bench(), &mut case);
    let fit = fit.unwrap_or_else(|why| panic!("{case}: {why:?}"));
    eprintln!("{case}\n    {} steps, QEMU's fault: {:x?}", fit.steps, fit.fault);
    let differences = pair.compare(&[case], &[fit]);
    assert!(differences.is_empty(), "{differences:#?}");
}
