//! The reference interpreter: one instruction after the other, as they are written in
//! [`super::exec`].
//!
//! There is no look for interrupts between all instructions: what may make one pending
//! (`Flow::Sync`) asks for it, and a compare register that will match ends the budget.

use super::exec::{Flow, Run};
use super::{Engine, Exit, Place};

/// The interpreter.
#[derive(Clone, Copy, Debug, Default)]
pub struct Interp;

impl Engine for Interp {
    fn run(&mut self, place: Place<'_>, until: u64) -> Exit {
        let mut run = Run::new(place);
        loop {
            let limit = match run.look(until) {
                Ok(limit) => limit,
                Err(exit) => return exit,
            };
            while run.strand.tick < limit {
                match run.step() {
                    Ok(Flow::Next) => {}
                    Ok(Flow::Sync | Flow::Jump) => break,
                    Ok(Flow::Spin) => return Exit::Spin,
                    Err(stop) => {
                        if let Some(exit) = run.stopped(stop) {
                            return exit;
                        }
                    }
                }
            }
        }
    }
}
