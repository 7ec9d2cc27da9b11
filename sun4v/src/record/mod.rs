//! Records: state that is saved, migrated and compared.
//!
//! A record is another type than the running thing. It has a kind, a version and
//! one canonical byte form ([`encode`], [`decode`]); whoever loads one checks
//! every rule. The manager forwards records unread.
//!
//! **Shape.** A record on the wire: kind length `u8`, kind, version `u32`, body
//! length `u32` (both big-endian), body in postcard form.

#[cfg(feature = "testing")]
pub mod alter;

use crate::addr::Ra;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use thiserror::Error;

/// A state record.
pub trait Schema: Serialize + DeserializeOwned + Clone + PartialEq + std::fmt::Debug {
    /// Name on the wire, `room/thing`.
    const KIND: &'static str;
    /// Raised when a field changes meaning.
    const VERSION: u32;
}

/// Why a record was refused.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum LoadError {
    /// Bytes end too early or do not parse.
    #[error("{kind}: damaged record: {why}")]
    Damaged {
        /// Which record was expected.
        kind: &'static str,
        /// What is wrong.
        why: &'static str,
    },
    /// Another kind or version than expected.
    #[error("expected {kind} version {version}, found {found} version {found_version}")]
    Foreign {
        /// What was expected.
        kind: &'static str,
        /// Which version.
        version: u32,
        /// What was found.
        found: String,
        /// In which version.
        found_version: u32,
    },
    /// It parses, and its values break a rule.
    #[error("{kind}: {why}")]
    Inconsistent {
        /// Which record.
        kind: &'static str,
        /// Which rule.
        why: &'static str,
    },
}

/// Appends the canonical form of a record.
pub fn encode<S: Schema>(record: &S, out: &mut Vec<u8>) {
    let body = postcard::to_allocvec(record).unwrap_or_default();
    out.push(S::KIND.len() as u8);
    out.extend_from_slice(S::KIND.as_bytes());
    out.extend_from_slice(&S::VERSION.to_be_bytes());
    out.extend_from_slice(&(body.len() as u32).to_be_bytes());
    out.extend_from_slice(&body);
}

/// Takes the next record off the front of `bytes`.
pub fn decode<S: Schema>(bytes: &mut &[u8]) -> Result<S, LoadError> {
    let damaged = |why| LoadError::Damaged { kind: S::KIND, why };
    let mut take = |n: usize| {
        let (head, tail) = bytes.split_at_checked(n).ok_or(damaged("it ends too early"))?;
        *bytes = tail;
        Ok(head)
    };
    let word = |four: &[u8]| four.iter().fold(0u32, |word, &byte| word << 8 | u32::from(byte));
    let kind_len = usize::from(take(1)?[0]);
    let kind = take(kind_len)?;
    let version = word(take(4)?);
    if kind != S::KIND.as_bytes() || version != S::VERSION {
        return Err(LoadError::Foreign {
            kind: S::KIND,
            version: S::VERSION,
            found: String::from_utf8_lossy(kind).into_owned(),
            found_version: version,
        });
    }
    let body_len = word(take(4)?) as usize;
    let (record, rest) = postcard::take_from_bytes(take(body_len)?)
        .map_err(|_| damaged("its body does not parse"))?;
    if rest.is_empty() { Ok(record) } else { Err(damaged("bytes follow its body")) }
}

/// The guest-visible state of one strand, version 1. No translations: they are
/// loaded again on demand.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StrandV1 {
    /// Program counter and the one after it.
    pub pc: u64,
    /// See `pc`.
    pub npc: u64,
    /// `%g1..=%g7` of global levels 0 to 2 (three sets of eight, `%g0` zero).
    pub globals: Vec<u64>,
    /// Locals and ins of windows 0 to 7: 16 registers a window.
    pub windows: Vec<u64>,
    /// `%f0..%f62` as 32 doubles.
    pub fp: Vec<u64>,
    /// Floating-point state register.
    pub fsr: u64,
    /// Graphics status register.
    pub gsr: u64,
    /// FPRS.
    pub fprs: u8,
    /// `%y`.
    pub y: u32,
    /// Condition codes.
    pub ccr: u8,
    /// Address space identifier register.
    pub asi: u8,
    /// PSTATE.
    pub pstate: u16,
    /// Trap level, 0 to 2.
    pub tl: u8,
    /// Global level, 0 to 2.
    pub gl: u8,
    /// Processor interrupt level.
    pub pil: u8,
    /// Trap base address.
    pub tba: u64,
    /// CWP, CANSAVE, CANRESTORE, CLEANWIN, OTHERWIN, WSTATE.
    pub window_state: [u8; 6],
    /// TPC, TNPC, TSTATE, TT for TL 1 and 2.
    pub trap_stack: [[u64; 4]; 2],
    /// SOFTINT.
    pub softint: u32,
    /// TICK_CMPR and STICK_CMPR, INT_DIS in bit 63.
    pub tick_cmpr: u64,
    /// See `tick_cmpr`.
    pub stick_cmpr: u64,
    /// Performance control and counters.
    pub pcr: u64,
    /// See `pcr`.
    pub pic: u64,
    /// Scratchpads 0 to 7 (4 and 5 do not exist and stay zero).
    pub scratch: [u64; 8],
    /// Primary 0, primary 1, secondary 0, secondary 1.
    pub contexts: [u16; 4],
    /// Head and tail of the CPU mondo, device mondo, resumable and non-resumable
    /// error queues, in bytes.
    pub queues: [[u32; 2]; 4],
    /// MMU on.
    pub mmu_on: bool,
    /// Hardware walk for context 0 and for other contexts.
    pub tsbs: [Vec<TsbV1>; 2],
    /// Parked by `cpu_yield`.
    pub parked: bool,
    /// Not running at all: before start or after stop.
    pub stopped: bool,
}

impl Schema for StrandV1 {
    const KIND: &'static str = "chip/strand";
    const VERSION: u32 = 1;
}

/// One TSB as the hardware walk knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TsbV1 {
    /// Real address of entry 0.
    pub ra: Ra,
    /// Entries, a power of two, at least 512.
    pub entries: u32,
    /// Code of the page size that makes the index.
    pub index_size: u8,
    /// Bit n: pages of size code n may be in it.
    pub size_mask: u8,
    /// What becomes of the context, as [`TagContext`](crate::mmu::TagContext) numbers it.
    pub context: u8,
}

#[cfg(test)]
mod test {
    use super::{LoadError, Schema, StrandV1, decode, encode};

    #[test]
    fn what_is_saved_loads_the_same_and_damage_is_noticed() {
        let strand = StrandV1 { pc: 0x4000_0020, globals: vec![7; 24], ..StrandV1::default() };
        let mut bytes = Vec::new();
        encode(&strand, &mut bytes);
        assert_eq!(decode::<StrandV1>(&mut bytes.as_slice()), Ok(strand));
        let cut = &bytes[..bytes.len() - 1];
        assert!(matches!(decode::<StrandV1>(&mut &*cut), Err(LoadError::Damaged { .. })));
        bytes[1] ^= 1;
        assert!(matches!(
            decode::<StrandV1>(&mut bytes.as_slice()),
            Err(LoadError::Foreign { kind: StrandV1::KIND, .. })
        ));
    }
}
