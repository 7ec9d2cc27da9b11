//! The simplest case that still comes out differently.
//!
//! Instructions go first, then groups of the state, then single words of it, then
//! bits. A candidate that leaves the memory window, or traps, is none.

use super::case::{ASI, CCR, CODE, Case, F, FPRS, MEMORY, NOP, R, SLOTS_BASE, WORDS};
use super::compare::{Difference, Pair};
use super::trace;
use sun4v::isa::{Op, decode};

/// Rounds, each of which takes something away.
const ROUNDS_MAX: usize = 64;

/// Shrinks the case of a difference.
pub fn shrink(pair: &mut Pair, difference: Difference) -> Difference {
    let mut best = difference;
    for _ in 0..ROUNDS_MAX {
        let before = best.case.clone();
        shorter(pair, &mut best);
        groups(pair, &mut best);
        values(pair, &mut best);
        fields(pair, &mut best);
        if best.case == before {
            break;
        }
    }
    best
}

/// Takes a candidate for the best when it still comes out differently.
fn attempt(pair: &mut Pair, best: &mut Difference, mut case: Case) -> bool {
    if case == best.case || case.words.is_empty() {
        return false;
    }
    let Ok(fit) = trace::settle(pair.bench(), &mut case) else { return false };
    match pair.compare(&[case], &[fit]).pop() {
        Some(difference) if difference.case != best.case => {
            *best = difference;
            true
        }
        _ => false,
    }
}

/// Fewer instructions.
fn shorter(pair: &mut Pair, best: &mut Difference) {
    let mut index = best.case.words.len();
    while index > 0 {
        index -= 1;
        let mut gone = best.case.clone();
        gone.words.remove(index);
        if attempt(pair, best, gone) {
            continue;
        }
        let mut quiet = best.case.clone();
        quiet.words[index] = NOP;
        attempt(pair, best, quiet);
    }
    // To the first slot, with what points to the code.
    let mut moved = best.case.clone();
    let distance = moved.start() - SLOTS_BASE;
    let code = moved.start().wrapping_sub(4096)..moved.end() + 4096;
    moved.state[CODE] = SLOTS_BASE;
    attempt(pair, best, moved.clone());
    for value in moved.state[CCR..].iter_mut().filter(|value| code.contains(value)) {
        *value -= distance;
    }
    attempt(pair, best, moved);
}

/// Groups of the state at once.
fn groups(pair: &mut Pair, best: &mut Difference) {
    for group in [F..MEMORY, MEMORY..WORDS, R..F, ASI..FPRS] {
        let mut less = best.case.clone();
        less.state[group].fill(0);
        attempt(pair, best, less);
    }
}

/// Single words of the state: to a simple one, or to one with fewer bits.
fn values(pair: &mut Pair, best: &mut Difference) {
    for word in CCR..WORDS {
        let usual = if word == FPRS { 4 } else { 0 };
        if best.case.state[word] == usual {
            continue;
        }
        let mut set = |value: u64| {
            let mut less = best.case.clone();
            less.state[word] = value;
            attempt(pair, best, less)
        };
        if set(usual) || word == FPRS || set(1) {
            continue;
        }
        for half in [u64::MAX << 32, u64::MAX >> 32] {
            let mut less = best.case.clone();
            less.state[word] &= half;
            attempt(pair, best, less);
        }
        for bit in 0..64 {
            let mut less = best.case.clone();
            less.state[word] &= !(1 << bit);
            attempt(pair, best, less);
        }
    }
}

/// Bits of the instructions.
fn fields(pair: &mut Pair, best: &mut Difference) {
    for index in 0..best.case.words.len() {
        for bit in (0..30).rev() {
            // Registers 2 and above: %g1 is not a case's own.
            let mut less = best.case.clone();
            let word = less.words.get(index).copied().unwrap_or(NOP);
            if word == NOP || word >> bit & 1 == 0 {
                continue;
            }
            less.words[index] = word & !(1 << bit);
            let same = decode(less.words[index]) == decode(word);
            if same && !names_g1(less.words[index]) {
                attempt(pair, best, less);
            }
        }
    }
}

/// Could an instruction read or write `%g1`, alone or as the second of a pair?
fn names_g1(word: u32) -> bool {
    let fields = [word >> 25 & 31, word >> 14 & 31, word & 31];
    let registers = if word >> 13 & 1 != 0 { &fields[..2] } else { &fields[..] };
    let pair = matches!(decode(word), Some(Op::Ldtw | Op::LdtwA | Op::Sttw | Op::SttwA));
    word >> 30 >= 2 && registers.contains(&1)
        || word >> 30 == 0 && fields[1] == 1
        || pair && fields[0] == 0
}
