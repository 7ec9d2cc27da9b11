//! A server: a hypervisor, the board under it, and the native program of its
//! control domain.
//!
//! **Shapes.** The first 128 MB of memory are the hypervisor's: machine
//! descriptions from [`MD_PA`], the guests' boot images at [`super::rom::ROM_PA`]. The control
//! domain is guest 0. Interfaces are numbered in the order of their networks'
//! names.
//!
//! **Errors.** [`PowerOnError`] says what was wrong with what the service processor
//! was given.

use super::board::{Board, Notice};
use super::disks::Drives;
use super::domain::Domain;
use super::figures::{Figures, Stopwatch};
use super::groups::Groups;
use super::native::{ConsoleNews, NativeHost};
use super::pool::Pool;
use super::rom::Roms;
use super::slice::DomainSlice;
use crate::chip::noise::Noise;
use crate::engine::Choice;
use crate::gdb::View;
use crate::lab::Outlet;
use crate::lab::record::Fact;
use crate::lab::scenario::{Chassis, Model, mac};
use crate::mem::Ram;
use hv::platform::{Machine, SpMessage};
use hv::{Delivery, GuestState, HvMemory, Hypervisor, ReportError, StartError, VcpuState};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use sun4v::addr::Pa;
use sun4v::ereport::ErrorReport;
use sun4v::hvmd::{Inventory, Rom};
use sun4v::id::{CORES, CoreId, GuestId, VcpuId};
use sun4v::native::{ConsoleInput, Event, Program, Reply};
use sun4v::time::{SimTime, T2_HZ};
use thiserror::Error;

mod digest;
mod record;
use digest::memory_digest;
pub use record::{Restore, ServerV1};

/// The control domain.
pub const CONTROL: GuestId = GuestId(0);
/// Bytes of the hypervisor's memory, which begins at physical address 0.
pub const HV_BYTES: u64 = 128 << 20;
/// Where machine descriptions lie.
pub const MD_PA: Pa = Pa(16 << 20);
/// Bytes for machine descriptions.
pub const MD_BYTES: u64 = 32 << 20;
/// The longest line of a service processor's console.
const LINE_BYTES_MAX: usize = 4096;

/// What the service processor of a chassis tells about it.
#[must_use]
pub fn inventory(name: &str, chassis: &Chassis, roms: &Roms) -> Inventory {
    let (platform, banner) = match chassis.model {
        Model::T5120 => ("SUNW,SPARC-Enterprise-T5120", "SPARC Enterprise T5120"),
        Model::T5220 => ("SUNW,SPARC-Enterprise-T5220", "SPARC Enterprise T5220"),
    };
    let address = chassis.addresses.get("lab").or(chassis.addresses.values().next());
    let mac = address.map_or([0x00, 0x14, 0x4f, 0, 0, 1], |address| mac(*address));
    Inventory {
        platform: platform.to_owned(),
        banner: banner.to_owned(),
        host: name.to_owned(),
        serial: format!("BDL11{:02X}{:02X}{:02X}", mac[3], mac[4], mac[5]),
        mac,
        cpu: "SUNW,UltraSPARC-T2".to_owned(),
        stick_hz: T2_HZ,
        strands: chassis.cores * 8,
        memory_bytes: chassis.memory.0,
        hv_pa: Pa(0),
        hv_bytes: HV_BYTES,
        md_pa: MD_PA,
        md_bytes: MD_BYTES,
        rom: roms.all,
        roms: roms.of.clone(),
    }
}

/// What a service processor has prepared.
pub struct PowerOn {
    /// Bytes for the hypervisor's memory.
    pub writes: Vec<(Pa, Vec<u8>)>,
    /// Where the hypervisor MD is among them.
    pub hvmd: Pa,
    /// The software of the control domain.
    pub program: Box<dyn Program>,
}

/// Why a server did not come up.
#[derive(Debug, Error)]
pub enum PowerOnError {
    /// The host has no address space for its memory.
    #[error("memory: {0}")]
    Memory(#[from] std::io::Error),
    /// Something was to be written outside of the hypervisor's memory.
    #[error("{bytes:#x} bytes at {pa} are outside the hypervisor's memory")]
    Outside {
        /// Where.
        pa: Pa,
        /// How much.
        bytes: u64,
    },
    /// The hypervisor refuses what it finds.
    #[error(transparent)]
    Hypervisor(#[from] hv::PowerOnError),
    /// The control domain cannot be started.
    #[error(transparent)]
    Start(#[from] StartError),
}

/// What becomes of a domain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Life {
    /// It was not started, or has ended.
    Stopped,
    /// It runs, or does something on the way to that or to its end.
    Runs,
    /// It has ended because all of its virtual CPUs are in error.
    Failed,
}

/// One chassis, powered on.
pub struct Server {
    name: String,
    hv: Hypervisor,
    board: Board,
    native: NativeHost,
    nics: Vec<Outlet>,
    /// Where the guests' boot images are.
    roms: (Rom, BTreeMap<String, Rom>),
    /// Busy times at the last sample, by guest.
    samples: BTreeMap<GuestId, Vec<SimTime>>,
    /// Unfinished lines of the service processor's consoles.
    lines: BTreeMap<GuestId, Vec<u8>>,
    facts: Vec<Fact>,
    trace: Vec<String>,
    /// The hypervisor has done something since the control domain's last turn.
    stirred: bool,
    /// The control domain's watchdog has ended.
    barks: bool,
    /// Guests that stand still.
    still: BTreeSet<GuestId>,
    /// What the crypto units had done at the last sample.
    crypto: Option<(u64, u64)>,
    /// Names of the guests that have executed something, and figures of those that are
    /// gone.
    names: BTreeMap<GuestId, String>,
    retired: BTreeMap<String, Figures>,
    /// Its power was cut: nothing of it happens any more.
    off: bool,
    /// Whoever watches has no use for digests of memory.
    undigested: bool,
}

impl Server {
    /// Powers a chassis on: memory, boot image, hypervisor, control domain.
    ///
    /// # Errors
    /// See [`PowerOnError`].
    pub fn power_on(
        inventory: &Inventory,
        roms: &Roms,
        given: PowerOn,
        nics: Vec<Outlet>,
    ) -> Result<Self, PowerOnError> {
        let mut board = Board::new(Arc::new(Ram::new(inventory.memory_bytes)?));
        let hv_end = inventory.hv_pa.0 + inventory.hv_bytes;
        for (pa, bytes) in given.writes.iter().chain(&roms.writes) {
            let (pa, bytes) = (*pa, bytes.as_slice());
            let end = pa.0.checked_add(bytes.len() as u64);
            if pa < inventory.hv_pa || end.is_none_or(|end| end > hv_end) {
                return Err(PowerOnError::Outside { pa, bytes: bytes.len() as u64 });
            }
            board.ram().write(pa, bytes);
        }
        board.declare_native(CONTROL);
        let memory = HvMemory { base: inventory.hv_pa, bytes: inventory.hv_bytes };
        let mut hv = Hypervisor::power_on(memory, given.hvmd, &mut board)?;
        hv.start(CONTROL, &mut board)?;
        let name = inventory.host.clone();
        let mut server = Self {
            native: NativeHost::new(CONTROL, &name, given.program),
            name,
            hv,
            board,
            nics,
            roms: (inventory.rom, inventory.roms.clone()),
            samples: BTreeMap::new(),
            lines: BTreeMap::new(),
            facts: Vec::new(),
            trace: Vec::new(),
            stirred: true,
            barks: false,
            still: BTreeSet::new(),
            crypto: None,
            names: BTreeMap::new(),
            retired: BTreeMap::new(),
            off: false,
            undigested: false,
        };
        server.hear();
        Ok(server)
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Gives it disks, which its control domain owns. To be done before it runs.
    pub fn set_drives(&mut self, drives: Drives) {
        self.native.set_drives(drives);
    }

    /// Its hypervisor.
    #[must_use]
    pub fn hypervisor(&self) -> &Hypervisor {
        &self.hv
    }

    /// Its board.
    #[must_use]
    pub fn board(&self) -> &Board {
        &self.board
    }

    /// Its board, to act on its domains.
    pub fn board_mut(&mut self) -> &mut Board {
        &mut self.board
    }

    /// Instructions that its domains have executed.
    #[must_use]
    pub fn instructions(&self) -> u64 {
        self.board.domains().map(|(_, domain)| domain.instructions()).sum()
    }

    /// Says by which engine and timing model its guests are run.
    pub fn set_choice(&mut self, choice: Choice) {
        self.board.set_choice(choice);
    }

    /// Lends its domains a stopwatch for the host's time.
    pub fn set_stopwatch(&mut self, stopwatch: Option<Stopwatch>) {
        self.board.set_stopwatch(stopwatch);
    }

    /// Figures of all domains that have ever executed something here, by name.
    #[must_use]
    pub fn figures(&self) -> BTreeMap<String, Figures> {
        let mut all = self.retired.clone();
        for (guest, domain) in self.board.domains().filter(|(_, domain)| domain.instructions() > 0)
        {
            all.entry(self.guest_name(guest)).or_default().add(&domain.figures());
        }
        all
    }

    /// Leaves out the digests of memory that [`Server::boundary`] notes.
    pub fn leave_out_digests(&mut self) {
        self.undigested = true;
    }

    /// Turns the trace of hypercalls on or off.
    pub fn set_trace(&mut self, on: bool) {
        self.hv.set_trace(on);
    }

    /// Virtual CPUs of its control domain.
    #[must_use]
    pub fn control_vcpus(&self) -> usize {
        self.hv.guest(CONTROL).map_or(0, |guest| guest.vcpus.len())
    }

    /// Starts a guest, as the service processor's `start` does.
    ///
    /// # Errors
    /// See [`StartError`].
    pub fn start(&mut self, guest: GuestId) -> Result<(), StartError> {
        self.hv.start(guest, &mut self.board)?;
        self.hear();
        Ok(())
    }

    /// Cuts its power at `now`: no domain executes, nobody sends or answers, and frames
    /// that arrive are lost. There is no way back.
    pub fn power_off(&mut self, now: SimTime) {
        self.off = true;
        self.facts.push(Fact::new(now, &self.name, "chassis", "off", &self.name));
    }

    /// Was its power cut?
    #[must_use]
    pub const fn is_off(&self) -> bool {
        self.off
    }

    /// When a domain can execute next, other than `but`.
    #[must_use]
    pub fn next_domain(&self, but: Option<GuestId>) -> SimTime {
        if self.off {
            return SimTime::NEVER;
        }
        let domains = self.board.domains();
        let domains = domains.filter(|(guest, _)| Some(*guest) != but && self.hv.runs(*guest));
        domains.map(|(_, domain)| domain.next_time()).min().unwrap_or(SimTime::NEVER)
    }

    /// Domains that can execute before `until`.
    pub fn ready(&self, until: SimTime) -> impl Iterator<Item = GuestId> {
        let runs = |guest| !self.off && self.hv.runs(guest);
        let domains = self.board.domains().filter(move |(guest, _)| runs(*guest));
        domains.filter(move |(_, domain)| domain.next_time() < until).map(|(guest, _)| guest)
    }

    /// Says who shares thread groups in the slice that begins, if that makes a
    /// difference. It holds while no domain but the one that runs does, and no longer
    /// than to the time that is returned: then native work ends.
    pub fn publish_groups(&mut self) -> SimTime {
        let mut holds = SimTime::NEVER;
        if self.off || !self.board.shares_issue() {
            return holds;
        }
        let mut native = Groups::default();
        if let Some(guest) = self.hv.guest(self.native.guest()) {
            for (vcpu, free_at) in self.native.at_work(self.board.now()) {
                guest.vcpus.get(&vcpu).into_iter().for_each(|vcpu| native.add(vcpu.strand));
                holds = holds.min(free_at);
            }
        }
        let hv = &self.hv;
        self.board.publish_groups(native, |guest| hv.runs(guest));
        holds
    }

    /// Takes a domain and its guest out, for a slice.
    pub fn take(
        &mut self,
        server: usize,
        id: GuestId,
        slice: SimTime,
        until: SimTime,
        limit: SimTime,
    ) -> Option<DomainSlice> {
        let domain = self.board.take_domain(id)?;
        match self.hv.take(id) {
            Some(guest) => {
                let (done, stop) = (false, None);
                Some(DomainSlice { server, guest, domain, slice, until, limit, done, stop })
            }
            None => {
                self.board.put_domain(id, domain);
                None
            }
        }
    }

    /// Puts them back.
    pub fn put(&mut self, slice: DomainSlice) {
        let guest = &slice.guest;
        self.names.entry(guest.id).or_insert_with(|| guest.name().to_owned());
        self.board.put_domain(slice.guest.id, slice.domain);
        self.hv.put(slice.guest);
    }

    /// The domains that execute instructions and are here, and their names.
    pub fn domains(&self) -> impl Iterator<Item = (GuestId, &Domain, &str)> {
        self.board.domains().filter_map(|(id, domain)| {
            let guest = self.hv.guest(id)?;
            Some((id, domain, guest.name()))
        })
    }

    /// A virtual CPU as a debugger sees it, if its domain is here.
    pub fn view(&mut self, guest: GuestId, vcpu: VcpuId) -> Option<View<'_>> {
        let known = self.hv.guest(guest)?;
        self.board.domain_mut(guest)?.view(vcpu, known)
    }

    /// When something other than a domain happens next, seen from `now`; what the
    /// next boundary has to do waits for the grid line `grid`.
    #[must_use]
    pub fn next_time(&self, grid: SimTime) -> SimTime {
        if self.off {
            return SimTime::NEVER;
        }
        let work = if self.hv.has_work() { grid } else { SimTime::NEVER };
        work.min(self.native.next_time()).min(self.board.crypto_due()).min(self.hv.due())
    }

    /// The boundary at `now`: crypto units, then the hypervisor. `ran` says that a
    /// domain has executed since the last.
    pub fn boundary(&mut self, now: SimTime, ran: bool) {
        if self.off {
            return;
        }
        self.board.set_now(now);
        let crypto = self.board.crypto_due() <= now;
        if crypto {
            self.board.end_crypto(&mut self.hv);
        }
        let work = self.hv.has_work() || self.hv.due() <= now;
        if work || crypto {
            self.native.publish(&mut self.board);
            self.stirred = true;
        }
        if ran || work || crypto {
            self.hv.boundary(&mut self.board);
            self.hear();
            self.obey_watchdog();
            self.look_at_suspended();
        }
    }

    /// The service processor's policy when the control domain's watchdog has ended: it resets
    /// the control domain. Guests go on.
    fn obey_watchdog(&mut self) {
        if !std::mem::take(&mut self.barks) {
            return;
        }
        self.stirred = true;
        if let Err(why) = self.hv.sp_reset(&mut self.board) {
            self.trace.push(format!("the watchdog resets nothing: {why}"));
        }
        self.hear();
    }

    /// Notes the digest of the memory of a guest that has come to stand still: the
    /// one that leaves when it was suspended, the one that comes when its state was
    /// loaded. It takes no simulated time.
    fn look_at_suspended(&mut self) {
        if self.undigested {
            return;
        }
        for conf in &self.hv.config().guests {
            let Some(guest) = self.hv.guest(conf.id) else { continue };
            if guest.state != GuestState::Suspended {
                self.still.remove(&conf.id);
            } else if self.still.insert(conf.id) {
                let digest = memory_digest(self.board.ram(), &guest.map);
                let name = guest.name();
                let fact = Fact::new(self.board.now(), &self.name, "memory", "digest", name);
                self.facts.push(fact.with("bytes", guest.map.bytes()).saying(digest));
            }
        }
    }

    /// A frame has arrived at interface `nic`.
    pub fn frame(&mut self, nic: u8, bytes: Vec<u8>) {
        if self.off {
            return;
        }
        self.native.put(Event::Frame { nic, bytes });
    }

    /// The operator has typed a command line.
    pub fn command(&mut self, id: u64, line: &str) {
        self.native.put(Event::Command { id, line: line.to_owned() });
    }

    /// Somebody does something at the console of a domain.
    pub fn console(&mut self, domain: String, input: ConsoleInput) {
        self.native.put(Event::Console { domain, input });
    }

    /// News of consoles since the last call.
    pub fn take_consoles(&mut self) -> Vec<(String, ConsoleNews)> {
        self.native.take_consoles()
    }

    /// What becomes of a domain; `None` where there is none of that name.
    #[must_use]
    pub fn life(&self, domain: &str) -> Option<Life> {
        let mut known = self.hv.config().guests.iter();
        let id = known.find(|guest| guest.name == domain)?.id;
        let guest = self.hv.guest(id)?;
        let mut vcpus = guest.vcpus.values();
        Some(match guest.state {
            GuestState::Stopped if guest.vcpus.is_empty() => Life::Stopped,
            GuestState::Stopped if vcpus.all(|vcpu| vcpu.state == VcpuState::Error) => Life::Failed,
            GuestState::Stopped => Life::Stopped,
            _ => Life::Runs,
        })
    }

    /// Gives the random number generator the noise of a run.
    pub fn set_seed(&mut self, seed: u64) {
        self.board.set_noise(Noise::new(seed, &self.name));
    }

    /// The service processor resets the control domain: its software begins again, guests
    /// go on.
    ///
    /// # Errors
    /// See [`ReportError`].
    pub fn sp_reset(&mut self) -> Result<(), ReportError> {
        self.stirred = true;
        self.hv.sp_reset(&mut self.board)
    }

    /// The service processor asks the control domain to shut down within `grace` seconds.
    ///
    /// # Errors
    /// See [`ReportError`].
    pub fn sp_shutdown(&mut self, grace: u16) -> Result<Delivery, ReportError> {
        self.stirred = true;
        self.hv.sp_shutdown(grace, &mut self.board)
    }

    /// The service processor asks a guest to panic.
    ///
    /// # Errors
    /// See [`ReportError`].
    pub fn sp_panic(&mut self, guest: GuestId) -> Result<Delivery, ReportError> {
        self.stirred = true;
        self.hv.sp_panic(guest, &mut self.board)
    }

    /// Lets a virtual CPU have an error, as hardware would.
    ///
    /// # Errors
    /// See [`ReportError`].
    pub fn inject(
        &mut self,
        guest: GuestId,
        vcpu: VcpuId,
        report: ErrorReport,
    ) -> Result<Delivery, ReportError> {
        self.stirred = true;
        self.hv.inject(guest, vcpu, report, &mut self.board)
    }

    /// Characters for the service processor's console of a guest.
    pub fn sp_input(&mut self, guest: GuestId, bytes: &[u8]) {
        self.hv.sp_input(guest, bytes, &mut self.board);
        self.stirred = true;
    }

    /// The control domain's turn: `send` is given the frames that it sends, `reply`
    /// its answers.
    pub fn native(
        &mut self,
        pool: &Pool<DomainSlice>,
        mut send: impl FnMut(Outlet, Vec<u8>),
        mut reply: impl FnMut(u64, Reply),
    ) {
        if self.off {
            return;
        }
        if !std::mem::take(&mut self.stirred) && self.native.next_time() > self.board.now() {
            return;
        }
        self.native.run(&mut self.hv, &mut self.board, pool);
        self.hear();
        self.facts.append(&mut self.native.take_facts());
        for (nic, frame) in self.native.take_frames() {
            // A frame for an interface that is not there goes nowhere.
            if let Some(&outlet) = self.nics.get(usize::from(nic)) {
                send(outlet, frame);
            }
        }
        for (id, answer) in self.native.take_replies() {
            reply(id, answer);
        }
    }

    /// Takes in what the board has heard from the hypervisor.
    fn hear(&mut self) {
        let now = self.board.now();
        for (guest, figures) in self.board.take_retired() {
            let name = self.names.remove(&guest).unwrap_or_else(|| guest.to_string());
            self.retired.entry(name).or_default().add(&figures);
        }
        for notice in self.board.take_notices() {
            let (guest, what, code) = match notice {
                Notice::Started(guest) => (guest, "started", None),
                Notice::Exited(guest, code) => (guest, "exited", Some(code)),
                Notice::Sp(message) => {
                    let fact = Fact::service_processor(now, &self.name, message.command());
                    self.barks |= message == SpMessage::WatchdogExpired;
                    self.facts.push(match message {
                        SpMessage::TodOffset(ahead) => fact.with("seconds", ahead as u64),
                        SpMessage::PowerOff | SpMessage::WatchdogExpired => fact,
                    });
                    continue;
                }
            };
            if notice == Notice::Started(self.native.guest()) {
                self.native.put(Event::Start);
            }
            let fact = Fact::new(now, &self.name, "domain", what, &self.guest_name(guest));
            self.facts.push(match code {
                Some(code) => fact.with("code", code),
                None => fact,
            });
        }
        for (guest, bytes) in self.board.take_console() {
            let mut line = self.lines.remove(&guest).unwrap_or_default();
            for byte in bytes {
                match byte {
                    b'\n' => self.console_line(guest, &std::mem::take(&mut line)),
                    b'\r' => {}
                    _ => line.push(byte),
                }
                if line.len() == LINE_BYTES_MAX {
                    self.console_line(guest, &std::mem::take(&mut line));
                }
            }
            if !line.is_empty() {
                self.lines.insert(guest, line);
            }
        }
        self.trace.append(&mut self.board.take_trace());
    }

    fn console_line(&mut self, guest: GuestId, line: &[u8]) {
        let line = String::from_utf8_lossy(line);
        let name = self.guest_name(guest);
        self.facts.push(Fact::console(self.board.now(), &self.name, &name, &line));
    }

    fn guest_name(&self, guest: GuestId) -> String {
        self.hv.guest(guest).map_or_else(|| guest.to_string(), |guest| guest.name().to_owned())
    }

    /// Notes how busy each domain was since the last sample, `span` ago.
    pub fn sample(&mut self, span: SimTime) {
        if self.off {
            return;
        }
        self.native.publish(&mut self.board);
        let mut samples = BTreeMap::new();
        for conf in &self.hv.config().guests {
            let Some(guest) = self.hv.guest(conf.id) else { continue };
            let busy = self.board.busy(conf.id, guest.vcpus.keys().copied());
            if busy.is_empty() {
                continue;
            }
            let before = self.samples.get(&conf.id).map_or(&[][..], Vec::as_slice);
            let now = self.board.now();
            self.facts.push(Fact::cpu(now, &self.name, guest.name(), span, before, &busy));
            samples.insert(conf.id, busy);
        }
        self.samples = samples;
        let units = (0..CORES as u8).map(|core| self.board.crypto_counters(CoreId(core)));
        let done = units.fold((0, 0), |(ciphered, hashed), unit| {
            (ciphered + unit.ciphered_bytes, hashed + unit.hashed_bytes)
        });
        if Some(done) != self.crypto {
            self.crypto = Some(done);
            self.facts.push(Fact::crypto(self.board.now(), &self.name, done.0, done.1));
        }
    }

    /// Facts since the last call.
    pub fn take_facts(&mut self) -> Vec<Fact> {
        std::mem::take(&mut self.facts)
    }

    /// Lines of the hypercall trace since the last call.
    pub fn take_trace(&mut self) -> Vec<String> {
        std::mem::take(&mut self.trace)
    }
}
