//! Guests alone on a board: the images of `firmware/`, and small ones made here.

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

/// `mov imm, rd`.
fn mov(rd: u32, imm: u32) -> u32 {
    2 << 30 | rd << 25 | 2 << 19 | 1 << 13 | imm & 0x1fff
}
fn sethi(rd: u32, value: u32) -> u32 {
    rd << 25 | 4 << 22 | value >> 10
}
/// `ta number`.
fn ta(number: u32) -> u32 {
    0x91d0_2000 | number
}
/// `or rs1, rs2, rd`.
fn or(rd: u32, rs1: u32, rs2: u32) -> u32 {
    2 << 30 | rd << 25 | 2 << 19 | rs1 << 14 | rs2
}
const O0: u32 = 8;
const O1: u32 = 9;
const O2: u32 = 10;
const O3: u32 = 11;
const O5: u32 = 13;
const G1: u32 = 1;
/// `rd %ccr, %g0`.
const PAUSE: u32 = 0x8140_8000;

/// A boot image: entry at 0x20, and the core group opened first.
fn image(program: &[u32]) -> Vec<u8> {
    let open = [mov(O0, 1), mov(O1, 1), mov(O2, 1), mov(O5, 0), ta(0xff)];
    let words = [0; 8].iter().chain(&open).chain(program);
    words.flat_map(|word| word.to_be_bytes()).collect()
}

#[test]
fn a_parked_virtual_cpu_wakes_at_the_tick_of_its_timer_and_waiting_is_free() {
    let program = [
        sethi(G1, 0x10_0000),
        0xb380_0001, // wr %g0, %g1, %stick_cmpr
        mov(O5, 0x12),
        ta(0x80),    // cpu_yield
        0x9141_0000, // rd %tick, %o0
        mov(O5, 0),
        ta(0x80), // mach_exit
    ];
    let mut bare = Bare::boot_rom(1, BASE, 1 << 20, &image(&program)).unwrap();
    let (end, _) = bare.finish(SimTime::secs(1));
    assert_eq!(end, End::Exited(0x10_0001));
    assert_eq!(bare.domain().unwrap().instructions(), 12);
}

#[test]
fn each_virtual_cpu_reads_its_own_id_and_a_wait_lets_the_other_run() {
    const SECOND: u32 = 18;
    let first = [
        // cpu_start(1, SECOND, base, 0)
        mov(O0, 1),
        sethi(O1, BASE as u32),
        2 << 30 | O1 << 25 | 2 << 19 | O1 << 14 | 1 << 13 | (0x20 + (5 + SECOND) * 4),
        sethi(O2, BASE as u32),
        mov(O3, 0),
        mov(O5, 0x10),
        ta(0x80),
        // Until the other has stored: ldx [%g1 + 0x400], %o2
        sethi(G1, BASE as u32),
        PAUSE,
        PAUSE,
        PAUSE,
        3 << 30 | O2 << 25 | 0x0b << 19 | G1 << 14 | 1 << 13 | 0x400,
        3 << 22 | 1 << 25 | O2 << 14 | 3 << 20 | 0x3ffc, // brz %o2, .-16
        mov(O5, 0x16),
        ta(0x80),                           // cpu_myid
        2 << 30 | O0 << 25 | O2 << 14 | O1, // add %o2, %o1, %o0
        mov(O5, 0),
        ta(0x80), // mach_exit
    ];
    assert_eq!(first.len(), SECOND as usize);
    let second = [
        mov(O5, 0x16),
        ta(0x80),                                     // cpu_myid
        2 << 30 | O1 << 25 | O1 << 14 | 1 << 13 | 40, // add %o1, 40, %o1
        sethi(G1, BASE as u32),
        3 << 30 | O1 << 25 | 0x0e << 19 | G1 << 14 | 1 << 13 | 0x400, // stx
        mov(O5, 0x12),
        ta(0x80), // cpu_yield
        or(0, 0, 0),
    ];
    let program = [&first[..], &second[..]].concat();
    let mut bare = Bare::boot_rom(2, BASE, 1 << 20, &image(&program)).unwrap();
    let (end, _) = bare.finish(SimTime::ms(1));
    assert_eq!(end, End::Exited(41));
    let domain = bare.domain().unwrap();
    assert!(domain.instructions() < 60, "{} instructions", domain.instructions());
}

#[test]
fn a_guest_without_a_way_on_is_said_to_be_idle() {
    let mut bare = Bare::boot_rom(1, BASE, 1 << 20, &image(&[mov(O5, 0x12), ta(0x80)])).unwrap();
    assert_eq!(bare.finish(SimTime::secs(100)).0, End::Idle);
    assert!(bare.now() < SimTime::ms(1));
}
