//! Domains for tests: memory, channels between them, and ports that write down
//! what a program does. The hypercalls are those of the channel, interrupt and
//! machine-description groups, and do what the specification says.

/// What drives fuzz targets.
#[path = "../../sun4v/tests/fuzz/drive.rs"]
pub(crate) mod drive;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use sun4v::addr::{PAGE_BYTES, Pa, Ra};
use sun4v::hcall::HvError;
use sun4v::hvmd::{Inventory, Rom};
use sun4v::ldc::map::MAP_ENTRY_BYTES;
use sun4v::ldc::map::MapPerms;
use sun4v::ldc::{
    COPY_IN, COPY_OUT, CookieAddr, LDC_COPY, LDC_RX_GET_STATE, LDC_RX_QCONF, LDC_RX_SET_QHEAD,
    LDC_SET_MAP_TABLE, LDC_TX_GET_STATE, LDC_TX_QCONF, LDC_TX_SET_QTAIL, Mte, PACKET_BYTES,
};
use sun4v::native::{DiskRequest, Event, JobId, LocalDisk, Observation, Ports, Reply, Rets, Work};
use sun4v::time::{SimTime, T2_HZ};

/// Real address of every domain's memory.
pub(crate) const BASE: u64 = 0x800_0000;

/// A T5120 with 16 GB.
pub(crate) fn inventory() -> Inventory {
    Inventory {
        platform: "SUNW,SPARC-Enterprise-T5120".to_owned(),
        banner: "SPARC Enterprise T5120".to_owned(),
        host: "t5120".to_owned(),
        serial: "BEL0749001".to_owned(),
        mac: [0x00, 0x14, 0x4f, 0x9c, 0x51, 0x20],
        cpu: "SUNW,UltraSPARC-T2".to_owned(),
        stick_hz: T2_HZ,
        strands: 64,
        memory_bytes: 16 << 30,
        hv_pa: Pa(0),
        hv_bytes: 128 << 20,
        md_pa: Pa(0x100_0000),
        md_bytes: 32 << 20,
        rom: Rom { pa: Pa(0x400_0000), bytes: 65536 },
        roms: BTreeMap::new(),
    }
}

#[derive(Clone, Copy, Default)]
struct Queue {
    ra: u64,
    bytes: u64,
    head: u64,
    tail: u64,
}

impl Queue {
    fn configure(&mut self, ra: u64, entries: u64) -> Result<(), HvError> {
        let bytes = entries * 64;
        if entries > 0 && !entries.is_power_of_two() {
            return Err(HvError::Inval);
        }
        if entries > 0 && !Ra(ra).is_aligned(bytes) {
            return Err(HvError::BadAlign);
        }
        let at = if self.tail < bytes { self.tail } else { 0 };
        *self = Self { ra, bytes, head: at, tail: at };
        Ok(())
    }
    fn waiting(&self) -> u64 {
        self.tail.wrapping_sub(self.head) & (self.bytes.max(1) - 1)
    }
}

#[derive(Clone, Copy, Default)]
struct Intr {
    cookie: u64,
    valid: bool,
    busy: bool,
}

struct Ldc {
    peer: (usize, u16),
    tx: Queue,
    rx: Queue,
    updated: bool,
    table: (u64, u64),
    intr: Intr,
}

/// A domain and what its program did.
pub(crate) struct Domain {
    pub(crate) memory: Vec<u8>,
    ldc: BTreeMap<u16, Ldc>,
    pub(crate) mondos: VecDeque<[u64; 8]>,
    pub(crate) md: Vec<u8>,
    pub(crate) frames: VecDeque<(u8, Vec<u8>)>,
    pub(crate) timers: Vec<(SimTime, u64)>,
    pub(crate) charged: u64,
    pub(crate) replies: Vec<(u64, Reply)>,
    pub(crate) lines: Vec<String>,
    pub(crate) facts: Vec<Observation>,
    pub(crate) jobs: VecDeque<(JobId, Work)>,
    /// Disks of the machine, and their bytes.
    pub(crate) disks: Vec<(LocalDisk, Vec<u8>)>,
    /// Events of disks that have yet to come.
    pub(crate) disk_events: VecDeque<Event>,
}

/// Some domains on one machine.
pub(crate) struct Board {
    pub(crate) domains: Vec<Domain>,
    pub(crate) now: SimTime,
    /// Endpoints of what stands for the hypervisor: to copy through their channels
    /// takes physical addresses, which count that domain's memory from zero.
    pub(crate) hypervisor: BTreeSet<(usize, u16)>,
    /// Of consoles: whose it was last, what came out, the room that was told.
    pub(crate) console: (String, Vec<u8>, Option<usize>),
}

impl Board {
    pub(crate) fn new(domains: usize, bytes: usize) -> Self {
        let domain = || Domain {
            memory: vec![0; bytes],
            ldc: BTreeMap::new(),
            mondos: VecDeque::new(),
            md: Vec::new(),
            frames: VecDeque::new(),
            timers: Vec::new(),
            charged: 0,
            replies: Vec::new(),
            lines: Vec::new(),
            facts: Vec::new(),
            jobs: VecDeque::new(),
            disks: Vec::new(),
            disk_events: VecDeque::new(),
        };
        Self {
            domains: (0..domains).map(|_| domain()).collect(),
            now: SimTime::ZERO,
            hypervisor: BTreeSet::new(),
            console: Default::default(),
        }
    }

    /// Joins endpoint `a.1` of domain `a.0` to `b.1` of `b.0`.
    pub(crate) fn join(&mut self, a: (usize, u16), b: (usize, u16)) {
        for (end, peer) in [(a, b), (b, a)] {
            let ldc = Ldc {
                peer,
                tx: Queue::default(),
                rx: Queue::default(),
                updated: false,
                table: (0, 0),
                intr: Intr::default(),
            };
            self.domains[end.0].ldc.insert(end.1, ldc);
        }
    }

    /// Is there such an endpoint?
    /// An end that goes from the configuration.
    pub(crate) fn parts(&mut self, (domain, channel): (usize, u16)) {
        self.domains[domain].ldc.remove(&channel);
    }

    pub(crate) fn has(&self, (domain, channel): (usize, u16)) -> bool {
        self.domains[domain].ldc.contains_key(&channel)
    }

    /// Packets that an end has sent and the other has not taken.
    pub(crate) fn packets_waiting(&self, (domain, channel): (usize, u16)) -> u64 {
        self.domains[domain].ldc[&channel].tx.waiting() / 64
    }

    pub(crate) fn ports(&mut self, me: usize) -> FakePorts<'_> {
        FakePorts { board: self, me }
    }

    fn end(&mut self, (domain, channel): (usize, u16)) -> Result<&mut Ldc, HvError> {
        self.domains[domain].ldc.get_mut(&channel).ok_or(HvError::Channel)
    }

    fn raise(&mut self, end: (usize, u16)) {
        let Ok(ldc) = self.end(end) else { return };
        if ldc.intr.valid && !ldc.intr.busy {
            ldc.intr.busy = true;
            let cookie = ldc.intr.cookie;
            self.domains[end.0].mondos.push_back([cookie, 0, 0, 0, 0, 0, 0, 0]);
        }
    }

    fn state(&mut self, end: (usize, u16)) -> Result<u64, HvError> {
        let peer = self.end(end)?.peer;
        let peer = self.end(peer)?;
        let updated = std::mem::take(&mut peer.updated);
        Ok(if peer.rx.bytes == 0 {
            0
        } else if updated {
            2
        } else {
            1
        })
    }

    fn pull(&mut self, end: (usize, u16)) -> Result<(), HvError> {
        let from = self.end(end)?.peer;
        for _ in 0..128 {
            let (tx, rx) = (self.end(from)?.tx, self.end(end)?.rx);
            if tx.waiting() == 0 || rx.waiting() + 64 >= rx.bytes {
                break;
            }
            let mut packet = [0; PACKET_BYTES];
            self.ports(from.0).read(Ra(tx.ra + tx.head), &mut packet);
            self.ports(end.0).write(Ra(rx.ra + rx.tail), &packet);
            self.end(from)?.tx.head = (tx.head + 64) % tx.bytes;
            self.end(end)?.rx.tail = (rx.tail + 64) % rx.bytes;
        }
        Ok(())
    }

    fn copy(&mut self, me: usize, args: [u64; 5]) -> Result<u64, HvError> {
        let [channel, direction, cookie, ra, bytes] = args;
        if (cookie | ra | bytes) % 8 != 0 {
            return Err(HvError::BadAlign);
        }
        if direction > 1 || bytes == 0 {
            return Err(HvError::Inval);
        }
        let peer = self.end((me, channel as u16))?.peer;
        if self.hypervisor.contains(&peer) {
            let memory = self.domains[peer.0].memory.len() as u64;
            if cookie.checked_add(bytes).is_none_or(|end| end > memory) {
                return Err(HvError::NoRaddr);
            }
            let bytes = bytes.min(PAGE_BYTES - cookie % PAGE_BYTES);
            let bytes = bytes.min(PAGE_BYTES - ra % PAGE_BYTES);
            self.move_bytes(direction, (me, Ra(ra)), (peer.0, Ra(BASE + cookie)), bytes);
            return Ok(bytes);
        }
        let (table, entries) = self.end(peer)?.table;
        let cookie = CookieAddr(cookie);
        if cookie.size_code() != 0 {
            return Err(HvError::BadPgsz);
        }
        if cookie.index() >= entries {
            return Err(HvError::NoMap);
        }
        let mut word = [0; 8];
        self.ports(peer.0).read(Ra(table + cookie.index() * MAP_ENTRY_BYTES), &mut word);
        let mte = Mte(u64::from_be_bytes(word));
        let needed = if direction == COPY_IN { MapPerms::CR } else { MapPerms::CW };
        if !mte.perms().contains(needed) {
            return Err(HvError::NoAccess);
        }
        let bytes = bytes.min(PAGE_BYTES - cookie.offset()).min(PAGE_BYTES - ra % PAGE_BYTES);
        let remote = Ra(mte.ra().0 + cookie.offset());
        self.move_bytes(direction, (me, Ra(ra)), (peer.0, remote), bytes);
        Ok(bytes)
    }

    fn move_bytes(&mut self, direction: u64, own: (usize, Ra), remote: (usize, Ra), bytes: u64) {
        let (from, to) = if direction == COPY_OUT { (own, remote) } else { (remote, own) };
        let mut data = vec![0; bytes as usize];
        self.ports(from.0).read(from.1, &mut data);
        self.ports(to.0).write(to.1, &data);
    }
}

/// The ports of one domain.
pub(crate) struct FakePorts<'a> {
    board: &'a mut Board,
    me: usize,
}

impl FakePorts<'_> {
    fn me(&mut self) -> &mut Domain {
        &mut self.board.domains[self.me]
    }
    fn intr(&mut self, nr: u64, ino: u64, value: u64) -> Result<(), HvError> {
        let end = (self.me, (ino / 2) as u16);
        let is_rx = ino % 2 == 1;
        let ldc = self.board.end(end).map_err(|_| HvError::Inval)?;
        if !is_rx {
            return Ok(());
        }
        match nr {
            0xa8 => ldc.intr.cookie = value,
            0xaa => ldc.intr.valid = value == 1,
            0xac => ldc.intr.busy = value != 0,
            _ => {}
        }
        let peer = ldc.peer;
        let waiting = ldc.rx.waiting() > 0 || self.board.end(peer)?.tx.waiting() > 0;
        if matches!(nr, 0xaa | 0xac) && waiting {
            self.board.raise(end);
        }
        Ok(())
    }
}

impl Ports for FakePorts<'_> {
    fn now(&self) -> SimTime {
        self.board.now
    }

    fn hcall(&mut self, nr: u64, args: [u64; 5]) -> Result<Rets, HvError> {
        let end = (self.me, args[0] as u16);
        match nr {
            // mach_desc
            0x01 => {
                let md = self.me().md.clone();
                let size = md.len() as u64;
                if args[1] < size {
                    // The size that is needed comes with EINVAL on the machine; a
                    // native program asks with enough room instead.
                    return Err(HvError::Inval);
                }
                self.write(Ra(args[0]), &md);
                Ok([size, 0, 0, 0, 0])
            }
            // cpu_qconf
            0x14 => Ok([0; 5]),
            0xa8 | 0xaa | 0xac | 0xae => {
                assert_eq!(args[0], 0x200);
                self.intr(nr, args[1], args[2]).map(|()| [0; 5])
            }
            LDC_TX_QCONF => {
                self.board.end(end)?.tx.configure(args[1], args[2])?;
                Ok([0; 5])
            }
            LDC_RX_QCONF => {
                let ldc = self.board.end(end)?;
                let (was, peer) = (ldc.rx.bytes, ldc.peer);
                ldc.rx.configure(args[1], args[2])?;
                ldc.updated |= was != 0;
                if was != 0 || args[2] != 0 {
                    self.board.raise(peer);
                }
                Ok([0; 5])
            }
            LDC_TX_GET_STATE => {
                let state = self.board.state(end)?;
                let tx = self.board.end(end)?.tx;
                if tx.bytes == 0 {
                    Err(HvError::Inval)
                } else {
                    Ok([tx.head, tx.tail, state, 0, 0])
                }
            }
            LDC_RX_GET_STATE => {
                let state = self.board.state(end)?;
                self.board.pull(end)?;
                let rx = self.board.end(end)?.rx;
                if rx.bytes == 0 {
                    Err(HvError::Inval)
                } else {
                    Ok([rx.head, rx.tail, state, 0, 0])
                }
            }
            LDC_TX_SET_QTAIL => {
                let ldc = self.board.end(end)?;
                let (tail, tx) = (args[1], ldc.tx);
                let ahead = tail.wrapping_sub(tx.tail) & (tx.bytes.max(1) - 1);
                if tail >= tx.bytes || ahead == 0 || tx.waiting() + ahead >= tx.bytes {
                    return Err(HvError::Inval);
                }
                ldc.tx.tail = tail;
                let peer = ldc.peer;
                let rx = self.board.end(peer)?.rx;
                if rx.bytes > 0 && rx.waiting() == 0 {
                    self.board.raise(peer);
                }
                Ok([0; 5])
            }
            LDC_RX_SET_QHEAD => {
                let rx = &mut self.board.end(end)?.rx;
                let ahead = args[1].wrapping_sub(rx.head) & (rx.bytes.max(1) - 1);
                if args[1] >= rx.bytes || ahead > rx.waiting() || (ahead == 0 && rx.waiting() > 0) {
                    return Err(HvError::Inval);
                }
                rx.head = args[1];
                Ok([0; 5])
            }
            LDC_SET_MAP_TABLE => {
                self.board.end(end)?.table = (args[1], args[2]);
                Ok([0; 5])
            }
            LDC_COPY => self.board.copy(self.me, args).map(|n| [n, 0, 0, 0, 0]),
            _ => Err(HvError::BadTrap),
        }
    }

    fn core_call(&mut self, nr: u64, args: [u64; 5]) -> Result<Rets, HvError> {
        match nr {
            0 => Ok([args[2], 0, 0, 0, 0]),
            _ => Err(HvError::BadTrap),
        }
    }

    fn memory(&self) -> (Ra, u64) {
        (Ra(BASE), self.board.domains[self.me].memory.len() as u64)
    }

    fn read(&self, ra: Ra, bytes: &mut [u8]) {
        let at = (ra.0 - BASE) as usize;
        bytes.copy_from_slice(&self.board.domains[self.me].memory[at..at + bytes.len()]);
    }

    fn write(&mut self, ra: Ra, bytes: &[u8]) {
        let at = (ra.0 - BASE) as usize;
        self.me().memory[at..at + bytes.len()].copy_from_slice(bytes);
    }

    fn send_frame(&mut self, nic: u8, frame: Vec<u8>) {
        self.me().frames.push_back((nic, frame));
    }

    fn set_timer(&mut self, at: SimTime, token: u64) {
        self.me().timers.push((at, token));
    }

    fn job(&mut self, cycles: u64, work: Work) -> JobId {
        self.charge(cycles);
        let job = JobId(self.me().jobs.len() as u64);
        self.me().jobs.push_back((job, work));
        job
    }

    fn disks(&self) -> Vec<LocalDisk> {
        self.board.domains[self.me].disks.iter().map(|(disk, _)| disk.clone()).collect()
    }

    fn disk(&mut self, disk: usize, token: u64, request: DiskRequest) {
        let bytes = &mut self.me().disks[disk].1;
        let data = match request {
            DiskRequest::Read { offset, bytes: n } => {
                bytes[offset as usize..][..n as usize].to_vec()
            }
            DiskRequest::Write { offset, data, .. } => {
                bytes[offset as usize..][..data.len()].copy_from_slice(&data);
                Vec::new()
            }
            DiskRequest::Flush => Vec::new(),
        };
        self.me().disk_events.push_back(Event::DiskDone { token, result: Ok(data) });
    }

    fn charge(&mut self, cycles: u64) {
        self.me().charged += cycles;
    }

    fn vcpus(&self) -> usize {
        4
    }

    fn busy(&self) -> Vec<SimTime> {
        vec![SimTime::ZERO; 4]
    }

    fn reply(&mut self, id: u64, reply: Reply) {
        self.me().replies.push((id, reply));
    }

    fn log(&mut self, line: String) {
        self.me().lines.push(line);
    }

    fn console_out(&mut self, domain: &str, bytes: &[u8]) {
        self.board.console.0 = domain.to_owned();
        self.board.console.1.extend_from_slice(bytes);
    }

    fn console_room(&mut self, domain: &str, room: Option<usize>) {
        self.board.console.0 = domain.to_owned();
        self.board.console.2 = room;
    }

    fn observe(&mut self, fact: Observation) {
        self.me().facts.push(fact);
    }
}
