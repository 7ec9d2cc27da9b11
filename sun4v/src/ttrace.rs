//! Trap trace: a ring of records in a guest's memory, one a trap into the hypervisor.
//!
//! **Shape.** Slots of 64 bytes. Slot 0 is the header: offset of the last record at 0x00 and
//! of the next one at 0x08, both 0x40 at first. Records follow; behind the last slot comes
//! slot 1 again. All big-endian.
//!
//! **Source.** sun4v hypervisor API, trap trace; record types and the digest of HPSTATE as
//! in the OpenSPARC hypervisor's `traptrace.h`.

/// Bytes of a slot.
pub const SLOT_BYTES: u64 = 64;
/// The fewest slots of a buffer: the header and one record.
pub const SLOTS_MIN: u64 = 2;
/// In the header: offset of the last record.
pub const LAST_OFFSET: u64 = 0;
/// In the header: offset of the next record.
pub const NEXT_OFFSET: u64 = 8;

/// Record type: written by the hypervisor.
pub const TYPE_HV: u8 = 1;
/// Record type: written for the guest (`ttrace_addentry`).
pub const TYPE_GUEST: u8 = 0xff;
/// Digest of HPSTATE: ENB, which every strand has.
pub const HPSTATE_ENB: u8 = 2;

/// A record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TraceRecord {
    /// [`TYPE_HV`] or [`TYPE_GUEST`].
    pub kind: u8,
    /// Digest of HPSTATE.
    pub hpstate: u8,
    /// Trap level.
    pub tl: u8,
    /// Global level.
    pub gl: u8,
    /// Trap type.
    pub tt: u16,
    /// Function number of a hypercall, or the guest's tag.
    pub tag: u16,
    /// TSTATE.
    pub tstate: u64,
    /// When.
    pub tick: u64,
    /// Where it trapped.
    pub tpc: u64,
    /// F1 to F4: arguments.
    pub values: [u64; 4],
}

impl TraceRecord {
    /// As it stands in the buffer.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; SLOT_BYTES as usize] {
        let Self { kind, hpstate, tl, gl, tt, tag, tstate, tick, tpc, values } = *self;
        let mut bytes = [0; SLOT_BYTES as usize];
        bytes[..4].copy_from_slice(&[kind, hpstate, tl, gl]);
        bytes[4..6].copy_from_slice(&tt.to_be_bytes());
        bytes[6..8].copy_from_slice(&tag.to_be_bytes());
        let words = [tstate, tick, tpc].into_iter().chain(values);
        for (place, word) in bytes[8..].chunks_exact_mut(8).zip(words) {
            place.copy_from_slice(&word.to_be_bytes());
        }
        bytes
    }

    /// What stands in a slot.
    #[must_use]
    pub fn from_bytes(bytes: &[u8; SLOT_BYTES as usize]) -> Self {
        let half = |at: usize| u16::from_be_bytes([bytes[at], bytes[at + 1]]);
        let word = |at: usize| {
            bytes[at..at + 8].iter().fold(0u64, |word, &byte| word << 8 | u64::from(byte))
        };
        Self {
            kind: bytes[0],
            hpstate: bytes[1],
            tl: bytes[2],
            gl: bytes[3],
            tt: half(4),
            tag: half(6),
            tstate: word(8),
            tick: word(0x10),
            tpc: word(0x18),
            values: std::array::from_fn(|index| word(0x20 + index * 8)),
        }
    }
}

#[cfg(test)]
mod test {
    use super::TraceRecord;
    use proptest::prelude::{any, prop_assert_eq, proptest};

    proptest! {
        #[test]
        fn every_slot_is_a_record(low in any::<[u8; 32]>(), high in any::<[u8; 32]>()) {
            let mut slot = [0; 64];
            slot[..32].copy_from_slice(&low);
            slot[32..].copy_from_slice(&high);
            prop_assert_eq!(TraceRecord::from_bytes(&slot).to_bytes(), slot);
        }
    }

    #[test]
    fn fields_stand_where_guests_look_for_them() {
        let record = TraceRecord {
            kind: 1,
            hpstate: 2,
            tl: 1,
            gl: 1,
            tt: 0x180,
            tag: 0x42,
            tstate: 0x44_8200_1603,
            tick: 77,
            tpc: 0x40_1000,
            values: [1, 2, 3, 4],
        };
        let bytes = record.to_bytes();
        assert_eq!(bytes[..8], [1, 2, 1, 1, 1, 0x80, 0, 0x42]);
        assert_eq!(bytes[0x10..0x18], 77u64.to_be_bytes());
        assert_eq!(bytes[0x18..0x20], 0x40_1000u64.to_be_bytes());
        assert_eq!(bytes[0x38..], 4u64.to_be_bytes());
    }
}
