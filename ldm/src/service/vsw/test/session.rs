//! Sessions: every version, runs of frames, violations.

use super::{
    Attr, CookieAddr, DescriptorState, DringData, DringReg, DringState, Envelope, Guest, OPTION_TX,
    OUTSIDE, RING, Stype, Switch, Tag, Type, World, frame, mac, switch_conf,
};
use crate::service::vsw::frame::announcement;
use proptest::prelude::{any, proptest};
use sun4v::native::Ports;
use zerocopy::IntoBytes;

#[test]
fn every_version_comes_up_and_announces_its_address() {
    for minor in [0, 2, 3, 4, 6, 8] {
        let mut world = World::new(&[minor]);
        assert!(world.guests[0].is_up(), "1.{minor}");
        assert!(world.switch.is_up(0));
        assert_eq!(world.left(), [announcement(mac(1))]);
        assert_eq!(world.guests[0].nacks, 0);
    }
}

#[test]
fn a_run_of_frames_ends_with_stopped_and_asked_ones_are_acknowledged() {
    let mut world = World::new(&[6]);
    world.left();
    let frames: Vec<_> = (0..5).map(|n| frame(OUTSIDE, mac(1), 60 + n, n as u8)).collect();
    let guest = &mut world.guests[0];
    for (n, frame) in frames.iter().enumerate() {
        guest.put(&mut world.board, frame, n == 2);
    }
    guest.tell(&mut world.board, 0);
    world.run();
    assert_eq!(world.left(), frames);
    assert_eq!(world.guests[0].acks, [(2, 2, 1), (0, 4, 2)]);
    // Nothing there: the one before, as Linux wants it.
    world.guests[0].acks.clear();
    world.guests[0].tell(&mut world.board, 5);
    world.run();
    assert_eq!(world.guests[0].acks, [(4, 4, 2)]);
}

#[test]
fn a_full_ring_waits_and_a_guest_that_wakes_gets_frames_in_order() {
    let mut world = World::new(&[6]);
    world.guests[0].deaf = true;
    let frames: Vec<_> = (0..300).map(|n| frame(mac(1), OUTSIDE, 60 + n, n as u8)).collect();
    for frame in &frames {
        world.outside(frame.clone());
    }
    assert!(world.received(0).is_empty());
    let guest = &mut world.guests[0];
    guest.deaf = false;
    let last = guest.receive(&mut world.board, &world.guest_copier, 0);
    let info = DringData::info(guest.sid, 1, 77, 0, -1);
    let ack = info.answer(Stype::Ack, guest.sid, 0, last, DringState::Stopped);
    guest.say(&mut world.board, ack.as_bytes());
    world.run();
    assert_eq!(world.received(0), frames);
}

#[test]
fn a_violation_ends_the_session_and_the_next_one_is_sound() {
    let wrong: [fn(&Guest) -> DringData; 4] = [
        |guest| DringData::info(guest.sid, guest.seq + 1, guest.ident, 0, -1),
        |guest| DringData::info(guest.sid, guest.seq, 999, 0, -1),
        |guest| DringData::info(guest.sid, guest.seq, guest.ident, RING, -1),
        |guest| DringData::info(guest.sid + 1, guest.seq, guest.ident, 0, -1),
    ];
    for make in wrong {
        let mut world = World::new(&[6]);
        world.send(0, &frame(OUTSIDE, mac(1), 60, 1));
        let message = make(&world.guests[0]);
        world.guests[0].say(&mut world.board, message.as_bytes());
        world.run();
        assert_eq!(world.guests[0].downs, 1);
        world.left();
        let good = frame(OUTSIDE, mac(1), 60, 2);
        world.send(0, &good);
        assert_eq!(world.left(), [good]);
    }
}

proptest! {
    #[test]
    fn no_message_and_no_descriptor_brings_the_switch_down(
        messages in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 1..80), 1..6),
        descriptor in any::<[u8; 32]>(),
        envelope in 1_u8..6,
    ) {
        let mut world = World::new(&[6]);
        let at = world.guests[0].ring.ra;
        let mut ports = world.board.ports(1);
        ports.write(at, &descriptor);
        ports.write(at, &[DescriptorState::Ready.code()]);
        ports.write(at.offset(8), &[0, 0]);
        world.guests[0].tell(&mut world.board, 0);
        world.run();
        for mut message in messages {
            if message.len() > 8 {
                let sid = world.guests[0].sid.to_be_bytes();
                let stype = [1, 2, 4][usize::from(message[0]) % 3];
                message[..4].copy_from_slice(&[1, stype, 0, envelope]);
                message[4..8].copy_from_slice(&sid);
                message.resize(56, 0);
            }
            let guest = &mut world.guests[0];
            guest.say(&mut world.board, &message);
            while world.board.domains[0].mondos.pop_front().is_some() {
                world.act(|switch, host| switch.mondo(host, 0));
            }
        }
        // The guest was not listening meanwhile: it begins anew.
        world.guests[0].channel.reset(&mut world.board.ports(1));
        world.guests[0].downs = 0;
        world.guests[0].sid = 0x4444;
        world.guests[0].seq = 1;
        world.guests[0].next = 0;
        world.board.ports(1).write(at, &[0; 0x200]);
        world.run();
        world.left();
        let good = frame(OUTSIDE, mac(1), 60, 2);
        world.send(0, &good);
        assert_eq!(world.left(), [good]);
    }
}

#[test]
fn a_guest_that_asks_hears_of_the_physical_link() {
    for (minor, uplink, heard) in [(5, true, vec![2]), (8, false, vec![3]), (4, true, vec![])] {
        let asks = |guest: &mut Guest| guest.asks_link = true;
        let mut world = World::with(&[minor], switch_conf(), asks, |_, _| {});
        if !uplink {
            world.act(|switch, host| switch.detach(host, 0));
            world.guests[0].links.clear();
            world.switch = Switch::new(super::OWN, None, switch_conf());
            world.attach(|_, _| {});
            world.run();
        }
        assert!(world.guests[0].is_up());
        let agreed = world.guests[0].attr.unwrap().physlink_update;
        assert_eq!(agreed, if minor >= 5 { 2 } else { 0 }, "1.{minor}");
        assert_eq!(world.guests[0].links, heard, "1.{minor}");
    }
}

/// A control message of 56 bytes.
fn control(world: &World, envelope: Envelope, ident: u64) -> Vec<u8> {
    let tag = Tag::new(Type::Ctrl, Stype::Info, envelope, world.guests[0].sid);
    let mut bytes = tag.as_bytes().to_vec();
    bytes.extend_from_slice(&ident.to_be_bytes());
    bytes.resize(56, 0);
    bytes
}

#[test]
fn hybrid_io_is_refused_and_the_session_stays() {
    let mut world = World::new(&[6]);
    let ask = control(&world, Envelope::DdsInfo, 0x1001);
    world.guests[0].say(&mut world.board, &ask);
    world.run();
    let guest = &world.guests[0];
    assert_eq!((guest.nacks, guest.downs, world.switch.is_up(0)), (1, 0, true));
}

#[test]
fn a_frame_in_a_message_is_forwarded_from_version_1_2_on() {
    for (minor, downs) in [(0, 1), (2, 0), (8, 0)] {
        let mut world = World::new(&[minor]);
        world.left();
        let early = frame(OUTSIDE, mac(1), 100, 4);
        let tag = Tag::new(Type::Data, Stype::Info, Envelope::Packet, world.guests[0].sid);
        let message = [tag.as_bytes(), &1_u64.to_be_bytes(), &early].concat();
        world.guests[0].say(&mut world.board, &message);
        world.run();
        assert_eq!(world.guests[0].downs, downs, "1.{minor}");
        assert_eq!(world.left().contains(&early), downs == 0, "1.{minor}");
    }
}

#[test]
fn a_run_with_an_end_stops_there_even_around_the_ring() {
    let mut world = World::new(&[6]);
    world.left();
    // Descriptors 6, 7, 0 and 1; the last is not asked for.
    world.guests[0].next = 6;
    for n in 0..4 {
        let data = frame(OUTSIDE, mac(1), 60, n);
        world.guests[0].put(&mut world.board, &data, false);
    }
    let guest = &mut world.guests[0];
    let info = DringData::info(guest.sid, guest.seq, guest.ident, 6, 0);
    guest.seq += 1;
    guest.say(&mut world.board, info.as_bytes());
    world.run();
    assert_eq!(world.guests[0].acks, [(6, 0, DringState::Stopped.code())]);
    assert_eq!(world.left().len(), 3);
    world.guests[0].tell(&mut world.board, 1);
    world.run();
    assert_eq!(world.left().len(), 1);
}

#[test]
fn a_ring_that_is_taken_away_may_be_followed_by_another() {
    let mut world = World::new(&[6]);
    world.left();
    let old = world.guests[0].ident;
    let away = control(&world, Envelope::DringUnreg, old);
    world.guests[0].say(&mut world.board, &away);
    let reg = DringReg::new(world.guests[0].sid, RING, 48, OPTION_TX, CookieAddr::new(0, 0));
    // It takes the agreement for the end of a step, and says RDX again.
    world.guests[0].channel.send(&mut world.board.ports(1), reg.as_bytes());
    world.run();
    let guest = &world.guests[0];
    assert!(guest.ident != old && guest.downs == 0 && guest.nacks == 0);
    let good = frame(OUTSIDE, mac(1), 60, 2);
    world.send(0, &good);
    assert_eq!(world.left(), [good]);
}

#[test]
fn what_a_guest_offers_wrongly_is_refused_and_it_may_try_again() {
    let wrong: [fn(&Guest) -> Vec<u8>; 4] = [
        // A ring of more descriptors than its cookie holds, of none, in two cookies.
        |guest| {
            let mut reg = DringReg::new(guest.sid, RING, 48, OPTION_TX, CookieAddr::new(0, 0));
            reg.num_desc = (RING + 1).into();
            reg.as_bytes().to_vec()
        },
        |guest| {
            DringReg::new(guest.sid, 0, 48, OPTION_TX, CookieAddr::new(0, 0)).as_bytes().to_vec()
        },
        |guest| {
            let mut reg = DringReg::new(guest.sid, RING, 48, OPTION_TX, CookieAddr::new(0, 0));
            reg.ncookies = 2.into();
            reg.as_bytes().to_vec()
        },
        // A mode without rings.
        |guest| Attr::new(Stype::Info, guest.sid, 2, mac(1), 1518).as_bytes().to_vec(),
    ];
    for make in wrong {
        let mut world = World::new(&[6]);
        let message = make(&world.guests[0]);
        world.guests[0].say(&mut world.board, &message);
        world.run();
        assert!(world.guests[0].downs == 1 && world.guests[0].is_up());
        world.left();
        let good = frame(OUTSIDE, mac(1), 60, 2);
        world.send(0, &good);
        assert_eq!(world.left(), [good]);
    }
}
