//! Every bit pattern that a guest can produce has an outcome.
//!
//! Random words run from random states of a strand (registers, windows, PSTATE, trap
//! levels, MMU on with random TLB entries and TSBs, or off), in a memory part of which
//! is another domain's. Each batch runs in two worlds, which differ in two things: what
//! the other domain's memory holds, and how instructions are executed. The first
//! world's engine is the reference and gets its time in one piece. The second world's
//! is each engine in turn, and gets its time in one piece, or tick by tick, or tick by
//! tick with all that it has cached forgotten before each.
//!
//! What must hold: nobody panics; strands, exits, clocks and the guest's memory are the
//! same in both worlds, so nothing was read of the other domain's memory and nothing
//! depends on what was cached; that memory is as it was; the strand's state can be
//! saved and loaded; pages that were stored to are in the dirty log.
//!
//! `LDOMLAB_FUZZ_WORDS` says how many words (instructions attempted, in the first
//! world), `LDOMLAB_FUZZ_SEED` where to begin. A failure names its batch: with that
//! seed and one word the batch runs alone. The long run:
//!
//! ```text
//! LDOMLAB_FUZZ_WORDS=100000000 cargo test -p sim --test fuzz -- --nocapture
//! ```

#![expect(clippy::unwrap_used, reason = "a test may")]

#[path = "../../../sun4v/tests/fuzz/dice.rs"]
mod dice;
mod memory;
mod state;
#[expect(dead_code, reason = "another test begins with less")]
#[path = "../oracle/strand.rs"]
mod strand;
mod words;

use dice::Dice;
use memory::{Memory, guest_memory};
use sim::chip::strand::Strand;
use sim::engine::Which;
use sim::engine::{Engine, Exit, fault};
use state::{Reply, Setting};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use strand::Bench;
use sun4v::addr::Ra;
use sun4v::isa::{Op, ROWS, decode, tt};
use sun4v::record::StrandV1;

/// Words, unless the environment says otherwise.
const WORDS: u64 = 4_000_000;
/// Cases of a batch.
const CASES: u32 = 6000;
/// How often a case goes on after an exit.
const ROUNDS: u32 = 16;
/// What the other domain's memory holds in the two worlds: `ta 0xdb`, and `sethi`.
const FOREIGN: [u64; 2] = [0x91d0_20db_91d0_20db, 0x0b5a_a55a_0b5a_a55a];

/// How the second world gets its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pace {
    Whole,
    Ticks,
    Forgetting,
}

/// Says which batch it was, should the batch panic.
struct Label {
    seed: u64,
    case: u32,
    which: Which,
    pace: Pace,
}

impl Drop for Label {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let Self { seed, case, which, pace } = self;
            eprintln!("LDOMLAB_FUZZ_SEED={seed}: case {case}, interp and {which}, {pace:?}");
        }
    }
}

/// One of the two worlds.
struct World {
    bench: Bench,
    engine: Box<dyn Engine + Send>,
    memory: Memory,
    /// Instructions that completed, as far as it goes tick by tick.
    done: BTreeSet<Op>,
}

/// What can be seen of a strand.
#[derive(Debug, PartialEq)]
struct Seen {
    exit: Exit,
    tick: u64,
    trapped: u16,
    strand: StrandV1,
}

impl World {
    fn new(which: Which, foreign: u64, seed: u64) -> Self {
        let (ram, map) = guest_memory(foreign);
        let memory = Memory::fill(&ram, &map, seed);
        Self { bench: Bench::on(ram, map), engine: which.engine(), memory, done: BTreeSet::new() }
    }

    fn see(&self, exit: Exit) -> Seen {
        let exit = without_stale(exit);
        let strand = &self.bench.strand;
        Seen { exit, tick: strand.tick, trapped: strand.trapped, strand: strand.save() }
    }

    /// The instruction at `pc`, if its page is in the TLB.
    fn next_op(&self) -> Option<Op> {
        let Bench { strand, core, ram, map, .. } = &self.bench;
        let pa = if strand.mmu_on {
            let [p0, p1, ..] = strand.contexts;
            let contexts = if strand.tl == 0 { [p0, p1] } else { [0, 0] };
            core.itlb.clone().lookup(strand.pc, contexts)?.at(strand.pc)
        } else {
            map.resolve(Ra(strand.pc), 4)?
        };
        decode(ram.load(pa))
    }

    /// Runs `ticks`, or until something comes up.
    fn run(&mut self, ticks: u64, pace: Pace) -> Exit {
        let until = self.bench.strand.tick + ticks;
        let mut exit = Exit::Budget;
        while exit == Exit::Budget && self.bench.strand.tick < until {
            let to = match pace {
                Pace::Whole => until,
                Pace::Ticks | Pace::Forgetting => self.bench.strand.tick + 1,
            };
            if pace == Pace::Forgetting {
                self.bench.code.clear(&self.bench.ram);
                self.bench.core.forget();
            }
            let op = if pace == Pace::Ticks { self.next_op() } else { None };
            let before = (self.bench.strand.tick, self.bench.strand.tl);
            exit = self.bench.run(&mut *self.engine, to);
            let now = self.bench.strand.tick;
            assert!(exit != Exit::Budget || now >= to, "{before:?}: the budget is not used up");
            if exit == Exit::Budget && before.1 >= self.bench.strand.tl {
                self.done.extend(op);
            }
        }
        exit
    }
}

/// Runs a batch.
fn batch(seed: u64) -> Tally {
    let mut tally = Tally::default();
    let mut dice = Dice::new(seed);
    let which = dice.one(&Which::ALL);
    let pace = dice.one(&[Pace::Whole, Pace::Ticks, Pace::Forgetting]);
    let mut label = Label { seed, case: 0, which, pace };
    let mut one = World::new(Which::Interp, FOREIGN[0], seed);
    let mut two = World::new(which, FOREIGN[1], seed);
    let logged = dice.hit(2);
    if logged {
        one.memory.log(&one.bench.ram);
        two.memory.log(&two.bench.ram);
    }
    for case in 0..CASES {
        label.case = case;
        let fresh = case % 2 == 0 || dice.hit(2);
        let setting = Setting::random(&mut dice, one.bench.strand.tick, fresh);
        setting.apply(&mut one.bench);
        setting.apply(&mut two.bench);
        for _ in 0..ROUNDS {
            let ticks = 1 + dice.below(64);
            let exit = one.run(ticks, Pace::Whole);
            let first = one.see(exit);
            let exit = two.run(ticks, pace);
            let second = two.see(exit);
            *tally.exits.entry(kind(&exit)).or_default() += 1;
            assert!(first == second, "{}", difference(&first, &second));
            let loaded = Strand::default().load(&first.strand, 0);
            assert!(loaded.is_ok(), "{loaded:?}: {first:x?}");
            let reply = Reply::random(&mut dice, exit, first.strand.contexts);
            if !(reply.apply(&mut one.bench, exit) && reply.apply(&mut two.bench, exit)) {
                break;
            }
        }
    }
    let mine = one.memory.check(&one.bench.ram, FOREIGN[0], logged);
    assert!(mine == two.memory.check(&two.bench.ram, FOREIGN[1], logged), "memory differs");
    Tally { words: one.bench.strand.tick, batches: 1, done: two.done, ..tally }
}

/// An exit without the context that a fault reports when its access was not translated:
/// it is that of the last access that was, and how many are depends on what is cached.
fn without_stale(exit: Exit) -> Exit {
    const STALE: [u64; 4] =
        [fault::ALIGNMENT, fault::ILLEGAL_ASI, fault::PRIVILEGE, fault::VA_RANGE];
    match exit {
        Exit::Fault { tt, instruction: false, kind, address, .. } if STALE.contains(&kind) => {
            Exit::Fault { tt, instruction: false, kind, address, context: 0 }
        }
        other => other,
    }
}

/// What was run, and what came of it.
#[derive(Default)]
struct Tally {
    words: u64,
    batches: u64,
    /// How often strands stopped for which reason.
    exits: BTreeMap<String, u64>,
    /// Instructions that completed, of the batches that looked.
    done: BTreeSet<Op>,
}

impl Tally {
    fn add(&mut self, other: Self) {
        self.words += other.words;
        self.batches += other.batches;
        self.done.extend(other.done);
        for (kind, count) in other.exits {
            *self.exits.entry(kind).or_default() += count;
        }
    }
}

fn kind(exit: &Exit) -> String {
    match exit {
        Exit::Plain { tt } | Exit::Fault { tt, .. } => tt::name(*tt).to_owned(),
        Exit::Miss { instruction: true, .. } => "miss of an instruction".to_owned(),
        Exit::Miss { .. } => "miss of data".to_owned(),
        Exit::Hypercall { .. } => "hypercall".to_owned(),
        Exit::Protection { .. } => "protection".to_owned(),
        other => format!("{other:?}").to_lowercase(),
    }
}

/// Only what differs.
fn difference(first: &Seen, second: &Seen) -> String {
    let (one, two) = (format!("{first:#x?}"), format!("{second:#x?}"));
    let lines = one.lines().zip(two.lines()).enumerate().filter(|(_, (a, b))| a != b);
    let lines: Vec<String> =
        lines.map(|(at, (a, b))| format!("line {at}: {} and {}", a.trim(), b.trim())).collect();
    format!("{}\nof {first:x?}", lines.join("\n"))
}

fn number(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).map_or(otherwise, |text| text.parse().expect("a number"))
}

#[test]
fn every_word_from_every_state_has_an_outcome_inside_the_domain() {
    let words = number("LDOMLAB_FUZZ_WORDS", WORDS);
    let next = AtomicU64::new(number("LDOMLAB_FUZZ_SEED", 0));
    let total = Mutex::new(Tally::default());
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(2, usize::from) {
            scope.spawn(|| {
                while total.lock().unwrap().words < words {
                    let tally = batch(next.fetch_add(1, Relaxed));
                    total.lock().unwrap().add(tally);
                }
            });
        }
    });
    let Tally { words: ran, batches, exits, done } = total.into_inner().unwrap();
    eprintln!("{ran} words in {batches} batches; strands stopped for");
    exits.iter().for_each(|(kind, count)| eprintln!("{count:9} {kind}"));
    let never: Vec<Op> = ROWS.iter().map(|row| row.op).filter(|op| !done.contains(op)).collect();
    eprintln!("{} instructions completed; never seen to: {never:?}", done.len());
    assert!(words < WORDS || never.is_empty(), "not every instruction was reached");
}
