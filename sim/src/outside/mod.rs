//! What enters the world from outside, and what leaves it: keys at a console, frames of
//! a network of the host.
//!
//! **Shapes.** An [`Input`] enters at a *mark*: a grid line, [`MARK`] apart or a slice
//! where that is longer. From then on it is part of the run like anything else, so the
//! same inputs at the same marks give the same run, whoever or whatever they came from
//! ([`tape`] keeps them in a file). An [`Output`] leaves when the turn is over in which
//! it came about.
//!
//! **Order.** Inputs enter in the order in which they were put, those of one mark in one
//! turn, before networks and hosts move.
//!
//! **Errors.** None: what is put for a place that does not exist goes nowhere, and what a
//! console has no room for is for its concentrator to refuse.

pub mod tape;

use crate::lab::Outlet;
use std::collections::{BTreeMap, VecDeque};
use sun4v::native::ConsoleInput;
use sun4v::time::SimTime;

/// Between two marks, where slices are not longer.
pub const MARK: SimTime = SimTime::us(100);

/// Something that enters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// At the console of a domain.
    Console {
        /// The chassis.
        place: String,
        /// The domain.
        domain: String,
        /// What somebody does there.
        input: ConsoleInput,
    },
    /// A frame of a network of the host.
    Frame {
        /// The network of the lab that it comes into.
        network: String,
        /// Destination, source, type, payload; no FCS.
        bytes: Vec<u8>,
    },
}

/// Something that leaves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Bytes that a domain wrote to its console.
    Console {
        /// The chassis.
        place: String,
        /// The domain.
        domain: String,
        /// The bytes.
        bytes: Vec<u8>,
    },
    /// A frame for a network of the host.
    Frame {
        /// The network of the lab that it leaves.
        network: String,
        /// Destination, source, type, payload; no FCS.
        bytes: Vec<u8>,
    },
}

/// How far marks are apart where slices are so long.
#[must_use]
pub fn mark(slice: SimTime) -> SimTime {
    SimTime(MARK.0.div_ceil(slice.0.max(1)) * slice.0.max(1))
}

/// The door between a world and what is outside of it.
#[derive(Debug, Default)]
pub struct Outside {
    inputs: VecDeque<(SimTime, Input)>,
    outputs: Vec<Output>,
    /// Consoles at which somebody sits, and what each takes; by chassis and domain.
    consoles: BTreeMap<(String, String), Option<usize>>,
    /// Where frames of the host come in, by network of the lab.
    outlets: BTreeMap<String, Outlet>,
}

impl Outside {
    /// Has anybody ever come to it?
    #[must_use]
    pub fn is_used(&self) -> bool {
        !self.inputs.is_empty() || !self.consoles.is_empty() || !self.outlets.is_empty()
    }

    /// Somebody sits down at a console: from now on its output leaves.
    pub fn attend(&mut self, place: &str, domain: &str) {
        self.consoles.insert((place.to_owned(), domain.to_owned()), None);
    }

    /// Frames of the host come in at `outlet` of `network`.
    pub fn join(&mut self, network: &str, outlet: Outlet) {
        self.outlets.insert(network.to_owned(), outlet);
    }

    /// Where frames of the host come into `network`.
    #[must_use]
    pub fn outlet(&self, network: &str) -> Option<Outlet> {
        self.outlets.get(network).copied()
    }

    /// Puts in what enters at `at`; times never run backwards.
    pub fn put(&mut self, at: SimTime, input: Input) {
        debug_assert!(self.inputs.back().is_none_or(|(last, _)| *last <= at));
        self.inputs.push_back((at, input));
    }

    /// When something enters next.
    #[must_use]
    pub fn next_time(&self) -> SimTime {
        self.inputs.front().map_or(SimTime::NEVER, |(at, _)| *at)
    }

    /// What enters at `now`, one by one.
    pub fn enter(&mut self, now: SimTime) -> Option<Input> {
        (self.next_time() <= now).then(|| self.inputs.pop_front())?.map(|(_, input)| input)
    }

    /// A domain's console has written.
    pub fn console(&mut self, place: &str, domain: &str, bytes: Vec<u8>) {
        if !self.consoles.contains_key(&(place.to_owned(), domain.to_owned())) {
            return;
        }
        if let Some(Output::Console { place: last, domain: whose, bytes: before }) =
            self.outputs.last_mut()
            && (last.as_str(), whose.as_str()) == (place, domain)
        {
            before.extend(bytes);
            return;
        }
        let (place, domain) = (place.to_owned(), domain.to_owned());
        self.outputs.push(Output::Console { place, domain, bytes });
    }

    /// What a domain's console takes has changed.
    pub fn set_room(&mut self, place: &str, domain: &str, room: Option<usize>) {
        if let Some(known) = self.consoles.get_mut(&(place.to_owned(), domain.to_owned())) {
            *known = room;
        }
    }

    /// How many characters a console takes beside those that are yet to enter; a break
    /// counts as one. `None` where there is no console, or nobody sits at it.
    #[must_use]
    pub fn room(&self, place: &str, domain: &str) -> Option<usize> {
        let room = (*self.consoles.get(&(place.to_owned(), domain.to_owned()))?)?;
        let waits = self.inputs.iter().map(|(_, input)| match input {
            Input::Console { place: at, domain: whose, input }
                if at == place && whose == domain =>
            {
                match input {
                    ConsoleInput::Typed(bytes) => bytes.len(),
                    ConsoleInput::Break | ConsoleInput::HangUp => 1,
                }
            }
            Input::Console { .. } | Input::Frame { .. } => 0,
        });
        Some(room.saturating_sub(waits.sum()))
    }

    /// A frame has arrived at an outlet; true if it was one of the host's.
    pub fn frame(&mut self, outlet: Outlet, bytes: &[u8]) -> bool {
        let mut outlets = self.outlets.iter();
        let Some((network, _)) = outlets.find(|(_, own)| **own == outlet) else { return false };
        let (network, bytes) = (network.clone(), bytes.to_vec());
        self.outputs.push(Output::Frame { network, bytes });
        true
    }

    /// What has left since the last call, in order.
    pub fn take_output(&mut self) -> Vec<Output> {
        std::mem::take(&mut self.outputs)
    }
}

#[cfg(test)]
mod test {
    use super::{Input, Output, Outside, mark};
    use crate::lab::{NetworkId, Outlet};
    use crate::net::fabric::PortId;
    use sun4v::native::ConsoleInput;
    use sun4v::time::SimTime;

    fn typed(text: &str) -> Input {
        let input = ConsoleInput::Typed(text.into());
        Input::Console { place: "t5120".to_owned(), domain: "guest".to_owned(), input }
    }

    #[test]
    fn marks_are_grid_lines() {
        assert_eq!(mark(SimTime::us(10)), SimTime::us(100));
        assert_eq!(mark(SimTime::us(30)), SimTime::us(120));
        assert_eq!(mark(SimTime::ms(1)), SimTime::ms(1));
    }

    #[test]
    fn inputs_enter_in_order_at_their_marks() {
        let mut outside = Outside::default();
        assert_eq!(outside.next_time(), SimTime::NEVER);
        outside.put(SimTime::us(100), typed("a"));
        outside.put(SimTime::us(100), typed("b"));
        outside.put(SimTime::us(200), typed("c"));
        assert_eq!(outside.enter(SimTime::us(99)), None);
        assert_eq!(outside.enter(SimTime::us(100)), Some(typed("a")));
        assert_eq!(outside.enter(SimTime::us(100)), Some(typed("b")));
        assert_eq!(outside.enter(SimTime::us(100)), None);
        assert_eq!(outside.next_time(), SimTime::us(200));
    }

    #[test]
    fn what_is_on_its_way_to_a_console_takes_its_room() {
        let mut outside = Outside::default();
        outside.attend("t5120", "guest");
        assert_eq!(outside.room("t5120", "guest"), None);
        outside.set_room("t5120", "guest", Some(10));
        outside.set_room("t5120", "mars", Some(10));
        assert_eq!(outside.room("t5120", "mars"), None);
        outside.put(SimTime::us(100), typed("word"));
        assert_eq!(outside.room("t5120", "guest"), Some(6));
        outside.put(SimTime::us(100), typed("another"));
        assert_eq!(outside.room("t5120", "guest"), Some(0));
    }

    #[test]
    fn only_what_somebody_waits_for_leaves() {
        let mut outside = Outside::default();
        let host = Outlet { network: NetworkId(0), port: PortId(2) };
        let other = Outlet { network: NetworkId(0), port: PortId(1) };
        outside.console("t5120", "guest", b"early".to_vec());
        outside.attend("t5120", "guest");
        outside.join("lab", host);
        outside.console("t5120", "guest", b"ok".to_vec());
        outside.console("t5120", "guest", b" ".to_vec());
        outside.console("t5120", "mars", b"mars".to_vec());
        assert!(outside.frame(host, b"frame"));
        assert!(!outside.frame(other, b"other"));
        outside.console("t5120", "guest", b"again".to_vec());
        let console = |bytes: &[u8]| Output::Console {
            place: "t5120".to_owned(),
            domain: "guest".to_owned(),
            bytes: bytes.to_vec(),
        };
        let frame = Output::Frame { network: "lab".to_owned(), bytes: b"frame".to_vec() };
        assert_eq!(outside.take_output(), [console(b"ok "), frame, console(b"again")]);
        assert!(outside.take_output().is_empty());
    }
}
