//! One chassis whose manager is the test: its control domain asks the hypervisor for what
//! a manager asks for, over the hypervisor's own channel.
//!
//! **Shapes.** The control domain has 16 MiB at real 0x800_0000. The guest is number 1;
//! channel 1 of the control domain leads to its channel 0.

use crate::guests::{Boot, Spec};
use hv::platform::Machine as _;
use hv::{HvMemory, Hypervisor};
use ldm::mdgen::GuestMd;
use sim::chassis::board::{Board, Notice};
use sim::engine::Choice;
use sim::mem::Ram;
use std::sync::Arc;
use sun4v::addr::{PAGE_BYTES, Pa, Ra, RealRange};
use sun4v::hcall::{Group, HvError, nr};
use sun4v::hvctl::migrate::{self, Buffer, Pages};
use sun4v::hvctl::{Body, Op, Reply, Request, Status, VERSION, response};
use sun4v::hvmd::{
    ConsoleConf, CryptoConf, CryptoKind, GuestConf, HvConfig, LdcConf, LdcTarget, MblockConf,
    VcpuConf,
};
use sun4v::id::{CoreId, GuestId, LdcId, StrandId, VcpuId};
use sun4v::time::{SimTime, T2_HZ};

pub const PRIMARY: GuestId = GuestId(0);
pub const GUEST: GuestId = GuestId(1);
const OWN: HvMemory = HvMemory { base: Pa(0), bytes: 0x100_0000 };
const MD: Pa = Pa(0x1000);
const GUEST_MD: Pa = Pa(0x1_0000);
const ROM: Pa = Pa(0x10_0000);
const PRIMARY_PA: u64 = 0x200_0000;
const BASE: u64 = 0x800_0000;
const PRIMARY_BYTES: u64 = 16 << 20;

/// Where things lie in the control domain's memory.
const TX: u64 = BASE + 0x2000;
const RX: u64 = BASE + 0x4000;
const PEER_TX: u64 = BASE + 0x6000;
const PEER_RX: u64 = BASE + 0x7000;
const PEER_TABLE: u64 = BASE + 0x8000;
/// The page that is lent to the guest, and the one that is written into the guest's.
const LENT: u64 = BASE + 0xa000;
const BLOCK: u64 = BASE + 0xc000;
const LIST: u64 = BASE + 0x1_0000;
const BUFFER: u64 = BASE + 0x10_0000;
/// Entries of the channel's queues.
const PEER_ENTRIES: u64 = 8;
const PEER_BYTES: u64 = PEER_ENTRIES * 64;

pub struct Chassis {
    pub hv: Hypervisor,
    pub board: Board,
    ram: Arc<Ram>,
    /// Where the guest's memory is.
    pub range: RealRange,
    seqn: u16,
}

impl Chassis {
    /// Switched on, with a session. The guest's memory is at `pa`; its strands begin at
    /// `strand`.
    pub fn new(spec: &Spec, choice: Choice, pa: u64, strand: u8) -> Self {
        let range = RealRange { ra: Ra(spec.base), pa: Pa(pa), size: spec.bytes };
        let own = RealRange { ra: Ra(BASE), pa: Pa(PRIMARY_PA), size: PRIMARY_BYTES };
        let ram = Arc::new(Ram::new(pa + spec.bytes).unwrap());
        let seats: Vec<_> = (0..spec.vcpus).map(|n| (VcpuId(n), StrandId(strand + n))).collect();
        let md = GuestMd {
            name: spec.name.clone(),
            stick_hz: T2_HZ,
            // A guest reads on which cores it is once.
            vcpus: (0..spec.vcpus).map(|n| (VcpuId(n), StrandId(8 + n))).collect(),
            memory: vec![range],
            console: true,
            variables: spec.variables.clone(),
            ..GuestMd::default()
        };
        let rom = if let Boot::Rom(rom) = &spec.boot { rom.as_slice() } else { &[] };
        let guest = |id, name: &str, rom_bytes| GuestConf {
            id,
            name: name.into(),
            md_pa: GUEST_MD,
            rom_pa: ROM,
            rom_bytes,
            tod_offset: 0,
            privileges: Default::default(),
        };
        let endpoint = |guest, channel: u16, target| LdcConf {
            guest,
            channel: LdcId(channel),
            target,
            tx_ino: channel * 2,
            rx_ino: channel * 2 + 1,
            private_console: false,
            leads: false,
        };
        let to = |guest, channel| LdcTarget::Guest { guest, channel: LdcId(channel) };
        let vcpu = |(vid, strand), guest| VcpuConf { strand, guest, vid };
        let mut config = HvConfig {
            guests: vec![guest(PRIMARY, "primary", 0), guest(GUEST, &spec.name, rom.len() as u64)],
            vcpus: vec![vcpu((VcpuId(0), StrandId(0)), PRIMARY)],
            mblocks: vec![
                MblockConf { guest: PRIMARY, range: own },
                MblockConf { guest: GUEST, range },
            ],
            ldc_endpoints: vec![
                endpoint(PRIMARY, 0, LdcTarget::Hypervisor),
                endpoint(PRIMARY, 1, to(GUEST, 0)),
                endpoint(GUEST, 0, to(PRIMARY, 1)),
            ],
            consoles: vec![ConsoleConf { guest: GUEST, ino: 0x11, endpoint: None }],
            ..HvConfig::default()
        };
        config.vcpus.extend(seats.into_iter().map(|seat| vcpu(seat, GUEST)));
        if spec.crypto {
            let core = CoreId(strand / 8);
            for (kind, ino) in [(CryptoKind::Mau, 0x21), (CryptoKind::Cwq, 0x20)] {
                config.crypto.push(CryptoConf { core, kind, guest: GUEST, ino });
            }
        }
        ram.write(MD, &config.to_md().to_bytes());
        ram.write(GUEST_MD, &md.to_md());
        ram.write(ROM, rom);
        let mut board = Board::new(Arc::clone(&ram));
        board.set_choice(choice);
        board.declare_native(PRIMARY);
        let mut hv = Hypervisor::power_on(OWN, MD, &mut board).unwrap();
        hv.start(PRIMARY, &mut board).unwrap();
        let mut chassis = Self { hv, board, ram, range, seqn: 0 };
        for (group, major) in [(1, 1), (2, 1), (0x101, 1)] {
            chassis.call_by(0xff, 0, [group, major, 9, 0, 0]).unwrap();
        }
        chassis.call(nr::ldc_tx_qconf, [0, TX, 2, 0, 0]);
        chassis.call(nr::ldc_rx_qconf, [0, RX, 64, 0, 0]);
        chassis.put(PEER_TABLE, &((LENT | 0x600).to_be_bytes()));
        chassis.call(nr::ldc_set_map_table, [1, PEER_TABLE, 2, 0, 0]);
        chassis.call(nr::ldc_rx_qconf, [1, PEER_RX, PEER_ENTRIES, 0, 0]);
        chassis.empty_peer();
        let Body::Challenge { code, .. } = chassis.ask(Request::Hello(VERSION)).body else {
            panic!("no challenge")
        };
        chassis.ask(Request::Response(response(code)));
        chassis
    }

    /// Lets the guest begin.
    pub fn start(&mut self, spec: &Spec) {
        let Boot::Image(image) = &spec.boot else {
            self.ask(Request::GuestStart(1));
            return;
        };
        for segment in &image.segments {
            let pa = self.range.pa.offset(segment.ra - spec.base);
            self.ram.write(pa, &segment.bytes);
        }
        // Such a guest negotiates nothing.
        let mut guest = self.hv.take(GUEST).unwrap();
        let _ = guest.api.set(Group::Core as u64, 1, 1);
        self.hv.put(guest);
        self.hv.boot(GUEST, Ra(image.entry), &mut self.board).unwrap();
    }

    fn call_by(&mut self, number: u8, nr: u64, args: [u64; 5]) -> Result<[u64; 5], HvError> {
        self.hv.native_call(PRIMARY, VcpuId(0), number, nr, args, &mut self.board)
    }

    fn call(&mut self, nr: u64, args: [u64; 5]) -> [u64; 5] {
        self.call_by(0x80, nr, args).unwrap()
    }

    fn own(&self, ra: u64) -> Pa {
        Pa(ra - BASE + PRIMARY_PA)
    }

    fn put(&self, ra: u64, bytes: &[u8]) {
        self.ram.write(self.own(ra), bytes);
    }

    fn get(&self, ra: u64, bytes: usize) -> Vec<u8> {
        let mut contents = vec![0; bytes];
        self.ram.read(self.own(ra), &mut contents);
        contents
    }

    /// Sends a command.
    pub fn say(&mut self, request: Request) {
        let [_, tail, _, ..] = self.call(nr::ldc_tx_get_state, [0; 5]);
        self.put(TX + tail, &request.to_bytes(self.seqn));
        self.seqn = self.seqn.wrapping_add(1);
        self.call(nr::ldc_tx_set_qtail, [0, (tail + 64) % 128, 0, 0, 0]);
    }

    /// The reply to it, if it is there.
    pub fn hear(&mut self) -> Option<Reply> {
        loop {
            let [head, tail, ..] = self.call(nr::ldc_rx_get_state, [0; 5]);
            if head == tail {
                return None;
            }
            let message = self.get(RX + head, 64).try_into().unwrap();
            self.call(nr::ldc_rx_set_qhead, [0, (head + 64) % 4096, 0, 0, 0]);
            let reply = Reply::parse(&message).unwrap();
            if reply.op != Op::NewResStat {
                return Some(reply);
            }
        }
    }

    /// Sends a command that is answered at once, with success.
    pub fn ask(&mut self, request: Request) -> Reply {
        self.say(request);
        let reply = self.hear().unwrap();
        assert_eq!(reply.status, Status::Ok, "{request:x?}: {reply:x?}");
        reply
    }

    pub fn migrate(&mut self, request: migrate::Request) -> u64 {
        match self.ask(Request::Migrate(request)).body {
            Body::Migrate { value, .. } => value,
            body => panic!("{body:?}"),
        }
    }

    /// Pages of the guest.
    pub fn pages(&self) -> u32 {
        (self.range.size / PAGE_BYTES) as u32
    }

    /// Which pages are dirty.
    pub fn dirty(&mut self) -> Vec<u32> {
        let pages = self.pages();
        let map = Buffer { guest: 1, buffer: Ra(BUFFER), bytes: u64::from(pages).div_ceil(8) };
        let count = self.migrate(migrate::Request::DirtyRead { first: 0, map });
        let bits = self.get(BUFFER, map.bytes as usize);
        let is = |page: &u32| bits[*page as usize / 8] >> (page % 8) & 1 != 0;
        let dirty: Vec<u32> = (0..pages).filter(is).collect();
        assert_eq!(dirty.len() as u64, count);
        dirty
    }

    /// Carries pages to another chassis; of those that are all zero only the number.
    pub fn carry(&mut self, which: &[u32], to: &mut Self) {
        for some in which.chunks(512) {
            let list: Vec<u8> = some.iter().flat_map(|page| page.to_be_bytes()).collect();
            let pages =
                Pages { guest: 1, list: Ra(LIST), count: some.len() as u32, buffer: Ra(BUFFER) };
            self.put(LIST, &list);
            self.migrate(migrate::Request::PagesOut(pages));
            let bytes = self.get(BUFFER, some.len() * PAGE_BYTES as usize);
            let (mut list, mut zeros, mut contents) = (Vec::new(), Vec::new(), Vec::new());
            for (page, bytes) in some.iter().zip(bytes.chunks_exact(PAGE_BYTES as usize)) {
                if bytes.iter().all(|&byte| byte == 0) {
                    zeros.extend(page.to_be_bytes());
                } else {
                    list.extend(page.to_be_bytes());
                    contents.extend_from_slice(bytes);
                }
            }
            to.put(LIST, &zeros);
            let count = zeros.len() as u32 / 4;
            to.migrate(migrate::Request::PagesZero(Pages { count, ..pages }));
            to.put(LIST, &list);
            to.put(BUFFER, &contents);
            let count = list.len() as u32 / 4;
            to.migrate(migrate::Request::PagesIn(Pages { count, ..pages }));
        }
    }

    /// The guest's records.
    pub fn state_out(&mut self) -> Vec<u8> {
        let room = Buffer { guest: 1, buffer: Ra(BUFFER), bytes: 1 << 18 };
        let bytes = self.migrate(migrate::Request::StateOut(room));
        self.get(BUFFER, bytes as usize)
    }

    pub fn state_in(&mut self, state: &[u8]) {
        self.put(BUFFER, state);
        let bytes = state.len() as u64;
        self.migrate(migrate::Request::StateIn(Buffer { guest: 1, buffer: Ra(BUFFER), bytes }));
    }

    /// A slice up to `until`, and the boundary unless it is left for later. How the guest
    /// ended, if it did, and what it wrote.
    pub fn slice(&mut self, until: SimTime, boundary: bool) -> (Option<u64>, Vec<u8>) {
        if self.hv.runs(GUEST) {
            let mut domain = self.board.take_domain(GUEST).unwrap();
            let mut guest = self.hv.take(GUEST).unwrap();
            domain.run(&mut guest, until);
            self.hv.put(guest);
            self.board.put_domain(GUEST, domain);
        }
        self.board.set_now(until);
        if !boundary {
            return (None, Vec::new());
        }
        self.board.end_crypto(&mut self.hv);
        self.hv.boundary(&mut self.board);
        let mut ended = None;
        for notice in self.board.take_notices() {
            if let Notice::Exited(_, code) = notice {
                ended = Some(code);
            }
        }
        (ended, self.board.take_console().remove(&GUEST).unwrap_or_default())
    }

    /// When something happens next.
    pub fn next(&self) -> SimTime {
        if self.hv.has_work() {
            return SimTime::ZERO;
        }
        let domain = self.board.domain(GUEST).filter(|_| self.hv.runs(GUEST));
        let next = domain.map_or(SimTime::NEVER, |domain| domain.next_time());
        next.min(self.board.crypto_due())
    }

    /// Reads the guest's memory, from byte `at`.
    pub fn read(&self, at: u64, bytes: &mut [u8]) {
        self.ram.read(self.range.pa.offset(at), bytes);
    }

    /// Overwrites all of the guest's memory with noise that nobody has written.
    pub fn spoil(&self) {
        let page = [0xa5; PAGE_BYTES as usize];
        for n in 0..u64::from(self.pages()) {
            self.ram.write(self.range.pa.offset(n * PAGE_BYTES), &page);
        }
    }

    /// The guest's translations are forgotten, as they are when it moves.
    pub fn forget_translations(&mut self) {
        let ids: Vec<VcpuId> = self.hv.guest(GUEST).unwrap().vcpus.keys().copied().collect();
        let both = hv::platform::Tlbs { data: true, instruction: true };
        ids.into_iter().for_each(|id| self.board.cpus(GUEST).demap_all(id, both));
    }

    /// The transmit queue of the peer is empty.
    fn empty_peer(&mut self) {
        self.call(nr::ldc_tx_qconf, [1, PEER_TX, PEER_ENTRIES, 0, 0]);
    }
}

/// What the guest's peer is doing: it answers a request by writing two pages into the
/// guest, and a packet, each a few slices later. It moves with the guest: its chassis has
/// only queues.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Peer {
    /// Number of the request, and slices since it came.
    pub request: Option<(u64, u32)>,
    /// Number of the last one, which says what is in the page that is lent.
    last: u64,
}

impl Peer {
    /// Fills the page that is lent.
    fn lend(&self, chassis: &Chassis) {
        let lent: Vec<u8> =
            (0..PAGE_BYTES).map(|at| at.wrapping_mul(7).wrapping_add(self.last) as u8).collect();
        chassis.put(LENT, &lent);
    }

    /// A step, at a boundary.
    pub fn step(&mut self, chassis: &mut Chassis) {
        let [head, tail, state, ..] = chassis.call(nr::ldc_rx_get_state, [1, 0, 0, 0, 0]);
        if state != 1 {
            // The other end went, or is another: begin anew, as drivers do.
            if state == 2 {
                chassis.call(nr::ldc_rx_set_qhead, [1, tail, 0, 0, 0]);
                chassis.empty_peer();
            }
            self.request = None;
            self.lend(chassis);
            return;
        }
        if head != tail {
            let packet = chassis.get(PEER_RX + head, 64);
            let number = u64::from_be_bytes(packet[8..16].try_into().unwrap());
            chassis.call(nr::ldc_rx_set_qhead, [1, (head + 64) % PEER_BYTES, 0, 0, 0]);
            (self.request, self.last) = (Some((number, 0)), number);
            self.lend(chassis);
        }
        let Some((number, slices)) = self.request else { return };
        match slices {
            2 | 4 => {
                let page = u64::from(slices / 2 - 1);
                let block: Vec<u8> =
                    (0..PAGE_BYTES).map(|at| at.wrapping_add(number) as u8).collect();
                chassis.put(BLOCK, &block);
                let copy = [1, 1, page << 13, BLOCK, PAGE_BYTES];
                // A guest may have lent nothing.
                if chassis.call_by(0x80, nr::ldc_copy, copy).is_err() {
                    self.request = None;
                    return;
                }
            }
            6 => {
                let [_, tail, ..] = chassis.call(nr::ldc_tx_get_state, [1, 0, 0, 0, 0]);
                let mut packet = [0; 64];
                packet[..8].copy_from_slice(&2u64.to_be_bytes());
                packet[8..16].copy_from_slice(&number.to_be_bytes());
                chassis.put(PEER_TX + tail, &packet);
                chassis.call(nr::ldc_tx_set_qtail, [1, (tail + 64) % PEER_BYTES, 0, 0, 0]);
                self.request = None;
                return;
            }
            _ => {}
        }
        self.request = Some((number, slices + 1));
    }
}
