//! A case in the making: what is settled of its state, and operands that keep it where
//! it should be.

use super::case::{ASI, State, WINDOW, WINDOW_BYTES, WORDS, register};
use super::values::Random;
use sun4v::isa::{Format, Op, Row, Word, decode};

/// Does an instruction move control?
pub fn is_transfer(op: Op) -> bool {
    matches!(
        op.row().format,
        Format::BranchCc19
            | Format::BranchCc22
            | Format::BranchFcc19
            | Format::BranchFcc22
            | Format::BranchReg
            | Format::Call
            | Format::Jmpl
            | Format::Return
            | Format::Trap
    )
}

/// Has it a delay slot?
fn has_slot(op: Op) -> bool {
    is_transfer(op) && op != Op::Tcc
}

/// Bytes of an access.
pub fn size(op: Op) -> u64 {
    match op {
        Op::Ldub | Op::LdubA | Op::Ldsb | Op::LdsbA | Op::Stb | Op::StbA => 1,
        Op::Ldstub | Op::LdstubA => 1,
        Op::Lduh | Op::LduhA | Op::Ldsh | Op::LdshA | Op::Sth | Op::SthA => 2,
        Op::Lduw | Op::LduwA | Op::Ldsw | Op::LdswA | Op::Stw | Op::StwA => 4,
        Op::Ldf | Op::LdfA | Op::Stf | Op::StfA | Op::Ldfsr | Op::Stfsr => 4,
        Op::Swap | Op::SwapA | Op::CasA => 4,
        _ => 8,
    }
}

/// A case in the making.
pub struct Builder<'a> {
    /// Where everything comes from.
    pub random: &'a mut Random,
    /// The state before the case.
    pub state: State,
    /// Words of the state whose value is settled.
    pub pinned: [bool; WORDS],
    /// Words of the state that were written.
    pub written: [bool; WORDS],
    /// Its instructions so far.
    pub words: Vec<u32>,
    /// Saves that were not restored.
    pub depth: usize,
    /// Up to here instructions may be skipped.
    pub shadow: usize,
    /// Where branches go at most.
    pub planned: usize,
    /// `%asi`, when it is known.
    pub asi: Option<u8>,
    /// Memory was written.
    pub stored: bool,
    /// It must not be executed twice.
    pub once: bool,
    /// Registers that are used often.
    pub often: [u8; 5],
}

impl Builder<'_> {
    /// The number of the instruction to come.
    pub fn here(&self) -> usize {
        self.words.len()
    }

    /// Is the instruction to come one that is always executed, in a row with its
    /// neighbours?
    pub fn is_straight(&self) -> bool {
        self.here() >= self.shadow
    }

    /// Notes what an instruction writes, and appends it.
    pub fn push(&mut self, op: Op, word: u32) {
        let (w, row) = (Word(word), op.row());
        match op {
            Op::Save => self.depth += 1,
            Op::Restore | Op::Return => self.depth -= 1,
            _ => {}
        }
        let pair = matches!(op, Op::Ldtw | Op::LdtwA);
        let rd = if row.format == Format::Call { 15 } else { w.rd() };
        for n in [rd, if pair { rd | 1 } else { rd }] {
            if let Some(word) = register(self.depth, n) {
                self.written[word] = true;
            }
        }
        if row.format == Format::WrAsr && w.rd() == 3 {
            self.asi = Some(w.simm13() as u8);
            self.written[ASI] = true;
            self.once = true;
        }
        self.stored |= matches!(
            row.format,
            Format::Store
                | Format::StoreAsi
                | Format::StoreD
                | Format::StoreDAsi
                | Format::StoreFsr
                | Format::StoreS
                | Format::StoreSAsi
                | Format::Cas
        ) || matches!(op, Op::Swap | Op::SwapA | Op::Ldstub | Op::LdstubA);
        self.words.push(word);
    }

    /// An integer register, not %g1.
    pub fn any(&mut self) -> u32 {
        let n = match self.random.one_in(2) {
            true => self.random.pick(&self.often),
            false => self.random.below(32) as u8,
        };
        u32::from(if n == 1 { 2 } else { n })
    }

    /// An integer register that still has the value it had at first.
    pub fn untouched(&mut self) -> Option<(u32, usize)> {
        let n = self.any();
        let word = register(self.depth, n as u8)?;
        (!self.written[word]).then_some((n, word))
    }

    /// Settles a word of the state.
    pub fn pin(&mut self, word: usize, value: u64) {
        self.pinned[word] = true;
        self.state[word] = value;
    }

    /// An immediate, often a small one.
    pub fn simm13(&mut self) -> u32 {
        let bits = self.random.next() as u32;
        if self.random.one_in(2) { bits & 0x1fff } else { (bits % 16).wrapping_sub(8) & 0x1fff }
    }

    /// The second operand: `i` and what belongs to it.
    pub fn operand2(&mut self) -> u32 {
        if self.random.one_in(2) { 1 << 13 | self.simm13() } else { self.any() }
    }

    /// `rs1` and the second operand, so that their sum is `target`.
    pub fn address(&mut self, target: u64, immediate: Option<bool>) -> Option<u32> {
        for _ in 0..8 {
            let Some((base, word)) = self.untouched() else { continue };
            let immediate = immediate.unwrap_or(self.random.one_in(2));
            if immediate {
                let simm = self.simm13();
                let offset = i64::from((simm << 19) as i32 >> 19) as u64;
                if !self.pinned[word] {
                    self.pin(word, target.wrapping_sub(offset));
                    return Some(base << 14 | 1 << 13 | simm);
                }
                let offset = target.wrapping_sub(self.state[word]);
                if offset.wrapping_add(4096) < 8192 {
                    return Some(base << 14 | 1 << 13 | offset as u32 & 0x1fff);
                }
                continue;
            }
            if self.pinned[word] && self.state[word] == target {
                return Some(base << 14);
            }
            let Some((index, second)) = self.untouched() else { continue };
            match (self.pinned[word], self.pinned[second]) {
                _ if word == second => {}
                (first, false) => {
                    let offset = if self.random.one_in(2) {
                        self.random.below(64)
                    } else {
                        self.random.integer()
                    };
                    if !first {
                        self.pin(word, target.wrapping_sub(offset));
                    }
                    self.pin(second, target.wrapping_sub(self.state[word]));
                    return Some(base << 14 | index);
                }
                (false, true) => {
                    self.pin(word, target.wrapping_sub(self.state[second]));
                    return Some(base << 14 | index);
                }
                _ => {}
            }
        }
        None
    }

    /// An address in the memory window.
    pub fn memory(&mut self, size: u64) -> u64 {
        // Accesses that meet are more interesting.
        let bytes = if size < 64 && self.random.one_in(2) { 16 } else { WINDOW_BYTES };
        WINDOW + self.random.below(bytes / size) * size
    }

    /// Where a branch from the instruction to come goes, in instructions from it.
    pub fn forward(&mut self) -> Option<u64> {
        let room = self.planned.checked_sub(self.here() + 1)?;
        (room > 0).then(|| 2 + self.random.below(room as u64))
    }

    /// A branch's word, with a displacement of 19 bits or more.
    pub fn branch(&mut self, bits: u32) -> Option<u32> {
        let forward = self.forward()?;
        // QEMU cannot do branches in delay slots: it dies of many of them.
        if self.words.last().copied().and_then(decode).is_some_and(has_slot) {
            return None;
        }
        self.shadow = self.shadow.max(self.here() + forward as usize);
        Some(bits | forward as u32)
    }

    /// The ASI of an access, with the address: `imm_asi` or `%asi`.
    pub fn alternate(&mut self, choices: &[u8], size: u64, register_only: bool) -> Option<u32> {
        let target = self.memory(size);
        if !register_only && self.random.one_in(2) {
            match self.asi {
                Some(asi) if choices.contains(&asi) => {}
                None if !self.written[ASI] && !self.pinned[ASI] => {
                    let asi = self.random.pick(choices);
                    self.pin(ASI, asi.into());
                    self.asi = Some(asi);
                }
                _ => return None,
            }
            return self.address(target, Some(true));
        }
        let asi = self.random.pick(choices);
        Some(self.address(target, Some(false))? | u32::from(asi) << 5)
    }

    /// The `rd` field of a load or store.
    pub fn rd_of(&mut self, row: &Row, bits: u32) -> u32 {
        match row.format {
            Format::Load | Format::Store | Format::LoadAsi | Format::StoreAsi => {
                let n = self.any();
                let pair = matches!(row.op, Op::Ldtw | Op::LdtwA | Op::Sttw | Op::SttwA);
                // Not %g1, not even as the second of a pair.
                let n = if pair && n < 2 { 2 } else { n };
                (if pair { n & !1 } else { n }) << 25
            }
            Format::StoreFsr => 0,
            _ => bits & 0x1f << 25,
        }
    }
}
