//! A case, step by step on our side: does it stay where it should, and does it meet a
//! fault of QEMU's?
//!
//! An instruction that rightly traps is taken out. Behind an instruction that QEMU
//! does wrong there is nothing to compare, so the case ends with it: what follows
//! becomes `nop`, and windows are restored.

use super::builder::{is_transfer, size};
use super::case::{Case, NOP, RESTORE, WINDOW, WINDOW_BYTES};
use super::faults::{self, Fault};
use super::strand::{Bench, Trap};
use sim::engine::Exit;
use sun4v::isa::{Format, Op, Word, decode, tt};

/// Steps that no case needs.
const STEPS_MAX: u64 = 64;
/// FSR.TEM.
const TEM: u64 = 0x1f << 23;

/// Why a case is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unfit {
    /// It does not end where it should, or accesses memory outside the window.
    Leaves,
    /// It traps, and should not: a fault of ours, or of the generator.
    Traps(usize, Trap),
}

/// What is known of a case that is fit.
#[derive(Clone, Debug, Default)]
pub struct Fit {
    /// Instructions that it executes.
    pub steps: u64,
    /// The fault of QEMU's that it ends with.
    pub fault: Option<Fault>,
    /// The instructions themselves.
    pub executed: Vec<Op>,
}

enum Step {
    End(Fit),
    /// The instruction there traps, as it should.
    TakeOut(usize),
    /// QEMU is wrong there, at that depth.
    Cut(usize, usize),
}

/// Makes a case fit, and says what is known of it.
pub fn settle(bench: &mut Bench, case: &mut Case) -> Result<Fit, Unfit> {
    loop {
        bench.place(std::slice::from_ref(case));
        match walk(bench, case)? {
            Step::End(fit) => return Ok(fit),
            Step::TakeOut(index) => case.words[index] = NOP,
            Step::Cut(index, depth) => {
                let length = case.words.len();
                if index + 1 + depth > length {
                    return Err(Unfit::Leaves);
                }
                case.words[index + 1..].fill(NOP);
                case.words[length - depth..].fill(RESTORE);
            }
        }
    }
}

fn walk(bench: &mut Bench, case: &Case) -> Result<Step, Unfit> {
    bench.load(&case.state);
    let mut fit = Fit::default();
    // The last instruction that wrote condition codes.
    let (mut codes, mut slot) = (None, false);
    // Its delay slot would be outside.
    let last = case.words.last().copied().and_then(decode);
    if last.is_some_and(is_transfer) {
        return Err(Unfit::Leaves);
    }
    loop {
        let (pc, npc) = (bench.pc(), bench.npc());
        if pc == case.end() {
            let sound = npc == pc + 4 && bench.depth() == 0;
            return if sound { Ok(Step::End(fit)) } else { Err(Unfit::Leaves) };
        }
        if !(case.start()..case.end()).contains(&pc) || fit.steps == STEPS_MAX {
            return Err(Unfit::Leaves);
        }
        let index = ((pc - case.start()) / 4) as usize;
        let word = case.words[index];
        let (Some(op), w) = (decode(word), Word(word)) else { return Err(Unfit::Leaves) };
        if outside(bench, op, w) || is_transfer(op) && op != Op::Tcc && slot {
            return Err(Unfit::Leaves);
        }
        let fault = faults::of(bench, codes, op, w);
        if fault == Some(Fault::Traps) {
            return Ok(Step::TakeOut(index));
        }
        let before = Before { op, operand: operand2(bench, w), enabled: bench.fsr() & TEM };
        if let Err(trap) = bench.run(1) {
            return match is_right(before, trap) {
                true => Ok(Step::TakeOut(index)),
                false => Err(Unfit::Traps(index, trap)),
            };
        }
        fit.steps += 1;
        fit.executed.push(op);
        slot = is_transfer(op) && bench.pc() == pc + 4 && op != Op::Tcc;
        if faults::writes_codes(op, w) {
            codes = Some(op);
        }
        if fault.is_some() {
            let quiet = |word: &u32| matches!(*word, NOP | RESTORE);
            if fit.fault.is_some() || !case.words[index + 1..].iter().all(quiet) {
                return Ok(Step::Cut(index, bench.depth()));
            }
            fit.fault = fault;
        }
    }
}

fn operand2(bench: &Bench, w: Word) -> u64 {
    if w.i() { w.simm13() as u64 } else { bench.r(w.rs2()) }
}

/// What decides whether a trap is right.
struct Before {
    op: Op,
    operand: u64,
    enabled: u64,
}

/// Is it a trap that the instruction should take with its operands? Whether it should
/// is not looked at where it takes more than a look: there QEMU says it, since an
/// instruction that does not trap here is compared.
fn is_right(before: Before, Trap(exit): Trap) -> bool {
    let Before { op, operand, enabled } = before;
    let Exit::Plain { tt } = exit else { return op == Op::Tcc };
    match op {
        Op::Udivx | Op::Sdivx => tt == tt::DIVISION_BY_ZERO && operand == 0,
        Op::Udiv | Op::Sdiv | Op::Udivcc | Op::Sdivcc => {
            tt == tt::DIVISION_BY_ZERO && operand as u32 == 0
        }
        Op::TaddCcTv | Op::TsubCcTv => tt == tt::TAG_OVERFLOW,
        Op::Tcc => true,
        _ => tt == tt::FP_EXCEPTION_IEEE_754 && enabled != 0,
    }
}

/// Does an instruction access memory outside the window?
fn outside(bench: &Bench, op: Op, w: Word) -> bool {
    let asi = if w.i() { bench.asi() } else { w.imm_asi() };
    let base = bench.r(w.rs1());
    let sum = base.wrapping_add(operand2(bench, w));
    let (ea, bytes) = match op.row().format {
        Format::Load
        | Format::Store
        | Format::LoadS
        | Format::StoreS
        | Format::LoadD
        | Format::StoreD
        | Format::LoadFsr
        | Format::StoreFsr => (sum, size(op)),
        Format::Cas => (base, size(op)),
        Format::LoadAsi | Format::StoreAsi | Format::LoadSAsi | Format::StoreSAsi => match asi {
            // The whole line.
            0xe2 | 0xe3 | 0xea | 0xeb if op != Op::LdtwA => (sum & !63, 64),
            0xe2 | 0xe3 | 0xea | 0xeb => (sum, 16),
            _ => (sum, size(op)),
        },
        Format::LoadDAsi | Format::StoreDAsi => match asi & !8 {
            0xc0..=0xc5 => (base, 8),
            0xd0 | 0xd1 => (sum, 1),
            0xd2 | 0xd3 => (sum, 2),
            0xe0 | 0xe1 | 0xf0 | 0xf1 => (sum, 64),
            _ => (sum, 8),
        },
        _ => return false,
    };
    ea % bytes != 0 || ea < WINDOW || ea + bytes > WINDOW + WINDOW_BYTES
}
