//! GNU objdump as an oracle for instruction text, and where it is meant to differ.
//!
//! **Errors.** None: [`intended`] names the rule by which two texts may differ, or
//! there is no such rule and the caller reports the word.
//!
//! **Source.** GNU binutils 2.40, machine `sparc:v9d`: UltraSPARC Architecture
//! 2007, which is T2's.

use std::process::{Command, Stdio};

use sun4v::isa::disas::Insn;
use sun4v::isa::{Op, Word, decode, reg};

/// The program.
pub const OBJDUMP: &str = "sparc64-linux-gnu-objdump";

/// The machine whose instructions it shows.
pub const MACHINE: &str = "-msparc:v9d";

/// A difference that is meant to be.
pub struct Intended {
    /// What it is called in a count.
    pub name: &'static str,
    /// Why it is.
    pub why: &'static str,
    /// What objdump prints of this instruction, where the rule applies to it; the
    /// text is the one of this project.
    theirs: fn(Insn, &str) -> Theirs,
}

/// What a rule expects of objdump.
enum Theirs {
    /// Nothing: the rule is not about this word.
    NotMine,
    /// Whatever it has for an instruction of another processor.
    Anything,
    /// Exactly this.
    Text(String),
}

/// Every difference that is meant to be. That a word is refused rightly is another
/// test's business: `legal.rs` has the rules of the processor a second time.
pub const INTENDED: [Intended; 5] = [
    Intended {
        name: "refused",
        why: "T2 does not execute the word, so it has no text here; objdump does not look at \
              reserved fields and knows processors before and after T2",
        theirs: |insn, ours| match decode(insn.word) {
            None if ours == "unknown" => Theirs::Anything,
            _ => Theirs::NotMine,
        },
    },
    Intended {
        name: "illtrap with bit 21",
        why: "the constant of ILLTRAP has no sign in the manual; objdump extends its bit 21",
        theirs: |insn, _| match insn.word {
            0x0020_0000..=0x003f_ffff => {
                Theirs::Text(format!("illtrap  {:#x}", insn.word | 0xffc0_0000))
            }
            _ => Theirs::NotMine,
        },
    },
    Intended {
        name: "trap on %xcc",
        why: "the number of a trap is in bits 7:0; objdump takes bits 12:0, and with %xcc bit 12 \
              is set",
        theirs: |insn, ours| {
            let w = Word(insn.word);
            match decode(insn.word) {
                Some(Op::Tcc) if w.i() && w.trap_cc() == 2 => wide_trap(w, ours),
                _ => Theirs::NotMine,
            }
        },
    },
    Intended {
        name: "return that keeps its address",
        why: "JMPL to %i7 + 8 or %o7 + 8 that writes a register other than %g0 is not a mere \
              return; objdump does not look at rd",
        theirs: |insn, ours| {
            let w = Word(insn.word);
            let name = match w.rs1() {
                reg::I7 => "ret",
                reg::O7 => "retl",
                _ => return Theirs::NotMine,
            };
            let returns = w.i() && w.simm13() == 8 && w.rd() != reg::G0;
            if decode(insn.word) != Some(Op::Jmpl) || !returns {
                return Theirs::NotMine;
            }
            let sum = ours.find('\t').map_or("", |at| &ours[at..]);
            Theirs::Text(format!("{name}{sum}"))
        },
    },
    Intended {
        name: "sum behind a refused word",
        why: "objdump takes the refused word for a branch and adds what SETHI has set before it",
        theirs: |insn, _| match insn.before {
            [Some(last), earlier] if decode(last).is_none() => {
                Theirs::Text(Insn { before: [earlier, None], ..insn }.to_string())
            }
            _ => Theirs::NotMine,
        },
    },
];

/// The text of a trap whose number is taken from bits 12:0, also in its sum.
fn wide_trap(w: Word, ours: &str) -> Theirs {
    let (text, sum) = match ours.split_once("\t! 0x") {
        Some((text, sum)) => (text, u64::from_str_radix(sum, 16).ok()),
        None => (ours, None),
    };
    let Some((before, _)) = text.rsplit_once(' ') else { return Theirs::NotMine };
    let wide = w.simm13();
    Theirs::Text(match sum {
        Some(sum) => {
            let sum = sum.wrapping_add_signed(wide - i64::from(w.imm_trap()));
            format!("{before} {wide}\t! {sum:#x}")
        }
        None => format!("{before} {wide}"),
    })
}

/// Which rule of [`INTENDED`] explains that the two texts differ, if one does.
pub fn intended(insn: Insn, ours: &str, theirs: &str) -> Option<usize> {
    INTENDED.iter().position(|rule| match (rule.theirs)(insn, ours) {
        Theirs::NotMine => false,
        Theirs::Anything => true,
        Theirs::Text(text) => text == theirs,
    })
}

/// Is a tool there? If not, what is not tested is said loudly.
pub fn is_there(tool: &str, what: &str) -> bool {
    let there = Command::new(tool).arg("--version").stdout(Stdio::null()).status().is_ok();
    if !there {
        eprintln!("SKIPPED: {tool} is not installed; not compared: {what}");
    }
    there
}
