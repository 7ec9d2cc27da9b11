//! Records that nobody on the wire can read, alter, drop, repeat or reorder.
//!
//! **Shape.** A sealed record, all numbers big-endian:
//!
//! | bytes | what |
//! |---|---|
//! | 4 | bytes that follow |
//! | 4 | zero |
//! | 8 | sequence number, from 0, one more each record |
//! | n | cipher text, AES-128-CTR |
//! | 32 | HMAC-SHA-256 of everything before it |
//!
//! **Counters.** The first counter of a record is its sequence number in the upper half
//! and zero in the lower, so no counter is used twice under one key.
//!
//! **Keys** ([`Session::derive`]) come from the root of a connection (`handshake`) by
//! HKDF-SHA-256's expansion (RFC 5869), one for each thing that is done with it:
//!
//! | key | what for |
//! |---|---|
//! | `to target, cipher` | AES-128 of what the source sends |
//! | `to target, auth` | HMAC of what the source sends |
//! | `to source, cipher` | AES-128 of what the target sends |
//! | `to source, auth` | HMAC of what the target sends |
//! | `source, proof` | the source's proof that it knows the password |
//! | `target, proof` | the target's |
//!
//! **Limits.** A connection's keys seal [`RECORDS_MAX`] records each way and no more:
//! 2^46 blocks of AES at most, which leaves whoever could tell the stream from noise by
//! missing repetitions a chance below 2^-36. That is 768 TiB, a thousand times what the
//! longest migration sends, so no connection changes its keys; one that came so far
//! would end. A new connection has new keys.
//!
//! **Errors.** [`Refusal`]; whoever gets one drops the connection.

use super::Refusal;
use aes::Aes128;
use ctr::cipher::{KeyIvInit, StreamCipher};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// Bytes before the cipher text.
pub const HEADER_BYTES: usize = 16;
/// Bytes behind it.
pub const TAG_BYTES: usize = 32;
/// Most bytes of plain text in a record.
pub const PLAIN_BYTES_MAX: usize = 192 << 10;

/// Most records of one direction of one connection.
pub const RECORDS_MAX: u64 = 1 << 32;

/// The keys of one direction of one connection.
#[derive(Clone, PartialEq, Eq)]
pub struct Keys {
    /// For AES-128.
    pub cipher: [u8; 16],
    /// For HMAC-SHA-256.
    pub auth: [u8; 32],
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Keys")
    }
}

/// The two directions of a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// What the source sends.
    pub to_target: Keys,
    /// What the target sends.
    pub to_source: Keys,
}

impl Session {
    /// Derives the keys of a connection from its root.
    #[must_use]
    pub fn derive(root: &[u8; 32]) -> Self {
        let keys = |direction: &str| {
            let mut cipher = [0; 16];
            cipher.copy_from_slice(&expand(root, direction, "cipher")[..16]);
            Keys { cipher, auth: expand(root, direction, "auth") }
        };
        Self { to_target: keys("to target"), to_source: keys("to source") }
    }
}

/// One block of HKDF's expansion: enough for every key here.
pub(super) fn expand(root: &[u8; 32], whose: &str, what: &str) -> [u8; 32] {
    let info = format!("ldom migration 2, {whose}, {what}");
    hmac(root, &[info.as_bytes(), &[1]])
}

pub(super) fn hmac(key: &[u8], parts: &[&[u8]]) -> [u8; 32] {
    mac(key, parts).finalize().into_bytes().into()
}

pub(super) fn mac(key: &[u8], parts: &[&[u8]]) -> Hmac<Sha256> {
    let mut mac = match Hmac::<Sha256>::new_from_slice(key) {
        Ok(mac) => mac,
        Err(_) => unreachable!("HMAC takes keys of any length"),
    };
    parts.iter().for_each(|part| mac.update(part));
    mac
}

/// The 16 bytes before the cipher text of record `sequence`.
#[must_use]
pub fn header(sequence: u64, plain_bytes: usize) -> [u8; HEADER_BYTES] {
    let follows = (plain_bytes + HEADER_BYTES - 4 + TAG_BYTES) as u32;
    let mut header = [0; HEADER_BYTES];
    header[..4].copy_from_slice(&follows.to_be_bytes());
    header[8..].copy_from_slice(&sequence.to_be_bytes());
    header
}

/// The first counter of record `sequence`.
#[must_use]
pub fn counter(sequence: u64) -> [u8; 16] {
    let mut counter = [0; 16];
    counter[..8].copy_from_slice(&sequence.to_be_bytes());
    counter
}

/// Plain text as it lies in a record, with room before it for the header: it is sealed
/// where it lies, and what was opened lies where it came.
#[derive(Clone, Debug, Eq)]
pub struct Text(Vec<u8>);

/// By what they say; what lies where a header goes is nobody's concern.
impl PartialEq for Text {
    fn eq(&self, other: &Self) -> bool {
        self.plain() == other.plain()
    }
}

impl Text {
    /// Room behind, for the tag and for whoever marks a text or a record with a byte.
    const BEHIND: usize = TAG_BYTES + 2;

    /// An empty one, with capacity for so many bytes and what is put behind them.
    #[must_use]
    pub fn with_capacity(bytes: usize) -> Self {
        let mut text = Vec::with_capacity(HEADER_BYTES + bytes + Self::BEHIND);
        text.resize(HEADER_BYTES, 0);
        Self(text)
    }

    /// One that somebody else holds as bytes ([`Text::into_bytes`]): none without the
    /// room of a header.
    #[must_use]
    pub fn from_bytes(bytes: Vec<u8>) -> Option<Self> {
        (bytes.len() >= HEADER_BYTES).then_some(Self(bytes))
    }

    /// Its bytes, the room of the header included.
    #[must_use]
    pub fn into_bytes(self) -> Vec<u8> {
        self.0
    }

    /// What it says.
    #[must_use]
    pub fn plain(&self) -> &[u8] {
        self.0.get(HEADER_BYTES..).unwrap_or_default()
    }

    /// Says more.
    pub fn push(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    /// Takes the last byte back, if there is one.
    pub fn pop(&mut self) -> Option<u8> {
        if self.0.len() > HEADER_BYTES { self.0.pop() } else { None }
    }
}

impl From<&[u8]> for Text {
    fn from(plain: &[u8]) -> Self {
        let mut text = Self::with_capacity(plain.len());
        text.push(plain);
        text
    }
}

/// Seals a text as record `sequence`, in software.
#[must_use]
pub fn seal(keys: &Keys, sequence: u64, text: Text) -> Vec<u8> {
    let header = header(sequence, text.plain().len());
    let mut record = text.into_bytes();
    record[..HEADER_BYTES].copy_from_slice(&header);
    cipher(keys, sequence, &mut record[HEADER_BYTES..]);
    let tag = hmac(&keys.auth, &[&record]);
    record.extend_from_slice(&tag);
    record
}

/// Opens a whole record, which must be record `sequence`, in software.
pub fn open(keys: &Keys, sequence: u64, mut record: Vec<u8>) -> Result<Text, Refusal> {
    let body = check(sequence, &record)?;
    let (authentic, tag) = record.split_at(HEADER_BYTES + body);
    mac(&keys.auth, &[authentic]).verify_slice(tag).map_err(|_| Refusal::Forged)?;
    record.truncate(HEADER_BYTES + body);
    cipher(keys, sequence, &mut record[HEADER_BYTES..]);
    Ok(Text(record))
}

/// Checks what can be checked of a whole record without keys: bytes of its cipher
/// text.
pub fn check(sequence: u64, record: &[u8]) -> Result<usize, Refusal> {
    let body = record.len().checked_sub(HEADER_BYTES + TAG_BYTES).ok_or(Refusal::Malformed)?;
    if body > PLAIN_BYTES_MAX {
        return Err(Refusal::Malformed);
    }
    if sequence >= RECORDS_MAX {
        return Err(Refusal::Exhausted);
    }
    if record[..HEADER_BYTES] != header(sequence, body) {
        return Err(Refusal::OutOfOrder);
    }
    Ok(body)
}

fn cipher(keys: &Keys, sequence: u64, text: &mut [u8]) {
    let (key, iv) = (keys.cipher.into(), counter(sequence).into());
    // No record has so many blocks that its counter would need the upper half.
    ctr::Ctr64BE::<Aes128>::new(&key, &iv).apply_keystream(text);
}

#[cfg(test)]
mod test {
    use super::{HEADER_BYTES, Keys, RECORDS_MAX, Session, Text};
    use crate::migrate::Refusal;

    fn seal(keys: &Keys, sequence: u64, plain: &[u8]) -> Vec<u8> {
        super::seal(keys, sequence, Text::from(plain))
    }

    fn open(keys: &Keys, sequence: u64, record: &[u8]) -> Result<Vec<u8>, Refusal> {
        super::open(keys, sequence, record.to_vec()).map(|text| text.plain().to_vec())
    }

    fn session() -> Session {
        Session::derive(&[1; 32])
    }

    #[test]
    fn a_record_opens_to_what_was_sealed() {
        let keys = session().to_target;
        for plain in [&b""[..], b"x", &[7; 70_000]] {
            let record = seal(&keys, 9, plain);
            assert_eq!(open(&keys, 9, &record).unwrap(), plain);
            assert!(plain.len() < 2 || !record.windows(plain.len()).any(|part| part == plain));
        }
    }

    #[test]
    fn every_altered_byte_and_every_truncation_is_refused() {
        let keys = session().to_target;
        let record = seal(&keys, 3, b"sixteen bytes or more");
        for at in 0..record.len() {
            let mut bad = record.clone();
            bad[at] ^= 0x10;
            assert!(open(&keys, 3, &bad).is_err(), "byte {at}");
            assert!(open(&keys, 3, &record[..at]).is_err(), "cut at {at}");
        }
    }

    #[test]
    fn another_place_another_direction_and_another_session_are_refused() {
        let keys = session().to_target;
        let record = seal(&keys, 3, b"hello");
        assert_eq!(open(&keys, 4, &record), Err(Refusal::OutOfOrder));
        assert_eq!(open(&session().to_source, 3, &record), Err(Refusal::Forged));
        let other = Session::derive(&[2; 32]);
        assert_eq!(open(&other.to_target, 3, &record), Err(Refusal::Forged));
        // A number that was put right by somebody without the key.
        let mut renumbered = record;
        renumbered[HEADER_BYTES - 1] = 4;
        assert_eq!(open(&keys, 4, &renumbered), Err(Refusal::Forged));
    }

    #[test]
    fn keys_are_used_up_at_a_number_that_nobody_reaches() {
        let keys = session().to_target;
        let last = seal(&keys, RECORDS_MAX - 1, b"last");
        assert_eq!(open(&keys, RECORDS_MAX - 1, &last).unwrap(), b"last");
        let beyond = seal(&keys, RECORDS_MAX, b"beyond");
        assert_eq!(open(&keys, RECORDS_MAX, &beyond), Err(Refusal::Exhausted));
    }

    #[test]
    fn keys_of_the_two_directions_differ() {
        let session = session();
        assert_ne!(session.to_target.cipher, session.to_source.cipher);
        assert_ne!(session.to_target.auth, session.to_source.auth);
    }
}
