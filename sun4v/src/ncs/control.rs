//! Doubleword 0 of a control word: lengths, algorithms, marks.
//!
//! **Shape.** From the top: opcode 63:56 (its top bit is "in place"), encrypt 55, SOB
//! 54, EOB 53, the hypervisor's three marks 52:50, store state 49, interrupt 48, bytes
//! of the digest 47:40, strand 39:37, authentication 36:32, cipher 31:24 (algorithm
//! 28:26, chaining 25:24, the rest zero), bytes of the authentication key 23:16, bytes
//! 15:0. Lengths are encoded minus one.
//!
//! **Errors.** Any 64 bits are a control doubleword; a code without a known meaning
//! is `None`.
//!
//! **Source.** OpenSPARC hypervisor, `cwq.h`; Linux, `n2_core.h`.

use super::{Auth, Chaining, CipherKind, HashKind};

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

    /// First word of a copy.
    #[must_use]
    pub const fn copy(bytes: usize) -> Self {
        Self(0x20 << 56 | Self::more(bytes).0)
    }

    /// First word of a cipher operation; add `SOB`, `EOB`, `ENCRYPT` and so on.
    /// `bytes` is 1 to [`Control::BYTES_MAX`].
    #[must_use]
    pub const fn cipher(kind: CipherKind, chaining: Chaining, bytes: usize) -> Self {
        let kind = match kind {
            CipherKind::Rc4 => 0,
            CipherKind::Rc4Once => 1,
            CipherKind::Des => 2,
            CipherKind::TripleDes => 3,
            CipherKind::Aes128 => 4,
            CipherKind::Aes192 => 5,
            CipherKind::Aes256 => 6,
        };
        let chaining = match chaining {
            Chaining::Ecb => 0,
            Chaining::Cbc => 1,
            Chaining::Cfb => 2,
            Chaining::Ctr => 3,
        };
        Self(0x40 << 56 | (kind << 2 | chaining) << 24 | Self::more(bytes).0)
    }

    /// First word of a hash operation, with the authentication key's bytes for an
    /// HMAC.
    #[must_use]
    pub const fn hash(kind: HashKind, hmac_key: Option<usize>, bytes: usize) -> Self {
        match hmac_key {
            Some(key_bytes) => Self::auth(Auth::Hmac(kind), key_bytes, bytes),
            None => Self::auth(Auth::Hash(kind), 1, bytes),
        }
    }

    /// First word of an authentication, with its result whole; `key_bytes` is 1 to 256
    /// and says nothing where there is no key.
    #[must_use]
    pub const fn auth(auth: Auth, key_bytes: usize, bytes: usize) -> Self {
        let code = match auth {
            Auth::Hash(kind) => 1 + kind as u64,
            Auth::Crc32c => 4,
            Auth::Hmac(kind) => 5 + kind as u64,
            Auth::TcpChecksum => 8,
            Auth::SslMac(kind) => 9 + kind as u64,
        };
        let result = auth.state_bytes() as u64 - 1;
        let key = (key_bytes as u64).wrapping_sub(1) & 0xff;
        Self(0x41 << 56 | result << 40 | code << 32 | key << 16 | Self::more(bytes).0)
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

    /// The operation; `None` for codes without a known meaning, and for 0x10, which
    /// makes the keys of an SSL connection and whose parameters were never published.
    #[must_use]
    pub const fn opcode(self) -> Option<Opcode> {
        match self.0 >> 56 & 0x7f {
            0x20 => Some(Opcode::Copy),
            0x40 => Some(Opcode::Cipher),
            0x41 => Some(Opcode::Hash),
            _ => None,
        }
    }

    /// The cipher; `None` for reserved codes. RC4 has no chaining: its bits say
    /// nothing, and the answer is ECB.
    #[must_use]
    pub const fn cipher_kind(self) -> Option<(CipherKind, Chaining)> {
        if self.0 >> 29 & 7 != 0 {
            return None;
        }
        let kind = match self.0 >> 26 & 7 {
            0 => return Some((CipherKind::Rc4, Chaining::Ecb)),
            1 => return Some((CipherKind::Rc4Once, Chaining::Ecb)),
            2 => CipherKind::Des,
            3 => CipherKind::TripleDes,
            4 => CipherKind::Aes128,
            5 => CipherKind::Aes192,
            6 => CipherKind::Aes256,
            _ => return None,
        };
        Some((kind, Chaining::ALL[(self.0 >> 24 & 3) as usize]))
    }

    /// How it authenticates; `None` for reserved codes and for SSL with SHA-256,
    /// which SSL 3.0 does not know.
    #[must_use]
    pub const fn auth_kind(self) -> Option<Auth> {
        Some(match self.0 >> 32 & 0x1f {
            1 => Auth::Hash(HashKind::Md5),
            2 => Auth::Hash(HashKind::Sha1),
            3 => Auth::Hash(HashKind::Sha256),
            4 => Auth::Crc32c,
            5 => Auth::Hmac(HashKind::Md5),
            6 => Auth::Hmac(HashKind::Sha1),
            7 => Auth::Hmac(HashKind::Sha256),
            8 => Auth::TcpChecksum,
            9 => Auth::SslMac(HashKind::Md5),
            10 => Auth::SslMac(HashKind::Sha1),
            _ => return None,
        })
    }
}

#[cfg(test)]
mod test {
    use super::{Auth, Chaining, CipherKind, Control, HashKind, Opcode};

    #[test]
    fn what_is_put_into_a_control_word_is_read_from_it() {
        let word = Control::cipher(CipherKind::Aes192, Chaining::Ctr, 65536).with(Control::SOB);
        assert_eq!(word.bytes(), 65536);
        assert!(word.has(Control::SOB) && !word.has(Control::EOB));
        for kind in CipherKind::ALL {
            for chaining in Chaining::ALL {
                let word = Control::cipher(kind, chaining, 8);
                let read = if kind.is_stream() { Chaining::Ecb } else { chaining };
                assert_eq!(word.opcode(), Some(Opcode::Cipher));
                assert_eq!(word.cipher_kind(), Some((kind, read)));
            }
        }
        for kind in HashKind::ALL {
            for auth in [Auth::Hash(kind), Auth::Hmac(kind), Auth::Crc32c, Auth::TcpChecksum] {
                let word = Control::auth(auth, 33, 1);
                assert_eq!(word.opcode(), Some(Opcode::Hash));
                assert_eq!(word.auth_kind(), Some(auth));
                assert_eq!((word.bytes(), word.auth_key_bytes()), (1, 33));
                assert_eq!(word.hash_bytes(), auth.state_bytes());
            }
            let ssl = Control::auth(Auth::SslMac(kind), 20, 1).auth_kind();
            assert_eq!(ssl, (kind != HashKind::Sha256).then_some(Auth::SslMac(kind)));
        }
    }

    #[test]
    fn the_words_that_linux_writes_read_right() {
        // control_word_base(1024, 0, 0, AUTH_TYPE_SHA1, 20, false, true, false, false, 0xc1)
        // with SOB and EOB, as drivers/crypto/n2_core.c builds it.
        let word = Control(0xc1 << 56 | 3 << 53 | 19 << 40 | 2 << 32 | 1023);
        assert_eq!(word.opcode(), Some(Opcode::Hash));
        assert_eq!(word.auth_kind(), Some(Auth::Hash(HashKind::Sha1)));
        assert_eq!((word.bytes(), word.hash_bytes()), (1024, 20));
        // ecb(arc4) and cfb(des3_ede), as the tables of that file say.
        for (kind, expected) in [
            (0, (CipherKind::Rc4, Chaining::Ecb)),
            (3 << 2 | 2, (CipherKind::TripleDes, Chaining::Cfb)),
        ] {
            assert_eq!(Control(0x40 << 56 | kind << 24).cipher_kind(), Some(expected));
        }
    }

    #[test]
    fn codes_without_a_meaning_are_nothing() {
        for opcode in (0..0x80_u64).filter(|code| ![0x20, 0x40, 0x41].contains(code)) {
            assert_eq!(Control(opcode << 56).opcode(), None, "{opcode:#x}");
        }
        for cipher in 0x1c..0x100_u64 {
            assert_eq!(Control(cipher << 24).cipher_kind(), None, "{cipher:#x}");
        }
        for auth in [0, 11, 12, 13, 31_u64] {
            assert_eq!(Control(auth << 32).auth_kind(), None, "{auth}");
        }
    }
}
