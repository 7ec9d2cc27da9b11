//! Performance counters: PCR says what is counted, PIC has the counts.
//!
//! **Shapes.** Two counters of 32 bits. For each PCR selects a group of events (SL) and
//! events of the group (MASK); what happens with an instruction adds one to a counter if
//! any selected event is among it, never more. UT and ST say in which modes of the guest
//! there is counting at all.
//!
//! **Events.** Group 2 is what instructions complete, group 3 is misses. Of group 3 there
//! are the misses of the two TLBs; caches are not modelled and never miss. The groups 0
//! (all strands idle), 4 (level 2 cache and table walks), 5 (crossbar), 6 and 7 (crypto
//! units) never happen. Those of an instruction that traps do not count, except that it
//! missed a TLB.
//!
//! **Overflow.** A counter that wraps sets its OV bit. While OV and its TOE bit are set,
//! SOFTINT bit 15 is set again whenever it is cleared.
//!
//! **Source.** T2 reference 1.10; masks and the rule for OV from `pmu_pct_ctl.v`, what an
//! instruction is from `dec_del_ctl.v` of the published hardware description. There OV
//! follows the carry, whether TOE is set or not.

use super::strand::{PCR_BITS, Strand, pstate};

/// PCR: who may read PIC is privileged.
pub const PCR_PRIV: u64 = 1;
/// PCR: counts while privileged.
pub const PCR_ST: u64 = 1 << 1;
/// PCR: counts while not.
pub const PCR_UT: u64 = 1 << 2;
/// PCR: the hypervisor's; a guest's writes leave it.
const PCR_HT: u64 = 1 << 3;
/// Counters: of PIC bits 31:0 and of bits 63:32.
const COUNTERS: [Counter; 2] = [
    Counter { shift: 0, mask: 6, group: 14, overflow: 1 << 18, enable: 1 << 4, keep: 1 << 62 },
    Counter { shift: 32, mask: 19, group: 27, overflow: 1 << 31, enable: 1 << 5, keep: 1 << 63 },
];
/// SOFTINT bit of an overflow.
const SOFTINT_OVERFLOW: u32 = 1 << 15;

/// Where a counter is, in PIC and in PCR.
struct Counter {
    /// In PIC.
    shift: u32,
    /// MASK, eight bits.
    mask: u32,
    /// SL, four bits.
    group: u32,
    /// OV.
    overflow: u64,
    /// Its half of TOE.
    enable: u64,
    /// In data written to PCR: OV stays.
    keep: u64,
}

/// Events of an instruction: masks as PCR selects them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Events {
    /// Group 2.
    pub completed: u8,
    /// Group 3.
    pub missed: u8,
}

impl Events {
    /// A branch, CALL, JMPL or RETURN.
    pub const BRANCH: u8 = 1;
    /// One that was taken.
    pub const TAKEN: u8 = 1 << 1;
    /// Floating point and VIS.
    pub const FLOAT: u8 = 1 << 2;
    /// A load.
    pub const LOAD: u8 = 1 << 3;
    /// A store.
    pub const STORE: u8 = 1 << 4;
    /// SETHI, and so NOP.
    pub const SETHI: u8 = 1 << 5;
    /// Anything else but an atomic.
    pub const OTHER: u8 = 1 << 6;
    /// CASA, SWAP, LDSTUB.
    pub const ATOMIC: u8 = 1 << 7;
    /// In `missed`: the instruction TLB.
    pub const ITLB: u8 = 1 << 2;
    /// In `missed`: the data TLB.
    pub const DTLB: u8 = 1 << 3;

    /// Those that a group's mask selects.
    const fn selected(self, group: u64, mask: u64) -> bool {
        match group & 15 {
            2 => self.completed as u64 & mask != 0,
            3 => self.missed as u64 & mask != 0,
            _ => false,
        }
    }
}

impl Strand {
    /// Is there counting in its mode?
    #[inline]
    pub fn counts_events(&self) -> bool {
        let mode = if self.has(pstate::PRIV) { PCR_ST } else { PCR_UT };
        self.pcr & mode != 0
    }

    /// Writes PCR; data bits 62 and 63 leave OV0 and OV1 as they are.
    pub fn write_pcr(&mut self, value: u64) {
        let mut keep = PCR_HT;
        for counter in COUNTERS.iter().filter(|counter| value & counter.keep != 0) {
            keep |= counter.overflow;
        }
        self.pcr = (value & !keep | self.pcr & keep) & PCR_BITS;
        self.counting = self.counts_events();
        self.signal_overflow();
    }

    /// Writes PCR for the hypervisor, whose own bit is set as the data say.
    pub fn set_pcr(&mut self, value: u64) {
        self.pcr = self.pcr & !PCR_HT | value & PCR_HT;
        self.write_pcr(value);
        self.attention = true;
    }

    /// Counts what has happened, as `pcr` selected it beforehand. True when a counter
    /// has wrapped.
    pub fn count(&mut self, pcr: u64, events: Events) -> bool {
        let mut wrapped = false;
        for counter in &COUNTERS {
            let mask = pcr >> counter.mask & 0xff;
            if events.selected(pcr >> counter.group, mask) {
                let count = ((self.pic >> counter.shift) as u32).wrapping_add(1);
                self.pic &= !(0xffff_ffff << counter.shift);
                self.pic |= u64::from(count) << counter.shift;
                if count == 0 {
                    self.pcr |= counter.overflow;
                    wrapped = true;
                }
            }
        }
        wrapped && self.signal_overflow()
    }

    /// Sets the SOFTINT bit of an overflow that is to interrupt; true if there is one.
    pub fn signal_overflow(&mut self) -> bool {
        let signals = |counter: &Counter| {
            let both = counter.overflow | counter.enable;
            self.pcr & both == both
        };
        let any = COUNTERS.iter().any(signals);
        if any {
            self.softint |= SOFTINT_OVERFLOW;
            self.attention = true;
        }
        any
    }
}

#[cfg(test)]
mod test {
    use super::{Events, PCR_ST};
    use crate::chip::strand::Strand;

    #[test]
    fn both_counters_count_and_a_counter_counts_an_instruction_once() {
        // High: loads and stores; low: everything.
        let pcr = 2 << 27 | 0x18 << 19 | 2 << 14 | 0xff << 6;
        let mut strand = Strand { pcr, pic: 5 << 32, ..Strand::default() };
        let completed = Events::LOAD | Events::STORE;
        assert!(!strand.count(pcr, Events { completed, missed: 0 }));
        assert!(!strand.count(pcr, Events { completed: Events::OTHER, missed: Events::DTLB }));
        assert_eq!(strand.pic, 6 << 32 | 2);
        // Other groups never count here.
        for group in [0, 1, 4, 5, 6, 7, 15] {
            let events = Events { completed: 0xff, missed: 0xff };
            strand.count(group << 27 | 0xff << 19 | group << 14 | 0xff << 6, events);
        }
        assert_eq!(strand.pic, 6 << 32 | 2);
    }

    #[test]
    fn a_wrap_sets_ov_always_and_the_interrupt_when_it_is_asked_for() {
        let pcr = 2 << 27 | 0xff << 19 | 2 << 14 | 0xff << 6 | 1 << 4 | PCR_ST;
        let mut strand = Strand { pcr, pic: u64::MAX, ..Strand::default() };
        assert!(strand.count(pcr, Events { completed: Events::OTHER, missed: 0 }));
        assert_eq!((strand.pic, strand.pcr), (0, pcr | 1 << 31 | 1 << 18));
        assert_eq!(strand.softint, 1 << 15);
        strand.softint = 0;
        // OV0 stays because of bit 62; OV1 goes; and OV0 signals again.
        strand.write_pcr(1 << 62 | pcr);
        assert_eq!((strand.pcr, strand.softint), (pcr | 1 << 18, 1 << 15));
        strand.softint = 0;
        strand.write_pcr(1 << 63 | pcr);
        assert_eq!((strand.pcr, strand.softint), (pcr, 0));
        // Without TOE there is no interrupt.
        let pcr = pcr & !(1 << 4);
        let mut strand = Strand { pcr, pic: 0xffff_ffff, ..Strand::default() };
        assert!(!strand.count(pcr, Events { completed: Events::OTHER, missed: 0 }));
        assert_eq!((strand.pcr, strand.softint), (pcr | 1 << 18, 0));
    }

    #[test]
    fn the_hypervisors_bit_is_not_the_guests() {
        let mut strand = Strand::default();
        strand.write_pcr(u64::MAX >> 2);
        assert_eq!(strand.pcr, 0xffff_fff7);
        strand.set_pcr(PCR_ST | 1 << 3);
        assert_eq!(strand.pcr, PCR_ST | 1 << 3);
        assert_eq!(strand.counting, strand.counts_events());
        strand.write_pcr(0);
        assert_eq!(strand.pcr, 1 << 3);
        strand.set_pcr(0);
        assert_eq!(strand.pcr, 0);
    }
}
