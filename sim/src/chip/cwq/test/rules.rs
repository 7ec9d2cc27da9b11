//! Chains, in place, states, and what is refused.

use super::{IV, KEY, OUT, Ram, SOURCE, STATE, WHOLE, auth, chain, cipher, hash, run};
use crate::chip::cwq::rc4::test::schedule;
use crate::chip::cwq::{ControlWord, Cwq, Dma, Status};
use sun4v::addr::Pa;
use sun4v::ncs::{Auth, Chaining, CipherKind, Control, HashKind, RC4_BYTES};
use sun4v::time::{SimTime, T2_HZ};

/// SP 800-38A, appendix F: plain text and one set of parameters.
const PLAIN: &str = "6bc1bee22e409f96e93d7e117393172a ae2d8a571e03ac9c9eb76fac45af8e51
                     30c81c46a35ce411e5fbc1191a0a52ef f69f2445df4f9b17ad2b417be66c3710";
const KEY_128: &str = "2b7e151628aed2a6abf7158809cf4f3c";
const IV_CBC: &str = "000102030405060708090a0b0c0d0e0f";
const IV_CTR: &str = "f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff";

#[test]
fn another_initial_state_and_a_shorter_digest_make_sha_224() {
    let ram = Ram::new();
    ram.put(IV, "c1059ed8367cd5073070dd17f70e5939ffc00b316858151164f98fa7befa4fa4");
    ram.write(SOURCE, b"abc");
    let mut word = hash(HashKind::Sha256, 3);
    word.control.0 = word.control.0 & !(0xff << 40) | 27 << 40;
    run(&ram, &[word]);
    assert_eq!(ram.get(OUT, 28), "23097d223405d8228642a477bda255b32aadbce4bda0b3f7e36c9da7");
    assert_eq!(ram.get(OUT.offset(28), 2), "eeee", "nothing is written behind the digest");
}

#[test]
fn a_chain_gives_what_one_word_gives_and_its_words_end_together() {
    let ram = Ram::new();
    ram.put(KEY, KEY_128);
    ram.put(IV, IV_CBC);
    let whole = cipher(CipherKind::Aes128, Chaining::Cbc, true, 64);
    ram.put(SOURCE, PLAIN);
    let (_, one_took, _) = run(&ram, &[whole]);
    let expected = ram.get(OUT, 64);
    ram.write(OUT, &[0; 64]);
    let (ends, took, counters) = run(&ram, &chain(whole, &[20, 17, 27]));
    assert_eq!(ends, [Status::Done; 3]);
    assert!(took > one_took, "its words are fetched");
    assert_eq!(ram.get(OUT, 64), expected, "blocks straddle the words of a chain");
    assert_eq!((counters.words, counters.operations, counters.ciphered_bytes), (3, 1, 64));
}

#[test]
fn an_operation_in_place_writes_over_each_piece_of_its_source() {
    let ram = Ram::new();
    ram.put(KEY, KEY_128);
    ram.put(IV, IV_CTR);
    ram.put(SOURCE, PLAIN);
    let mut word = cipher(CipherKind::Aes128, Chaining::Ctr, true, 64);
    run(&ram, &[word]);
    let expected = ram.get(OUT, 64);
    word.destination = Pa(0);
    word.control = word.control.with(Control::IN_PLACE);
    let mut words = chain(word, &[40, 24]);
    // The second piece lies elsewhere.
    let mut piece = [0; 24];
    ram.read(words[1].source, &mut piece);
    words[1].source = Pa(0x4000);
    ram.write(words[1].source, &piece);
    run(&ram, &words);
    assert_eq!(ram.get(SOURCE, 40) + &ram.get(Pa(0x4000), 24), expected);
}

#[test]
fn the_vector_of_the_next_operation_may_be_the_result_of_the_one_before() {
    let ram = Ram::new();
    ram.put(KEY, KEY_128);
    ram.put(IV, IV_CBC);
    ram.put(SOURCE, PLAIN);
    let first = cipher(CipherKind::Aes128, Chaining::Cbc, true, 32);
    let second = ControlWord {
        source: SOURCE.offset(32),
        iv: OUT.offset(16),
        destination: OUT.offset(32),
        ..first
    };
    run(&ram, &[first, second]);
    assert_eq!(
        ram.get(OUT.offset(48), 16),
        "3ff1caa1681fac09120eca307586e1a7",
        "the last block of F.2.1"
    );
}

#[test]
fn what_breaks_the_rules_is_a_protocol_error_and_the_unit_goes_on() {
    let good = hash(HashKind::Sha1, 3);
    let broken = cipher(CipherKind::Aes128, Chaining::Cbc, true, 17);
    let cfb = cipher(CipherKind::TripleDes, Chaining::Cfb, true, 12);
    let no_key = ControlWord { key: Pa(0), ..cipher(CipherKind::Aes128, Chaining::Ctr, true, 16) };
    let orphan = ControlWord {
        control: Control::more(8).with(Control::EOB),
        source: SOURCE,
        ..ControlWord::default()
    };
    for bad in [broken, cfb, no_key, orphan] {
        let ram = Ram::new();
        ram.write(IV, HashKind::Sha1.initial_state());
        ram.write(SOURCE, b"abc");
        let bad = ControlWord { destination: Pa(0x9_0000), ..bad };
        let (ends, _, counters) = run(&ram, &[bad, good]);
        assert_eq!(ends, [Status::ProtocolError, Status::Done], "{bad:?}");
        assert_eq!(ram.get(Pa(0x9_0000), 4), "eeeeeeee", "a refused operation writes nothing");
        assert_eq!(ram.get(OUT, 20), "a9993e364706816aba3e25717850c26c9cd0d89d");
        assert_eq!((counters.protocol_errors, counters.operations), (1, 1));
    }
}

#[test]
fn a_chain_without_an_end_is_refused_when_the_next_begins() {
    let ram = Ram::new();
    ram.write(IV, HashKind::Sha1.initial_state());
    let mut endless = chain(hash(HashKind::Sha1, 8), &[4, 4]);
    endless[1].control = Control::more(4);
    let (ends, _, _) = run(&ram, &[endless[0], endless[1], hash(HashKind::Sha1, 3)]);
    assert_eq!(ends, [Status::ProtocolError, Status::ProtocolError, Status::Done]);
}

#[test]
fn operations_queue_behind_one_another_and_a_reset_forgets_them() {
    let word = cipher(CipherKind::Aes128, Chaining::Ctr, true, 4096);
    let mut unit = Cwq::new(T2_HZ);
    unit.submit(SimTime::us(5), &[word]);
    let first = unit.next_due().unwrap();
    let span = first.since(SimTime::us(5));
    unit.submit(SimTime::us(5), &[word]);
    let ram = Ram::new();
    assert_eq!(unit.advance(first, &ram), [Status::Done]);
    assert_eq!(unit.next_due(), Some(first.plus(span)));
    unit.reset(first);
    assert_eq!(unit.next_due(), None);
}

#[test]
fn stateful_rc4_goes_on_where_it_stopped_and_the_other_form_does_not() {
    let state = schedule(b"Key");
    let message = b"Plaintext";
    let outcome = |kind, pieces: &[usize]| {
        let ram = Ram::new();
        ram.write(KEY, &state);
        ram.write(SOURCE, message);
        let mut at = 0;
        for &piece in pieces {
            let mut word = cipher(kind, Chaining::Ctr, true, piece);
            (word.source, word.destination) = (SOURCE.offset(at), OUT.offset(at));
            word.iv = Pa(0);
            assert_eq!(run(&ram, &[word]).0, [Status::Done]);
            at += piece as u64;
        }
        (ram.get(OUT, message.len()), ram.bytes(KEY, RC4_BYTES))
    };
    let (whole, after) = outcome(CipherKind::Rc4, &[9]);
    assert_eq!(whole, "bbf316e8d940af0ad3");
    assert_ne!(after, state);
    assert_eq!(outcome(CipherKind::Rc4, &[4, 1, 4]), (whole.clone(), after));
    let (once, after) = outcome(CipherKind::Rc4Once, &[9]);
    assert_eq!((once, after.as_slice()), (whole, state.as_slice()));
    // "Plai" then again from the start of the key stream.
    let (again, _) = outcome(CipherKind::Rc4Once, &[4, 4, 1]);
    assert_eq!(again[..8], *"bbf316e8");
    assert_ne!(again[8..16], *"d940af0a");
}

#[test]
fn a_state_that_was_stored_is_one_to_go_on_from() {
    // The checks of RFC 3720 and RFC 1071, in two operations.
    let sums = [
        (Auth::Crc32c, "00".repeat(32), "aa36918a"),
        (Auth::TcpChecksum, "0001f203f4f5f6f7".to_owned(), "220d"),
    ];
    for (kind, message, expected) in sums {
        let ram = Ram::new();
        let bytes = ram.put(SOURCE, &message);
        ram.write(IV, kind.initial_state());
        let mut first = auth(kind, 1, 4);
        first.control = first.control.with(Control::STORE_STATE);
        first.auth_state = STATE;
        let mut second = auth(kind, 1, bytes - 4);
        (second.source, second.auth_iv) = (SOURCE.offset(4), STATE);
        let (ends, _, counters) = run(&ram, &[first, second]);
        assert_eq!(ends, [Status::Done; 2]);
        assert_eq!(ram.get(OUT, expected.len() / 2), expected, "{kind:?}");
        assert_eq!((counters.summed_bytes, counters.hashed_bytes), (bytes as u64, 0));
    }
}

#[test]
fn an_odd_byte_of_a_checksum_stands_before_a_zero() {
    let sum = |hex: &str| {
        let ram = Ram::new();
        let bytes = ram.put(SOURCE, hex);
        ram.write(IV, &[0; 2]);
        run(&ram, &[auth(Auth::TcpChecksum, 1, bytes)]);
        ram.get(OUT, 2)
    };
    assert_eq!(
        sum("450000730000400040 11c0a80001c0a800c7"),
        sum("450000730000400040 11c0a80001c0a800c700")
    );
    // An IPv4 header with its checksum left out, which is b861.
    assert_eq!(sum("45000073000040004011 0000 c0a80001c0a800c7"), "b861");
    assert_eq!(sum("ffff"), "0000");
}

#[test]
fn the_mac_of_ssl_is_a_hash_over_a_hash() {
    // No vector is known to us: the construction of RFC 6101 is put together from plain
    // hashes of the unit.
    for (kind, pad_bytes) in [(HashKind::Md5, 48), (HashKind::Sha1, 40)] {
        let digest = |bytes: &[u8]| {
            let ram = Ram::new();
            ram.write(SOURCE, bytes);
            ram.write(IV, kind.initial_state());
            assert_eq!(run(&ram, &[hash(kind, bytes.len())]).0, [Status::Done]);
            ram.bytes(OUT, kind.state_bytes())
        };
        let secret: Vec<u8> = (0..kind.state_bytes() as u8).collect();
        let record = b"\0\0\0\0\0\0\0\x07\x17\0\x05hello";
        let inner = digest(&[&secret[..], &vec![0x36; pad_bytes], record].concat());
        let expected = digest(&[&secret[..], &vec![0x5c; pad_bytes], &inner].concat());

        let ram = Ram::new();
        ram.write(SOURCE, record);
        ram.write(KEY, &secret);
        ram.write(IV, kind.initial_state());
        let word = auth(Auth::SslMac(kind), secret.len(), record.len());
        assert_eq!(run(&ram, &[word]).0, [Status::Done]);
        assert_eq!(ram.bytes(OUT, kind.state_bytes()), expected, "{kind:?}");
    }
}

#[test]
fn every_address_that_an_operation_follows_must_be_there() {
    let stored = |mut word: ControlWord| {
        word.control = word.control.with(Control::STORE_STATE);
        word.auth_state = STATE;
        word
    };
    let copy = ControlWord {
        control: Control::copy(8).with(WHOLE),
        source: SOURCE,
        destination: OUT,
        ..ControlWord::default()
    };
    let mut in_place = cipher(CipherKind::Rc4, Chaining::Ecb, true, 8);
    in_place.control = in_place.control.with(Control::IN_PLACE);
    // The word, and of its seven addresses in order those that it needs.
    let words = [
        (copy, "s.....d"),
        (cipher(CipherKind::Des, Chaining::Ecb, true, 8), "s...k.d"),
        (cipher(CipherKind::Des, Chaining::Cfb, true, 8), "s...kvd"),
        (in_place, "s...k.."),
        (auth(Auth::Hash(HashKind::Md5), 1, 8), "s.i...d"),
        (stored(auth(Auth::Crc32c, 1, 8)), "s.ia..d"),
        (auth(Auth::Hmac(HashKind::Md5), 16, 8), "shi...d"),
        (auth(Auth::SslMac(HashKind::Sha1), 20, 8), "shi...d"),
    ];
    for (word, needed) in words {
        for (n, need) in needed.chars().enumerate() {
            let mut lacking = word;
            let addresses = [
                &mut lacking.source,
                &mut lacking.auth_key,
                &mut lacking.auth_iv,
                &mut lacking.auth_state,
                &mut lacking.key,
                &mut lacking.iv,
                &mut lacking.destination,
            ];
            *addresses.into_iter().nth(n).unwrap() = Pa(0);
            let expected = if need == '.' { Status::Done } else { Status::ProtocolError };
            assert_eq!(run(&Ram::new(), &[lacking]).0, [expected], "{word:?} without {n}");
        }
    }
}

#[test]
fn codes_that_no_standard_or_document_fills_are_refused() {
    let ssl_keys = Control(0x10 << 56 | 7).with(WHOLE);
    let reserved_cipher = Control(0x40 << 56 | 7 << 26 | 7).with(WHOLE);
    let ssl_sha256 = Control::auth(Auth::SslMac(HashKind::Sha256), 32, 8).with(WHOLE);
    let reserved_auth = Control(0x41 << 56 | 12 << 32 | 7).with(WHOLE);
    for control in [ssl_keys, reserved_cipher, ssl_sha256, reserved_auth] {
        let word = ControlWord { control, ..auth(Auth::Hmac(HashKind::Sha256), 32, 8) };
        let ram = Ram::new();
        let before = ram.0.borrow().clone();
        assert_eq!(run(&ram, &[word]).0, [Status::ProtocolError], "{control:?}");
        assert!(*ram.0.borrow() == before);
    }
}

#[test]
fn a_chain_may_be_as_long_as_a_queue_and_no_longer() {
    let digest = |words: &[ControlWord]| {
        let ram = Ram::new();
        ram.write(IV, HashKind::Sha1.initial_state());
        ram.write(SOURCE, &[7; 65]);
        let (ends, ..) = run(&ram, words);
        (ends, ram.bytes(OUT, 20))
    };
    let (ends, longest) = digest(&chain(hash(HashKind::Sha1, 64), &[1; 64]));
    assert_eq!(ends, [Status::Done; 64]);
    assert_eq!(longest, digest(&[hash(HashKind::Sha1, 64)]).1);
    let mut words = chain(hash(HashKind::Sha1, 65), &[1; 65]);
    words.push(hash(HashKind::Sha1, 64));
    let (ends, after) = digest(&words);
    assert_eq!(ends[..65], [Status::ProtocolError; 65]);
    assert_eq!((ends[65], after), (Status::Done, longest));
}
