//! Two domains and a channel between them.

mod fuzz;

use super::{Channel, ChannelConf, Copier, LinkEvent};
use crate::memory::Arena;
use crate::testing::{BASE, Board};
use sun4v::addr::Ra;
use sun4v::hcall::HvError;
use sun4v::id::LdcId;
use sun4v::ldc::map::{MapEntry, MapPerms};
use sun4v::ldc::{Cookie, CookieAddr, LDC_SET_MAP_TABLE, Mode, Mte};
use sun4v::native::Ports;
use zerocopy::IntoBytes;

fn conf(id: u16) -> ChannelConf {
    ChannelConf { id: LdcId(id), tx_ino: 2 * id, rx_ino: 2 * id + 1 }
}

struct Pair {
    board: Board,
    arenas: [Arena; 2],
    channels: Vec<Channel>,
    events: [Vec<LinkEvent>; 2],
}

impl Pair {
    /// Endpoint 3 of domain 0 serves, endpoint 1 of domain 1 begins.
    fn new() -> Self {
        Self::of_mode(Mode::Unreliable)
    }
    fn of_mode(mode: Mode) -> Self {
        let mut board = Board::new(2, 0x10_0000);
        board.join((0, 3), (1, 1));
        let mut arenas = [(); 2].map(|()| Arena::new(Ra(BASE), 0x10_0000));
        let [server, client] = &mut arenas;
        let mut channels = vec![
            Channel::of_mode(&mut board.ports(0), server, conf(3), 300, mode).unwrap(),
            Channel::of_mode(&mut board.ports(1), client, conf(1), 100, mode).unwrap(),
        ];
        channels[1].begin(&mut board.ports(1));
        let mut pair = Self { board, arenas, channels, events: Default::default() };
        pair.run();
        pair
    }

    fn run(&mut self) {
        loop {
            let mut quiet = true;
            for end in 0..self.channels.len() {
                while let Some(mondo) = self.board.domains[end].mondos.pop_front() {
                    assert_eq!(mondo[0], [300, 100][end]);
                    let events = self.channels[end].service(&mut self.board.ports(end));
                    self.events[end].extend(events);
                    quiet = false;
                }
            }
            if quiet {
                break;
            }
        }
    }
}

#[test]
fn a_channel_comes_up_and_carries_messages_both_ways() {
    let mut pair = Pair::new();
    assert_eq!(pair.events, [vec![LinkEvent::Up], vec![LinkEvent::Up]]);
    let long = vec![7; 3000];
    assert!(pair.channels[0].send(&mut pair.board.ports(0), b"ping"));
    assert!(pair.channels[1].send(&mut pair.board.ports(1), &long));
    pair.run();
    assert_eq!(pair.events[1][1..], [LinkEvent::Message(b"ping".to_vec())]);
    assert_eq!(pair.events[0][1..], [LinkEvent::Message(long)]);
}

#[test]
fn a_reader_that_sleeps_holds_packets_back_and_loses_none() {
    let mut pair = Pair::new();
    pair.events = Default::default();
    for n in 0..400_u32 {
        assert!(pair.channels[1].send(&mut pair.board.ports(1), &n.to_be_bytes()));
    }
    assert!(pair.channels[1].is_blocked());
    while pair.channels[1].is_blocked() {
        pair.run();
        pair.channels[1].flush(&mut pair.board.ports(1));
    }
    pair.run();
    let expected: Vec<_> =
        (0..400_u32).map(|n| LinkEvent::Message(n.to_be_bytes().to_vec())).collect();
    assert_eq!(pair.events[0], expected);
}

#[test]
fn a_reliable_channel_publishes_messages_whole_and_waits_for_acknowledgements() {
    let mut pair = Pair::of_mode(Mode::Reliable);
    pair.events = Default::default();
    for n in 0..20_u8 {
        assert!(pair.channels[1].send(&mut pair.board.ports(1), &[n; 2000]));
        let waits = pair.board.packets_waiting((1, 1));
        // A window of three messages of 42 fragments, never a part of one.
        assert_eq!(waits, 42 * u64::from(n + 1).min(3));
    }
    pair.run();
    let expected: Vec<_> = (0..20_u8).map(|n| LinkEvent::Message(vec![n; 2000])).collect();
    assert_eq!(pair.events[0], expected);
    assert!(!pair.channels[1].is_blocked());
}

#[test]
fn a_reset_on_one_side_brings_the_session_down_and_up_on_both() {
    let mut pair = Pair::new();
    pair.events = Default::default();
    pair.channels[0].reset(&mut pair.board.ports(0));
    pair.run();
    assert_eq!(pair.events[1], [LinkEvent::Down, LinkEvent::Up]);
    assert_eq!(pair.events[0], [LinkEvent::Up]);
    assert!(pair.channels[0].send(&mut pair.board.ports(0), b"again"));
    pair.run();
    assert_eq!(pair.events[1][2], LinkEvent::Message(b"again".to_vec()));
}

#[test]
fn a_peer_that_goes_away_and_comes_back_is_met_anew() {
    let mut pair = Pair::new();
    pair.events = Default::default();
    let old = pair.channels.pop().unwrap();
    old.close(&mut pair.board.ports(1), &mut pair.arenas[1]);
    pair.run();
    assert_eq!(pair.events[0], [LinkEvent::Down]);
    let new = Channel::connect(&mut pair.board.ports(1), &mut pair.arenas[1], conf(1), 100);
    pair.channels.push(new.unwrap());
    pair.run();
    assert_eq!(pair.events[0], [LinkEvent::Down, LinkEvent::Up]);
}

/// Linux' driver of domain services does no more than this when its channel is reset.
#[test]
fn a_peer_that_resets_every_handshake_is_left_alone_until_it_has_been_down() {
    let mut pair = Pair::new();
    pair.events = Default::default();
    // After a reset at our end, whatever we say is answered by another.
    pair.channels[1].reset(&mut pair.board.ports(1));
    let mut resets = 0;
    loop {
        let heard = pair.board.domains[0].mondos.drain(..).count();
        let told = pair.board.domains[1].mondos.drain(..).count();
        if heard + told == 0 {
            break;
        }
        if heard > 0 {
            let Pair { board, channels, .. } = &mut pair;
            let (ports, mut packets) = (&mut board.ports(0), Vec::new());
            channels[0].endpoint.receive(ports, &mut packets).unwrap();
            if !packets.is_empty() {
                resets += 1;
                assert!(resets < 20, "no end of it");
                channels[0].endpoint.reset(ports).unwrap();
            }
            channels[0].endpoint.rearm(ports).unwrap();
        }
        if told > 0 {
            let events = pair.channels[1].service(&mut pair.board.ports(1));
            pair.events[1].extend(events);
        }
    }
    assert!(resets >= usize::from(super::STARTS_MAX), "{resets}");
    assert!(!pair.events[1].contains(&LinkEvent::Up));
    // It goes, and starts anew.
    let old = pair.channels.remove(0);
    old.close(&mut pair.board.ports(0), &mut pair.arenas[0]);
    pair.board.domains[0].mondos.clear();
    while pair.board.domains[1].mondos.pop_front().is_some() {
        pair.channels[0].service(&mut pair.board.ports(1));
    }
    let new = Channel::open(&mut pair.board.ports(0), &mut pair.arenas[0], conf(3), 300);
    pair.channels.insert(0, new.unwrap());
    pair.run();
    assert_eq!(pair.events[0], [LinkEvent::Up]);
}

#[test]
fn an_endpoint_that_the_domain_does_not_have_is_not_opened() {
    let mut pair = Pair::new();
    let error = Channel::open(&mut pair.board.ports(1), &mut pair.arenas[1], conf(9), 0);
    assert_eq!(error.unwrap_err().to_string(), "channel 9: invalid argument");
}

/// Domain 1 lends three pages, the last one for reading only.
fn lend(pair: &mut Pair) -> [Ra; 3] {
    let table = pair.arenas[1].alloc(128).unwrap();
    let pages = [(); 3].map(|()| pair.arenas[1].alloc(0x2000).unwrap().ra);
    let mut ports = pair.board.ports(1);
    for (n, page) in pages.iter().enumerate() {
        let perms = if n < 2 { MapPerms::CR | MapPerms::CW } else { MapPerms::CR };
        let entry = MapEntry { mte: Mte::page(*page, perms).0.into(), revoke: 0.into() };
        ports.write(table.at(16 * n as u64), entry.as_bytes());
    }
    ports.hcall(LDC_SET_MAP_TABLE, [1, table.ra.0, 8, 0, 0]).unwrap();
    pages
}

#[test]
fn a_copy_goes_over_pages_and_cookies() {
    let mut pair = Pair::new();
    let pages = lend(&mut pair);
    let copier = Copier::new(&mut pair.arenas[0]).unwrap();
    let data: Vec<u8> = (0..12_000_u32).map(|n| (n / 7) as u8).collect();
    let cookies =
        [Cookie::new(CookieAddr::new(0, 0x1800), 0x1000), Cookie::new(CookieAddr::new(0, 0), 9000)];
    let mut ports = pair.board.ports(0);
    // The second run overlaps the first nowhere that matters: 0..0x1800 and a bit.
    copier.copy_out(&mut ports, LdcId(3), &cookies[..1], &data[..0x1000]).unwrap();
    let mut back = vec![0; 0x1000];
    copier.copy_in(&mut ports, LdcId(3), &cookies[..1], &mut back).unwrap();
    assert_eq!(back, data[..0x1000]);
    copier.copy_out(&mut ports, LdcId(3), &cookies[1..], &data[..9000]).unwrap();
    let mut back = vec![0; 9000 + 16];
    let both = [cookies[1], Cookie::new(CookieAddr::new(2, 0), 64)];
    copier.copy_in(&mut ports, LdcId(3), &both, &mut back).unwrap();
    assert_eq!(back[..9000], data[..9000]);
    let mut seen = vec![0; 0x2000];
    pair.board.ports(1).read(pages[0], &mut seen);
    assert_eq!(seen, data[..0x2000]);
}

#[test]
fn a_copy_is_refused_where_the_lender_refuses() {
    let mut pair = Pair::new();
    lend(&mut pair);
    let copier = Copier::new(&mut pair.arenas[0]).unwrap();
    let mut ports = pair.board.ports(0);
    let mut bytes = [0; 16];
    let mut at = |addr, size| {
        let cookie = [Cookie { addr: u64::into(addr), size: u64::into(size) }];
        let read = copier.copy_in(&mut ports, LdcId(3), &cookie, &mut bytes);
        (read, copier.copy_out(&mut ports, LdcId(3), &cookie, &bytes))
    };
    assert_eq!(at(0x4000, 16), (Ok(()), Err(HvError::NoAccess)));
    assert_eq!(at(0x6000, 16), (Err(HvError::NoAccess), Err(HvError::NoAccess)));
    assert_eq!(at(0x1_0000, 16), (Err(HvError::NoMap), Err(HvError::NoMap)));
    assert_eq!(at(0x2004, 16), (Err(HvError::BadAlign), Err(HvError::BadAlign)));
    assert_eq!(at(1 << 60, 16), (Err(HvError::BadPgsz), Err(HvError::BadPgsz)));
    assert_eq!(at(!7, 16).0, Err(HvError::BadPgsz));
    assert_eq!(at(0, 8), (Err(HvError::NoMap), Err(HvError::NoMap)));
}
