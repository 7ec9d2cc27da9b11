//! Sessions with a guest that speaks as Linux 6.1 does: its link, its bytes, its order.

mod fuzz;
mod linux;

use super::{ANSWER_TIME, Answer, Ask, DsConf, DsEvent, DsServer, VARIABLES_MAX};
use crate::channel::{ChannelConf, Copier, Endpoint};
use crate::cost::Cost;
use crate::memory::Arena;
use crate::service::host::Host;
use crate::testing::{BASE, Board};
use linux::Linux;
use std::fmt::Write;
use sun4v::addr::Ra;
use sun4v::ds::service::{CpuAnswer, PlainAnswer, VariableRequest, VariableResult, plain_request};
use sun4v::ds::{CpuOp, CpuRecord, CpuResult, CpuStat, Message, PAYLOAD_MAX, Refusal, Service};
use sun4v::id::{GuestId, LdcId};
use sun4v::time::SimTime;

const KEY: u64 = 0xd5;
const GUEST: GuestId = GuestId(1);

fn conf(id: u16) -> ChannelConf {
    ChannelConf { id: LdcId(id), tx_ino: 2 * id, rx_ino: 2 * id + 1 }
}

/// The manager's end and a guest's.
struct World {
    board: Board,
    arena: Arena,
    copier: Copier,
    cost: Cost,
    server: DsServer,
    /// The guest's, which it has configured.
    endpoint: Option<Endpoint>,
    guest: Arena,
    linux: Linux,
    /// Packets both ways.
    wire: String,
}

impl World {
    /// A port, and nobody at the other end.
    fn new(firmware: bool) -> Self {
        let mut board = Board::new(2, 0x10_0000);
        board.join((0, 3), (1, 1));
        let mut arena = Arena::new(Ra(BASE), 0x10_0000);
        let copier = Copier::new(&mut arena).unwrap();
        let mut world = Self {
            board,
            arena,
            copier,
            cost: Cost::default(),
            server: DsServer::default(),
            endpoint: None,
            guest: Arena::new(Ra(BASE), 0x10_0000),
            linux: Linux::default(),
            wire: String::new(),
        };
        let conf = DsConf { domain: "rover".into(), guest: GUEST, firmware, channel: conf(3) };
        world.serve(|server, host| server.attach(host, KEY, conf).unwrap());
        world
    }

    /// A guest that has registered everything.
    fn up() -> Self {
        let mut world = Self::new(false);
        world.binds();
        world.linux.begin();
        world.run();
        for service in Service::ALL {
            world.linux.register(service.name());
        }
        world.run();
        world.linux.heard.clear();
        world.server.take_events();
        world
    }

    fn serve<R>(&mut self, act: impl FnOnce(&mut DsServer, &mut Host<'_>) -> R) -> R {
        let Self { board, arena, copier, cost, server, .. } = self;
        let mut ports = board.ports(0);
        act(server, &mut Host { ports: &mut ports, arena, copier, cost })
    }

    /// The guest sets its queues up, once more if it has them already.
    fn binds(&mut self) {
        self.linux = Linux::default();
        let ports = &mut self.board.ports(1);
        match &self.endpoint {
            Some(endpoint) => endpoint.reset(ports).unwrap(),
            None => {
                let opened = Endpoint::open(ports, &mut self.guest, conf(1), 100);
                self.endpoint = Some(opened.unwrap());
            }
        }
        self.run();
    }

    /// Until nothing moves.
    fn run(&mut self) {
        loop {
            let mut quiet = true;
            while self.board.domains[0].mondos.pop_front().is_some() {
                self.serve(|server, host| server.mondo(host, KEY));
                quiet = false;
            }
            self.board.domains[1].mondos.clear();
            let Some(endpoint) = &mut self.endpoint else { return };
            let ports = &mut self.board.ports(1);
            let mut packets = Vec::new();
            let state = endpoint.receive(ports, &mut packets).unwrap();
            endpoint.rearm(ports).unwrap();
            self.linux.sees(state);
            for packet in packets {
                writeln!(self.wire, "< {}", linux::show(&packet)).unwrap();
                self.linux.receive(&packet);
                quiet = false;
            }
            let out = std::mem::take(&mut self.linux.out);
            for packet in &out {
                writeln!(self.wire, "> {}", linux::show(packet)).unwrap();
                quiet = false;
            }
            if !out.is_empty() {
                assert_eq!(endpoint.send(ports, out.iter().copied()), Ok(out.len()));
            }
            if quiet {
                return;
            }
        }
    }

    /// Asks something, and gives what the guest is sent for it.
    fn ask(&mut self, ticket: u64, ask: &Ask) -> Option<Message> {
        self.serve(|server, host| server.ask(host, GUEST, ticket, ask));
        self.run();
        self.linux.heard.pop()
    }

    /// The guest sends data to the handle of a service.
    fn data(&mut self, service: Service, payload: Vec<u8>) {
        let handle = self.linux.handle(service.name());
        self.linux.say(&Message::Data(handle, payload));
        self.run();
    }

    fn events(&mut self) -> Vec<DsEvent> {
        self.server.take_events()
    }

    fn lines(&mut self) -> Vec<String> {
        std::mem::take(&mut self.board.domains[0].lines)
    }

    fn later(&mut self, time: SimTime) {
        self.board.now = self.board.now.plus(time);
        self.serve(|server, host| server.tick(host));
        self.run();
    }
}

fn plain(number: u64, result: u32, reason: &str) -> Vec<u8> {
    PlainAnswer { number, result, reason: reason.into() }.to_bytes()
}

/// The number of a request that the guest got.
fn number(message: &Option<Message>) -> u64 {
    match message {
        Some(Message::Data(_, payload)) => {
            u64::from_be_bytes(*payload.first_chunk().expect("a number"))
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn linux_is_met_packet_by_packet() {
    let mut world = World::new(false);
    world.run();
    assert_eq!(world.wire, "", "nobody is there");
    assert_eq!(world.server.next_tick(SimTime::ZERO), SimTime::NEVER, "and that costs nothing");
    world.binds();
    world.linux.begin();
    world.run();
    for service in Service::ALL {
        world.linux.register(service.name());
        world.run();
    }
    world.ask(7, &Ask::MdUpdate);
    world.data(Service::MdUpdate, [&1_u64.to_be_bytes()[..], &[0; 4]].concat());
    let request = VariableRequest::Set { name: "reboot-command".into(), value: "boot -s".into() };
    world.data(Service::VarConfig, request.to_bytes());
    let events = world.events();
    let Some(&DsEvent::Variable { token, .. }) = events.last() else { panic!("{events:?}") };
    world.serve(|server, host| server.variable_done(host, token, VariableResult::Ok));
    world.run();
    insta::assert_snapshot!(world.wire);
    insta::assert_debug_snapshot!(events);
    assert_eq!(world.lines(), Vec::<String>::new());
    assert_eq!(world.linux.unacked, 0);
}

#[test]
fn what_is_asked_is_answered_well_or_not() {
    let mut world = World::up();
    let asked = world.ask(1, &Ask::MdUpdate);
    let Some(Message::Data(handle, payload)) = &asked else { panic!("{asked:?}") };
    assert_eq!((*handle, payload.len()), (world.linux.handle("md-update"), 8));
    world.data(Service::MdUpdate, plain(number(&asked), 0, ""));
    let asked = world.ask(2, &Ask::Shutdown { delay_ms: 3000 });
    let Some(Message::Data(_, payload)) = &asked else { panic!("{asked:?}") };
    assert_eq!(payload[8..], [0, 0, 0x0b, 0xb8, 0, 0, 0, 0], "16 bytes, as Solaris wants");
    world.data(Service::Shutdown, plain(number(&asked), 1, "busy"));
    let asked = world.ask(3, &Ask::MdUpdate);
    world.data(Service::MdUpdate, plain(number(&asked), 2, ""));
    let cpus = Ask::Cpus { op: CpuOp::Unconfigure, cpus: vec![6, 7] };
    let asked = world.ask(4, &cpus);
    let record = |cpu, result, stat| CpuRecord { cpu, result, stat, reason: String::new() };
    let records = vec![
        record(6, CpuResult::Blocked, CpuStat::Configured),
        record(7, CpuResult::Ok, CpuStat::Unconfigured),
    ];
    let answer = CpuAnswer { number: number(&asked), ok: true, records: records.clone() };
    world.data(Service::DrCpu, answer.to_bytes());
    let asked = world.ask(5, &cpus);
    let answer = CpuAnswer { number: number(&asked), ok: false, records: Vec::new() };
    world.data(Service::DrCpu, answer.to_bytes());
    let error = |text: &str| Err(text.to_owned());
    assert_eq!(
        world.events(),
        [
            DsEvent::Answered(1, Ok(Answer::Done)),
            DsEvent::Answered(2, error("busy")),
            DsEvent::Answered(3, error("it cannot (result 2)")),
            DsEvent::Answered(4, Ok(Answer::Cpus(records))),
            DsEvent::Answered(5, error("it does not take the request")),
        ]
    );
    // A guest that refuses the data itself.
    world.ask(6, &Ask::MdUpdate);
    let handle = world.linux.handle("md-update");
    world.linux.say(&Message::Nack(handle, Refusal::Kind.code()));
    world.run();
    let refused = "it does not take what was asked of it (result 4)";
    assert_eq!(world.events(), [DsEvent::Answered(6, error(refused))]);
    assert_eq!(world.lines(), Vec::<String>::new());
}

#[test]
fn who_does_not_answer_is_given_up_and_may_answer_the_next() {
    let mut world = World::up();
    let first = world.ask(1, &Ask::MdUpdate);
    let due = world.server.next_tick(world.board.now);
    assert_eq!(due, world.board.now.plus(ANSWER_TIME));
    world.later(SimTime(ANSWER_TIME.0 - 1));
    assert_eq!(world.events(), []);
    world.later(SimTime(1));
    let late = Err("it has not answered for 60 s".to_owned());
    assert_eq!(world.events(), [DsEvent::Answered(1, late)]);
    assert_eq!(world.server.next_tick(world.board.now), SimTime::NEVER);
    world.data(Service::MdUpdate, plain(number(&first), 0, ""));
    let second = world.ask(2, &Ask::MdUpdate);
    // The answer of another service is none.
    world.data(Service::Shutdown, plain(number(&second), 0, ""));
    world.data(Service::MdUpdate, plain(number(&second), 0, ""));
    assert_eq!(world.events(), [DsEvent::Answered(2, Ok(Answer::Done))]);
    assert_eq!(
        world.lines(),
        [
            "domain services of rover: md-update: it has not answered for 60 s",
            "domain services of rover: md-update: an answer to nothing, or too late",
            "domain services of rover: domain-shutdown: an answer to nothing, or too late",
        ]
    );
}

#[test]
fn nobody_can_be_asked_for_what_was_not_registered() {
    let mut world = World::new(false);
    let unregistered = "it has not registered md-update";
    world.ask(1, &Ask::MdUpdate);
    assert_eq!(world.events(), [DsEvent::Answered(1, Err(unregistered.to_owned()))]);
    world.serve(|server, host| server.ask(host, GuestId(9), 2, &Ask::MdUpdate));
    assert_eq!(world.events(), [DsEvent::Answered(2, Err("it is not there".to_owned()))]);
    let mut world = World::up();
    for ticket in 0..70 {
        world.ask(ticket, &Ask::MdUpdate);
    }
    let events = world.events();
    assert_eq!(events.len(), 6, "64 are asked");
    let why = "too much is asked of it already".to_owned();
    assert_eq!(events[0], DsEvent::Answered(64, Err(why)));
}

#[test]
fn whatever_ends_a_session_ends_what_was_asked() {
    let ended = |world: &mut World, why: &str| {
        let events = world.events();
        let serves = |event: &&DsEvent| matches!(event, DsEvent::Serves(GUEST, _, false));
        assert_eq!(events.iter().filter(serves).count(), Service::ALL.len(), "{events:?}");
        let answered = DsEvent::Answered(1, Err(why.to_owned()));
        assert!(events.contains(&answered), "{events:?}");
    };
    // The guest reboots.
    let mut world = World::up();
    world.ask(1, &Ask::MdUpdate);
    world.binds();
    ended(&mut world, "its channel went down");
    world.linux.begin();
    world.linux.register("md-update");
    world.run();
    assert_eq!(world.events(), [DsEvent::Serves(GUEST, Service::MdUpdate, true)]);

    // It says INIT once more.
    let mut world = World::up();
    world.ask(1, &Ask::MdUpdate);
    world.linux.say(&Message::InitReq(1, 0));
    world.run();
    ended(&mut world, "its session has begun anew");

    // It goes.
    let mut world = World::up();
    world.ask(1, &Ask::MdUpdate);
    world.serve(|server, host| server.detach(host, KEY));
    ended(&mut world, "the domain has gone");
    assert_eq!(world.server.next_tick(SimTime::ZERO), SimTime::NEVER);

    // It takes the service away.
    let mut world = World::up();
    world.ask(1, &Ask::MdUpdate);
    let handle = world.linux.handle("md-update");
    for answer in [Message::UnregAck(handle), Message::UnregNack(handle)] {
        world.linux.say(&Message::UnregReq(handle));
        world.run();
        assert_eq!(world.linux.heard.pop(), Some(answer));
    }
    let why = "it has unregistered the service".to_owned();
    assert_eq!(
        world.events(),
        [DsEvent::Serves(GUEST, Service::MdUpdate, false), DsEvent::Answered(1, Err(why)),]
    );
}

#[test]
fn registrations_that_cannot_be_are_refused() {
    let mut world = World::new(false);
    world.binds();
    world.linux.say(&Message::InitReq(2, 1));
    world.run();
    assert_eq!(world.linux.heard.pop(), Some(Message::InitNack(1)));
    world.linux.say(&Message::InitReq(0, 9));
    world.run();
    assert_eq!(world.linux.heard.pop(), Some(Message::InitNack(0)));
    world.linux.begin();
    world.run();
    world.linux.heard.clear();
    let register =
        |handle, version, name: &str| Message::RegReq { handle, version, name: name.to_owned() };
    let nack =
        |handle, result: Refusal, major| Message::RegNack { handle, result: result.code(), major };
    for (ask, answer) in [
        (register(1, (1, 0), "dr-mem"), nack(1, Refusal::Version, 0)),
        (register(1, (2, 0), "dr-cpu"), nack(1, Refusal::Version, 1)),
        (register(1, (1, 5), "dr-cpu"), Message::RegAck { handle: 1, minor: 0 }),
        (register(1, (1, 0), "pri"), nack(1, Refusal::Duplicate, 1)),
        (register(2, (1, 0), "dr-cpu"), nack(2, Refusal::Duplicate, 1)),
        (Message::Data(9, vec![1]), Message::Nack(9, Refusal::Handle.code())),
        (Message::Data(1, vec![1]), Message::Nack(1, Refusal::Kind.code())),
    ] {
        world.linux.say(&ask);
        world.run();
        assert_eq!(world.linux.heard.pop(), Some(answer), "{ask:?}");
    }
    // Nobody answers an answer.
    world.linux.say(&Message::RegAck { handle: 1, minor: 0 });
    world.run();
    assert_eq!(world.linux.heard, []);
    assert_eq!(world.events(), [DsEvent::Serves(GUEST, Service::DrCpu, true)]);
    insta::assert_snapshot!(world.lines().join("\n"));
}

#[test]
fn firmware_keeps_variables_and_nothing_else() {
    let mut world = World::new(true);
    world.binds();
    world.linux.begin();
    world.run();
    world.linux.heard.clear();
    for service in Service::ALL {
        let handle = world.linux.register(service.name());
        world.run();
        let variables = matches!(service, Service::VarConfig | Service::VarConfigBackup);
        let answer = match variables {
            true => Message::RegAck { handle, minor: 0 },
            false => Message::RegNack { handle, result: Refusal::Version.code(), major: 0 },
        };
        assert_eq!(world.linux.heard.pop(), Some(answer));
    }
    // It is nobody to be asked.
    world.ask(1, &Ask::MdUpdate);
    assert_eq!(world.events(), [DsEvent::Answered(1, Err("it is not there".to_owned()))]);
    world.data(Service::VarConfigBackup, VariableRequest::Delete { name: "x".into() }.to_bytes());
    let events = world.events();
    assert!(matches!(events[..], [DsEvent::Variable { guest: GUEST, .. }]), "{events:?}");
    assert_eq!(
        world.lines()[0],
        "domain services of the firmware of rover: md-update: no such service"
    );
}

#[test]
fn variables_are_changed_one_after_the_other() {
    let mut world = World::up();
    let set = |n: usize| VariableRequest::Set { name: format!("v{n}"), value: n.to_string() };
    for n in 0..VARIABLES_MAX + 1 {
        world.data(Service::VarConfig, set(n).to_bytes());
    }
    let handle = world.linux.handle("var-config");
    let full = set(0).answer(VariableResult::NoSpace);
    assert_eq!(world.linux.heard, [Message::Data(handle, full)]);
    world.linux.heard.clear();
    for n in 0..VARIABLES_MAX {
        let events = world.events();
        let [DsEvent::Variable { token, guest: GUEST, request }] = &events[..] else {
            panic!("{events:?}")
        };
        assert_eq!(*request, set(n));
        let result = if n == 3 { VariableResult::BadName } else { VariableResult::Ok };
        world.serve(|server, host| {
            server.variable_done(host, token + 1000, VariableResult::Ok);
            server.variable_done(host, *token, result);
            server.variable_done(host, *token, result);
        });
        world.run();
        assert_eq!(world.linux.heard, [Message::Data(handle, set(n).answer(result))]);
        world.linux.heard.clear();
    }
    assert_eq!(world.events(), []);
    // An answer to a session that has gone goes nowhere.
    world.data(Service::VarConfig, set(1).to_bytes());
    let events = world.events();
    let [DsEvent::Variable { token, .. }] = events[..] else { panic!("{events:?}") };
    world.binds();
    world.serve(|server, host| server.variable_done(host, token, VariableResult::Ok));
    world.run();
    assert_eq!(world.linux.heard, []);
    assert_eq!(
        world.lines(),
        ["domain services of rover: too many variables are to be changed at once"]
    );
}

#[test]
fn long_values_come_in_pieces() {
    let mut world = World::up();
    let value: String = (0..10_000).map(|n| char::from(b'a' + (n % 26) as u8)).collect();
    let request = VariableRequest::Set { name: "nvramrc".into(), value };
    let handle = world.linux.handle("var-config");
    let bytes = Message::Data(handle, request.to_bytes()).to_bytes();
    for piece in bytes.chunks(4096) {
        world.linux.send(piece);
        world.run();
    }
    let events = world.events();
    let [DsEvent::Variable { request: got, .. }] = &events[..] else { panic!("{events:?}") };
    assert_eq!(*got, request);
    assert_eq!(world.linux.unacked, 0);
}

#[test]
fn nonsense_is_refused_and_what_cannot_be_followed_is_reset() {
    let mut world = World::up();
    world.linux.send(&[0, 0, 0, 99, 0, 0, 0, 1, 7]);
    world.run();
    assert_eq!(world.linux.heard.pop(), Some(Message::Nack(0, Refusal::Kind.code())));
    // The domain asks for the machine's resources.
    let handle = world.linux.handle("pri");
    world.data(Service::Pri, [plain_request(1), vec![0; 8]].concat());
    assert_eq!(world.linux.heard.pop(), Some(Message::Nack(handle, Refusal::Kind.code())));
    assert_eq!(world.linux.resets, 0);

    let tooth = |world: &mut World, bytes: &[u8]| {
        let before = world.linux.resets;
        world.linux.send(bytes);
        world.run();
        assert_eq!(world.linux.resets, before + 1);
        // Linux begins anew, as it does whenever its link was reset.
        world.linux.begin();
        world.run();
        assert_eq!(world.linux.heard.pop(), Some(Message::InitAck(0)));
    };
    let long = (PAYLOAD_MAX as u32 + 1).to_be_bytes();
    tooth(&mut world, &[&[0, 0, 0, 9][..], &long].concat());
    let mut world = World::new(false);
    world.binds();
    tooth(&mut world, &Message::UnregReq(1).to_bytes());
    let mut world = World::new(false);
    world.binds();
    tooth(&mut world, &[0, 0, 0, 99, 0, 0, 0, 0]);
    // Whoever says nothing else fills no log.
    for _ in 0..300 {
        world.linux.send(&[0, 0, 0, 99, 0, 0, 0, 0]);
        world.run();
    }
    let lines = world.lines();
    assert_eq!(lines.len(), 1 + 100);
    assert_eq!(lines[0], "domain services of rover: a message of type 0x63: the session is reset");
    assert!(lines[100].ends_with("no more is said of this session"), "{}", lines[100]);
}
