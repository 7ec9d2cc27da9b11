//! Commands to the lab itself: what somebody does to its cables.
//!
//! **Commands.** `cut NETWORK/PORT`, `join NETWORK/PORT`, `set NETWORK/PORT
//! KEY=VALUE...` with the keys and quantities of a scenario's network: `speed`,
//! `latency`, `queue`, `mtu`, `loss`, `duplication`, `bit_flip`. A network without
//! port means all of its ports. `set` alone answers what a link is like. `power off
//! CHASSIS` is for the world, which owns the chassis.

use super::quantity::{Rate, Size, Span};
use super::{Lab, NetworkId};
use crate::net::fabric::PortId;
use crate::net::link::{Link, MTU_RANGE};
use std::fmt::Write as _;

impl Lab {
    /// Carries out a command to the lab itself; gives the text that answers it, or
    /// why it was refused.
    ///
    /// # Errors
    /// One line.
    pub fn cables(&mut self, line: &str) -> Result<String, String> {
        let mut words = line.split_whitespace();
        let (verb, place) = (words.next().unwrap_or(""), words.next());
        let place = place.ok_or_else(|| format!("`{line}` names no network or port"))?;
        let (network, ports) = self.find_ports(place)?;
        let fabric = &mut self.networks[network.0];
        match verb {
            "cut" | "join" => {
                if let Some(extra) = words.next() {
                    return Err(format!("`{verb}` takes one place, not `{extra}`"));
                }
                ports.iter().for_each(|&port| fabric.set_cut(port, verb == "cut"));
                Ok(String::new())
            }
            "set" => {
                let changes: Vec<_> = words.collect();
                let mut answer = String::new();
                let mut links = Vec::new();
                for &port in &ports {
                    let mut link = fabric.link(port);
                    for change in &changes {
                        change_link(&mut link, change)?;
                    }
                    links.push((port, link));
                }
                for (port, link) in links {
                    fabric.set_link(port, link);
                    if changes.is_empty() {
                        let name = fabric.ports().find(|(id, _)| *id == port).map_or("", |p| p.1);
                        // Writing to a string cannot fail.
                        let _ = writeln!(answer, "{name}: {}", describe(&link));
                    }
                }
                Ok(answer)
            }
            _ => Err(format!("the lab has no command `{verb}`: cut, join, set, power")),
        }
    }

    fn find_ports(&self, place: &str) -> Result<(NetworkId, Vec<PortId>), String> {
        let (name, port) = match place.split_once('/') {
            Some((network, port)) => (network, Some(port)),
            None => (place, None),
        };
        let network = self.network(name).ok_or_else(|| format!("no network `{name}`"))?;
        let fabric = &self.networks[network.0];
        let ports = match port {
            Some(port) => {
                let id = fabric.port(port);
                vec![id.ok_or_else(|| format!("no port `{port}` in network `{name}`"))?]
            }
            None => fabric.ports().map(|(id, _)| id).collect(),
        };
        Ok((network, ports))
    }
}

fn describe(link: &Link) -> String {
    format!(
        "speed={}bit/s latency={}ns queue={} mtu={} loss={} duplication={} bit_flip={}",
        link.bits_per_second,
        link.latency.0 / 1000,
        link.queue_bytes,
        link.mtu,
        link.faults.loss,
        link.faults.duplication,
        link.faults.bit_flip
    )
}

/// Changes one property: `KEY=VALUE`.
fn change_link(link: &mut Link, change: &str) -> Result<(), String> {
    let (key, value) =
        change.split_once('=').ok_or_else(|| format!("`{change}` is no KEY=VALUE"))?;
    let chance = || {
        let chance = value.parse::<f64>().ok().filter(|chance| (0.0..=1.0).contains(chance));
        chance.ok_or_else(|| format!("`{value}` is no probability, 0 to 1"))
    };
    match key {
        "speed" => link.bits_per_second = value.parse::<Rate>()?.0,
        "latency" => {
            let latency = value.parse::<Span>()?.0;
            if latency < sun4v::time::SimTime::us(1) {
                return Err(format!("latency {value} is shorter than a microsecond"));
            }
            link.latency = latency;
        }
        "queue" => link.queue_bytes = value.parse::<Size>()?.0,
        "mtu" => {
            let mtu = value.parse().ok().filter(|mtu| MTU_RANGE.contains(mtu));
            link.mtu = mtu.ok_or_else(|| format!("mtu {value} is not 576 to 16000"))?;
        }
        "loss" => link.faults.loss = chance()?,
        "duplication" => link.faults.duplication = chance()?,
        "bit_flip" => link.faults.bit_flip = chance()?,
        _ => return Err(format!("a link has no `{key}`")),
    }
    Ok(())
}

#[cfg(test)]
mod test {
    use crate::lab::Lab;
    use crate::net::fabric::{Fabric, PortId};
    use crate::net::link::Link;
    use crate::time::rng::Seed;

    #[test]
    fn a_link_changes_as_it_is_told_and_a_slip_changes_nothing() {
        let mut lab = Lab::default();
        let network = lab.add_network(Fabric::new("lab", Seed(1)));
        for name in ["t5120", "t5220"] {
            lab.add_outlet(network, name, Link::default());
        }
        assert_eq!(lab.cables("set lab/t5220 speed=100Mbit/s loss=0.25"), Ok(String::new()));
        let link = |lab: &Lab, port| lab.networks()[0].link(PortId(port));
        assert_eq!(link(&lab, 0), Link::default());
        assert_eq!((link(&lab, 1).bits_per_second, link(&lab, 1).faults.loss), (100_000_000, 0.25));
        let before = link(&lab, 1);
        for slip in [
            "set lab/t5220 speed=10Mbit/s loss=2",
            "set lab/t5220 colour=red",
            "set lab/mars",
            "cut moon",
            "cut lab now",
            "burn lab",
            "cut",
            "set lab mtu=70000",
        ] {
            assert!(lab.cables(slip).is_err(), "{slip}");
        }
        assert_eq!(link(&lab, 1), before);
        assert_eq!(lab.cables("cut lab/t5120"), Ok(String::new()));
        assert!(lab.cables("set lab").unwrap().contains("t5220: speed=100000000bit/s"));
    }
}
