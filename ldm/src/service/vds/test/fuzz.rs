//! A client that says anything: the server never asks its volume for what is not
//! there, and serves a fresh session.

use super::{
    Attr, CookieAddr, DESC_SIZE, DESCRIPTORS, DONE, DringReg, Operation, Rdx, Stype, V1_1, World,
    XFER_DRING, control,
};
use crate::service::volume::Request;
use crate::testing::drive::{Dice, fuzz};
use sun4v::native::Ports;
use zerocopy::IntoBytes;

const DISK_BYTES: u64 = 1 << 16;

/// The next message of a conversation that goes well.
fn message(world: &mut World, dice: &mut Dice, step: u64) -> Vec<u8> {
    let sid = world.client.sid;
    match step {
        0 => control(sid, V1_1).as_bytes().to_vec(),
        1 => Attr::ask(sid, XFER_DRING, 64).as_bytes().to_vec(),
        2 => {
            DringReg::new(sid, DESCRIPTORS, DESC_SIZE, 0, CookieAddr::new(0, 0)).as_bytes().to_vec()
        }
        3 => Rdx::new(Stype::Info, sid).as_bytes().to_vec(),
        _ => {
            let start = dice.below(u64::from(DESCRIPTORS) + 1) as u32;
            let end = dice.below(u64::from(DESCRIPTORS) + 2) as i32 - 1;
            world.info(start, end).as_bytes().to_vec()
        }
    }
}

/// Puts descriptors into the ring, some of them spoilt.
fn describe(world: &mut World, dice: &mut Dice) {
    for index in 0..DESCRIPTORS {
        let operations =
            [Operation::Bread, Operation::Bwrite, Operation::Flush, Operation::GetCapacity];
        let block = if dice.hit(4) { dice.bits() } else { dice.below(DISK_BYTES / 512 + 2) };
        let bytes = dice.one(&[0, 8, 512, 1024, 4096, 64 * 512, 65 * 512]);
        world.fill(index, dice.one(&operations), block, bytes, dice.below(8));
        if dice.hit(3) {
            let at = world.client.ring.at(u64::from(index * DESC_SIZE));
            let mut descriptor = vec![0; DESC_SIZE as usize];
            world.board.ports(1).read(at, &mut descriptor);
            dice.mutate(&mut descriptor);
            descriptor.resize(DESC_SIZE as usize, 0);
            world.board.ports(1).write(at, &descriptor);
        }
    }
}

/// What the server asks of its volume lies inside the disk.
fn sound(world: &World) {
    for (_, request) in &world.memory.waiting {
        let (offset, bytes) = match request {
            Request::Read { offset, bytes } => (*offset, u64::from(*bytes)),
            Request::Write { offset, data, .. } => (*offset, data.len() as u64),
            Request::Flush => continue,
        };
        let end = offset.checked_add(bytes);
        assert!(end.is_some_and(|end| end <= DISK_BYTES), "{bytes} bytes at {offset}");
    }
}

fn let_run(world: &mut World) {
    while !world.memory.waiting.is_empty() {
        sound(world);
        world.volume_does(0);
    }
}

fn fresh_session(world: &mut World) {
    world.client.channel.reset(&mut world.board.ports(1));
    world.run();
    let_run(world);
    world.client.got.clear();
    world.client.sid = 0xabcd;
    world.client.seq = 5;
    world.handshake();
    assert_eq!(world.at_once(Operation::GetCapacity, 16), (DONE, 0));
    world.fill(0, Operation::Bread, 3, 512, 0);
    world.submit(0, 0);
    let_run(world);
    assert_eq!((world.status(0), world.acks()), ((DONE, 0), vec![(0, 0)]));
    assert_eq!(world.buffer(0, 512), world.memory.disk[3 * 512..4 * 512]);
}

#[test]
fn disk_messages() {
    fuzz("disk_messages", &[], |dice| {
        let mut world = World::new(DISK_BYTES as usize);
        let mut step = 0;
        for _ in 0..dice.below(40) {
            let mut bytes = message(&mut world, dice, step);
            if step > 3 && !dice.hit(3) {
                describe(&mut world, dice);
            }
            step = if dice.hit(12) { dice.below(5) } else { (step + 1).min(4) };
            if dice.hit(5) {
                dice.mutate(&mut bytes);
            }
            if bytes.is_empty() {
                continue;
            }
            // The link may be down: then nothing is sent.
            world.client.channel.send(&mut world.board.ports(1), &bytes);
            world.run();
            sound(&world);
            if let Some(answer) = world.client.got.last()
                && let [_, stype, 0, 3, ..] = answer[..]
                && stype == Stype::Ack.code()
            {
                let ack: DringReg = super::vio::read(answer).unwrap();
                world.client.ident = ack.ident.get();
            }
            if !world.memory.waiting.is_empty() && dice.hit(2) {
                let n = dice.below(world.memory.waiting.len() as u64) as usize;
                world.volume_does(n);
            }
            if dice.hit(30) {
                world.client.channel.reset(&mut world.board.ports(1));
                world.run();
            }
        }
        fresh_session(&mut world);
    });
}
