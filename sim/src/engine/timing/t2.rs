//! The `t2` model: what an UltraSPARC T2 strand takes for its instructions.
//!
//! **Issue.** A thread group issues one instruction a cycle. While several of its
//! strands have instructions, each is picked every so many cycles: an instruction takes
//! the longer of its latency and its group's turn, since the others issue while a strand
//! waits. Strands that only issue share a group's cycles among them; strands that wait
//! share nothing that is scarce.
//!
//! **Results.** A latency is until the result can be used, as if the next instruction
//! used it. Caches are not modelled: data comes from the level 1 cache, and what an
//! atomic does is done in the level 2 cache, which hits. A quotient takes the same for
//! all operands. NOP, MEMBAR and FLUSH are one class and cost what a NOP costs.
//!
//! **Source.** T2 reference 6; marks there and here: R, the published hardware
//! description; G, GCC's scheduling description of Niagara 2; S, papers of its makers.

use super::Timing;
use crate::engine::class::Class;

/// Simple integer instructions (G: ialu, shift, compare, cmove).
const INTEGER: u32 = 1;
/// Integer products, in the floating-point unit (G: imul).
const MULTIPLY: u32 = 5;
/// Integer quotients (G: idiv; R: 13 to 42 by operands).
const DIVIDE: u32 = 31;
/// Branches and calls themselves; the bubble comes on top when they are taken.
const BRANCH: u32 = 1;
/// SAVE and RESTORE (G: savew).
const WINDOW: u32 = 4;
/// Load to use, from the level 1 cache (S, G: load, fpload).
const LOAD: u32 = 3;
/// Into the store buffer (G: store, fpstore).
const STORE: u32 = 1;
/// Level 2 cache from a core: atomics are done there (about 26; not confirmed).
const ATOMIC: u32 = 26;
/// A floating-point result to its use (S; G has 3).
const FLOAT: u32 = 6;
/// FDIVs, FSQRTs (R: 21 to the result; G: 19).
const FLOAT_DIVIDE_SINGLE: u32 = 21;
/// FDIVd, FSQRTd (R: 35 to the result; G: 33).
const FLOAT_DIVIDE_DOUBLE: u32 = 35;
/// VIS (G: fga, fgm, edge).
const VISUAL: u32 = 6;
/// NOP, and what orders memory, which is in order.
const BARRIER: u32 = 1;
/// State registers, Tcc, DONE, RETRY (G: multi, trap).
const STATE: u32 = 5;
/// The attempt that traps.
const ILLEGAL: u32 = 1;
/// Cycles without an instruction of a strand whose transfer is taken, after its delay
/// slot (S, G: branch).
const BUBBLE: u32 = 5;

/// The model.
#[derive(Clone, Copy, Debug, Default)]
pub struct T2;

const fn latency(class: Class) -> u32 {
    match class {
        Class::Integer | Class::Shift => INTEGER,
        Class::Multiply => MULTIPLY,
        Class::Divide => DIVIDE,
        Class::Branch | Class::Call => BRANCH,
        Class::Window => WINDOW,
        Class::Load => LOAD,
        Class::Store => STORE,
        Class::Atomic => ATOMIC,
        Class::Float => FLOAT,
        Class::FloatDivideSingle => FLOAT_DIVIDE_SINGLE,
        Class::FloatDivideDouble => FLOAT_DIVIDE_DOUBLE,
        Class::Visual => VISUAL,
        Class::Barrier => BARRIER,
        Class::State => STATE,
        Class::Illegal => ILLEGAL,
    }
}

impl Timing for T2 {
    fn name(&self) -> &'static str {
        "t2"
    }
    fn cost(&self, class: Class, sharing: usize) -> u32 {
        latency(class).max(sharing as u32)
    }
    /// The slot issued `sharing` cycles ago; the target can issue when its turn has come
    /// and the bubble is over.
    fn taken(&self, sharing: usize) -> u32 {
        (BUBBLE + 1).saturating_sub(sharing as u32)
    }
}

#[cfg(test)]
mod test {
    use super::{BUBBLE, Class, T2, Timing};
    use crate::engine::timing::GROUP;

    #[test]
    fn nothing_is_faster_than_its_latency_nor_than_its_turn() {
        for class in Class::ALL {
            let alone = T2.cost(class, 1);
            for sharing in 1..=GROUP {
                assert_eq!(T2.cost(class, sharing), alone.max(sharing as u32), "{class:?}");
            }
        }
    }

    #[test]
    fn others_issue_in_a_bubble_but_it_is_never_shorter() {
        for sharing in 1..=GROUP {
            let slot = T2.cost(Class::Barrier, sharing);
            assert_eq!(slot + T2.taken(sharing), BUBBLE + 1);
        }
    }
}
