//! Instructions as text, as `objdump -d` prints them.
//!
//! A row's [`Format`] says how its operands are written; what the assembler has a
//! shorter word for (`mov`, `cmp`, `ret`, ...) is in [`synthetic`].
//!
//! **Shapes.** Mnemonic, two blanks, operands separated by comma and blank; a
//! branch with `,a` or `,pn` has three blanks, and an instruction without operands
//! none. Immediates up to 9, also negative ones, are decimal, others hexadecimal.
//! Branch targets are absolute addresses without symbols. Where an immediate is
//! combined with the register that the instruction before has loaded by SETHI,
//! the sum follows after a tab and `! `.
//!
//! **Errors.** None: a word that T2 does not execute is `unknown`, and one that is
//! meant not to be executed `illtrap`.
//!
//! **Source.** The SPARC Architecture Manual version 9, appendix G, for assembly
//! syntax; GNU objdump for the rest, which `tests/objdump.rs` compares with.

use core::fmt::{self, Display, Formatter};

use super::table::{Format, Op, decode};
use super::word::Word;
use super::{asi, reg};

/// An instruction word at its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Insn {
    /// Where it is: branch targets are relative to it.
    pub address: u64,
    /// The word.
    pub word: u32,
    /// The words 4 and 8 bytes before it, where they are known.
    pub before: [Option<u32>; 2],
}

impl Insn {
    /// A word of which the neighbours are not known.
    #[must_use]
    pub const fn new(address: u64, word: u32) -> Self {
        Self { address, word, before: [None; 2] }
    }

    /// The word that follows this one.
    #[must_use]
    pub const fn next(self, word: u32) -> Self {
        Self {
            address: self.address.wrapping_add(4),
            word,
            before: [Some(self.word), self.before[0]],
        }
    }
}

impl Display for Insn {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let w = Word(self.word);
        match decode(self.word) {
            Some(op) => {
                if !synthetic(f, op, w, self.address)? {
                    plain(f, op, w, self.address)?;
                }
                if let Some(sum) = self.sum(op, w) {
                    write!(f, "\t! {sum:#x}")?;
                }
                Ok(())
            }
            None if self.word >> 22 == 0 => write!(f, "illtrap  {}", Hex(u64::from(w.imm22()))),
            None => f.write_str("unknown"),
        }
    }
}

impl Insn {
    /// What the immediate makes of a register that SETHI has just set; a delay slot
    /// belongs to the SETHI before its branch.
    fn sum(&self, op: Op, w: Word) -> Option<u64> {
        if !w.i() || !adds_immediate(op, w) {
            return None;
        }
        let [last, earlier] = self.before;
        let set = if has_delay_slot(Word(last?)) { earlier? } else { last? };
        let set = Word(set);
        let sethi = decode(set.0) == Some(Op::Sethi) && set.rd() == w.rs1();
        let (high, low) = (u64::from(set.imm22()) << 10, second(op, w) as u64);
        sethi.then_some(if op == Op::Or { high | low } else { high.wrapping_add(low) })
    }
}

/// Does the text show an immediate being added (or or'ed) to `rs1`?
fn adds_immediate(op: Op, w: Word) -> bool {
    match op {
        Op::Or => true,
        Op::Add => w.rd() != w.rs1() || w.simm13() != 1,
        Op::Tcc => w.rs1() != 0,
        _ => is_address(op.row().format) && w.rs1() != 0 && w.simm13() != 0,
    }
}

/// The immediate of an instruction that adds one.
fn second(op: Op, w: Word) -> i64 {
    if op == Op::Tcc { i64::from(w.imm_trap()) } else { w.simm13() }
}

/// Does the instruction after it run before its target? RETURN is left out, as
/// objdump leaves it out: its delay slot has the registers of another window.
fn has_delay_slot(w: Word) -> bool {
    match decode(w.0) {
        Some(Op::Bpcc) => !is_iprefetch(w),
        Some(op) => matches!(op, Op::Bicc | Op::Bpr | Op::Fbpfcc | Op::Fbfcc | Op::Call | Op::Jmpl),
        None => false,
    }
}

/// A branch never taken that T2's older relatives took for an instruction prefetch.
fn is_iprefetch(w: Word) -> bool {
    w.0 >> 19 & 0x7ff == 0xd
}

/// Is the sum of `rs1` and the second operand an address?
fn is_address(format: Format) -> bool {
    matches!(
        format,
        Format::Address
            | Format::Jmpl
            | Format::Load
            | Format::LoadAsi
            | Format::LoadD
            | Format::LoadDAsi
            | Format::LoadFsr
            | Format::LoadS
            | Format::LoadSAsi
            | Format::Prefetch
            | Format::PrefetchAsi
            | Format::Return
            | Format::Store
            | Format::StoreAsi
            | Format::StoreD
            | Format::StoreDAsi
            | Format::StoreFsr
            | Format::StoreS
            | Format::StoreSAsi
    )
}

const ICC: [&str; 16] =
    ["n", "e", "le", "l", "leu", "cs", "neg", "vs", "a", "ne", "g", "ge", "gu", "cc", "pos", "vc"];
const FCC: [&str; 16] =
    ["n", "ne", "lg", "ul", "l", "ug", "g", "u", "a", "e", "ue", "ge", "uge", "le", "ule", "o"];

/// Number of a condition code, as [`Word::move_cc`] numbers them.
const CC: [&str; 8] = ["%fcc0", "%fcc1", "%fcc2", "%fcc3", "%icc", "%icc", "%xcc", "%xcc"];

fn condition(code: u8, float: bool) -> &'static str {
    if float { FCC[usize::from(code & 15)] } else { ICC[usize::from(code & 15)] }
}

/// A condition on a register, in a branch's words.
fn branch_rcond(code: u8) -> &'static str {
    ["?", "z", "lez", "lz", "?", "nz", "gz", "gez"][usize::from(code & 7)]
}

/// A condition on a register, in a move's words.
fn move_rcond(code: u8) -> &'static str {
    ["?", "e", "lez", "lz", "?", "ne", "gz", "gez"][usize::from(code & 7)]
}

/// A number: decimal up to 9, else hexadecimal.
struct Imm(i64);

impl Display for Imm {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if self.0 <= 9 { write!(f, "{}", self.0) } else { write!(f, "{:#x}", self.0) }
    }
}

/// A nonzero number is hexadecimal.
struct Hex(u64);

impl Display for Hex {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if self.0 == 0 { f.write_str("0") } else { write!(f, "{:#x}", self.0) }
    }
}

/// Where a branch goes.
struct Target(u64);

impl Display for Target {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}", self.0)
    }
}

/// `rs2` or `simm13`.
struct Second(Word);

impl Display for Second {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if self.0.i() {
            Imm(self.0.simm13()).fmt(f)
        } else {
            f.write_str(reg::integer(self.0.rs2()))
        }
    }
}

/// The sum of `rs1` and the second operand, without what is zero.
struct Address(Word);

impl Display for Address {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let w = self.0;
        let rs1 = reg::integer(w.rs1());
        match w.i() {
            true if w.simm13() == 0 => f.write_str(rs1),
            true if w.rs1() == 0 => Imm(w.simm13()).fmt(f),
            true => write!(f, "{rs1} + {}", Imm(w.simm13())),
            false if w.rs2() == 0 => f.write_str(rs1),
            false => write!(f, "{rs1} + {}", reg::integer(w.rs2())),
        }
    }
}

/// The ASI of an alternate access.
struct Asi(Word);

impl Display for Asi {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if self.0.i() {
            return f.write_str("%asi");
        }
        let number = self.0.imm_asi();
        match asi::assembler_name(number) {
            Some(name) => write!(f, "#{name}"),
            None => write!(f, "({number})"),
        }
    }
}

/// An ancillary state register.
struct Asr(u8);

impl Display for Asr {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match reg::asr::name(self.0) {
            Some(name) => f.write_str(name),
            None => write!(f, "%asr{}", self.0),
        }
    }
}

/// What a prefetch is for.
struct Function(u8);

impl Display for Function {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let name = match self.0 {
            0 => "n_reads",
            1 => "one_read",
            2 => "n_writes",
            3 => "one_write",
            4 => "page",
            16 => "invalidate",
            17 => "unified",
            20 => "n_reads_strong",
            21 => "one_read_strong",
            22 => "n_writes_strong",
            23 => "one_write_strong",
            number => return write!(f, "{number}"),
        };
        write!(f, "#{name}")
    }
}

/// What a MEMBAR waits for, highest bit first.
struct Barriers(u32);

impl Display for Barriers {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        const NAMES: [&str; 7] = [
            "#LoadLoad",
            "#StoreLoad",
            "#LoadStore",
            "#StoreStore",
            "#Lookaside",
            "#MemIssue",
            "#Sync",
        ];
        if self.0 == 0 {
            return f.write_str("0");
        }
        let mut between = "";
        for (bit, name) in NAMES.iter().enumerate().rev() {
            if self.0 >> bit & 1 != 0 {
                write!(f, "{between}{name}")?;
                between = "|";
            }
        }
        Ok(())
    }
}

/// Writes the shorter word that the assembler has for an instruction, if any.
fn synthetic(f: &mut Formatter<'_>, op: Op, w: Word, address: u64) -> Result<bool, fmt::Error> {
    let (rd, rs1, rs2) = (reg::integer(w.rd()), reg::integer(w.rs1()), reg::integer(w.rs2()));
    let second = Second(w);
    let one = w.i() && w.simm13() == 1 && w.rd() == w.rs1();
    // No second operand: added or or'ed, it changes nothing.
    let nothing = if w.i() { w.simm13() == 0 } else { w.rs2() == 0 };
    let low_word = !w.i() && !w.shift_x() && w.rs2() == 0;
    match op {
        Op::Sethi if w.rd() == 0 && w.imm22() == 0 => f.write_str("nop"),
        Op::Bpcc if is_iprefetch(w) => {
            write!(f, "iprefetch  {}", Target(address.wrapping_add_signed(w.disp19())))
        }
        Op::Or if w.rs1() == 0 && nothing && (w.i() || w.rd() == 0) => write!(f, "clr  {rd}"),
        Op::Or if w.rs1() == 0 => write!(f, "mov  {second}, {rd}"),
        Op::Or if nothing => write!(f, "mov  {rs1}, {rd}"),
        Op::Orcc if w.rd() == 0 && nothing => write!(f, "tst  {rs1}"),
        Op::Orcc if w.rd() == 0 && !w.i() && w.rs1() == 0 => write!(f, "tst  {rs2}"),
        Op::Subcc if one => write!(f, "deccc  {rd}"),
        Op::Subcc if w.rd() == 0 => write!(f, "cmp  {rs1}, {second}"),
        Op::Andcc if w.rd() == 0 && w.i() => write!(f, "btst  {second}, {rs1}"),
        Op::Andcc if w.rd() == 0 => write!(f, "btst  {rs1}, {rs2}"),
        Op::Add if one => write!(f, "inc  {rd}"),
        Op::Sub if one => write!(f, "dec  {rd}"),
        Op::Addcc if one => write!(f, "inccc  {rd}"),
        Op::Sub if w.rs1() == 0 && !w.i() && w.rd() == w.rs2() => write!(f, "neg  {rd}"),
        Op::Sub if w.rs1() == 0 && !w.i() => write!(f, "neg  {rs2}, {rd}"),
        Op::Srl if low_word && w.rs1() == w.rd() => write!(f, "clruw  {rd}"),
        Op::Sra if low_word && w.rs1() == w.rd() => write!(f, "signx  {rd}"),
        Op::Srl if low_word => write!(f, "clruw  {rs1}, {rd}"),
        Op::Sra if low_word => write!(f, "signx  {rs1}, {rd}"),
        Op::Stw if w.rd() == 0 => write!(f, "clr  [ {} ]", Address(w)),
        Op::Stb if w.rd() == 0 => write!(f, "clrb  [ {} ]", Address(w)),
        Op::Sth if w.rd() == 0 => write!(f, "clrh  [ {} ]", Address(w)),
        Op::Stx if w.rd() == 0 => write!(f, "clrx  [ {} ]", Address(w)),
        Op::Jmpl if w.0 == 0x81c7_e008 => f.write_str("ret"),
        Op::Jmpl if w.0 == 0x81c3_e008 => f.write_str("retl"),
        Op::Jmpl if w.rd() == reg::G0 => write!(f, "jmp  {}", Address(w)),
        Op::Jmpl if w.rd() == reg::O7 => write!(f, "call  {}", Address(w)),
        Op::Save if w.0 == 0x81e0_0000 => f.write_str("save"),
        Op::Restore if matches!(w.0, 0x81e8_0000 | 0x81e8_2000) => f.write_str("restore"),
        Op::CasA if !w.i() && w.imm_asi() == asi::PRIMARY => {
            write!(f, "cas  [ {rs1} ], {rs2}, {rd}")
        }
        Op::CasA if !w.i() && w.imm_asi() == asi::PRIMARY_LITTLE => {
            write!(f, "casl  [ {rs1} ], {rs2}, {rd}")
        }
        Op::CasxA if !w.i() && w.imm_asi() == asi::PRIMARY_LITTLE => {
            write!(f, "casxl  [ {rs1} ], {rs2}, {rd}")
        }
        Op::CasxA if !w.i() && w.imm_asi() == asi::PRIMARY => {
            write!(f, "casx  [ {rs1} ], {rs2}, {rd}")
        }
        Op::LdtwA if !w.i() && asi::is_twin(w.imm_asi()) => {
            write!(f, "ldtxa  [ {} ] {}, {rd}", Address(w), Asi(w))
        }
        Op::WrAsr if w.rd() == reg::asr::Y && nothing => write!(f, "wr  {rs1}, %y"),
        Op::WrAsr if w.rd() == reg::asr::Y && w.rs1() == 0 => write!(f, "wr  {second}, %y"),
        Op::WrPr if !w.i() && w.rs2() == 0 => write!(f, "wrpr  {rs1}, {}", privileged(w.rd())),
        Op::WrPr if w.rs1() == 0 && w.i() => write!(f, "wrpr  {second}, {}", privileged(w.rd())),
        _ => return Ok(false),
    }?;
    Ok(true)
}

fn privileged(number: u8) -> &'static str {
    reg::privileged::name(number).unwrap_or("%?")
}

/// Writes an instruction under its own name.
fn plain(f: &mut Formatter<'_>, op: Op, w: Word, address: u64) -> fmt::Result {
    let row = op.row();
    let name = row.mnemonic;
    let (rd, rs1, rs2) = (reg::integer(w.rd()), reg::integer(w.rs1()), reg::integer(w.rs2()));
    let (s, d) = (Single, Double);
    let target = |offset: i64| Target(address.wrapping_add_signed(offset));
    match row.format {
        Format::Bare => f.write_str(name),
        Format::Address => write!(f, "{name}  [ {} ]", Address(w)),
        Format::Arith => write!(f, "{name}  {rs1}, {}, {rd}", Second(w)),
        Format::BranchCc22 | Format::BranchFcc22 => {
            branch(f, name, w, matches!(row.format, Format::BranchFcc22), true)?;
            write!(f, "{}", target(w.disp22()))
        }
        Format::BranchCc19 => {
            branch(f, name, w, false, w.predict())?;
            write!(f, "{}, {}", CC[usize::from(w.branch_cc() | 4)], target(w.disp19()))
        }
        Format::BranchFcc19 => {
            branch(f, name, w, true, w.predict())?;
            write!(f, "{}, {}", CC[usize::from(w.branch_cc())], target(w.disp19()))
        }
        Format::BranchReg => {
            write!(f, "{name}{}", branch_rcond(w.branch_rcond()))?;
            flags(f, w.annul(), w.predict())?;
            write!(f, "{rs1}, {}", target(w.disp16()))
        }
        Format::Call => write!(f, "{name}  {}", target(w.disp30())),
        Format::Cas => write!(f, "{name}  [ {rs1} ] {}, {rs2}, {rd}", Asi(w)),
        Format::FcmpS if w.rd() == 0 => write!(f, "{name}  {}, {}", s(w.rs1()), s(w.rs2())),
        Format::FcmpD if w.rd() == 0 => write!(f, "{name}  {}, {}", d(w.rs1()), d(w.rs2())),
        Format::FcmpS => {
            write!(f, "{name}  {}, {}, {}", CC[usize::from(w.rd() & 3)], s(w.rs1()), s(w.rs2()))
        }
        Format::FcmpD => {
            write!(f, "{name}  {}, {}, {}", CC[usize::from(w.rd() & 3)], d(w.rs1()), d(w.rs2()))
        }
        Format::FmovCcS | Format::FmovCcD => {
            let cc = w.fmove_cc();
            write!(f, "{name}{}  {}, ", condition(w.move_cond(), cc < 4), CC[usize::from(cc)])?;
            match row.format {
                Format::FmovCcS => write!(f, "{}, {}", s(w.rs2()), s(w.rd())),
                _ => write!(f, "{}, {}", d(w.rs2()), d(w.rd())),
            }
        }
        Format::FmovRS | Format::FmovRD => {
            write!(f, "{name}{}  {rs1}, ", move_rcond(w.move_rcond()))?;
            match row.format {
                Format::FmovRS => write!(f, "{}, {}", s(w.rs2()), s(w.rd())),
                _ => write!(f, "{}, {}", d(w.rs2()), d(w.rd())),
            }
        }
        Format::FpDD => write!(f, "{name}  {}, {}", d(w.rs2()), d(w.rd())),
        Format::FpDDD => write!(f, "{name}  {}, {}, {}", d(w.rs1()), d(w.rs2()), d(w.rd())),
        Format::FpDS => write!(f, "{name}  {}, {}", d(w.rs2()), s(w.rd())),
        Format::FpSD => write!(f, "{name}  {}, {}", s(w.rs2()), d(w.rd())),
        Format::FpSDD => write!(f, "{name}  {}, {}, {}", s(w.rs1()), d(w.rs2()), d(w.rd())),
        Format::FpSS => write!(f, "{name}  {}, {}", s(w.rs2()), s(w.rd())),
        Format::FpSSD => write!(f, "{name}  {}, {}, {}", s(w.rs1()), s(w.rs2()), d(w.rd())),
        Format::FpSSS => write!(f, "{name}  {}, {}, {}", s(w.rs1()), s(w.rs2()), s(w.rd())),
        Format::Jmpl => write!(f, "{name}  {}, {rd}", Address(w)),
        Format::Load => write!(f, "{name}  [ {} ], {rd}", Address(w)),
        Format::LoadAsi => write!(f, "{name}  [ {} ] {}, {rd}", Address(w), Asi(w)),
        Format::LoadD => write!(f, "{name}  [ {} ], {}", Address(w), d(w.rd())),
        Format::LoadDAsi => write!(f, "{name}  [ {} ] {}, {}", Address(w), Asi(w), d(w.rd())),
        Format::LoadFsr => write!(f, "{name}  [ {} ], %fsr", Address(w)),
        Format::LoadS => write!(f, "{name}  [ {} ], {}", Address(w), s(w.rd())),
        Format::LoadSAsi => write!(f, "{name}  [ {} ] {}, {}", Address(w), Asi(w), s(w.rd())),
        Format::Membar => write!(f, "{name}  {}", Barriers(w.0 & 0x7f)),
        Format::MovCc => {
            let cc = w.move_cc();
            write!(f, "{name}{}  {}, ", condition(w.move_cond(), cc < 4), CC[usize::from(cc)])?;
            if w.i() { write!(f, "{}, {rd}", Imm(w.simm11())) } else { write!(f, "{rs2}, {rd}") }
        }
        Format::MovR => {
            write!(f, "{name}{}  {rs1}, ", move_rcond(w.move_rcond()))?;
            if w.i() { write!(f, "{}, {rd}", Imm(w.simm10())) } else { write!(f, "{rs2}, {rd}") }
        }
        Format::Popc => write!(f, "{name}  {}, {rd}", Second(w)),
        Format::Prefetch => write!(f, "{name}  [ {} ], {}", Address(w), Function(w.rd())),
        Format::PrefetchAsi => {
            write!(f, "{name}  [ {} ] {}, {}", Address(w), Asi(w), Function(w.rd()))
        }
        Format::RdAsr => write!(f, "{name}  {}, {rd}", Asr(w.rs1())),
        Format::RdPr => write!(f, "{name}  {}, {rd}", privileged(w.rs1())),
        Format::Return => write!(f, "{name}  {}", Address(w)),
        Format::Sethi => write!(f, "{name}  %hi({}), {rd}", Hex(u64::from(w.imm22()) << 10)),
        Format::Shift => {
            let x = if w.shift_x() { "x" } else { "" };
            let count = i64::from(w.0 & if w.shift_x() { 63 } else { 31 });
            if w.i() {
                write!(f, "{name}{x}  {rs1}, {}, {rd}", Imm(count))
            } else {
                write!(f, "{name}{x}  {rs1}, {rs2}, {rd}")
            }
        }
        Format::Siam => write!(f, "{name}  {}", w.rs2()),
        Format::Store => write!(f, "{name}  {rd}, [ {} ]", Address(w)),
        Format::StoreAsi => write!(f, "{name}  {rd}, [ {} ] {}", Address(w), Asi(w)),
        Format::StoreD => write!(f, "{name}  {}, [ {} ]", d(w.rd()), Address(w)),
        Format::StoreDAsi => write!(f, "{name}  {}, [ {} ] {}", d(w.rd()), Address(w), Asi(w)),
        Format::StoreFsr => write!(f, "{name}  %fsr, [ {} ]", Address(w)),
        Format::StoreS => write!(f, "{name}  {}, [ {} ]", s(w.rd()), Address(w)),
        Format::StoreSAsi => write!(f, "{name}  {}, [ {} ] {}", s(w.rd()), Address(w), Asi(w)),
        Format::Trap => trap(f, name, w),
        Format::Vis0D => write!(f, "{name}  {}", d(w.rd())),
        Format::Vis0S => write!(f, "{name}  {}", s(w.rd())),
        Format::Vis1D => write!(f, "{name}  {}, {}", d(w.rs1()), d(w.rd())),
        Format::Vis1S => write!(f, "{name}  {}, {}", s(w.rs1()), s(w.rd())),
        Format::VisDDR => write!(f, "{name}  {}, {}, {rd}", d(w.rs1()), d(w.rs2())),
        Format::VisRRR => write!(f, "{name}  {rs1}, {rs2}, {rd}"),
        Format::WrAsr => write!(f, "{name}  {rs1}, {}, {}", Second(w), Asr(w.rd())),
        Format::WrPr => write!(f, "{name}  {rs1}, {}, {}", Second(w), privileged(w.rd())),
    }
}

/// A single register.
struct Single(u8);

impl Display for Single {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "%f{}", self.0)
    }
}

/// A double register.
struct Double(u8);

impl Display for Double {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "%f{}", super::double(self.0))
    }
}

/// A branch's name with its condition and flags.
fn branch(f: &mut Formatter<'_>, name: &str, w: Word, float: bool, predicted: bool) -> fmt::Result {
    let condition = if w.cond() == 8 { "" } else { condition(w.cond(), float) };
    write!(f, "{name}{condition}")?;
    flags(f, w.annul(), predicted)
}

fn flags(f: &mut Formatter<'_>, annul: bool, predicted: bool) -> fmt::Result {
    f.write_str(match (annul, predicted) {
        (true, true) => ",a   ",
        (true, false) => ",a,pn   ",
        (false, true) => "  ",
        (false, false) => ",pn   ",
    })
}

fn trap(f: &mut Formatter<'_>, name: &str, w: Word) -> fmt::Result {
    let rs1 = reg::integer(w.rs1());
    write!(f, "{name}{}  ", condition(w.cond(), false))?;
    if w.trap_cc() == 2 {
        f.write_str("%xcc, ")?;
    }
    match w.i() {
        true if w.rs1() == 0 => Imm(i64::from(w.imm_trap())).fmt(f),
        true => write!(f, "{rs1} + {}", Imm(i64::from(w.imm_trap()))),
        false if w.rs2() == 0 => f.write_str(rs1),
        false => write!(f, "{rs1} + {}", reg::integer(w.rs2())),
    }
}
