//! The sixteen benchmark guests compute what the same programs compute natively.

#[path = "oracle/guests.rs"]
mod guests;

use guests::{built, images};
use sim::chassis::bare::{Bare, End};
use std::process::Command;
use sun4v::time::SimTime;

#[test]
fn every_benchmark_guest_computes_what_its_native_program_does() {
    let Some(out) = built() else { return };
    for (name, n, image) in images() {
        let mut bare = Bare::boot_image(1, 32 << 20, &image).unwrap();
        let (end, text) = bare.finish(SimTime::secs(10));
        let native = Command::new(out.join(format!("native/{name}"))).arg(n.to_string()).output();
        let native = String::from_utf8(native.unwrap().stdout).unwrap();
        assert_eq!((end, text.as_str()), (End::Exited(0), native.as_str()), "{name}");
        assert!(text.ends_with(" ok\n"), "{text}");
    }
}

#[test]
fn two_runs_of_a_guest_are_the_same_run() {
    let Some(out) = built() else { return };
    let image = sim::chassis::image::Image::read(&out.join("sun4v/recurse.elf")).unwrap();
    let run = || {
        let mut bare = Bare::boot_image(1, 16 << 20, &image).unwrap();
        let (end, text) = bare.finish(SimTime::ms(1));
        let domain = bare.domain().unwrap();
        (end, text, domain.instructions(), domain.counts().traps.clone(), bare.now())
    };
    let first = run();
    assert_eq!((first.0, first.2), (End::Time, 1_165_379));
    assert_eq!(first, run());
}
