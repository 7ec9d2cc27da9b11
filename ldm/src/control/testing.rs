//! A control domain, a hypervisor that answers hvctl, and guests' ends of channels.

use super::{ControlConf, ControlDomain, NicConf};
use crate::channel::{Channel, ChannelConf, Endpoint, LinkEvent};
use crate::cost::Cost;
use crate::factory::{Factory, MdSlots, Primary};
use crate::hvctl::Event as HvEvent;
use crate::manager::Ldmd;
use crate::manager::testing::{FakeHv, inventory};
use crate::memory::{Arena, Block};
use crate::migrate::journal::{EntryV1, State, ticket};
use crate::migrate::port::Kind;
use crate::stack::StackConf;
use crate::testing::{BASE, Board};
use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use sun4v::addr::{Pa, Ra};
use sun4v::hvctl::{
    Body, GuestState, Op, REPLY_OFFSET, Reply as HvReply, Request, Status, VERSION, challenge,
    response, sequence,
};
use sun4v::hvmd::LdcTarget;
use sun4v::id::{GuestId, LdcId};
use sun4v::ldc::map::{MapEntry, MapPerms};
use sun4v::ldc::{LDC_SET_MAP_TABLE, Mode, Mte};
use sun4v::native::{Event, Ports, Program, Reply};
use zerocopy::IntoBytes;

const SECRET: u64 = 0x5e_c2e7;
/// Every domain's memory.
const MEMORY: usize = 32 << 20;
/// Board's number of the hypervisor.
const HYPERVISOR: usize = 1;

/// Board's number of a guest.
fn domain(guest: GuestId) -> usize {
    if guest == GuestId(0) { 0 } else { usize::from(guest.0) + 1 }
}

/// A guest's end of a channel.
pub(crate) struct Far {
    domain: usize,
    pub(crate) id: u16,
    pub(crate) channel: Channel,
    pub(crate) got: Vec<Vec<u8>>,
    pub(crate) ups: usize,
    pub(crate) downs: usize,
}

pub(crate) struct World {
    pub(crate) board: Board,
    pub(crate) conf: ControlConf,
    pub(crate) program: ControlDomain,
    pub(crate) hv: FakeHv,
    pub(crate) far: Vec<Far>,
    arenas: BTreeMap<usize, Arena>,
    endpoint: Endpoint,
    ours: u16,
    up: bool,
    next: u64,
    /// Disks of the machine answer nothing.
    pub(crate) disks_stall: bool,
    /// The hypervisor does not answer commands of this kind until it is told to.
    pub(crate) stalls: Option<Op>,
    stalled: Option<HvReply>,
}

/// What the journal says of `rover`, which has this UUID and is on its way to or from `t5220`.
pub(crate) fn entry(state: State, uuid: &str) -> EntryV1 {
    let migration = [5; 16];
    EntryV1 {
        state,
        migration,
        uuid: uuid.to_owned(),
        domain: "rover".into(),
        kind: Kind::Active,
        epoch: 1,
        owned: 0,
        before: 0,
        peer: "t5220".into(),
        ticket: if state.is_source() { ticket(&[9; 32], &migration) } else { String::new() },
        digest: [0; 32],
        offer: None,
    }
}

impl World {
    /// Powered on.
    pub(crate) fn new() -> Self {
        let mut inventory = inventory("t5120");
        (inventory.md_pa, inventory.md_bytes) = (Pa(0x10_0000), MdSlots::BYTES_MIN);
        let factory = Factory::new(&inventory, &Primary::default()).unwrap();
        let mut hv = FakeHv::new(&inventory, &factory);
        hv.events.clear();
        let mut board = Board::new(4, MEMORY);
        board.domains[0].md = factory.primary.to_md();
        let at = inventory.md_pa.0 as usize;
        board.domains[HYPERVISOR].memory[at..at + hv.memory.len()].copy_from_slice(&hv.memory);
        board.join((0, 0), (HYPERVISOR, 0));
        board.hypervisor.insert((HYPERVISOR, 0));
        // Machine descriptions lie at the front.
        let arena = |domain: usize| {
            let skip = if domain == HYPERVISOR { MEMORY / 2 } else { 0 };
            Arena::new(Ra(BASE + skip as u64), (MEMORY - skip) as u64)
        };
        let mut arenas: BTreeMap<usize, Arena> =
            (1..4).map(|domain| (domain, arena(domain))).collect();
        let own = arenas.get_mut(&HYPERVISOR).unwrap();
        let endpoint = Endpoint::open(&mut board.ports(HYPERVISOR), own, channel(0), 0).unwrap();
        let stack = StackConf {
            mac: [2, 0, 0, 0, 0, 20],
            ip: Ipv4Addr::new(192, 168, 1, 20),
            prefix: 24,
            mtu: 1500,
            seed: 5,
        };
        let conf = ControlConf {
            inventory,
            nics: vec![NicConf { name: "e1000g0".into(), stack }],
            hosts: [("nas".into(), Ipv4Addr::new(192, 168, 1, 2))].into(),
            files: [("/root/nas.password".into(), "secret".into())].into(),
            password: "secret".into(),
            seed: 42,
            migrate: crate::migrate::Config::default(),
            socket_bytes: super::SOCKET_BYTES,
            cost: Cost::default(),
            ldmd: Ldmd::default(),
        };
        let program = ControlDomain::new(conf.clone());
        let far = Vec::new();
        let mut world = Self {
            board,
            conf,
            program,
            hv,
            far,
            arenas,
            endpoint,
            ours: 0,
            up: false,
            next: 0,
            disks_stall: false,
            stalls: None,
            stalled: None,
        };
        world.event(Event::Start);
        world.run();
        world
    }

    pub(crate) fn event(&mut self, event: Event) {
        self.program.event(event, &mut self.board.ports(0));
    }

    /// Saves the program; another one goes on in its place.
    pub(crate) fn restart(&mut self) -> Vec<u8> {
        let bytes = self.program.save().unwrap();
        self.program = ControlDomain::restored(self.conf.clone(), &bytes).unwrap();
        assert_eq!(self.program.save().as_ref(), Ok(&bytes), "before anything happens");
        self.hv.requests.clear();
        self.event(Event::Restarted);
        bytes
    }

    /// Until nothing is left to do, without time.
    pub(crate) fn run(&mut self) {
        loop {
            if let Some(mondo) = self.board.domains[0].mondos.pop_front() {
                self.event(Event::Mondo(mondo));
            } else if let Some(event) = self.disk_event() {
                self.event(event);
            } else if self.board.domains[HYPERVISOR].mondos.pop_front().is_some() {
                self.serve();
            } else if let Some(far) = self.woken() {
                self.look(far);
            } else if let (true, Some(event)) = (self.up, self.hv.events.pop_front()) {
                // Notices are not numbered.
                if let HvEvent::Notice(reply) = event {
                    self.send(reply);
                }
            } else if !self.turn() {
                return;
            }
        }
    }

    fn disk_event(&mut self) -> Option<Event> {
        let events = &mut self.board.domains[0].disk_events;
        if self.disks_stall { None } else { events.pop_front() }
    }

    /// The hypervisor answers what it has not answered.
    pub(crate) fn goes_on(&mut self) {
        self.stalls = None;
        if let Some(reply) = self.stalled.take() {
            self.say(reply);
        }
        self.run();
    }

    /// A guest's end that has a mondo.
    fn woken(&mut self) -> Option<usize> {
        let domain = (2..4).find(|&domain| !self.board.domains[domain].mondos.is_empty())?;
        let cookie = self.board.domains[domain].mondos.pop_front()?[0];
        self.far.iter().position(|far| (far.domain, u64::from(far.id)) == (domain, cookie))
    }

    fn look(&mut self, far: usize) {
        let far = &mut self.far[far];
        for event in far.channel.service(&mut self.board.ports(far.domain)) {
            match event {
                LinkEvent::Up => far.ups += 1,
                LinkEvent::Down => far.downs += 1,
                LinkEvent::Message(bytes) => far.got.push(bytes),
            }
        }
    }

    /// Guests start and stop at once.
    fn turn(&mut self) -> bool {
        let turns: Vec<_> = self.hv.guests.iter().map(|(&id, own)| (id, own.state)).collect();
        let next = turns.into_iter().find_map(|(id, state)| match state {
            GuestState::Resetting => Some((id, GuestState::Normal)),
            GuestState::Exiting => Some((id, GuestState::Stopped)),
            _ => None,
        });
        next.map(|(id, state)| self.hv.becomes(id, state)).is_some()
    }

    fn say(&mut self, reply: HvReply) {
        self.send(HvReply { seqn: self.ours, ..reply });
        self.ours = self.ours.wrapping_add(1);
    }

    fn send(&mut self, reply: HvReply) {
        let ports = &mut self.board.ports(HYPERVISOR);
        assert_eq!(self.endpoint.send(ports, [reply.to_bytes()].into_iter()), Ok(1));
    }

    fn serve(&mut self) {
        let mut packets = Vec::new();
        self.endpoint.receive(&mut self.board.ports(HYPERVISOR), &mut packets).unwrap();
        for packet in packets {
            let request = Request::parse(&packet).unwrap();
            let op = request.op();
            if let Request::Hello(version) = request {
                assert_eq!(version, VERSION);
                self.up = false;
                self.ours = sequence(&packet).wrapping_add(1).wrapping_add(REPLY_OFFSET);
                let body = Body::Challenge { code: challenge(SECRET), version };
                self.say(HvReply { seqn: 0, op: Op::Challenge, status: Status::Ok, body });
                continue;
            }
            if let Request::Response(code) = request {
                assert_eq!(code, response(challenge(SECRET)));
                self.up = true;
                self.say(HvReply::plain(op, 0, Status::Ok));
                continue;
            }
            self.hv.requests.push(request);
            let at = self.conf.inventory.md_pa.0 as usize;
            let mds = &self.board.domains[HYPERVISOR].memory[at..at + self.hv.memory.len()];
            if matches!(request, Request::Reconfigure { .. }) {
                self.hv.memory.copy_from_slice(mds);
            }
            let (status, body) = self.hv.serve(request);
            self.join();
            let reply = HvReply { seqn: 0, op, status, body };
            if self.stalls == Some(op) {
                self.stalled = Some(reply);
            } else {
                self.say(reply);
            }
        }
        self.endpoint.rearm(&mut self.board.ports(HYPERVISOR)).unwrap();
    }

    /// New channels of the configuration.
    fn join(&mut self) {
        for end in &self.hv.config.ldc_endpoints {
            let own = (domain(end.guest), end.channel.0);
            if let LdcTarget::Guest { guest, channel } = end.target
                && !self.board.has((own.0, own.1))
            {
                self.board.join(own, (domain(guest), channel.0));
            }
        }
    }

    /// A guest opens its end of a channel.
    pub(crate) fn opens(&mut self, guest: u8, id: u16) -> usize {
        let domain = domain(GuestId(guest));
        let (ports, arena) = (&mut self.board.ports(domain), self.arenas.get_mut(&domain).unwrap());
        let link = Channel::connect(ports, arena, channel(id), id.into()).unwrap();
        self.far.push(Far { domain, id, channel: link, got: Vec::new(), ups: 0, downs: 0 });
        self.run();
        self.far.len() - 1
    }

    /// A guest opens its end of a reliable channel and waits.
    pub(crate) fn listens(&mut self, guest: u8, id: u16) -> usize {
        let domain = domain(GuestId(guest));
        let (ports, arena) = (&mut self.board.ports(domain), self.arenas.get_mut(&domain).unwrap());
        let (conf, cookie) = (channel(id), id.into());
        let link = Channel::of_mode(ports, arena, conf, cookie, Mode::Reliable).unwrap();
        self.far.push(Far { domain, id, channel: link, got: Vec::new(), ups: 0, downs: 0 });
        self.run();
        self.far.len() - 1
    }

    /// A guest lends two pages to whoever is at the other end, the first at address zero.
    pub(crate) fn lends(&mut self, far: usize) -> Block {
        let Far { domain, id, .. } = self.far[far];
        let arena = self.arenas.get_mut(&domain).unwrap();
        let (table, lent) = (arena.alloc(16 * 16).unwrap(), arena.alloc(2 * 0x2000).unwrap());
        let ports = &mut self.board.ports(domain);
        for n in 0..2_u64 {
            let mte = Mte::page(lent.at(n * 0x2000), MapPerms::CR | MapPerms::CW);
            let entry = MapEntry { mte: mte.0.into(), revoke: 0.into() };
            ports.write(table.at(16 * n), entry.as_bytes());
        }
        ports.hcall(LDC_SET_MAP_TABLE, [id.into(), table.ra.0, 16, 0, 0]).unwrap();
        lent
    }

    /// Types a command that is not answered at once; its number.
    pub(crate) fn types(&mut self, line: &str) -> u64 {
        self.next += 1;
        self.event(Event::Command { id: self.next, line: line.to_owned() });
        self.run();
        self.next
    }

    /// The answer to a command, if there is one.
    pub(crate) fn answer(&mut self, id: u64) -> Option<Reply> {
        let replies = &mut self.board.domains[0].replies;
        let at = replies.iter().position(|(own, _)| *own == id)?;
        Some(replies.remove(at).1)
    }

    /// Says something at a guest's end, and takes what was answered.
    pub(crate) fn ask(&mut self, far: usize, bytes: &[u8]) -> Vec<Vec<u8>> {
        let own = &mut self.far[far];
        assert!(own.channel.send(&mut self.board.ports(own.domain), bytes));
        self.run();
        std::mem::take(&mut self.far[far].got)
    }

    /// Types a command.
    pub(crate) fn command(&mut self, line: &str) -> Reply {
        self.next += 1;
        self.event(Event::Command { id: self.next, line: line.to_owned() });
        self.run();
        match self.board.domains[0].replies.pop() {
            Some((id, reply)) if id == self.next => reply,
            other => panic!("{line}: {other:?}, {:?}", self.board.domains[0].lines),
        }
    }

    /// Output of commands that succeed.
    pub(crate) fn out(&mut self, lines: &[&str]) -> String {
        let mut text = String::new();
        for line in lines {
            let reply = self.command(line);
            assert_eq!((reply.status, reply.stderr.as_str()), (0, ""), "{line}");
            text.push_str(&reply.stdout);
        }
        text
    }
}

fn channel(id: u16) -> ChannelConf {
    ChannelConf { id: LdcId(id), tx_ino: 2 * id, rx_ino: 2 * id + 1 }
}
