//! A guest that says anything to the switch: other guests' frames pass as before, and
//! the guest itself is served once it behaves.

use super::{
    Attr, CookieAddr, DringData, DringReg, DringState, Extension, OPTION_TX, OUTSIDE, RING, Rdx,
    Stype, Tag, Type, World, XFER_DRING_BIT, frame, mac,
};
use super::{DeviceClass, Envelope, Ver, Version};
use crate::service::vsw::frame::BROADCAST;
use crate::service::vsw::offload::test::tcp4;
use crate::testing::drive::{Dice, fuzz};
use sun4v::native::Ports;
use sun4v::vio::vnet::Mcast;
use zerocopy::{FromZeros, IntoBytes};

fn message(world: &mut World, dice: &mut Dice) -> Vec<u8> {
    let guest = &mut world.guests[0];
    let sid = guest.sid;
    match dice.below(12) {
        0 => {
            let version = Version { major: 1, minor: dice.below(10) as u16 };
            Ver::new(Stype::Info, sid, version, DeviceClass::Network).as_bytes().to_vec()
        }
        1 => {
            let mtu = dice.one(&[60, 1514, 1518, 65_553]);
            let mut attr = Attr::new(Stype::Info, sid, XFER_DRING_BIT, mac(1), mtu);
            attr.options = dice.one(&[0, 1, 5]);
            attr.physlink_update = dice.below(4) as u8;
            attr.cflags = dice.one(&[0_u16, 1, 0xffff]).into();
            attr.lso_maxlen = dice.one(&[0_u16, 60, 2048, 65_535]).into();
            attr.as_bytes().to_vec()
        }
        2 => {
            let slots = dice.one(&[RING, 1, 64, 4096]);
            let size = dice.one(&[48, 56, 64, 8192]);
            DringReg::new(sid, slots, size, OPTION_TX, CookieAddr::new(dice.below(12), 0))
                .as_bytes()
                .to_vec()
        }
        3 => Rdx::new(dice.one(&[Stype::Info, Stype::Ack]), sid).as_bytes().to_vec(),
        4 => {
            let mut join = Mcast::new_zeroed();
            join.tag = Tag::new(Type::Ctrl, Stype::Info, Envelope::Mcast, sid);
            (join.set, join.count) = (dice.below(2) as u8, dice.below(9) as u8);
            join.as_bytes().to_vec()
        }
        5 => {
            let envelope = dice.one(&[Envelope::DringUnreg, Envelope::DdsInfo, Envelope::PhysLink]);
            let mut bytes = Tag::new(Type::Ctrl, Stype::Info, envelope, sid).as_bytes().to_vec();
            bytes.extend_from_slice(&dice.below(5).to_be_bytes());
            bytes.resize(56, 0);
            bytes
        }
        6 => {
            let tag = Tag::new(Type::Data, Stype::Info, Envelope::Packet, sid);
            let mut bytes = tag.as_bytes().to_vec();
            bytes.extend_from_slice(&[0; 8]);
            let length = dice.one(&[0, 13, 14, 60, 1514, 1600]);
            bytes.extend_from_slice(&dice.bytes(length));
            bytes
        }
        7 => {
            let stype = dice.one(&[Stype::Ack, Stype::Nack]);
            let info = DringData::info(sid, 1, 77, 0, dice.below(9) as i32 - 1);
            info.answer(stype, sid, 0, -1, dice.one(&[DringState::Active, DringState::Stopped]))
                .as_bytes()
                .to_vec()
        }
        _ => {
            guest.seq += 1;
            let start = dice.below(u64::from(RING) + 1) as u32;
            let end = dice.below(u64::from(RING) + 2) as i32 - 1;
            DringData::info(sid, guest.seq - 1, guest.ident, start, end).as_bytes().to_vec()
        }
    }
}

/// Frames, spoilt and not, at the places of the ring.
fn describe(world: &mut World, dice: &mut Dice) {
    for _ in 0..dice.below(4) {
        let to = dice.one(&[mac(2), OUTSIDE, BROADCAST, super::OWN]);
        let mut frame = if dice.hit(2) {
            let mut long = tcp4(&vec![3; dice.one(&[0, 700, 5000, 60_000])], 0x18);
            long[..6].copy_from_slice(&to);
            long
        } else {
            let bytes = dice.one(&[60, 61, 1514]);
            frame(to, dice.one(&[mac(1), mac(3)]), bytes, 7)
        };
        if dice.hit(4) {
            let at = dice.one(&[12, 14, 16, 20, 23, 46]);
            frame[at..at + 2].copy_from_slice(&dice.one(&[[0x81, 0], [0, 0], [0xff, 0xff]]));
        }
        let flags = dice.below(64) as u8;
        let mss = dice.one(&[0_u16, 1, 1448, 65_535]).into();
        let extension = Extension { flags, mss, ..Extension::default() };
        let at = world.guests[0].next;
        let ack = dice.hit(2);
        world.guests[0].put_with(&mut world.board, &frame, ack, extension);
        if dice.hit(2) {
            let size = world.guests[0].descriptor;
            let place = world.guests[0].ring.at(u64::from(at) * size);
            let mut descriptor = vec![0; size as usize];
            world.board.ports(1).read(place, &mut descriptor);
            dice.mutate(&mut descriptor);
            descriptor.resize(size as usize, 0);
            world.board.ports(1).write(place, &descriptor);
        }
    }
}

/// The switch hears the first guest, which does not listen.
fn hear(world: &mut World) {
    loop {
        let mut quiet = true;
        while let Some(mondo) = world.board.domains[0].mondos.pop_front() {
            world.act(|switch, host| switch.mondo(host, mondo[0]));
            quiet = false;
        }
        while world.board.domains[2].mondos.pop_front().is_some() {
            world.guests[1].service(&mut world.board, &world.guest_copier);
            quiet = false;
        }
        // Its packets are taken, so that its queue is never what stops the switch.
        while world.board.domains[1].mondos.pop_front().is_some() {
            world.guests[0].channel.service(&mut world.board.ports(1));
            quiet = false;
        }
        if quiet {
            break;
        }
    }
}

fn fresh_session(world: &mut World) {
    let ring = world.guests[0].ring.ra;
    world.board.ports(1).write(ring, &[0; 0x200]);
    let guest = &mut world.guests[0];
    guest.channel.reset(&mut world.board.ports(1));
    (guest.sid, guest.seq, guest.next, guest.downs) = (0x4444, 1, 0, 0);
    (guest.ready, guest.peer) = ([false; 2], None);
    world.run();
    world.left();
    world.received(0);
    world.received(1);
    assert!(world.guests[0].is_up(), "the guest does not come up again");
    let out = frame(OUTSIDE, mac(1), 60, 2);
    world.send(0, &out);
    assert_eq!(world.left(), [out]);
    let across = frame(mac(1), mac(2), 99, 3);
    world.send(1, &across);
    assert_eq!(world.received(0), [across]);
}

#[test]
fn switch_messages() {
    fuzz("switch_messages", &[], |dice| {
        let mut world = World::new(&[dice.one(&[6, 8]), 6]);
        world.left();
        for _ in 0..dice.below(30) {
            let mut bytes = message(&mut world, dice);
            describe(&mut world, dice);
            if dice.hit(4) {
                dice.mutate(&mut bytes);
            }
            if !bytes.is_empty() {
                world.guests[0].channel.send(&mut world.board.ports(1), &bytes);
            }
            hear(&mut world);
            // The other guest's frames go out untouched, whatever the first one does.
            if dice.hit(4) {
                world.left();
                let good = frame(OUTSIDE, mac(2), 60 + dice.below(1400) as usize, 5);
                world.guests[1].send(&mut world.board, &good);
                hear(&mut world);
                assert_eq!(world.left(), [good]);
            }
        }
        fresh_session(&mut world);
    });
}
