//! How fast a domain's memory moves: bytes of it a second of host time, on one thread,
//! from one end's hypervisor to the other's.
//!
//! `path` is a whole migration, source against target, both on this thread, with a
//! hypervisor and a wire that do no more than copy: pages read, looked through for zeros,
//! hashed, packed, sealed, sent, cut into frames, opened, expanded, hashed and written; and
//! the tests' world around it, which looks after every event who owns the domain. `source`
//! and `target` are what either end takes of it. `primitives` is what both cannot do
//! without, bare, over the same bytes in the same pieces: the copies (out of the domain, out
//! of the buffer, together, onto the wire and off it, out of it, into the buffer, into the
//! domain), zstd both ways, AES and HMAC both ways.
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
use ldm::migrate::pages::PAGE;
use ldm::migrate::seal::{self, HEADER_BYTES, Session, Text, open};
use ldm::migrate::{Buffers, Config, Refusal, Request, SoftCipher, Source, Target};
use ldm::migrate::{fixed_time, handshake, journal, pages, port, rounds};
use std::io::Cursor;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::LazyLock;
use std::time::{Duration, Instant};
use sun4v::time::SimTime;
use testing::{Random, Setup, World};
use zstd::bulk::{Compressor, Decompressor};
use zstd::zstd_safe::compress_bound;

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

/// Host time since the program began to ask.
#[expect(clippy::disallowed_methods, reason = "a benchmark measures the host's time")]
fn clock() -> Duration {
    static BEGAN: LazyLock<Instant> = LazyLock::new(Instant::now);
    BEGAN.elapsed()
}

/// The time that one end spends on so many migrations: what its machine would, on a core.
fn spent(image: &Rc<[u8]>, level: i32, end: usize, migrations: u64) -> Duration {
    let one = || {
        let mut world = world(image, level);
        world.clock = Some(clock);
        arrive(world).spent[end]
    };
    (0..migrations).map(|_| one()).sum()
}

/// Pages that are read together.
const READ_PAGES: usize = 128;

/// What cannot be left out.
struct Bare {
    level: i32,
    session: Session,
    compressor: Compressor<'static>,
    decompressor: Decompressor<'static>,
    /// Where copies go.
    buffers: Vec<Vec<u8>>,
    /// The domain's memory at the other end.
    there: Vec<u8>,
}

impl Bare {
    fn new(level: i32) -> Self {
        Self {
            level,
            session: Session::derive(&[5; 32]),
            compressor: Compressor::new(level.max(1)).expect("a compressor"),
            decompressor: Decompressor::new().expect("a decompressor"),
            buffers: vec![vec![0; READ_PAGES * PAGE]; 4],
            there: vec![0; IMAGE_BYTES],
        }
    }

    fn all(&mut self, image: &[u8]) {
        let zero = [0; PAGE];
        let mut content = Vec::with_capacity(CHUNK_PAGES * PAGE);
        let mut places = Vec::with_capacity(CHUNK_PAGES);
        for (read, pages) in image.chunks(READ_PAGES * PAGE).enumerate() {
            let [out, taken, ..] = self.buffers.as_mut_slice() else { return };
            out[..pages.len()].copy_from_slice(pages);
            taken[..pages.len()].copy_from_slice(&out[..pages.len()]);
            for number in 0..pages.len() / PAGE {
                let page = &self.buffers[1][number * PAGE..][..PAGE];
                if page != zero {
                    content.extend_from_slice(page);
                    places.push((read * READ_PAGES + number) * PAGE);
                }
                if places.len() == CHUNK_PAGES {
                    self.chunk(&content, &places);
                    content.clear();
                    places.clear();
                }
            }
        }
        self.chunk(&content, &places);
    }

    fn chunk(&mut self, content: &[u8], places: &[usize]) {
        let Self { level, session, compressor, decompressor, buffers, there } = self;
        let [_, _, wire, back] = buffers.as_mut_slice() else { return };
        let bytes = content.len();
        let mut text = Text::with_capacity(compress_bound(bytes));
        if *level == 0 {
            text.push(content);
        } else {
            let mut behind = Cursor::new(text.into_bytes());
            behind.set_position(HEADER_BYTES as u64);
            compressor.compress_to_buffer(content, &mut behind).expect("a frame");
            text = Text::from_bytes(behind.into_inner()).expect("a text");
        }
        let record = seal::seal(&session.to_target, 0, text);
        wire[..record.len()].copy_from_slice(&record);
        let came = wire[..record.len()].to_vec();
        let text = open(&session.to_target, 0, came).expect("a record");
        let mut body = Vec::with_capacity(bytes);
        if *level == 0 {
            body.extend_from_slice(text.plain());
        } else {
            decompressor.decompress_to_buffer(text.plain(), &mut body).expect("a body");
        }
        back[..bytes].copy_from_slice(&body);
        for (page, &place) in back[..bytes].chunks_exact(PAGE).zip(places) {
            there[place..place + PAGE].copy_from_slice(page);
        }
    }
}

fn main() {
    let image = image();
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
        for (end, name) in ["source", "target"].into_iter().enumerate() {
            group.bench_function(name, |bencher| {
                bencher.iter_custom(|migrations| spent(&image, level, end, migrations));
            });
        }
        let mut bare = Bare::new(level);
        group.bench_function("primitives", |bencher| bencher.iter(|| bare.all(&image)));
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
