//! How fast frames go from guest to guest, in the host's time: printed, not judged. The
//! guests and the machine are models and take their share.
//!
//! `cargo test -p ldm --lib vsw::test::speed -- --ignored --nocapture`

use super::{Extension, RING, World, frame, mac};
use crate::service::vsw::offload::test::tcp4;
use std::time::Instant;

/// Runs of a ring, each frame the same.
#[expect(clippy::disallowed_methods, reason = "a rate is a matter of the host's time")]
fn rate(minor: u16, data: &[u8], extension: Extension, rounds: usize) {
    let mut world = World::new(&[minor, minor]);
    let (begun, mut frames) = (Instant::now(), 0);
    for _ in 0..rounds {
        let start = world.guests[0].next;
        for _ in 1..RING {
            world.guests[0].put_with(&mut world.board, data, false, extension);
        }
        world.guests[0].tell(&mut world.board, start);
        world.run();
        frames += world.received(1).len();
        world.guests[1].extensions.clear();
    }
    let seconds = begun.elapsed().as_secs_f64();
    assert_eq!(frames, rounds * (RING as usize - 1));
    let rate = frames as f64 / seconds;
    let bytes = data.len() as f64;
    eprintln!("{bytes} bytes: {rate:.0} frames/s, {:.0} MB/s", rate * bytes / 1e6);
}

#[test]
#[ignore = "prints a rate"]
fn full_frames() {
    rate(6, &frame(mac(2), mac(1), 1514, 7), Extension::default(), 20_000);
}

#[test]
#[ignore = "prints a rate"]
fn long_frames() {
    let mut data = tcp4(&vec![5; 65_000], 0x10);
    data[..6].copy_from_slice(&mac(2));
    let extension = Extension { flags: Extension::LSO, mss: 1448.into(), ..Extension::default() };
    rate(8, &data, extension, 2_000);
}
