//! How fast a domain's memory moves: bytes of it a second of host time, on one thread,
//! from one end's hypervisor to the other's, both ends included.
//!
//! `path` is a whole migration, source against target, with a hypervisor and a wire that
//! do no more than copy: pages read, looked through for zeros, hashed, packed, sealed,
//! sent, cut into frames, opened, expanded, hashed and written. `primitives` is what it
//! cannot do without, bare, over the same bytes in the same pieces: the copies (out of
//! the domain, out of the buffer, onto the wire and off it, into the buffer, into the
//! domain), zstd both ways, AES and HMAC both ways, a SHA-256 of each page at either end.
//!
//! The image is half zeros; the rest are a kernel or firmware, text, and noise, a third
//! each. `LDOMLAB_GUESTS` says where a kernel is; without it, it is our firmware.

#[expect(
    dead_code,
    clippy::unwrap_used,
    clippy::incompatible_msrv,
    reason = "the tests of the crate use more of it, and code of tests may"
)]
#[path = "../src/migrate/testing/mod.rs"]
mod testing;

use criterion::{BatchSize, Criterion, Throughput};
use ldm::migrate::compress::CHUNK_PAGES;
use ldm::migrate::pages::{PAGE, page_hash};
use ldm::migrate::seal::{Session, open, seal};
use ldm::migrate::{Buffers, Config, Request, SoftCipher, Source, Target};
use ldm::migrate::{cost, fixed_time, handshake, journal, pages, port, rounds};
use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use sun4v::time::SimTime;
use testing::{Random, Setup, World};

/// Memory of the domain.
const IMAGE_BYTES: usize = 32 << 20;

fn code() -> Vec<u8> {
    let firmware = Path::new(env!("CARGO_MANIFEST_DIR")).join("../firmware/images");
    let own = ["openboot.bin", "rover.bin", "hostile.bin"].map(|name| firmware.join(name));
    let kernel = std::env::var_os("LDOMLAB_GUESTS").map(PathBuf::from);
    let files = match kernel.map(|guests| guests.join("linux/vmlinux")) {
        Some(kernel) if kernel.exists() => vec![kernel],
        _ => own.to_vec(),
    };
    let read = |file: &PathBuf| std::fs::read(file).expect("an image");
    files.iter().flat_map(read).collect()
}

/// Half zeros, in runs; code, text and noise.
fn image() -> Rc<[u8]> {
    let code = code();
    let words = ["domain", "memory", "strand", "the", "of", "a", "is", "page", "channel", "\n"];
    let mut random = Random(7);
    let mut image = vec![0; IMAGE_BYTES];
    for (n, page) in image.chunks_exact_mut(PAGE).enumerate() {
        match n / 8 % 6 {
            0 => {
                let at = n / 48 * 8 + n % 8;
                let from = code.iter().cycle().skip(at * PAGE % code.len());
                page.iter_mut().zip(from).for_each(|(byte, &code)| *byte = code);
            }
            1 => {
                let mut text = Vec::new();
                while text.len() < PAGE {
                    let word = words[random.next() as usize % words.len()];
                    text.extend_from_slice(word.as_bytes());
                    text.extend_from_slice(format!(" {} ", random.next() % 100).as_bytes());
                }
                page.copy_from_slice(&text[..PAGE]);
            }
            2 => page.iter_mut().for_each(|byte| *byte = random.next() as u8),
            _ => {}
        }
    }
    image.into()
}

fn world(image: &Rc<[u8]>, level: i32) -> World {
    let pages = (IMAGE_BYTES / PAGE) as u64;
    let setup = Setup { pages, level, image: Some(image.clone()), ..Setup::default() };
    let mut world = World::new(&setup);
    world.taps = false;
    world
}

fn arrive(mut world: World) -> World {
    world.run(SimTime::secs(600));
    assert_eq!(world.outcome, Some(Ok(())));
    world
}

/// What cannot be left out, for one body of pages. `there` is the other end's memory.
fn primitives(
    body: &[u8],
    level: i32,
    session: &Session,
    buffers: &mut [Vec<u8>],
    there: &mut [u8],
) {
    let [out, taken, wire, came, back] = buffers else { return };
    let bytes = body.len();
    out[..bytes].copy_from_slice(body);
    taken[..bytes].copy_from_slice(&out[..bytes]);
    for page in taken[..bytes].chunks_exact(PAGE) {
        black_box(page_hash(page));
    }
    let frame = match level {
        0 => taken[..bytes].to_vec(),
        _ => zstd::bulk::compress(&taken[..bytes], level).expect("a frame"),
    };
    let record = seal(&session.to_target, 0, &frame);
    wire[..record.len()].copy_from_slice(&record);
    came[..record.len()].copy_from_slice(&wire[..record.len()]);
    let frame = open(&session.to_target, 0, &came[..record.len()]).expect("a record");
    let body = match level {
        0 => frame,
        _ => zstd::bulk::decompress(&frame, bytes).expect("a body"),
    };
    for page in body.chunks_exact(PAGE) {
        black_box(page_hash(page));
    }
    back[..bytes].copy_from_slice(&body);
    there[..bytes].copy_from_slice(&back[..bytes]);
}

fn bare(image: &[u8], level: i32, there: &mut [u8]) {
    let session = Session::derive(&[5; 32]);
    let mut buffers = vec![vec![0; CHUNK_PAGES * PAGE + 4096]; 5];
    let zero = [0; PAGE];
    let mut body = Vec::with_capacity(CHUNK_PAGES * PAGE);
    for page in image.chunks_exact(PAGE) {
        if page != zero {
            body.extend_from_slice(page);
        }
        if body.len() == CHUNK_PAGES * PAGE {
            primitives(&body, level, &session, &mut buffers, there);
            body.clear();
        }
    }
    primitives(&body, level, &session, &mut buffers, there);
}

fn main() {
    let image = image();
    let mut there = vec![0; CHUNK_PAGES * PAGE];
    let mut criterion = Criterion::default().configure_from_args().sample_size(10);
    for (name, level) in [("level 1", 1), ("stored", 0)] {
        // Content only: zeros cost next to nothing, on either side.
        let bytes = image.chunks_exact(PAGE).filter(|page| page.iter().any(|&byte| byte != 0));
        let bytes = (bytes.count() * PAGE) as u64;
        let mut group = criterion.benchmark_group(format!("transfer, {name}"));
        group.throughput(Throughput::Bytes(bytes));
        group.bench_function("path", |bencher| {
            bencher.iter_batched(|| world(&image, level), arrive, BatchSize::LargeInput);
        });
        group.bench_function("primitives", |bencher| {
            bencher.iter(|| bare(&image, level, &mut there));
        });
        group.finish();
    }
    let mut group = criterion.benchmark_group("transfer, zeros");
    let zeros: Rc<[u8]> = vec![0; IMAGE_BYTES].into();
    group.throughput(Throughput::Bytes(IMAGE_BYTES as u64));
    group.bench_function("path", |bencher| {
        bencher.iter_batched(|| world(&zeros, 1), arrive, BatchSize::LargeInput);
    });
    group.finish();
    criterion.final_summary();
}
