//! Crypto units as a guest drives them: queue types, and the control word.
//!
//! A core has a modular arithmetic unit and a cipher and hash unit. A guest owns
//! units and gives each a queue in its own memory (`ncs_qconf`); an entry of the
//! cipher unit's queue is a *control word*, eight doublewords, big-endian.
//!
//! **Shape.** Doubleword 0 is [`Control`]; 1 source, 2 authentication key, 3 initial
//! hash state, 4 where the final hash state goes, 5 cipher key, 6 initial vector,
//! 7 destination. Lengths are encoded minus one. An operation is one word with
//! both [`Control::SOB`] and [`Control::EOB`], or a chain: the first word says
//! everything, the words after it only bring source and length.
//!
//! **Source.** OpenSPARC hypervisor, `cwq.h`; Linux, `n2_core.h`.

use crate::addr::Ra;

/// The queue of a modular arithmetic unit, for `ncs_qconf`.
pub const QTYPE_MAU: u64 = 1;
/// The queue of a cipher and hash unit, for `ncs_qconf`.
pub const QTYPE_CWQ: u64 = 2;
/// Bytes of a queue entry, of either type.
pub const ENTRY_BYTES: u64 = 64;
/// Most entries of a cipher and hash unit's queue.
pub const CWQ_ENTRIES_MAX: u64 = 64;

/// `ncs_qconf`: type, base, entries → handle. With no entries, base is the handle of
/// a queue to unconfigure.
pub const NCS_QCONF: u64 = 0x111;
/// `ncs_qinfo`: handle → type, base, entries.
pub const NCS_QINFO: u64 = 0x112;
/// `ncs_gethead`: handle → byte offset.
pub const NCS_GETHEAD: u64 = 0x113;
/// `ncs_gettail`: handle → byte offset.
pub const NCS_GETTAIL: u64 = 0x114;
/// `ncs_settail`: handle, byte offset; the unit begins.
pub const NCS_SETTAIL: u64 = 0x115;
/// `ncs_qhandle_to_devino`: handle → device interrupt number.
pub const NCS_QHANDLE_TO_DEVINO: u64 = 0x116;
/// `ncs_sethead_marker`: handle, byte offset; consumed up to here.
pub const NCS_SETHEAD_MARKER: u64 = 0x117;
/// The API group of these calls.
pub const NCS_GROUP: u64 = 0x103;

/// What an operation does with its source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opcode {
    /// Copies it.
    Copy,
    /// Ciphers it, either way.
    Cipher,
    /// Hashes it, or authenticates it with a key.
    Hash,
}

/// A block cipher and its key's length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CipherKind {
    /// AES with 16 bytes of key.
    Aes128,
    /// AES with 24.
    Aes192,
    /// AES with 32.
    Aes256,
}

impl CipherKind {
    /// Bytes of its key.
    #[must_use]
    pub const fn key_bytes(self) -> usize {
        match self {
            Self::Aes128 => 16,
            Self::Aes192 => 24,
            Self::Aes256 => 32,
        }
    }
}

/// How blocks of a cipher depend on one another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Chaining {
    /// Not at all.
    Ecb,
    /// Each on the one before.
    Cbc,
    /// On a counter of 128 bits, big-endian.
    Ctr,
}

/// A hash function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HashKind {
    /// MD5, 16 bytes.
    Md5,
    /// SHA-1, 20 bytes.
    Sha1,
    /// SHA-256, 32 bytes; SHA-224 with another initial state.
    Sha256,
}

impl HashKind {
    /// Bytes of its state, and of a digest not cut short.
    #[must_use]
    pub const fn state_bytes(self) -> usize {
        match self {
            Self::Md5 => 16,
            Self::Sha1 => 20,
            Self::Sha256 => 32,
        }
    }

    /// The state that the standard begins with, as the unit wants it in memory:
    /// MD5 little-endian, the others big-endian.
    #[must_use]
    pub const fn initial_state(self) -> &'static [u8] {
        match self {
            Self::Md5 => &[
                0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef, 0xfe, 0xdc, 0xba, 0x98, 0x76, 0x54,
                0x32, 0x10,
            ],
            Self::Sha1 => &[
                0x67, 0x45, 0x23, 0x01, 0xef, 0xcd, 0xab, 0x89, 0x98, 0xba, 0xdc, 0xfe, 0x10, 0x32,
                0x54, 0x76, 0xc3, 0xd2, 0xe1, 0xf0,
            ],
            Self::Sha256 => &[
                0x6a, 0x09, 0xe6, 0x67, 0xbb, 0x67, 0xae, 0x85, 0x3c, 0x6e, 0xf3, 0x72, 0xa5, 0x4f,
                0xf5, 0x3a, 0x51, 0x0e, 0x52, 0x7f, 0x9b, 0x05, 0x68, 0x8c, 0x1f, 0x83, 0xd9, 0xab,
                0x5b, 0xe0, 0xcd, 0x19,
            ],
        }
    }
}

/// A control word as it lies in a queue, addresses real; zero is "none".
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Entry {
    /// Doubleword 0.
    pub control: Control,
    /// Where its bytes come from.
    pub source: Ra,
    /// HMAC key.
    pub auth_key: Ra,
    /// State that the hash begins with.
    pub auth_iv: Ra,
    /// Where the final hash state goes.
    pub auth_state: Ra,
    /// Cipher key.
    pub key: Ra,
    /// Initial vector of the cipher.
    pub iv: Ra,
    /// Where the result goes.
    pub destination: Ra,
}

impl Entry {
    /// Its 64 bytes.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; ENTRY_BYTES as usize] {
        let words = [
            self.control.0,
            self.source.0,
            self.auth_key.0,
            self.auth_iv.0,
            self.auth_state.0,
            self.key.0,
            self.iv.0,
            self.destination.0,
        ];
        let mut bytes = [0; ENTRY_BYTES as usize];
        for (place, word) in bytes.as_chunks_mut::<8>().0.iter_mut().zip(words) {
            *place = word.to_be_bytes();
        }
        bytes
    }

    /// Reads 64 bytes; any are an entry.
    #[must_use]
    pub fn from_bytes(bytes: &[u8; ENTRY_BYTES as usize]) -> Self {
        let mut words = [0; 8];
        for (word, place) in words.iter_mut().zip(bytes.as_chunks::<8>().0) {
            *word = u64::from_be_bytes(*place);
        }
        let [control, source, auth_key, auth_iv, auth_state, key, iv, destination] = words;
        Self {
            control: Control(control),
            source: Ra(source),
            auth_key: Ra(auth_key),
            auth_iv: Ra(auth_iv),
            auth_state: Ra(auth_state),
            key: Ra(key),
            iv: Ra(iv),
            destination: Ra(destination),
        }
    }
}

/// Doubleword 0 of a control word.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct Control(pub u64);

impl std::fmt::Debug for Control {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Control({:#x})", self.0)
    }
}

impl Control {
    /// Interrupt when done.
    pub const INTERRUPT: u64 = 1 << 48;
    /// Also store the final hash state, whole.
    pub const STORE_STATE: u64 = 1 << 49;
    /// The hypervisor's mark: done.
    pub const DONE: u64 = 1 << 50;
    /// The hypervisor's mark: the unit refused the operation.
    pub const PROTOCOL_ERROR: u64 = 1 << 51;
    /// The hypervisor's mark: the unit failed.
    pub const HARDWARE_ERROR: u64 = 1 << 52;
    /// Last word of an operation.
    pub const EOB: u64 = 1 << 53;
    /// First word of an operation.
    pub const SOB: u64 = 1 << 54;
    /// Encrypt; else decrypt.
    pub const ENCRYPT: u64 = 1 << 55;
    /// The destination is the source.
    pub const IN_PLACE: u64 = 1 << 63;
    /// Most bytes that one word brings.
    pub const BYTES_MAX: usize = 1 << 16;

    /// First word of a cipher operation; add `SOB`, `EOB`, `ENCRYPT` and so on.
    /// `bytes` is 1 to [`Control::BYTES_MAX`].
    #[must_use]
    pub const fn cipher(kind: CipherKind, chaining: Chaining, bytes: usize) -> Self {
        let kind = match kind {
            CipherKind::Aes128 => 4,
            CipherKind::Aes192 => 5,
            CipherKind::Aes256 => 6,
        };
        let chaining = match chaining {
            Chaining::Ecb => 0,
            Chaining::Cbc => 1,
            Chaining::Ctr => 3,
        };
        Self(0x40 << 56 | (kind << 2 | chaining) << 24 | Self::more(bytes).0)
    }

    /// First word of a hash operation, with the authentication key's bytes for an
    /// HMAC.
    #[must_use]
    pub const fn hash(kind: HashKind, hmac_key: Option<usize>, bytes: usize) -> Self {
        let auth = match kind {
            HashKind::Md5 => 1,
            HashKind::Sha1 => 2,
            HashKind::Sha256 => 3,
        };
        let (auth, key) = match hmac_key {
            Some(key_bytes) => (auth + 4, (key_bytes as u64).wrapping_sub(1) & 0xff),
            None => (auth, 0),
        };
        let hash = kind.state_bytes() as u64 - 1;
        Self(0x41 << 56 | hash << 40 | auth << 32 | key << 16 | Self::more(bytes).0)
    }

    /// A continuation: nothing but a length.
    #[must_use]
    pub const fn more(bytes: usize) -> Self {
        Self((bytes as u64).wrapping_sub(1) & 0xffff)
    }

    /// The same with `bits` set.
    #[must_use]
    pub const fn with(self, bits: u64) -> Self {
        Self(self.0 | bits)
    }

    /// Are all of `bits` set?
    #[must_use]
    pub const fn has(self, bits: u64) -> bool {
        self.0 & bits == bits
    }

    /// Bytes of source, 1 to [`Control::BYTES_MAX`].
    #[must_use]
    pub const fn bytes(self) -> usize {
        (self.0 & 0xffff) as usize + 1
    }

    /// Bytes of the authentication key, 1 to 256.
    #[must_use]
    pub const fn auth_key_bytes(self) -> usize {
        (self.0 >> 16 & 0xff) as usize + 1
    }

    /// Bytes of the digest to write, 1 to 256.
    #[must_use]
    pub const fn hash_bytes(self) -> usize {
        (self.0 >> 40 & 0xff) as usize + 1
    }

    /// The operation; `None` for codes without a known meaning.
    #[must_use]
    pub const fn opcode(self) -> Option<Opcode> {
        match self.0 >> 56 & 0x7f {
            0x20 => Some(Opcode::Copy),
            0x40 => Some(Opcode::Cipher),
            0x41 => Some(Opcode::Hash),
            _ => None,
        }
    }

    /// The cipher; `None` for RC4, DES, CFB and reserved codes.
    #[must_use]
    pub const fn cipher_kind(self) -> Option<(CipherKind, Chaining)> {
        let kind = match self.0 >> 26 & 7 {
            4 => CipherKind::Aes128,
            5 => CipherKind::Aes192,
            6 => CipherKind::Aes256,
            _ => return None,
        };
        match self.0 >> 24 & 3 {
            0 if self.0 >> 29 & 7 == 0 => Some((kind, Chaining::Ecb)),
            1 if self.0 >> 29 & 7 == 0 => Some((kind, Chaining::Cbc)),
            3 if self.0 >> 29 & 7 == 0 => Some((kind, Chaining::Ctr)),
            _ => None,
        }
    }

    /// The hash, and whether it is an HMAC; `None` for checksums, SSL and
    /// reserved codes.
    #[must_use]
    pub const fn hash_kind(self) -> Option<(HashKind, bool)> {
        Some(match self.0 >> 32 & 0x1f {
            1 => (HashKind::Md5, false),
            2 => (HashKind::Sha1, false),
            3 => (HashKind::Sha256, false),
            5 => (HashKind::Md5, true),
            6 => (HashKind::Sha1, true),
            7 => (HashKind::Sha256, true),
            _ => return None,
        })
    }
}

#[cfg(test)]
mod test {
    use super::{Chaining, CipherKind, Control, Entry, HashKind, Opcode};

    #[test]
    fn an_entry_is_eight_doublewords_in_order() {
        let bytes = std::array::from_fn(|n| n as u8);
        let entry = Entry::from_bytes(&bytes);
        assert_eq!(entry.source.0, 0x0809_0a0b_0c0d_0e0f);
        assert_eq!(entry.destination.0, 0x3839_3a3b_3c3d_3e3f);
        assert_eq!(entry.to_bytes(), bytes);
    }

    #[test]
    fn what_is_put_into_a_control_word_is_read_from_it() {
        let word = Control::cipher(CipherKind::Aes192, Chaining::Ctr, 65536).with(Control::SOB);
        assert_eq!(word.opcode(), Some(Opcode::Cipher));
        assert_eq!(word.cipher_kind(), Some((CipherKind::Aes192, Chaining::Ctr)));
        assert_eq!(word.bytes(), 65536);
        assert!(word.has(Control::SOB) && !word.has(Control::EOB));

        let word = Control::hash(HashKind::Sha256, Some(32), 1);
        assert_eq!(word.opcode(), Some(Opcode::Hash));
        assert_eq!(word.hash_kind(), Some((HashKind::Sha256, true)));
        assert_eq!((word.bytes(), word.auth_key_bytes(), word.hash_bytes()), (1, 32, 32));
    }

    #[test]
    fn the_word_that_linux_writes_for_a_sha1_digest_in_place_reads_right() {
        // control_word_base(1024, 0, 0, AUTH_TYPE_SHA1, 20, false, true, false, false, 0xc1)
        // with SOB and EOB, as drivers/crypto/n2_core.c builds it.
        let word = Control(0xc1 << 56 | 3 << 53 | 19 << 40 | 2 << 32 | 1023);
        assert_eq!(word.opcode(), Some(Opcode::Hash));
        assert_eq!(word.hash_kind(), Some((HashKind::Sha1, false)));
        assert_eq!((word.bytes(), word.hash_bytes()), (1024, 20));
    }
}
