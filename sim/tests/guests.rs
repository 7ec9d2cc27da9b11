//! The images of `firmware/` on a bare board.

use sim::chassis::bare::{Bare, End};
use std::path::Path;
use sun4v::time::SimTime;

const BASE: u64 = 0x800_0000;

fn rom(name: &str) -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../firmware/images").join(name);
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[test]
fn hello_says_what_it_sees_and_ends() {
    let mut bare = Bare::boot_rom(1, BASE, 64 << 20, &rom("hello.bin")).unwrap();
    let (end, text) = bare.finish(SimTime::secs(1));
    assert_eq!(end, End::Exited(0), "{text}");
    let start = "hello: 64 MB of memory at 0x8000000, vcpu 0, machine description ";
    assert!(text.starts_with(start), "{text}");
}

#[test]
fn rover_boots_on_four_virtual_cpus_without_devices() {
    let mut bare = Bare::boot_rom(4, BASE, 64 << 20, &rom("rover.bin")).unwrap();
    let (_, text) = bare.finish(SimTime::ms(400));
    assert!(text.contains("rover: up, 4 cpus, 64 MB"), "{text}");
}

#[test]
fn rover_is_the_same_every_time() {
    let run = || {
        let mut bare = Bare::boot_rom(2, BASE, 32 << 20, &rom("rover.bin")).unwrap();
        let (end, text) = bare.finish(SimTime::ms(50));
        let domain = bare.domain().unwrap();
        (end, text, domain.instructions(), domain.hypercalls().clone())
    };
    assert_eq!(run(), run());
}
