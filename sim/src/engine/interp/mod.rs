//! The reference interpreter.
//!
//! The loop here knows how to get from one instruction to the next; what an
//! instruction does is in the files beside it, by family.
//!
//! **Shapes.** Inside a page the place is an index, and the two indices `next` and
//! `after` are `pc` and `npc` of the instruction to come. An index of 2048 or more
//! is in another page: the sequential ones lie behind this page, and from [`AWAY`]
//! on they are counted from `target`. Whatever needs `pc` itself gets it computed.
//!
//! **Time.** One instruction is one tick. There is no look for interrupts between
//! instructions: what may make one pending (`Flow::Sync`) leaves the inner loop, and
//! a compare register that will match ends the budget.

mod alternate;
mod atomic;
mod branch;
mod fp;
mod integer;
mod memory;
mod privileged;
mod slow;
mod window;

use super::code::{Insn, Kind, PAGE_INSNS};
use super::{Clock, Code, Counts, Engine, Exit, Place, fault};
use crate::chip::fpu;
use crate::chip::regs::Cc;
use crate::chip::strand::{MAXPTL, Strand, canonical};
use crate::chip::tlb::{Core, soft_index};
use crate::mem::Ram;
use sun4v::addr::{PAGE_BYTES, RealMap};
use sun4v::isa::{ROWS, Word, tt};

/// Indices from here on are counted from `target`.
const AWAY: u32 = 1 << 30;

/// Why an instruction did not complete.
#[derive(Clone, Copy, Debug)]
enum Stop {
    /// A trap that the guest serves.
    Guest(u16),
    /// The same, in another window.
    Window(u16, u8),
    /// Not for the guest alone.
    Exit(Exit),
}

/// How it goes on after an instruction that completed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Flow {
    /// With the next one.
    Next,
    /// With the next one, after a look at modes, interrupts and the budget.
    Sync,
    /// Where `pc` and `npc` say, likewise.
    Jump,
    /// Somebody else's turn.
    Spin,
}

/// Why the inner loop was left; `pc`, `npc` and `tick` are in the strand.
enum Leave {
    /// On to another page, or the budget is used up.
    Go,
    /// Something changed.
    Sync,
    /// Somebody else's turn.
    Spin,
    /// An instruction stopped.
    Stop(Stop),
}

fn illegal() -> Stop {
    Stop::Exit(Exit::Plain { tt: tt::ILLEGAL_INSTRUCTION })
}

/// The second operand: a register or an immediate.
fn operand2(strand: &Strand, w: Word) -> u64 {
    if w.i() { w.simm13() as u64 } else { strand.regs.r[usize::from(w.rs2())] }
}

/// A strand being run.
struct Run<'a> {
    strand: &'a mut Strand,
    core: &'a mut Core,
    ram: &'a Ram,
    map: &'a RealMap,
    code: &'a mut Code,
    clock: &'a mut Clock,
    counts: &'a mut Counts,
}

/// The interpreter.
#[derive(Clone, Copy, Debug, Default)]
pub struct Interp;

impl Engine for Interp {
    fn run(&mut self, place: Place<'_>, until: u64) -> Exit {
        let Place { strand, core, ram, map, code, clock, counts } = place;
        let start = strand.tick;
        let mut run = Run { strand, core, ram, map, code, clock, counts };
        let exit = run.run(until);
        run.counts.instructions += run.strand.tick - start;
        exit
    }
}

impl Run<'_> {
    fn run(&mut self, until: u64) -> Exit {
        let (log, code) = (self.ram.log().generation(), self.code.generation);
        if (self.core.seen_log, self.core.seen_code) != (log, code) {
            (self.core.seen_log, self.core.seen_code) = (log, code);
            self.core.forget();
        }
        loop {
            self.strand.match_compares();
            if self.strand.tick >= until {
                return Exit::Budget;
            }
            if let Some(tt) = self.strand.interrupt() {
                if self.strand.tl >= MAXPTL {
                    self.strand.trapped = tt;
                    return Exit::Watchdog;
                }
                self.count(tt);
                self.strand.trap(tt);
            }
            self.strand.attention = false;
            self.strand.remode(self.core);
            let limit = until.min(self.strand.due());
            loop {
                match self.pages(limit) {
                    Leave::Go if self.strand.tick < limit => {}
                    Leave::Go | Leave::Sync => break,
                    Leave::Spin => return Exit::Spin,
                    Leave::Stop(Stop::Exit(exit)) => {
                        self.strand.trapped = match exit {
                            Exit::Fault { tt, .. } | Exit::Plain { tt } => tt,
                            _ => self.strand.trapped,
                        };
                        return exit;
                    }
                    Leave::Stop(Stop::Guest(tt)) => {
                        if let Some(exit) = self.guest_trap(tt) {
                            return exit;
                        }
                    }
                    Leave::Stop(Stop::Window(tt, cwp)) => {
                        if let Some(exit) = self.guest_trap(tt) {
                            return exit;
                        }
                        self.strand.regs.set_cwp(cwp);
                    }
                }
            }
        }
    }

    fn count(&mut self, tt: u16) {
        self.counts.traps[usize::from(tt & 511)] += 1;
    }

    /// Takes a trap inside the loop.
    fn guest_trap(&mut self, tt: u16) -> Option<Exit> {
        if self.strand.tl >= MAXPTL {
            self.strand.trapped = tt;
            return Some(Exit::Watchdog);
        }
        self.count(tt);
        self.strand.trap(tt);
        self.strand.remode(self.core);
        None
    }

    /// Reads an integer register.
    #[inline(always)]
    fn r(&self, n: u8) -> u64 {
        self.strand.regs.r[usize::from(n & 63)]
    }

    /// Writes an integer register, minding `%g0`.
    #[inline(always)]
    fn set(&mut self, n: u8, value: u64) {
        if n != 0 {
            self.strand.regs.r[usize::from(n & 63)] = value;
        }
    }

    /// A taken branch's target lies in the hole: a fault of the branch.
    #[cold]
    fn target_in_hole(&self, target: u64) -> Stop {
        let (tt, kind, context) =
            (tt::DATA_ACCESS_EXCEPTION, fault::VA_RANGE, self.strand.tag_context);
        Stop::Exit(Exit::Fault {
            tt,
            instruction: false,
            kind,
            address: canonical(target),
            context,
        })
    }

    fn reachable(&self, target: u64) -> bool {
        !self.strand.mmu_on || self.strand.am != u64::MAX || canonical(target) == target
    }

    /// Runs in the page that holds `pc` until it is left.
    fn pages(&mut self, limit: u64) -> Leave {
        if self.code.is_stale() {
            self.code.apply();
        }
        self.code.refresh(self.ram);
        let pc = self.strand.pc;
        let soft = &self.core.soft_code[soft_index(pc)];
        let known = soft.va == pc & !(PAGE_BYTES - 1) && soft.key == self.strand.code_key;
        let mut number = soft.page;
        let mut page = if known { self.code.take(number) } else { None };
        if page.is_none() {
            number = match self.fetch() {
                Ok(number) => number,
                Err(stop) => {
                    // The attempt takes its tick, or a fault that repeats for ever
                    // would never end.
                    self.strand.tick += 1;
                    return Leave::Stop(stop);
                }
            };
            page = self.code.take(number);
        }
        let Some(mut page) = page else { return Leave::Go };
        let leave = self.page(&mut page, number, limit);
        self.code.put(number, page);
        leave
    }

    fn page(&mut self, page: &mut [Insn; PAGE_INSNS], number: u32, limit: u64) -> Leave {
        let am = self.strand.am;
        let base = self.strand.pc & !(PAGE_BYTES - 1);
        let mut budget = limit.saturating_sub(self.strand.tick);
        let mut target = self.strand.npc;
        let mut next = (self.strand.pc >> 2) as u32 & (PAGE_INSNS as u32 - 1);
        let mut after = match target.wrapping_sub(base) {
            offset if offset <= PAGE_BYTES => (offset >> 2) as u32,
            _ => AWAY,
        };

        // The address of an index.
        macro_rules! address {
            ($index:expr) => {{
                let index = $index;
                let (from, count) =
                    if index >= AWAY { (target, index - AWAY) } else { (base, index) };
                from.wrapping_add(u64::from(count) << 2) & am
            }};
        }
        // Leaves at the instruction to come.
        macro_rules! leave {
            ($leave:expr) => {{
                (self.strand.pc, self.strand.npc) = (address!(next), address!(after));
                self.strand.tick = limit - budget;
                return $leave;
            }};
        }

        loop {
            let here = next;
            let Some(&insn) = page.get(here as usize) else { leave!(Leave::Go) };
            if budget == 0 {
                leave!(Leave::Go);
            }
            budget -= 1;
            next = after;
            after += 1;

            // Puts what it needs to know into the strand, at this instruction.
            macro_rules! settle {
                () => {{
                    self.strand.pc = address!(here);
                    self.strand.npc = address!(next);
                    self.strand.tick = limit - budget;
                }};
            }
            // Stops at this instruction.
            macro_rules! stop {
                ($stop:expr) => {{
                    let stop = $stop;
                    settle!();
                    return Leave::Stop(stop);
                }};
            }
            macro_rules! attempt {
                ($result:expr) => {
                    match $result {
                        Ok(value) => value,
                        Err(stop) => stop!(stop),
                    }
                };
            }
            macro_rules! rs1 {
                () => {
                    self.strand.regs.r[usize::from(insn.rs1 & 63)]
                };
            }
            macro_rules! rs2 {
                () => {
                    self.strand.regs.r[usize::from(insn.rs2 & 63)]
                };
            }
            macro_rules! imm {
                () => {
                    i64::from(insn.imm) as u64
                };
            }
            // A register plus an immediate, one of which is zero.
            macro_rules! either {
                () => {
                    rs2!().wrapping_add(imm!())
                };
            }
            macro_rules! rd {
                () => {
                    self.strand.regs.r[usize::from(insn.rd & 63)]
                };
            }
            macro_rules! ea {
                () => {
                    rs1!().wrapping_add(either!()) & am
                };
            }
            macro_rules! with_cc {
                ($of:ident, $a:expr, $b:expr, $op:ident) => {{
                    let (a, b) = ($a, $b);
                    let result = a.$op(b);
                    self.strand.cc = Cc::$of(a, b, result);
                    rd!() = result;
                }};
            }
            macro_rules! logic_cc {
                ($result:expr) => {{
                    let result = $result;
                    self.strand.cc = Cc::logic(result);
                    rd!() = result;
                }};
            }
            // What a transfer checks.
            macro_rules! check {
                ($to:expr) => {{
                    if self.strand.tct {
                        stop!(Stop::Guest(tt::CONTROL_TRANSFER_INSTRUCTION));
                    }
                    if !self.reachable($to) {
                        stop!(self.target_in_hole($to));
                    }
                }};
            }
            // A transfer to an address that this page may not have.
            macro_rules! go {
                ($to:expr, $annul:expr) => {{
                    let to = $to;
                    let offset = to.wrapping_sub(base);
                    if offset < PAGE_BYTES {
                        after = (offset >> 2) as u32;
                    } else if next < AWAY {
                        (target, after) = (to, AWAY);
                    } else {
                        // Its slot is away already: that is where we go on.
                        (self.strand.pc, self.strand.npc) = if $annul {
                            (to, to.wrapping_add(4) & am)
                        } else {
                            (address!(next), to)
                        };
                        self.strand.tick = limit - budget;
                        return Leave::Go;
                    }
                }};
            }
            // The target of a displacement in instructions.
            macro_rules! destination {
                () => {
                    base.wrapping_add(u64::from(here) << 2)
                        .wrapping_add_signed(i64::from(insn.imm) << 2)
                        & am
                };
            }
            // A transfer to there.
            macro_rules! transfer {
                ($annul:expr) => {{
                    let to = here.wrapping_add_signed(insn.imm);
                    if to < PAGE_INSNS as u32 && !self.strand.tct {
                        after = to;
                    } else {
                        let to = destination!();
                        check!(to);
                        go!(to, $annul);
                    }
                }};
            }
            macro_rules! annul {
                () => {{
                    next = after;
                    after += 1;
                }};
            }
            macro_rules! branch {
                ($holds:expr) => {{
                    let holds: bool = $holds;
                    if holds != (insn.rd != 0) {
                        transfer!(false);
                    } else if insn.rs2 != 0 {
                        annul!();
                    }
                }};
            }
            macro_rules! icc {
                ($cc:ident => $bit:expr) => {{
                    let $cc = &self.strand.cc;
                    branch!($bit)
                }};
            }
            // A store that may have hit decoded instructions.
            macro_rules! stored {
                () => {
                    if self.code.is_stale() {
                        leave!(Leave::Go);
                    }
                };
            }
            macro_rules! load {
                ($word:ty => $extend:ty) => {{
                    let ea = ea!();
                    let word = match self.load_fast::<$word>(ea) {
                        Some(word) => word,
                        None => {
                            settle!();
                            attempt!(self.load_slow::<$word>(ea))
                        }
                    };
                    rd!() = word as $extend as u64;
                }};
            }
            macro_rules! store {
                ($word:ty) => {{
                    let (ea, word) = (ea!(), rd!() as $word);
                    if !self.store_fast(ea, word) {
                        settle!();
                        attempt!(self.store_slow(ea, word));
                        stored!();
                    }
                }};
            }
            macro_rules! fp {
                () => {
                    if !self.strand.fp_on {
                        stop!(Stop::Guest(tt::FP_DISABLED));
                    }
                };
            }
            macro_rules! doubles {
                ($of:ident) => {{
                    fp!();
                    let (a, b) = (self.strand.double(insn.rs1), self.strand.double(insn.rs2));
                    let result = fpu::$of(self.round(), a, b);
                    attempt!(self.put_d(insn.rd, result));
                }};
            }
            macro_rules! singles {
                ($of:ident) => {{
                    fp!();
                    let (a, b) = (self.strand.single(insn.rs1), self.strand.single(insn.rs2));
                    let result = fpu::$of(self.round(), a, b);
                    attempt!(self.put_s(insn.rd, result));
                }};
            }
            macro_rules! move_d {
                ($value:ident => $result:expr) => {{
                    fp!();
                    let $value = self.strand.double(insn.rs2);
                    attempt!(self.put_d(insn.rd, ($result, fpu::Exc::NONE)));
                }};
            }

            match insn.kind {
                Kind::Undecoded => {
                    let pa = self.code.pa(number).offset(u64::from(here) << 2);
                    page[here as usize % PAGE_INSNS] = Insn::of(self.ram.load::<u32>(pa));
                    // Once more, now that it is decoded.
                    after = next;
                    next = here;
                    budget += 1;
                }
                Kind::Illegal => stop!(illegal()),
                Kind::Slow => {
                    settle!();
                    let op = ROWS[usize::from(insn.rd) % ROWS.len()].op;
                    match attempt!(self.slow(op, Word(insn.imm as u32))) {
                        Flow::Next => stored!(),
                        Flow::Sync => leave!(Leave::Sync),
                        Flow::Spin => leave!(Leave::Spin),
                        Flow::Jump => return Leave::Sync,
                    }
                }
                Kind::Nop => {}
                Kind::Sethi => rd!() = u64::from(insn.imm as u32),
                Kind::MovI => rd!() = imm!(),
                Kind::MovR => rd!() = rs2!(),
                Kind::AddR => rd!() = rs1!().wrapping_add(rs2!()),
                Kind::AddI => rd!() = rs1!().wrapping_add(imm!()),
                Kind::SubR => rd!() = rs1!().wrapping_sub(rs2!()),
                Kind::AndR => rd!() = rs1!() & rs2!(),
                Kind::AndI => rd!() = rs1!() & imm!(),
                Kind::OrR => rd!() = rs1!() | rs2!(),
                Kind::OrI => rd!() = rs1!() | imm!(),
                Kind::XorR => rd!() = rs1!() ^ rs2!(),
                Kind::XorI => rd!() = rs1!() ^ imm!(),
                Kind::AndnR => rd!() = rs1!() & !rs2!(),
                Kind::OrnR => rd!() = rs1!() | !rs2!(),
                Kind::XnorR => rd!() = rs1!() ^ !rs2!(),
                Kind::AddccR => with_cc!(add, rs1!(), rs2!(), wrapping_add),
                Kind::AddccI => with_cc!(add, rs1!(), imm!(), wrapping_add),
                Kind::SubccR => with_cc!(sub, rs1!(), rs2!(), wrapping_sub),
                Kind::SubccI => with_cc!(sub, rs1!(), imm!(), wrapping_sub),
                Kind::AndccR => logic_cc!(rs1!() & rs2!()),
                Kind::AndccI => logic_cc!(rs1!() & imm!()),
                Kind::OrccR => logic_cc!(rs1!() | rs2!()),
                Kind::OrccI => logic_cc!(rs1!() | imm!()),
                Kind::XorccR => logic_cc!(rs1!() ^ rs2!()),
                Kind::XorccI => logic_cc!(rs1!() ^ imm!()),
                Kind::AndnccR => logic_cc!(rs1!() & !rs2!()),
                Kind::OrnccR => logic_cc!(rs1!() | !rs2!()),
                Kind::XnorccR => logic_cc!(rs1!() ^ !rs2!()),
                Kind::Addc => {
                    let carry = self.strand.cc.carry();
                    rd!() = rs1!().wrapping_add(either!()).wrapping_add(carry);
                }
                Kind::Subc => {
                    let carry = self.strand.cc.carry();
                    rd!() = rs1!().wrapping_sub(either!()).wrapping_sub(carry);
                }
                Kind::Addccc => {
                    let (a, b) = (rs1!(), either!());
                    let result = a.wrapping_add(b).wrapping_add(self.strand.cc.carry());
                    self.strand.cc = Cc::add(a, b, result);
                    rd!() = result;
                }
                Kind::Subccc => {
                    let (a, b) = (rs1!(), either!());
                    let result = a.wrapping_sub(b).wrapping_sub(self.strand.cc.carry());
                    self.strand.cc = Cc::sub(a, b, result);
                    rd!() = result;
                }
                Kind::Mulx => rd!() = rs1!().wrapping_mul(either!()),
                Kind::Udivx => match rs1!().checked_div(either!()) {
                    Some(quotient) => rd!() = quotient,
                    None => stop!(Stop::Guest(tt::DIVISION_BY_ZERO)),
                },
                Kind::Sdivx => {
                    let divisor = either!() as i64;
                    if divisor == 0 {
                        stop!(Stop::Guest(tt::DIVISION_BY_ZERO));
                    }
                    rd!() = (rs1!() as i64).wrapping_div(divisor) as u64;
                }
                Kind::Umul => {
                    let product = (rs1!() & 0xffff_ffff).wrapping_mul(either!() & 0xffff_ffff);
                    self.strand.y = (product >> 32) as u32;
                    rd!() = product;
                }
                Kind::Smul => {
                    let product = i64::from(rs1!() as i32) * i64::from(either!() as i32);
                    self.strand.y = (product as u64 >> 32) as u32;
                    rd!() = product as u64;
                }
                Kind::SllR => rd!() = rs1!() << (rs2!() & 31),
                Kind::SllI => rd!() = rs1!() << (insn.imm & 31),
                Kind::SrlR => rd!() = u64::from(rs1!() as u32 >> (rs2!() & 31)),
                Kind::SrlI => rd!() = u64::from(rs1!() as u32 >> (insn.imm & 31)),
                Kind::SraR => rd!() = i64::from(rs1!() as i32 >> (rs2!() & 31)) as u64,
                Kind::SraI => rd!() = i64::from(rs1!() as i32 >> (insn.imm & 31)) as u64,
                Kind::SllxR => rd!() = rs1!() << (rs2!() & 63),
                Kind::SllxI => rd!() = rs1!() << (insn.imm & 63),
                Kind::SrlxR => rd!() = rs1!() >> (rs2!() & 63),
                Kind::SrlxI => rd!() = rs1!() >> (insn.imm & 63),
                Kind::SraxR => rd!() = (rs1!() as i64 >> (rs2!() & 63)) as u64,
                Kind::SraxI => rd!() = (rs1!() as i64 >> (insn.imm & 63)) as u64,
                Kind::MovIcc => {
                    let moved = branch::holds(insn.rs1, self.strand.cc.icc());
                    rd!() = if moved { either!() } else { rd!() };
                }
                Kind::MovXcc => {
                    let moved = branch::holds(insn.rs1, self.strand.cc.xcc());
                    rd!() = if moved { either!() } else { rd!() };
                }
                Kind::MovRegister => {
                    if branch::register_holds((insn.imm >> 16) as u8, rs1!()) {
                        rd!() = rs2!().wrapping_add(insn.imm as i16 as u64);
                    }
                }
                Kind::BeI => icc!(cc => cc.zi == 0),
                Kind::BleI => icc!(cc => cc.zi == 0 || ((cc.n ^ cc.v) as i32) < 0),
                Kind::BlI => icc!(cc => ((cc.n ^ cc.v) as i32) < 0),
                Kind::BleuI => icc!(cc => cc.zi == 0 || (cc.c as i32) < 0),
                Kind::BcsI => icc!(cc => (cc.c as i32) < 0),
                Kind::BnegI => icc!(cc => (cc.n as i32) < 0),
                Kind::BvsI => icc!(cc => (cc.v as i32) < 0),
                Kind::BeX => icc!(cc => cc.zx == 0),
                Kind::BleX => icc!(cc => cc.zx == 0 || ((cc.n ^ cc.v) as i64) < 0),
                Kind::BlX => icc!(cc => ((cc.n ^ cc.v) as i64) < 0),
                Kind::BleuX => icc!(cc => cc.zx == 0 || (cc.c as i64) < 0),
                Kind::BcsX => icc!(cc => (cc.c as i64) < 0),
                Kind::BnegX => icc!(cc => (cc.n as i64) < 0),
                Kind::BvsX => icc!(cc => (cc.v as i64) < 0),
                Kind::BrZ => branch!(rs1!() == 0),
                Kind::BrLez => branch!(rs1!() as i64 <= 0),
                Kind::BrLz => branch!((rs1!() as i64) < 0),
                Kind::Fb => {
                    fp!();
                    if branch::fp_holds(insn.rd, insn.rs1, self.strand.fsr) {
                        // FBA,a: its slot is skipped although it is taken.
                        let annul = insn.rs2 != 0 && insn.rd == 8;
                        transfer!(annul);
                        if annul {
                            annul!();
                        }
                    } else if insn.rs2 != 0 {
                        annul!();
                    }
                }
                Kind::Ba => transfer!(false),
                Kind::BaA => {
                    transfer!(true);
                    annul!();
                }
                Kind::BnA => annul!(),
                Kind::Call => {
                    let to = destination!();
                    check!(to);
                    self.strand.regs.r[15] = address!(here);
                    go!(to, false);
                }
                Kind::Jmpl => {
                    let to = ea!();
                    if to & 3 != 0 {
                        stop!(self.misaligned(to));
                    }
                    check!(to);
                    rd!() = address!(here);
                    go!(to, false);
                }
                Kind::Return => {
                    attempt!(self.check_fill());
                    let to = ea!();
                    if to & 3 != 0 {
                        stop!(self.misaligned(to));
                    }
                    check!(to);
                    self.restore();
                    go!(to, false);
                }
                Kind::Save => {
                    let sum = rs1!().wrapping_add(either!());
                    attempt!(self.save());
                    rd!() = sum;
                }
                Kind::Restore => {
                    let sum = rs1!().wrapping_add(either!());
                    attempt!(self.check_fill());
                    self.restore();
                    rd!() = sum;
                }
                Kind::Ldub => load!(u8 => u8),
                Kind::Lduh => load!(u16 => u16),
                Kind::Lduw => load!(u32 => u32),
                Kind::Ldx => load!(u64 => u64),
                Kind::Ldsb => load!(u8 => i8),
                Kind::Ldsh => load!(u16 => i16),
                Kind::Ldsw => load!(u32 => i32),
                Kind::Stb => store!(u8),
                Kind::Sth => store!(u16),
                Kind::Stw => store!(u32),
                Kind::Stx => store!(u64),
                Kind::Ldf => {
                    fp!();
                    let ea = ea!();
                    let word = match self.load_fast::<u32>(ea) {
                        Some(word) => word,
                        None => {
                            settle!();
                            attempt!(self.load_slow::<u32>(ea))
                        }
                    };
                    self.strand.set_single(insn.rd, word);
                }
                Kind::Lddf => {
                    fp!();
                    let ea = ea!();
                    let word = match self.load_fast::<u64>(ea) {
                        Some(word) => word,
                        None => {
                            settle!();
                            attempt!(self.load_double_slow(ea))
                        }
                    };
                    self.strand.set_double(insn.rd, word);
                }
                Kind::Stf => {
                    fp!();
                    let (ea, word) = (ea!(), self.strand.single(insn.rd));
                    if !self.store_fast(ea, word) {
                        settle!();
                        attempt!(self.store_slow(ea, word));
                        stored!();
                    }
                }
                Kind::Stdf => {
                    fp!();
                    let (ea, word) = (ea!(), self.strand.double(insn.rd));
                    if !self.store_fast(ea, word) {
                        settle!();
                        attempt!(self.store_double_slow(ea, word));
                        stored!();
                    }
                }
                Kind::FaddD => doubles!(add_d),
                Kind::FsubD => doubles!(sub_d),
                Kind::FmulD => doubles!(mul_d),
                Kind::FdivD => doubles!(div_d),
                Kind::FmovD => move_d!(value => value),
                Kind::FnegD => move_d!(value => value ^ fp::SIGN_D),
                Kind::FabsD => move_d!(value => value & !fp::SIGN_D),
                Kind::FaddS => singles!(add_s),
                Kind::FsubS => singles!(sub_s),
                Kind::FmulS => singles!(mul_s),
                Kind::FcmpD | Kind::FcmpeD => {
                    fp!();
                    let (a, b) = (self.strand.double(insn.rs1), self.strand.double(insn.rs2));
                    let result = fpu::cmp_d(a, b, insn.kind == Kind::FcmpeD);
                    attempt!(self.put_fcc(insn.rd, result));
                }
            }
        }
    }
}
