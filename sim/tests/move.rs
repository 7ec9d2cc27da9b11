//! `rover` moves between two boards by the hypervisor's own calls: what it computes,
//! prints and counts goes on as if nothing had happened.

#![expect(clippy::unwrap_used, reason = "a test ends there")]

use hv::platform::{Machine, Mode};
use hv::{HvMemory, Hypervisor};
use ldm::mdgen::GuestMd;
use sim::chassis::board::Board;
use sim::mem::Ram;
use std::collections::BTreeMap;
use std::sync::Arc;
use sun4v::addr::{PAGE_BYTES, Pa, Ra, RealRange};
use sun4v::hcall::nr;
use sun4v::hvctl::migrate::{Buffer, Pages};
use sun4v::hvctl::{Body, Op, Reply, Request, Status, VERSION, migrate, response};
use sun4v::hvmd::{ConsoleConf, GuestConf, HvConfig, LdcConf, LdcTarget, MblockConf, VcpuConf};
use sun4v::id::{GuestId, LdcId, StrandId, VcpuId};
use sun4v::time::{SimTime, T2_HZ};

const ROVER_IMAGE: &[u8] = include_bytes!("../../firmware/images/rover.bin");
const PRIMARY: GuestId = GuestId(0);
const ROVER: GuestId = GuestId(1);
const OWN: HvMemory = HvMemory { base: Pa(0), bytes: 0x100_0000 };
const MD: Pa = Pa(0x1000);
const GUEST_MD: Pa = Pa(0x1_0000);
const ROM: Pa = Pa(0x10_0000);
const BASE: u64 = 0x800_0000;
/// Memory of each guest.
const BYTES: u64 = 16 << 20;
const PAGES: u32 = (BYTES / PAGE_BYTES) as u32;
const SLICE: SimTime = SimTime::us(10);

const LIST: u64 = BASE + 0x1_0000;
const BUFFER: u64 = BASE + 0x10_0000;
const TX: u64 = BASE + 0x2000;
const RX: u64 = BASE + 0x4000;

/// One chassis, whose manager is the test.
struct Chassis {
    hv: Hypervisor,
    board: Board,
    ram: Arc<Ram>,
    seqn: u16,
    console: String,
}

impl Chassis {
    /// Switched on, with a session; rover's memory is at `pa`, its strands from `first`.
    fn new(pa: u64, first: u8) -> Self {
        let ram = Arc::new(Ram::new(0x1000_0000).unwrap());
        let range = |pa| RealRange { ra: Ra(BASE), pa: Pa(pa), size: BYTES };
        let md = GuestMd {
            name: "rover".into(),
            stick_hz: T2_HZ,
            vcpus: vec![(VcpuId(0), StrandId(first)), (VcpuId(1), StrandId(first + 1))],
            memory: vec![range(pa)],
            console: true,
            ..GuestMd::default()
        };
        let guest = |id: u8, name: &str, rom_bytes| GuestConf {
            id: GuestId(id),
            name: name.into(),
            md_pa: GUEST_MD,
            rom_pa: ROM,
            rom_bytes,
            tod_offset: 0,
            privileges: Default::default(),
        };
        let vcpu = |strand, guest, vid| VcpuConf {
            strand: StrandId(strand),
            guest: GuestId(guest),
            vid: VcpuId(vid),
        };
        let config = HvConfig {
            guests: vec![guest(0, "primary", 0), guest(1, "rover", ROVER_IMAGE.len() as u64)],
            vcpus: vec![vcpu(0, 0, 0), vcpu(first, 1, 0), vcpu(first + 1, 1, 1)],
            mblocks: vec![
                MblockConf { guest: PRIMARY, range: range(0x200_0000) },
                MblockConf { guest: ROVER, range: range(pa) },
            ],
            ldc_endpoints: vec![LdcConf {
                guest: PRIMARY,
                channel: LdcId(0),
                target: LdcTarget::Hypervisor,
                tx_ino: 0,
                rx_ino: 1,
                private_console: false,
                leads: false,
            }],
            consoles: vec![ConsoleConf { guest: ROVER, ino: 0x11, endpoint: None }],
            ..HvConfig::default()
        };
        ram.write(MD, &config.to_md().to_bytes());
        ram.write(GUEST_MD, &md.to_md());
        ram.write(ROM, ROVER_IMAGE);
        let mut board = Board::new(Arc::clone(&ram));
        board.declare_native(PRIMARY);
        let mut hv = Hypervisor::power_on(OWN, MD, &mut board).unwrap();
        hv.start(PRIMARY, &mut board).unwrap();
        let mut chassis = Self { hv, board, ram, seqn: 0, console: String::new() };
        for (group, major) in [(1, 1), (2, 1), (0x101, 1)] {
            chassis.call(0xff, 0, [group, major, 9, 0, 0]);
        }
        chassis.call(0x80, nr::ldc_tx_qconf, [0, TX, 2, 0, 0]);
        chassis.call(0x80, nr::ldc_rx_qconf, [0, RX, 64, 0, 0]);
        let Body::Challenge { code, .. } = chassis.ask(Request::Hello(VERSION)).body else {
            panic!("no challenge")
        };
        chassis.ask(Request::Response(response(code)));
        chassis
    }

    fn call(&mut self, number: u8, nr: u64, args: [u64; 5]) -> [u64; 5] {
        self.hv.native_call(PRIMARY, VcpuId(0), number, nr, args, &mut self.board).unwrap()
    }

    /// Where the control domain's memory lies.
    fn own(&self, ra: u64) -> Pa {
        self.hv.guest(PRIMARY).unwrap().map.resolve(Ra(ra), 8).unwrap()
    }

    fn ask(&mut self, request: Request) -> Reply {
        let [_, tail, _, ..] = self.call(0x80, nr::ldc_tx_get_state, [0; 5]);
        self.ram.write(self.own(TX + tail), &request.to_bytes(self.seqn));
        self.seqn += 1;
        self.call(0x80, nr::ldc_tx_set_qtail, [0, (tail + 64) % 128, 0, 0, 0]);
        loop {
            let [head, tail, ..] = self.call(0x80, nr::ldc_rx_get_state, [0; 5]);
            assert_ne!(head, tail, "no reply");
            let mut message = [0; 64];
            self.ram.read(self.own(RX + head), &mut message);
            self.call(0x80, nr::ldc_rx_set_qhead, [0, (head + 64) % 4096, 0, 0, 0]);
            let reply = Reply::parse(&message).unwrap();
            if reply.op != Op::NewResStat {
                assert_eq!(reply.status, Status::Ok, "{request:x?}: {reply:x?}");
                return reply;
            }
        }
    }

    fn migrate(&mut self, request: migrate::Request) -> u64 {
        match self.ask(Request::Migrate(request)).body {
            Body::Migrate { value, .. } => value,
            body => panic!("{body:?}"),
        }
    }

    /// When something happens next.
    fn next(&self) -> SimTime {
        if self.hv.has_work() {
            return SimTime::ZERO;
        }
        match self.board.domain(ROVER) {
            Some(domain) if self.hv.runs(ROVER) => domain.next_time(),
            _ => SimTime::NEVER,
        }
    }

    /// A slice up to `until`, and the boundary.
    fn slice(&mut self, until: SimTime) {
        if self.hv.runs(ROVER) {
            let mut domain = self.board.take_domain(ROVER).unwrap();
            let mut guest = self.hv.take(ROVER).unwrap();
            domain.run(&mut guest, until);
            self.hv.put(guest);
            self.board.put_domain(ROVER, domain);
        }
        self.board.set_now(until);
        self.hv.boundary(&mut self.board);
        let mut console = self.board.take_console();
        self.console += &String::from_utf8(console.remove(&ROVER).unwrap_or_default()).unwrap();
    }

    fn memory(&self) -> Vec<u8> {
        let place = self.hv.guest(ROVER).unwrap().map.ranges()[0].pa;
        let mut bytes = vec![0; BYTES as usize];
        self.ram.read(place, &mut bytes);
        bytes
    }
}

/// Two chassis in one time.
struct Lab {
    here: Chassis,
    there: Chassis,
    now: SimTime,
}

impl Lab {
    /// Rover runs here; there is a shell for it.
    fn new() -> Self {
        let mut lab = Self {
            here: Chassis::new(0x400_0000, 8),
            there: Chassis::new(0x800_0000, 20),
            now: SimTime::ZERO,
        };
        lab.here.ask(Request::GuestStart(1));
        lab
    }

    fn run(&mut self, span: SimTime) {
        let end = self.now.plus(span);
        while self.now < end {
            let due = self.here.next().min(self.there.next()).max(self.now);
            let grid = SimTime(due.0 / SLICE.0 * SLICE.0).plus(SLICE);
            self.now = grid.min(end);
            self.here.slice(self.now);
            self.there.slice(self.now);
        }
    }

    /// Carries pages from here to there.
    fn carry(&mut self, which: &[u32]) {
        for some in which.chunks(512) {
            let list: Vec<u8> = some.iter().flat_map(|page| page.to_be_bytes()).collect();
            let pages =
                Pages { guest: 1, list: Ra(LIST), count: some.len() as u32, buffer: Ra(BUFFER) };
            self.here.ram.write(self.here.own(LIST), &list);
            self.here.migrate(migrate::Request::PagesOut(pages));
            let mut contents = vec![0; some.len() * PAGE_BYTES as usize];
            self.here.ram.read(self.here.own(BUFFER), &mut contents);
            self.there.ram.write(self.there.own(LIST), &list);
            self.there.ram.write(self.there.own(BUFFER), &contents);
            self.there.migrate(migrate::Request::PagesIn(pages));
        }
    }

    fn dirty(&mut self) -> Vec<u32> {
        let map = Buffer { guest: 1, buffer: Ra(BUFFER), bytes: u64::from(PAGES) / 8 };
        self.here.migrate(migrate::Request::DirtyRead { first: 0, map });
        let mut bits = vec![0u8; PAGES as usize / 8];
        self.here.ram.read(self.here.own(BUFFER), &mut bits);
        (0..PAGES).filter(|&page| bits[page as usize / 8] >> (page % 8) & 1 != 0).collect()
    }

    /// All pages, then what became dirty, until the guest is suspended and its state is
    /// there too. How many pages were left for the pause.
    fn copy(&mut self) -> usize {
        self.here.migrate(migrate::Request::LogStart(1));
        self.carry(&(0..PAGES).collect::<Vec<_>>());
        for _ in 0..3 {
            self.run(SimTime::ms(50));
            let dirty = self.dirty();
            self.carry(&dirty);
        }
        self.run(SimTime::ms(50));
        self.here.migrate(migrate::Request::Suspend(1));
        self.run(SimTime::ms(20));
        let rest = self.dirty();
        self.carry(&rest);
        let buffer = Buffer { guest: 1, buffer: Ra(BUFFER), bytes: 1 << 16 };
        let bytes = self.here.migrate(migrate::Request::StateOut(buffer));
        let mut state = vec![0; bytes as usize];
        self.here.ram.read(self.here.own(BUFFER), &mut state);
        assert!(self.here.memory() == self.there.memory(), "a dirty page was missed");
        self.there.ram.write(self.there.own(BUFFER), &state);
        self.run(SimTime::ms(30));
        self.there.migrate(migrate::Request::StateIn(Buffer { bytes, ..buffer }));
        rest.len()
    }
}

/// The lines that begin with `word`, as numbers.
fn numbers(console: &str, word: &str) -> Vec<Vec<u64>> {
    let lines = console.lines().filter_map(|line| line.strip_prefix(word));
    lines.map(|line| line.split([' ', '.']).filter_map(|n| n.parse().ok()).collect()).collect()
}

#[test]
fn rover_goes_on_where_it_was() {
    let mut lab = Lab::new();
    lab.run(SimTime::secs(5));
    let left = lab.copy();
    assert!(left > 0 && left < 200, "{left} pages in the pause");
    lab.run(SimTime::ms(30));
    lab.there.migrate(migrate::Request::Resume(1));
    lab.here.migrate(migrate::Request::LogStop(1));
    lab.here.ask(Request::GuestStop(1));
    let before = lab.here.console.clone();
    lab.run(SimTime::secs(8));
    assert_eq!(lab.here.console, before, "it runs in one place");
    let all = format!("{}{}", lab.here.console, lab.there.console);
    let clocks = numbers(&all, "clock: ");
    assert!(clocks.len() >= 6, "{all}");
    assert!(lab.there.console.contains("clock: "), "{all}");
    for (pair, number) in clocks.windows(2).zip(1..) {
        assert_eq!(pair[1][0], number + 1, "{all}");
        assert_eq!(pair[1][1] - pair[0][1], 2, "the time of day goes on: {all}");
        assert_eq!(pair[1][2] - pair[0][2], 2, "and so does its own: {all}");
    }
    assert!(!all.contains("BAD") && !all.contains("panic"), "{all}");
}

impl Lab {
    /// One whose guest is stopped, and counts for ever once it is started.
    fn with_counter() -> Self {
        let mut lab = Self::new();
        lab.run(SimTime::ms(1));
        lab.here.ask(Request::GuestStop(1));
        lab.run(SimTime::ms(1));
        lab.here.ram.write(ROM, &counter());
        lab
    }
}

/// A flat image whose first virtual CPU counts for ever.
fn counter() -> Vec<u8> {
    // loop: add %g1, 1, %g1; ba loop; nop
    let words = [0x8200_6001_u32, 0x10bf_ffff, 0x0100_0000];
    let mut image = vec![0; 0x20];
    image.extend(words.iter().flat_map(|word| word.to_be_bytes()));
    image.resize(ROVER_IMAGE.len(), 0);
    image
}

#[test]
fn a_guest_that_is_held_executes_for_the_rest_of_the_time_only() {
    let mut lab = Lab::with_counter();
    lab.here.ask(Request::GuestStart(1));
    lab.run(SimTime::ms(1));
    let count = |lab: &mut Lab| {
        let done = |lab: &Lab| lab.here.board.domain(ROVER).unwrap().instructions();
        let before = done(lab);
        lab.run(SimTime::ms(4));
        done(lab) - before
    };
    let free = count(&mut lab);
    assert!(free > 4 * T2_HZ / 1000 * 9 / 10, "{free}");
    lab.here.migrate(migrate::Request::LogStart(1));
    for percent in [25, 75, 95] {
        lab.here.migrate(migrate::Request::Hold { guest: 1, percent });
        let held = count(&mut lab);
        let expected = free * u64::from(100 - percent) / 100;
        // What a slice's last instruction takes, and half a loop.
        assert!(held.abs_diff(expected) < free / 100, "{percent} %: {held} of {free}");
    }
    lab.here.migrate(migrate::Request::LogStop(1));
    let again = count(&mut lab);
    assert!(again.abs_diff(free) < free / 100, "{again} of {free}");
}

#[test]
fn the_clock_of_a_guest_that_is_held_goes_on() {
    let mut lab = Lab::new();
    lab.run(SimTime::secs(3));
    lab.here.migrate(migrate::Request::LogStart(1));
    lab.here.migrate(migrate::Request::Hold { guest: 1, percent: 90 });
    lab.run(SimTime::secs(8));
    let clocks = numbers(&lab.here.console, "clock: ");
    assert!(clocks.len() >= 5, "{}", lab.here.console);
    for pair in clocks.windows(2) {
        let steps = [0, 1, 2].map(|n| pair[1][n] - pair[0][n]);
        assert_eq!(steps, [1, 2, 2], "count, time of day, its own: {}", lab.here.console);
    }
}

#[test]
fn a_virtual_cpu_that_is_delayed_executes_nothing_until_then() {
    let mut lab = Lab::with_counter();
    assert_eq!(lab.here.board.cpus(ROVER).mode(VcpuId(0)), Mode::Waits);
    lab.here.ask(Request::GuestStart(1));
    lab.run(SimTime::ms(1));
    let modes = [0, 1].map(|id| lab.here.board.cpus(ROVER).mode(VcpuId(id)));
    assert_eq!(modes, [Mode::Masked, Mode::Waits], "PIL is 15; the other was never started");
    let done = |lab: &Lab| lab.here.board.domain(ROVER).unwrap().instructions();
    let (before, busy) = (done(&lab), lab.here.board.cpus(ROVER).busy(VcpuId(0)));
    let until = lab.now.plus(SimTime::ms(2));
    lab.here.board.cpus(ROVER).delay(VcpuId(0), until);
    lab.run(SimTime::ms(2));
    assert_eq!(done(&lab), before);
    assert_eq!(lab.here.board.cpus(ROVER).busy(VcpuId(0)), busy);
    lab.run(SimTime::ms(2));
    let after = done(&lab) - before;
    assert!(after.abs_diff(2 * T2_HZ / 1000) < T2_HZ / 1000 / 10, "{after}");
}

#[test]
fn rover_stays_when_its_migration_is_given_up() {
    let (mut lab, mut calm) = (Lab::new(), Lab::new());
    lab.run(SimTime::secs(5));
    lab.copy();
    lab.here.migrate(migrate::Request::Resume(1));
    lab.here.migrate(migrate::Request::LogStop(1));
    lab.run(SimTime::secs(8));
    calm.run(lab.now);
    let clocks = |lab: &Lab| {
        let clocks = numbers(&lab.here.console, "clock: ");
        clocks.iter().map(|clock| [clock[0], clock[1], clock[2]]).collect::<Vec<_>>()
    };
    assert_eq!(clocks(&lab), clocks(&calm), "{}", lab.here.console);
    assert_eq!(lab.there.console, "");
    let states: BTreeMap<_, _> =
        [("here", lab.here.hv.runs(ROVER)), ("there", lab.there.hv.runs(ROVER))].into();
    assert_eq!(states, [("here", true), ("there", false)].into());
}
