//! The architectural state of one strand.
//!
//! **Migrates.** Everything that software can see goes into
//! [`StrandV1`]; translations do not (they are loaded again on demand), nor does
//! the strand's own clock, which is simulated time.
//!
//! **Source.** T2 reference: PSTATE has only TCT CLE TLE PEF AM PRIV IE; three-bit
//! window state; TBA keeps bits 47:15; a guest's TL and GL end at 2.

use super::regs::{Cc, Regs};
use super::stick::Compare;
use super::tlb::KEY_NONE;
use sun4v::addr::PageSize;
use sun4v::mmu::{TagContext, Tsb};
use sun4v::record::{LoadError, Schema, StrandV1, TsbV1};

/// Bits of PSTATE.
pub mod pstate {
    /// Trap on control transfer.
    pub const TCT: u16 = 1 << 12;
    /// Data is little-endian.
    pub const CLE: u16 = 1 << 9;
    /// CLE of the next trap.
    pub const TLE: u16 = 1 << 8;
    /// Floating point may be used.
    pub const PEF: u16 = 1 << 4;
    /// Addresses have 32 bits.
    pub const AM: u16 = 1 << 3;
    /// Privileged.
    pub const PRIV: u16 = 1 << 2;
    /// Interrupts are taken.
    pub const IE: u16 = 1 << 1;
    /// Those that T2 has.
    pub const ALL: u16 = TCT | CLE | TLE | PEF | AM | PRIV | IE;
}

/// Bits of FPRS.
pub mod fprs {
    /// Floating point is enabled.
    pub const FEF: u8 = 4;
    /// `%f32` and above were written.
    pub const DU: u8 = 2;
    /// `%f0..%f31` were written.
    pub const DL: u8 = 1;
}

/// SOFTINT bits of the tick and the stick compare.
pub const SOFTINT_TICK: u32 = 1;
/// See [`SOFTINT_TICK`].
pub const SOFTINT_STICK: u32 = 1 << 16;
/// Bits that SOFTINT has.
pub const SOFTINT_ALL: u32 = 0x1_ffff;
/// Bits that a queue register has.
pub const QUEUE_BITS: u32 = 0x3_ffc0;
/// Bits that GSR has.
pub const GSR_BITS: u64 = 0xffff_ffff_0e00_00ff;
/// Bits that FSR has.
pub const FSR_BITS: u64 = 0x3f_cfc0_cfff;
/// Bits that PCR has.
pub const PCR_BITS: u64 = 0xffff_ffff;
/// Highest trap and global level of a guest.
pub const MAXPTL: u8 = 2;

/// What a trap level remembers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TrapLevel {
    /// PC of the trapped instruction.
    pub tpc: u64,
    /// The one after it.
    pub tnpc: u64,
    /// GL, CCR, ASI, PSTATE, CWP.
    pub tstate: u64,
    /// Trap type.
    pub tt: u16,
}

/// Is a strand running?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunState {
    /// Before its start or after its stop.
    Stopped,
    /// It executes.
    Running,
    /// `cpu_yield`.
    Parked,
    /// Its hypercall waits for the slice boundary.
    Blocked,
}

/// One strand.
#[derive(Clone)]
pub struct Strand {
    /// Integer registers.
    pub regs: Regs,
    /// Program counter.
    pub pc: u64,
    /// The one after it.
    pub npc: u64,
    /// Condition codes.
    pub cc: Cc,
    /// `%y`.
    pub y: u32,
    /// `%asi`.
    pub asi: u8,
    /// PSTATE; [`Strand::remode`] after a change.
    pub pstate: u16,
    /// Trap level, likewise.
    pub tl: u8,
    /// Processor interrupt level.
    pub pil: u8,
    /// Trap base address.
    pub tba: u64,
    /// `%f0..%f62` as doubles.
    pub fp: [u64; 32],
    /// FSR.
    pub fsr: u64,
    /// GSR.
    pub gsr: u64,
    /// FPRS.
    pub fprs: u8,
    /// Trap levels 1 and 2.
    pub traps: [TrapLevel; MAXPTL as usize],
    /// SOFTINT.
    pub softint: u32,
    /// TICK_CMPR.
    pub tick_cmpr: Compare,
    /// STICK_CMPR.
    pub stick_cmpr: Compare,
    /// PCR.
    pub pcr: u64,
    /// PIC.
    pub pic: u64,
    /// Scratchpads.
    pub scratch: [u64; 8],
    /// Primary 0 and 1, secondary 0 and 1.
    pub contexts: [u16; 4],
    /// Head and tail of each queue.
    pub queues: [[u32; 2]; 4],
    /// MMU on.
    pub mmu_on: bool,
    /// TSBs for context 0, and for the others.
    pub tsbs: [Vec<Tsb>; 2],
    /// Is it running?
    pub state: RunState,

    /// Its own clock: machine ticks.
    pub tick: u64,
    /// Ticks that it was running.
    pub busy: u64,
    /// Trap type of the last trap that went to the hypervisor.
    pub trapped: u16,
    /// The data MMU's tag access context, which some faults report.
    pub tag_context: u16,
    /// Its fault address register, likewise.
    pub sfar: u64,
    /// What is hyperprivileged leaves the engine
    /// ([`Exit::Hyperprivileged`](crate::engine::Exit::Hyperprivileged)), in place of the
    /// trap that a guest gets. Off, unless whoever runs the strand says otherwise.
    pub hyper: bool,
    /// Something may be pending: look before the next instruction.
    pub attention: bool,
    /// Key of data accesses by implicit ASI, made by `remode`.
    pub key: u64,
    /// And of instructions.
    pub code_key: u64,
    /// Mask of addresses: PSTATE.AM.
    pub am: u64,
    /// PSTATE.PEF and FPRS.FEF.
    pub fp_on: bool,
    /// PSTATE.TCT: look at every control transfer.
    pub tct: bool,
    /// PCR has something counted in its mode: [`Strand::count`] after every instruction.
    pub counting: bool,
    /// Address and number of atomics that failed in a row.
    pub spin: (u64, u8),
    /// PC and number of pause hints in a row.
    pub hint: (u64, u8),
}

impl Default for Strand {
    fn default() -> Self {
        Self {
            regs: Regs::default(),
            pc: 0,
            npc: 4,
            cc: Cc::from_ccr(0),
            y: 0,
            asi: 0,
            pstate: pstate::PRIV,
            tl: 0,
            pil: 0,
            tba: 0,
            fp: [0; 32],
            fsr: 0,
            gsr: 0,
            fprs: 0,
            traps: [TrapLevel::default(); 2],
            softint: 0,
            tick_cmpr: Compare::default(),
            stick_cmpr: Compare::default(),
            pcr: 0,
            pic: 0,
            scratch: [0; 8],
            contexts: [0; 4],
            queues: [[0; 2]; 4],
            mmu_on: false,
            tsbs: [Vec::new(), Vec::new()],
            state: RunState::Stopped,
            tick: 0,
            busy: 0,
            trapped: 0,
            tag_context: 0,
            sfar: 0,
            hyper: false,
            attention: true,
            key: KEY_NONE,
            code_key: KEY_NONE,
            am: u64::MAX,
            fp_on: false,
            tct: false,
            counting: false,
            spin: (0, 0),
            hint: (0, 0),
        }
    }
}

/// Sign-extends a 48-bit address.
pub const fn canonical(va: u64) -> u64 {
    ((va << 16) as i64 >> 16) as u64
}

impl Strand {
    /// A bit of PSTATE.
    #[inline]
    pub fn has(&self, bit: u16) -> bool {
        self.pstate & bit != 0
    }

    /// The state of a strand that begins to run a guest: hypervisor API, initial
    /// state.
    pub fn begin(&mut self, pc: u64, argument: u64, base: u64, bytes: u64) {
        let Self { tick, busy, hyper, .. } = *self;
        *self = Self { tick, busy, hyper, pc, npc: pc.wrapping_add(4), ..Self::default() };
        self.state = RunState::Running;
        self.tl = MAXPTL;
        self.pil = 15;
        for (gl, level) in self.traps.iter_mut().enumerate() {
            level.tnpc = pc;
            level.tstate = (gl as u64) << 40 | u64::from(pstate::PRIV) << 8;
        }
        self.regs.set_gl(2);
        self.regs.set(8, argument);
        self.regs.set(24, base);
        self.regs.set(25, bytes);
    }

    /// Does somebody want to know about every instruction?
    #[inline]
    pub fn is_watched(&self) -> bool {
        self.tct || self.counting
    }

    /// Writes PSTATE: bits that T2 lacks stay zero.
    pub fn set_pstate(&mut self, value: u64) {
        self.pstate = value as u16 & pstate::ALL;
        self.attention = true;
    }

    /// Reads a single, `%f0..%f31`.
    #[inline]
    pub fn single(&self, n: u8) -> u32 {
        let pair = self.fp[usize::from(n >> 1 & 15)];
        if n & 1 == 0 { (pair >> 32) as u32 } else { pair as u32 }
    }

    /// Writes a single.
    #[inline]
    pub fn set_single(&mut self, n: u8, value: u32) {
        let pair = &mut self.fp[usize::from(n >> 1 & 15)];
        *pair = if n & 1 == 0 {
            u64::from(value) << 32 | *pair & 0xffff_ffff
        } else {
            *pair & !0xffff_ffff | u64::from(value)
        };
        self.fprs |= fprs::DL;
    }

    /// Reads a double, by its number 0 to 62.
    #[inline]
    pub fn double(&self, n: u8) -> u64 {
        self.fp[usize::from(n >> 1 & 31)]
    }

    /// Writes a double.
    #[inline]
    pub fn set_double(&mut self, n: u8, value: u64) {
        self.fp[usize::from(n >> 1 & 31)] = value;
        self.fprs |= if n < 32 { fprs::DL } else { fprs::DU };
    }

    /// The record of the state.
    pub fn save(&self) -> StrandV1 {
        let Self {
            regs,
            pc,
            npc,
            cc,
            y,
            asi,
            pstate,
            tl,
            pil,
            tba,
            fp,
            fsr,
            gsr,
            fprs,
            traps,
            softint,
            tick_cmpr,
            stick_cmpr,
            pcr,
            pic,
            scratch,
            contexts,
            queues,
            mmu_on,
            tsbs,
            state,
            // Simulated time, and how much of it was used.
            tick: _,
            busy: _,
            // Lives from a trap to the hypervisor's answer.
            trapped: _,
            // What the data MMU remembers of the accesses before: some faults report it, and
            // after a move they report that of another strand, as on the machine.
            tag_context: _,
            sfar: _,
            // Whoever runs the strand says it.
            hyper: _,
            // Made of the others before the next instruction.
            attention: _,
            key: _,
            code_key: _,
            am: _,
            fp_on: _,
            tct: _,
            counting: _,
            // How soon a turn is given up; a wait is counted anew.
            spin: _,
            hint: _,
        } = self;
        let (globals, windows) = regs.save();
        let tsb_records = |class: &[Tsb]| class.iter().map(tsb_record).collect();
        StrandV1 {
            pc: *pc,
            npc: *npc,
            globals,
            windows,
            fp: fp.to_vec(),
            fsr: *fsr,
            gsr: *gsr,
            fprs: *fprs,
            y: *y,
            ccr: cc.ccr(),
            asi: *asi,
            pstate: *pstate,
            tl: *tl,
            gl: regs.gl(),
            pil: *pil,
            tba: *tba,
            window_state: regs.window_state(),
            trap_stack: traps.map(|t| [t.tpc, t.tnpc, t.tstate, u64::from(t.tt)]),
            softint: *softint,
            tick_cmpr: tick_cmpr.register(),
            stick_cmpr: stick_cmpr.register(),
            pcr: *pcr,
            pic: *pic,
            scratch: *scratch,
            contexts: *contexts,
            queues: *queues,
            mmu_on: *mmu_on,
            tsbs: [tsb_records(&tsbs[0]), tsb_records(&tsbs[1])],
            parked: *state == RunState::Parked,
            stopped: *state == RunState::Stopped,
        }
    }

    /// Puts a record back; clock and counters of the host side stay. `offset` is
    /// the guest's, for the compare registers. The strand is unchanged when the
    /// record breaks a rule.
    pub fn load(&mut self, record: &StrandV1, offset: i64) -> Result<(), LoadError> {
        let bad = |why| LoadError::Inconsistent { kind: StrandV1::KIND, why };
        let check = |sound: bool, why| if sound { Ok(()) } else { Err(bad(why)) };
        let regs = Regs::load(&record.globals, &record.windows, record.window_state, record.gl)
            .ok_or(bad("register windows or globals out of shape"))?;
        let fp = record.fp.as_slice().try_into().map_err(|_| bad("not 32 doubles"))?;
        check(record.pc & 3 == 0 && record.npc & 3 == 0, "a PC that is not aligned")?;
        check(record.pstate & !pstate::ALL == 0, "PSTATE bits that T2 lacks")?;
        check(record.tl <= MAXPTL, "TL above 2")?;
        check(record.pil <= 15, "PIL above 15")?;
        check(record.tba == canonical(record.tba) & !0x7fff, "TBA out of shape")?;
        check(record.fprs <= 7, "FPRS above 7")?;
        check(record.fsr & !FSR_BITS == 0, "FSR bits that T2 lacks")?;
        check(record.gsr & !GSR_BITS == 0, "GSR bits that T2 lacks")?;
        check(record.softint & !SOFTINT_ALL == 0, "SOFTINT above bit 16")?;
        check(record.pcr & !PCR_BITS == 0, "PCR bits that T2 lacks")?;
        check(record.scratch[4..6] == [0, 0], "scratchpads 4 and 5 do not exist")?;
        check(record.contexts.iter().all(|&context| context < 8192), "a context above 8191")?;
        check(
            record.queues.as_flattened().iter().all(|&at| at & !QUEUE_BITS == 0),
            "a queue register out of shape",
        )?;
        check(!(record.parked && record.stopped), "parked and stopped at once")?;
        check(record.trap_stack.iter().all(trap_level_is_sound), "a trap level out of shape")?;
        let tsbs = |class: &[TsbV1]| -> Result<Vec<Tsb>, LoadError> {
            check(class.len() <= 4, "more than four TSBs of a class")?;
            class.iter().map(|tsb| tsb_of(tsb).ok_or(bad("a TSB out of shape"))).collect()
        };
        let tsbs = [tsbs(&record.tsbs[0])?, tsbs(&record.tsbs[1])?];
        let now = self.tick;
        *self = Self {
            regs,
            pc: record.pc,
            npc: record.npc,
            cc: Cc::from_ccr(record.ccr),
            y: record.y,
            asi: record.asi,
            pstate: record.pstate,
            tl: record.tl,
            pil: record.pil,
            tba: record.tba,
            fp,
            fsr: record.fsr,
            gsr: record.gsr,
            fprs: record.fprs,
            traps: record.trap_stack.map(|[tpc, tnpc, tstate, tt]| TrapLevel {
                tpc,
                tnpc,
                tstate,
                tt: tt as u16,
            }),
            softint: record.softint,
            tick_cmpr: Compare::restore(record.tick_cmpr, now, offset),
            stick_cmpr: Compare::restore(record.stick_cmpr, now, offset),
            pcr: record.pcr,
            pic: record.pic,
            scratch: record.scratch,
            contexts: record.contexts,
            queues: record.queues,
            mmu_on: record.mmu_on,
            tsbs,
            state: match (record.stopped, record.parked) {
                (true, _) => RunState::Stopped,
                (_, true) => RunState::Parked,
                _ => RunState::Running,
            },
            tick: now,
            busy: self.busy,
            hyper: self.hyper,
            ..Self::default()
        };
        Ok(())
    }
}

fn trap_level_is_sound(&[tpc, tnpc, tstate, tt]: &[u64; 4]) -> bool {
    const TSTATE: u64 = 3 << 40 | 0xffff << 24 | (pstate::ALL as u64) << 8 | 7;
    tpc & 3 == 0 && tnpc & 3 == 0 && tstate & !TSTATE == 0 && tt < 512
}

fn tsb_record(tsb: &Tsb) -> TsbV1 {
    TsbV1 {
        ra: tsb.ra,
        entries: tsb.entries,
        index_size: tsb.index_size as u8,
        size_mask: tsb.size_mask,
        context: tsb.context as u8,
    }
}

fn tsb_of(record: &TsbV1) -> Option<Tsb> {
    let sound = record.entries.is_power_of_two()
        && (512..=512 << 15).contains(&record.entries)
        && record.ra.is_aligned(u64::from(record.entries) * 16);
    sound.then_some(())?;
    Some(Tsb {
        ra: record.ra,
        entries: record.entries,
        index_size: PageSize::from_code(u64::from(record.index_size))?,
        size_mask: record.size_mask,
        context: TagContext::from_code(record.context)?,
    })
}

#[cfg(test)]
mod test {
    use super::{RunState, Strand, fprs};
    use sun4v::addr::Ra;
    use sun4v::record::alter::{altered, hollow};
    use sun4v::record::{StrandV1, TsbV1, decode, encode};

    fn busy_record() -> StrandV1 {
        let mut strand = Strand { tick: 5000, ..Strand::default() };
        strand.begin(0x800_0020, 1, 0x800_0000, 0x1000_0000);
        strand.regs.to_next();
        strand.set_single(3, 7);
        strand.set_double(40, 9);
        strand.queues[1] = [0x40, 0x80];
        strand.stick_cmpr.write(1 << 40, 5000, 77);
        let mut record = strand.save();
        record.tsbs[1].push(TsbV1 {
            ra: Ra(0x900_0000),
            entries: 512,
            index_size: 0,
            size_mask: 1,
            context: 1,
        });
        record
    }

    #[test]
    fn a_saved_strand_loads_and_saves_the_same() {
        let record = busy_record();
        assert_eq!(record.fprs, fprs::DL | fprs::DU);
        let mut strand = Strand { tick: 9000, busy: 3, ..Strand::default() };
        strand.load(&record, -5).unwrap();
        assert_eq!(strand.save(), record);
        assert_eq!((strand.tick, strand.busy, strand.state), (9000, 3, RunState::Running));
        assert_eq!(strand.stick_cmpr.due(), (1 << 40) + 5);
        let mut bytes = Vec::new();
        encode(&record, &mut bytes);
        assert_eq!(decode::<StrandV1>(&mut bytes.as_slice()), Ok(record));
    }

    #[test]
    fn every_broken_rule_refuses_the_record_and_changes_nothing() {
        type Damage = fn(&mut StrandV1);
        let breaks: [(&str, Damage); 16] = [
            ("globals", |r| r.globals.truncate(8)),
            ("windows", |r| r.windows.push(0)),
            ("cwp", |r| r.window_state[0] = 8),
            ("fp", |r| r.fp.truncate(31)),
            ("pc", |r| r.pc = 2),
            ("pstate", |r| r.pstate |= 1),
            ("tl", |r| r.tl = 3),
            ("gl", |r| r.gl = 3),
            ("tba", |r| r.tba = 0x1000),
            ("fsr", |r| r.fsr = 1 << 17),
            ("softint", |r| r.softint = 1 << 17),
            ("scratch", |r| r.scratch[4] = 1),
            ("context", |r| r.contexts[2] = 8192),
            ("queue", |r| r.queues[0][1] = 0x20),
            ("tsb", |r| r.tsbs[1][0].entries = 513),
            ("trap stack", |r| r.trap_stack[1][3] = 512),
        ];
        for (what, damage) in breaks {
            let mut record = busy_record();
            damage(&mut record);
            let mut strand = Strand::default();
            let before = strand.save();
            assert!(strand.load(&record, 0).is_err(), "{what}");
            assert_eq!(strand.save(), before, "{what}");
        }
    }

    #[test]
    fn every_field_that_is_altered_is_kept_as_altered_or_refused() {
        assert_eq!(hollow(&busy_record()), [""; 0]);
        let (mut kept, mut refused) = (0, 0);
        for (path, record) in altered(&busy_record()) {
            let mut strand = Strand::default();
            match strand.load(&record, 0) {
                Ok(()) => {
                    kept += 1;
                    assert_eq!(strand.save(), record, "{path}: silently changed");
                }
                Err(_) => refused += 1,
            }
        }
        assert!(kept > 300 && refused > 100, "{kept} kept, {refused} refused");
    }

    #[test]
    fn a_guest_begins_as_the_hypervisor_api_says() {
        let mut strand = Strand::default();
        strand.begin(0x800_0020, 3, 0x800_0000, 0x2000_0000);
        let state = strand.save();
        assert_eq!(
            (state.pc, state.npc, state.tl, state.gl, state.pil),
            (0x800_0020, 0x800_0024, 2, 2, 15)
        );
        assert_eq!(
            (state.pstate, state.mmu_on, state.window_state),
            (4, false, [0, 6, 0, 6, 0, 0])
        );
        assert_eq!(
            state.trap_stack,
            [[0, 0x800_0020, 0x400, 0], [0, 0x800_0020, 1 << 40 | 0x400, 0]]
        );
        assert_eq!(
            (strand.regs.get(8), strand.regs.get(24), strand.regs.get(25)),
            (3, 0x800_0000, 0x2000_0000)
        );
    }

    #[test]
    fn singles_are_halves_of_doubles() {
        let mut strand = Strand::default();
        strand.set_double(2, 0x0123_4567_89ab_cdef);
        assert_eq!((strand.single(2), strand.single(3)), (0x0123_4567, 0x89ab_cdef));
        strand.set_single(2, 0xffff_ffff);
        assert_eq!(strand.double(2), 0xffff_ffff_89ab_cdef);
    }
}
