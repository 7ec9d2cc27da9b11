//! Streams that somebody on the wire has changed: whatever it was, it is refused before
//! the domain runs at the target, for a reason with a name, and the source runs on.
//!
//! A *stream* is a whole migration of a small domain that writes, over a wire on which one
//! thing is wrong, in either direction, anywhere before the domain is handed over.
//! `LDOMLAB_TAMPER_STREAMS` says how many (2,000); the first of them are always the same.

use super::super::testing::{Random, Setup, Tamper, World, Writer};
use super::LONG;
use std::collections::BTreeMap;
use std::rc::Rc;
use sun4v::time::SimTime;

/// How many there are when nobody says.
const STREAMS: u64 = 2_000;

/// What may be wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    /// One bit is turned.
    Flip,
    /// The stream ends inside a frame, or right before one.
    Truncate,
    /// Bytes of a frame are missing, and the stream goes on.
    Cut,
    /// A frame comes again, at once or later.
    Replay,
    /// A frame comes after others that were sent later.
    Reorder,
    /// A frame does not come.
    Drop,
    /// Versions in a first frame are others.
    Versions,
    /// A frame of the other direction comes in its place.
    Swap,
    /// The frame of another migration between the same two comes in its place.
    Other,
}

const KINDS: [Kind; 9] = [
    Kind::Flip,
    Kind::Truncate,
    Kind::Cut,
    Kind::Replay,
    Kind::Reorder,
    Kind::Drop,
    Kind::Versions,
    Kind::Swap,
    Kind::Other,
];

/// Reasons that an end may give, in the words of its log or its answer. The last is what
/// is left when nothing came that could be refused: the wire ended.
const REASONS: [&str; 6] = [
    "authentication failed",
    "record out of order",
    "malformed message",
    "another version of the protocol",
    "unexpected message",
    "was lost",
];

fn setup(entropy: [u8; 2]) -> Setup {
    let writer = Writer { pages: 1, among: 6 };
    Setup { pages: 24, writer, entropy, rounds_max: 3, ..Setup::default() }
}

fn below(random: &mut Random, limit: usize) -> usize {
    (random.next() % limit as u64) as usize
}

/// What goes wrong with the frame `place` of `from`. `own` and `other` are the frames of
/// this migration and of another, by who sent them; `last` is the last that may be
/// changed.
fn tamper(
    kind: Kind,
    from: usize,
    place: usize,
    random: &mut Random,
    last: usize,
    [own, other]: [Rc<[Vec<Vec<u8>>; 2]>; 2],
) -> Tamper {
    let frame = &own[from][place];
    let bit = below(random, frame.len() * 8);
    // Nothing comes later than `last`: behind it the domain is handed over.
    let (cut, skip) = (below(random, frame.len()), below(random, 3).min(last - place));
    let (at, value) = (8 + 2 * below(random, 2), random.next() as u16);
    let swapped = own[1 - from][below(random, own[1 - from].len())].clone();
    let mut kept: Option<Vec<u8>> = None;
    Box::new(move |end, number, mut bytes| {
        if end != from || number < place {
            return vec![bytes];
        }
        if number > place {
            // What was kept comes now, or later still.
            return match kept.take_if(|_| number >= place + skip) {
                Some(kept) => vec![bytes, kept],
                None => vec![bytes],
            };
        }
        match kind {
            Kind::Flip => bytes[bit / 8] ^= 1 << (bit % 8),
            Kind::Truncate if cut == 0 => return vec![Vec::new()],
            Kind::Truncate => {
                bytes.truncate(cut);
                return vec![bytes, Vec::new()];
            }
            Kind::Cut => drop(bytes.drain(cut..(cut + 1 + skip).min(bytes.len()))),
            Kind::Replay if skip == 0 => return vec![bytes.clone(), bytes],
            Kind::Replay => kept = Some(bytes.clone()),
            Kind::Reorder => {
                kept = Some(bytes);
                return Vec::new();
            }
            Kind::Drop => return Vec::new(),
            Kind::Versions => {
                let version = u16::from_be_bytes([bytes[at], bytes[at + 1]]);
                let value = if value == version { value ^ 1 } else { value };
                // One that the other end might take, as often as not.
                let value = if value % 2 == 0 { value % 5 } else { value };
                let value = if value == version { 1 } else { value };
                bytes[at..at + 2].copy_from_slice(&value.to_be_bytes());
            }
            Kind::Swap => bytes.clone_from(&swapped),
            Kind::Other => bytes.clone_from(&other[from][place]),
        }
        if bytes.is_empty() { Vec::new() } else { vec![bytes] }
    })
}

#[test]
fn whatever_is_done_to_a_stream_the_source_runs_on_and_says_why() {
    let clean = |entropy| {
        let mut world = World::new(&setup(entropy));
        world.run(LONG);
        assert_eq!((world.home(), world.outcome.clone()), (1, Some(Ok(()))));
        Rc::new(world.frames)
    };
    let (own, other) = (clean([1, 2]), clean([3, 4]));
    // The last frames are *commit* and *committed*.
    let before = [own[0].len() - 1, own[1].len() - 1];
    assert!(before[0] > 10 && before[1] > 6, "{before:?}");
    let streams = std::env::var("LDOMLAB_TAMPER_STREAMS")
        .map_or(STREAMS, |text| text.parse().expect("a number"));
    let mut random = Random(2011);
    let mut seen: BTreeMap<(Kind, &str), u32> = BTreeMap::new();
    for stream in 0..streams {
        let kind = KINDS[stream as usize % KINDS.len()];
        let from = below(&mut random, 2);
        let place = match kind {
            Kind::Versions => 0,
            // What takes another's place must be another.
            _ => below(&mut random, before[from]),
        };
        let label = format!("stream {stream}: {kind:?} of frame {place} from {from}");
        let mut world = World::new(&setup([1, 2]));
        let frames = [own.clone(), other.clone()];
        let last = before[from] - 1;
        world.tamper = Some(tamper(kind, from, place, &mut random, last, frames));
        // Whoever it is keeps the ends apart for as long as they would go on.
        while !world.reached() && world.turn() {}
        world.cut_off = true;
        world.writes_until(SimTime::secs(2));
        world.run(SimTime::secs(65));
        world.cut_off = false;
        world.run(LONG);
        let why = match &world.outcome {
            Some(Err(why)) if !why.is_empty() => why.join("; "),
            outcome => panic!("{label}: {outcome:?}"),
        };
        assert_eq!(world.home(), 0, "{label}");
        let ended = (
            world.source.as_ref().is_none_or(|source| source.is_finished()),
            world.target.as_ref().is_none_or(|target| target.is_finished()),
        );
        assert_eq!(ended, (true, true), "{label}");
        let facts = &world.ends[1].desk.facts;
        assert!(facts.iter().all(|fact| fact.what != "resumed"), "{label}");
        // The end that noticed says it, to the operator or in its log.
        let said = [&[why][..], &world.ends[1].desk.log].concat().join("\n");
        let reason = REASONS.into_iter().find(|reason| said.contains(reason));
        let reason = reason.unwrap_or_else(|| panic!("{label}: {said}"));
        *seen.entry((kind, reason)).or_default() += 1;
        // Only what does not come at all may be noticed by the end of the wire alone.
        let silent = [Kind::Flip, Kind::Truncate, Kind::Cut, Kind::Reorder, Kind::Drop];
        assert!(reason != "was lost" || silent.contains(&kind), "{label}: {said}");
    }
    for (&(kind, reason), count) in &seen {
        eprintln!("{kind:?}, {reason}: {count}");
    }
    for kind in KINDS {
        assert!(streams < 1000 || seen.keys().any(|&(seen, _)| seen == kind), "{kind:?}");
    }
}
