//! The concentrator against a console that is played, packet by packet.

mod fuzz;

use super::{ConsoleConf, ConsoleServer, LINE_MAX, TYPED_MAX, TypeError};
use crate::channel::{ChannelConf, Copier, ENTRIES, Endpoint};
use crate::cost::Cost;
use crate::memory::Arena;
use crate::service::host::Host;
use crate::testing::{BASE, Board};
use proptest::prelude::{any, proptest};
use sun4v::addr::Ra;
use sun4v::id::LdcId;
use sun4v::ldc::LDC_RX_QCONF;
use sun4v::native::{ConsoleInput, Ports};

const KEY: u64 = 0xc0;

fn channel(id: u16) -> ChannelConf {
    ChannelConf { id: LdcId(id), tx_ino: 2 * id, rx_ino: 2 * id + 1 }
}

struct World {
    board: Board,
    arenas: [Arena; 2],
    copier: Copier,
    server: ConsoleServer,
    /// The console's own end.
    guest: Endpoint,
}

impl World {
    fn new() -> Self {
        let mut board = Board::new(2, 0x10_0000);
        board.join((0, 5), (1, 0));
        let mut arenas = [(); 2].map(|()| Arena::new(Ra(BASE), 0x10_0000));
        let copier = Copier::new(&mut arenas[0]).unwrap();
        let guest = Endpoint::open(&mut board.ports(1), &mut arenas[1], channel(0), 1).unwrap();
        let mut world = Self { board, arenas, copier, server: ConsoleServer::default(), guest };
        world.attach();
        world.run();
        world
    }

    fn attach(&mut self) {
        let conf = ConsoleConf { domain: "rover".into(), channel: channel(5), tcp_port: 5000 };
        self.serve(|server, host| server.attach(host, KEY, conf)).unwrap();
    }

    fn serve<R>(&mut self, act: impl FnOnce(&mut ConsoleServer, &mut Host<'_>) -> R) -> R {
        let mut host = Host {
            ports: &mut self.board.ports(0),
            arena: &mut self.arenas[0],
            copier: &self.copier,
            cost: &Cost::default(),
        };
        act(&mut self.server, &mut host)
    }

    fn run(&mut self) {
        while let Some(mondo) = self.board.domains[0].mondos.pop_front() {
            self.serve(|server, host| server.mondo(host, mondo[0]));
        }
    }

    /// The console sends packets; how many found room.
    fn sends(&mut self, packets: &[[u8; 64]]) -> usize {
        // The first look at a new concentrator sees RESET.
        self.reads();
        let sent = self.guest.send(&mut self.board.ports(1), packets.iter().copied()).unwrap();
        self.run();
        sent
    }

    fn writes(&mut self, text: &str) {
        let packets: Vec<_> = text.as_bytes().chunks(56).map(data).collect();
        assert_eq!(self.sends(&packets), packets.len());
    }

    /// Packets that the console has been sent.
    fn reads(&mut self) -> Vec<[u8; 64]> {
        let mut packets = Vec::new();
        self.guest.receive(&mut self.board.ports(1), &mut packets).unwrap();
        packets
    }

    fn types(&mut self, bytes: &[u8]) -> Result<(), TypeError> {
        self.serve(|server, host| server.type_bytes(host, KEY, bytes))
    }

    fn input(&mut self, input: &ConsoleInput) -> Result<(), TypeError> {
        self.serve(|server, host| server.input(host, "rover", input))
    }

    /// Bytes for whoever sits at the console, and how much it takes.
    fn terminal(&mut self) -> (Vec<u8>, Option<usize>) {
        let (_, bytes, room) = self.board.console.clone();
        self.board.console.1.clear();
        (bytes, room)
    }

    fn lines(&mut self) -> Vec<String> {
        let lines = self.server.take_lines();
        lines.into_iter().map(|(domain, line)| format!("{domain}: {line}")).collect()
    }
}

fn data(chars: &[u8]) -> [u8; 64] {
    let mut packet = [0; 64];
    (packet[0], packet[1]) = (2, chars.len() as u8);
    packet[8..8 + chars.len()].copy_from_slice(chars);
    packet
}

fn chars(packets: &[[u8; 64]]) -> Vec<u8> {
    packets.iter().flat_map(|packet| packet[8..8 + usize::from(packet[1])].to_vec()).collect()
}

#[test]
fn what_a_guest_writes_comes_out_line_by_line() {
    let mut world = World::new();
    world.writes("rover: up\r\nclo");
    assert_eq!(world.lines(), ["rover: rover: up"]);
    world.writes("ck: 1\n\n");
    assert_eq!(world.lines(), ["rover: clock: 1", "rover: "]);
    assert!(world.board.domains[0].charged > 0);
}

#[test]
fn a_line_without_end_comes_in_pieces() {
    let mut world = World::new();
    world.writes(&"x".repeat(LINE_MAX));
    assert_eq!(world.lines(), [""; 0]);
    world.writes("yz\n");
    assert_eq!(world.lines(), [format!("rover: {}", "x".repeat(LINE_MAX)), "rover: yz".into()]);
}

#[test]
fn what_is_unfinished_when_the_console_ends_is_a_line() {
    let mut world = World::new();
    world.writes("ok");
    world.serve(|server, host| server.detach(host, KEY));
    assert_eq!(world.lines(), ["rover: ok"]);
    assert_eq!(world.server.find(LdcId(5)), None);
    world.attach();
    world.writes("Sun");
    world.guest.reset(&mut world.board.ports(1)).unwrap();
    world.run();
    assert_eq!(world.lines(), ["rover: Sun"]);
    world.writes("again\n");
    assert_eq!(world.lines(), ["rover: again"]);
}

#[test]
fn a_line_goes_on_when_the_concentrator_begins_again() {
    let mut world = World::new();
    world.writes("one\nlog");
    assert_eq!(world.lines(), ["rover: one"]);
    // It reads nothing for a while.
    world.board.ports(1).hcall(LDC_RX_QCONF, [0, 0, 0, 0, 0]).unwrap();
    world.types(b"nobody reads").unwrap();
    world.serve(|server, host| server.send_break(host, KEY)).unwrap();
    let [saved] = world.server.save().try_into().unwrap();
    assert_eq!((saved.line.as_slice(), saved.typed.len()), (&b"log"[..], 13));

    // The domain's memory is given out anew; its queues are still configured.
    world.server = ConsoleServer::default();
    world.arenas[0] = Arena::new(Ra(BASE), 0x10_0000);
    world.copier = Copier::new(&mut world.arenas[0]).unwrap();
    let (channel_id, recalled) = saved.clone().load().unwrap();
    assert_eq!(channel_id, LdcId(5));
    let conf = ConsoleConf { domain: "rover".into(), channel: channel(5), tcp_port: 5000 };
    world.serve(|server, host| server.attach_again(host, KEY, conf, recalled)).unwrap();
    assert_eq!(world.server.save(), [saved]);
    world.guest.reset(&mut world.board.ports(1)).unwrap();
    world.run();
    world.serve(|server, host| server.flush(host));
    let packets = world.reads();
    assert_eq!(chars(&packets[..1]), b"nobody reads");
    assert_eq!(packets[1][..8], [1, 0, 0, 0, 255, 255, 255, 255]);
    assert!(world.lines().is_empty());
    world.writes("in: ");
    // The next reset is the guest's own.
    world.guest.reset(&mut world.board.ports(1)).unwrap();
    world.run();
    assert_eq!(world.lines(), ["rover: login: "]);
}

#[test]
fn packets_that_say_nonsense_are_borne() {
    let mut world = World::new();
    let mut long = data(&[b'a'; 56]);
    long[1] = 255;
    let mut control = [0; 64];
    (control[0], control[4]) = (1, 0xff);
    assert_eq!(world.sends(&[long, control, [0xee; 64], [0; 64], data(b"\xff\n")]), 5);
    assert_eq!(world.lines(), [format!("rover: {}\u{fffd}", "a".repeat(56))]);
}

#[test]
fn whoever_sits_at_a_console_gets_every_byte_once() {
    let mut world = World::new();
    let text: Vec<u8> = (0..=255).cycle().take(56 * 100 + 7).collect();
    for chars in text.chunks(56 * 20) {
        let packets: Vec<_> = chars.chunks(56).map(data).collect();
        assert_eq!(world.sends(&packets), packets.len());
    }
    assert_eq!(world.terminal(), (text, Some(TYPED_MAX)));
    // What the guest said last, and the end of the console.
    world.guest.send(&mut world.board.ports(1), [data(b"off\r\n")].into_iter()).unwrap();
    world.serve(|server, host| server.detach(host, KEY));
    assert_eq!(world.terminal(), (b"off\r\n".to_vec(), None));
    assert_eq!(world.board.console.0, "rover");
}

#[test]
fn a_console_says_how_much_it_takes() {
    let mut world = World::new();
    world.input(&ConsoleInput::Typed(b"go\r".to_vec())).unwrap();
    world.input(&ConsoleInput::Break).unwrap();
    world.input(&ConsoleInput::HangUp).unwrap();
    assert_eq!(world.terminal().1, Some(TYPED_MAX));
    let [typed, signal, gone] = world.reads().try_into().unwrap();
    assert_eq!(
        (typed, signal[..8].to_vec()),
        (data(b"go\r"), vec![1, 0, 0, 0, 255, 255, 255, 255])
    );
    assert_eq!(gone[..8], [1, 0, 0, 0, 255, 255, 255, 254]);
    // The guest stops reading.
    let mut sent = 0;
    while world.terminal().1 == Some(TYPED_MAX) {
        world.input(&ConsoleInput::Typed(vec![b'a'; 56])).unwrap();
        sent += 56;
    }
    let room = world.terminal().1.unwrap();
    let more = vec![b'b'; room];
    assert_eq!(world.input(&ConsoleInput::Typed(vec![b'b'; room + 1])), Err(TypeError::Full));
    world.input(&ConsoleInput::Typed(more)).unwrap();
    assert_eq!(
        (world.terminal().1, world.input(&ConsoleInput::Break)),
        (Some(0), Err(TypeError::Full))
    );
    let mut read = Vec::new();
    while read.len() < sent + room {
        read.extend(chars(&world.reads()));
        world.serve(|server, host| server.flush(host));
    }
    assert_eq!(read, [vec![b'a'; sent], vec![b'b'; room]].concat());
    assert_eq!(world.terminal().1, Some(TYPED_MAX));
    let none = world.serve(|server, host| server.input(host, "mars", &ConsoleInput::Break));
    assert_eq!(none, Err(TypeError::NoConsole));
}

#[test]
fn a_full_queue_of_output_is_taken_whole_again_and_again() {
    let mut world = World::new();
    let room = ENTRIES as usize - 1;
    for _ in 0..3 {
        let packets = vec![data(b"line\n"); 200];
        assert_eq!(world.sends(&packets), room);
        assert_eq!(world.lines().len(), room);
    }
}

#[test]
fn what_is_typed_arrives_and_a_break_between_characters_stays_there() {
    let mut world = World::new();
    world.types(&[b'a'; 100]).unwrap();
    world.serve(|server, host| server.send_break(host, KEY)).unwrap();
    world.types(b"b").unwrap();
    world.serve(|server, host| server.hang_up(host, KEY)).unwrap();
    let packets = world.reads();
    assert_eq!(chars(&packets[..2]), [b'a'; 100]);
    assert_eq!(packets[2][..8], [1, 0, 0, 0, 255, 255, 255, 255]);
    assert_eq!(packets[3], data(b"b"));
    assert_eq!(packets[4][..8], [1, 0, 0, 0, 255, 255, 255, 254]);
    assert!(!world.server.is_blocked());
}

#[test]
fn what_finds_no_room_waits_and_too_much_is_refused() {
    let mut world = World::new();
    let mut typed = 0;
    while world.types(b"k").is_ok() {
        typed += 1;
    }
    assert!(world.server.is_blocked());
    assert_eq!(world.types(b"k"), Err(TypeError::Full));
    assert!(typed >= TYPED_MAX);
    let mut read = 0;
    while read < typed {
        let packets = world.reads();
        assert!(!packets.is_empty());
        read += chars(&packets).len();
        world.serve(|server, host| server.flush(host));
    }
    assert_eq!(read, typed);
    assert!(!world.server.is_blocked());
}

#[test]
fn a_port_goes_without_a_word_when_its_channel_went_before_it() {
    let mut world = World::new();
    world.writes("half a line");
    world.board.parts((0, 5));
    world.serve(|server, host| server.detach(host, KEY));
    assert_eq!(world.board.domains[0].lines, [""; 0]);
    assert_eq!(world.lines(), ["rover: half a line"]);
    // One that stays has a fault.
    let mut world = World::new();
    world.board.parts((0, 5));
    world.serve(|server, host| server.mondo(host, KEY));
    let said = &world.board.domains[0].lines;
    assert!(said.contains(&"console of rover: invalid LDC channel".to_owned()), "{said:?}");
}

#[test]
fn a_console_that_nobody_has_cannot_be_typed_at() {
    let mut world = World::new();
    let other = world.serve(|server, host| server.type_bytes(host, 7, b"x"));
    assert_eq!(other, Err(TypeError::NoConsole));
    assert_eq!(world.server.find(LdcId(5)), Some(KEY));
    assert_eq!(world.server.find_domain("rover"), Some(KEY));
    assert_eq!(world.server.find_domain("spare"), None);
    assert_eq!(world.server.consoles().map(|conf| conf.tcp_port).collect::<Vec<_>>(), [5000]);
}

#[test]
fn a_channel_that_the_domain_lacks_is_an_error() {
    let mut world = World::new();
    let conf = ConsoleConf { domain: "x".into(), channel: channel(9), tcp_port: 5001 };
    let error = world.serve(|server, host| server.attach(host, 9, conf)).unwrap_err();
    assert_eq!(error.to_string(), "channel 9: invalid argument");
}

proptest! {
    #[test]
    fn any_packets_are_borne(packets in proptest::collection::vec(any::<[u8; 32]>(), 0..20)) {
        let mut world = World::new();
        let whole: Vec<_> = packets
            .iter()
            .map(|half| {
                let mut packet = [0; 64];
                packet[..32].copy_from_slice(half);
                packet
            })
            .collect();
        world.sends(&whole);
        world.types(b"still there").unwrap();
        assert_eq!(chars(&world.reads()), b"still there");
    }
}
