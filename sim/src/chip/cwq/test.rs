//! The unit through its control words, against published vectors.

use super::{ControlWord, Counters, Cwq, Dma, Status};
use std::cell::RefCell;
use sun4v::addr::Pa;
use sun4v::ncs::{Chaining, CipherKind, Control, HashKind};
use sun4v::time::{SimTime, T2_HZ};

const SOURCE: Pa = Pa(0x1000);
const KEY: Pa = Pa(0x400);
const IV: Pa = Pa(0x500);
const OUT: Pa = Pa(0x8_0000);
const STATE: Pa = Pa(0x600);
const WHOLE: u64 = Control::SOB | Control::EOB;

/// A megabyte of memory.
struct Ram(RefCell<Vec<u8>>);

impl Ram {
    fn new() -> Self {
        Self(RefCell::new(vec![0xee; 1 << 20]))
    }
    fn put(&self, pa: Pa, hex: &str) -> usize {
        let bytes = bytes_of(hex);
        self.write(pa, &bytes);
        bytes.len()
    }
    fn get(&self, pa: Pa, len: usize) -> String {
        let mut bytes = vec![0; len];
        self.read(pa, &mut bytes);
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
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

fn hash(kind: HashKind, hmac_key: Option<usize>, bytes: usize) -> ControlWord {
    ControlWord {
        control: Control::hash(kind, hmac_key, bytes).with(WHOLE),
        source: SOURCE,
        auth_iv: IV,
        auth_key: if hmac_key.is_some() { KEY } else { Pa(0) },
        destination: OUT,
        ..ControlWord::default()
    }
}

/// SP 800-38A, appendix F: the four blocks of plain text.
const PLAIN: &str = "6bc1bee22e409f96e93d7e117393172a ae2d8a571e03ac9c9eb76fac45af8e51
                     30c81c46a35ce411e5fbc1191a0a52ef f69f2445df4f9b17ad2b417be66c3710";
const KEY_128: &str = "2b7e151628aed2a6abf7158809cf4f3c";
const KEY_192: &str = "8e73b0f7da0e6452c810f32b809079e562f8ead2522c6b7b";
const KEY_256: &str = "603deb1015ca71be2b73aef0857d7781 1f352c073b6108d72d9810a30914dff4";
const IV_CBC: &str = "000102030405060708090a0b0c0d0e0f";
const IV_CTR: &str = "f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff";

#[test]
fn the_vectors_of_sp_800_38a_come_out_both_ways() {
    use Chaining::{Cbc, Ctr, Ecb};
    use CipherKind::{Aes128, Aes192, Aes256};
    let vectors = [
        (
            Aes128,
            Ecb,
            KEY_128,
            "",
            "3ad77bb40d7a3660a89ecaf32466ef97 f5d3d58503b9699de785895a96fdbaaf
          43b1cd7f598ece23881b00e3ed030688 7b0c785e27e8ad3f8223207104725dd4",
        ),
        (
            Aes192,
            Ecb,
            KEY_192,
            "",
            "bd334f1d6e45f25ff712a214571fa5cc 974104846d0ad3ad7734ecb3ecee4eef
          ef7afd2270e2e60adce0ba2face6444e 9a4b41ba738d6c72fb16691603c18e0e",
        ),
        (
            Aes256,
            Ecb,
            KEY_256,
            "",
            "f3eed1bdb5d2a03c064b5a7e3db181f8 591ccb10d410ed26dc5ba74a31362870
          b6ed21b99ca6f4f9f153e7b1beafed1d 23304b7a39f9f3ff067d8d8f9e24ecc7",
        ),
        (
            Aes128,
            Cbc,
            KEY_128,
            IV_CBC,
            "7649abac8119b246cee98e9b12e9197d 5086cb9b507219ee95db113a917678b2
          73bed6b8e3c1743b7116e69e22229516 3ff1caa1681fac09120eca307586e1a7",
        ),
        (
            Aes192,
            Cbc,
            KEY_192,
            IV_CBC,
            "4f021db243bc633d7178183a9fa071e8 b4d9ada9ad7dedf4e5e738763f69145a
          571b242012fb7ae07fa9baac3df102e0 08b0e27988598881d920a9e64f5615cd",
        ),
        (
            Aes256,
            Cbc,
            KEY_256,
            IV_CBC,
            "f58c4c04d6e5f1ba779eabfb5f7bfbd6 9cfc4e967edb808d679f777bc6702c7d
          39f23369a9d9bacfa530e26304231461 b2eb05e2c39be9fcda6c19078c6a9d1b",
        ),
        (
            Aes128,
            Ctr,
            KEY_128,
            IV_CTR,
            "874d6191b620e3261bef6864990db6ce 9806f66b7970fdff8617187bb9fffdff
          5ae4df3edbd5d35e5b4f09020db03eab 1e031dda2fbe03d1792170a0f3009cee",
        ),
        (
            Aes192,
            Ctr,
            KEY_192,
            IV_CTR,
            "1abc932417521ca24f2b0459fe7e6e0b 090339ec0aa6faefd5ccc2c6f4ce8e94
          1e36b26bd1ebc670d1bd1d665620abf7 4f78a7f6d29809585a97daec58c6b050",
        ),
        (
            Aes256,
            Ctr,
            KEY_256,
            IV_CTR,
            "601ec313775789a5b7a7f504bbf3d228 f443e3ca4d62b59aca84e990cacaf5c5
          2b0930daa23de94ce87017ba2d84988d dfc9c58db67aada613c2dd08457941a6",
        ),
    ];
    for (kind, chaining, key, iv, expected) in vectors {
        let ram = Ram::new();
        let expected: String = expected.split_whitespace().collect();
        let plain: String = PLAIN.split_whitespace().collect();
        ram.put(KEY, key);
        ram.put(IV, iv);
        let bytes = ram.put(SOURCE, PLAIN);
        run(&ram, &[cipher(kind, chaining, true, bytes)]);
        assert_eq!(ram.get(OUT, 64), expected, "{kind:?} {chaining:?} encrypt");
        ram.put(SOURCE, &expected);
        run(&ram, &[cipher(kind, chaining, false, bytes)]);
        assert_eq!(ram.get(OUT, 64), plain, "{kind:?} {chaining:?} decrypt");
    }
}

#[test]
fn the_published_digests_of_abc_and_of_longer_messages_come_out() {
    let long = "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq";
    let vectors = [
        (HashKind::Md5, "abc", "900150983cd24fb0d6963f7d28e17f72"),
        (HashKind::Md5, "message digest", "f96b697d7cb7938d525a2f31aaf161d0"),
        (HashKind::Sha1, "abc", "a9993e364706816aba3e25717850c26c9cd0d89d"),
        (HashKind::Sha1, long, "84983e441c3bd26ebaae4aa1f95129e5e54670f1"),
        (
            HashKind::Sha256,
            "abc",
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
        ),
        (
            HashKind::Sha256,
            long,
            "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1",
        ),
    ];
    for (kind, message, expected) in vectors {
        let ram = Ram::new();
        ram.write(IV, kind.initial_state());
        ram.write(SOURCE, message.as_bytes());
        let word = ControlWord {
            control: Control::hash(kind, None, message.len()).with(WHOLE | Control::STORE_STATE),
            auth_state: STATE,
            ..hash(kind, None, message.len())
        };
        let (ends, _, _) = run(&ram, &[word]);
        assert_eq!(ends, [Status::Done]);
        assert_eq!(ram.get(OUT, expected.len() / 2), expected, "{kind:?} of {message}");
        assert_eq!(ram.get(STATE, expected.len() / 2), expected, "{kind:?} state");
    }
}

#[test]
fn another_initial_state_and_a_shorter_digest_make_sha_224() {
    let ram = Ram::new();
    ram.put(IV, "c1059ed8367cd5073070dd17f70e5939ffc00b316858151164f98fa7befa4fa4");
    ram.write(SOURCE, b"abc");
    let mut word = hash(HashKind::Sha256, None, 3);
    word.control.0 = word.control.0 & !(0xff << 40) | 27 << 40;
    run(&ram, &[word]);
    assert_eq!(ram.get(OUT, 28), "23097d223405d8228642a477bda255b32aadbce4bda0b3f7e36c9da7");
    assert_eq!(ram.get(OUT.offset(28), 2), "eeee", "nothing is written behind the digest");
}

#[test]
fn the_hmac_vectors_of_rfc_4231_come_out() {
    let vectors = [
        (
            "0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b".to_owned(),
            b"Hi There".to_vec(),
            "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7",
        ),
        (
            "4a656665".to_owned(),
            b"what do ya want for nothing?".to_vec(),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
        ),
        (
            "aa".repeat(131),
            b"Test Using Larger Than Block-Size Key - Hash Key First".to_vec(),
            "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54",
        ),
    ];
    for (key, message, expected) in vectors {
        let ram = Ram::new();
        let key_bytes = ram.put(KEY, &key);
        let iv = Pa(0x700);
        ram.write(iv, HashKind::Sha256.initial_state());
        ram.write(SOURCE, &message);
        let word =
            ControlWord { auth_iv: iv, ..hash(HashKind::Sha256, Some(key_bytes), message.len()) };
        run(&ram, &[word]);
        assert_eq!(ram.get(OUT, 32), expected);
    }
}

/// Cuts one word into a chain of pieces whose sources follow one another.
fn chain(word: ControlWord, pieces: &[usize]) -> Vec<ControlWord> {
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
    assert_eq!((ends, took), (vec![Status::Done; 3], one_took));
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
    let good = hash(HashKind::Sha1, None, 3);
    let broken = cipher(CipherKind::Aes128, Chaining::Cbc, true, 17);
    let des = ControlWord { control: Control(0x40 << 56 | 2 << 26 | 7).with(WHOLE), ..broken };
    let no_key = ControlWord { key: Pa(0), ..cipher(CipherKind::Aes128, Chaining::Ctr, true, 16) };
    let orphan = ControlWord {
        control: Control::more(8).with(Control::EOB),
        source: SOURCE,
        ..ControlWord::default()
    };
    for bad in [broken, des, no_key, orphan] {
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
    let mut endless = chain(hash(HashKind::Sha1, None, 8), &[4, 4]);
    endless[1].control = Control::more(4);
    let (ends, _, _) = run(&ram, &[endless[0], endless[1], hash(HashKind::Sha1, None, 3)]);
    assert_eq!(ends, [Status::ProtocolError, Status::ProtocolError, Status::Done]);
}

#[test]
fn eight_units_at_1_4_ghz_would_reach_the_published_rates() {
    let published = [
        (cipher(CipherKind::Aes128, Chaining::Ctr, true, 65536), 44.0),
        (cipher(CipherKind::Aes192, Chaining::Ctr, true, 65536), 36.0),
        (cipher(CipherKind::Aes256, Chaining::Ctr, true, 65536), 31.0),
        (hash(HashKind::Md5, None, 65536), 41.0),
        (hash(HashKind::Sha1, None, 65536), 32.0),
        (hash(HashKind::Sha256, None, 65536), 41.0),
    ];
    for (word, gbit) in published {
        let mut unit = Cwq::new(1_400_000_000);
        unit.submit(SimTime::ZERO, &[word]);
        let took = unit.next_due().unwrap();
        let reached = 8.0 * 65536.0 * 8.0 / took.as_secs_f64() / 1e9;
        assert!((reached - gbit).abs() < 0.1, "{word:?}: {reached} of {gbit} Gbit/s");
    }
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
