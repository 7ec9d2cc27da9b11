//! Long TCP and unfinished checksums between guests of several kinds, and outside.

use super::{Extension, OUTSIDE, OWN, RING, World, frame, mac, switch_conf};
use crate::service::vsw::frame::Mac;
use crate::service::vsw::offload::test::{is_right, tcp4};
use sun4v::vio::vnet::{CFLAG_LSO, LSO_MAX};

/// TCP of so many bytes of payload, from the first guest.
fn long(to: Mac, payload: usize) -> Vec<u8> {
    let payload: Vec<u8> = (0..payload).map(|n| (n % 253) as u8).collect();
    let mut frame = tcp4(&payload, 0x18);
    frame[..6].copy_from_slice(&to);
    frame[6..12].copy_from_slice(&mac(1));
    frame
}

fn lso(mss: u16) -> Extension {
    Extension { flags: Extension::LSO, mss: mss.into(), ..Extension::default() }
}

fn send(world: &mut World, frame: &[u8], extension: Extension) {
    world.guests[0].send_with(&mut world.board, frame, extension);
    world.run();
}

fn payloads(frames: &[Vec<u8>]) -> Vec<u8> {
    frames.iter().flat_map(|frame| frame[66..].to_vec()).collect()
}

#[test]
fn long_tcp_stays_whole_for_a_guest_that_takes_it_so() {
    let mut world = World::new(&[8, 7]);
    // The longest that the ends agree on.
    let data = long(mac(2), usize::from(LSO_MAX) - 66);
    for _ in 0..40 {
        send(&mut world, &data, lso(1448));
        assert_eq!(world.received(1), std::slice::from_ref(&data));
    }
    assert_eq!(world.guests[1].extensions.last(), Some(&lso(1448)));
}

#[test]
fn long_tcp_is_cut_for_everybody_else() {
    let mut world = World::new(&[8, 6]);
    world.left();
    let data = long(mac(2), 30_000);
    send(&mut world, &data, lso(1448));
    let received = world.received(1);
    assert_eq!(received.len(), 30_000_usize.div_ceil(1448));
    assert!(received.iter().all(|frame| frame.len() <= 1514 && is_right(frame)));
    assert_eq!(payloads(&received), data[66..]);

    send(&mut world, &long(OUTSIDE, 30_000), lso(1448));
    let left = world.left();
    assert!(left.iter().all(|frame| frame.len() <= 1514 && is_right(frame)));
    assert_eq!(payloads(&left), data[66..]);

    send(&mut world, &long(OWN, 30_000), lso(1448));
    let own = world.switch.take_own();
    assert_eq!(own.len(), 21);
    assert_eq!(payloads(&own), data[66..]);
}

#[test]
fn a_guest_that_takes_less_gets_what_is_longer_in_segments() {
    let change = |guest: &mut super::Guest| {
        if guest.domain == 2 {
            guest.lso = 9000;
        }
    };
    let mut world = World::with(&[8, 8], switch_conf(), change, |_, _| {});
    let agreed = world.guests[1].attr.unwrap();
    assert_eq!((agreed.cflags.get(), agreed.lso_maxlen.get()), (CFLAG_LSO, 9000));
    send(&mut world, &long(mac(2), 8000), lso(1448));
    assert_eq!(world.received(1).len(), 1);
    send(&mut world, &long(mac(2), 9000), lso(1448));
    assert_eq!(world.received(1).len(), 7);
}

#[test]
fn a_guest_that_takes_too_little_takes_none_and_may_send_none() {
    for refusal in [0, 2047] {
        let change = |guest: &mut super::Guest| guest.lso = refusal;
        let mut world = World::with(&[8], switch_conf(), change, |_, _| {});
        world.left();
        let agreed = world.guests[0].attr.unwrap();
        assert_eq!((agreed.cflags.get(), agreed.lso_maxlen.get()), (0, 0));
        send(&mut world, &long(OUTSIDE, 3000), lso(1448));
        assert!(world.left().is_empty());
        assert_eq!(world.switch.counters(0).unwrap().too_long, 1);
    }
}

#[test]
fn long_frames_that_are_no_tcp_reach_only_whom_they_fit() {
    let mut world = World::new(&[8, 6]);
    world.left();
    let data = frame(mac(2), mac(1), 3000, 1);
    send(&mut world, &data, lso(1448));
    assert!(world.received(1).is_empty());
    assert_eq!(world.switch.counters(1).unwrap().too_long, 1);
}

#[test]
fn checksums_that_the_sender_left_open_are_filled_in() {
    let mut world = World::new(&[8, 8]);
    world.left();
    let whole = long(mac(2), 1000);
    let mut open = whole.clone();
    open[24..26].fill(0xee);
    open[50..52].fill(0xee);
    let wanted = Extension::HEADER_CHECKSUM | Extension::FULL_CHECKSUM;
    let extension = Extension { flags: wanted, ..Extension::default() };
    send(&mut world, &open, extension);
    assert_eq!(world.received(1), [whole]);
    // One that says nothing is not touched.
    send(&mut world, &open, Extension::default());
    assert_eq!(world.received(1), [open]);
}

#[test]
fn a_guest_that_stands_still_gets_long_tcp_when_it_goes_on_and_its_next_chassis_segments() {
    let mut world = World::new(&[8, 8]);
    world.left();
    let data = long(mac(2), 20_000);
    world.guests[1].deaf = true;
    send(&mut world, &data, lso(1448));
    world.act(|switch, host| switch.hold(host, mac(2)));
    send(&mut world, &data, lso(1448));
    world.guests[1].deaf = false;
    world.act(|switch, host| switch.release(host, mac(2)));
    world.run();
    assert_eq!(world.received(1), [data.clone(), data.clone()]);

    world.act(|switch, host| switch.hold(host, mac(2)));
    send(&mut world, &data, lso(1448));
    world.act(|switch, host| switch.depart(host, mac(2)));
    let relayed: Vec<_> = world.switch.take_relay().into_iter().map(|(_, frame)| frame).collect();
    assert!(relayed.iter().all(|frame| frame.len() <= 1514 && is_right(frame)));
    assert_eq!(payloads(&relayed), data[66..]);
}

#[test]
fn what_waits_for_a_deaf_guest_is_bounded_in_bytes() {
    let mut world = World::new(&[8, 8]);
    world.guests[1].deaf = true;
    let data = long(mac(2), 60_000);
    for _ in 0..100 {
        send(&mut world, &data, lso(1448));
    }
    let counters = world.switch.counters(1).unwrap();
    // Each takes eight pages of the ring; two MiB wait behind it.
    assert_eq!((counters.sent, counters.no_room), (8 + 34, 100 - 42));
    assert_eq!(RING, 8);
}

#[test]
fn jumbo_frames_pass_where_the_network_allows_them() {
    let conf = crate::service::vsw::SwitchConf { mtu: 9000, ..switch_conf() };
    let change = |n: usize, port: &mut super::SwitchPortConf| port.mtu = [9000, 9000, 1500][n];
    let mut world = World::with(&[8, 8, 8], conf, |_| {}, change);
    world.left();
    for (n, mtu) in [9018, 9018, 1518].into_iter().enumerate() {
        assert_eq!(world.guests[n].attr.unwrap().mtu.get(), mtu);
    }
    let data = frame(mac(2), mac(1), 9014, 1);
    world.send(0, &data);
    assert_eq!(world.received(1), [data]);
    let data = frame(OUTSIDE, mac(1), 9014, 1);
    world.send(0, &data);
    assert_eq!(world.left(), [data]);
    world.send(0, &frame(mac(3), mac(1), 9014, 1));
    assert!(world.received(2).is_empty());
    assert_eq!(world.switch.counters(2).unwrap().too_long, 1);
}
