//! Random instructions leave what `qemu-sparc64` leaves.

mod case;
mod compare;
mod faults;
mod generate;
mod harness;
mod shrink;
mod strand;
mod trace;
mod values;

use case::{BATCH, Case};
use compare::{Difference, Pair};
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

fn setting(name: &str, usual: u64) -> u64 {
    match std::env::var(name) {
        Err(_) => usual,
        Ok(text) => text.parse().unwrap_or_else(|_| panic!("{name}={text} is not a number")),
    }
}

fn work(program: &Path, seed: u64, batches: u64, next: &AtomicU64, found: &Mutex<Vec<Difference>>) {
    let alphabet = generate::alphabet();
    let mut pair = Pair::new(program);
    let most = setting("LDOMLAB_FAILURES", 10) as usize;
    loop {
        let batch = next.fetch_add(1, Ordering::Relaxed);
        if batch >= batches || found.lock().unwrap().len() >= most {
            return;
        }
        let seed = seed ^ batch.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let differences = match pair.batch(seed, BATCH, &alphabet) {
            Ok((cases, fits)) => pair.compare(&cases, &fits),
            Err(difference) => vec![difference],
        };
        found.lock().unwrap().extend(differences);
    }
}

#[test]
fn random_instructions_leave_what_qemu_leaves() {
    let Some(program) = harness::build() else { return };
    let (seed, cases) = (setting("LDOMLAB_SEED", 7), setting("LDOMLAB_CASES", 1_000_000));
    let batches = cases.div_ceil(BATCH as u64);
    eprintln!("seed {seed}: {} cases", batches * BATCH as u64);
    let (next, found) = (AtomicU64::new(0), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..setting("LDOMLAB_JOBS", 2) {
            scope.spawn(|| work(&program, seed, batches, &next, &found));
        }
    });
    let found = found.into_inner().unwrap();
    if std::env::var("SURVEY").is_ok() {
        let mut map = std::collections::BTreeMap::new();
        for d in &found {
            if let [word] = d.case.words[..] {
                let op = sun4v::isa::decode(word).unwrap();
                let entry = map.entry(format!("{op:?}")).or_insert((0, d));
                entry.0 += 1;
            }
        }
        let mut gone = std::collections::BTreeMap::new();
        for d in &found { if d.what.contains("QEMU") { let text = d.case.disassembly(); if d.case.words.len() < 3 { gone.insert(text, d.what.clone()); } } }
        eprintln!("{gone:#?}");
        let mut pair = Pair::new(&program);
        for (op, (n, d)) in map { let d = shrink::shrink(&mut pair, d.clone()); eprintln!("{op} {n} {} \n    {}", d.what, d.case); }
    }
    if std::env::var("SURVEY").is_ok() { return; }
    let lines: Vec<_> = found.iter().take(setting("LDOMLAB_FAILURES", 10) as usize).map(|d| format!("{}\n  {}", d.case, d.what)).collect();
    assert!(found.is_empty(), "{}", lines.join("\n"));
    let _ = Case::parse;
}
