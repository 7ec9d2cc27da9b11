//! How fast frames go from guest to guest, in the host's time: printed, not judged.
//!
//! `cargo test -p ldm --lib vsw::test::speed -- --ignored --nocapture`

use super::{RING, World, frame, mac};
use std::time::Instant;

/// Frames of 1514 bytes in runs of a ring.
#[test]
#[ignore = "prints a rate"]
#[expect(clippy::disallowed_methods, reason = "a rate is a matter of the host's time")]
fn full_frames() {
    let mut world = World::new(&[6, 6]);
    let bytes = 1514;
    let data = frame(mac(2), mac(1), bytes, 7);
    let (begun, rounds) = (Instant::now(), 20_000);
    let mut frames = 0;
    for _ in 0..rounds {
        let start = world.guests[0].next;
        for _ in 1..RING {
            world.guests[0].put(&mut world.board, &data, false);
        }
        world.guests[0].tell(&mut world.board, start);
        world.run();
        frames += world.received(1).len();
    }
    let seconds = begun.elapsed().as_secs_f64();
    assert_eq!(frames, rounds * (RING as usize - 1));
    let rate = frames as f64 / seconds;
    eprintln!("{bytes} bytes: {rate:.0} frames/s, {:.0} MB/s", rate * bytes as f64 / 1e6);
}
