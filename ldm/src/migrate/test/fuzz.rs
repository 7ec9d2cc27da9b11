//! What takes bytes off the wire: whatever they are, it reads them or refuses them, and
//! what it reads is what could have been meant.

use super::super::codec::{FRAME_BYTES_MAX, Frames, Message, Plain};
use super::super::compress::{
    CHUNK_PAGES, Content, Page, SPAN_PAGES, pack, packed_from_bytes, sequence, unpack,
    unpacked_from_bytes,
};
use super::super::handshake::{GREETING_BYTES_MAX, Handshake, Hello, Own, VERSIONS};
use super::super::journal::ticket;
use super::super::pages::{Hasher, PAGE, PAGES_MAX, PageMap, PageSet, Stretch};
use super::super::port::{Kind, Offer};
use super::super::seal::{PLAIN_BYTES_MAX, Session, Text, open, seal};
use crate::testing::drive::{Dice, fuzz};
use std::sync::Arc;
use sun4v::addr::Ra;

fn text(dice: &mut Dice) -> String {
    let length = dice.below(20) as usize;
    (0..length).map(|_| char::from(b' ' + dice.below(95) as u8)).collect()
}

/// Bytes that were right, and mostly are not any more. True when they may be.
fn spoil(dice: &mut Dice, bytes: &mut Vec<u8>) -> bool {
    let right = bytes.clone();
    match dice.below(8) {
        0 => {}
        1 => {
            let length = dice.below(300) as usize;
            *bytes = dice.bytes(length);
        }
        2 => bytes.truncate(dice.below(bytes.len() as u64 + 1) as usize),
        3 => {
            let length = 1 + dice.below(9) as usize;
            bytes.extend(dice.bytes(length));
        }
        _ => dice.mutate(bytes),
    }
    *bytes == right
}

/// Frames of any lengths, in pieces of any size.
fn frames(dice: &mut Dice) {
    let most = dice.one(&[GREETING_BYTES_MAX, FRAME_BYTES_MAX]);
    let mut stream = Vec::new();
    let mut sent = Vec::new();
    for _ in 0..dice.below(8) {
        let length = if dice.hit(3) { dice.below(4000) } else { dice.below(90) } as usize;
        let mut frame = (length as u32).to_be_bytes().to_vec();
        frame.extend(dice.bytes(length));
        stream.extend_from_slice(&frame);
        sent.push(frame);
    }
    let tail = dice.below(6) as usize;
    stream.extend(dice.bytes(tail));
    let right = spoil(dice, &mut stream);
    let mut frames = Frames::default();
    let (mut got, mut rest) = (Vec::new(), stream.as_slice());
    let mut over = false;
    while !rest.is_empty() && !over {
        let (piece, behind) = rest.split_at((1 + dice.below(700) as usize).min(rest.len()));
        rest = behind;
        frames.put(piece);
        while !over {
            match frames.pop(most) {
                Ok(Some(frame)) => got.push(frame),
                Ok(None) => break,
                Err(_) => over = true,
            }
        }
    }
    // What came out is the stream, cut by length.
    assert!(stream.starts_with(&got.concat()));
    for frame in &got {
        let (length, body) = frame.split_first_chunk::<4>().unwrap();
        assert_eq!(u32::from_be_bytes(*length) as usize, body.len());
        assert!(frame.len() <= most);
    }
    if right {
        let fit = sent.iter().take_while(|frame| frame.len() <= most).count();
        assert!(got.starts_with(&sent[..fit]));
    }
}

/// A handshake in which any frame may be another.
fn handshake(dice: &mut Dice) {
    let own = |dice: &mut Dice, password: &str| {
        let entropy = [dice.below(3) as u8; 32];
        let (password, tickets) = (password.into(), [9; 32]);
        Own { password, tickets, entropy, connection: dice.below(3), host: text(dice) }
    };
    let (migration, fresh) = ([7; 16], dice.hit(2));
    // A connection after the first is opened with a ticket.
    let kept = if fresh { "secret".to_owned() } else { ticket(&[9; 32], &migration) };
    let (mut source, mut hello) = Handshake::call(&own(dice, &kept), migration, fresh);
    let mut target = Handshake::Listening(own(dice, "secret"));
    let mut right = spoil(dice, &mut hello);
    if let Ok((versions, read)) = Hello::from_frame(&hello) {
        // The length in front is looked at by nobody here, and numbers can be written in
        // more ways than one.
        assert_eq!(Hello::from_frame(&read.to_frame(versions)), Ok((versions, read)));
        assert!(versions.agree(VERSIONS).is_some());
    }
    let (mut answer, mut proof) = (Vec::new(), Vec::new());
    if target.frame(&hello, &mut answer).is_err() && answer.is_empty() {
        assert!(!right);
        return;
    }
    right &= spoil(dice, &mut answer);
    // Without the length, which is for whoever cuts frames.
    let met = source.frame(&answer, &mut proof);
    assert!(!right || met.as_ref().is_ok_and(Option::is_some));
    let Ok(Some(source)) = met else { return };
    let frame = proof.clone();
    spoil(dice, &mut proof);
    let right = proof.get(4..) == frame.get(4..);
    match target.frame(&proof, &mut Vec::new()) {
        Ok(Some(target)) => assert!(right && source.session == target.session),
        other => assert!(!right, "{other:?}"),
    }
}

fn stretches(dice: &mut Dice) -> Vec<Stretch> {
    let mut next = dice.below(4) << 13;
    let mut stretches = Vec::new();
    for _ in 0..dice.below(5) {
        let bytes = (1 + dice.below(40)) << 13;
        let wild = dice.hit(12);
        let ra = Ra(if wild { dice.bits() } else { next + (dice.below(3) << 13) });
        let bytes = if dice.hit(20) { dice.one(&[0, 1 << 36, 1 << 60, 4096]) } else { bytes };
        next = ra.0.wrapping_add(bytes);
        stretches.push(Stretch { ra, bytes });
    }
    stretches
}

/// Messages, and what says which memory a domain has.
fn messages(dice: &mut Dice) {
    let message = match dice.below(11) {
        0..=2 => {
            let length = dice.below(60) as usize;
            let offer = Offer {
                name: text(dice),
                new_name: dice.hit(2).then(|| text(dice)),
                uuid: text(dice),
                epoch: dice.bits(),
                kind: dice.one(&[Kind::Inactive, Kind::Bound, Kind::Active]),
                memory: stretches(dice),
                description: dice.bytes(length),
            };
            Message::Offer { offer, check_only: dice.hit(2), units: dice.hit(2) }
        }
        3 => Message::Verdict {
            problems: (0..dice.below(3)).map(|_| text(dice)).collect(),
            live: dice.below(2) == 0,
            hasher: dice.one(&[Hasher::Sha256, Hasher::Blake3]),
        },
        4 => Message::RoundEnd { round: dice.bits() as u32, chunks: dice.bits() },
        5 => Message::Ack(dice.bits()),
        6 => {
            let length = dice.below(200) as usize;
            Message::State(dice.bytes(length))
        }
        7 => Message::Final([dice.bits() as u8; 32]),
        8 => Message::Ticket(text(dice)),
        9 => Message::Broken(text(dice)),
        _ => Message::Abort(text(dice)),
    };
    let plain = Plain::Message(message);
    let mut bytes = plain.clone().into_text().plain().to_vec();
    let right = spoil(dice, &mut bytes);
    let read = Plain::from_text(Text::from(&*bytes));
    assert!(!right || read.as_ref() == Ok(&plain));
    if let Ok(read) = read {
        assert_eq!(Plain::from_text(read.clone().into_text()).as_ref(), Ok(&read));
        if let Plain::Message(Message::Offer { offer, .. }) = read {
            page_map(dice, &offer.memory);
        }
    }
}

fn page_map(dice: &mut Dice, memory: &[Stretch]) {
    let Ok(map) = PageMap::new(memory) else { return };
    let pages: u64 = memory.iter().map(|stretch| stretch.bytes >> 13).sum();
    assert!(u64::from(map.len()) == pages && pages <= PAGES_MAX);
    for _ in 0..8 {
        let index = dice.below(pages + 2) as u32;
        let ra = map.ra(index);
        assert_eq!(ra.is_some(), u64::from(index) < pages);
        assert!(ra.is_none_or(|ra| map.index(ra) == Some(index)));
        if let Some(index) = map.index(Ra(dice.bits() & !0x1fff)) {
            assert!(u64::from(index) < pages);
        }
    }
    // Dirty bits of a hypervisor become a set like this.
    let mut set = PageSet::none(map.len().min(1 << 16));
    (0..8).for_each(|_| set.insert(dice.bits() as u32));
    let count = set.count() as usize;
    assert_eq!(set.take(0, usize::MAX).len(), count);
}

/// Chunks, and what jobs hand over of them.
fn chunks(dice: &mut Dice) {
    let map = PageMap::new(&[Stretch { ra: Ra(0x800_0000), bytes: 300 << 13 }]).unwrap();
    let mut index = dice.below(280) as u32;
    let mut pages = Vec::new();
    for _ in 0..1 + dice.below(CHUNK_PAGES as u64) {
        let fill = dice.bits() as u8;
        let content = (!dice.hit(3)).then(|| Content::of(&Arc::new(vec![fill; PAGE]), 0));
        pages.push(Page { index, content, hash: None, before: None });
        index += 1 + dice.below(3) as u32;
    }
    let hasher = dice.one(&[Hasher::Sha256, Hasher::Blake3]);
    let packed = pack(dice.bits(), &pages, hasher, dice.one(&[0, 1, 3]));
    let mut chunk = packed.chunk.plain().to_vec();
    let right = spoil(dice, &mut chunk);
    assert_eq!(sequence(&chunk).is_ok(), chunk.len() >= 8);
    let hash = dice.hit(2);
    let unpacked = unpack(&chunk, &map, hasher, hash);
    if right {
        assert_eq!(unpacked.is_ok(), index <= 300 || pages.iter().all(|page| page.index < 300));
    }
    if let Ok(unpacked) = &unpacked {
        assert_eq!(unpacked.body.len(), unpacked.data.len() * PAGE);
        let mut told = [unpacked.zeros.as_slice(), &unpacked.data].concat();
        told.sort_unstable();
        let count = told.len();
        told.dedup();
        assert!(count == told.len() && count <= SPAN_PAGES as usize + 8);
        assert!(told.iter().all(|&page| map.ra(page).is_some()));
        let hashed = if hash { count } else { unpacked.zeros.len() };
        assert_eq!(unpacked.hashes.len(), hashed);
    }
    let length = dice.below(400) as usize;
    let mut bytes = dice.bytes(length);
    if dice.hit(2) && bytes.len() > 12 {
        let at = bytes.len() - 12;
        bytes[at..].copy_from_slice(&[0, 0, 0, 3, 0, 0, 0, 1, 0, 0, 0, 2]);
    }
    let _ = (packed_from_bytes(bytes.clone()), unpacked_from_bytes(bytes));
}

/// Records that were sealed, and others.
fn records(dice: &mut Dice) {
    let session = Session::derive(&[dice.below(2) as u8; 32]);
    let (sequence, length) = (dice.below(4), dice.below(300) as usize);
    let plain = dice.bytes(length);
    let mut record = seal(&session.to_target, sequence, Text::from(&*plain));
    let right = spoil(dice, &mut record);
    let expected = dice.below(4);
    let opened = open(&session.to_target, expected, record.clone());
    assert_eq!(opened.is_ok(), right && expected == sequence);
    assert!(opened.is_err() || opened.is_ok_and(|opened| opened.plain() == plain));
    assert!(open(&session.to_source, sequence, record).is_err());
    if dice.hit(200) {
        let long = seal(&session.to_target, 0, Text::from(&[0; PLAIN_BYTES_MAX + 1][..]));
        assert!(open(&session.to_target, 0, long).is_err());
    }
}

#[test]
fn migration_frames() {
    fuzz("migration_frames", &[], |dice| match dice.below(12) {
        0..=2 => frames(dice),
        3 => handshake(dice),
        4..=6 => messages(dice),
        7..=9 => chunks(dice),
        _ => records(dice),
    });
}
