//! The record of a pinger: its streams and what they wait for.

use super::{Pinger, Stream};
use crate::lab::host::only;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use sun4v::record::{LoadError, Schema, encode};
use sun4v::time::SimTime;

/// A pinger, version 1.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PingerV1 {
    /// Its streams, in the order in which they were started.
    pub streams: Vec<StreamV1>,
}

impl Schema for PingerV1 {
    const KIND: &'static str = "lab/pinger";
    const VERSION: u32 = 1;
}

/// Requests to one host.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StreamV1 {
    /// Its name in facts.
    pub name: String,
    /// To whom.
    pub to: [u8; 4],
    /// Between two requests.
    pub interval: SimTime,
    /// When the next one is sent.
    pub next: SimTime,
    /// Requests so far.
    pub sent: u64,
    /// When those were sent that wait for a reply, by sequence, in ascending order.
    pub waiting: Vec<(u64, SimTime)>,
    /// Those that are lost, likewise.
    pub lost: Vec<(u64, SimTime)>,
    /// It has ended.
    pub stopped: bool,
}

impl Pinger {
    pub(super) fn record(&self) -> Vec<u8> {
        // Facts are taken before; the stack begins anew.
        let Self { name: _, host: _, names: _, streams, facts: _, next: _ } = self;
        let streams = streams.iter().map(|stream| {
            // A stream's identifier is its place.
            let Stream {
                name,
                to,
                ident: _,
                socket: _,
                interval,
                next,
                sent,
                waiting,
                lost,
                stopped,
            } = stream;
            let list = |map: &BTreeMap<u64, SimTime>| map.iter().map(|(&n, &at)| (n, at)).collect();
            StreamV1 {
                name: name.clone(),
                to: *to,
                interval: *interval,
                next: *next,
                sent: *sent,
                waiting: list(waiting),
                lost: list(lost),
                stopped: *stopped,
            }
        });
        let mut bytes = Vec::new();
        encode(&PingerV1 { streams: streams.collect() }, &mut bytes);
        bytes
    }

    pub(super) fn load_record(&mut self, bytes: &[u8]) -> Result<(), LoadError> {
        let broken = |why| LoadError::Inconsistent { kind: PingerV1::KIND, why };
        let PingerV1 { streams } = only(bytes)?;
        if streams.len() >= usize::from(u16::MAX) {
            return Err(broken("too many streams"));
        }
        let mut loaded = Vec::new();
        for (ident, stream) in (1..).zip(streams) {
            let StreamV1 { name, to, interval, next, sent, waiting, lost, stopped } = stream;
            if interval < SimTime::ms(1) {
                return Err(broken("a stream faster than a millisecond"));
            }
            let map = |list: Vec<(u64, SimTime)>| {
                let sound = list.is_sorted_by(|a, b| a.0 < b.0 && a.1 <= b.1)
                    && list.iter().all(|(sequence, _)| *sequence < sent);
                let why = "requests out of order, or that were not sent";
                if sound { Ok(BTreeMap::from_iter(list)) } else { Err(broken(why)) }
            };
            let (waiting, lost) = (map(waiting)?, map(lost)?);
            if waiting.keys().any(|sequence| lost.contains_key(sequence)) {
                return Err(broken("a request that waits and is lost"));
            }
            if stopped && !waiting.is_empty() {
                return Err(broken("a stream that ended and waits"));
            }
            let socket = self.listen(ident).ok_or(broken("too many streams"))?;
            loaded.push(Stream {
                name,
                to,
                ident,
                socket,
                interval,
                next,
                sent,
                waiting,
                lost,
                stopped,
            });
        }
        self.streams = loaded;
        Ok(())
    }
}
