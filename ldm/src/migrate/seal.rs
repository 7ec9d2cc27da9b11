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
//! Each direction has keys of its own. The first counter of a record is its
//! sequence number in the upper half and zero in the lower, so no counter is used
//! twice under one key.
//!
//! **Keys.** HKDF-SHA-256 (RFC 5869) over the password of the target and both
//! nonces. Whoever records a session can try passwords against it at home: a
//! password-authenticated key exchange is what keeps that from them, and it is
//! not here yet.

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

/// A nonce: fresh for every connection, from either end.
pub type Nonce = [u8; 32];

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
    /// Derives the keys of a connection. Both ends get the same ones when both
    /// know the password.
    #[must_use]
    pub fn derive(password: &str, source: &Nonce, target: &Nonce) -> Self {
        let prk = hmac(&[source.as_slice(), target].concat(), &[password.as_bytes()]);
        let keys = |direction: &str| {
            let mut cipher = [0; 16];
            cipher.copy_from_slice(&expand(&prk, direction, "cipher")[..16]);
            Keys { cipher, auth: expand(&prk, direction, "auth") }
        };
        Self { to_target: keys("to target"), to_source: keys("to source") }
    }
}

/// One block of HKDF's expansion: enough for every key here.
fn expand(prk: &[u8; 32], direction: &str, what: &str) -> [u8; 32] {
    let info = format!("ldom migration 1, {direction}, {what}");
    hmac(prk, &[info.as_bytes(), &[1]])
}

fn hmac(key: &[u8], parts: &[&[u8]]) -> [u8; 32] {
    mac(key, parts).finalize().into_bytes().into()
}

fn mac(key: &[u8], parts: &[&[u8]]) -> Hmac<Sha256> {
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

/// Seals `plain` as record `sequence`, in software.
#[must_use]
pub fn seal(keys: &Keys, sequence: u64, plain: &[u8]) -> Vec<u8> {
    let mut record = header(sequence, plain.len()).to_vec();
    record.extend_from_slice(plain);
    cipher(keys, sequence, &mut record[HEADER_BYTES..]);
    let tag = hmac(&keys.auth, &[&record]);
    record.extend_from_slice(&tag);
    record
}

/// Opens a whole record, which must be record `sequence`, in software.
pub fn open(keys: &Keys, sequence: u64, record: &[u8]) -> Result<Vec<u8>, Refusal> {
    let body = check(sequence, record)?;
    let (authentic, tag) = record.split_at(HEADER_BYTES + body);
    mac(&keys.auth, &[authentic]).verify_slice(tag).map_err(|_| Refusal::Forged)?;
    let mut plain = authentic[HEADER_BYTES..].to_vec();
    cipher(keys, sequence, &mut plain);
    Ok(plain)
}

/// Checks what can be checked of a whole record without keys: bytes of its cipher
/// text.
pub fn check(sequence: u64, record: &[u8]) -> Result<usize, Refusal> {
    let body = record.len().checked_sub(HEADER_BYTES + TAG_BYTES).ok_or(Refusal::Malformed)?;
    if body > PLAIN_BYTES_MAX {
        return Err(Refusal::Malformed);
    }
    if record[..HEADER_BYTES] != header(sequence, body) {
        return Err(Refusal::OutOfOrder);
    }
    Ok(body)
}

fn cipher(keys: &Keys, sequence: u64, text: &mut [u8]) {
    let (key, iv) = (keys.cipher.into(), counter(sequence).into());
    ctr::Ctr128BE::<Aes128>::new(&key, &iv).apply_keystream(text);
}

#[cfg(test)]
mod test {
    use super::{HEADER_BYTES, Session, open, seal};
    use crate::migrate::Refusal;

    fn session() -> Session {
        Session::derive("secret", &[1; 32], &[2; 32])
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
        for other in [
            Session::derive("secret", &[1; 32], &[3; 32]),
            Session::derive("secret", &[0; 32], &[2; 32]),
            Session::derive("Secret", &[1; 32], &[2; 32]),
        ] {
            assert_eq!(open(&other.to_target, 3, &record), Err(Refusal::Forged));
        }
        // A number that was put right by somebody without the key.
        let mut renumbered = record;
        renumbered[HEADER_BYTES - 1] = 4;
        assert_eq!(open(&keys, 4, &renumbered), Err(Refusal::Forged));
    }

    #[test]
    fn keys_of_the_two_directions_differ() {
        let session = session();
        assert_ne!(session.to_target.cipher, session.to_source.cipher);
        assert_ne!(session.to_target.auth, session.to_source.auth);
    }
}
