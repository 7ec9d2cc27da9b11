//! Crypto units under control words and descriptors of any content, through the queues
//! that a guest drives them by: only memory that a pointer names is written, and
//! afterwards a unit does a plain job.

#![expect(clippy::unwrap_used, reason = "a test may")]

#[expect(dead_code, reason = "no message is spoilt here")]
#[path = "../../sun4v/tests/fuzz/drive.rs"]
mod drive;

use drive::{Dice, fuzz};
use ldm::factory::{Factory, Primary};
use sim::chassis::server::PowerOn;
use sim::chassis::world::World;
use sim::lab::scenario::Scenario;
use std::sync::{Arc, Mutex};
use sun4v::addr::{Pa, Ra};
use sun4v::hcall::HvError;
use sun4v::native::{Event, Ports, Program};
use sun4v::ncs::{
    NCS_GETHEAD, NCS_GETTAIL, NCS_GROUP, NCS_QCONF, NCS_SETHEAD_MARKER, NCS_SETTAIL, QTYPE_CWQ,
    QTYPE_MAU,
};
use sun4v::time::SimTime;

/// The window of memory that may be written, behind the domain's base. Pointers name its
/// beginning; no block of 64 words with 64 KB each goes beyond its end.
const WINDOW: u64 = 0x10_0000;
const WINDOW_BYTES: u64 = 0x44_0000;
const NAMED_BYTES: u64 = 0x2_0000;
/// The queues, behind it.
const QUEUES: u64 = WINDOW + WINDOW_BYTES;
const QUEUE_BYTES: u64 = 0x2000;
/// So much of the domain's memory is looked at.
const LOOKED_AT: u64 = 0x60_0000;
const STEPS: u64 = 40;
/// How often an answer is waited for, before a unit counts as stuck.
const PATIENCE: u64 = 4000;
/// What the plain job copies, and where to.
const PLAIN: &[u8; 64] = b"sixty-four bytes that a unit copies when everything else is done";

/// Where the program is.
#[derive(Default)]
struct Told {
    plain: Option<Vec<u8>>,
    stuck: bool,
    base: u64,
    submitted: u64,
}

/// The control domain's software: a driver without scruples.
struct Driver {
    dice: Dice,
    steps: u64,
    waits: u64,
    base: u64,
    handles: Vec<(u64, u64)>,
    plain: Option<u64>,
    told: Arc<Mutex<Told>>,
}

impl Driver {
    fn pointer(&mut self) -> u64 {
        match self.dice.below(16) {
            0 => self.dice.bits() | 1 << 41,
            1 => self.base - 8,
            2 => 0,
            3 => self.base + WINDOW + self.dice.below(NAMED_BYTES),
            _ => self.base + WINDOW + self.dice.below(NAMED_BYTES) / 8 * 8,
        }
    }

    fn word(&mut self) -> [u64; 8] {
        let opcodes = [0x10, 0x20, 0x40, 0x41, 0x90, 0xa0, 0xc0, 0xc1];
        let dice = &mut self.dice;
        let plausible = dice.one(&opcodes) << 56
            | dice.one(&[3, 3, 3, 1, 2, 0]) << 53
            | dice.below(2) << 55
            | dice.below(4) << 48
            | dice.below(33) << 40
            | dice.below(12) << 32
            | dice.below(28) << 24
            | dice.below(65) << 16
            | dice.one(&[0, 7, 15, 63, 64, 255, 1023, 0xffff, 8191]);
        let mut word = [if dice.hit(8) { dice.bits() } else { plausible }; 8];
        word[1..].iter_mut().for_each(|place| *place = self.pointer());
        word
    }

    fn descriptor(&mut self) -> [u64; 8] {
        let dice = &mut self.dice;
        let kind = dice.one(&[0x81, 1, 2, 0x80, 0]);
        let control = dice.below(6) << 8 | dice.one(&[0, 3, 15, 31, 255]);
        let (control, offsets, np) =
            (if dice.hit(8) { dice.bits() } else { control }, dice.bits(), dice.bits());
        [dice.below(5), kind, control, self.pointer(), offsets, np, 0, 0]
    }

    fn act(&mut self, ports: &mut dyn Ports) {
        let kind = self.dice.one(&[QTYPE_CWQ, QTYPE_CWQ, QTYPE_MAU]);
        let base = self.base + QUEUES + kind * QUEUE_BYTES;
        let entries = 2 << self.dice.below(6);
        match self.dice.below(8) {
            0 => {
                if let Ok([handle, ..]) = ports.hcall(NCS_QCONF, [kind, base, entries, 0, 0]) {
                    self.handles.retain(|&(known, _)| known != handle);
                    self.handles.push((handle, kind));
                }
            }
            1 if !self.handles.is_empty() => {
                let (handle, kind) = self.dice.one(&self.handles);
                let _ = ports.hcall(NCS_QCONF, [kind, handle, 0, 0, 0]);
            }
            2 if !self.handles.is_empty() => {
                let (handle, _) = self.dice.one(&self.handles);
                let marker = self.dice.below(66) * 64;
                let _ = ports.hcall(NCS_SETHEAD_MARKER, [handle, marker, 0, 0, 0]);
            }
            _ if !self.handles.is_empty() => {
                let (handle, kind) = self.dice.one(&self.handles);
                let base = self.base + QUEUES + kind * QUEUE_BYTES;
                for n in 0..64 {
                    let words = if kind == QTYPE_CWQ { self.word() } else { self.descriptor() };
                    let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_be_bytes()).collect();
                    ports.write(Ra(base + n * 64), &bytes);
                }
                let tail =
                    if self.dice.hit(16) { self.dice.bits() } else { self.dice.below(64) * 64 };
                let done = ports.hcall(NCS_SETTAIL, [handle, tail, 0, 0, 0]);
                self.told.lock().unwrap().submitted += u64::from(done.is_ok());
            }
            _ => {}
        }
    }

    /// A copy of 64 bytes, on a queue that is set up anew; false while that must wait.
    fn begin_plain(&mut self, ports: &mut dyn Ports) -> bool {
        for (handle, kind) in self.handles.clone() {
            match ports.hcall(NCS_QCONF, [kind, handle, 0, 0, 0]) {
                Err(HvError::WouldBlock) => return false,
                _ => self.handles.retain(|&(known, _)| known != handle),
            }
        }
        let base = self.base + QUEUES + QTYPE_CWQ * QUEUE_BYTES;
        let (from, to) = (self.base + WINDOW, self.base + WINDOW + 0x1000);
        ports.write(Ra(from), PLAIN);
        ports.write(Ra(to), &[0; 64]);
        let control = 0x20_u64 << 56 | 3 << 53 | 63;
        for (n, word) in [control, from, 0, 0, 0, 0, 0, to].into_iter().enumerate() {
            ports.write(Ra(base + 8 * n as u64), &word.to_be_bytes());
        }
        let [handle, ..] = ports.hcall(NCS_QCONF, [QTYPE_CWQ, base, 2, 0, 0]).unwrap();
        ports.hcall(NCS_SETTAIL, [handle, 64, 0, 0, 0]).unwrap();
        self.plain = Some(handle);
        true
    }

    /// Is the plain job done?
    fn look(&mut self, handle: u64, ports: &mut dyn Ports) -> bool {
        let at = |nr| ports_at(ports, nr, handle);
        let [head, tail] = [NCS_GETHEAD, NCS_GETTAIL].map(at);
        if head != tail {
            return false;
        }
        let mut bytes = vec![0; 64];
        ports.read(Ra(self.base + WINDOW + 0x1000), &mut bytes);
        self.told.lock().unwrap().plain = Some(bytes);
        true
    }
}

impl Program for Driver {
    fn event(&mut self, event: Event, ports: &mut dyn Ports) {
        match event {
            Event::Start => {
                self.base = ports.memory().0.0;
                self.told.lock().unwrap().base = self.base;
                ports.core_call(0, [NCS_GROUP, 2, 0, 0, 0]).unwrap();
                for at in (0..NAMED_BYTES).step_by(8) {
                    ports.write(Ra(self.base + WINDOW + at), &self.dice.bits().to_be_bytes());
                }
            }
            Event::Timer(_) => {}
            _ => return,
        }
        let ended = if self.steps < STEPS {
            self.steps += 1;
            self.act(ports);
            false
        } else {
            self.waits += 1;
            match self.plain {
                None => {
                    self.begin_plain(ports);
                    false
                }
                Some(handle) => self.look(handle, ports),
            }
        };
        if self.waits > PATIENCE {
            self.told.lock().unwrap().stuck = true;
        } else if !ended {
            let span = SimTime::us(1 + self.dice.below(40));
            ports.set_timer(ports.now().plus(span), 0);
        }
    }
}

fn ports_at(ports: &mut dyn Ports, nr: u64, handle: u64) -> u64 {
    ports.hcall(nr, [handle, 0, 0, 0, 0]).unwrap()[0]
}

/// A chassis whose control domain has a core's units and runs `driver`.
fn world(driver: Driver) -> World {
    let text = "name = \"units\"\nnetworks = {}\n[chassis.s]\nmodel = \"t5120\"\n\
                boot = \"hello\"\naddresses = {}\n";
    let scenario = Scenario::parse(text, "units.toml", &[]).unwrap();
    let mut driver = Some(driver);
    World::new(&scenario, "units.toml", 1, &mut |_, _, inventory| {
        let primary = Primary { vcpus: 8, memory_bytes: 1 << 30, crypto: 1, ..Primary::default() };
        let Factory { writes, hvmd, .. } = Factory::new(inventory, &primary).unwrap();
        Ok(PowerOn { writes, hvmd, program: Box::new(driver.take().unwrap()) })
    })
    .unwrap()
}

/// The start of the control domain's memory without what may be written.
fn rest(world: &World, base: u64) -> Vec<u8> {
    let server = &world.servers()[0];
    let guest = server.hypervisor().guest(sun4v::id::GuestId(0)).unwrap();
    let pa = guest.map.resolve(Ra(base), LOOKED_AT).unwrap();
    let mut bytes = vec![0; LOOKED_AT as usize];
    server.board().ram().read(Pa(pa.0), &mut bytes);
    bytes.drain(WINDOW as usize..(QUEUES + 4 * QUEUE_BYTES) as usize);
    bytes
}

#[test]
fn control_words() {
    let mut submitted = 0;
    // 198: a queue was given anew while its words were under way, and was never idle again.
    // 72: a block without an end kept the unit waiting.
    fuzz("control_words", &[198, 72], |dice| {
        let told = Arc::new(Mutex::new(Told::default()));
        let driver = Driver {
            dice: Dice::new(dice.bits()),
            steps: 0,
            waits: 0,
            base: 0,
            handles: Vec::new(),
            plain: None,
            told: told.clone(),
        };
        let mut world = world(driver);
        while told.lock().unwrap().plain.is_none() {
            world.run_until(world.now().plus(SimTime::ms(1))).unwrap();
            assert!(!told.lock().unwrap().stuck, "a unit is stuck");
        }
        let told = told.lock().unwrap();
        assert_eq!(told.plain.as_deref(), Some(&PLAIN[..]));
        assert!(rest(&world, told.base).iter().all(|&byte| byte == 0), "memory was written");
        submitted += told.submitted;
    });
    eprintln!("{submitted} times words were submitted");
}
