//! Event queue: what will happen, in order of time.
//!
//! Two events of one instant come out in the order in which they were posted, so
//! a run is repeated exactly. The queue keeps no clock: callers say up to when
//! they want events ([`EventQueue::pop_until`]).
//!
//! **Shapes.** Events are data of the caller's type; times are picoseconds.
//! Posting and taking cost O(log n).

use std::cmp::Ordering;
use std::collections::BinaryHeap;
use sun4v::time::SimTime;

/// An event with its place in the order.
#[derive(Clone, Debug)]
struct Posted<E> {
    at: SimTime,
    sequence: u64,
    event: E,
}

impl<E> PartialEq for Posted<E> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}
impl<E> Eq for Posted<E> {}
impl<E> PartialOrd for Posted<E> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
impl<E> Ord for Posted<E> {
    /// Reversed: the heap's greatest is the earliest.
    fn cmp(&self, other: &Self) -> Ordering {
        (other.at, other.sequence).cmp(&(self.at, self.sequence))
    }
}

/// Events in order of (time, posting).
#[derive(Clone, Debug)]
pub struct EventQueue<E> {
    heap: BinaryHeap<Posted<E>>,
    posted: u64,
}

impl<E> Default for EventQueue<E> {
    fn default() -> Self {
        Self { heap: BinaryHeap::new(), posted: 0 }
    }
}

impl<E> EventQueue<E> {
    /// An empty queue.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Posts `event` for `at`.
    pub fn post(&mut self, at: SimTime, event: E) {
        self.heap.push(Posted { at, sequence: self.posted, event });
        self.posted += 1;
    }

    /// When the next event is due; [`SimTime::NEVER`] if there is none.
    #[must_use]
    pub fn next_time(&self) -> SimTime {
        self.heap.peek().map_or(SimTime::NEVER, |posted| posted.at)
    }

    /// Takes the next event that is due by `limit`, with its time.
    pub fn pop_until(&mut self, limit: SimTime) -> Option<(SimTime, E)> {
        if self.heap.peek()?.at > limit {
            return None;
        }
        self.heap.pop().map(|posted| (posted.at, posted.event))
    }

    /// Events that wait, with their times, in the order in which they come.
    #[must_use]
    pub fn in_order(&self) -> Vec<(SimTime, &E)> {
        let mut all: Vec<_> = self.heap.iter().collect();
        all.sort_by_key(|posted| (posted.at, posted.sequence));
        all.into_iter().map(|posted| (posted.at, &posted.event)).collect()
    }

    /// Events that wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.heap.len()
    }

    /// True when nothing waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.heap.is_empty()
    }
}

#[cfg(test)]
mod test {
    use super::EventQueue;
    use proptest::prelude::{any, prop, proptest};
    use sun4v::time::SimTime;

    #[test]
    fn nothing_comes_before_its_time() {
        let mut queue = EventQueue::new();
        assert_eq!(queue.next_time(), SimTime::NEVER);
        queue.post(SimTime(5), 'a');
        assert_eq!(queue.pop_until(SimTime(4)), None);
        assert_eq!(queue.next_time(), SimTime(5));
        assert_eq!(queue.pop_until(SimTime(5)), Some((SimTime(5), 'a')));
        assert!(queue.is_empty());
    }

    proptest! {
        #[test]
        fn order_is_time_then_posting(times in prop::collection::vec(any::<u8>(), 0..200)) {
            let mut queue = EventQueue::new();
            let mut expected: Vec<_> =
                times.iter().enumerate().map(|(n, &at)| (SimTime(u64::from(at)), n)).collect();
            for &(at, n) in &expected {
                queue.post(at, n);
            }
            expected.sort();
            let shown: Vec<_> = queue.in_order().iter().map(|&(at, &n)| (at, n)).collect();
            assert_eq!(shown, expected);
            let got: Vec<_> = std::iter::from_fn(|| queue.pop_until(SimTime::NEVER)).collect();
            assert_eq!(got, expected);
        }
    }
}
