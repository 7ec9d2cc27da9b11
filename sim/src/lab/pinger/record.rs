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

#[cfg(test)]
mod test {
    use super::{Pinger, PingerV1, StreamV1};
    use crate::lab::host::LabHost;
    use crate::lab::host::test::{address, names};
    use crate::time::rng::Seed;
    use sun4v::record::encode;
    use sun4v::time::SimTime;

    fn pinger() -> Pinger {
        Pinger::new("pinger", &address(11), Seed(1), names())
    }

    /// A stream that goes on, and one that has ended.
    fn record() -> PingerV1 {
        let at = SimTime::secs;
        let goes = StreamV1 {
            name: "rover/1s".to_owned(),
            to: [192, 168, 1, 50],
            interval: at(1),
            next: at(9),
            sent: 8,
            waiting: vec![(6, at(7)), (7, at(8))],
            lost: vec![(1, at(2))],
            stopped: false,
        };
        let ended = StreamV1 { stopped: true, waiting: Vec::new(), ..goes.clone() };
        PingerV1 { streams: vec![goes, ended] }
    }

    fn bytes(record: &PingerV1) -> Vec<u8> {
        let mut bytes = Vec::new();
        encode(record, &mut bytes);
        bytes
    }

    #[test]
    fn streams_go_on_where_they_were() {
        let mut pinger = pinger();
        pinger.load(&bytes(&record())).unwrap();
        assert_eq!(pinger.save().unwrap(), bytes(&record()));
        pinger.restart(SimTime::ms(8_500));
        assert_eq!(pinger.next_time(), SimTime::ms(8_500));
        pinger.run(SimTime::ms(8_500));
        assert_eq!(pinger.take_facts(), []);
        pinger.run(SimTime::secs(9));
        assert_eq!((pinger.streams[0].sent, pinger.streams[1].sent), (9, 8));
    }

    #[test]
    fn every_broken_rule_refuses_the_record() {
        type Damage = fn(&mut PingerV1);
        let breaks: [(&str, Damage); 5] = [
            ("interval", |r| r.streams[0].interval = SimTime::us(999)),
            ("order", |r| r.streams[0].waiting.reverse()),
            ("not sent", |r| r.streams[0].sent = 7),
            ("both", |r| r.streams[0].lost.push((6, SimTime::secs(7)))),
            ("ended", |r| r.streams[0].stopped = true),
        ];
        for (what, damage) in breaks {
            let mut record = record();
            damage(&mut record);
            let mut pinger = pinger();
            assert!(pinger.load(&bytes(&record)).is_err(), "{what}");
            assert!(pinger.streams.is_empty(), "{what}");
        }
        let good = bytes(&record());
        for cut in 0..good.len() {
            assert!(pinger().load(&good[..cut]).is_err(), "cut to {cut}");
        }
        assert!(pinger().load(&[&good[..], &[0]].concat()).is_err());
    }
}
