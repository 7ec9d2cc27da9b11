//! A peer that sends any packets: whatever it said, a fresh session comes up and
//! carries messages both ways.

use super::{BASE, Channel, ChannelConf, LinkEvent, conf};
use crate::memory::Arena;
use crate::testing::Board;
use crate::testing::drive::{Dice, fuzz};
use sun4v::addr::Ra;
use sun4v::ldc::packet::{ENV_START, ENV_STOP};
use sun4v::ldc::{
    LDC_RX_GET_STATE, LDC_RX_QCONF, LDC_RX_SET_QHEAD, LDC_TX_GET_STATE, LDC_TX_QCONF,
    LDC_TX_SET_QTAIL, Mode, PACKET_BYTES,
};
use sun4v::native::Ports;

const ENTRIES: u64 = 64;
const TX: u64 = BASE + 0x2_0000;
const RX: u64 = BASE + 0x2_2000;

/// The next packet of a conversation that goes well, with something wrong at times.
fn packet(dice: &mut Dice, mode: Mode, step: &mut u64, seq: &mut u32) -> [u8; PACKET_BYTES] {
    let mut packet = vec![0; PACKET_BYTES];
    match *step {
        0 => {
            packet[..4].copy_from_slice(&[1, 1, 1, 0]);
            packet[9] = 1;
        }
        1 => packet[..4].copy_from_slice(&[1, 1, 2, mode.code()]),
        2 => packet[..4].copy_from_slice(&[1, 1, 4, 0]),
        _ => {
            *seq += 1;
            let length = dice.below(57) as u8;
            let marks = dice.one(&[0, ENV_START, ENV_STOP, ENV_START | ENV_STOP]);
            packet[..4].copy_from_slice(&[2, dice.one(&[1, 1, 1, 2, 4]), 0, marks | length]);
            packet[8..].copy_from_slice(&dice.bytes(56));
            if mode == Mode::Reliable && !dice.hit(8) {
                let acked = dice.below(4) as u32;
                packet[12..16].copy_from_slice(&acked.to_be_bytes());
            }
        }
    }
    packet[4..8].copy_from_slice(&seq.to_be_bytes());
    *step = if dice.hit(12) { dice.below(4) } else { (*step + 1).min(3) };
    if dice.hit(6) {
        dice.mutate(&mut packet);
        packet.resize(PACKET_BYTES, 0);
    }
    if dice.hit(24) {
        packet = dice.bytes(PACKET_BYTES);
    }
    let mut bytes = [0; PACKET_BYTES];
    bytes.copy_from_slice(&packet);
    bytes
}

/// Lets the server answer, and throws its answers away.
fn serve(board: &mut Board, server: &mut Channel) -> Vec<LinkEvent> {
    let mut events = Vec::new();
    while board.domains[0].mondos.pop_front().is_some() {
        events.extend(server.service(&mut board.ports(0)));
    }
    let mut ports = board.ports(1);
    if let Ok([_, tail, ..]) = ports.hcall(LDC_RX_GET_STATE, [1, 0, 0, 0, 0]) {
        let _ = ports.hcall(LDC_RX_SET_QHEAD, [1, tail, 0, 0, 0]);
    }
    board.domains[1].mondos.clear();
    events
}

fn queues(board: &mut Board, entries: u64) {
    let mut ports = board.ports(1);
    ports.hcall(LDC_TX_QCONF, [1, TX, entries, 0, 0]).unwrap();
    ports.hcall(LDC_RX_QCONF, [1, RX, entries, 0, 0]).unwrap();
}

fn fresh_session(board: &mut Board, server: &mut Channel, mode: Mode) {
    queues(board, 0);
    serve(board, server);
    let mut arena = Arena::new(Ra(BASE), 0x1_0000);
    let mine = ChannelConf { ..conf(1) };
    let ports = &mut board.ports(1);
    let mut client = Channel::of_mode(ports, &mut arena, mine, 100, mode).unwrap();
    client.begin(ports);
    let mut got: [Vec<LinkEvent>; 2] = Default::default();
    for round in 0..2 {
        for _ in 0..20 {
            while board.domains[0].mondos.pop_front().is_some() {
                got[0].extend(server.service(&mut board.ports(0)));
            }
            while board.domains[1].mondos.pop_front().is_some() {
                got[1].extend(client.service(&mut board.ports(1)));
            }
        }
        if round == 0 {
            assert!(server.is_up() && client.is_up(), "no session: {got:?}");
            assert!(client.send(&mut board.ports(1), b"to the server"));
            assert!(server.send(&mut board.ports(0), &[7; 500]));
        }
    }
    assert_eq!(got[0].last(), Some(&LinkEvent::Message(b"to the server".to_vec())));
    assert_eq!(got[1].last(), Some(&LinkEvent::Message(vec![7; 500])));
}

#[test]
fn link_packets() {
    session("link_packets", Mode::Unreliable);
}

#[test]
fn reliable_packets() {
    session("reliable_packets", Mode::Reliable);
}

fn session(name: &str, mode: Mode) {
    fuzz(name, &[], |dice| {
        let mut board = Board::new(2, 0x10_0000);
        board.join((0, 3), (1, 1));
        let mut arena = Arena::new(Ra(BASE), 0x10_0000);
        let ports = &mut board.ports(0);
        let mut server = Channel::of_mode(ports, &mut arena, conf(3), 300, mode).unwrap();
        queues(&mut board, ENTRIES);
        let (mut step, mut seq) = (0, 0);
        for _ in 0..dice.below(60) {
            let packet = packet(dice, mode, &mut step, &mut seq);
            let mut ports = board.ports(1);
            if let Ok([_, tail, ..]) = ports.hcall(LDC_TX_GET_STATE, [1, 0, 0, 0, 0]) {
                ports.write(Ra(TX + tail), &packet);
                let next = (tail + 64) % (ENTRIES * 64);
                let _ = ports.hcall(LDC_TX_SET_QTAIL, [1, next, 0, 0, 0]);
            }
            if dice.hit(3) {
                serve(&mut board, &mut server);
            }
            if server.is_up() && dice.hit(4) {
                let length = dice.below(300) as usize;
                server.send(&mut board.ports(0), &dice.bytes(length));
            }
            if dice.hit(30) {
                queues(&mut board, ENTRIES);
            }
        }
        for event in serve(&mut board, &mut server) {
            if let LinkEvent::Message(bytes) = event {
                assert!(bytes.len() <= super::super::MESSAGE_MAX);
            }
        }
        fresh_session(&mut board, &mut server, mode);
    });
}
