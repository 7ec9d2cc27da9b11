//! Sessions: every version, runs of frames, violations.

use super::{
    DescriptorState, DringData, DringState, Guest, OUTSIDE, RING, Stype, World, frame, mac,
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
