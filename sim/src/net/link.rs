//! One direction of a link: bandwidth, latency, a bounded queue, and faults.
//!
//! A frame waits until those before it have left, takes its bits' time to leave,
//! and arrives a latency later ([`Line::send`]). The queue is not a list: what
//! waits is the time until the line is free, times the bandwidth, so a frame is
//! dropped when that many bytes would not fit.
//!
//! **Shapes.** On the wire a frame is at least 60 bytes and carries 24 more
//! (preamble 8, FCS 4, gap 12). Bandwidth is in bits per second; latency in
//! simulated time; the queue in bytes of that wire length; the MTU is payload,
//! without the Ethernet header (14 bytes, 18 with a VLAN tag).
//!
//! **Faults.** Loss, duplication and bit flips are probabilities per frame. A bit
//! flip strikes behind the FCS, as bad memory in a switch does, so the frame
//! arrives damaged and only checksums further up can tell. A cut loses what is
//! sent and what is under way.

use crate::time::rng::{Rng, Seed};
use std::ops::RangeInclusive;
use sun4v::time::SimTime;

/// Bytes that a frame occupies on the wire beyond itself.
pub const WIRE_OVERHEAD: u64 = 24;
/// A shorter frame is padded to this on the wire.
pub const FRAME_MIN: u64 = 60;

/// Probabilities per frame, 0 to 1.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Faults {
    /// It never arrives.
    pub loss: f64,
    /// It arrives twice.
    pub duplication: f64,
    /// One bit of it arrives inverted.
    pub bit_flip: f64,
}

/// Payloads that a link may be made for: from what every host must take in one piece
/// (RFC 791) to the largest that a virtual switch takes (`ldm add-vsw mtu=`).
pub const MTU_RANGE: RangeInclusive<u16> = 576..=16000;

/// What a link is like; both directions alike.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Link {
    /// Bits per second, at least 1.
    pub bits_per_second: u64,
    /// From the last bit's leaving to its arrival.
    pub latency: SimTime,
    /// Wire bytes that may wait in one direction.
    pub queue_bytes: u64,
    /// Largest payload of a frame.
    pub mtu: u16,
    /// What goes wrong.
    pub faults: Faults,
}

impl Default for Link {
    /// Gigabit Ethernet: 5 µs, a megabyte of queue, 1500 bytes, no faults.
    fn default() -> Self {
        Self {
            bits_per_second: 1_000_000_000,
            latency: SimTime::us(5),
            queue_bytes: 1 << 20,
            mtu: 1500,
            faults: Faults::default(),
        }
    }
}

impl Link {
    /// How long a frame of `bytes` takes to leave.
    #[must_use]
    pub fn wire_time(&self, bytes: usize) -> SimTime {
        let bits = (bytes as u128).max(FRAME_MIN.into()) + u128::from(WIRE_OVERHEAD);
        let ps = bits * 8 * 1_000_000_000_000 / u128::from(self.bits_per_second.max(1));
        SimTime(ps.min(u64::MAX.into()) as u64)
    }

    /// True when the payload of `frame` is larger than the MTU.
    #[must_use]
    pub fn too_long(&self, frame: &[u8]) -> bool {
        let header = if frame.get(12..14) == Some(&[0x81, 0x00]) { 18 } else { 14 };
        frame.len() > header + usize::from(self.mtu)
    }
}

/// What has passed one direction of a link.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Frames that were put on the wire.
    pub frames: u64,
    /// Their bytes, without padding and wire overhead.
    pub bytes: u64,
    /// Dropped because the queue was full.
    pub full: u64,
    /// Dropped because they were longer than the MTU allows.
    pub giants: u64,
    /// Lost to a fault or a cut.
    pub lost: u64,
    /// Sent twice by a fault.
    pub duplicated: u64,
    /// Damaged by a fault.
    pub damaged: u64,
}

/// The fate of a frame: when it arrives, and whether a second one follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Passage {
    /// When its last bit is there.
    pub at: SimTime,
    /// When a duplicate's is.
    pub again: Option<SimTime>,
}

/// One direction of a link, with its state.
#[derive(Clone, Debug)]
pub struct Line {
    pub(super) link: Link,
    pub(super) rng: Rng,
    pub(super) free_at: SimTime,
    pub(super) cut: bool,
    /// Raised by a cut: what was sent under an earlier number does not arrive.
    pub(super) era: u32,
    pub(super) counters: Counters,
}

impl Line {
    /// An idle line; its faults are drawn from the stream `name`.
    #[must_use]
    pub fn new(link: Link, seed: Seed, name: &str) -> Self {
        Self {
            link,
            rng: seed.stream(name),
            free_at: SimTime::ZERO,
            cut: false,
            era: 0,
            counters: Counters::default(),
        }
    }

    /// Puts a frame on the wire at `now`, or drops it: then there is no passage.
    /// A bit flip changes `frame`.
    pub fn send(&mut self, frame: &mut [u8], now: SimTime) -> Option<Passage> {
        if self.link.too_long(frame) {
            self.counters.giants += 1;
            return None;
        }
        if self.cut {
            self.counters.lost += 1;
            return None;
        }
        let spent = self.link.wire_time(frame.len());
        let waiting = self.free_at.since(now);
        let bits = u128::from(waiting.0.saturating_add(spent.0))
            * u128::from(self.link.bits_per_second)
            / 1_000_000_000_000;
        if waiting > SimTime::ZERO && bits > u128::from(self.link.queue_bytes) * 8 {
            self.counters.full += 1;
            return None;
        }
        let mut leave = || {
            self.free_at = self.free_at.max(now).plus(spent);
            self.counters.frames += 1;
            self.counters.bytes += frame.len() as u64;
            self.free_at.plus(self.link.latency)
        };
        let at = leave();
        let faults = self.link.faults;
        let again = self.rng.chance(faults.duplication).then(&mut leave);
        self.counters.duplicated += u64::from(again.is_some());
        if self.rng.chance(faults.loss) {
            self.counters.lost += 1;
            return again.map(|at| Passage { at, again: None });
        }
        if !frame.is_empty() && self.rng.chance(faults.bit_flip) {
            let bit = self.rng.below(frame.len() as u64 * 8);
            frame[(bit / 8) as usize] ^= 1 << (bit % 8);
            self.counters.damaged += 1;
        }
        Some(Passage { at, again })
    }

    /// Cuts the line, or joins it again.
    pub fn set_cut(&mut self, cut: bool) {
        if cut && !self.cut {
            self.era += 1;
        }
        self.cut = cut;
    }

    /// Changes what the line is like; what is under way keeps its time.
    pub fn set_link(&mut self, link: Link) {
        self.link = link;
    }

    /// What the line is like.
    #[must_use]
    pub fn link(&self) -> &Link {
        &self.link
    }

    /// Counts the cuts so far; a frame that left before the last one is lost.
    #[must_use]
    pub fn era(&self) -> u32 {
        self.era
    }

    /// Counts a frame that a cut took under way.
    pub fn lose_under_way(&mut self) {
        self.counters.lost += 1;
    }

    /// What has passed.
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.counters
    }
}

#[cfg(test)]
mod test {
    use super::{Faults, Line, Link, Passage};
    use crate::time::rng::Seed;
    use sun4v::time::SimTime;

    fn line(link: Link) -> Line {
        Line::new(link, Seed(1), "test")
    }

    #[test]
    fn a_frame_takes_its_bits_time_and_the_latency() {
        let mut line = line(Link::default());
        let first = line.send(&mut [0; 1514], SimTime::us(10));
        // (1514 + 24) * 8 bits at a gigabit are 12.304 µs.
        let at = SimTime::us(15).plus(SimTime::ns(12_304));
        assert_eq!(first, Some(Passage { at, again: None }));
        let second = line.send(&mut [0; 14], SimTime::us(11));
        assert_eq!(second.unwrap().at, at.plus(SimTime::ns((60 + 24) * 8)));
        let later = line.send(&mut [0; 60], SimTime::us(100));
        assert_eq!(later.unwrap().at, SimTime::us(105).plus(SimTime::ns(672)));
    }

    #[test]
    fn a_full_queue_drops_and_empties_at_the_bandwidth() {
        let link = Link { queue_bytes: 10 * 1538, ..Link::default() };
        let mut line = line(link);
        let mut at = |now| (0..20).filter(|_| line.send(&mut [0; 1514], now).is_some()).count();
        assert_eq!(at(SimTime::ZERO), 10);
        assert_eq!(at(SimTime::ns(12_304 * 4)), 4);
        assert_eq!(line.counters().full, 26);
    }

    #[test]
    fn a_frame_longer_than_the_mtu_is_dropped_and_counted() {
        let mut line = line(Link::default());
        assert!(line.send(&mut [0; 1514], SimTime::ZERO).is_some());
        assert!(line.send(&mut [0; 1515], SimTime::ZERO).is_none());
        let mut tagged = [0; 1518];
        tagged[12] = 0x81;
        assert!(line.send(&mut tagged, SimTime::ZERO).is_some());
        assert_eq!(line.counters().giants, 1);
    }

    #[test]
    fn faults_are_the_seeds_and_keep_to_their_probabilities() {
        let faults = Faults { loss: 0.1, duplication: 0.05, bit_flip: 0.02 };
        let link = Link { faults, queue_bytes: u64::MAX / 16, ..Link::default() };
        let run = |seed| {
            let mut line = Line::new(link, Seed(seed), "test");
            let fates: Vec<_> = (0..10_000)
                .map(|_| {
                    let mut frame = [0; 100];
                    let passage = line.send(&mut frame, SimTime::ZERO);
                    let ones: u32 = frame.iter().map(|byte| byte.count_ones()).sum();
                    assert!(ones <= 1);
                    (passage, ones)
                })
                .collect();
            (fates, line.counters())
        };
        let (fates, counters) = run(3);
        assert!((900..1100).contains(&counters.lost), "{counters:?}");
        assert!((420..580).contains(&counters.duplicated), "{counters:?}");
        let damaged = fates.iter().filter(|(_, ones)| *ones == 1).count() as u64;
        assert_eq!(damaged, counters.damaged);
        assert!((140..230).contains(&damaged), "{counters:?}");
        assert_eq!(run(3).0, fates);
        assert_ne!(run(4).0, fates);
    }

    #[test]
    fn a_cut_line_carries_nothing() {
        let mut line = line(Link::default());
        line.set_cut(true);
        assert_eq!((line.send(&mut [0; 60], SimTime::ZERO), line.era()), (None, 1));
        line.set_cut(false);
        assert!(line.send(&mut [0; 60], SimTime::ZERO).is_some());
        assert_eq!(line.counters().lost, 1);
    }
}
