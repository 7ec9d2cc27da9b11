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

mod algorithm;
mod control;
mod mau;
mod reach;

pub use algorithm::{Auth, Chaining, CipherKind, HashKind, RC4_BYTES};
pub use control::{Control, Opcode};
pub use mau::{
    Descriptor, MA_WORDS, MaControl, MaOffsets, MaOp, NCS_REQUEST, QCONF_BYTES, QTAIL_UPDATE_BYTES,
    REQUEST_QCONF, REQUEST_QTAIL_UPDATE,
};
pub use reach::Reach;

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

#[cfg(test)]
mod test {
    use super::Entry;

    #[test]
    fn an_entry_is_eight_doublewords_in_order() {
        let bytes = std::array::from_fn(|n| n as u8);
        let entry = Entry::from_bytes(&bytes);
        assert_eq!(entry.source.0, 0x0809_0a0b_0c0d_0e0f);
        assert_eq!(entry.destination.0, 0x3839_3a3b_3c3d_3e3f);
        assert_eq!(entry.to_bytes(), bytes);
    }
}
