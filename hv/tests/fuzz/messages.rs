//! Messages of a manager, of any content, and hypervisor MDs of any content behind
//! `reconfigure`: each gets its answer, a refused one changes nothing, and a session
//! can always be begun anew.

use crate::chassis::{BASE, Chassis, OTHER_MD, PRIMARY, ROVER, factory, with_rover};
use crate::drive::{Dice, fuzz};
use hv::platform::Memory as _;
use sun4v::hvctl::{Body, Op, Reply, Request, Status, VERSION, response};
use sun4v::id::GuestId;
use sun4v::time::SimTime;

/// Operations that exist, with those of migration.
const OPS: [u16; 27] = [
    0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 14, 15, 0x80, 0x81, 0x82, 0x83, 0x84, 0x85, 0x86,
    0x87, 0x88, 0x89, 0x8a, 0x8b,
];

fn message(dice: &mut Dice, seqn: u16) -> [u8; 64] {
    let mut message = [0; 64];
    for place in message.chunks_exact_mut(8) {
        let word = match dice.below(7) {
            0 => dice.below(4) << 32 | dice.below(4),
            1 => OTHER_MD.0,
            2 => BASE + (dice.below(1 << 20) & !0x1fff),
            3 => dice.below(16) << 32 | dice.below(1 << 16),
            4 => dice.below(0x20_0000) & !7,
            5 => 0,
            _ => dice.bits(),
        };
        place.copy_from_slice(&word.to_be_bytes());
    }
    let op = if dice.hit(16) { dice.bits() as u16 } else { dice.one(&OPS) };
    let seqn = if dice.hit(32) { dice.bits() as u16 } else { seqn };
    message[..2].copy_from_slice(&op.to_be_bytes());
    message[2..4].copy_from_slice(&seqn.to_be_bytes());
    message
}

/// Begins a session; true when it stands.
fn session(chassis: &mut Chassis) -> bool {
    while chassis.receive().is_some() {}
    let seqn = chassis.seqn;
    chassis.send(Request::Hello(VERSION).to_bytes(seqn));
    let Some(hello) = reply(chassis).and_then(|bytes| Reply::parse(&bytes).ok()) else {
        return false;
    };
    let Body::Challenge { code, .. } = hello.body else { return false };
    chassis.send(Request::Response(response(code)).to_bytes(seqn.wrapping_add(1)));
    chassis.seqn = seqn.wrapping_add(2);
    reply(chassis).is_some_and(|bytes| status(&bytes) == Status::Ok)
}

/// The next message that is no notice. An operation that nobody has comes back as it
/// was sent.
fn reply(chassis: &mut Chassis) -> Option<[u8; 64]> {
    loop {
        let message = chassis.receive()?;
        if u16::from_be_bytes([message[0], message[1]]) != Op::NewResStat.code() {
            return Some(message);
        }
    }
}

fn status(message: &[u8; 64]) -> Status {
    Status::from_code(u16::from_be_bytes([message[6], message[7]])).unwrap()
}

#[test]
fn hvctl_messages() {
    fuzz("hvctl_messages", &[], |dice| {
        let mut chassis = Chassis::open(&with_rover(0x2000_0000));
        if dice.hit(2) {
            chassis.start_rover();
        }
        for _ in 0..1 + dice.below(24) {
            // An MD that says something, or nearly.
            let mut config = if dice.hit(2) { factory() } else { with_rover(0x2000_0000) };
            if dice.hit(4) {
                config.vcpus.truncate(dice.below(5) as usize);
            }
            chassis.propose(&config);
            if dice.hit(3) {
                let mut bytes = config.to_md().to_bytes();
                dice.mutate(&mut bytes);
                chassis.lab.board.memory.write(OTHER_MD, &bytes);
            }
            let before = chassis.lab.hv.config().clone();
            let seqn = chassis.seqn;
            let message = message(dice, seqn);
            chassis.send(message);
            let answer = reply(&mut chassis).map(|bytes| status(&bytes));
            if answer != Some(Status::Ok) {
                assert_eq!(chassis.lab.hv.config(), &before, "a refusal changed something");
            }
            let closed = [Status::Auth, Status::BadSeqn];
            let goes_on = answer.is_some_and(|status| !closed.contains(&status));
            chassis.seqn = seqn.wrapping_add(1);
            if !goes_on || message[..2] == [0, 0] {
                assert!(session(&mut chassis), "no session after {message:x?}");
            }
            chassis.lab.board.advance(SimTime::us(dice.below(100)));
            chassis.lab.hv.boundary(&mut chassis.lab.board);
            while chassis.receive().is_some() {}
        }
        assert!(session(&mut chassis));
        chassis.say(Request::GetHvConfig);
        let answer = reply(&mut chassis).unwrap();
        assert_eq!(status(&answer), Status::Ok);
        assert!(chassis.lab.hv.guest(PRIMARY).is_some());
        assert!(chassis.lab.hv.guest(ROVER).is_none_or(|guest| guest.id == GuestId(1)));
    });
}
