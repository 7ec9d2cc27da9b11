//! A guest that sends any messages: whatever it said, a fresh session serves.

use super::{Ask, DsEvent, GUEST, World};
use crate::testing::drive::{Dice, fuzz};
use sun4v::ds::service::VariableResult;
use sun4v::ds::{CpuOp, Message, Service};
use sun4v::time::SimTime;

/// A message of a session that goes well, or something near one.
fn message(dice: &mut Dice) -> Vec<u8> {
    let handle = dice.below(8) << 32 | 0x1234_5678;
    let length = dice.below(60) as usize;
    let message = match dice.below(14) {
        0 => Message::InitReq(dice.below(3) as u16, 0),
        1 => Message::InitAck(0),
        2 | 3 => {
            let name = dice.one(&Service::ALL).name();
            let name = if dice.hit(6) { "nobody's" } else { name }.to_owned();
            Message::RegReq { handle, version: (dice.below(3) as u16, 0), name }
        }
        4 => Message::UnregReq(handle),
        5 => Message::Nack(handle, dice.below(6)),
        6 => Message::RegAck { handle, minor: 0 },
        7 => Message::UnregNack(handle),
        8 | 9 => {
            // An answer, to something that may have been asked.
            let number = dice.below(20).to_be_bytes();
            let word = dice.one(&[0_u32, 1, 0x6f, 0x65]).to_be_bytes();
            Message::Data(handle, [&number[..], &word, &dice.bytes(length)].concat())
        }
        10 | 11 => {
            let command = dice.below(4) as u32;
            Message::Data(handle, [&command.to_be_bytes()[..], b"name\0value\0"].concat())
        }
        _ => Message::Data(handle, dice.bytes(length)),
    };
    let mut bytes = message.to_bytes();
    if dice.hit(5) {
        dice.mutate(&mut bytes);
    }
    bytes
}

#[test]
fn sessions() {
    fuzz("ds_sessions", &[], |dice| {
        let mut world = World::new(dice.hit(4));
        world.binds();
        world.linux.begin();
        for ticket in 0..dice.below(40) {
            let bytes = message(dice);
            if !bytes.is_empty() {
                world.linux.send(&bytes);
            }
            world.run();
            world.linux.heard.clear();
            if dice.hit(4) {
                let ask = match dice.below(3) {
                    0 => Ask::MdUpdate,
                    1 => Ask::Shutdown { delay_ms: 1 },
                    _ => Ask::Cpus { op: CpuOp::Configure, cpus: vec![1; 300] },
                };
                world.serve(|server, host| server.ask(host, GUEST, ticket, &ask));
            }
            for event in world.events() {
                if let DsEvent::Variable { token, .. } = event
                    && !dice.hit(3)
                {
                    world.serve(|server, host| {
                        server.variable_done(host, token, VariableResult::NoSpace);
                    });
                }
            }
            if dice.hit(10) {
                world.later(SimTime::secs(dice.below(70)));
            }
            if dice.hit(30) {
                world.binds();
            }
        }
        // A fresh session.
        world.binds();
        world.linux.begin();
        let handle = world.linux.register("var-config");
        world.run();
        let answers = [Message::InitAck(0), Message::RegAck { handle, minor: 0 }];
        assert_eq!(world.linux.heard, answers);
        assert!(world.lines().len() <= 41 * 102);
    });
}
