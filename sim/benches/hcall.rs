//! How long a guest is away when it traps: into a handler of its own and back, and into
//! the hypervisor and back.
//!
//! Each guest does nothing but the one in a loop of three instructions; what is shown
//! is host time by round, the loop's own instructions included.

use criterion::Criterion;
use sim::chassis::bare::Bare;
use sim::chassis::image::{Image, Segment};
use sim::engine::{Choice, Which};
use std::hint::black_box;
use std::time::{Duration, Instant};
use sun4v::time::SimTime;

/// Where the guest begins; its trap table lies one page further.
const ENTRY: u64 = 0x40_0000;
const TABLE: usize = 0x8000;
/// The trap type of `ta 1`.
const TA_1: usize = 0x101;
const DONE: u32 = 0x81f0_0000;
/// What every guest does first: TL 0, its own trap table.
const START: [u32; 4] = [
    0x0300_1020, // sethi %hi(0x408000), %g1
    0x8b90_4000, // wrpr %g1, %tba
    0x8f90_2000, // wrpr 0, %tl
    0x9a10_2016, // mov CPU_MYID, %o5
];
/// A round: a trap, and back.
const ROUND: [u32; 3] = [0x91d0_2001, 0x10bf_ffff, 0x0100_0000];
const ROUND_OF_CALL: [u32; 3] = [0x91d0_2080, 0x10bf_ffff, 0x0100_0000];

fn guest(round: [u32; 3]) -> Image {
    let mut words = vec![0u32; TABLE / 4 + 0x1000];
    words[..4].copy_from_slice(&START);
    words[4..7].copy_from_slice(&round);
    words[(TABLE + TA_1 * 32) / 4] = DONE;
    let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_be_bytes()).collect();
    let size = bytes.len() as u64;
    Image { entry: ENTRY, segments: vec![Segment { ra: ENTRY, bytes, size }] }
}

/// How often a guest has been away.
fn rounds(bare: &Bare) -> u64 {
    let domain = bare.domain().expect("the guest is there");
    domain.counts().traps[TA_1] + domain.hypercalls().values().sum::<u64>()
}

#[expect(clippy::disallowed_methods, reason = "a benchmark reads the clock")]
fn time(bare: &mut Bare, wanted: u64) -> Duration {
    let mut spent = Duration::ZERO;
    let first = rounds(bare);
    loop {
        let until = bare.now().plus(SimTime::us(500));
        let start = Instant::now();
        let end = bare.run(until, |_| Ok::<(), std::convert::Infallible>(()));
        spent += start.elapsed();
        let _ = black_box(end);
        let done = rounds(bare) - first;
        if done >= wanted {
            return spent.mul_f64(wanted as f64 / done as f64);
        }
    }
}

fn bench(c: &mut Criterion) {
    for engine in Which::ALL {
        for (name, round) in [("ta", ROUND), ("hcall", ROUND_OF_CALL)] {
            let mut bare = Bare::boot_image(1, 16 << 20, &guest(round)).expect("it starts");
            bare.board.set_choice(Choice { engine, ..Choice::default() });
            c.bench_function(&format!("{name}/{engine}"), |b| {
                b.iter_custom(|wanted| time(&mut bare, wanted));
            });
        }
    }
}

/// All of them.
fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    bench(&mut criterion);
    criterion.final_summary();
}
