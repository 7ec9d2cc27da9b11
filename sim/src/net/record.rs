//! The record of a network: lines, addresses, frames under way.
//!
//! What was captured is not in it: whoever saves has taken it before.
//!
//! **Errors.** A record of another network, or one that breaks a rule, is refused and
//! the network stays as it was.

use super::fabric::{Fabric, Port, Transit};
use super::link::{Counters, Faults, Line, Link, MTU_RANGE};
use super::switch::{Mac, Switch};
use crate::time::event::EventQueue;
use crate::time::rng::Rng;
use serde::{Deserialize, Serialize};
use sun4v::record::{LoadError, Schema};
use sun4v::time::SimTime;

/// A network, version 1.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NetworkV1 {
    /// Its name.
    pub name: String,
    /// Its ports, by number.
    pub ports: Vec<PortV1>,
    /// Where addresses were seen, and when, in ascending order.
    pub addresses: Vec<(Mac, u32, SimTime)>,
    /// How often an address has changed its port.
    pub moves: u64,
    /// Frames under way, in the order of their arrival.
    pub transit: Vec<TransitV1>,
}

impl Schema for NetworkV1 {
    const KIND: &'static str = "net/network";
    const VERSION: u32 = 1;
}

/// A port.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PortV1 {
    /// Its name.
    pub name: String,
    /// Towards the switch.
    pub up: LineV1,
    /// From the switch.
    pub down: LineV1,
}

/// A direction of a link.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LineV1 {
    /// Bits per second.
    pub bits_per_second: u64,
    /// From leaving to arrival.
    pub latency: SimTime,
    /// Wire bytes that may wait.
    pub queue_bytes: u64,
    /// Largest payload.
    pub mtu: u16,
    /// Probabilities of loss, duplication and a bit flip.
    pub faults: [f64; 3],
    /// State of its generator.
    pub rng: [u64; 4],
    /// When the last frame will have left.
    pub free_at: SimTime,
    /// It is cut.
    pub cut: bool,
    /// Cuts so far.
    pub era: u32,
    /// Frames, bytes, full, giants, lost, duplicated, damaged.
    pub counters: [u64; 7],
}

/// A frame under way.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TransitV1 {
    /// When it is there.
    pub at: SimTime,
    /// From the switch; otherwise towards it.
    pub down: bool,
    /// Which port's line it is on.
    pub port: u32,
    /// The line's era when it left.
    pub era: u32,
    /// Its bytes.
    pub frame: Vec<u8>,
}

fn check(sound: bool, why: &'static str) -> Result<(), LoadError> {
    if sound { Ok(()) } else { Err(LoadError::Inconsistent { kind: NetworkV1::KIND, why }) }
}

impl Fabric {
    /// Its record.
    #[must_use]
    pub fn save(&self) -> NetworkV1 {
        // The seed is the scenario's; captures are taken by whoever wants them.
        let Self { name, seed: _, ports, switch, transit, snaplen: _, captured: _ } = self;
        let Switch { table, moves } = switch;
        let transit = transit.in_order().into_iter().map(|(at, transit)| match transit {
            Transit::Up { from, era, frame } => {
                TransitV1 { at, down: false, port: *from as u32, era: *era, frame: frame.clone() }
            }
            Transit::Down { to, era, frame } => {
                TransitV1 { at, down: true, port: *to as u32, era: *era, frame: frame.clone() }
            }
        });
        let port = |port: &Port| {
            let Port { name, up, down } = port;
            PortV1 { name: name.clone(), up: up.save(), down: down.save() }
        };
        NetworkV1 {
            name: name.clone(),
            ports: ports.iter().map(port).collect(),
            addresses: table.iter().map(|(mac, &(port, at))| (*mac, port as u32, at)).collect(),
            moves: *moves,
            transit: transit.collect(),
        }
    }

    /// Loads a record into a network of the same ports.
    ///
    /// # Errors
    /// See the module.
    pub fn load(&mut self, record: NetworkV1) -> Result<(), LoadError> {
        let NetworkV1 { name, ports, addresses, moves, transit } = record;
        check(name == self.name, "another network")?;
        let names = ports.iter().map(|port| port.name.as_str());
        check(names.eq(self.ports().map(|(_, name)| name)), "other ports than the network's")?;
        let count = ports.len();
        let mut table = std::collections::BTreeMap::new();
        check(addresses.is_sorted_by(|a, b| a.0 < b.0), "addresses out of order")?;
        for (mac, port, at) in addresses {
            check((port as usize) < count, "an address at a port that is not there")?;
            check(mac[0] & 1 == 0, "a group address as somebody's")?;
            table.insert(mac, (port as usize, at));
        }
        let mut queue = EventQueue::new();
        check(transit.is_sorted_by(|a, b| a.at <= b.at), "frames out of order")?;
        for TransitV1 { at, down, port, era, frame } in transit {
            let known =
                ports.get(port as usize).map(|port| if down { &port.down } else { &port.up });
            check(
                known.is_some_and(|line| era <= line.era),
                "a frame on a line that is not there",
            )?;
            let port = port as usize;
            queue.post(
                at,
                match down {
                    false => Transit::Up { from: port, era, frame },
                    true => Transit::Down { to: port, era, frame },
                },
            );
        }
        let ports = ports.into_iter().map(|PortV1 { name, up, down }| {
            Ok(Port { name, up: Line::load(up)?, down: Line::load(down)? })
        });
        self.ports = ports.collect::<Result<_, LoadError>>()?;
        self.switch = Switch { table, moves };
        self.transit = queue;
        Ok(())
    }

    /// Has anything been captured that nobody has taken?
    #[must_use]
    pub fn holds_captured(&self) -> bool {
        !self.captured.is_empty()
    }
}

impl Line {
    fn save(&self) -> LineV1 {
        let Self { link, rng, free_at, cut, era, counters } = self;
        let Link { bits_per_second, latency, queue_bytes, mtu, faults } = *link;
        let Faults { loss, duplication, bit_flip } = faults;
        let Counters { frames, bytes, full, giants, lost, duplicated, damaged } = *counters;
        LineV1 {
            bits_per_second,
            latency,
            queue_bytes,
            mtu,
            faults: [loss, duplication, bit_flip],
            rng: rng.state(),
            free_at: *free_at,
            cut: *cut,
            era: *era,
            counters: [frames, bytes, full, giants, lost, duplicated, damaged],
        }
    }

    fn load(record: LineV1) -> Result<Self, LoadError> {
        let LineV1 {
            bits_per_second,
            latency,
            queue_bytes,
            mtu,
            faults,
            rng,
            free_at,
            cut,
            era,
            counters,
        } = record;
        check(bits_per_second > 0, "a link without bandwidth")?;
        check(latency >= SimTime::us(1), "a link shorter than a microsecond")?;
        check(MTU_RANGE.contains(&mtu), "an MTU outside 576 to 16000")?;
        check(faults.iter().all(|p| (0.0..=1.0).contains(p)), "a probability outside 0 to 1")?;
        check(!cut || era > 0, "a cut that nobody made")?;
        let rng = Rng::from_state(rng);
        check(rng.is_some(), "a generator that stands still")?;
        let [loss, duplication, bit_flip] = faults;
        let [frames, bytes, full, giants, lost, duplicated, damaged] = counters;
        Ok(Self {
            link: Link {
                bits_per_second,
                latency,
                queue_bytes,
                mtu,
                faults: Faults { loss, duplication, bit_flip },
            },
            rng: rng.unwrap_or_else(|| Rng::new(0)),
            free_at,
            cut,
            era,
            counters: Counters { frames, bytes, full, giants, lost, duplicated, damaged },
        })
    }
}

#[cfg(test)]
mod test {
    use super::NetworkV1;
    use crate::net::fabric::{Fabric, PortId};
    use crate::net::link::{Faults, Link};
    use crate::time::rng::Seed;
    use sun4v::time::SimTime;

    /// Two ports on bad cables.
    fn fabric() -> Fabric {
        let mut fabric = Fabric::new("lab", Seed(5));
        let faults = Faults { loss: 0.2, duplication: 0.2, bit_flip: 0.2 };
        for name in ["a", "b"] {
            fabric.add_port(name, Link { faults, ..Link::default() });
        }
        fabric
    }

    fn frame(n: u8) -> Vec<u8> {
        [[2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 0], [n; 6]].concat()
    }

    /// Sends a hundred frames from `start`.
    fn send(fabric: &mut Fabric, start: SimTime) {
        for n in 0..100 {
            fabric.send(PortId(0), frame(n), start.plus(SimTime::us(u64::from(n))));
        }
    }

    /// With frames under way.
    fn busy() -> Fabric {
        let mut fabric = fabric();
        send(&mut fabric, SimTime::ZERO);
        fabric.deliver_until(SimTime::us(50));
        fabric.set_cut(PortId(1), true);
        fabric.set_cut(PortId(1), false);
        fabric
    }

    #[test]
    fn a_network_that_was_saved_goes_on_the_same() {
        let mut one = busy();
        let record = one.save();
        assert!(record.transit.len() > 10);
        let mut other = fabric();
        other.load(record.clone()).unwrap();
        assert_eq!(other.save(), record);
        for fabric in [&mut one, &mut other] {
            send(fabric, SimTime::ms(1));
        }
        assert_eq!(one.deliver_until(SimTime::NEVER), other.deliver_until(SimTime::NEVER));
        assert_eq!(one.save(), other.save());
    }

    #[test]
    fn every_broken_rule_refuses_the_record_and_changes_nothing() {
        type Damage = fn(&mut NetworkV1);
        let breaks: [(&str, Damage); 12] = [
            ("name", |r| r.name.push('x')),
            ("port", |r| r.ports[0].name.push('x')),
            ("ports", |r| drop(r.ports.pop())),
            ("speed", |r| r.ports[1].down.bits_per_second = 0),
            ("latency", |r| r.ports[1].down.latency = SimTime::ns(999)),
            ("mtu", |r| r.ports[1].up.mtu = 575),
            ("faults", |r| r.ports[1].up.faults[2] = f64::NAN),
            ("rng", |r| r.ports[1].up.rng = [0; 4]),
            ("cut", |r| (r.ports[0].up.cut, r.ports[0].up.era) = (true, 0)),
            ("address", |r| r.addresses[0].1 = 2),
            ("order", |r| r.transit.reverse()),
            ("era", |r| r.transit[0].era = 9),
        ];
        for (what, damage) in breaks {
            let mut record = busy().save();
            damage(&mut record);
            let mut fabric = fabric();
            let before = fabric.save();
            assert!(fabric.load(record).is_err(), "{what}");
            assert_eq!(fabric.save(), before, "{what}");
        }
    }
}
