//! Accesses that name their address space: what each ASI is, and loads and stores
//! through it.
//!
//! **Source.** T2 reference 4.1 and 1.11.

use super::memory::{Access, Space, data_fault};
use super::{Run, Stop};
use crate::chip::strand::{QUEUE_BITS, canonical, pstate};
use crate::engine::fault;
use crate::mem::Word as Cell;
use sun4v::addr::Pa;
use sun4v::isa::{Op, Word, asi, tt};

/// How an ASI accesses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// As without an ASI.
    Plain,
    /// The same, no atomics.
    Io,
    /// Loads that do not fault.
    NoFault,
    /// 64 bytes; the flag: stores only.
    Block(bool),
    /// Sixteen-byte loads; the flag: stores initialise their line.
    Twin(bool),
    /// Stores of the lanes of a mask, by bytes of a lane.
    Partial(u8),
    /// One or two bytes from and to a double.
    Short(u8),
    /// Registers.
    Scratchpad,
    /// Registers.
    Contexts,
    /// Registers.
    Queues,
}

impl Run<'_> {
    fn illegal_asi(&self, ea: u64) -> Stop {
        let context = self.strand.tag_context;
        data_fault(tt::DATA_ACCESS_EXCEPTION, fault::ILLEGAL_ASI, canonical(ea), context)
    }

    /// What an ASI is, for this strand now. Alignment was checked.
    pub(super) fn space(&self, number: u8, ea: u64) -> Result<(Space, Form), Stop> {
        if number < 0x80 && (!self.strand.has(pstate::PRIV) || number >= 0x30) {
            return Err(self.privileged_action());
        }
        if canonical(ea) != ea {
            // This comes before everything that is wrong with the ASI.
            let real = matches!(number & !8, asi::REAL | asi::REAL_IO | asi::TWINX_REAL);
            return Err(self.out_of_range(ea, real || !self.strand.mmu_on));
        }
        let [p0, p1, s0, s1] = self.strand.contexts;
        let real = !self.strand.mmu_on;
        let space = Space {
            contexts: [p0, p1],
            real,
            user: !self.strand.has(pstate::PRIV),
            little: number & 8 != 0,
            no_fault: false,
        };
        let nucleus = Space { contexts: [0, 0], ..space };
        let secondary = Space { contexts: [s0, s1], ..space };
        let user = |space: Space| Space { user: true, ..space };
        let quiet = |space: Space| Space { no_fault: true, ..space };
        let real = Space { real: true, user: false, ..nucleus };
        Ok(match number & !8 {
            asi::NUCLEUS => (nucleus, Form::Plain),
            asi::AS_IF_USER_PRIMARY => (user(space), Form::Plain),
            asi::AS_IF_USER_SECONDARY => (user(secondary), Form::Plain),
            asi::REAL => (real, Form::Plain),
            asi::REAL_IO => (real, Form::Io),
            asi::BLOCK_AS_IF_USER_PRIMARY => (user(space), Form::Block(false)),
            asi::BLOCK_AS_IF_USER_SECONDARY => (user(secondary), Form::Block(false)),
            asi::SCRATCHPAD if number & 8 == 0 => (space, Form::Scratchpad),
            asi::MMU_CONTEXT if number & 8 == 0 => (space, Form::Contexts),
            asi::QUEUE if number & 8 == 0 => (space, Form::Queues),
            asi::TWINX_AS_IF_USER_PRIMARY => (user(space), Form::Twin(true)),
            asi::TWINX_AS_IF_USER_SECONDARY => (user(secondary), Form::Twin(true)),
            asi::TWINX_NUCLEUS_QUAD => (nucleus, Form::Twin(false)),
            asi::TWINX_REAL => (real, Form::Twin(false)),
            asi::TWINX_NUCLEUS => (nucleus, Form::Twin(true)),
            asi::PRIMARY => (space, Form::Plain),
            asi::SECONDARY => (secondary, Form::Plain),
            asi::PRIMARY_NO_FAULT => (quiet(space), Form::NoFault),
            asi::SECONDARY_NO_FAULT => (quiet(secondary), Form::NoFault),
            0xc0..=0xc5 => {
                let space = if number & 1 == 0 { space } else { secondary };
                (space, Form::Partial(1 << (number >> 1 & 3)))
            }
            0xd0..=0xd3 => {
                let space = if number & 1 == 0 { space } else { secondary };
                (space, Form::Short(1 << (number >> 1 & 1)))
            }
            asi::BLOCK_COMMIT_PRIMARY if number & 8 == 0 => (space, Form::Block(true)),
            asi::BLOCK_COMMIT_SECONDARY if number & 8 == 0 => (secondary, Form::Block(true)),
            asi::TWINX_PRIMARY => (space, Form::Twin(true)),
            asi::TWINX_SECONDARY => (secondary, Form::Twin(true)),
            asi::BLOCK_PRIMARY => (space, Form::Block(false)),
            asi::BLOCK_SECONDARY => (secondary, Form::Block(false)),
            _ => return Err(self.illegal_asi(ea)),
        })
    }

    /// The ASI that an instruction names.
    pub(super) fn asi_of(&self, w: Word) -> u8 {
        if w.i() { self.strand.asi } else { w.imm_asi() }
    }

    fn load_by<W: Cell>(&mut self, ea: u64, number: u8) -> Result<W, Stop> {
        self.aligned(ea, W::BYTES)?;
        let (space, form) = self.space(number, ea)?;
        match form {
            Form::Plain | Form::Io | Form::NoFault => self.read(ea, &space),
            _ => Err(self.illegal_asi(ea)),
        }
    }

    /// Integer loads.
    pub(super) fn load_alternate(&mut self, op: Op, w: Word) -> Result<(), Stop> {
        let (ea, number) = (self.ea(w), self.asi_of(w));
        let value = match op {
            Op::LdubA => u64::from(self.load_by::<u8>(ea, number)?),
            Op::LduhA => u64::from(self.load_by::<u16>(ea, number)?),
            Op::LduwA => u64::from(self.load_by::<u32>(ea, number)?),
            Op::LdsbA => self.load_by::<u8>(ea, number)? as i8 as u64,
            Op::LdshA => self.load_by::<u16>(ea, number)? as i16 as u64,
            Op::LdswA => self.load_by::<u32>(ea, number)? as i32 as u64,
            _ => self.load_x(ea, number)?,
        };
        self.set(w.rd(), value);
        Ok(())
    }

    fn load_x(&mut self, ea: u64, number: u8) -> Result<u64, Stop> {
        self.aligned(ea, 8)?;
        let (space, form) = self.space(number, ea)?;
        match (form, ea) {
            (Form::Plain | Form::Io | Form::NoFault, _) => self.read(ea, &space),
            (Form::Scratchpad, 0..0x20 | 0x30..0x40) => {
                Ok(self.strand.scratch[(ea >> 3 & 7) as usize])
            }
            (Form::Contexts, 0x8 | 0x108 | 0x10 | 0x110) => {
                Ok(u64::from(self.strand.contexts[context_register(ea)]))
            }
            (Form::Queues, 0x3c0..0x400) => {
                let queue = self.strand.queues[(ea >> 4 & 3) as usize];
                Ok(u64::from(queue[(ea >> 3 & 1) as usize]))
            }
            _ => Err(self.illegal_asi(ea)),
        }
    }

    /// LDTWA and the sixteen-byte loads.
    pub(super) fn load_pair_alternate(&mut self, w: Word) -> Result<(), Stop> {
        let (ea, number) = (self.ea(w), self.asi_of(w));
        let twin = matches!(number & !8, 0x22..=0x24 | 0x26 | 0x27 | 0xe2 | 0xe3);
        self.aligned(ea, if twin { 16 } else { 8 })?;
        let (space, form) = self.space(number, ea)?;
        let (first, second) = match form {
            Form::Twin(_) => {
                let (pa, swapped) = self.translate(ea, Access::Twin, &space)?;
                let word = |pa: Pa| {
                    let word = self.ram.load::<u64>(pa);
                    if swapped { word.swap_bytes() } else { word }
                };
                (word(pa), word(pa.offset(8)))
            }
            Form::Plain | Form::Io | Form::NoFault => self.load_pair(ea, &space)?,
            _ => return Err(self.illegal_asi(ea)),
        };
        self.set(w.rd(), first);
        self.set(w.rd() | 1, second);
        Ok(())
    }

    /// Two words; the order of bytes is each one's own.
    pub(super) fn load_pair(&mut self, ea: u64, space: &Space) -> Result<(u64, u64), Stop> {
        let (pa, swapped) = self.translate(ea, Access::Load, space)?;
        let word = |pa: Pa| {
            let word = self.ram.load::<u32>(pa);
            u64::from(if swapped { word.swap_bytes() } else { word })
        };
        Ok((word(pa), word(pa.offset(4))))
    }

    /// Stores the two words of STTW.
    pub(super) fn store_pair(&mut self, ea: u64, rd: u8, space: &Space) -> Result<(), Stop> {
        let (pa, swapped) = self.translate(ea, Access::Store, space)?;
        for (offset, register) in [(0, rd), (4, rd | 1)] {
            let word = self.r(register) as u32;
            self.put(pa.offset(offset), if swapped { word.swap_bytes() } else { word });
        }
        Ok(())
    }

    fn store_by<W: Cell>(&mut self, ea: u64, number: u8, word: W) -> Result<(), Stop> {
        self.aligned(ea, W::BYTES)?;
        let (space, form) = self.space(number, ea)?;
        match form {
            Form::Plain | Form::Io => self.write(ea, word, &space),
            Form::Twin(true) => {
                self.begin_line(ea, &space)?;
                self.write(ea, word, &space)
            }
            _ => Err(self.illegal_asi(ea)),
        }
    }

    /// A block-initialising store to the first word of a line zeroes the line.
    fn begin_line(&mut self, ea: u64, space: &Space) -> Result<(), Stop> {
        if ea & 63 == 0 {
            let (pa, _) = self.translate(ea, Access::Store, space)?;
            (0..8).for_each(|index| self.put(pa.offset(index * 8), 0u64));
        }
        Ok(())
    }

    /// Integer stores. The answer says whether modes or interrupts may have changed.
    pub(super) fn store_alternate(&mut self, op: Op, w: Word) -> Result<bool, Stop> {
        let (ea, number, value) = (self.ea(w), self.asi_of(w), self.r(w.rd()));
        match op {
            Op::StbA => self.store_by(ea, number, value as u8)?,
            Op::SthA => self.store_by(ea, number, value as u16)?,
            Op::StwA => self.store_by(ea, number, value as u32)?,
            Op::SttwA => {
                self.aligned(ea, 8)?;
                let (space, form) = self.space(number, ea)?;
                match form {
                    Form::Plain | Form::Io => {}
                    Form::Twin(true) => self.begin_line(ea, &space)?,
                    _ => return Err(self.illegal_asi(ea)),
                }
                self.store_pair(ea, w.rd(), &space)?;
            }
            _ => return self.store_x(ea, number, value),
        }
        Ok(false)
    }

    fn store_x(&mut self, ea: u64, number: u8, value: u64) -> Result<bool, Stop> {
        self.aligned(ea, 8)?;
        let (_, form) = self.space(number, ea)?;
        match (form, ea) {
            (Form::Scratchpad, 0..0x20 | 0x30..0x40) => {
                self.strand.scratch[(ea >> 3 & 7) as usize] = value;
                Ok(false)
            }
            (Form::Contexts, 0x8 | 0x108 | 0x10 | 0x110) => {
                let (index, context) = (context_register(ea), value as u16 & 0x1fff);
                self.strand.contexts[index] = context;
                if index & 1 == 0 {
                    self.strand.contexts[index + 1] = context;
                }
                Ok(true)
            }
            // A tail can only be read.
            (Form::Queues, 0x3c0..0x400) if ea & 8 == 0 => {
                self.strand.queues[(ea >> 4 & 3) as usize][0] = value as u32 & QUEUE_BITS;
                Ok(true)
            }
            (Form::Plain | Form::Io | Form::Twin(true), _) => {
                self.store_by(ea, number, value)?;
                Ok(false)
            }
            _ => Err(self.illegal_asi(ea)),
        }
    }

    /// LDFA.
    pub(super) fn load_single_alternate(&mut self, w: Word) -> Result<(), Stop> {
        let word = self.load_by::<u32>(self.ea(w), self.asi_of(w))?;
        self.strand.set_single(w.rd(), word);
        Ok(())
    }

    /// STFA.
    pub(super) fn store_single_alternate(&mut self, w: Word) -> Result<(), Stop> {
        let (ea, number, word) = (self.ea(w), self.asi_of(w), self.strand.single(w.rd()));
        self.aligned(ea, 4)?;
        match self.space(number, ea)? {
            (space, Form::Plain | Form::Io) => self.write(ea, word, &space),
            _ => Err(self.illegal_asi(ea)),
        }
    }

    /// What makes LDDFA and STDFA illegal instructions: another register than the
    /// first of eight for a block, an immediate in place of a partial store's mask.
    pub(super) fn check_double_register(&self, w: Word, store: bool) -> Result<(), Stop> {
        let number = self.asi_of(w);
        let partial = matches!(number & !8, 0xc0..=0xc5);
        let wrong = is_block(number) && w.rd_double() & 15 != 0 || partial && store && w.i();
        if wrong { Err(super::illegal()) } else { Ok(()) }
    }

    /// The ASI of LDDFA and STDFA, for which `ea` is aligned.
    fn check_double_alternate(&self, w: Word, ea: u64, store: bool) -> Result<u8, Stop> {
        let number = self.asi_of(w);
        let half = match store {
            true => tt::STDF_MEM_ADDRESS_NOT_ALIGNED,
            false => tt::LDDF_MEM_ADDRESS_NOT_ALIGNED,
        };
        match number & !8 {
            _ if is_block(number) => self.aligned(ea, 64)?,
            0xd0 | 0xd1 => {}
            0xd2 | 0xd3 => self.aligned(ea, 2)?,
            _ => self.double_aligned(ea, half)?,
        }
        Ok(number)
    }

    /// LDDFA.
    pub(super) fn load_double_alternate(&mut self, w: Word) -> Result<(), Stop> {
        let ea = self.ea(w);
        let number = self.check_double_alternate(w, ea, false)?;
        let (space, form) = self.space(number, ea)?;
        let rd = w.rd_double();
        match form {
            Form::Plain | Form::Io | Form::NoFault => {
                let word = self.read(ea, &space)?;
                self.strand.set_double(rd, word);
            }
            Form::Short(1) => {
                let word = self.read::<u8>(ea, &space)?;
                self.strand.set_double(rd, u64::from(word));
            }
            Form::Short(_) => {
                let word = self.read::<u16>(ea, &space)?;
                self.strand.set_double(rd, u64::from(word));
            }
            Form::Block(false) => {
                let (pa, swapped) = self.translate(ea, Access::Block, &space)?;
                for index in 0..8u8 {
                    let word = self.ram.load::<u64>(pa.offset(u64::from(index) * 8));
                    let word = if swapped { word.swap_bytes() } else { word };
                    self.strand.set_double(rd + index * 2, word);
                }
            }
            _ => return Err(self.illegal_asi(ea)),
        }
        Ok(())
    }

    /// STDFA.
    pub(super) fn store_double_alternate(&mut self, w: Word) -> Result<(), Stop> {
        // A partial store's second register is its mask.
        let partial = !w.i() && matches!(w.imm_asi() & !8, 0xc0..=0xc5);
        let ea = if partial { self.r(w.rs1()) & self.strand.am } else { self.ea(w) };
        let number = self.check_double_alternate(w, ea, true)?;
        let (space, form) = self.space(number, ea)?;
        let rd = w.rd_double();
        let word = self.strand.double(rd);
        match form {
            Form::Plain | Form::Io => self.write(ea, word, &space),
            Form::Short(1) => self.write(ea, word as u8, &space),
            Form::Short(_) => self.write(ea, word as u16, &space),
            Form::Block(_) => {
                let (pa, swapped) = self.translate(ea, Access::Store, &space)?;
                for index in 0..8u8 {
                    let word = self.strand.double(rd + index * 2);
                    let word = if swapped { word.swap_bytes() } else { word };
                    self.put(pa.offset(u64::from(index) * 8), word);
                }
                Ok(())
            }
            Form::Partial(lane) => {
                let (pa, swapped) = self.translate(ea, Access::Store, &space)?;
                let old = self.ram.load::<u64>(pa);
                let mask = lanes(self.r(w.rs2()), lane);
                let order = |word: u64| if swapped { word.swap_bytes() } else { word };
                self.put(pa, old & !order(mask) | order(word & mask));
                Ok(())
            }
            _ => Err(self.illegal_asi(ea)),
        }
    }
}

/// Does an ASI name blocks of 64 bytes?
const fn is_block(number: u8) -> bool {
    matches!(number & !8, 0x16 | 0x17 | 0xf0 | 0xf1) || matches!(number, 0xe0 | 0xe1)
}

/// The register of ASI 0x21 at `ea`.
fn context_register(ea: u64) -> usize {
    usize::from(ea & 0x10 != 0) << 1 | usize::from(ea & 0x100 != 0)
}

/// The bits of a doubleword that a mask names, lane 0 of the mask the lowest.
fn lanes(mask: u64, lane: u8) -> u64 {
    let (count, bits) = (8 / u32::from(lane), 8 * u32::from(lane));
    let ones = u64::MAX >> (64 - bits);
    (0..count).filter(|&n| mask >> n & 1 != 0).fold(0, |all, n| all | ones << (n * bits))
}

#[cfg(test)]
mod test {
    use super::{context_register, lanes};

    #[test]
    fn the_highest_bit_of_a_mask_is_the_first_byte() {
        assert_eq!(lanes(0x80, 1), 0xff << 56);
        assert_eq!(lanes(0x5, 2), 0xffff << 32 | 0xffff);
        assert_eq!(lanes(2, 4), 0xffff_ffff << 32);
    }

    #[test]
    fn contexts_are_named_by_two_bits_of_the_address() {
        assert_eq!([0x8, 0x108, 0x10, 0x110].map(context_register), [0, 1, 2, 3]);
    }
}
