//! The published vectors, as `testdata/crypto/` has them.

use super::{IV, KEY, OUT, Ram, SOURCE, auth, bytes_of, chain, cipher, run};
use crate::chip::cwq::rc4::test::schedule;
use crate::chip::cwq::{ControlWord, Dma, Status};
use sun4v::ncs::{Auth, Chaining, CipherKind, Control, HashKind};

/// What a vector computes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    Cipher(CipherKind, Chaining),
    Auth(Auth),
}

/// One vector.
#[derive(Clone, Debug)]
pub struct Vector {
    pub what: What,
    pub key: Vec<u8>,
    pub iv: Vec<u8>,
    pub input: Vec<u8>,
    pub output: Vec<u8>,
}

impl Vector {
    /// Its parameters in memory; and the word that asks for it, or for the way back,
    /// with all of its source in one place, be it longer than a word can say.
    pub fn word(&self, ram: &Ram, encrypt: bool) -> ControlWord {
        match self.what {
            What::Cipher(kind, chaining) => {
                let key =
                    if kind.is_stream() { schedule(&self.key).to_vec() } else { self.key.clone() };
                ram.write(KEY, &key);
                ram.write(IV, &self.iv);
                cipher(kind, chaining, encrypt, self.input.len())
            }
            What::Auth(kind) => {
                ram.write(KEY, &self.key);
                ram.write(IV, kind.initial_state());
                let mut word = auth(kind, self.key.len(), self.input.len());
                // Some are published cut short.
                let wanted = self.output.len() as u64 - 1;
                word.control.0 = word.control.0 & !(0xff << 40) | wanted << 40;
                word
            }
        }
    }

    /// Source and expected result.
    pub fn ends(&self, encrypt: bool) -> (&[u8], &[u8]) {
        if encrypt { (&self.input, &self.output) } else { (&self.output, &self.input) }
    }

    /// Both ways, if it has two.
    pub fn ways(&self) -> &'static [bool] {
        if matches!(self.what, What::Cipher(..)) { &[true, false] } else { &[true] }
    }
}

fn value(text: &str) -> Vec<u8> {
    let (body, times) = match text.rsplit_once('*') {
        Some((body, times)) => (body, times.parse().unwrap()),
        None => (text, 1),
    };
    let bytes = match body.strip_prefix('"') {
        Some(rest) => rest.strip_suffix('"').unwrap().as_bytes().to_vec(),
        None => bytes_of(body),
    };
    bytes.repeat(times)
}

fn what(line: &str) -> What {
    let hash = |name| match name {
        "md5" => HashKind::Md5,
        "sha1" => HashKind::Sha1,
        "sha256" => HashKind::Sha256,
        _ => panic!("no such hash: {name}"),
    };
    match *line.split_whitespace().collect::<Vec<_>>() {
        ["hash", name] => What::Auth(Auth::Hash(hash(name))),
        ["hmac", name] => What::Auth(Auth::Hmac(hash(name))),
        ["sum", "crc32c"] => What::Auth(Auth::Crc32c),
        ["sum", "tcp"] => What::Auth(Auth::TcpChecksum),
        ["cipher", name, chaining] => {
            let names = ["rc4", "once", "des", "3des", "aes128", "aes192", "aes256"];
            let kind = names.iter().position(|&known| known == name).unwrap();
            let chainings = ["ecb", "cbc", "cfb", "ctr"];
            let chaining = chainings.iter().position(|&known| known == chaining).unwrap();
            What::Cipher(CipherKind::ALL[kind], Chaining::ALL[chaining])
        }
        _ => panic!("no such vector: {line}"),
    }
}

/// All vectors.
pub fn all() -> Vec<Vector> {
    let files = [
        include_str!("../../../../../testdata/crypto/sp800-38a.txt"),
        include_str!("../../../../../testdata/crypto/des.txt"),
        include_str!("../../../../../testdata/crypto/rc4.txt"),
        include_str!("../../../../../testdata/crypto/hash.txt"),
        include_str!("../../../../../testdata/crypto/hmac.txt"),
        include_str!("../../../../../testdata/crypto/sum.txt"),
    ];
    let mut vectors = Vec::new();
    for record in files.iter().flat_map(|file| file.split("\n\n")) {
        let mut lines = record.lines().filter(|line| !line.starts_with('#'));
        let Some(first) = lines.next() else { continue };
        let mut vector = Vector {
            what: what(first),
            key: Vec::new(),
            iv: Vec::new(),
            input: Vec::new(),
            output: Vec::new(),
        };
        for line in lines {
            let (name, text) = line.split_once(' ').unwrap();
            let place = match name {
                "key" => &mut vector.key,
                "iv" => &mut vector.iv,
                "in" => &mut vector.input,
                "out" => &mut vector.output,
                _ => panic!("no such value: {line}"),
            };
            *place = value(text.trim());
        }
        vectors.push(vector);
    }
    assert_eq!(vectors.len(), 77, "vectors were lost on the way");
    vectors
}

#[test]
fn every_vector_comes_out_and_the_ciphers_come_back() {
    let ram = Ram::new();
    for vector in all() {
        for &encrypt in vector.ways() {
            let word = vector.word(&ram, encrypt);
            let (source, expected) = vector.ends(encrypt);
            ram.write(SOURCE, source);
            // As few words as bring it.
            let full = vec![Control::BYTES_MAX; source.len().div_ceil(Control::BYTES_MAX) - 1];
            let last = source.len() - full.len() * Control::BYTES_MAX;
            let words = chain(word, &[full, vec![last]].concat());
            let (ends, ..) = run(&ram, &words);
            assert!(ends.iter().all(|&end| end == Status::Done), "{vector:?}");
            assert_eq!(ram.bytes(OUT, expected.len()), expected, "{:?}", vector.what);
        }
    }
}

#[test]
fn every_cipher_and_chaining_that_was_published_is_among_them() {
    let vectors = all();
    let has = |what: What| vectors.iter().any(|vector| vector.what == what);
    for kind in [CipherKind::Aes128, CipherKind::Aes192, CipherKind::Aes256, CipherKind::TripleDes]
    {
        assert!(Chaining::ALL.into_iter().all(|chaining| has(What::Cipher(kind, chaining))));
    }
    // FIPS 81 knows no counter mode.
    let des = [Chaining::Ecb, Chaining::Cbc, Chaining::Cfb];
    assert!(des.into_iter().all(|chaining| has(What::Cipher(CipherKind::Des, chaining))));
    for kind in HashKind::ALL {
        assert!(has(What::Auth(Auth::Hash(kind))) && has(What::Auth(Auth::Hmac(kind))));
    }
}

#[test]
fn des_counts_in_64_bits_and_three_des_with_one_key_is_des() {
    let ram = Ram::new();
    ram.put(KEY, "0123456789abcdef 0123456789abcdef 0123456789abcdef");
    ram.put(IV, "ffffffffffffffff");
    ram.put(SOURCE, "0000000000000000 0000000000000000 0000");
    let mut streams = Vec::new();
    for kind in [CipherKind::Des, CipherKind::TripleDes] {
        run(&ram, &[cipher(kind, Chaining::Ctr, true, 18)]);
        streams.push(ram.bytes(OUT, 18));
    }
    // The same key stream, from the counters one by one.
    ram.put(SOURCE, "ffffffffffffffff 0000000000000000 0000000000000001");
    run(&ram, &[cipher(CipherKind::Des, Chaining::Ecb, true, 24)]);
    assert_eq!(streams, vec![ram.bytes(OUT, 18); 2]);
}
