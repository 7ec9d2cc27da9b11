//! A console that sends any packets, reads when it likes and sets its queues anew: what
//! is typed still arrives, and what it writes comes out.

use super::{World, chars, data};
use crate::testing::drive::{Dice, fuzz};

fn packet(dice: &mut Dice) -> [u8; 64] {
    let length = dice.below(57) as usize;
    let mut bytes = data(&dice.bytes(length)).to_vec();
    if dice.hit(3) {
        dice.mutate(&mut bytes);
        bytes.resize(64, 0);
    }
    if dice.hit(8) {
        bytes = dice.bytes(64);
    }
    let mut packet = [0; 64];
    packet.copy_from_slice(&bytes);
    packet
}

#[test]
fn console_packets() {
    fuzz("console_packets", &[], |dice| {
        let mut world = World::new();
        for _ in 0..dice.below(30) {
            let packets: Vec<_> = (0..dice.below(6)).map(|_| packet(dice)).collect();
            match dice.below(4) {
                0 => {
                    let length = dice.below(80) as usize;
                    // Refused while too much waits.
                    let _ = world.types(&dice.bytes(length));
                }
                1 => drop(world.reads()),
                _ => drop(world.sends(&packets)),
            }
            if dice.hit(20) {
                world.guest.reset(&mut world.board.ports(1)).unwrap();
                world.run();
            }
        }
        // Drain what was typed before, then a fresh line each way.
        loop {
            world.serve(|server, host| server.flush(host));
            if world.reads().is_empty() && !world.server.is_blocked() {
                break;
            }
        }
        world.types(b"still there").unwrap();
        assert_eq!(chars(&world.reads()), b"still there");
        world.writes("\nand back\n");
        assert_eq!(world.lines().last().unwrap(), "rover: and back");
    });
}
