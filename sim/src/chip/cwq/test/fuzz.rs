//! Any control words at all: no panic, an end, and no byte written that may not be.
//! `PROPTEST_CASES` says how many are tried.

use super::WHOLE;
use crate::chip::cwq::{ControlWord, Cwq, Dma, Status};
use proptest::prelude::*;
use std::cell::RefCell;
use std::ops::Range;
use sun4v::addr::Pa;
use sun4v::ncs::{Control, Reach};
use sun4v::time::{SimTime, T2_HZ};

/// Bytes of a word in an input: eight doublewords.
const WORD_BYTES: usize = 64;

/// Memory without an end, whose bytes are their addresses; it remembers where it was
/// written.
#[derive(Default)]
struct Nowhere {
    writes: RefCell<Vec<Range<u64>>>,
}

impl Dma for Nowhere {
    fn read(&self, pa: Pa, bytes: &mut [u8]) {
        assert_ne!(pa, Pa(0), "a null address is read");
        for (n, byte) in bytes.iter_mut().enumerate() {
            *byte = (pa.0 as usize + n) as u8;
        }
    }
    fn write(&self, pa: Pa, bytes: &[u8]) {
        assert_ne!(pa, Pa(0), "a null address is written");
        self.writes.borrow_mut().push(pa.0..pa.0 + bytes.len() as u64);
    }
}

/// Any bytes as control words, each address null, or below 2⁴⁰.
fn words_of(input: &[u8]) -> Vec<ControlWord> {
    let word = |bytes: &[u8; WORD_BYTES]| {
        let mut doublewords = [0; 8];
        for (doubleword, bytes) in doublewords.iter_mut().zip(bytes.as_chunks::<8>().0) {
            *doubleword = u64::from_be_bytes(*bytes);
        }
        let pa = |n: usize| {
            // One address in eight is null.
            let there = doublewords[n] >> 61 != 0;
            if there { Pa(doublewords[n] & 0xff_ffff_ffff | 8) } else { Pa(0) }
        };
        ControlWord {
            control: Control(doublewords[0]),
            source: pa(1),
            auth_key: pa(2),
            auth_iv: pa(3),
            auth_state: pa(4),
            key: pa(5),
            iv: pa(6),
            destination: pa(7),
        }
    };
    input.as_chunks::<WORD_BYTES>().0.iter().map(word).collect()
}

/// Where the operation that these words are may write.
fn may_write(words: &[ControlWord]) -> Vec<Range<u64>> {
    let Some(first) = words.first() else { return Vec::new() };
    let bytes = words.iter().map(|word| word.control.bytes() as u64).sum();
    let reach = Reach::of(first.control, bytes);
    let mut ranges = vec![
        first.destination.0..first.destination.0 + reach.destination,
        first.auth_state.0..first.auth_state.0 + reach.auth_state,
    ];
    if matches!(first.control.cipher_kind(), Some((sun4v::ncs::CipherKind::Rc4, _))) {
        ranges.push(first.key.0..first.key.0 + reach.key);
    }
    if first.control.has(Control::IN_PLACE)
        && first.control.opcode() == Some(sun4v::ncs::Opcode::Cipher)
    {
        ranges.extend(
            words.iter().map(|word| word.source.0..word.source.0 + word.control.bytes() as u64),
        );
    }
    ranges
}

/// Gives a unit the words that `input` is and waits for all of them: how many ended
/// well. Any bytes are an input.
pub fn survive(input: &[u8]) -> usize {
    let words = words_of(input);
    let memory = Nowhere::default();
    let mut unit = Cwq::new(T2_HZ);
    let mut done = 0;
    let mut given = Vec::new();
    let mut ended = 0;
    for word in words {
        unit.submit(SimTime::ZERO, &[word]);
        given.push(word);
        while let Some(due) = unit.next_due() {
            let ends = unit.advance(due, &memory);
            assert!(!ends.is_empty(), "time comes and nothing ends");
            let operation = &given[ended..ended + ends.len()];
            let ok = ends[0] == Status::Done;
            assert!(ends.iter().all(|&end| end == ends[0]), "its words end alike");
            let allowed = if ok { may_write(operation) } else { Vec::new() };
            for write in memory.writes.take() {
                let inside =
                    |range: &Range<u64>| range.start <= write.start && write.end <= range.end;
                assert!(allowed.iter().any(inside), "{write:?} is written by {operation:?}");
            }
            ended += ends.len();
            done += if ok { ends.len() } else { 0 };
        }
    }
    // What has no end waits, and is never more than a queue holds.
    assert!(given.len() - ended < 64);
    unit.reset(SimTime::ZERO);
    assert_eq!(unit.next_due(), None);
    done
}

/// Random bytes with codes that mean something more often than not, or the bytes alone.
fn word() -> impl Strategy<Value = [u8; WORD_BYTES]> {
    let bytes = proptest::array::uniform32(any::<[u8; 2]>());
    let opcode = prop_oneof![Just(0x20_u8), Just(0x40), Just(0x41), Just(0xc0), Just(0xc1)];
    let marks = prop_oneof![3 => Just(WHOLE), 1 => Just(Control::SOB), 1 => Just(0), 2 => Just(Control::EOB)];
    (bytes, any::<bool>(), opcode, marks, 0..11_u8, 0..28_u8, any::<bool>()).prop_map(
        |(bytes, raw, opcode, marks, auth, cipher, small)| {
            let mut word = [0; WORD_BYTES];
            for (place, pair) in word.as_chunks_mut::<2>().0.iter_mut().zip(bytes) {
                *place = pair;
            }
            if !raw {
                word[0] = opcode;
                word[1] = word[1] & 0x9f | (marks >> 48) as u8;
                word[3] = word[3] & 0xe0 | auth;
                word[4] = cipher;
            }
            if small {
                (word[6], word[7]) = (0, word[7] | 15);
            }
            word
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_words_end_and_write_only_where_they_may(words in proptest::collection::vec(word(), 0..80)) {
        survive(&words.concat());
    }

    #[test]
    fn any_bytes_are_words(input in proptest::collection::vec(any::<u8>(), 0..4096)) {
        survive(&input);
    }
}

#[test]
fn the_words_of_the_fuzzer_are_not_all_refused() {
    use proptest::strategy::ValueTree;
    use proptest::test_runner::TestRunner;
    let mut runner = TestRunner::deterministic();
    let mut one = || word().new_tree(&mut runner).unwrap().current();
    let done = (0..1000).filter(|_| survive(&one()) == 1).count();
    assert!(done > 100, "{done} of 1000");
}
