//! A guest that moves between two chassis goes on bit by bit as if it had stayed.
//!
//! Two runs side by side have the same boundaries. One stays where it is. The other moves,
//! again and again, by the hypervisor's own operations: its stores are logged, all pages are
//! carried while it runs, twice what became dirty, then it is suspended, the rest and its
//! state are carried, and it is resumed on the other chassis, whose memory was spoilt before.
//! All of that but the two rounds takes no simulated time. Then, and before the next move,
//! everything is compared ([`pair::Pair::difference`]): nothing that there is of a guest is
//! left out, and no comparison knows of exceptions.
//!
//! **Exceptions** are in how the run that stays is treated:
//!
//! 1. A *benchmark guest* (and whoever has neither channels nor crypto units, parks no virtual
//!    CPU and leaves its MMU off) is compared with a run of which nothing was ever asked.
//!    There are no exceptions.
//! 2. Other guests are compared with a run that is suspended and resumed where it is at the
//!    same moments, because a suspend is something that happens to a guest: its channels read
//!    RESET and ring, packets that it had not got rid of are dropped; a virtual CPU that is
//!    parked returns from `cpu_yield`; what crypto units have is ended first, which takes
//!    time, and time goes on; a wait that was being counted (failed atomics, pause hints) is
//!    counted anew, so that a turn may be given up later.
//! 3. In that run translations are forgotten at each resume: TLBs do not move, and a guest
//!    that changed a TSB without a demap could see it.
//!
//! Not proven here, because it is not so: numbers that a guest has left in a modular
//! arithmetic unit between two jobs do not move; nor what the data MMU remembers of earlier
//! accesses (`SFAR`, tag access), which some faults report; nor, with the timing model `t2`,
//! the few ticks by which a strand may have run past the boundary.
//!
//! `LDOMLAB_CONTINUE` multiplies the number of points. A failing line names guest, seed and
//! point, which repeat it.

#![expect(clippy::unwrap_used, reason = "a test ends there")]

#[path = "../oracle/guests.rs"]
mod bench;
mod chassis;
mod guests;
mod pair;

use guests::{Other, Spec};
use pair::{Fault, Pair, Tally, When};
use sim::engine::{Choice, Which};
use std::collections::BTreeMap;
use sun4v::time::SimTime;

const CACHED: Choice = Choice { engine: Which::Cached, timing: sim::engine::Model::Functional };
const INTERP: Choice = Choice { engine: Which::Interp, ..CACHED };
/// A guest that has not ended by then never does.
const LONG: SimTime = SimTime::secs(10);

fn scaled(points: u64) -> u64 {
    let factor = std::env::var("LDOMLAB_CONTINUE").ok();
    points * factor.map_or(1, |factor| factor.parse::<u64>().expect("LDOMLAB_CONTINUE: a number"))
}

/// How long a guest runs, or is watched.
fn span(spec: &Spec) -> SimTime {
    spec.span.unwrap_or_else(|| {
        let mut pair = Pair::new(spec, CACHED, CACHED, 1);
        pair.run(LONG);
        assert!(pair.ended(), "{} does not end", spec.name);
        pair.now()
    })
}

/// Moves a guest at `points` points of its run, chosen by `wanted` in turn, and looks at what
/// is left of it in the end.
fn moves(
    spec: &Spec,
    (choice, other): (Choice, Choice),
    points: u64,
    wanted: &[When],
) -> (Tally, String) {
    let seed = spec
        .name
        .bytes()
        .fold(1469, |seed: u64, byte| (seed ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3));
    let total = span(spec);
    let mut pair = Pair::new(spec, choice, other, seed);
    for point in 0..points {
        let from = pair.now().0;
        // Each in its share of the run, the rounds before it in there too.
        let share = total.0 * (point + 1) / (points + 1);
        let left = share.saturating_sub(from).max(spec.slice.0);
        let mut times = [0; 4].map(|_| from + pair.draw(left));
        times.sort_unstable();
        let [log, first, second, at] = times.map(SimTime);
        let when = wanted[point as usize % wanted.len()];
        let moved = pair.cut([log, first, second], at, when, Fault::None);
        if let Err(why) = moved {
            panic!("{} seed {seed} point {point} {when:?} at {:?}:\n{why}", spec.name, pair.now());
        }
        if pair.ended() {
            break;
        }
        // It goes on a little and still is the same.
        let next = pair.now().plus(SimTime(spec.slice.0 / 3));
        pair.run(next);
        if let Some(why) = pair.difference() {
            panic!("{} seed {seed} after point {point} {when:?}:\n{why}", spec.name);
        }
    }
    let end = if spec.span.is_some() { pair.now().plus(spec.slice) } else { LONG };
    pair.run(end);
    if let Some(why) = pair.difference() {
        panic!("{} seed {seed} in the end:\n{why}", spec.name);
    }
    if spec.span.is_none() {
        assert!(pair.stays.ended.is_some() && pair.stays.ended == pair.moves.ended);
    }
    eprintln!("{}: {:?}", spec.name, pair.tally);
    let text = pair.console();
    (pair.tally, text)
}

fn add(all: &mut BTreeMap<When, usize>, tally: &Tally) {
    for (&when, &count) in &tally.points {
        *all.entry(when).or_default() += count;
    }
}

/// A part of the benchmark guests, 13 points each.
fn bare(part: usize) {
    let mut all = BTreeMap::new();
    let images: Vec<_> = bench::images().into_iter().skip(part).step_by(2).collect();
    if images.is_empty() {
        return;
    }
    let guests = images.len();
    for (name, _, image) in images {
        // Two of them leave their windows often enough to be found there.
        let wanted: &[When] = match name {
            "recurse" | "coremix" => &[When::Spill, When::Fill, When::Trap],
            _ => &[When::Ticks],
        };
        let spec = Spec::bare(name, image);
        let (tally, text) = moves(&spec, (CACHED, CACHED), scaled(13), wanted);
        assert!(text.ends_with(" ok\n"), "{name}: {text}");
        assert!(tally.residual > 0, "{name}: nothing was left for a pause");
        add(&mut all, &tally);
    }
    let points: usize = all.values().sum();
    eprintln!("{points} points: {all:?}");
    assert!(points >= 12 * guests, "{all:?}");
    let handlers = [When::Spill, When::Fill, When::Trap].map(|when| all.get(&when).copied());
    assert!(part == 1 || handlers.iter().all(|count| *count >= Some(2)), "{all:?}");
}

#[test]
fn half_of_the_benchmark_guests_go_on_as_if_nothing_had_happened() {
    bare(0);
}

#[test]
fn the_other_half_goes_on_as_if_nothing_had_happened() {
    bare(1);
}

fn everything() -> Option<Spec> {
    let rom = guests::everything()?;
    let mut spec = Spec::rom("everything", rom, 2, SimTime::ms(12));
    spec.crypto = true;
    Some(spec)
}

#[test]
fn a_guest_with_everything_under_way_goes_on_as_if_it_had_stayed() {
    let Some(spec) = everything() else { return };
    let wanted = [
        When::Mondo,
        When::Device,
        When::Copy,
        When::HalfBlock,
        When::Ring,
        When::Crypto,
        When::Mailbox,
        When::Timer,
        When::Parked,
    ];
    let (tally, text) = moves(&spec, (CACHED, CACHED), scaled(60), &wanted);
    assert!(text.lines().count() > 3, "{text}");
    assert!(tally.again > 0 && tally.residual > 0, "{tally:?}");
    for when in wanted {
        assert!(tally.points.get(&when).is_some_and(|&n| n >= 2), "{when:?}: {:?}", tally.points);
    }
}

/// The images of `firmware/`.
fn images() -> Vec<Spec> {
    let rom = |name: &str, vcpus, span| Spec::rom(name, guests::firmware(name), vcpus, span);
    let alone =
        |name: &str| Spec { span: None, other: Other::Untouched, ..rom(name, 1, SimTime::ZERO) };
    let echo = Spec { keys: b"hello\r", ..rom("echo.bin", 1, SimTime::ms(4)) };
    let rover = Spec { bytes: 32 << 20, ..rom("rover.bin", 4, SimTime::ms(60)) };
    let mut hostile = Spec { bytes: 32 << 20, ..rom("hostile.bin", 4, SimTime::ms(20)) };
    hostile.variables.insert("role".into(), "hostile".into());
    hostile.variables.insert("seed".into(), "7".into());
    let openboot = Spec { bytes: 64 << 20, ..rom("openboot.bin", 1, SimTime::ms(20)) };
    vec![alone("hello.bin"), echo, rover, hostile, openboot]
}

#[test]
fn the_images_of_the_firmware_go_on_as_if_they_had_stayed() {
    for spec in images() {
        let points = if spec.name == "hello.bin" { 3 } else { scaled(12) };
        let wanted = [When::Ticks, When::Trap, When::Parked, When::Timer];
        let (_, text) = moves(&spec, (CACHED, CACHED), points, &wanted);
        eprintln!("{}: {:?}", spec.name, text.chars().take(200).collect::<String>());
    }
}

#[test]
fn the_reference_engine_moves_likewise_and_the_engines_agree_all_the_while() {
    let wanted = [When::Ticks, When::Trap];
    for (name, _, image) in bench::images()
        .into_iter()
        .filter(|(name, ..)| ["recurse", "strops", "nbody", "qsort"].contains(name))
    {
        let spec = Spec::bare(name, image);
        moves(&spec, (INTERP, CACHED), 3, &wanted);
    }
    if let Some(spec) = everything() {
        let spec = Spec { span: Some(SimTime::ms(3)), ..spec };
        moves(&spec, (INTERP, INTERP), 10, &[When::Crypto, When::Copy, When::Mondo]);
        moves(&spec, (INTERP, CACHED), 5, &[When::Ticks, When::HalfBlock]);
    }
}

#[test]
fn a_page_that_the_residual_lacks_is_found() {
    let mut specs: Vec<Spec> = everything().into_iter().collect();
    let bare = bench::images().into_iter().filter(|(name, ..)| ["lz", "qsort"].contains(name));
    specs.extend(bare.map(|(name, _, image)| Spec::bare(name, image)));
    for spec in &specs {
        let mut pair = Pair::new(spec, CACHED, CACHED, 5);
        // Later than what clears memory at the start.
        let total = span(spec).0;
        let [log, first, second, at] = [4, 5, 6, 8].map(|tenths| SimTime(total / 10 * tenths));
        let found = pair.cut([log, first, second], at, When::Ticks, Fault::Page);
        let found = found.expect_err("a page is missing");
        assert!(found.starts_with("memory: page "), "{}: {found}", spec.name);
    }
}

#[test]
fn a_timer_that_rings_in_a_wait_and_is_forgotten_is_found() {
    let Some(spec) = everything() else { return };
    for fault in [Fault::None, Fault::Timer] {
        let mut pair = Pair::new(&spec, CACHED, CACHED, 9);
        let [log, first, second, at] = [3000, 3100, 3200, 3300].map(SimTime::us);
        let found = pair.cut([log, first, second], at, When::Copy, fault);
        assert_eq!(found.is_err(), fault == Fault::Timer, "{found:?}");
        assert!(pair.tally.points.contains_key(&When::Copy));
        // The guest itself says so.
        let end = pair.now().plus(SimTime::us(100));
        pair.run(end);
        let ended = (fault == Fault::Timer).then_some(3);
        assert_eq!((pair.stays.ended, pair.moves.ended), (None, ended));
    }
}
