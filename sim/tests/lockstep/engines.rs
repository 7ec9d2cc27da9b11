//! Two engines that run one after the other: the fast one says after every block where
//! it is, the reference goes there too and compares.

use crossbeam_channel::{Receiver, Sender, bounded};
use sim::chip::strand::Strand;
use sim::engine::{Cached, Counts, Engine, Exit, Interp, Place};
use std::fmt::Debug;

/// Turns whose marks may wait to be compared.
const WAITING: usize = 64;

/// Where the fast engine was.
struct Mark {
    strand: Strand,
    last: u64,
    /// How its turn ended, if it did.
    exit: Option<Exit>,
}

/// The fast engine.
pub struct Leader {
    engine: Cached,
    turns: Sender<Vec<Mark>>,
}

/// The reference.
pub struct Follower {
    turns: Receiver<Vec<Mark>>,
    /// Blocks compared.
    pub compared: u64,
}

/// Engines that belong together.
pub fn pair() -> (Leader, Follower) {
    let (send, receive) = bounded(WAITING);
    let leader = Leader { engine: Cached::one_block(), turns: send };
    (leader, Follower { turns: receive, compared: 0 })
}

impl Engine for Leader {
    fn run(&mut self, mut place: Place<'_>, until: u64) -> Exit {
        let mut marks = Vec::new();
        loop {
            let exit = self.engine.run(place.again(), until);
            let ends = exit != Exit::Budget || place.strand.tick >= until;
            marks.push(Mark {
                strand: place.strand.clone(),
                last: place.clock.last,
                exit: ends.then_some(exit),
            });
            if ends {
                // The reference is gone when it has found a difference.
                let _ = self.turns.send(marks);
                return exit;
            }
        }
    }

    fn pending(&self, counts: &mut Counts) {
        self.engine.pending(counts);
    }
}

impl Engine for Follower {
    fn run(&mut self, mut place: Place<'_>, until: u64) -> Exit {
        let mut before = place.strand.clone();
        for mark in self.turns.recv().expect("the fast engine has had as many turns") {
            let to = if mark.exit.is_some() { until } else { mark.strand.tick };
            let exit = Interp.run(place.again(), to);
            self.compared += 1;
            let wanted = mark.exit.unwrap_or(Exit::Budget);
            let same = (exit, place.clock.last) == (wanted, mark.last);
            let difference = difference(&mark.strand, place.strand, mark.exit.is_some());
            if !same || difference.is_some() {
                panic!(
                    "from pc {:#x} (npc {:#x}, tl {}, tick {}): cached {wanted:?}, interp {exit:?}\n{}",
                    before.pc,
                    before.npc,
                    before.tl,
                    before.tick,
                    difference.unwrap_or_default(),
                );
            }
            if let Some(exit) = mark.exit {
                return exit;
            }
            before = mark.strand;
        }
        panic!("a turn that does not end");
    }
}

fn push<T: PartialEq + Debug>(to: &mut String, name: &str, cached: T, interp: T) {
    if cached != interp {
        to.push_str(&format!("  {name}: cached {cached:x?}, interp {interp:x?}\n"));
    }
}

/// What of two strands is not the same; all windows are looked at when `whole`.
fn difference(cached: &Strand, interp: &Strand, whole: bool) -> Option<String> {
    let mut text = String::new();
    macro_rules! compare {
        ($($field:ident)*) => {$(
            push(&mut text, stringify!($field), &cached.$field, &interp.$field);
        )*};
    }
    compare!(pc npc tick busy y asi pstate tl pil tba fp fsr gsr fprs traps softint pcr pic scratch);
    compare!(contexts queues mmu_on state trapped tag_context sfar am fp_on tct spin hint);
    push(&mut text, "ccr", cached.cc.ccr(), interp.cc.ccr());
    push(&mut text, "gl", cached.regs.gl(), interp.regs.gl());
    push(&mut text, "windows", cached.regs.window_state(), interp.regs.window_state());
    for n in 0..32 {
        push(&mut text, &format!("r{n}"), cached.regs.get(n), interp.regs.get(n));
    }
    if whole {
        push(&mut text, "all registers", cached.regs.save(), interp.regs.save());
        push(&mut text, "tick_cmpr", cached.tick_cmpr.due(), interp.tick_cmpr.due());
        push(&mut text, "stick_cmpr", cached.stick_cmpr.due(), interp.stick_cmpr.due());
    }
    (!text.is_empty()).then_some(text)
}
