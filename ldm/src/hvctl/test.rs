//! The manager's end against something that answers as the hypervisor does.

use super::{Calls, Command, Event, Hvctl, Session};
use crate::channel::{ChannelConf, Endpoint};
use crate::memory::Arena;
use crate::migrate::Refusal;
use crate::migrate::pages::Stretch;
use crate::migrate::port::{Hv, HvReply, HvRequest, Tag};
use crate::testing::{BASE, Board};
use std::collections::VecDeque;
use sun4v::addr::{Pa, Ra};
use sun4v::hcall::HvError;
use sun4v::hvctl::migrate::Request as MigrateRequest;
use sun4v::hvctl::{
    Body, Detail, HvInfo, MESSAGE_BYTES, Op, REPLY_OFFSET, Reply, Request, Status, VERSION,
    challenge, response, sequence,
};
use sun4v::id::{GuestId, LdcId};
use sun4v::native::Ports;

const SECRET: u64 = 0x5e_c2e7;
const COOKIE: u64 = 7;
const MEMORY: usize = 0x10_0000;

/// The hypervisor's side of a session, to the letter; and ways to misbehave.
struct FakeHypervisor {
    endpoint: Endpoint,
    /// Hello was said; the challenge was answered.
    stage: (bool, bool),
    theirs: u16,
    ours: u16,
    /// Answers that wait until they are let go.
    held: Option<VecDeque<Reply>>,
    /// Refuses the next handshakes with this.
    refuse: Option<Status>,
    log: Vec<String>,
    served: Vec<Request>,
}

impl FakeHypervisor {
    fn serve(&mut self, ports: &mut dyn Ports) {
        let mut packets = Vec::new();
        self.endpoint.receive(ports, &mut packets).unwrap();
        for packet in packets {
            let reply = self.answer(&packet);
            match &mut self.held {
                Some(held) if self.stage.1 && reply.op != Op::Response => held.push_back(reply),
                _ => self.say(ports, reply),
            }
        }
        self.endpoint.rearm(ports).unwrap();
    }

    fn say(&mut self, ports: &mut dyn Ports, reply: Reply) {
        self.log.push(format!("  < {:?} {} {}", reply.op, reply.seqn, reply.status));
        self.raw(ports, reply.to_bytes());
    }

    fn raw(&mut self, ports: &mut dyn Ports, message: [u8; MESSAGE_BYTES]) {
        assert_eq!(self.endpoint.send(ports, [message].into_iter()), Ok(1));
    }

    fn end(&mut self, op: Op, seqn: u16, status: Status) -> Reply {
        self.stage = (false, false);
        Reply::plain(op, seqn, status)
    }

    fn answer(&mut self, packet: &[u8; MESSAGE_BYTES]) -> Reply {
        let (request, number) = (Request::parse(packet).unwrap(), sequence(packet));
        self.log.push(format!("> {:?} {number}", request.op()));
        let op = request.op();
        if request == Request::Hello(VERSION) {
            self.stage = (true, false);
            self.theirs = number.wrapping_add(1);
            self.ours = self.theirs.wrapping_add(REPLY_OFFSET);
        }
        let seqn = self.ours;
        self.ours = self.ours.wrapping_add(1);
        if op == Op::Hello {
            let code = challenge(SECRET);
            let body = Body::Challenge { code, version: VERSION };
            return match self.refuse {
                Some(status) => self.end(op, seqn, status),
                None => Reply { seqn, op: Op::Challenge, status: Status::Ok, body },
            };
        }
        if number != self.theirs {
            return self.end(op, seqn, Status::BadSeqn);
        }
        self.theirs = self.theirs.wrapping_add(1);
        match request {
            Request::Response(code) if self.stage == (true, false) => {
                assert_eq!(code, response(challenge(SECRET)));
                self.stage.1 = true;
                Reply::plain(op, seqn, Status::Ok)
            }
            _ if !self.stage.1 => self.end(op, seqn, Status::Auth),
            // Unimplemented, and ends the session.
            Request::GuestSuspend => self.end(op, seqn, Status::Auth),
            request => {
                self.served.push(request);
                let body = match request {
                    Request::GetHvConfig => Body::HvInfo(HvInfo::default()),
                    Request::GuestStart(_) => Body::Code(0),
                    Request::Migrate(MigrateRequest::StateOut(_)) => {
                        Body::Migrate { code: 0, value: 4321 }
                    }
                    Request::Migrate(MigrateRequest::Suspend(9)) => {
                        let code = Detail::NotInState.code();
                        let body = Body::Migrate { code, value: 0 };
                        return Reply { seqn, op, status: Status::Illegal, body };
                    }
                    Request::Migrate(MigrateRequest::Hold { .. }) => {
                        Body::Migrate { code: 0, value: 3 }
                    }
                    Request::Migrate(_) => Body::Migrate { code: 0, value: 0 },
                    _ => Body::None,
                };
                Reply { seqn, op, status: Status::Ok, body }
            }
        }
    }
}

struct Room {
    board: Board,
    arena: Arena,
    session: Session,
    hypervisor: FakeHypervisor,
    events: Vec<Event>,
}

impl Room {
    fn new() -> Self {
        let mut room = Self::silent();
        room.run();
        assert_eq!(room.take(), [Event::Up]);
        room
    }

    /// Nothing has moved yet.
    fn silent() -> Self {
        let mut board = Board::new(2, MEMORY);
        board.join((0, 0), (1, 5));
        board.hypervisor.insert((1, 5));
        let conf = |id: u16| ChannelConf { id: LdcId(id), tx_ino: 2 * id, rx_ino: 2 * id + 1 };
        let mut arena = Arena::new(Ra(BASE), MEMORY as u64);
        let mut far = Arena::new(Ra(BASE + MEMORY as u64 / 2), MEMORY as u64 / 2);
        let session = Session::open(&mut board.ports(0), &mut arena, conf(0), COOKIE).unwrap();
        let endpoint = Endpoint::open(&mut board.ports(1), &mut far, conf(5), 0).unwrap();
        let hypervisor = FakeHypervisor {
            endpoint,
            stage: (false, false),
            theirs: 0,
            ours: 0,
            held: None,
            refuse: None,
            log: Vec::new(),
            served: Vec::new(),
        };
        Self { board, arena, session, hypervisor, events: Vec::new() }
    }

    fn ask(&mut self, request: Request) -> Command {
        self.session.request(&mut self.board.ports(0), request)
    }

    fn run(&mut self) {
        loop {
            if let Some(mondo) = self.board.domains[0].mondos.pop_front() {
                assert_eq!(mondo[0], COOKIE);
                self.events.extend(self.session.mondo(&mut self.board.ports(0)));
            } else if self.board.domains[1].mondos.pop_front().is_some() {
                self.hypervisor.serve(&mut self.board.ports(1));
            } else {
                return;
            }
        }
    }

    fn take(&mut self) -> Vec<Event> {
        std::mem::take(&mut self.events)
    }

    /// Commands that were answered, and how.
    fn answers(&mut self) -> Vec<(u64, Op, Status)> {
        let answered = |event| match event {
            Event::Reply(command, reply) => Some((command.0, reply.op, reply.status)),
            _ => None,
        };
        self.take().into_iter().filter_map(answered).collect()
    }
}

#[test]
fn commands_are_answered_in_their_order_over_one_session() {
    let mut room = Room::new();
    for request in [Request::GetHvConfig, Request::GuestStart(3), Request::CancelReconf] {
        room.ask(request);
    }
    room.run();
    let ok = Status::Ok;
    assert_eq!(
        room.answers(),
        [(1, Op::GetHvConfig, ok), (2, Op::GuestStart, ok), (3, Op::CancelReconf, ok)]
    );
    insta::assert_snapshot!(room.hypervisor.log.join("\n"), @r"
    > Hello 0
      < Challenge 2910 ok
    > Response 1
      < Response 2911 ok
    > GetHvConfig 2
      < GetHvConfig 2912 ok
    > GuestStart 3
      < GuestStart 2913 ok
    > CancelReconf 4
      < CancelReconf 2914 ok
    ");
    assert_eq!(room.board.domains[0].lines, [""; 0]);
}

#[test]
fn what_is_asked_before_the_session_stands_waits_for_it() {
    let mut room = Room::silent();
    room.ask(Request::GetHvConfig);
    room.run();
    assert_eq!(room.events.first(), Some(&Event::Up));
    assert_eq!(room.answers(), [(1, Op::GetHvConfig, Status::Ok)]);
}

#[test]
fn one_command_is_under_way_at_a_time_and_notices_pass() {
    let mut room = Room::new();
    room.hypervisor.held = Some(VecDeque::new());
    room.ask(Request::GuestStart(1));
    room.ask(Request::GuestStart(2));
    room.run();
    assert_eq!(room.hypervisor.served, [Request::GuestStart(1)]);
    let notice = Reply {
        seqn: 0,
        op: Op::NewResStat,
        status: Status::Ok,
        body: Body::ResStat { res: 0, id: 1, info: 0, code: 0, data: [0; 40] },
    };
    room.hypervisor.say(&mut room.board.ports(1), notice);
    room.run();
    assert_eq!(room.take(), [Event::Notice(notice)]);
    let held = room.hypervisor.held.take().unwrap();
    for reply in held {
        room.hypervisor.say(&mut room.board.ports(1), reply);
    }
    room.run();
    let ok = Status::Ok;
    assert_eq!(room.answers(), [(1, Op::GuestStart, ok), (2, Op::GuestStart, ok)]);
}

#[test]
fn a_command_that_ends_the_session_is_answered_and_the_next_ones_go_over_a_new_one() {
    let mut room = Room::new();
    room.ask(Request::GuestSuspend);
    room.ask(Request::GuestStart(2));
    room.run();
    assert_eq!(
        room.answers(),
        [(1, Op::GuestSuspend, Status::Auth), (2, Op::GuestStart, Status::Ok)]
    );
    assert!(room.session.is_up());
    assert_eq!(room.hypervisor.served, [Request::GuestStart(2)]);
}

#[test]
fn a_reset_answers_what_is_under_way_and_keeps_what_was_never_sent() {
    let mut room = Room::new();
    room.hypervisor.held = Some(VecDeque::new());
    room.ask(Request::GuestStart(1));
    room.ask(Request::GuestStart(2));
    room.run();
    room.hypervisor.held = None;
    room.hypervisor.endpoint.reset(&mut room.board.ports(1)).unwrap();
    room.run();
    assert_eq!(
        room.answers(),
        [(1, Op::GuestStart, Status::Auth), (2, Op::GuestStart, Status::Ok)]
    );
    assert_eq!(room.hypervisor.served, [Request::GuestStart(1), Request::GuestStart(2)]);
}

#[test]
fn a_command_that_meets_a_reset_on_its_way_is_sent_again() {
    let mut room = Room::new();
    room.hypervisor.endpoint.reset(&mut room.board.ports(1)).unwrap();
    room.ask(Request::GuestStart(1));
    room.run();
    assert_eq!(room.answers(), [(1, Op::GuestStart, Status::Ok)]);
    assert_eq!(room.hypervisor.served, [Request::GuestStart(1)]);
}

#[test]
fn a_refused_handshake_answers_everything_and_the_next_command_tries_again() {
    let mut room = Room::silent();
    room.hypervisor.refuse = Some(Status::NotSupported);
    room.ask(Request::GuestStart(1));
    room.ask(Request::GuestStart(2));
    room.run();
    let no = Status::NotSupported;
    assert_eq!(room.answers(), [(1, Op::GuestStart, no), (2, Op::GuestStart, no)]);
    assert_eq!(
        room.board.domains[0].lines,
        ["hvctl: the hypervisor refuses a session: not supported"]
    );
    room.hypervisor.refuse = None;
    room.ask(Request::GuestStart(3));
    room.run();
    assert_eq!(room.answers(), [(3, Op::GuestStart, Status::Ok)]);
}

#[test]
fn a_reply_that_nobody_waits_for_is_left_out() {
    let mut room = Room::new();
    room.hypervisor.held = Some(VecDeque::new());
    room.ask(Request::GuestStart(1));
    room.run();
    let reply = room.hypervisor.held.take().unwrap().pop_front().unwrap();
    for wrong in [
        Reply { seqn: reply.seqn + 1, ..reply },
        Reply::plain(Op::GetHvConfig, reply.seqn, Status::Invalid),
        reply,
        reply,
    ] {
        room.hypervisor.say(&mut room.board.ports(1), wrong);
    }
    room.run();
    assert_eq!(room.take(), [Event::Reply(Command(1), reply)]);
    assert_eq!(room.board.domains[0].lines.len(), 3);
}

#[test]
fn what_is_no_message_begins_the_session_anew() {
    let mut room = Room::new();
    room.hypervisor.held = Some(VecDeque::new());
    room.ask(Request::GuestStart(1));
    room.run();
    room.hypervisor.held = None;
    room.hypervisor.raw(&mut room.board.ports(1), [0xff; MESSAGE_BYTES]);
    room.run();
    assert_eq!(
        room.take(),
        [Event::Reply(Command(1), Reply::plain(Op::GuestStart, 0, Status::Auth)), Event::Up,]
    );
}

#[test]
fn any_messages_leave_a_session_that_still_works() {
    let mut room = Room::new();
    let mut state = 1_u64;
    for _ in 0..400 {
        let mut message = [0; MESSAGE_BYTES];
        for byte in &mut message {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            *byte = (state >> 33) as u8;
        }
        // Operations and statuses that exist, more often than not.
        message[0] = 0;
        message[1] &= 15;
        message[6] = 0;
        message[7] %= 11;
        room.hypervisor.raw(&mut room.board.ports(1), message);
        room.run();
    }
    room.take();
    let command = room.ask(Request::CancelReconf);
    room.run();
    assert_eq!(room.answers().last(), Some(&(command.0, Op::CancelReconf, Status::Ok)));
}

#[test]
fn the_hypervisors_memory_reads_and_writes_over_pages_and_odd_lengths() {
    let mut room = Room::new();
    let mut ports = room.board.ports(0);
    let data: Vec<u8> = (0..20_003_u32).map(|n| (n / 3) as u8).collect();
    for (pa, bytes) in [(0x1000, 20_003), (0x1ff8, 9), (0x4000, 1), (0x6008, 8), (0x0, 0)] {
        let around = room.session.read(&mut ports, Pa(pa), bytes as u64 + 16).unwrap();
        room.session.write(&mut ports, Pa(pa), &data[..bytes]).unwrap();
        let back = room.session.read(&mut ports, Pa(pa), bytes as u64 + 16).unwrap();
        assert_eq!(back[..bytes], data[..bytes]);
        assert_eq!(back[bytes..], around[bytes..]);
        assert_eq!(room.session.read(&mut ports, Pa(pa), bytes as u64).unwrap(), data[..bytes]);
    }
}

#[test]
fn memory_that_the_hypervisor_does_not_have_is_refused() {
    let mut room = Room::new();
    let mut ports = room.board.ports(0);
    let end = MEMORY as u64;
    let mut both = |pa, bytes: u64| {
        let read = room.session.read(&mut ports, Pa(pa), bytes).map(drop);
        let bytes = vec![0; bytes.min(64) as usize];
        (read, room.session.write(&mut ports, Pa(pa), &bytes))
    };
    assert_eq!(both(end - 8, 8), (Ok(()), Ok(())));
    assert_eq!(both(end - 8, 16), (Err(HvError::NoRaddr), Err(HvError::NoRaddr)));
    assert_eq!(both(0x1004, 8), (Err(HvError::BadAlign), Err(HvError::BadAlign)));
    assert_eq!(both(0, u64::MAX).0, Err(HvError::NoRaddr));
    assert_eq!(both(!7, 64), (Err(HvError::NoRaddr), Err(HvError::NoRaddr)));
}

const GUEST: GuestId = GuestId(3);
const TWO: [Stretch; 2] = [
    Stretch { ra: Ra(0x800_0000), bytes: 0x1_0000 },
    Stretch { ra: Ra(0x1000_0000), bytes: 0x4_0000 },
];

/// Asks, runs, and takes the answers.
fn migrate(
    room: &mut Room,
    calls: &mut Calls,
    requests: Vec<HvRequest>,
) -> Vec<(Tag, Result<HvReply, String>)> {
    for request in requests {
        let mut hv = calls.on(&mut room.session, &mut room.arena);
        hv.request(&mut room.board.ports(0), request);
    }
    room.run();
    for event in room.take() {
        assert!(calls.event(&mut room.arena, &event));
    }
    std::iter::from_fn(|| calls.take()).collect()
}

#[test]
fn real_addresses_become_page_numbers_in_lists_of_the_domains_memory() {
    let mut room = Room::new();
    let mut calls = Calls::default();
    calls.describe(GUEST, &TWO).unwrap();
    room.hypervisor.held = Some(VecDeque::new());
    let pages = vec![Ra(0x1000_2000), Ra(0x800_0000), Ra(0x800_e000)];
    let buffer = Ra(0x808_0000);
    let request = HvRequest::PagesOut { guest: GUEST, pages, buffer };
    calls.on(&mut room.session, &mut room.arena).request(&mut room.board.ports(0), request);
    room.run();
    let [Request::Migrate(MigrateRequest::PagesOut(sent))] = room.hypervisor.served[..] else {
        panic!("{:?}", room.hypervisor.served)
    };
    assert_eq!((sent.guest, sent.count, sent.buffer), (3, 3, buffer));
    let mut list = [0; 12];
    room.board.ports(0).read(sent.list, &mut list);
    assert_eq!(list, [0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0, 7]);
    // The list stays its own until the answer.
    assert_ne!(room.arena.alloc(12).unwrap().ra, sent.list);
    assert_eq!(calls.take(), None);
    let reply = room.hypervisor.held.take().unwrap().pop_front().unwrap();
    room.hypervisor.say(&mut room.board.ports(1), reply);
    room.run();
    assert!(calls.event(&mut room.arena, &room.events[0]));
    assert_eq!(calls.take(), Some((Tag(1), Ok(HvReply::Done))));
    assert_eq!(room.arena.alloc(12).unwrap().ra, sent.list);
}

#[test]
fn every_request_has_its_command_and_its_answer() {
    let mut room = Room::new();
    let mut calls = Calls::default();
    calls.describe(GUEST, &TWO).unwrap();
    let buffer = Ra(0x808_0000);
    let answers = migrate(
        &mut room,
        &mut calls,
        vec![
            HvRequest::LogStart(GUEST),
            HvRequest::DirtyRead { guest: GUEST, first: Ra(0x1000_0000), pages: 32, buffer },
            HvRequest::PagesIn { guest: GUEST, pages: vec![Ra(0x800_2000)], buffer },
            HvRequest::PagesZero { guest: GUEST, pages: vec![Ra(0x800_4000)] },
            HvRequest::LogStop(GUEST),
            HvRequest::Suspend(GUEST),
            HvRequest::StateOut { guest: GUEST, buffer, bytes: 0x4000 },
            HvRequest::StateIn { guest: GUEST, buffer, bytes: 4321 },
            HvRequest::Resume(GUEST),
            HvRequest::Hold { guest: GUEST, percent: 60 },
        ],
    );
    let tags: Vec<_> = answers.iter().map(|(tag, _)| tag.0).collect();
    assert_eq!(tags, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
    for (tag, answer) in answers {
        let expected = match tag {
            Tag(7) => HvReply::State { bytes: 4321 },
            Tag(10) => HvReply::Held { inside: 3 },
            _ => HvReply::Done,
        };
        assert_eq!(answer, Ok(expected));
    }
    let served = room.hypervisor.served.iter().map(|request| match request {
        Request::Migrate(request) => format!("{request:x?}"),
        other => panic!("{other:?}"),
    });
    insta::assert_snapshot!(served.collect::<Vec<_>>().join("\n"));
}

#[test]
fn what_cannot_be_asked_is_answered_in_its_turn() {
    let mut room = Room::new();
    let mut calls = Calls::default();
    calls.describe(GUEST, &TWO).unwrap();
    assert_eq!(calls.describe(GUEST, &[TWO[1], TWO[0]]), Err(Refusal::Memory));
    let zero = |guest, pages| HvRequest::PagesZero { guest, pages };
    let first = Ra(0x800_2000);
    let answers = migrate(
        &mut room,
        &mut calls,
        vec![
            HvRequest::Suspend(GuestId(9)),
            zero(GUEST, vec![Ra(0x800_0000), Ra(0x801_0000)]),
            zero(GUEST, vec![Ra(0x800_0008)]),
            zero(GuestId(4), vec![Ra(0x800_0000)]),
            zero(GUEST, vec![Ra(0x800_0000); 513]),
            HvRequest::DirtyRead { guest: GUEST, first, pages: 8, buffer: Ra(0x808_0000) },
            zero(GUEST, vec![Ra(0x800_0000); 512]),
        ],
    );
    let said: Vec<_> = answers
        .into_iter()
        .map(|(tag, answer)| match answer {
            Ok(reply) => format!("{} {reply:?}", tag.0),
            Err(why) => format!("{} {why}", tag.0),
        })
        .collect();
    insta::assert_snapshot!(said.join("\n"), @r"
    1 hypervisor: Suspend: not allowed in this state (NotInState)
    2 guest 3 has no page at 0x8010000
    3 guest 3 has no page at 0x8000008
    4 guest 4: its memory is not known
    5 513 pages in one request
    6 a dirty map from page 1 on, no multiple of eight
    7 Done
    ");
    assert_eq!(room.hypervisor.served.len(), 2);
}

#[test]
fn events_of_others_are_not_taken() {
    let mut room = Room::new();
    let mut calls = Calls::default();
    let mine = HvRequest::Resume(GUEST);
    calls.on(&mut room.session, &mut room.arena).request(&mut room.board.ports(0), mine);
    room.ask(Request::GuestStart(1));
    room.run();
    let taken: Vec<_> =
        room.take().iter().map(|event| calls.event(&mut room.arena, event)).collect();
    assert_eq!(taken, [true, false]);
    assert!(!calls.event(&mut room.arena, &Event::Up));
}
