//! VLANs: tags come and go with the port, and no frame leaves its network.

use super::{OUTSIDE, OWN, SwitchPortConf, World, frame, mac, switch_conf};
use crate::service::vsw::frame::{BROADCAST, Mac, announcement};
use crate::service::vsw::{SwitchConf, Vlans};

fn tagged(vlan: u16, to: Mac, from: Mac) -> Vec<u8> {
    let mut bytes = frame(to, from, 60, 7);
    let [high, low] = vlan.to_be_bytes();
    bytes.splice(12..12, [0x81, 0, high, low]);
    bytes
}

/// Guests of VLAN 1, of 5, of 5 and tagged 1 and 9, and one of 5 that knows no tags. The
/// control domain is of VLAN 5.
fn world() -> World {
    let conf = SwitchConf { vlans: Vlans::new(5, &[]), ..switch_conf() };
    let vlans = [(1, vec![]), (5, vec![]), (5, vec![1, 9]), (5, vec![9])];
    let change = |n: usize, port: &mut SwitchPortConf| {
        port.vlans = Vlans::new(vlans[n].0, &vlans[n].1);
    };
    World::with(&[6, 6, 6, 0], conf, |_| {}, change)
}

#[test]
fn a_broadcast_stays_in_its_vlan_and_looks_as_each_port_has_it() {
    let mut world = world();
    world.left();
    let plain = frame(BROADCAST, mac(1), 60, 7);
    world.send(0, &plain);
    assert!(world.received(1).is_empty());
    assert_eq!(world.received(2), [tagged(1, BROADCAST, mac(1))]);
    assert_eq!(world.left(), [plain]);
    assert!(world.switch.take_own().is_empty());

    let plain = frame(BROADCAST, mac(2), 60, 7);
    world.send(1, &plain);
    assert!(world.received(0).is_empty());
    assert_eq!((world.received(2), world.received(3)), (vec![plain.clone()], vec![plain.clone()]));
    assert_eq!(world.left(), [tagged(5, BROADCAST, mac(2))]);
    assert_eq!(world.switch.take_own(), [plain]);
}

#[test]
fn a_tag_of_the_ports_own_vlan_is_as_good_as_none() {
    let mut world = world();
    world.send(1, &tagged(5, mac(3), mac(2)));
    assert_eq!(world.received(2), [frame(mac(3), mac(2), 60, 7)]);
}

#[test]
fn frames_of_foreign_vlans_are_dropped_and_counted_both_ways() {
    let mut world = world();
    world.left();
    world.send(0, &tagged(5, mac(2), mac(1)));
    assert_eq!(world.switch.counters(0).unwrap().foreign_vlan, 1);
    // Known, but in another network.
    let before = world.switch.counters(1).unwrap().foreign_vlan;
    world.send(0, &frame(mac(2), mac(1), 60, 7));
    assert_eq!(world.switch.counters(1).unwrap().foreign_vlan, before + 1);
    assert!(world.received(1).is_empty() && world.left().is_empty());
    // Tags are not for one who does not know them.
    world.send(2, &tagged(9, mac(4), mac(3)));
    assert!(world.received(3).is_empty());
}

#[test]
fn the_uplink_has_tags_for_all_but_the_default_vlan() {
    let mut world = world();
    assert!(world.left().contains(&{
        let mut bytes = announcement(mac(2));
        bytes.splice(12..12, [0x81, 0, 0, 5]);
        bytes
    }));
    world.outside(tagged(5, mac(2), OUTSIDE));
    assert_eq!(world.received(1), [frame(mac(2), OUTSIDE, 60, 7)]);
    world.outside(frame(mac(2), OUTSIDE, 60, 7));
    assert!(world.received(1).is_empty());
    world.outside(tagged(9, mac(3), OUTSIDE));
    assert_eq!(world.received(2), [tagged(9, mac(3), OUTSIDE)]);
    world.outside(frame(OWN, OUTSIDE, 60, 7));
    world.outside(tagged(5, OWN, OUTSIDE));
    assert_eq!(world.switch.take_own(), [frame(OWN, OUTSIDE, 60, 7)]);
}

#[test]
fn frames_that_follow_a_guest_keep_their_vlan() {
    let mut world = world();
    world.act(|switch, host| switch.hold(host, mac(2)));
    world.outside(tagged(5, mac(2), OUTSIDE));
    world.act(|switch, host| switch.depart(host, mac(2)));
    let relayed = world.switch.take_relay();
    assert_eq!(relayed, [(mac(2), tagged(5, mac(2), OUTSIDE))]);
    world.act(|switch, host| switch.release(host, mac(2)));
    world.act(|switch, host| switch.relayed(host, relayed[0].1.clone()));
    world.run();
    // Its address is not here any longer until its session begins anew.
    assert!(world.received(1).is_empty());
    world.guests[1].channel.reset(&mut world.board.ports(2));
    world.run();
    world.act(|switch, host| switch.relayed(host, relayed[0].1.clone()));
    world.run();
    assert_eq!(world.received(1), [frame(mac(2), OUTSIDE, 60, 7)]);
}

#[test]
fn a_tag_makes_room_for_itself_only_from_version_1_3_on() {
    let mut world = world();
    world.left();
    // A full frame of VLAN 1 to one who has tags there.
    let mut full = frame(mac(3), mac(1), 1514, 7);
    world.send(0, &full);
    assert_eq!(world.received(2)[0].len(), 1518);
    full.extend_from_slice(&[0; 4]);
    world.send(0, &full);
    assert!(world.received(2).is_empty());
    assert_eq!(world.switch.counters(2).unwrap().too_long, 1);
}
