//! A client that says anything: the server never asks its volume for what is not
//! there, and serves a fresh session.

use super::super::label::{gpt, sun};
use super::{
    Attr, CookieAddr, DESC_SIZE, DESCRIPTORS, DONE, DiskConf, DringReg, Found, Operation, Rdx,
    Stype, V1_1, World, XFER_DRING, conf, control, file,
};
use crate::service::volume::Request;
use crate::testing::drive::{Dice, fuzz};
use sun4v::native::Ports;
use sun4v::vio::dring::XFER_DESC;
use sun4v::vio::vdisk::Geometry;
use zerocopy::IntoBytes;

const DISK_BYTES: u64 = 1 << 16;
/// Every operation, and one that is none.
const OPERATIONS: u64 = 0x12;

/// A server whose volume is one of several kinds.
fn world(dice: &mut Dice) -> World {
    let (slice, device, label) = (dice.hit(4), dice.hit(3), dice.below(3));
    let mut world = World::with(DiskConf { slice, read_only: dice.hit(8), ..conf() });
    let blocks = DISK_BYTES / 512;
    let mut disk: Vec<u8> = (0..DISK_BYTES).map(|n| (n / 512) as u8 ^ n as u8).collect();
    let front = match label {
        0 => Vec::new(),
        1 => {
            let label = sun::SunLabel::new(&Geometry::of(blocks), &sun::unlabelled(blocks));
            label.unwrap().as_bytes().to_vec()
        }
        _ => gpt::of_slice(blocks - 34, [5; 16]).front,
    };
    disk[..front.len()].copy_from_slice(&front);
    world.memory.disk = disk;
    world.found(Ok(Found { device, ..file(DISK_BYTES) }));
    world
}

/// The next message of a conversation that goes well.
fn message(world: &mut World, dice: &mut Dice, step: u64) -> Vec<u8> {
    let sid = world.client.sid;
    match step {
        0 => control(sid, V1_1).as_bytes().to_vec(),
        1 => {
            let mode = if dice.hit(4) { XFER_DESC } else { XFER_DRING };
            Attr::ask(sid, mode, 64).as_bytes().to_vec()
        }
        // What comes next when requests are to come in messages.
        2 if dice.hit(4) => Rdx::new(Stype::Info, sid).as_bytes().to_vec(),
        2 => {
            DringReg::new(sid, DESCRIPTORS, DESC_SIZE, 0, CookieAddr::new(0, 0)).as_bytes().to_vec()
        }
        3 => Rdx::new(Stype::Info, sid).as_bytes().to_vec(),
        _ if dice.hit(4) => {
            let (operation, block) = (operation(dice), dice.below(DISK_BYTES / 512 + 2));
            let pages = [dice.below(8), dice.below(9)];
            let bytes = dice.one(&[0, 8, 24, 336, 512, 4096, 16_384]);
            world.message(operation, block, bytes, &pages[..dice.below(3) as usize])
        }
        _ => {
            let start = dice.below(u64::from(DESCRIPTORS) + 1) as u32;
            let end = dice.below(u64::from(DESCRIPTORS) + 2) as i32 - 1;
            world.info(start, end).as_bytes().to_vec()
        }
    }
}

fn operation(dice: &mut Dice) -> Operation {
    Operation::from_code(dice.below(OPERATIONS) as u8).unwrap_or(Operation::Bread)
}

/// Puts descriptors into the ring, some of them spoilt.
fn describe(world: &mut World, dice: &mut Dice) {
    for index in 0..DESCRIPTORS {
        let block = if dice.hit(4) { dice.bits() } else { dice.below(DISK_BYTES / 512 + 2) };
        let bytes = dice.one(&[0, 8, 24, 336, 512, 1024, 4096, 64 * 512, 65 * 512]);
        let operation = operation(dice);
        world.fill(index, operation, block, bytes, dice.below(8));
        if dice.hit(3) {
            // A slice, or none.
            let at = world.client.ring.at(u64::from(index * DESC_SIZE) + 17);
            world.board.ports(1).write(at, &[dice.below(10) as u8]);
        }
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
    if !world.sliced {
        assert_eq!(world.buffer(0, 512), world.memory.disk[3 * 512..4 * 512]);
    }
}

#[test]
fn disk_messages() {
    fuzz("disk_messages", &[], |dice| {
        let mut world = world(dice);
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
