//! Register numbers and names.
//!
//! **Shapes.** A number is the one that stands in the instruction's field; names
//! have their `%`. Single registers are the fields 0 to 31; for doubles see
//! [`double`](super::double).
//!
//! **Source.** UltraSPARC Architecture 2007, chapters 5 and 7; names as the GNU
//! assembler writes them; which of them T2 has is decided by the table's rules.

/// An integer register as a field names it.
pub const G0: u8 = 0;
/// First out register, `%o0`.
pub const O0: u8 = 8;
/// Stack pointer, `%o6`.
pub const SP: u8 = 14;
/// Where CALL puts its own address, `%o7`.
pub const O7: u8 = 15;
/// First local register, `%l0`.
pub const L0: u8 = 16;
/// First in register, `%i0`.
pub const I0: u8 = 24;
/// Frame pointer, `%i6`.
pub const FP: u8 = 30;
/// The caller's `%o7`, `%i7`.
pub const I7: u8 = 31;

/// Name of integer register `r`, 0 to 31; higher bits are ignored.
#[must_use]
pub const fn integer(r: u8) -> &'static str {
    [
        "%g0", "%g1", "%g2", "%g3", "%g4", "%g5", "%g6", "%g7", //
        "%o0", "%o1", "%o2", "%o3", "%o4", "%o5", "%sp", "%o7", //
        "%l0", "%l1", "%l2", "%l3", "%l4", "%l5", "%l6", "%l7", //
        "%i0", "%i1", "%i2", "%i3", "%i4", "%i5", "%fp", "%i7",
    ][(r & 31) as usize]
}

macro_rules! registers {
    ($(#[$doc:meta])* $names:ident: $($(#[$each:meta])* $name:ident = $number:literal, $text:literal;)*) => {
        $(#[$doc])*
        pub mod $names {
            $($(#[$each])* pub const $name: u8 = $number;)*

            /// Its name, where it has one.
            #[must_use]
            pub const fn name(number: u8) -> Option<&'static str> {
                match number {
                    $($number => Some($text),)*
                    _ => None,
                }
            }
        }
    };
}

registers! {
    /// Ancillary state registers: `rd`, `wr`.
    asr:
    /// Upper half of a 32-bit product, or of a dividend.
    Y = 0, "%y";
    /// Condition codes: xcc in bits 7:4, icc in 3:0, each NZVC.
    CCR = 2, "%ccr";
    /// The ASI of alternate accesses with an immediate offset.
    ASI = 3, "%asi";
    /// Cycle counter.
    TICK = 4, "%tick";
    /// Address of the instruction that reads it.
    PC = 5, "%pc";
    /// Floating-point enable, and which halves were written.
    FPRS = 6, "%fprs";
    /// Performance control.
    PCR = 16, "%pcr";
    /// Performance counters.
    PIC = 17, "%pic";
    /// Graphics status.
    GSR = 19, "%gsr";
    /// Sets bits of SOFTINT; write only.
    SOFTINT_SET = 20, "%softint_set";
    /// Clears bits of SOFTINT; write only.
    SOFTINT_CLR = 21, "%softint_clear";
    /// Pending software interrupts.
    SOFTINT = 22, "%softint";
    /// When TICK interrupts.
    TICK_CMPR = 23, "%tick_cmpr";
    /// System timer.
    STICK = 24, "%stick";
    /// When STICK interrupts.
    STICK_CMPR = 25, "%stick_cmpr";
}

registers! {
    /// Privileged registers: `rdpr`, `wrpr`.
    privileged:
    /// PC of the trap at TL.
    TPC = 0, "%tpc";
    /// NPC of the trap at TL.
    TNPC = 1, "%tnpc";
    /// State saved by the trap at TL.
    TSTATE = 2, "%tstate";
    /// Type of the trap at TL.
    TT = 3, "%tt";
    /// Cycle counter.
    TICK = 4, "%tick";
    /// Trap base address.
    TBA = 5, "%tba";
    /// Processor state.
    PSTATE = 6, "%pstate";
    /// Trap level.
    TL = 7, "%tl";
    /// Interrupt level.
    PIL = 8, "%pil";
    /// Current window.
    CWP = 9, "%cwp";
    /// Windows that SAVE may take.
    CANSAVE = 10, "%cansave";
    /// Windows that RESTORE may return to.
    CANRESTORE = 11, "%canrestore";
    /// Windows that need no cleaning.
    CLEANWIN = 12, "%cleanwin";
    /// Windows that belong to somebody else.
    OTHERWIN = 13, "%otherwin";
    /// Which spill and fill handlers.
    WSTATE = 14, "%wstate";
    /// Global level.
    GL = 16, "%gl";
}
