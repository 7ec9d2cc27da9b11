//! Error reports: 64 bytes each, in a virtual CPU's two error queues.
//!
//! **Shape.** Big-endian: handle at 0x00, `%stick` 0x08, descriptor 0x10, attributes 0x14,
//! real address 0x18, bytes 0x20, virtual CPU 0x24, seconds 0x26, ASI 0x28, register 0x2a;
//! the rest is zero.
//!
//! **Errors.** [`ErrorReport::parse`] refuses a descriptor that does not exist.
//!
//! **Source.** sun4v error handling, error report; numbers as in the OpenSPARC
//! hypervisor's `sun4v/errs_defs.h` and Linux's `traps_64.c`.

use crate::code::codes;
use bitflags::bitflags;

/// Bytes of a report.
pub const REPORT_BYTES: usize = 64;
/// [`ErrorReport::address`] when nobody knows it.
pub const ADDRESS_UNKNOWN: u64 = u64::MAX;

codes! {
    /// What a report is about.
    Descriptor(u32) {
        /// Nothing.
        Undefined = 0,
        /// Something is lost, and its user has not noticed yet: resumable.
        UncorrectedResumable = 1,
        /// The instruction cannot be completed; its trap is precise.
        PreciseNonresumable = 2,
        /// Something earlier went wrong, and its user cannot go on.
        DeferredNonresumable = 3,
        /// The power goes off in some seconds: resumable.
        ShutdownWarning = 4,
        /// The guest is to panic and write its dump: not resumable.
        ForcedPanic = 5,
    }
}

impl Descriptor {
    /// Does it go to the queue of resumable errors?
    #[must_use]
    pub const fn is_resumable(self) -> bool {
        matches!(self, Self::Undefined | Self::UncorrectedResumable | Self::ShutdownWarning)
    }
}

bitflags! {
    /// Which fields of a report say something, and in which mode it happened.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct Attributes: u32 {
        /// The virtual CPU.
        const CPU = 1;
        /// Memory.
        const MEMORY = 1 << 1;
        /// Programmed I/O.
        const PIO = 1 << 2;
        /// Integer registers.
        const INTEGER_REGISTERS = 1 << 3;
        /// Floating-point registers.
        const FLOAT_REGISTERS = 1 << 4;
        /// The seconds until power goes off.
        const SHUTDOWN = 1 << 5;
        /// An ancillary state register.
        const ASR = 1 << 6;
        /// Something behind an ASI.
        const ASI = 1 << 7;
        /// A privileged register.
        const PRIVILEGED_REGISTER = 1 << 8;
        /// In user mode.
        const USER = 1 << 24;
        /// In privileged mode.
        const PRIVILEGED = 1 << 25;
        /// The queue is full.
        const QUEUE_FULL = 1 << 31;
        const _ = !0;
    }
}

/// An error report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ErrorReport {
    /// Strand (bits 63:56), its trap level (55:52), and a number that rises.
    pub handle: u64,
    /// When it happened.
    pub stick: u64,
    /// What it is about.
    pub descriptor: Descriptor,
    /// Which of the fields below count.
    pub attributes: Attributes,
    /// Real address; [`ADDRESS_UNKNOWN`] if nobody knows it.
    pub address: u64,
    /// Bytes from there on; 64 for memory.
    pub bytes: u32,
    /// The virtual CPU whose error it is.
    pub vcpu: u16,
    /// Seconds until power goes off.
    pub seconds: u16,
    /// ASI of the access.
    pub asi: u8,
    /// Number of the register.
    pub register: Option<u16>,
}

/// [`ErrorReport::register`] is there.
const REGISTER_VALID: u16 = 1 << 15;

impl ErrorReport {
    /// A report of which nothing is known but what it is about.
    #[must_use]
    pub const fn new(descriptor: Descriptor, attributes: Attributes) -> Self {
        Self {
            handle: 0,
            stick: 0,
            descriptor,
            attributes,
            address: 0,
            bytes: 0,
            vcpu: 0,
            seconds: 0,
            asi: 0,
            register: None,
        }
    }

    /// An error of a line of memory at a real address.
    #[must_use]
    pub const fn memory(descriptor: Descriptor, address: u64) -> Self {
        Self { address, bytes: 64, ..Self::new(descriptor, Attributes::MEMORY) }
    }

    /// As it stands in a queue.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; REPORT_BYTES] {
        let mut bytes = [0; REPORT_BYTES];
        let mut put = |at: usize, field: &[u8]| bytes[at..at + field.len()].copy_from_slice(field);
        put(0x00, &self.handle.to_be_bytes());
        put(0x08, &self.stick.to_be_bytes());
        put(0x10, &self.descriptor.code().to_be_bytes());
        put(0x14, &self.attributes.bits().to_be_bytes());
        put(0x18, &self.address.to_be_bytes());
        put(0x20, &self.bytes.to_be_bytes());
        put(0x24, &self.vcpu.to_be_bytes());
        put(0x26, &self.seconds.to_be_bytes());
        put(0x28, &[self.asi]);
        let register = self.register.map_or(0, |number| number & !REGISTER_VALID | REGISTER_VALID);
        put(0x2a, &register.to_be_bytes());
        bytes
    }

    /// What stands in a queue; `None` when its descriptor does not exist.
    #[must_use]
    pub fn parse(bytes: &[u8; REPORT_BYTES]) -> Option<Self> {
        let number = |at: usize, size: usize| {
            bytes[at..at + size].iter().fold(0u64, |sum, &byte| sum << 8 | u64::from(byte))
        };
        let register = number(0x2a, 2) as u16;
        Some(Self {
            handle: number(0x00, 8),
            stick: number(0x08, 8),
            descriptor: Descriptor::from_code(number(0x10, 4) as u32)?,
            attributes: Attributes::from_bits_retain(number(0x14, 4) as u32),
            address: number(0x18, 8),
            bytes: number(0x20, 4) as u32,
            vcpu: number(0x24, 2) as u16,
            seconds: number(0x26, 2) as u16,
            asi: bytes[0x28],
            register: (register & REGISTER_VALID != 0).then_some(register & !REGISTER_VALID),
        })
    }
}

#[cfg(test)]
mod test {
    use super::{ADDRESS_UNKNOWN, Attributes, Descriptor, ErrorReport};
    use proptest::prelude::{any, prop_assert_eq, proptest};

    #[test]
    fn fields_stand_where_guests_look_for_them() {
        let report = ErrorReport {
            handle: 0x0912_3456_789a_bcde,
            stick: 0x1122_3344_5566_7788,
            address: ADDRESS_UNKNOWN,
            bytes: 64,
            vcpu: 3,
            seconds: 30,
            asi: 0x20,
            register: Some(0x18),
            ..ErrorReport::new(
                Descriptor::PreciseNonresumable,
                Attributes::ASI | Attributes::PRIVILEGED,
            )
        };
        let bytes = report.to_bytes();
        let text: Vec<_> = bytes[..0x2c].iter().map(|byte| format!("{byte:02x}")).collect();
        let expected = "09123456789abcde1122334455667788\
                        0000000202000080ffffffffffffffff\
                        000000400003001e20008018";
        assert_eq!(text.concat(), expected);
        assert_eq!(bytes[0x2c..], [0; 20]);
        assert_eq!(ErrorReport::parse(&bytes), Some(report));
        let mut unknown = bytes;
        unknown[0x13] = 9;
        assert_eq!(ErrorReport::parse(&unknown), None);
    }

    proptest! {
        #[test]
        fn whatever_parses_is_written_the_same(mut bytes in any::<[u8; 32]>(), code in 0u8..6) {
            // Fields that exist only: the descriptor's code, and no padding.
            bytes[0x10..0x14].copy_from_slice(&[0, 0, 0, code]);
            let mut whole = [0; 64];
            whole[..32].copy_from_slice(&bytes);
            let report = ErrorReport::parse(&whole).unwrap();
            prop_assert_eq!(report.to_bytes(), whole);
        }
    }
}
