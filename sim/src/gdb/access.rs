//! Which bytes of memory an instruction is about to touch.
//!
//! Contexts are not told apart: a watchpoint is an address. Real addresses and
//! registers behind an ASI are no virtual memory.

use crate::chip::strand::{Strand, pstate};
use sun4v::isa::{Op, Word, asi, decode};

/// An access to memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Access {
    /// Its first byte.
    pub at: u64,
    /// How many.
    pub bytes: u64,
    /// It reads.
    pub loads: bool,
    /// It writes.
    pub stores: bool,
}

impl Access {
    /// What the instruction `word` of this strand touches, should it complete.
    #[must_use]
    pub fn of(strand: &Strand, word: u32) -> Option<Self> {
        let (op, w) = (decode(word)?, Word(word));
        let (bytes, loads, stores) = size(op)?;
        let alternate = matches!(
            op,
            Op::LdubA
                | Op::LduhA
                | Op::LduwA
                | Op::LdsbA
                | Op::LdshA
                | Op::LdswA
                | Op::LdxA
                | Op::LdtwA
                | Op::StbA
                | Op::SthA
                | Op::StwA
                | Op::StxA
                | Op::SttwA
                | Op::LdstubA
                | Op::SwapA
                | Op::LdfA
                | Op::LddfA
                | Op::StfA
                | Op::StdfA
                | Op::CasA
                | Op::CasxA
        );
        let number = match (alternate, w.i()) {
            (false, _) => asi::PRIMARY,
            (true, true) => strand.asi,
            (true, false) => w.imm_asi(),
        };
        let real = matches!(number & !8, asi::REAL | asi::REAL_IO | asi::TWINX_REAL);
        let registers = matches!(number, asi::SCRATCHPAD | asi::MMU_CONTEXT | asi::QUEUE);
        if registers || real && strand.mmu_on {
            return None;
        }
        let partial = op == Op::StdfA && matches!(number & !8, 0xc0..=0xc5);
        let base = strand.regs.get(w.rs1());
        let at = match op {
            Op::CasA | Op::CasxA => base,
            _ if partial => base,
            _ if w.i() => base.wrapping_add_signed(w.simm13()),
            _ => base.wrapping_add(strand.regs.get(w.rs2())),
        };
        let at = if strand.has(pstate::AM) { at & 0xffff_ffff } else { at };
        let twin = matches!(number & !8, 0x22..=0x24 | 0x26 | 0x27 | 0xe2 | 0xe3);
        let block =
            matches!(number & !8, 0x16 | 0x17 | 0xf0 | 0xf1) || matches!(number, 0xe0 | 0xe1);
        let bytes = match op {
            Op::LdtwA if twin => 16,
            Op::LddfA | Op::StdfA if block => 64,
            Op::LddfA | Op::StdfA if matches!(number & !8, 0xd0 | 0xd1) => 1,
            Op::LddfA | Op::StdfA if matches!(number & !8, 0xd2 | 0xd3) => 2,
            // A block-initialising store begins its line with zeros.
            _ if stores && twin && at & 63 == 0 => 64,
            _ => bytes,
        };
        Some(Self { at, bytes, loads, stores })
    }
}

/// Bytes of an access, and whether it loads and stores.
fn size(op: Op) -> Option<(u64, bool, bool)> {
    let load = |bytes| Some((bytes, true, false));
    let store = |bytes| Some((bytes, false, true));
    match op {
        Op::Ldub | Op::LdubA | Op::Ldsb | Op::LdsbA => load(1),
        Op::Lduh | Op::LduhA | Op::Ldsh | Op::LdshA => load(2),
        Op::Lduw | Op::LduwA | Op::Ldsw | Op::LdswA | Op::Ldf | Op::LdfA | Op::Ldfsr => load(4),
        Op::Ldx | Op::LdxA | Op::Ldtw | Op::LdtwA | Op::Lddf | Op::LddfA | Op::Ldxfsr => load(8),
        Op::Stb | Op::StbA => store(1),
        Op::Sth | Op::SthA => store(2),
        Op::Stw | Op::StwA | Op::Stf | Op::StfA | Op::Stfsr => store(4),
        Op::Stx | Op::StxA | Op::Sttw | Op::SttwA | Op::Stdf | Op::StdfA | Op::Stxfsr => store(8),
        Op::Ldstub | Op::LdstubA => Some((1, true, true)),
        Op::Swap | Op::SwapA | Op::CasA => Some((4, true, true)),
        Op::CasxA => Some((8, true, true)),
        _ => None,
    }
}

#[cfg(test)]
mod test {
    use super::Access;
    use crate::chip::strand::{Strand, pstate};

    fn access(strand: &Strand, word: u32) -> Option<(u64, u64, bool, bool)> {
        Access::of(strand, word).map(|a| (a.at, a.bytes, a.loads, a.stores))
    }

    #[test]
    fn addresses_are_those_of_the_instructions_own_forms() {
        let mut strand = Strand { asi: 0x20, ..Strand::default() };
        strand.regs.set(9, 0x1_0000_1000);
        strand.regs.set(10, 0x40);
        let cases = [
            (0xd05a_7ff8, Some((0x1_0000_0ff8, 8, true, false))), // ldx [%o1 - 8], %o0
            (0xd02a_400a, Some((0x1_0000_1040, 1, false, true))), // stb %o0, [%o1 + %o2]
            (0xd1f2_500a, Some((0x1_0000_1000, 8, true, true))),  // casx [%o1], %o2, %o0
            (0xc1ba_5e0a, Some((0x1_0000_1040, 64, false, true))), // stda %f0, [%o1+%o2] 0xf0
            (0xc1ba_580a, Some((0x1_0000_1000, 8, false, true))), // stda %f0, %o2, [%o1] 0xc0
            (0xd0da_6000, None),                                  // ldxa [%o1] %asi: scratchpad
            (0x9002_400a, None),                                  // add
            (0, None),
        ];
        for (word, expected) in cases {
            assert_eq!(access(&strand, word), expected, "{word:08x}");
        }
        strand.set_pstate(u64::from(pstate::AM));
        assert_eq!(access(&strand, 0xd05a_7ff8), Some((0xff8, 8, true, false)));
        // ldxa [%o1 + %o2] 0x14 is virtual memory only while nothing is translated.
        assert!(access(&strand, 0xd0da_428a).is_some());
        strand.mmu_on = true;
        assert!(access(&strand, 0xd0da_428a).is_none());
    }
}
