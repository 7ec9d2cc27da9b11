//! The unit through its control words.

mod fuzz;
mod rules;
pub(crate) mod splits;
mod time;
pub(crate) mod vectors;

use super::{ControlWord, Counters, Cwq, Dma, Status};
use std::cell::RefCell;
use sun4v::addr::Pa;
use sun4v::ncs::{Auth, Chaining, CipherKind, Control, HashKind};
use sun4v::time::{SimTime, T2_HZ};

pub(crate) const KEY: Pa = Pa(0x400);
const IV: Pa = Pa(0x600);
const STATE: Pa = Pa(0x700);
pub(crate) const SOURCE: Pa = Pa(0x1000);
pub(crate) const OUT: Pa = Pa(0x12_0000);
const WHOLE: u64 = Control::SOB | Control::EOB;

/// Memory with room for a million bytes of source and of result.
pub(crate) struct Ram(RefCell<Vec<u8>>);

impl Ram {
    pub(crate) fn new() -> Self {
        Self(RefCell::new(vec![0xee; 0x24_0000]))
    }
    fn put(&self, pa: Pa, hex: &str) -> usize {
        let bytes = bytes_of(hex);
        self.write(pa, &bytes);
        bytes.len()
    }
    pub(crate) fn bytes(&self, pa: Pa, len: usize) -> Vec<u8> {
        let mut bytes = vec![0; len];
        self.read(pa, &mut bytes);
        bytes
    }
    fn get(&self, pa: Pa, len: usize) -> String {
        self.bytes(pa, len).iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

impl Dma for Ram {
    fn read(&self, pa: Pa, bytes: &mut [u8]) {
        let at = pa.0 as usize;
        bytes.copy_from_slice(&self.0.borrow()[at..at + bytes.len()]);
    }
    fn write(&self, pa: Pa, bytes: &[u8]) {
        let at = pa.0 as usize;
        self.0.borrow_mut()[at..at + bytes.len()].copy_from_slice(bytes);
    }
}

fn bytes_of(hex: &str) -> Vec<u8> {
    let digits: Vec<u8> = hex.bytes().filter(u8::is_ascii_hexdigit).collect();
    digits
        .chunks(2)
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect()
}

/// Submits, waits as long as it takes, and gives the ends and the time.
fn run(ram: &Ram, words: &[ControlWord]) -> (Vec<Status>, SimTime, Counters) {
    let mut unit = Cwq::new(T2_HZ);
    unit.submit(SimTime::ZERO, words);
    let mut ends = Vec::new();
    let mut now = SimTime::ZERO;
    while let Some(due) = unit.next_due() {
        if due > now {
            assert_eq!(unit.advance(SimTime(due.0 - 1), ram), [], "nothing ends before its time");
        }
        now = due;
        ends.extend(unit.advance(now, ram));
    }
    (ends, now, unit.counters())
}

fn cipher(kind: CipherKind, chaining: Chaining, encrypt: bool, bytes: usize) -> ControlWord {
    let direction = if encrypt { Control::ENCRYPT } else { 0 };
    ControlWord {
        control: Control::cipher(kind, chaining, bytes).with(WHOLE | direction),
        source: SOURCE,
        key: KEY,
        iv: IV,
        destination: OUT,
        ..ControlWord::default()
    }
}

fn auth(auth: Auth, key_bytes: usize, bytes: usize) -> ControlWord {
    ControlWord {
        control: Control::auth(auth, key_bytes, bytes).with(WHOLE),
        source: SOURCE,
        auth_iv: IV,
        auth_key: if auth.is_keyed() { KEY } else { Pa(0) },
        destination: OUT,
        ..ControlWord::default()
    }
}

fn hash(kind: HashKind, bytes: usize) -> ControlWord {
    auth(Auth::Hash(kind), 1, bytes)
}

/// Cuts one word into a chain of pieces whose sources follow one another.
pub(crate) fn chain(word: ControlWord, pieces: &[usize]) -> Vec<ControlWord> {
    let mut at = word.source;
    let mut words = Vec::new();
    for (n, &bytes) in pieces.iter().enumerate() {
        let marks = if n + 1 == pieces.len() { Control::EOB } else { 0 };
        let mut piece = ControlWord { source: at, ..ControlWord::default() };
        piece.control = Control::more(bytes).with(marks);
        if n == 0 {
            piece = ControlWord { source: at, ..word };
            piece.control = Control(word.control.0 & !0xffff & !Control::EOB)
                .with(Control::more(bytes).0 | marks);
        }
        at = at.offset(bytes as u64);
        words.push(piece);
    }
    words
}
