//! The link of Linux 6.1 as far as domain services use it, and its messages: written from
//! what it sends, not with the code that is tried.

use std::collections::BTreeMap;
use sun4v::ds::{Message, Stream};
use sun4v::ldc::State;

type Packet = [u8; 64];

/// A guest's end: a link that only answers handshakes, and what it has registered.
#[derive(Default)]
pub struct Linux {
    /// Packets to be sent.
    pub out: Vec<Packet>,
    /// Messages that came.
    pub heard: Vec<Message>,
    /// How often its link was reset.
    pub resets: usize,
    /// Fragments that were not acknowledged.
    pub unacked: usize,
    up: bool,
    sent: u32,
    received: u32,
    partial: Vec<u8>,
    stream: Stream,
    handles: BTreeMap<String, u64>,
    /// Bytes that wait for the link.
    waiting: Vec<Vec<u8>>,
}

fn number(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0, |sum, &byte| sum << 8 | u32::from(byte))
}

/// A packet in hexadecimal: header, what reliable mode adds, payload.
pub fn show(packet: &Packet) -> String {
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let (header, rest) = packet.split_at(8);
    let length = if packet[0] == 2 { usize::from(packet[3] & 0x3f) } else { 0 };
    let payload = hex(&rest[8..8 + length]);
    format!("{} {} {payload}", hex(header), hex(&rest[..8])).trim_end().to_owned()
}

impl Linux {
    fn packet(&mut self, head: [u8; 4], seqid: u32, rest: &[u8]) {
        let mut packet = [0; 64];
        packet[..4].copy_from_slice(&head);
        packet[4..8].copy_from_slice(&seqid.to_be_bytes());
        packet[8..8 + rest.len()].copy_from_slice(rest);
        self.out.push(packet);
    }

    /// The state of its channel.
    pub fn sees(&mut self, state: State) {
        if state != State::Up && self.up {
            let resets = self.resets + 1;
            *self = Self { resets, ..Self::default() };
        }
    }

    /// A packet has come.
    pub fn receive(&mut self, packet: &Packet) {
        let seqid = number(&packet[4..8]);
        match packet[..3] {
            [1, 1, 1] => {
                assert_eq!(packet[8..12], [0, 1, 0, 0]);
                self.packet([1, 2, 1, 0], 0, &[0, 1, 0, 0]);
            }
            [1, 1, 2] => {
                assert_eq!(packet[3], 3, "reliable");
                // It counts its own packets from the peer's number.
                (self.received, self.sent) = (seqid, seqid);
                self.packet([1, 1, 3, 3], 0, &[]);
            }
            [1, 1, 4] => {
                assert_eq!(seqid, self.received + 1);
                (self.received, self.up) = (seqid, true);
                for bytes in std::mem::take(&mut self.waiting) {
                    self.send(&bytes);
                }
            }
            // Of the life before.
            [2, ..] if !self.up => {}
            [2, 1, 0] => {
                assert_eq!(seqid, self.received + 1, "a gap");
                self.received = seqid;
                let (marks, length) = (packet[3] & 0xc0, usize::from(packet[3] & 0x3f));
                assert!(length <= 48);
                assert_eq!(marks & 0x40 != 0, self.partial.is_empty());
                self.partial.extend(&packet[16..16 + length]);
                if marks & 0x80 != 0 {
                    let bytes = std::mem::take(&mut self.partial);
                    self.sent += 1;
                    let ack = [[0; 4], self.received.to_be_bytes()].concat();
                    self.packet([2, 2, 0, 0], self.sent, &ack);
                    self.message(&bytes);
                }
            }
            [2, 2, 0] => {
                assert_eq!(seqid, self.received + 1, "a gap");
                self.received = seqid;
                assert!(number(&packet[12..16]) <= self.sent, "of what was not sent");
                self.unacked = 0;
            }
            _ => panic!("{}", show(packet)),
        }
    }

    /// Linux wants a message whole.
    fn message(&mut self, bytes: &[u8]) {
        self.stream.push(bytes);
        let (kind, payload) = self.stream.take().unwrap().expect("a whole message");
        assert_eq!(self.stream.pending(), 0);
        self.heard.push(Message::parse(kind, &payload).unwrap());
    }

    /// Sends bytes as one message of the link, once that is up.
    pub fn send(&mut self, bytes: &[u8]) {
        if !self.up {
            self.waiting.push(bytes.to_vec());
            return;
        }
        let last = bytes.len().div_ceil(48) - 1;
        for (n, piece) in bytes.chunks(48).enumerate() {
            self.sent += 1;
            self.unacked += 1;
            let marks = if n == 0 { 0x40 } else { 0 } | if n == last { 0x80 } else { 0 };
            let head = [2, 1, 0, piece.len() as u8 | marks];
            self.packet(head, self.sent, &[&[0; 8], piece].concat());
        }
    }

    /// Sends a message.
    pub fn say(&mut self, message: &Message) {
        self.send(&message.to_bytes());
    }

    /// INIT.
    pub fn begin(&mut self) {
        self.send(&[0, 0, 0, 0, 0, 0, 0, 4, 0, 1, 0, 0]);
    }

    /// Registers a service in its own form; the handle.
    pub fn register(&mut self, name: &str) -> u64 {
        let handle = (self.handles.len() as u64) << 32 | 0x1234_5678;
        self.handles.insert(name.to_owned(), handle);
        let length = 16 + name.len() as u32;
        let head = [[0, 0, 0, 3], length.to_be_bytes()].concat();
        let version = [0, 1, 0, 0, 0, 0, 0, 0];
        self.send(&[&head[..], &handle.to_be_bytes(), &version, name.as_bytes()].concat());
        handle
    }

    /// The handle of what was registered.
    pub fn handle(&self, name: &str) -> u64 {
        self.handles[name]
    }
}
