//! Where frames go; guests that are held, leave and arrive.

use super::{
    BASE, Copier, Envelope, OUTSIDE, OWN, Stype, Switch, Tag, Type, World, frame, mac, switch_conf,
};
use crate::memory::Arena;
use crate::service::vsw::HOLD_BYTES;
use crate::service::vsw::frame::{BROADCAST, announcement};
use sun4v::addr::Ra;
use sun4v::time::SimTime;
use sun4v::vio::vnet::Mcast;
use zerocopy::{FromZeros, IntoBytes};

#[test]
fn guests_reach_each_other_the_world_and_the_control_domain() {
    let mut world = World::new(&[6, 0]);
    world.left();
    let to_peer = frame(mac(2), mac(1), 60, 1);
    let to_world = frame(OUTSIDE, mac(1), 1514, 2);
    let to_own = frame(OWN, mac(1), 99, 3);
    for frame in [&to_peer, &to_world, &to_own] {
        world.send(0, frame);
    }
    assert_eq!(world.received(1), [to_peer]);
    assert_eq!(world.left(), [to_world]);
    assert_eq!(world.switch.take_own(), [to_own]);
    let back = frame(mac(1), OUTSIDE, 1514, 4);
    world.outside(back.clone());
    assert_eq!(world.received(0), [back]);
    world.outside(frame(mac(9), OUTSIDE, 60, 5));
    assert!(world.left().is_empty() && world.switch.take_own().is_empty());
}

#[test]
fn a_broadcast_reaches_everybody_but_its_sender() {
    let mut world = World::new(&[6, 6]);
    world.left();
    let frame = frame(BROADCAST, mac(1), 60, 1);
    world.send(0, &frame);
    assert_eq!(world.received(0), Vec::<Vec<u8>>::new());
    assert_eq!((world.received(1), world.left()), (vec![frame.clone()], vec![frame.clone()]));
    assert_eq!(world.switch.take_own(), [frame]);
}

#[test]
fn a_multicast_reaches_who_has_joined() {
    let mut world = World::new(&[6, 6]);
    world.left();
    let group = [1, 0, 0x5e, 0, 0, 7];
    let heard = frame(group, OUTSIDE, 60, 1);
    say_groups(&mut world, 0, 1, &[[1, 0, 0x5e, 0, 0, 8]]);
    say_groups(&mut world, 1, 1, &[group]);
    world.outside(heard.clone());
    assert_eq!((world.received(0).len(), world.received(1)), (0, vec![heard.clone()]));
    say_groups(&mut world, 1, 0, &[group]);
    world.outside(heard);
    assert_eq!(world.received(1).len(), 0);
}

#[test]
fn frames_too_short_or_too_long_are_lost_and_the_session_goes_on() {
    let mut world = World::new(&[0]);
    world.left();
    for bytes in [13, 1515] {
        let mut bad = frame(OUTSIDE, mac(1), 1515, 1);
        bad.truncate(bytes);
        world.send(0, &bad);
    }
    let good = frame(OUTSIDE, mac(1), 60, 2);
    world.send(0, &good);
    assert_eq!(world.left(), [good]);
    world.outside(frame(mac(1), OUTSIDE, 1518, 3));
    assert!(world.received(0).is_empty());
}

#[test]
fn a_held_guest_is_left_alone_and_misses_nothing() {
    let mut world = World::new(&[6, 6]);
    world.left();
    world.guests[0].deaf = true;
    let mut frames: Vec<_> = (0..3).map(|n| frame(mac(1), OUTSIDE, 60, n)).collect();
    frames.push(frame(mac(1), mac(2), 60, 3));
    world.outside(frames[0].clone());
    world.outside(frames[1].clone());
    world.act(|switch, host| switch.hold(host, mac(1)));
    let before = world.board.domains[1].memory.clone();
    world.outside(frames[2].clone());
    world.send(1, &frames[3]);
    assert!(world.board.domains[1].memory == before);
    world.guests[0].deaf = false;
    world.act(|switch, host| switch.release(host, mac(1)));
    world.run();
    assert_eq!(world.received(0), frames);
    let good = frame(OUTSIDE, mac(1), 60, 9);
    world.send(0, &good);
    assert_eq!(world.left(), [good]);
}

#[test]
fn guests_of_a_switch_that_begins_again_miss_nothing() {
    let mut world = World::new(&[6, 3]);
    world.received(0);
    world.left();
    // In memory that is given out anew; queues and tables are still configured.
    world.switch = Switch::new(OWN, Some(0), switch_conf());
    world.arena = Arena::new(Ra(BASE), 0x40_0000);
    world.copier = Copier::new(&mut world.arena).unwrap();
    world.attach(|_, _| {});
    for guest in 1..=2 {
        world.switch.expect(mac(guest));
    }
    // Before they have found it again.
    let early = frame(mac(1), OUTSIDE, 100, 1);
    world.act(|switch, host| switch.from_uplink(host, early.clone()));
    assert!(world.received(0).is_empty());
    world.run();
    for guest in &world.guests {
        assert!(guest.is_up() && guest.downs == 1);
    }
    assert_eq!(world.received(0), [early]);
    let late = frame(mac(2), mac(1), 80, 2);
    world.send(0, &late);
    assert_eq!(world.received(1), [late]);
    assert!(world.left().contains(&announcement(mac(1))));
}

#[test]
fn what_is_held_is_bounded_in_time_and_bytes() {
    let mut world = World::new(&[6]);
    world.act(|switch, host| switch.hold(host, mac(1)));
    world.outside(frame(mac(1), OUTSIDE, 60, 1));
    world.board.now = SimTime::ms(1500);
    let young = frame(mac(1), OUTSIDE, 1514, 2);
    world.outside(young.clone());
    world.board.now = SimTime::ms(2500);
    for _ in 0..2 * HOLD_BYTES / 1514 {
        world.outside(young.clone());
    }
    world.act(|switch, host| switch.depart(host, mac(1)));
    let relayed = world.switch.take_relay();
    assert_eq!(relayed.len(), HOLD_BYTES / 1514);
    assert!(relayed.iter().all(|held| *held == (mac(1), young.clone())));
}

#[test]
fn frames_follow_a_guest_that_has_left_until_the_world_knows() {
    let mut world = World::new(&[6]);
    world.act(|switch, host| switch.hold(host, mac(1)));
    let frames: Vec<_> = (0..2).map(|n| frame(mac(1), OUTSIDE, 60, n)).collect();
    world.outside(frames[0].clone());
    world.act(|switch, host| switch.depart(host, mac(1)));
    world.outside(frames[1].clone());
    let relayed: Vec<_> = world.switch.take_relay().into_iter().map(|held| held.1).collect();
    assert_eq!(relayed, frames);
    world.board.now = SimTime::secs(11);
    world.outside(frames[1].clone());
    assert!(world.switch.take_relay().is_empty());
}

#[test]
fn a_guest_that_arrives_finds_what_was_sent_after_it() {
    let mut world = World::new(&[6]);
    world.act(|switch, host| switch.hold(host, mac(1)));
    // It comes up anew, as after a move.
    let relayed = frame(mac(1), OUTSIDE, 60, 1);
    world.act(|switch, host| switch.relayed(host, relayed.clone()));
    world.left();
    world.guests[0].channel.reset(&mut world.board.ports(1));
    world.act(|switch, host| switch.release(host, mac(1)));
    world.run();
    // Released before the session was complete: nobody to give it to.
    assert!(world.received(0).is_empty());
    world.act(|switch, host| switch.relayed(host, relayed.clone()));
    world.run();
    assert_eq!(world.received(0), [relayed]);
    assert_eq!(world.left(), [announcement(mac(1))]);
}

#[test]
fn a_port_that_is_shut_lets_nothing_through_and_announces_nothing() {
    let mut world = World::new(&[6, 6]);
    world.left();
    world.act(|switch, host| switch.hold(host, mac(1)));
    assert!(world.switch.shut(0) && !world.switch.shut(7));
    // By mistake its guest goes on.
    world.act(|switch, host| switch.release(host, mac(1)));
    for to in [mac(2), BROADCAST, OUTSIDE, OWN] {
        world.send(0, &frame(to, mac(1), 60, 1));
    }
    assert_eq!(world.received(1), Vec::<Vec<u8>>::new());
    assert!(world.left().is_empty() && world.switch.take_own().is_empty());
    for to in [mac(1), BROADCAST] {
        world.outside(frame(to, OUTSIDE, 60, 2));
    }
    assert_eq!(world.received(0), Vec::<Vec<u8>>::new());
    assert_eq!(world.received(1), [frame(BROADCAST, OUTSIDE, 60, 2)]);
    world.switch.take_own();
    // It begins another session, which would announce its address.
    world.guests[0].channel.reset(&mut world.board.ports(1));
    world.run();
    world.act(|switch, host| switch.announce(host, mac(1)));
    assert!(world.left().is_empty(), "an old owner takes its address back");
    // The other guest is served as before; and whoever has the address now is outside.
    let to_moved = frame(mac(1), mac(2), 60, 3);
    world.act(|switch, host| switch.depart(host, mac(1)));
    world.send(1, &to_moved);
    assert_eq!(world.left(), [to_moved]);
}

#[test]
fn a_port_that_is_opened_again_goes_on_where_it_was() {
    let mut world = World::new(&[6]);
    world.left();
    world.act(|switch, host| switch.hold(host, mac(1)));
    let held = frame(mac(1), OUTSIDE, 60, 1);
    world.outside(held.clone());
    assert!(world.switch.shut(0));
    world.act(|switch, host| switch.open(host, 0));
    assert!(world.received(0).is_empty(), "it is held");
    world.act(|switch, host| switch.release(host, mac(1)));
    world.run();
    assert_eq!(world.received(0), [held]);
    let own = frame(OUTSIDE, mac(1), 60, 2);
    world.send(0, &own);
    assert_eq!(world.left(), [own]);
}

#[test]
fn a_port_that_goes_takes_its_address_with_it() {
    let mut world = World::new(&[6, 6]);
    world.left();
    world.act(|switch, host| switch.detach(host, 1));
    let frame = frame(mac(2), mac(1), 60, 1);
    world.send(0, &frame);
    assert_eq!(world.left(), [frame]);
}

fn say_groups(world: &mut World, guest: usize, set: u8, groups: &[[u8; 6]]) {
    let mut message = Mcast::new_zeroed();
    message.tag = Tag::new(Type::Ctrl, Stype::Info, Envelope::Mcast, world.guests[guest].sid);
    (message.set, message.count) = (set, groups.len() as u8);
    message.addrs[..groups.len()].copy_from_slice(groups);
    world.guests[guest].say(&mut world.board, message.as_bytes());
    world.run();
}

#[test]
fn a_guest_that_has_joined_nothing_yet_gets_every_multicast_in_each_session() {
    let mut world = World::new(&[6]);
    let heard = frame([1, 0, 0x5e, 0, 0, 7], OUTSIDE, 60, 1);
    world.outside(heard.clone());
    assert_eq!(world.received(0).len(), 1);
    say_groups(&mut world, 0, 1, &[[1, 0, 0x5e, 0, 0, 8]]);
    world.outside(heard.clone());
    assert_eq!(world.received(0).len(), 0);
    // Linux does not join again when its link comes back.
    world.guests[0].channel.reset(&mut world.board.ports(1));
    world.run();
    world.outside(heard);
    assert_eq!(world.received(0).len(), 1);
}

#[test]
fn groups_beyond_the_bound_and_those_that_are_none_are_refused_and_the_session_stays() {
    let mut world = World::new(&[6]);
    for n in 0..64_u8 {
        let groups = [0, 1, 2, 3].map(|m| [1, 0, 0x5e, 0, n, m]);
        say_groups(&mut world, 0, 1, &groups);
    }
    assert_eq!(world.guests[0].nacks, 0);
    // One of those is joined already.
    say_groups(&mut world, 0, 1, &[[1, 0, 0x5e, 0, 0, 0]]);
    assert_eq!(world.guests[0].nacks, 0);
    say_groups(&mut world, 0, 1, &[[1, 0, 0x5e, 1, 1, 1]]);
    say_groups(&mut world, 0, 1, &[[2, 0, 0, 0, 0, 1]]);
    assert_eq!((world.guests[0].nacks, world.guests[0].downs), (2, 0));
}

#[test]
fn what_is_unknown_goes_to_guests_that_bridge_and_outside() {
    let mut world = World::new(&[6, 6, 6]);
    world.left();
    let behind = [2, 0, 0, 0, 7, 7];
    world.send(1, &frame(OUTSIDE, behind, 60, 1));
    world.left();
    let lost = frame([2, 0, 0, 0, 9, 9], mac(1), 60, 2);
    world.send(0, &lost);
    assert_eq!((world.received(1), world.received(2).len()), (vec![lost.clone()], 0));
    assert_eq!(world.left(), [lost]);
    // Not back to where it came from.
    world.send(1, &frame([2, 0, 0, 0, 9, 9], behind, 60, 2));
    assert!(world.received(1).is_empty());
    let known = frame(behind, mac(1), 60, 3);
    world.send(0, &known);
    assert_eq!((world.received(1), world.left().len()), (vec![known], 1));
}

#[test]
fn a_learnt_address_is_forgotten_in_time() {
    let mut world = World::new(&[6, 6]);
    let behind = [2, 0, 0, 0, 7, 7];
    world.send(1, &frame(OUTSIDE, behind, 60, 1));
    world.left();
    world.board.now = SimTime::secs(301);
    world.send(0, &frame(behind, mac(1), 60, 3));
    assert_eq!(world.left().len(), 1);
}

#[test]
fn nobody_takes_an_address_by_saying_that_it_is_his() {
    let mut world = World::with(
        &[6, 6],
        switch_conf(),
        |_| {},
        |n, port| {
            if n == 1 {
                // The guest says mac(2).
                port.mac = [0, 0x14, 0x4f, 0xf9, 9, 9];
            }
        },
    );
    assert!(world.guests[1].is_up());
    assert!(world.board.domains[0].lines.iter().any(|line| line.contains("its address is")));
    let data = frame([0, 0x14, 0x4f, 0xf9, 9, 9], mac(1), 60, 3);
    world.send(0, &data);
    assert_eq!(world.received(1), [data]);
    // Not the control domain's either, whatever it sends.
    world.send(1, &frame(OUTSIDE, OWN, 60, 1));
    let to_own = frame(OWN, mac(1), 60, 3);
    world.send(0, &to_own);
    assert_eq!(world.switch.take_own(), [to_own]);
}
