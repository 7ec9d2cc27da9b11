//! Loads and stores off the fast path: translation, permission, byte order.
//!
//! **Errors.** In the order of T2 reference 2.6: alignment, privilege of the ASI,
//! range, ASI, miss, then what the page forbids.

use super::{Run, Stop};
use crate::chip::strand::{canonical, pstate};
use crate::chip::tlb::{KEY_REAL, KEY_USER, Walk, soft_index, walk};
use crate::engine::{Exit, fault};
use crate::mem::Word;
use sun4v::addr::{PAGE_BYTES, Pa, Ra};
use sun4v::isa::tt;
use sun4v::mmu::TteFlags;

/// What an access wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Access {
    /// To read.
    Load,
    /// To write.
    Store,
    /// Both, in memory that is cacheable.
    Atomic,
    /// Sixteen bytes at once.
    Twin,
    /// Sixty-four bytes.
    Block,
}

/// Which addresses an access uses, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Space {
    /// Contexts whose entries match.
    pub contexts: [u16; 2],
    /// Addresses are real.
    pub real: bool,
    /// Rights of unprivileged code.
    pub user: bool,
    /// Little-endian.
    pub little: bool,
    /// A load that does not fault.
    pub no_fault: bool,
}

pub(super) fn data_fault(tt: u16, kind: u64, address: u64, context: u16) -> Stop {
    Stop::Exit(Exit::Fault { tt, instruction: false, kind, address, context })
}

impl Run<'_> {
    /// The space of accesses without an ASI.
    pub(super) fn implicit(&self) -> Result<Space, Stop> {
        let strand = &*self.strand;
        let user = !strand.has(pstate::PRIV);
        if user && strand.tl > 0 {
            return Err(self.privileged_action());
        }
        let contexts = match (strand.mmu_on, strand.tl) {
            (true, 0) => [strand.contexts[0], strand.contexts[1]],
            _ => [0, 0],
        };
        let little = strand.has(pstate::CLE);
        Ok(Space { contexts, real: !strand.mmu_on, user, little, no_fault: false })
    }

    /// privileged_action.
    #[cold]
    pub(super) fn privileged_action(&self) -> Stop {
        // The fault address register keeps what it has.
        let (address, context) = (self.strand.sfar, self.strand.tag_context);
        data_fault(tt::PRIVILEGED_ACTION, fault::PRIVILEGE, address, context)
    }

    /// An address, of data or of a transfer, in the hole.
    #[cold]
    pub(super) fn out_of_range(&self, address: u64, real: bool) -> Stop {
        let kind = if real { fault::INVALID_RA } else { fault::VA_RANGE };
        let context = self.strand.tag_context;
        data_fault(tt::DATA_ACCESS_EXCEPTION, kind, canonical(address), context)
    }

    /// Checks alignment.
    pub(super) fn aligned(&self, ea: u64, bytes: u64) -> Result<(), Stop> {
        if ea & (bytes - 1) == 0 { Ok(()) } else { Err(self.misaligned(ea)) }
    }

    #[cold]
    pub(super) fn misaligned(&self, address: u64) -> Stop {
        let context = self.strand.tag_context;
        data_fault(tt::MEM_ADDRESS_NOT_ALIGNED, fault::ALIGNMENT, canonical(address), context)
    }

    /// Alignment of a double: `half` is the trap for one that is aligned to a
    /// single.
    pub(super) fn double_aligned(&self, ea: u64, half: u16) -> Result<(), Stop> {
        match ea & 7 {
            0 => Ok(()),
            4 => Err(data_fault(half, fault::ALIGNMENT, canonical(ea), self.strand.tag_context)),
            _ => Err(self.misaligned(ea)),
        }
    }

    /// Where `ea` lies, and whether its bytes come in the other order.
    pub(super) fn translate(
        &mut self,
        ea: u64,
        access: Access,
        space: &Space,
    ) -> Result<(Pa, bool), Stop> {
        let flags = if space.user { KEY_USER } else { 0 } | if space.real { KEY_REAL } else { 0 };
        let contexts = if space.real { [0, 0] } else { space.contexts };
        let key = self.core.key(contexts, flags);
        let soft = &self.core.soft[soft_index(ea)];
        let page = ea & !(PAGE_BYTES - 1);
        let wants_store = matches!(access, Access::Store | Access::Atomic);
        if soft.key == key && if wants_store { soft.store == page } else { soft.load == page } {
            return Ok((Pa(ea.wrapping_add(soft.delta)), space.little));
        }
        if space.real { self.real(ea, access, space) } else { self.virtual_(ea, access, space) }
    }

    #[cold]
    fn real(&mut self, ea: u64, access: Access, space: &Space) -> Result<(Pa, bool), Stop> {
        if canonical(ea) != ea {
            return Err(self.out_of_range(ea, true));
        }
        let Some(pa) = self.map.resolve(Ra(ea), 1) else {
            let address = ea & !(PAGE_BYTES - 1);
            return Err(data_fault(tt::DATA_ACCESS_EXCEPTION, fault::INVALID_RA, address, 0));
        };
        if space.user {
            let (kind, context) = (fault::PRIVILEGE, 0);
            return Err(data_fault(tt::DATA_ACCESS_EXCEPTION, kind, canonical(ea), context));
        }
        let key = self.core.key([0, 0], KEY_REAL);
        self.fill(ea, key, pa, access, true);
        Ok((pa, space.little))
    }

    /// Remembers the page in the software cache.
    fn fill(&mut self, ea: u64, key: u64, pa: Pa, access: Access, writable: bool) {
        if matches!(access, Access::Store | Access::Atomic) {
            self.ram.log().mark(pa);
        }
        let store = writable && self.ram.may_store_unmarked(pa);
        self.core.remember(ea, key, pa, true, store);
    }

    /// A trap by a translation leaves its context in the tag access register; others
    /// report what they find there.
    #[cold]
    fn virtual_(&mut self, ea: u64, access: Access, space: &Space) -> Result<(Pa, bool), Stop> {
        let result = self.translated(ea, access, space);
        if result.is_err() && canonical(ea) == ea {
            self.strand.tag_context = space.contexts[0];
        }
        result
    }

    fn translated(&mut self, ea: u64, access: Access, space: &Space) -> Result<(Pa, bool), Stop> {
        let contexts = space.contexts;
        let exception = |kind, address, context| {
            Err(data_fault(tt::DATA_ACCESS_EXCEPTION, kind, address, context))
        };
        if canonical(ea) != ea {
            return Err(self.out_of_range(ea, false));
        }
        let context = contexts[0];
        let entry = match self.core.dtlb.lookup(ea, contexts) {
            Some(entry) => entry,
            None => {
                self.counts.misses[1] += 1;
                let class = usize::from(context != 0);
                let tsbs = &self.strand.tsbs[class];
                match walk(tsbs, ea, contexts, false, self.map, self.ram) {
                    Walk::Hit(entry) => {
                        self.counts.walks[1] += 1;
                        if self.core.dtlb.insert(entry) {
                            self.core.forget();
                            self.strand.remode(self.core);
                        }
                        entry
                    }
                    Walk::BadReal => return exception(fault::INVALID_RA, 0, context),
                    Walk::Miss | Walk::NotExecutable => {
                        let instruction = false;
                        return Err(Stop::Exit(Exit::Miss { instruction, va: ea, context }));
                    }
                }
            }
        };
        let has = |flag| entry.flags.contains(flag);
        let refused = if space.user && has(TteFlags::P) {
            Some(fault::PRIVILEGE)
        } else if matches!(access, Access::Atomic | Access::Twin) && !has(TteFlags::CP) {
            Some(fault::NONCACHEABLE_ATOMIC)
        } else if has(TteFlags::NFO) && !space.no_fault {
            Some(fault::NFO)
        } else if space.no_fault && has(TteFlags::E) {
            Some(fault::SIDE_EFFECT)
        } else {
            None
        };
        if let Some(kind) = refused {
            return exception(kind, ea, context);
        }
        let wants_store = matches!(access, Access::Store | Access::Atomic);
        if wants_store && !has(TteFlags::W) {
            return Err(Stop::Exit(Exit::Protection { va: ea, context }));
        }
        let pa = entry.at(ea);
        if has(TteFlags::CP) && !has(TteFlags::IE) && !has(TteFlags::NFO) && !has(TteFlags::E) {
            let key = self.core.key(contexts, if space.user { KEY_USER } else { 0 });
            self.fill(ea, key, pa, access, has(TteFlags::W));
        } else if wants_store {
            self.ram.log().mark(pa);
        }
        Ok((pa, space.little != has(TteFlags::IE)))
    }

    /// Stores to a page whose dirty bit is set, minding decoded instructions.
    pub(super) fn put<W: Word>(&mut self, pa: Pa, word: W) {
        self.ram.will_store(pa);
        if self.ram.is_code(pa) {
            if !self.code.holds(pa) {
                return self.ram.store(pa, word);
            }
            self.code.stored(pa);
            if W::BYTES == 8 {
                self.code.stored(pa.offset(4));
            }
        }
        self.ram.store_unmarked(pa, word);
    }

    /// Loads an aligned word.
    pub(super) fn read<W: Word>(&mut self, ea: u64, space: &Space) -> Result<W, Stop> {
        let (pa, swapped) = self.translate(ea, Access::Load, space)?;
        let word = self.ram.load::<W>(pa);
        Ok(if swapped { word.swapped() } else { word })
    }

    /// Stores an aligned word.
    pub(super) fn write<W: Word>(&mut self, ea: u64, word: W, space: &Space) -> Result<(), Stop> {
        let (pa, swapped) = self.translate(ea, Access::Store, space)?;
        self.put(pa, if swapped { word.swapped() } else { word });
        Ok(())
    }

    /// A load by implicit ASI that missed the fast path.
    #[cold]
    #[inline(never)]
    pub(in crate::engine) fn load_slow<W: Word>(&mut self, ea: u64) -> Result<W, Stop> {
        self.aligned(ea, W::BYTES)?;
        let space = self.implicit()?;
        self.read(ea, &space)
    }

    /// A store, likewise.
    #[cold]
    #[inline(never)]
    pub(in crate::engine) fn store_slow<W: Word>(&mut self, ea: u64, word: W) -> Result<(), Stop> {
        self.aligned(ea, W::BYTES)?;
        let space = self.implicit()?;
        self.write(ea, word, &space)
    }

    /// A load by implicit ASI.
    #[inline(always)]
    pub(super) fn load_word<W: Word>(&mut self, ea: u64) -> Result<W, Stop> {
        match self.load_fast(ea) {
            Some(word) => Ok(word),
            None => self.load_slow(ea),
        }
    }

    /// A store by implicit ASI.
    #[inline(always)]
    pub(super) fn store_word<W: Word>(&mut self, ea: u64, word: W) -> Result<(), Stop> {
        if self.store_fast(ea, word) { Ok(()) } else { self.store_slow(ea, word) }
    }

    /// A load on the fast path.
    #[inline(always)]
    pub(super) fn load_fast<W: Word>(&self, ea: u64) -> Option<W> {
        let soft = &self.core.soft[soft_index(ea)];
        let hit = soft.load == ea & !(PAGE_BYTES - W::BYTES) && soft.key == self.strand.key;
        hit.then(|| self.ram.load(Pa(ea.wrapping_add(soft.delta))))
    }

    /// A store on the fast path; false when it has to go the long way.
    #[inline(always)]
    pub(super) fn store_fast<W: Word>(&self, ea: u64, word: W) -> bool {
        let soft = &self.core.soft[soft_index(ea)];
        let hit = soft.store == ea & !(PAGE_BYTES - W::BYTES) && soft.key == self.strand.key;
        if hit {
            self.ram.store_unmarked(Pa(ea.wrapping_add(soft.delta)), word);
        }
        hit
    }

    /// The number of the decoded page that holds `pc`.
    pub(super) fn fetch(&mut self) -> Result<u32, Stop> {
        let pc = self.strand.pc;
        let fault = |kind, address, context| {
            Stop::Exit(Exit::Fault {
                tt: tt::INSTRUCTION_ACCESS_EXCEPTION,
                instruction: true,
                kind,
                address,
                context,
            })
        };
        let user = !self.strand.has(pstate::PRIV);
        let pa = if self.strand.mmu_on {
            if canonical(pc) != pc {
                return Err(fault(fault::VA_RANGE, canonical(pc), 0));
            }
            let contexts = match self.strand.tl {
                0 => [self.strand.contexts[0], self.strand.contexts[1]],
                _ => [0, 0],
            };
            let entry = match self.core.itlb.lookup(pc, contexts) {
                Some(entry) => entry,
                None => {
                    self.counts.misses[0] += 1;
                    let tsbs = &self.strand.tsbs[usize::from(contexts[0] != 0)];
                    match walk(tsbs, pc, contexts, true, self.map, self.ram) {
                        Walk::Hit(entry) => {
                            self.counts.walks[0] += 1;
                            if self.core.itlb.insert(entry) {
                                self.core.forget();
                            }
                            entry
                        }
                        Walk::Miss => {
                            let (instruction, context) = (true, contexts[0]);
                            return Err(Stop::Exit(Exit::Miss { instruction, va: pc, context }));
                        }
                        Walk::BadReal => {
                            return Err(fault(fault::INVALID_RA, pc, contexts[0]));
                        }
                        Walk::NotExecutable => return Err(fault(fault::PROTECTION, pc, 0)),
                    }
                }
            };
            if user && entry.flags.contains(TteFlags::P) {
                return Err(fault(fault::PRIVILEGE, pc, 0));
            }
            if entry.flags.contains(TteFlags::NFO) {
                return Err(fault(fault::NFO, pc, 0));
            }
            entry.at(pc)
        } else {
            if canonical(pc) != pc {
                return Err(fault(fault::INVALID_RA, canonical(pc), 0));
            }
            let address = pc & !(PAGE_BYTES - 1);
            let found = self.map.resolve(Ra(pc), 4);
            let pa = found.ok_or_else(|| fault(fault::INVALID_RA, address, 0))?;
            if user {
                return Err(fault(fault::PRIVILEGE, pc, 0));
            }
            pa
        };
        let (number, new) = self.code.number(pa, self.ram);
        if new {
            // Nobody may store there any more without being noticed.
            self.core.forget();
            self.core.seen_code = self.code.generation;
        }
        self.strand.remode(self.core);
        self.core.remember_code(pc, self.strand.code_key, number);
        Ok(number)
    }
}
