//! Every instruction that has no place in the loop, by table row.

use super::{Flow, Run, Stop, operand2};
use sun4v::isa::{Op, Word, tt};

impl Run<'_> {
    /// Executes an instruction whose `pc`, `npc` and `tick` are in the strand.
    #[inline(never)]
    pub(in crate::engine) fn slow(&mut self, op: Op, w: Word) -> Result<Flow, Stop> {
        self.row(op, w).map_err(|stop| self.way_out(stop, w))
    }

    fn row(&mut self, op: Op, w: Word) -> Result<Flow, Stop> {
        match op {
            Op::Umulcc
            | Op::Smulcc
            | Op::Udiv
            | Op::Udivcc
            | Op::Sdiv
            | Op::Sdivcc
            | Op::TaddCc
            | Op::TaddCcTv
            | Op::TsubCc
            | Op::TsubCcTv
            | Op::MulsCc
            | Op::Popc => self.integer(op, w)?,
            Op::RdAsr => return self.read_asr(w),
            Op::WrAsr => return self.write_asr(w),
            Op::RdPr => self.read_privileged(w)?,
            Op::WrPr => return self.write_privileged(w),
            Op::Done => return self.leave_trap(true),
            Op::Retry => return self.leave_trap(false),
            Op::Tcc => self.trap_on(w)?,
            Op::Saved | Op::Restored | Op::Allclean | Op::Otherw | Op::Normalw | Op::Invalw => {
                self.privileged()?;
                self.adjust_windows(op);
            }
            Op::Flushw => self.flush_windows()?,
            // Caches are coherent and memory is in order: nothing to wait for.
            Op::Stbar | Op::Membar | Op::Flush | Op::Prefetch | Op::PrefetchA => {}
            Op::MovCc => {
                if w.move_cc() < 4 {
                    self.fp_enabled()?;
                }
                if self.condition(w.move_cond(), w.move_cc()) {
                    let value = if w.i() { w.simm11() as u64 } else { self.r(w.rs2()) };
                    self.set(w.rd(), value);
                }
            }
            Op::Ldtw => {
                let ea = self.ea(w);
                self.aligned(ea, 8)?;
                let space = self.implicit()?;
                let (first, second) = self.load_pair(ea, &space)?;
                self.set(w.rd(), first);
                self.set(w.rd() | 1, second);
            }
            Op::Sttw => {
                let ea = self.ea(w);
                self.aligned(ea, 8)?;
                let space = self.implicit()?;
                self.store_pair(ea, w.rd(), &space)?;
            }
            Op::LdubA | Op::LduhA | Op::LduwA | Op::LdsbA | Op::LdshA | Op::LdswA | Op::LdxA => {
                self.load_alternate(op, w)?
            }
            Op::LdtwA => self.load_pair_alternate(w)?,
            Op::StbA | Op::SthA | Op::StwA | Op::SttwA | Op::StxA => {
                return Ok(if self.store_alternate(op, w)? { Flow::Sync } else { Flow::Next });
            }
            Op::LdfA => {
                self.fp_enabled()?;
                self.load_single_alternate(w)?;
            }
            Op::StfA => {
                self.fp_enabled()?;
                self.store_single_alternate(w)?;
            }
            Op::LddfA => {
                self.check_double_register(w, false)?;
                self.fp_enabled()?;
                self.load_double_alternate(w)?;
            }
            Op::StdfA => {
                self.check_double_register(w, true)?;
                self.fp_enabled()?;
                self.store_double_alternate(w)?;
            }
            Op::Ldfsr => self.load_fsr(w, false)?,
            Op::Ldxfsr => self.load_fsr(w, true)?,
            Op::Stfsr => self.store_fsr(w, false)?,
            Op::Stxfsr => self.store_fsr(w, true)?,
            Op::CasA => return spin(self.compare_and_swap::<u32>(w)?),
            Op::CasxA => return spin(self.compare_and_swap::<u64>(w)?),
            Op::Swap => self.swap(w, false)?,
            Op::SwapA => self.swap(w, true)?,
            Op::Ldstub => return spin(self.load_store_byte(w, false)?),
            Op::LdstubA => return spin(self.load_store_byte(w, true)?),
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
            | Op::Array32 => self.vis_integer(op, w)?,
            _ => self.fpop(op, w)?,
        }
        Ok(Flow::Next)
    }

    /// Where an instruction with operands `rs1` and `rs2` or `simm13` accesses.
    pub(super) fn ea(&self, w: Word) -> u64 {
        self.r(w.rs1()).wrapping_add(operand2(self.strand, w)) & self.strand.am
    }

    /// LDDF and STDF that missed the fast path.
    #[cold]
    #[inline(never)]
    pub(in crate::engine) fn load_double_slow(&mut self, ea: u64) -> Result<u64, Stop> {
        self.double_aligned(ea, tt::LDDF_MEM_ADDRESS_NOT_ALIGNED)?;
        self.load_slow(ea)
    }

    /// See [`Run::load_double_slow`].
    #[cold]
    #[inline(never)]
    pub(in crate::engine) fn store_double_slow(&mut self, ea: u64, word: u64) -> Result<(), Stop> {
        self.double_aligned(ea, tt::STDF_MEM_ADDRESS_NOT_ALIGNED)?;
        self.store_slow(ea, word)
    }
}

fn spin(waits: bool) -> Result<Flow, Stop> {
    Ok(if waits { Flow::Spin } else { Flow::Next })
}
