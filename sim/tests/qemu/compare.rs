//! Batches of cases on both sides.

use super::case::{BATCH, CODE, Case, State, WORDS, name};
use super::faults::Fault;
use super::generate;
use super::harness::Harness;
use super::strand::{Bench, ENGINES};
use super::trace::{self, Fit, Unfit};
use super::values::Random;
use std::fmt::Write as _;
use std::path::Path;
use sun4v::isa::{Op, ROWS};

/// Both sides.
pub struct Pair {
    /// The path of the program, for another QEMU when one has died.
    program: std::path::PathBuf,
    harness: Harness,
    /// Ours, one for each engine.
    benches: Vec<Bench>,
    /// What was compared.
    pub tally: Tally,
    /// Makes ours wrong, to see whether that is found.
    pub spoil: Option<fn(&Case, &mut State)>,
}

/// What was compared: instructions by table row, and cases that end with a fault.
#[derive(Clone, Debug)]
pub struct Tally {
    /// How often each instruction was executed.
    pub executed: Vec<u64>,
    /// Cases that end with a fault of QEMU's.
    pub faults: u64,
    /// Cases.
    pub cases: u64,
}

impl Default for Tally {
    fn default() -> Self {
        Self { executed: vec![0; ROWS.len()], faults: 0, cases: 0 }
    }
}

impl Tally {
    fn add(&mut self, fit: &Fit) {
        self.cases += 1;
        self.faults += u64::from(fit.fault.is_some());
        fit.executed.iter().for_each(|&op| self.executed[op as usize] += 1);
    }

    /// Adds another.
    pub fn join(&mut self, other: &Self) {
        self.cases += other.cases;
        self.faults += other.faults;
        self.executed.iter_mut().zip(&other.executed).for_each(|(sum, n)| *sum += n);
    }
}

/// A case that came out differently.
#[derive(Clone, Debug)]
pub struct Difference {
    /// The case.
    pub case: Case,
    /// What is different, as text.
    pub what: String,
}

/// Words in which two states differ, but for what a fault excuses.
fn differs(ours: &State, qemu: &State, fault: Option<&Fault>) -> Vec<usize> {
    let mut ours = *ours;
    let mut seen = *qemu;
    let patches = match fault {
        Some(Fault::State(patches)) => patches.as_slice(),
        _ => &[],
    };
    for patch in patches {
        let there = seen[patch.word] & patch.mask;
        // A later QEMU may be right. Otherwise it leaves one of the values that the
        // fault has, of which the first is shown.
        let value = match patch.values.first() {
            _ if there == ours[patch.word] & patch.mask => there,
            Some(&first) if !patch.values.contains(&there) => first,
            _ => there,
        };
        ours[patch.word] = ours[patch.word] & !patch.mask | value & patch.mask;
    }
    seen[CODE] = ours[CODE];
    (0..WORDS).filter(|&word| ours[word] != seen[word]).collect()
}

fn describe(words: &[usize], left: (&str, &State), right: (&str, &State)) -> String {
    let mut text = String::new();
    for &word in words {
        let (a, b) = (left.1[word], right.1[word]);
        let _ = write!(text, "{} {} {a:x} {} {b:x}; ", name(word), left.0, right.0);
    }
    text
}

impl Pair {
    /// Starts QEMU.
    pub fn new(program: &Path) -> Self {
        Self {
            program: program.to_owned(),
            harness: Harness::new(program),
            benches: ENGINES.into_iter().map(Bench::new).collect(),
            tally: Tally::default(),
            spoil: None,
        }
    }

    /// Ours, for a look at cases.
    pub fn bench(&mut self) -> &mut Bench {
        &mut self.benches[0]
    }

    /// Cases of a seed, fit to be compared.
    pub fn batch(
        &mut self,
        seed: u64,
        count: usize,
        alphabet: &[Op],
    ) -> Result<(Vec<Case>, Vec<Fit>), Box<Difference>> {
        let mut random = Random::new(seed);
        let (mut cases, mut fits) = (Vec::with_capacity(count), Vec::with_capacity(count));
        while cases.len() < count.min(BATCH) {
            let mut case = generate::case(&mut random, alphabet, cases.len());
            match trace::settle(&mut self.benches[0], &mut case) {
                Ok(fit) => {
                    self.tally.add(&fit);
                    cases.push(case);
                    fits.push(fit);
                }
                // They are made so that they do not: ours does something wrong.
                Err(Unfit::Leaves) => {
                    let what = "leaves its code or its memory on our side".to_owned();
                    return Err(Box::new(Difference { case, what }));
                }
                Err(Unfit::Traps(index, trap)) => {
                    let what = format!("instruction {index} traps on our side: {trap:?}");
                    return Err(Box::new(Difference { case, what }));
                }
            }
        }
        Ok((cases, fits))
    }

    /// Runs cases that lie one behind the other, and gives the first differences.
    pub fn compare(&mut self, cases: &[Case], fits: &[Fit]) -> Vec<Difference> {
        let sent = self.harness.send(cases);
        let ours: Vec<Vec<Result<State, String>>> = (0..self.benches.len())
            .map(|engine| {
                self.benches[engine].place(cases);
                cases.iter().zip(fits).map(|(case, fit)| self.ours(engine, case, fit)).collect()
            })
            .collect();
        let states = match sent.and_then(|()| self.harness.receive(cases.len())) {
            Ok(states) => states,
            Err(death) => return self.culprit(cases, fits, death),
        };
        let mut differences = Vec::new();
        for (index, (case, qemu)) in cases.iter().zip(&states).enumerate() {
            for (engine, states) in ours.iter().enumerate() {
                let name = ENGINES[engine].name();
                let what = match &states[index] {
                    Err(trap) => format!("{name}: {trap}"),
                    Ok(ours) => {
                        let words = differs(ours, qemu, fits[index].fault.as_ref());
                        if words.is_empty() {
                            continue;
                        }
                        describe(&words, (name, ours), ("qemu", qemu))
                    }
                };
                differences.push(Difference { case: case.clone(), what });
            }
        }
        differences
    }

    fn ours(&mut self, engine: usize, case: &Case, fit: &Fit) -> Result<State, String> {
        let bench = &mut self.benches[engine];
        bench.load(&case.state);
        bench.finish(fit.steps).map_err(|trap| format!("{trap:?}"))?;
        if !bench.is_out() {
            return Err(format!("ends at {:#x}", bench.pc()));
        }
        let mut state = bench.store();
        if let Some(spoil) = self.spoil {
            spoil(case, &mut state);
        }
        Ok(state)
    }

    /// QEMU died: with which case?
    fn culprit(&mut self, cases: &[Case], fits: &[Fit], death: String) -> Vec<Difference> {
        self.harness = Harness::new(&self.program);
        if let [case] = cases {
            return vec![Difference { case: case.clone(), what: death }];
        }
        let half = cases.len() / 2;
        let first = self.compare(&cases[..half], &fits[..half]);
        if !first.is_empty() {
            return first;
        }
        self.compare(&cases[half..], &fits[half..])
    }
}
