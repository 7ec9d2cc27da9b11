//! Random cases that do not trap.
//!
//! **How.** Instructions are drawn from the table, one after the other; fields are
//! random but where an instruction would leave the case: then operands are chosen
//! (*pinned*) so that it does not. A base register gets a value from which the
//! address is in the memory window, if nothing before has written it; branches go
//! forward; windows that are saved are restored in the end. The rest of the state is
//! random. Divisors and tags are left to chance: an instruction that traps is taken
//! out afterwards ([`super::trace`]).

use super::case::{
    ASI, CCR, CODE, CODE_MAX, Case, F, FPRS, FSR, GSR, MEMORY, NOP, R, SLOT_WORDS, SLOTS_BASE,
    State, WINDOW, WINDOW_BYTES, WORDS, Y, register,
};
use super::faults;
use super::values::Random;
use sun4v::isa::{Format, Op, ROWS, Row, Word, decode};

/// FSR bits of an initial state but NS: RD, conditions, exceptions.
const FSR_BITS: u64 = 0x3f_c000_0fff;
/// FSR.TEM, in both halves of a doubleword.
const TEM: u64 = 0x1f << 23 | 0x1f << 55;
/// Address spaces of ordinary accesses; the last four are for loads.
const PLAIN: [u8; 8] = [0x80, 0x81, 0x88, 0x89, 0x82, 0x83, 0x8a, 0x8b];
/// Blocks: the last two are for stores.
const BLOCK: [u8; 6] = [0xf0, 0xf1, 0xf8, 0xf9, 0xe0, 0xe1];
/// Twin loads and stores that begin a line.
const TWIN: [u8; 4] = [0xe2, 0xe3, 0xea, 0xeb];

/// Can it be executed by anybody, and does QEMU have it?
fn is_wanted(row: &Row) -> bool {
    !matches!(row.format, Format::RdPr | Format::WrPr)
        && !faults::lacks(row.op, 0)
        && (row.format != Format::Bare || matches!(row.op, Op::Stbar | Op::Flushw))
}

/// Those of which QEMU 7.2 has no right result, or hardly one: rarer, since a case
/// ends with them.
fn is_rare(op: Op) -> bool {
    matches!(
        op,
        Op::Edge8
            | Op::Edge8n
            | Op::Edge8l
            | Op::Edge8ln
            | Op::Edge16
            | Op::Edge16n
            | Op::Edge16l
            | Op::Edge16ln
            | Op::Edge32
            | Op::Edge32n
            | Op::Edge32l
            | Op::Edge32ln
            | Op::Array8
            | Op::Array16
            | Op::Array32
            | Op::Fexpand
            | Op::Fmul8x16au
            | Op::Fmul8x16al
            | Op::Fmul8ulx16
            | Op::Fmuld8sux16
            | Op::Fmuld8ulx16
    )
}

/// Instructions to draw from; frequent ones are there more than once.
pub fn alphabet() -> Vec<Op> {
    let often = |row: &Row| match row.format {
        _ if is_rare(row.op) => 1,
        Format::BranchCc19 | Format::BranchCc22 | Format::BranchReg => 12,
        _ if row.op == Op::Save => 12,
        _ => 4,
    };
    let wanted = ROWS.iter().filter(|row| is_wanted(row));
    wanted.flat_map(|row| std::iter::repeat_n(row.op, often(row))).collect()
}

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

struct Builder<'a> {
    random: &'a mut Random,
    state: State,
    /// Words of the state whose value is settled.
    pinned: [bool; WORDS],
    /// Words of the state that were written.
    written: [bool; WORDS],
    words: Vec<u32>,
    depth: usize,
    /// Up to here instructions may be skipped.
    shadow: usize,
    /// Where branches go at most.
    planned: usize,
    /// `%asi`, when it is known.
    asi: Option<u8>,
    /// Memory was written.
    stored: bool,
    /// Registers that are used often.
    often: [u8; 5],
}

/// The case of a number in its batch.
pub fn case(random: &mut Random, alphabet: &[Op], slot: usize) -> Case {
    let mut state = [0; WORDS];
    state[CODE] = SLOTS_BASE + (slot * SLOT_WORDS * 4) as u64;
    let planned = if random.one_in(4) { 1 } else { 2 + random.below(7) as usize };
    let often = std::array::from_fn(|_| random.below(32) as u8);
    let mut builder = Builder {
        random,
        state,
        pinned: [false; WORDS],
        written: [false; WORDS],
        words: Vec::new(),
        depth: 0,
        shadow: 0,
        planned,
        asi: None,
        stored: false,
        often,
    };
    while builder.words.len() < planned {
        let op = builder.random.pick(alphabet);
        if let Some(word) = builder.insn(op)
            && decode(word) == Some(op)
        {
            builder.push(op, word);
        }
    }
    builder.finish()
}

impl Builder<'_> {
    fn here(&self) -> usize {
        self.words.len()
    }

    /// Is the instruction to come one that is always executed, in a row with its
    /// neighbours?
    fn is_straight(&self) -> bool {
        self.here() >= self.shadow
    }

    /// Notes what an instruction writes, and appends it.
    fn push(&mut self, op: Op, word: u32) {
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
    fn any(&mut self) -> u32 {
        let n = match self.random.one_in(2) {
            true => self.random.pick(&self.often),
            false => self.random.below(32) as u8,
        };
        u32::from(if n == 1 { 2 } else { n })
    }

    /// An integer register that still has the value it had at first.
    fn untouched(&mut self) -> Option<(u32, usize)> {
        let n = self.any();
        let word = register(self.depth, n as u8)?;
        (!self.written[word]).then_some((n, word))
    }

    fn pin(&mut self, word: usize, value: u64) {
        self.pinned[word] = true;
        self.state[word] = value;
    }

    fn simm13(&mut self) -> u32 {
        let bits = self.random.next() as u32;
        if self.random.one_in(2) { bits & 0x1fff } else { (bits % 16).wrapping_sub(8) & 0x1fff }
    }

    /// The second operand: `i` and what belongs to it.
    fn operand2(&mut self) -> u32 {
        if self.random.one_in(2) { 1 << 13 | self.simm13() } else { self.any() }
    }

    /// `rs1` and the second operand, so that their sum is `target`.
    fn address(&mut self, target: u64, immediate: Option<bool>) -> Option<u32> {
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
    fn memory(&mut self, size: u64) -> u64 {
        // Accesses that meet are more interesting.
        let bytes = if size < 64 && self.random.one_in(2) { 16 } else { WINDOW_BYTES };
        WINDOW + self.random.below(bytes / size) * size
    }

    /// Where a branch from the instruction to come goes, in instructions from it.
    fn forward(&mut self) -> Option<u64> {
        let room = self.planned.checked_sub(self.here() + 1)?;
        (room > 0).then(|| 2 + self.random.below(room as u64))
    }

    fn branch(&mut self, bits: u32) -> Option<u32> {
        let forward = self.forward()?;
        // QEMU cannot do branches in delay slots: it dies of many of them.
        if self.words.last().copied().and_then(decode).is_some_and(has_slot) {
            return None;
        }
        self.shadow = self.shadow.max(self.here() + forward as usize);
        Some(bits | forward as u32)
    }

    /// The ASI of an access, with the address: `imm_asi` or `%asi`.
    fn alternate(&mut self, choices: &[u8], size: u64, register_only: bool) -> Option<u32> {
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

    fn insn(&mut self, op: Op) -> Option<u32> {
        let row = op.row();
        let bits = row.bits | self.random.next() as u32 & !row.mask;
        let rd = |n: u32| n << 25;
        let arith = |bits: u32, d: u32, s: u32, second: u32| bits | d << 25 | s << 14 | second;
        let fixed = row.bits;
        Some(match row.format {
            Format::Arith => {
                let (d, s, second) = (self.any(), self.any(), self.operand2());
                match op {
                    Op::Save if self.depth == 2 || !self.is_straight() => return None,
                    Op::Restore if self.depth == 0 || !self.is_straight() => return None,
                    _ => arith(fixed, d, s, second),
                }
            }
            Format::Shift => {
                let (d, s, n) = (self.any(), self.any(), self.any());
                let x = bits & 1 << 12;
                let count = if x != 0 { bits & 63 } else { bits & 31 };
                fixed
                    | d << 25
                    | s << 14
                    | x
                    | if bits & 1 << 13 != 0 { 1 << 13 | count } else { n }
            }
            Format::MovCc => {
                let second = if bits & 1 << 13 != 0 { bits & 0x27ff } else { self.any() };
                fixed | rd(self.any()) | bits & (0x1f << 14 | 3 << 11) | second
            }
            Format::MovR => {
                let second = if bits & 1 << 13 != 0 { bits & 0x23ff } else { self.any() };
                fixed | rd(self.any()) | self.any() << 14 | bits & 7 << 10 | second
            }
            Format::Popc => fixed | rd(self.any()) | self.operand2(),
            Format::Sethi => fixed | rd(self.any()) | bits & 0x3f_ffff,
            // It would spill to a stack that is not there.
            Format::Bare if op == Op::Flushw && self.depth > 0 => return None,
            Format::Bare => fixed,
            Format::Membar => fixed | bits & 0x7f,
            Format::BranchCc19 | Format::BranchFcc19 => {
                self.branch(fixed | bits & (0x1f << 25 | 3 << 20 | 1 << 19))?
            }
            Format::BranchCc22 | Format::BranchFcc22 => self.branch(fixed | bits & 0x1f << 25)?,
            Format::BranchReg => {
                let rs1 = self.any() << 14;
                self.branch(fixed | bits & (0x1f << 25 | 1 << 19) | rs1)?
            }
            Format::Call if self.is_straight() => {
                let forward = self.forward()?;
                self.shadow = self.here() + forward as usize;
                fixed | forward as u32
            }
            Format::Jmpl | Format::Return if self.is_straight() => {
                let forward = self.forward()?;
                if op == Op::Return && self.depth == 0 {
                    return None;
                }
                let target = self.state[CODE] + 4 * (self.here() as u64 + forward);
                let address = self.address(target, None)?;
                self.shadow = self.here() + forward as usize;
                fixed | address | if op == Op::Return { 0 } else { rd(self.any()) }
            }
            Format::Call | Format::Jmpl | Format::Return => return None,
            Format::Trap => {
                let number = if bits & 1 << 13 != 0 { bits & 0x20ff } else { self.any() };
                fixed | bits & (15 << 25 | 2 << 11) | self.any() << 14 | number
            }
            Format::Address => fixed | self.address(WINDOW, None)?,
            Format::Prefetch => fixed | bits & 0x1f << 25 | self.any() << 14 | self.operand2(),
            Format::PrefetchAsi => {
                fixed | bits & 0x1f << 25 | self.any() << 14 | 0x80 << 5 | self.any()
            }
            Format::RdAsr => {
                fixed | rd(self.any()) | self.random.pick(&[0u32, 2, 3, 5, 6, 19]) << 14
            }
            Format::WrAsr => match self.random.below(5) {
                0 => arith(fixed, 0, self.any(), self.operand2()),
                1 => arith(fixed, 2, self.any(), self.operand2()),
                2 => arith(fixed, 19, self.any(), self.operand2()),
                // Floating point stays enabled.
                3 => arith(fixed, 6, 0, 1 << 13 | 4 | bits & 3),
                _ if self.is_straight() => {
                    let asi = self.random.pick(&[PLAIN.as_slice(), &BLOCK, &TWIN].concat());
                    arith(fixed, 3, 0, 1 << 13 | u32::from(asi))
                }
                _ => return None,
            },
            Format::Load
            | Format::Store
            | Format::LoadS
            | Format::StoreS
            | Format::LoadD
            | Format::StoreD
            | Format::StoreFsr => {
                let target = self.memory(size(op));
                fixed | self.rd_of(row, bits) | self.address(target, None)?
            }
            // What is in memory must not enable a trap.
            Format::LoadFsr if self.stored => return None,
            Format::LoadFsr => {
                let target = self.memory(size(op));
                let address = self.address(target, None)?;
                let word = MEMORY + (target - WINDOW) as usize / 8;
                if !self.pinned[word] {
                    let bits = self.random.next() & !TEM;
                    self.pin(word, bits);
                }
                fixed | address
            }
            Format::LoadAsi | Format::StoreAsi | Format::LoadSAsi | Format::StoreSAsi => {
                let load = matches!(row.format, Format::LoadAsi | Format::LoadSAsi);
                let atomic = matches!(op, Op::SwapA | Op::LdstubA);
                let choices = if load && !atomic { &PLAIN[..] } else { &PLAIN[..4] };
                let twin = match op {
                    Op::LdtwA => self.random.one_in(2),
                    _ if faults::lacks(op, TWIN[0]) => false,
                    _ => row.format == Format::StoreAsi && self.random.one_in(4),
                };
                let access = if twin {
                    let size = if op == Op::LdtwA { 16 } else { size(op) };
                    self.alternate(&TWIN, size, false)?
                } else {
                    self.alternate(choices, size(op), false)?
                };
                fixed | self.rd_of(row, bits) | access
            }
            Format::LoadDAsi | Format::StoreDAsi => {
                let load = row.format == Format::LoadDAsi;
                let short = bits & 0xb | 0xd0;
                match self.random.below(if load { 3 } else { 4 }) {
                    0 => {
                        let choices = if load { &PLAIN[..] } else { &PLAIN[..4] };
                        fixed | bits & 0x1f << 25 | self.alternate(choices, 8, false)?
                    }
                    1 => {
                        let choices = if load { &BLOCK[..4] } else { &BLOCK[..] };
                        fixed
                            | bits & 0x19 << 25 & !(0xe << 25)
                            | self.alternate(choices, 64, false)?
                    }
                    2 => {
                        let size = if short & 2 == 0 { 1 } else { 2 };
                        fixed | bits & 0x1f << 25 | self.alternate(&[short as u8], size, false)?
                    }
                    _ => {
                        // A partial store's second register is its mask.
                        let target = self.memory(8);
                        let asi = 0xc0 | self.random.below(6) as u32 | bits & 8;
                        let (base, word) = self.untouched()?;
                        if self.pinned[word] && self.state[word] != target
                            || faults::lacks(op, asi as u8)
                        {
                            return None;
                        }
                        self.pin(word, target);
                        fixed | bits & 0x1f << 25 | base << 14 | asi << 5 | self.any()
                    }
                }
            }
            Format::Cas => {
                let target = self.memory(size(op));
                let (base, word) = self.untouched()?;
                if self.pinned[word] && self.state[word] != target {
                    return None;
                }
                let asi = match self.asi {
                    Some(asi) if PLAIN[..4].contains(&asi) && bits & 1 << 13 != 0 => 1 << 13,
                    _ => u32::from(self.random.pick(&PLAIN[..4])) << 5,
                };
                self.pin(word, target);
                fixed | rd(self.any()) | base << 14 | asi | self.any()
            }
            Format::FmovRS | Format::FmovRD => bits & !(0x1f << 14) | self.any() << 14,
            Format::VisDDR => bits & !(0x1f << 25) | rd(self.any()),
            Format::VisRRR => {
                bits & !(0x1f << 25 | 0x1f << 14 | 0x1f)
                    | rd(self.any())
                    | self.any() << 14
                    | self.any()
            }
            _ => bits,
        })
    }

    /// The `rd` field of a load or store.
    fn rd_of(&mut self, row: &Row, bits: u32) -> u32 {
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

    /// Restores what was saved, and makes up the rest of the state.
    fn finish(mut self) -> Case {
        // A branch as the last instruction would have its delay slot outside.
        let last = self.words.last().copied();
        if last.and_then(decode).is_some_and(is_transfer) {
            self.words.push(NOP);
        }
        self.shadow = 0;
        while self.depth > 0 {
            if let Some(word) = self.insn(Op::Restore) {
                self.push(Op::Restore, word);
            }
        }
        assert!(self.words.len() <= CODE_MAX);
        let mut state = self.state;
        let random = self.random;
        let free = |word: usize| !self.pinned[word];
        for (word, value) in state.iter_mut().enumerate().filter(|(word, _)| free(*word)) {
            *value = match word {
                CCR | ASI => random.next() & 0xff,
                Y => random.integer() & 0xffff_ffff,
                GSR => {
                    let im = if random.one_in(8) { 1 << 27 } else { 0 };
                    random.next() & 0xffff_ffff_0600_00ff | im
                }
                FSR => {
                    let ns = if random.one_in(8) { 1 << 22 } else { 0 };
                    random.next() & FSR_BITS | ns
                }
                FPRS => 4 | random.below(4),
                _ if word < R + 2 => *value,
                F.. => random.float(),
                _ => random.integer(),
            };
        }
        Case { state, words: self.words }
    }
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
