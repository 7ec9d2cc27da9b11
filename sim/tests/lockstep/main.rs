//! The engine `cached` in lockstep with the reference: at the end of every block the
//! whole state of the strand is the same, and so is memory in the end.
//!
//! Guests: the sixteen benchmark programs (`LDOMLAB_BENCH`), `rover` from power-on to
//! where its disk work begins, and random programs full of traps.

#![expect(clippy::unwrap_used, reason = "a test may")]

#[path = "../oracle/guests.rs"]
mod guests;

mod engines;
mod random;

use engines::pair;
use sim::chassis::bare::{Bare, End, GUEST};
use sim::chassis::board::Board;
use sim::chassis::image::Image;
use sim::cli::lab::Options;
use sim::engine::Engine;
use std::path::PathBuf;
use std::thread;
use sun4v::addr::Pa;
use sun4v::time::SimTime;

/// A digest of a stretch of memory.
fn digest(board: &Board, from: u64, bytes: u64) -> u64 {
    let mut page = vec![0; 8192];
    (from..from + bytes).step_by(page.len()).fold(0, |sum: u64, at| {
        board.ram().read(Pa(at), &mut page);
        page.as_chunks::<8>().0.iter().fold(sum, |sum, word| {
            (sum ^ u64::from_be_bytes(*word)).wrapping_mul(0x100_0000_01b3).rotate_left(5)
        })
    })
}

/// What a bare guest comes to on an engine.
fn bare(image: &Image, engine: Box<dyn Engine + Send>) -> (End, String, u64, u64, Vec<u64>) {
    let mut bare = Bare::boot_image(1, 32 << 20, image).unwrap();
    let mut domain = bare.board.take_domain(GUEST).unwrap();
    domain.set_engine(engine);
    bare.board.put_domain(GUEST, domain);
    let (end, text) = bare.finish(SimTime::secs(10));
    let bytes = bare.board.ram().bytes();
    let counts = bare.domain().unwrap().counts();
    let traps = counts.traps.to_vec();
    (end, text, digest(&bare.board, 0, bytes), counts.instructions, traps)
}

#[test]
fn every_benchmark_guest_is_the_same_on_both_engines_after_every_block() {
    if guests::built().is_none() {
        return;
    }
    for (name, _, image) in guests::images() {
        let (leader, follower) = pair();
        let (fast, reference) = thread::scope(|scope| {
            let fast = scope.spawn(|| bare(&image, Box::new(leader)));
            let reference = scope.spawn(|| bare(&image, Box::new(follower)));
            (fast.join(), reference.join())
        });
        let reference = reference.unwrap_or_else(|_| panic!("{name}: see above"));
        assert!(reference.0 == End::Exited(0) && fast.unwrap() == reference, "{name}");
        eprintln!("{name}: {} instructions", reference.3);
    }
}

/// The story's beginning, with this engine under `rover` from its first instruction.
fn rover(engine: Box<dyn Engine + Send>) -> (Vec<String>, Vec<u64>) {
    let scenario = "../testdata/scenarios/short.toml";
    let options = Options {
        scenario: Some(PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(scenario)),
        threads: Some(1),
        ..Options::default()
    };
    let (scenario, file) = options.scenario().unwrap();
    let mut world = options.power_on(&scenario, &file).unwrap();
    world.set_trace(true);
    world.server_mut("t5120").unwrap().board_mut().set_next_engine(engine);
    let mut lines = Vec::new();
    loop {
        world.run_until(world.now().plus(SimTime::ms(50))).unwrap();
        lines.extend(world.take_trace().into_iter().filter(|line| line.contains(" rover ")));
        let facts = world.take_facts();
        if facts.iter().any(|fact| fact.text.contains("fill done")) {
            let digests = world.servers().iter().map(|server| digest(server.board(), 0, 1 << 30));
            return (lines, digests.collect());
        }
        assert!(world.now() < SimTime::secs(10), "rover is not up");
    }
}

#[test]
fn rover_boots_the_same_on_both_engines_after_every_block() {
    let (leader, follower) = pair();
    let (fast, reference) = thread::scope(|scope| {
        let fast = scope.spawn(|| rover(Box::new(leader)));
        let reference = scope.spawn(|| rover(Box::new(follower)));
        (fast.join(), reference.join())
    });
    let (lines, digests) = reference.expect("see above");
    assert!(lines.len() > 400 && fast.unwrap() == (lines, digests));
}
