//! A message in pieces is the message: every vector, cut in every way that can be
//! tried.
//!
//! Messages of up to twelve bytes are cut in all 2ⁿ⁻¹ ways, others at every pair of
//! places, those of up to 64 bytes at every three. The pieces lie one behind the
//! other, or each for itself and, if it is a cipher, are written over.

use super::vectors::{Vector, What, all};
use super::{OUT, Ram, SOURCE, chain};
use crate::chip::cwq::{ControlWord, Cwq, Dma, Status};
use sun4v::ncs::Control;
use sun4v::time::{SimTime, T2_HZ};

const ALL_WAYS_BYTES: usize = 12;
const THREE_CUTS_BYTES: usize = 64;
const TWO_CUTS_BYTES: usize = 200;

/// Sizes of the pieces, for each way.
pub(crate) fn ways(bytes: usize) -> Vec<Vec<usize>> {
    let pieces = |cuts: &[usize]| {
        let ends = cuts.iter().copied().chain([bytes]);
        let starts = [0].into_iter().chain(cuts.iter().copied());
        ends.zip(starts).map(|(end, start)| end - start).collect::<Vec<_>>()
    };
    let mut all = Vec::new();
    if bytes <= ALL_WAYS_BYTES {
        for mask in 0..1_usize << (bytes - 1) {
            let cuts: Vec<usize> = (1..bytes).filter(|at| mask >> (at - 1) & 1 != 0).collect();
            all.push(pieces(&cuts));
        }
        return all;
    }
    for a in 1..bytes {
        all.push(pieces(&[a]));
        for b in a + 1..bytes {
            all.push(pieces(&[a, b]));
            let thirds = if bytes <= THREE_CUTS_BYTES { b + 1..bytes } else { bytes..bytes };
            all.extend(thirds.map(|c| pieces(&[a, b, c])));
        }
    }
    all
}

/// Does the words; all must end well.
fn run(ram: &Ram, words: &[ControlWord]) {
    let mut unit = Cwq::new(T2_HZ);
    unit.submit(SimTime::ZERO, words);
    assert_eq!(unit.advance(SimTime::secs(1), ram), vec![Status::Done; words.len()]);
}

/// RC4 leaves another state behind each time.
fn renew(vector: &Vector, ram: &Ram) {
    if matches!(vector.what, What::Cipher(kind, _) if kind.is_stream()) {
        vector.word(ram, true);
    }
}

#[test]
fn there_are_as_many_ways_as_there_must_be() {
    assert_eq!(ways(1), [[1]]);
    assert_eq!(ways(12).len(), 2048);
    // 63 places: one, two, or three of them.
    assert_eq!(ways(64).len(), 63 + 1953 + 39711);
    assert!(ways(64).iter().all(|way| way.iter().sum::<usize>() == 64 && !way.contains(&0)));
    assert_eq!(ways(112).len(), 111 + 6105);
}

#[test]
fn in_pieces_that_follow_one_another_every_vector_comes_out() {
    let ram = Ram::new();
    for vector in all().iter().filter(|vector| vector.input.len() <= TWO_CUTS_BYTES) {
        for &encrypt in vector.ways() {
            let word = vector.word(&ram, encrypt);
            let (source, expected) = vector.ends(encrypt);
            ram.write(SOURCE, source);
            for way in ways(source.len()) {
                ram.write(OUT, &vec![0xee; expected.len() + 1]);
                renew(vector, &ram);
                run(&ram, &chain(word, &way));
                let written = ram.bytes(OUT, expected.len() + 1);
                assert_eq!(written[..expected.len()], *expected, "{:?} {way:?}", vector.what);
                assert_eq!(written[expected.len()], 0xee, "{:?} {way:?}", vector.what);
            }
        }
    }
}

#[test]
fn in_scattered_pieces_that_are_written_over_every_cipher_comes_out() {
    let ram = Ram::new();
    let ciphers = all().into_iter().filter(|vector| matches!(vector.what, What::Cipher(..)));
    for vector in ciphers {
        for &encrypt in vector.ways() {
            let word = vector.word(&ram, encrypt);
            let (source, expected) = vector.ends(encrypt);
            for way in ways(source.len()) {
                let mut first = word;
                first.control = first.control.with(Control::IN_PLACE);
                first.destination = OUT; // Says nothing.
                renew(&vector, &ram);
                ram.write(OUT, &[0xee]);
                let mut words = chain(first, &way);
                let mut at = 0;
                for (n, word) in words.iter_mut().enumerate() {
                    // The later, the lower, with a byte between.
                    word.source = SOURCE.offset((way.len() - n) as u64 * 0x81);
                    ram.write(word.source, &source[at..at + way[n]]);
                    ram.write(word.source.offset(way[n] as u64), &[0xee]);
                    at += way[n];
                }
                run(&ram, &words);
                let mut written = Vec::new();
                for (word, &bytes) in words.iter().zip(&way) {
                    let mut piece = ram.bytes(word.source, bytes + 1);
                    assert_eq!(piece.pop(), Some(0xee));
                    written.extend(piece);
                }
                assert_eq!(written, expected, "{:?} {way:?}", vector.what);
                assert_eq!(ram.bytes(OUT, 1), [0xee]);
            }
        }
    }
}
