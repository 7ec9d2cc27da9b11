//! Where a run stops: breakpoints, watchpoints, and the bell that a debugger rings.

use super::access::Access;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use sun4v::id::VcpuId;

/// Which accesses a watchpoint is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Stores.
    Store,
    /// Loads.
    Load,
    /// Both.
    Any,
}

/// A watchpoint: bytes of virtual memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Watch {
    /// The first byte.
    pub at: u64,
    /// How many.
    pub bytes: u64,
    /// Which accesses.
    pub kind: Kind,
}

/// Breakpoints and watchpoints of all virtual CPUs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Points {
    /// Addresses, each with what it was set as: bit 0 software, bit 1 hardware.
    breaks: BTreeMap<u64, u8>,
    watches: Vec<Watch>,
}

impl Points {
    /// Sets a breakpoint.
    pub fn set_break(&mut self, at: u64, hardware: bool) {
        *self.breaks.entry(at).or_default() |= 1 << u8::from(hardware);
    }

    /// Takes it away.
    pub fn clear_break(&mut self, at: u64, hardware: bool) {
        if let Some(bits) = self.breaks.get_mut(&at) {
            *bits &= !(1 << u8::from(hardware));
            if *bits == 0 {
                self.breaks.remove(&at);
            }
        }
    }

    /// Sets a watchpoint.
    pub fn set_watch(&mut self, watch: Watch) {
        if !self.watches.contains(&watch) {
            self.watches.push(watch);
        }
    }

    /// Takes it away.
    pub fn clear_watch(&mut self, watch: Watch) {
        self.watches.retain(|other| *other != watch);
    }

    /// Is there nothing to stop at?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.breaks.is_empty() && self.watches.is_empty()
    }

    /// Is there a watchpoint?
    #[must_use]
    pub fn watches(&self) -> bool {
        !self.watches.is_empty()
    }

    /// The breakpoint at an address.
    #[must_use]
    pub fn at(&self, pc: u64) -> Option<Reason> {
        self.breaks.get(&pc).map(|bits| Reason::Break { hardware: bits & 1 == 0 })
    }

    /// The watchpoint that an access meets.
    #[must_use]
    pub fn met(&self, access: &Access) -> Option<Reason> {
        let Access { at, bytes, loads, stores } = *access;
        self.watches.iter().find_map(|watch| {
            let wanted = match watch.kind {
                Kind::Store => stores,
                Kind::Load => loads,
                Kind::Any => loads || stores,
            };
            // Both stretches end before 2^64: the last byte is compared.
            let last = |at: u64, bytes: u64| at.saturating_add(bytes.saturating_sub(1));
            let meets = at <= last(watch.at, watch.bytes) && watch.at <= last(at, bytes);
            (wanted && meets)
                .then_some(Reason::Watch { kind: watch.kind, address: at.max(watch.at) })
        })
    }
}

/// What a virtual CPU has met with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// A breakpoint: the instruction there is the next one.
    Break {
        /// Set as a hardware breakpoint.
        hardware: bool,
    },
    /// An access to watched bytes, which has been made.
    Watch {
        /// What was watched for.
        kind: Kind,
        /// The first byte that is both accessed and watched.
        address: u64,
    },
    /// It has executed an instruction.
    Step,
    /// The bell was rung.
    Bell,
}

/// Rung by whoever listens to a debugger, heard by whoever runs guests.
#[derive(Clone, Debug, Default)]
pub struct Bell(Arc<AtomicBool>);

impl Bell {
    /// Rings.
    pub fn ring(&self) {
        self.0.store(true, SeqCst);
    }

    /// Has it been rung since it was silenced?
    #[must_use]
    pub fn rings(&self) -> bool {
        self.0.load(SeqCst)
    }

    /// Silences it.
    pub fn silence(&self) {
        self.0.store(false, SeqCst);
    }
}

/// How a domain is watched.
#[derive(Clone, Debug, Default)]
pub struct Debug {
    /// Where it stops.
    pub points: Arc<Points>,
    /// It stops when this virtual CPU has executed an instruction.
    pub step: Option<VcpuId>,
    /// It stops at the beginning of a slice when this rings.
    pub bell: Bell,
}

#[cfg(test)]
mod test {
    use super::{Kind, Points, Reason, Watch};
    use crate::gdb::access::Access;

    #[test]
    fn a_breakpoint_is_there_until_both_of_its_kinds_are_gone() {
        let mut points = Points::default();
        points.set_break(8, false);
        points.set_break(8, true);
        assert_eq!(points.at(8), Some(Reason::Break { hardware: false }));
        points.clear_break(8, false);
        points.clear_break(8, false);
        assert_eq!(points.at(8), Some(Reason::Break { hardware: true }));
        points.clear_break(8, true);
        points.clear_break(16, true);
        assert!(points.is_empty());
    }

    #[test]
    fn a_watchpoint_is_met_by_its_bytes_and_its_kind_of_access() {
        let mut points = Points::default();
        points.set_watch(Watch { at: 0x14, bytes: 4, kind: Kind::Store });
        let access = |at, bytes, stores: bool| Access { at, bytes, loads: !stores, stores };
        let met = |access: Access| points.met(&access);
        let hit = |address| Some(Reason::Watch { kind: Kind::Store, address });
        assert_eq!(met(access(0x10, 8, true)), hit(0x14));
        assert_eq!(met(access(0x17, 1, true)), hit(0x17));
        for miss in [access(0x10, 4, true), access(0x18, 8, true), access(0x14, 4, false)] {
            assert_eq!(met(miss), None);
        }
        points.set_watch(Watch { at: u64::MAX - 7, bytes: u64::MAX, kind: Kind::Any });
        assert!(points.met(&access(u64::MAX, 8, false)).is_some());
    }
}
