//! Random cases that do not trap.
//!
//! **How.** Instructions are drawn from the table, one after the other; fields are
//! random but where an instruction would leave the case: then operands are chosen
//! (*pinned*) so that it does not. A base register gets a value from which the
//! address is in the memory window, if nothing before has written it; branches go
//! forward; windows that are saved are restored in the end. The rest of the state is
//! random. Divisors and tags are left to chance: an instruction that traps is taken
//! out afterwards ([`super::trace`]).

use super::builder::{Builder, is_transfer, size};
use super::case::{
    ASI, CCR, CODE, CODE_MAX, Case, F, FPRS, FSR, GSR, MEMORY, NOP, R, SLOT_WORDS, SLOTS_BASE,
    WINDOW, WORDS, Y,
};
use super::faults;
use super::values::Random;
use sun4v::isa::{Format, Op, ROWS, Row, decode};

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
pub fn is_wanted(row: &Row) -> bool {
    !matches!(row.format, Format::RdPr | Format::WrPr)
        && !faults::lacks(row.op, 0)
        && (row.format != Format::Bare || matches!(row.op, Op::Stbar | Op::Flushw))
}

/// Instructions to draw from; frequent ones are there more than once. Those that QEMU
/// 7.2 often does wrong are rare, since a case ends with them; those that often do not
/// fit where they are drawn are not.
pub fn alphabet() -> Vec<Op> {
    let often = |row: &Row| match row.format {
        _ if faults::is_frequent(row.op) => 1,
        Format::Return => 100,
        Format::BranchCc19 | Format::BranchCc22 | Format::BranchReg => 12,
        Format::Jmpl | Format::Call => 12,
        _ if matches!(row.op, Op::Save | Op::Restore) => 16,
        Format::LoadDAsi | Format::StoreDAsi => 12,
        _ => 4,
    };
    let wanted = ROWS.iter().filter(|row| is_wanted(row));
    wanted.flat_map(|row| std::iter::repeat_n(row.op, often(row))).collect()
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
        once: false,
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
                self.once = true;
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

    /// Sometimes the whole is executed more than once.
    fn repeat(&mut self) {
        let clobbers = (0..WORDS).any(|word| self.pinned[word] && self.written[word]);
        let counter = self.untouched();
        let Some((n, word)) = counter.filter(|&(_, word)| !self.pinned[word]) else { return };
        let length = self.here();
        if self.once || clobbers || length + 3 > CODE_MAX || !self.random.one_in(4) {
            return;
        }
        let times = 2 + self.random.below(3);
        self.pin(word, times);
        // subcc %counter, 1, %counter; bne,pt %xcc, back; nop
        let back = ((length as u32) + 1).wrapping_neg() & 0x7_ffff;
        self.words.extend([0x80a0_2001 | n << 25 | n << 14, 0x1268_0000 | back, NOP]);
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
        self.repeat();
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
                    let tem = if random.one_in(16) { random.next() & 0x1f << 23 } else { 0 };
                    // QEMU clears cexc too often.
                    let cexc = if random.one_in(2) { 0x1f } else { 0 };
                    random.next() & FSR_BITS & !cexc | ns | tem
                }
                FPRS => {
                    if random.one_in(2) {
                        7
                    } else {
                        4 | random.below(4)
                    }
                }
                _ if word < R + 2 => *value,
                F.. => random.float(),
                _ => random.integer(),
            };
        }
        Case { state, words: self.words }
    }
}
