//! Classes of instructions: for timing and for statistics.

use super::insn::Kind;
use serde::{Serialize, Serializer};
use std::fmt;
use sun4v::isa::Op;

/// A class.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Class {
    /// Additions, logic, moves, SETHI, edges, arrays.
    Integer,
    /// Shifts.
    Shift,
    /// Integer products, POPC.
    Multiply,
    /// Integer quotients.
    Divide,
    /// Branches.
    Branch,
    /// CALL, JMPL, RETURN.
    Call,
    /// SAVE, RESTORE, FLUSHW and their like.
    Window,
    /// Loads.
    Load,
    /// Stores.
    Store,
    /// CAS, SWAP, LDSTUB.
    Atomic,
    /// Floating-point additions, products, conversions, comparisons, moves.
    Float,
    /// Quotients and roots of singles.
    FloatDivideSingle,
    /// Of doubles.
    FloatDivideDouble,
    /// VIS.
    Visual,
    /// MEMBAR, FLUSH, PREFETCH, NOP.
    Barrier,
    /// State registers, Tcc, DONE, RETRY.
    State,
    /// No instruction.
    Illegal,
}

/// How many there are.
pub const CLASSES: usize = Class::Illegal as usize + 1;

impl Class {
    /// All, in order.
    pub const ALL: [Self; CLASSES] = [
        Self::Integer,
        Self::Shift,
        Self::Multiply,
        Self::Divide,
        Self::Branch,
        Self::Call,
        Self::Window,
        Self::Load,
        Self::Store,
        Self::Atomic,
        Self::Float,
        Self::FloatDivideSingle,
        Self::FloatDivideDouble,
        Self::Visual,
        Self::Barrier,
        Self::State,
        Self::Illegal,
    ];

    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Integer => "integer",
            Self::Shift => "shift",
            Self::Multiply => "multiply",
            Self::Divide => "divide",
            Self::Branch => "branch",
            Self::Call => "call",
            Self::Window => "window",
            Self::Load => "load",
            Self::Store => "store",
            Self::Atomic => "atomic",
            Self::Float => "float",
            Self::FloatDivideSingle => "float-divide-single",
            Self::FloatDivideDouble => "float-divide-double",
            Self::Visual => "visual",
            Self::Barrier => "barrier",
            Self::State => "state",
            Self::Illegal => "illegal",
        }
    }

    /// The class of a kind that is not [`Kind::Slow`].
    #[must_use]
    pub fn of_kind(kind: Kind) -> Self {
        match kind {
            Kind::Undecoded | Kind::Illegal | Kind::Slow => Self::Illegal,
            Kind::Nop => Self::Barrier,
            Kind::Mulx | Kind::Umul | Kind::Smul => Self::Multiply,
            Kind::Sll | Kind::Srl | Kind::Sra | Kind::Sllx | Kind::Srlx | Kind::Srax => Self::Shift,
            Kind::Udivx | Kind::Sdivx => Self::Divide,
            _ if kind <= Kind::MovRegister => Self::Integer,
            _ if kind <= Kind::BnA => Self::Branch,
            Kind::Call | Kind::Jmpl | Kind::Return => Self::Call,
            Kind::Save | Kind::Restore => Self::Window,
            Kind::Ldf | Kind::Lddf => Self::Load,
            Kind::Stf | Kind::Stdf => Self::Store,
            _ if kind <= Kind::Ldsw => Self::Load,
            _ if kind <= Kind::Stx => Self::Store,
            Kind::FdivD => Self::FloatDivideDouble,
            _ => Self::Float,
        }
    }

    /// The class of a row.
    #[must_use]
    pub fn of(op: Op) -> Self {
        match op {
            Op::Umulcc | Op::Smulcc | Op::Popc | Op::Mulx | Op::Umul | Op::Smul | Op::MulsCc => {
                Self::Multiply
            }
            Op::Udiv | Op::Udivcc | Op::Sdiv | Op::Sdivcc | Op::Udivx | Op::Sdivx => Self::Divide,
            Op::Saved | Op::Restored | Op::Allclean | Op::Otherw | Op::Normalw | Op::Invalw => {
                Self::Window
            }
            Op::Save | Op::Restore | Op::Flushw => Self::Window,
            Op::RdAsr | Op::WrAsr | Op::RdPr | Op::WrPr | Op::Done | Op::Retry | Op::Tcc => {
                Self::State
            }
            Op::Stbar | Op::Membar | Op::Flush | Op::Prefetch | Op::PrefetchA => Self::Barrier,
            Op::CasA | Op::CasxA | Op::Swap | Op::SwapA | Op::Ldstub | Op::LdstubA => Self::Atomic,
            Op::Ldtw | Op::LdtwA | Op::LdubA | Op::LduhA | Op::LduwA | Op::LdsbA | Op::LdshA => {
                Self::Load
            }
            Op::LdswA | Op::LdxA | Op::LdfA | Op::LddfA | Op::Ldfsr | Op::Ldxfsr => Self::Load,
            Op::Sttw | Op::SttwA | Op::StbA | Op::SthA | Op::StwA | Op::StxA | Op::StfA => {
                Self::Store
            }
            Op::StdfA | Op::Stfsr | Op::Stxfsr => Self::Store,
            Op::FdivS | Op::FsqrtS => Self::FloatDivideSingle,
            Op::FdivD | Op::FsqrtD => Self::FloatDivideDouble,
            Op::TaddCc | Op::TaddCcTv | Op::TsubCc | Op::TsubCcTv | Op::MovCc | Op::MovR => {
                Self::Integer
            }
            _ if op.row().source.starts_with("VIS") => Self::Visual,
            _ => Self::Float,
        }
    }
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl Serialize for Class {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}
