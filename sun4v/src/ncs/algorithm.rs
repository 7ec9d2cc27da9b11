//! What the cipher and hash unit can compute, and the lengths that go with it.
//!
//! **Shape.** A cipher has a *key block*, of [`CipherKind::key_bytes`]: the key
//! itself, or for RC4 the state that software has made of it. Three DES keys lie one
//! behind the other. An authentication has a state, in memory before and after, and a
//! result not longer than that.
//!
//! **Source.** Linux, `n2_core.c` and `n2_core.h`, for the ciphers, their key blocks
//! and the states of MD5, SHA-1 and SHA-256; OpenSPARC hypervisor, `cwq.h`, for the
//! codes. Nothing that was published says how the states of CRC32c and of the TCP
//! checksum lie in memory: that is our reading.

/// A cipher and its key's length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CipherKind {
    /// RC4 that leaves its state behind for the operation that goes on.
    Rc4,
    /// RC4 that leaves the state as it was.
    Rc4Once,
    /// DES with 8 bytes of key.
    Des,
    /// DES thrice (encrypt, decrypt, encrypt) with three keys of 8 bytes.
    TripleDes,
    /// AES with 16 bytes of key.
    Aes128,
    /// AES with 24.
    Aes192,
    /// AES with 32.
    Aes256,
}

impl CipherKind {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Rc4,
        Self::Rc4Once,
        Self::Des,
        Self::TripleDes,
        Self::Aes128,
        Self::Aes192,
        Self::Aes256,
    ];

    /// Bytes of its key block.
    #[must_use]
    pub const fn key_bytes(self) -> usize {
        match self {
            Self::Rc4 | Self::Rc4Once => RC4_BYTES,
            Self::Des => 8,
            Self::TripleDes | Self::Aes192 => 24,
            Self::Aes128 => 16,
            Self::Aes256 => 32,
        }
    }

    /// Bytes of a block, and so of an initial vector; a stream has blocks of one byte
    /// and no vector.
    #[must_use]
    pub const fn block_bytes(self) -> usize {
        match self {
            Self::Rc4 | Self::Rc4Once => 1,
            Self::Des | Self::TripleDes => 8,
            Self::Aes128 | Self::Aes192 | Self::Aes256 => 16,
        }
    }

    /// Is it RC4, in either form?
    #[must_use]
    pub const fn is_stream(self) -> bool {
        matches!(self, Self::Rc4 | Self::Rc4Once)
    }
}

/// Bytes of RC4's key block: 256 of the permutation, then the two indices.
pub const RC4_BYTES: usize = 258;

/// How blocks of a cipher depend on one another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Chaining {
    /// Not at all.
    Ecb,
    /// Each on the one before.
    Cbc,
    /// Each is added to the cipher of the one before: cipher feedback of whole blocks.
    Cfb,
    /// On a counter as long as a block, big-endian.
    Ctr,
}

impl Chaining {
    /// All of them, in the order of their codes.
    pub const ALL: [Self; 4] = [Self::Ecb, Self::Cbc, Self::Cfb, Self::Ctr];
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
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Md5, Self::Sha1, Self::Sha256];

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

/// How an operation authenticates its source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Auth {
    /// A hash.
    Hash(HashKind),
    /// A hash with a key, as RFC 2104 has it.
    Hmac(HashKind),
    /// The cyclic redundancy check of iSCSI.
    Crc32c,
    /// The ones' complement sum of the Internet protocols.
    TcpChecksum,
    /// A hash with a key, as SSL 3.0 has it, which knows MD5 and SHA-1.
    SslMac(HashKind),
}

impl Auth {
    /// Bytes of its state: of what it begins with, and of what it leaves.
    #[must_use]
    pub const fn state_bytes(self) -> usize {
        match self {
            Self::Hash(kind) | Self::Hmac(kind) | Self::SslMac(kind) => kind.state_bytes(),
            Self::Crc32c => 4,
            Self::TcpChecksum => 2,
        }
    }

    /// The state that its standard begins with, as the unit wants it in memory.
    #[must_use]
    pub const fn initial_state(self) -> &'static [u8] {
        match self {
            Self::Hash(kind) | Self::Hmac(kind) | Self::SslMac(kind) => kind.initial_state(),
            Self::Crc32c => &[0xff; 4],
            Self::TcpChecksum => &[0; 2],
        }
    }

    /// Does it take a key?
    #[must_use]
    pub const fn is_keyed(self) -> bool {
        matches!(self, Self::Hmac(_) | Self::SslMac(_))
    }
}
