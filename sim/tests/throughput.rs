//! How fast crypto units are behind their queues: a control domain gives control
//! words by `ncs_settail`, is told of their end by interrupt, and gives more.
//! Boundaries of slices cost what they cost.
//!
//! The table is in the book (`crypto.md`), which is compared. What the program itself
//! would spend on its strands is not charged: it is the units' table.

#![expect(clippy::unwrap_used, reason = "a test may")]

use ldm::factory::{Factory, Primary};
use sim::chassis::server::PowerOn;
use sim::chassis::world::World;
use sim::chip::cwq::rate::{Engine, PEAKS};
use sim::lab::scenario::Scenario;
use std::sync::{Arc, Mutex};
use sun4v::addr::Ra;
use sun4v::id::VcpuId;
use sun4v::native::{Event, Ports, Program};
use sun4v::ncs::{
    CWQ_ENTRIES_MAX, Chaining, CipherKind, Control, ENTRY_BYTES, Entry, HashKind, NCS_GETHEAD,
    NCS_GROUP, NCS_QCONF, NCS_QHANDLE_TO_DEVINO, NCS_SETHEAD_MARKER, NCS_SETTAIL, QTYPE_CWQ,
};
use sun4v::time::{SimTime, T2_HZ};

const BOOK: &str = include_str!("../../book/src/crypto.md");
const API_SET_VERSION: u64 = 0;
const CPU_QCONF: u64 = 0x14;
/// The device mondo queue, and entries enough for all units.
const DEV_MONDO: u64 = 0x3d;
const DEV_MONDO_ENTRIES: u64 = 64;
/// API groups: the calls about virtual CPUs, and those about interrupts.
const CORE_GROUP: u64 = 1;
const INTR_GROUP: u64 = 2;
/// The node that the units' interrupts belong to.
const CFG_HANDLE: u64 = 0x100;
const INTR_DEVINO2SYSINO: u64 = 0xa0;
const INTR_SETENABLED: u64 = 0xa2;
const INTR_SETSTATE: u64 = 0xa4;
const INTR_SETTARGET: u64 = 0xa6;
const QUEUE_BYTES: u64 = CWQ_ENTRIES_MAX * ENTRY_BYTES;
/// Strands of a core, so virtual CPUs to the next unit.
const STRIDE: u8 = 8;
/// What a unit has of the domain's memory, and where things lie in it.
const ROOM: u64 = 16 << 20;
const KEY: u64 = 0x2000;
const IV: u64 = 0x3000;
const SOURCE: u64 = 1 << 20;
const RESULTS: u64 = 4 << 20;

/// What is measured.
#[derive(Clone, Copy)]
enum What {
    Cipher(CipherKind, Chaining),
    Hash(HashKind),
}

/// Jobs of one kind.
#[derive(Clone, Copy)]
struct Load {
    what: What,
    /// Source of a job.
    bytes: usize,
    /// Jobs that each unit does.
    jobs: usize,
    /// Jobs that are queued at once, as far as the queue holds them.
    depth: usize,
    units: u8,
}

impl Load {
    /// Control words of a job.
    fn words(&self) -> usize {
        self.bytes.div_ceil(Control::BYTES_MAX)
    }
}

/// A unit and its queue.
struct Unit {
    handle: u64,
    vcpu: VcpuId,
    base: Ra,
    sysino: u64,
    head: u64,
    tail: u64,
    given: usize,
    done: usize,
}

impl Unit {
    fn open(ports: &mut dyn Ports, number: u8, load: &Load) -> Self {
        let base = ports.memory().0.0 + 256 * QUEUE_BYTES;
        let base = Ra(base + u64::from(number) * ROOM);
        let vcpu = VcpuId(number * STRIDE);
        let queue = [QTYPE_CWQ, base.0, CWQ_ENTRIES_MAX, 0, 0];
        let [handle, ..] = ports.hcall_on(vcpu, NCS_QCONF, queue).unwrap();
        let [ino, ..] = ports.hcall(NCS_QHANDLE_TO_DEVINO, [handle, 0, 0, 0, 0]).unwrap();
        let args = [CFG_HANDLE, ino, 0, 0, 0];
        let [sysino, ..] = ports.hcall(INTR_DEVINO2SYSINO, args).unwrap();
        for (call, value) in [(INTR_SETTARGET, 0), (INTR_SETSTATE, 0), (INTR_SETENABLED, 1)] {
            ports.hcall(call, [sysino, value, 0, 0, 0]).unwrap();
        }
        let source: Vec<u8> = (0..load.bytes).map(|n| (n / 3) as u8).collect();
        ports.write(base.offset(SOURCE), &source);
        if let What::Hash(kind) = load.what {
            ports.write(base.offset(IV), kind.initial_state());
        }
        Self { handle, vcpu, base, sysino, head: 0, tail: 0, given: 0, done: 0 }
    }

    /// Queues jobs until enough are.
    fn fill(&mut self, ports: &mut dyn Ports, load: &Load) {
        let room = (CWQ_ENTRIES_MAX as usize - 1) / load.words();
        let before = self.tail;
        while self.given < load.jobs && self.given - self.done < load.depth.min(room) {
            let result = (self.given % room * load.bytes) as u64;
            for n in 0..load.words() {
                let bytes = (load.bytes - n * Control::BYTES_MAX).min(Control::BYTES_MAX);
                let mut entry = Entry { control: Control::more(bytes), ..Entry::default() };
                if n == 0 {
                    entry = self.first(load, bytes);
                    entry.destination = self.base.offset(RESULTS + result);
                }
                if n + 1 == load.words() {
                    entry.control = entry.control.with(Control::EOB | Control::INTERRUPT);
                }
                entry.source = self.base.offset(SOURCE + (n * Control::BYTES_MAX) as u64);
                ports.write(self.base.offset(self.tail), &entry.to_bytes());
                self.tail = (self.tail + ENTRY_BYTES) % QUEUE_BYTES;
            }
            self.given += 1;
        }
        if self.tail != before {
            ports.hcall_on(self.vcpu, NCS_SETTAIL, [self.handle, self.tail, 0, 0, 0]).unwrap();
        }
    }

    /// The first word of a job.
    fn first(&self, load: &Load, bytes: usize) -> Entry {
        let (key, iv) = (self.base.offset(KEY), self.base.offset(IV));
        match load.what {
            What::Cipher(kind, chaining) => {
                let marks = Control::SOB | Control::ENCRYPT;
                let control = Control::cipher(kind, chaining, bytes).with(marks);
                Entry { control, key, iv, ..Entry::default() }
            }
            What::Hash(kind) => {
                let control = Control::hash(kind, None, bytes).with(Control::SOB);
                Entry { control, auth_iv: iv, ..Entry::default() }
            }
        }
    }

    /// Its interrupt came: counts jobs that have ended, and says that it has seen them.
    fn collect(&mut self, ports: &mut dyn Ports, load: &Load) {
        let [head, ..] = ports.hcall(NCS_GETHEAD, [self.handle, 0, 0, 0, 0]).unwrap();
        let mut words = 0;
        while self.head != head {
            let mut control = [0; 8];
            ports.read(self.base.offset(self.head), &mut control);
            let control = Control(u64::from_be_bytes(control));
            assert!(control.has(Control::DONE) && !control.has(Control::PROTOCOL_ERROR));
            self.head = (self.head + ENTRY_BYTES) % QUEUE_BYTES;
            words += 1;
        }
        assert_eq!(words % load.words(), 0, "the words of a chain end together");
        self.done += words / load.words();
        ports.hcall(NCS_SETHEAD_MARKER, [self.handle, head, 0, 0, 0]).unwrap();
        ports.hcall(INTR_SETSTATE, [self.sysino, 0, 0, 0, 0]).unwrap();
    }
}

/// A control domain that keeps its units at work.
struct Driver {
    load: Load,
    units: Vec<Unit>,
    began: SimTime,
    /// How long it took, once all jobs are done.
    took: Arc<Mutex<Option<SimTime>>>,
}

impl Program for Driver {
    fn event(&mut self, event: Event, ports: &mut dyn Ports) {
        let load = self.load;
        match event {
            Event::Start => {
                for (group, major) in [(CORE_GROUP, 1), (INTR_GROUP, 1), (NCS_GROUP, 2)] {
                    ports.core_call(API_SET_VERSION, [group, major, 0, 0, 0]).unwrap();
                }
                let queue = [DEV_MONDO, ports.memory().0.0, DEV_MONDO_ENTRIES, 0, 0];
                ports.hcall(CPU_QCONF, queue).unwrap();
                self.began = ports.now();
                self.units = (0..load.units).map(|n| Unit::open(ports, n, &load)).collect();
                self.units.iter_mut().for_each(|unit| unit.fill(ports, &load));
            }
            Event::Mondo([cookie, ..]) => {
                let unit = self.units.iter_mut().find(|unit| unit.sysino == cookie).unwrap();
                unit.collect(ports, &load);
                unit.fill(ports, &load);
                if self.units.iter().all(|unit| unit.done == load.jobs) {
                    *self.took.lock().unwrap() = Some(ports.now().since(self.began));
                }
            }
            _ => {}
        }
    }
}

/// Bits a second of one unit, in a chassis where all do the same.
fn measure(load: Load) -> f64 {
    let text = "name = \"units\"\nnetworks = {}\n\
                [chassis.t5120]\nmodel = \"t5120\"\nboot = \"hello\"\naddresses = {}\n";
    let scenario = Scenario::parse(text, "units.toml", &[]).unwrap();
    let took = Arc::new(Mutex::new(None));
    let mut world = World::new(&scenario, "units.toml", 1, &mut |_, _, inventory| {
        let primary = Primary {
            vcpus: load.units * STRIDE,
            memory_bytes: 1 << 30,
            crypto: load.units,
            ..Primary::default()
        };
        let Factory { hvmd, writes, .. } = Factory::new(inventory, &primary).unwrap();
        let (units, took) = (Vec::new(), Arc::clone(&took));
        let driver = Driver { load, units, began: SimTime::ZERO, took };
        Ok(PowerOn { writes, hvmd, program: Box::new(driver) })
    })
    .unwrap();
    loop {
        if let Some(took) = *took.lock().unwrap() {
            return (load.jobs * load.bytes * 8) as f64 / took.as_secs_f64();
        }
        assert!(world.now() < SimTime::secs(2), "the units have stopped");
        world.run_until(world.now().plus(SimTime::ms(1))).unwrap();
    }
}

/// The peak of one unit at our clock, bits a second.
fn peak(engine: Engine) -> f64 {
    let (_, gbit) = PEAKS.into_iter().find(|&(peak, _)| peak == engine).unwrap();
    gbit as f64 * 1e9 / 8.0 * T2_HZ as f64 / 1.4e9
}

#[test]
fn the_rates_of_the_book_are_those_that_units_work_at() {
    let mut table = "| engine | chip at 1.4 GHz, Gbit/s | a unit at 1165 MHz, MB/s |\n\
                     | --- | ---: | ---: |\n"
        .to_owned();
    for (engine, gbit) in PEAKS {
        table += &format!("| `{engine:?}` | {gbit} | {:.1} |\n", peak(engine) / 8e6);
    }
    println!("{table}");
    assert!(BOOK.contains(&table), "crypto.md has another table than this:\n{table}");
}

#[test]
fn the_table_of_the_book_is_what_units_reach_and_long_jobs_reach_the_peaks() {
    let rows = [
        ("AES-128, counter", What::Cipher(CipherKind::Aes128, Chaining::Ctr), Engine::Aes128),
        ("AES-256, counter", What::Cipher(CipherKind::Aes256, Chaining::Ctr), Engine::Aes256),
        ("SHA-256", What::Hash(HashKind::Sha256), Engine::Sha256),
        ("3DES, CBC", What::Cipher(CipherKind::TripleDes, Chaining::Cbc), Engine::TripleDes),
    ];
    let jobs = [("64 B", 64, 2000), ("1 KB", 1 << 10, 1000), ("16 KB", 16 << 10, 100)];
    let jobs = jobs.into_iter().chain([("1 MB", 1 << 20, 3)]);
    let mut table =
        "| operation | job | one at a time, MB/s | queued, MB/s | Gbit/s | of the peak \
                     | each of 4, MB/s | each of 8, MB/s | 8 together, Gbit/s |\n\
                     | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |\n"
            .to_owned();
    for (name, what, engine) in rows {
        for (size, bytes, jobs) in jobs.clone() {
            let load = Load { what, bytes, jobs, depth: usize::MAX, units: 1 };
            let alone = measure(Load { depth: 1, jobs: jobs.div_ceil(8), ..load });
            let [one, four, eight] = [1, 4, 8].map(|units| measure(Load { units, ..load }));
            let parts = [one, four, eight].map(|rate| rate / peak(engine));
            assert!(parts.iter().all(|part| *part < 1.0), "{name}, {size}: {parts:?}");
            if size == "1 MB" {
                let near = parts.iter().all(|part| *part > 0.95);
                assert!(near, "{name}: long jobs reach {parts:?} of the peak");
            }
            let [alone_mb, one_mb, four_mb, eight_mb] =
                [alone, one, four, eight].map(|rate| rate / 8e6);
            table += &format!(
                "| {name} | {size} | {alone_mb:.1} | {one_mb:.1} | {:.2} | {:.1} % | {four_mb:.1} \
                 | {eight_mb:.1} | {:.1} |\n",
                one / 1e9,
                100.0 * parts[0],
                8.0 * eight / 1e9,
            );
        }
    }
    println!("{table}");
    assert!(BOOK.contains(&table), "crypto.md has another table than this:\n{table}");
}
