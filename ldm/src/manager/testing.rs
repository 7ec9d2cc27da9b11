//! A machine for tests: hypervisor memory, guests that start and stop, ports that
//! keep what was answered.

use super::{Asking, Change, Ldmd, Manager, Port, Settings};
use crate::cost::Cost;
use crate::factory::{Factory, Primary};
use crate::hvctl::{Command, Event, Hvctl};
use crate::migrate::port::{ManagerReply, Tag};
use crate::service::ds::{Answer, DsEvent};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use sun4v::addr::{Pa, Ra};
use sun4v::ds::service::VariableResult;
use sun4v::hcall::HvError;
use sun4v::hvctl::{
    Body, Detail, GuestState, HvInfo, RcFail, Reply, Request, ResData, ResInfo, ResKind, SoftState,
    Status, Utilisation, VcpuState, VcpuStatus, migrate,
};
use sun4v::hvmd::{HvConfig, Inventory, Rom, VcpuConf};
use sun4v::id::GuestId;
use sun4v::md::Md;
use sun4v::native::{JobId, Observation, Ports, Rets, Work};
use sun4v::time::{SimTime, T2_HZ};

pub(crate) fn inventory(host: &str) -> Inventory {
    let (model, serial, last) = match host {
        "t5120" => ("T5120", "BEL0749001", 0x20),
        _ => ("T5220", "BEL0749002", 0x22),
    };
    Inventory {
        platform: format!("SUNW,SPARC-Enterprise-{model}"),
        banner: format!("SPARC Enterprise {model}"),
        host: host.into(),
        serial: serial.into(),
        mac: [0x00, 0x14, 0x4f, 0x9c, 0x51, last],
        cpu: "SUNW,UltraSPARC-T2".into(),
        stick_hz: T2_HZ,
        strands: 64,
        memory_bytes: 16 << 30,
        hv_pa: Pa(0),
        hv_bytes: 128 << 20,
        md_pa: Pa(0x100_0000),
        md_bytes: 16 << 20,
        rom: Rom { pa: Pa(0x400_0000), bytes: 65536 },
        roms: BTreeMap::new(),
    }
}

/// Ports of the control domain.
#[derive(Default)]
pub(crate) struct Desk {
    pub(crate) now: SimTime,
    pub(crate) busy: Vec<SimTime>,
    pub(crate) replies: BTreeMap<u64, sun4v::native::Reply>,
    pub(crate) lines: Vec<String>,
}

impl Ports for Desk {
    fn now(&self) -> SimTime {
        self.now
    }
    fn hcall(&mut self, _: u64, _: [u64; 5]) -> Result<Rets, HvError> {
        Err(HvError::BadTrap)
    }
    fn core_call(&mut self, _: u64, _: [u64; 5]) -> Result<Rets, HvError> {
        Err(HvError::BadTrap)
    }
    fn memory(&self) -> (Ra, u64) {
        (Ra(0), 0)
    }
    fn read(&self, _: Ra, _: &mut [u8]) {}
    fn write(&mut self, _: Ra, _: &[u8]) {}
    fn send_frame(&mut self, _: u8, _: Vec<u8>) {}
    fn set_timer(&mut self, _: SimTime, _: u64) {}
    fn job(&mut self, _: u64, _: Work) -> JobId {
        JobId(0)
    }
    fn charge(&mut self, _: u64) {}
    fn vcpus(&self) -> usize {
        self.busy.len()
    }
    fn busy(&self) -> Vec<SimTime> {
        self.busy.clone()
    }
    fn reply(&mut self, id: u64, reply: sun4v::native::Reply) {
        assert_eq!(self.replies.insert(id, reply), None, "command {id} was answered twice");
    }
    fn log(&mut self, line: String) {
        self.lines.push(line);
    }
    fn observe(&mut self, _: Observation) {}
}

/// A guest as the hypervisor sees it.
#[derive(Clone, Debug)]
pub(crate) struct Guest {
    pub(crate) state: GuestState,
    pub(crate) soft: Option<(SoftState, &'static str)>,
    /// Busy share of its strands, in tenths of a percent.
    pub(crate) busy: u64,
}

/// The hypervisor.
pub(crate) struct FakeHv {
    base: Pa,
    pub(crate) memory: Vec<u8>,
    pub(crate) hvmd: Pa,
    pub(crate) config: HvConfig,
    pub(crate) guests: BTreeMap<u8, Guest>,
    queue: VecDeque<(Command, Request)>,
    pub(crate) events: VecDeque<Event>,
    next: u64,
    pub(crate) requests: Vec<Request>,
    /// Refuse the next reconfiguration.
    pub(crate) refuse: bool,
    /// Writes fail.
    pub(crate) broken: bool,
    /// The answer to the next reconfiguration is lost, which is carried out or not.
    pub(crate) loses: Option<bool>,
    /// Virtual CPUs of guest 1 that run whatever its system says.
    pub(crate) keeps: BTreeSet<u8>,
    /// Virtual CPUs that are inside when a guest is held, time after time; none behind these.
    pub(crate) inside: VecDeque<u64>,
}

impl Hvctl for FakeHv {
    fn request(&mut self, _: &mut dyn Ports, request: Request) -> Command {
        let command = Command(self.next);
        self.next += 1;
        self.queue.push_back((command, request));
        self.requests.push(request);
        command
    }
    fn read(&mut self, _: &mut dyn Ports, pa: Pa, bytes: u64) -> Result<Vec<u8>, HvError> {
        let at = pa.0.checked_sub(self.base.0).ok_or(HvError::NoRaddr)? as usize;
        self.memory.get(at..at + bytes as usize).map(<[u8]>::to_vec).ok_or(HvError::NoRaddr)
    }
    fn write(&mut self, _: &mut dyn Ports, pa: Pa, bytes: &[u8]) -> Result<(), HvError> {
        if self.broken {
            return Err(HvError::NoAccess);
        }
        assert_ne!(pa, self.hvmd, "the MD in force is overwritten");
        assert!(self.config.guests.iter().all(|guest| guest.md_pa != pa), "as is a guest's");
        let at = pa.0.checked_sub(self.base.0).ok_or(HvError::NoRaddr)? as usize;
        self.memory[at..at + bytes.len()].copy_from_slice(bytes);
        Ok(())
    }
}

impl FakeHv {
    /// As the service processor starts it.
    pub(crate) fn new(inventory: &Inventory, factory: &Factory) -> Self {
        let mut memory = vec![0; inventory.md_bytes as usize];
        for (pa, bytes) in &factory.writes {
            let at = (pa.0 - inventory.md_pa.0) as usize;
            memory[at..at + bytes.len()].copy_from_slice(bytes);
        }
        let primary = Guest { state: GuestState::Normal, soft: None, busy: 0 };
        Self {
            base: inventory.md_pa,
            memory,
            hvmd: factory.hvmd,
            config: factory.config.clone(),
            guests: [(0, primary)].into(),
            queue: VecDeque::new(),
            events: [Event::Up].into(),
            next: 0,
            requests: Vec::new(),
            refuse: false,
            broken: false,
            loses: None,
            keeps: BTreeSet::new(),
            inside: VecDeque::new(),
        }
    }

    fn md(&self, pa: Pa) -> Md {
        let at = (pa.0 - self.base.0) as usize;
        let sizes = self.memory[at + 4..at + 16].chunks(4);
        let sizes = sizes.map(|size| u32::from_be_bytes(size.try_into().unwrap()) as usize);
        Md::parse(&self.memory[at..at + 16 + sizes.sum::<usize>()]).unwrap()
    }

    /// What a guest is told about itself.
    pub(crate) fn guest_md(&self, guest: u8) -> Md {
        let own = self.config.guests.iter().find(|own| own.id == GuestId(guest));
        self.md(own.unwrap().md_pa)
    }

    fn notice(&mut self, guest: u8, info: ResInfo, data: &ResData) {
        let (res, info) = info.codes();
        let data = data.to_bytes();
        let body = Body::ResStat { res, id: guest.into(), info, code: 0, data };
        let op = sun4v::hvctl::Op::NewResStat;
        self.events.push_back(Event::Notice(Reply { seqn: 0, op, status: Status::Ok, body }));
    }

    /// A guest changes its state.
    pub(crate) fn becomes(&mut self, guest: u8, state: GuestState) {
        let own = self.guests.get_mut(&guest).unwrap();
        own.state = state;
        if state == GuestState::Stopped {
            own.soft = None;
        }
        self.notice(guest, ResInfo::GuestState, &ResData::GuestState(state));
    }

    /// A guest says something of itself.
    pub(crate) fn says(&mut self, guest: u8, state: SoftState, text: &'static str) {
        self.guests.get_mut(&guest).unwrap().soft = Some((state, text));
        let data = ResData::SoftState(state, padded(text));
        self.notice(guest, ResInfo::SoftState, &data);
    }

    /// Carries out a request.
    pub(crate) fn serve(&mut self, request: Request) -> (Status, Body) {
        let code = |status, code: Detail| (status, Body::Code(code.code()));
        let fine = (Status::Ok, Body::Code(0));
        match request {
            Request::GetHvConfig => {
                let md = self.hvmd;
                (Status::Ok, Body::HvInfo(HvInfo { md, ..HvInfo::default() }))
            }
            Request::Reconfigure { md, .. } => match self.loses.take() {
                None => self.reconfigure(md),
                Some(taken) => {
                    if taken {
                        self.reconfigure(md);
                    }
                    (Status::Auth, Body::None)
                }
            },
            Request::GuestStart(guest) => match self.guests.get(&(guest as u8)) {
                Some(own) if own.state == GuestState::Stopped => {
                    self.guests.get_mut(&(guest as u8)).unwrap().state = GuestState::Resetting;
                    fine
                }
                Some(_) => code(Status::Illegal, Detail::GuestActive),
                None => code(Status::Invalid, Detail::GuestInvalidId),
            },
            Request::GuestStop(guest) => match self.guests.get(&(guest as u8)) {
                Some(own) if own.state == GuestState::Stopped => {
                    code(Status::Illegal, Detail::GuestStopped)
                }
                Some(own) if own.state == GuestState::Resetting => {
                    code(Status::StopFailed, Detail::GuestActive)
                }
                Some(_) => {
                    self.guests.get_mut(&(guest as u8)).unwrap().state = GuestState::Exiting;
                    fine
                }
                None => code(Status::Invalid, Detail::GuestInvalidId),
            },
            Request::GuestPanic(_) => fine,
            Request::GetResStat { res, id, info } => self.figure(res, id, info),
            Request::Migrate(request) => {
                let holds = matches!(request, migrate::Request::Hold { percent: 100, .. });
                let value = if holds { self.inside.pop_front().unwrap_or(0) } else { 0 };
                (Status::Ok, Body::Migrate { code: 0, value })
            }
            other => panic!("{other:?}"),
        }
    }

    fn figure(&self, res: u32, id: u32, info: u32) -> (Status, Body) {
        const WALL: u64 = 10_000_000;
        let item = ResInfo::from_codes(res, info).unwrap();
        let guest = match item {
            ResInfo::VcpuState => {
                let mut vcpus = self.config.vcpus.iter();
                vcpus.find(|vcpu| u32::from(vcpu.strand.0) == id).unwrap().guest.0
            }
            _ => id as u8,
        };
        let own = self.guests.get(&guest);
        let busy = own.map_or(0, |own| own.busy);
        let vcpus = self.config.vcpus.iter().filter(|vcpu| vcpu.guest.0 == guest).count() as u64;
        let data = match item {
            ResInfo::GuestState => {
                ResData::GuestState(own.map_or(GuestState::Unconfigured, |own| own.state))
            }
            ResInfo::SoftState => {
                let (state, text) =
                    own.and_then(|own| own.soft).unwrap_or((SoftState::Transition, ""));
                ResData::SoftState(state, padded(text))
            }
            ResInfo::Tod => ResData::Tod(0),
            ResInfo::Utilisation => ResData::Utilisation(Utilisation {
                wallclock_delta: WALL,
                active_delta: WALL / 1000 * busy * vcpus,
                ..Utilisation::default()
            }),
            ResInfo::VcpuState => ResData::Vcpu(VcpuStatus {
                state: VcpuState::Running,
                lifespan: 0,
                wallclock_delta: WALL,
                active_delta: WALL / 1000 * busy,
                yielded_cycles: 0,
            }),
        };
        (Status::Ok, Body::ResStat { res: 0, id: 0, info: 0, code: 0, data: data.to_bytes() })
    }

    fn reconfigure(&mut self, md: Pa) -> (Status, Body) {
        if std::mem::take(&mut self.refuse) {
            let res = ResKind::Memory.code();
            let fail = RcFail { md, res, code: Detail::MemoryInvalidPa.code(), node: 7, id: 1 };
            return (Status::RcFailed, Body::RcFail(fail));
        }
        let config = HvConfig::from_md(&self.md(md)).unwrap();
        check(&config);
        let runs = |vid: &&u8| {
            let mut new = config.vcpus.iter();
            !new.any(|own| (own.guest, own.vid.0) == (GuestId(1), **vid))
        };
        if let Some(&id) = self.keeps.iter().find(runs) {
            let (res, code) = (ResKind::Vcpu.code(), Detail::VcpuRebind.code());
            let fail = RcFail { md, res, code, node: 0, id: id.into() };
            return (Status::BadMd, Body::RcFail(fail));
        }
        for guest in &config.guests {
            self.md(guest.md_pa);
        }
        for vcpu in &self.config.vcpus {
            let active = self.guests[&vcpu.guest.0].state != GuestState::Stopped;
            let moved = config.vcpus.iter().find(|new| {
                (new.guest, new.vid) == (vcpu.guest, vcpu.vid) && new.strand != vcpu.strand
            });
            assert!(!active || moved.is_none(), "a vCPU of an active guest moves: {moved:?}");
        }
        for (id, own) in &self.guests {
            let there = config.guests.iter().any(|guest| guest.id.0 == *id);
            assert!(there || own.state == GuestState::Stopped, "an active guest vanishes");
        }
        self.guests.retain(|id, _| config.guests.iter().any(|guest| guest.id.0 == *id));
        for guest in &config.guests {
            let fresh = Guest { state: GuestState::Stopped, soft: None, busy: 0 };
            self.guests.entry(guest.id.0).or_insert(fresh);
        }
        (self.hvmd, self.config) = (md, config);
        (Status::Ok, Body::None)
    }
}

/// Rules of the hypervisor.
fn check(config: &HvConfig) {
    let mut strands: Vec<_> = config.vcpus.iter().map(|vcpu| vcpu.strand).collect();
    strands.sort();
    assert!(strands.windows(2).all(|pair| pair[0] != pair[1]), "a strand is given twice");
    for guest in &config.guests {
        let own = config.vcpus.iter().filter(|vcpu| vcpu.guest == guest.id);
        let mut vids: Vec<u8> = own.map(|vcpu| vcpu.vid.0).collect();
        vids.sort_unstable();
        assert!(vids.iter().copied().eq(0..vids.len() as u8) && !vids.is_empty(), "{vids:?}");
    }
    for unit in &config.crypto {
        let mut own = config.vcpus.iter();
        let on_core = |vcpu: &VcpuConf| vcpu.guest == unit.guest && vcpu.strand.core() == unit.core;
        assert!(own.any(on_core), "{unit:?} is on a core of others");
        let twins =
            config.crypto.iter().filter(|own| (own.core, own.kind) == (unit.core, unit.kind));
        assert_eq!(twins.count(), 1, "{unit:?}");
    }
    let mut blocks: Vec<_> = config.mblocks.iter().map(|block| block.range).collect();
    blocks.sort_by_key(|range| range.pa);
    assert!(blocks[0].pa.0 >= 128 << 20, "memory of the hypervisor is given");
    assert!(blocks.windows(2).all(|pair| pair[0].pa.0 + pair[0].size <= pair[1].pa.0));
    assert!(blocks.last().unwrap().pa.0 + blocks.last().unwrap().size <= 16 << 30);
    for block in &blocks {
        assert_eq!(block.ra.0 % (256 << 20), block.pa.0 % (256 << 20), "{block:?}");
    }
    for end in &config.ldc_endpoints {
        if let sun4v::hvmd::LdcTarget::Guest { guest, channel } = end.target {
            let back = sun4v::hvmd::LdcTarget::Guest { guest: end.guest, channel: end.channel };
            let peers = config.ldc_endpoints.iter();
            let peers = peers.filter(|far| (far.guest, far.channel) == (guest, channel));
            let targets: Vec<_> = peers.map(|far| far.target).collect();
            assert_eq!(targets, [back], "{end:?}");
        }
    }
}

fn padded(text: &str) -> [u8; 32] {
    std::array::from_fn(|at| text.as_bytes().get(at).copied().unwrap_or(0))
}

/// A server: manager and hypervisor.
pub(crate) struct Server {
    pub(crate) desk: Desk,
    pub(crate) hv: FakeHv,
    pub(crate) manager: Manager,
    pub(crate) inventory: Inventory,
    pub(crate) changes: Vec<Change>,
    /// How crypto units are closed; `None` is not yet.
    pub(crate) closes: Option<Result<(), String>>,
    /// What systems were asked, and how many virtual CPUs their descriptions had then.
    pub(crate) asked: Vec<(Asking, usize)>,
    /// What they answer to the next; without any they do not.
    pub(crate) answers: VecDeque<Result<Answer, String>>,
    /// How changes of variables ended.
    pub(crate) served: Vec<(u64, VariableResult)>,
    next: u64,
}

impl Server {
    /// Freshly powered on.
    pub(crate) fn new(host: &str) -> Self {
        Self::of(inventory(host))
    }

    pub(crate) fn of(inventory: Inventory) -> Self {
        Self::with(inventory, Ldmd::default())
    }

    pub(crate) fn with(inventory: Inventory, ldmd: Ldmd) -> Self {
        let factory = Factory::new(&inventory, &Primary::default()).unwrap();
        let hv = FakeHv::new(&inventory, &factory);
        let peer = if inventory.host == "t5120" { "t5220" } else { "t5120" };
        let settings = Settings {
            hostname: inventory.host.clone(),
            password: "secret".into(),
            files: [
                (format!("/root/{peer}.password"), "five-two-two-zero\nmore\n".into()),
                ("/root/empty".into(), "\n".into()),
            ]
            .into(),
            entropy: [inventory.mac[5]; 32],
            cost: Cost::default(),
            ldmd,
        };
        let desk = Desk { busy: vec![SimTime::ZERO; 16], ..Desk::default() };
        let manager = Manager::new(inventory.clone(), settings);
        let mut server = Self {
            desk,
            hv,
            manager,
            inventory,
            changes: Vec::new(),
            closes: Some(Ok(())),
            asked: Vec::new(),
            answers: VecDeque::new(),
            served: Vec::new(),
            next: 0,
        };
        server.pump();
        server
    }

    /// The manager begins again from what it saved; the hypervisor stays as it is.
    pub(crate) fn restart(&mut self) {
        let record = self.manager.save().unwrap();
        let inventory = self.inventory.clone();
        let settings = self.manager.settings().clone();
        self.manager = Manager::recall(inventory, settings, record.clone()).unwrap();
        assert_eq!(self.manager.save(), Ok(record), "before anything happens");
        self.hv.queue.clear();
        self.hv.requests.clear();
        self.hv.events = [Event::Up].into();
    }

    /// Until nothing is left to do. Guests start and stop at once.
    pub(crate) fn pump(&mut self) {
        loop {
            let changes = self.manager.take_changes();
            self.changes.extend(changes.iter().cloned());
            if changes.contains(&Change::CloseUnits)
                && let Some(closed) = self.closes.clone()
            {
                self.manager.units_closed(&mut self.desk, &mut self.hv, closed);
                continue;
            }
            self.served.extend(self.manager.take_variables());
            let asks = self.manager.take_asks();
            if !asks.is_empty() {
                for asking in asks {
                    let cpus = self.hv.guest_md(asking.guest.0).named("cpu").count();
                    let ticket = asking.ticket;
                    self.asked.push((asking, cpus));
                    if let Some(answer) = self.answers.pop_front() {
                        self.hears(DsEvent::Answered(ticket, answer));
                    }
                }
                continue;
            }
            if let Some(event) = self.hv.events.pop_front() {
                self.manager.event(&mut self.desk, &mut self.hv, &event);
            } else if let Some((command, request)) = self.hv.queue.pop_front() {
                let (status, body) = self.hv.serve(request);
                let reply = Reply { seqn: 0, op: request.op(), status, body };
                let event = Event::Reply(command, reply);
                self.manager.event(&mut self.desk, &mut self.hv, &event);
            } else {
                let turns: Vec<_> =
                    self.hv.guests.iter().map(|(&id, own)| (id, own.state)).collect();
                let mut turned = false;
                for (id, state) in turns {
                    let next = match state {
                        GuestState::Resetting => GuestState::Normal,
                        GuestState::Exiting => GuestState::Stopped,
                        _ => continue,
                    };
                    self.hv.becomes(id, next);
                    turned = true;
                }
                if !turned {
                    return;
                }
            }
        }
    }

    /// A system says something.
    pub(crate) fn hears(&mut self, event: DsEvent) {
        self.manager.heard(&mut self.desk, &mut self.hv, event);
    }

    /// A migration has ended.
    pub(crate) fn ended(&mut self, command: u64, result: Result<(), Vec<String>>) {
        self.manager.migration_ended(&mut self.desk, command, result);
        self.pump();
    }

    /// Types a command; its number.
    pub(crate) fn types(&mut self, line: &str) -> u64 {
        self.next += 1;
        self.manager.command(&mut self.desk, &mut self.hv, self.next, line);
        self.pump();
        self.next
    }

    /// Types a command that is answered at once.
    pub(crate) fn run(&mut self, line: &str) -> sun4v::native::Reply {
        let id = self.types(line);
        self.desk.replies.remove(&id).unwrap_or_else(|| panic!("no answer to {line}"))
    }

    /// Output of a command that succeeds.
    pub(crate) fn out(&mut self, line: &str) -> String {
        let reply = self.run(line);
        assert_eq!((reply.status, reply.stderr.as_str()), (0, ""), "{line}");
        reply.stdout
    }

    /// Complaint of a command that fails.
    pub(crate) fn err(&mut self, line: &str) -> String {
        let reply = self.run(line);
        assert_eq!((reply.status, reply.stdout.as_str()), (1, ""), "{line}");
        reply.stderr
    }

    /// Commands and their output, as a terminal shows them.
    pub(crate) fn session(&mut self, lines: &[&str]) -> String {
        let mut text = String::new();
        for line in lines {
            let reply = self.run(line);
            text.push_str(&format!("# {line}\n{}{}", reply.stdout, reply.stderr));
        }
        text
    }

    pub(crate) fn port(&mut self) -> (Port<'_>, &mut Desk) {
        (Port::new(&mut self.manager, &mut self.hv), &mut self.desk)
    }

    /// The answer to what was asked through the port.
    pub(crate) fn answer(&mut self, tag: Tag) -> Result<ManagerReply, String> {
        self.pump();
        let answers = self.manager.take_answers();
        let [(own, answer)] = answers.try_into().unwrap();
        assert_eq!(own, tag);
        answer
    }

    pub(crate) fn later(&mut self, span: SimTime) {
        self.desk.now = self.desk.now.plus(span);
    }
}
