//! The hypercall trace: one stable text line a call.
//!
//! `TIME GUEST VCPU NAME(args) = STATUS results`; time in picoseconds, numbers in
//! hexadecimal.

use crate::trap::Answer;
use std::fmt::Write as _;
use sun4v::hcall::{HvError, Row};
use sun4v::id::VcpuId;
use sun4v::time::SimTime;

/// Lines of one guest since the last boundary.
#[derive(Debug, Default)]
pub struct Trace {
    /// Off: nothing is kept.
    pub on: bool,
    lines: Vec<(SimTime, VcpuId, String)>,
}

impl Trace {
    /// Notes a call; a `None` answer is one that waits for the boundary.
    pub fn call(
        &mut self,
        (at, guest, vcpu): (SimTime, &str, VcpuId),
        row: Option<&Row>,
        args: &[u64],
        answer: Option<&Answer>,
    ) {
        if !self.on {
            return;
        }
        let name = row.map_or("unknown", |row| row.name);
        let mut line = format!("{:>17} {guest} v{vcpu} {name}(", at.0);
        let wanted = row.map_or(args.len(), |row| row.args.len());
        for (index, arg) in args.iter().take(wanted).enumerate() {
            let comma = if index == 0 { "" } else { ", " };
            // Writing to a string cannot fail.
            let _ = write!(line, "{comma}{arg:#x}");
        }
        line.push(')');
        match answer {
            None => line.push_str(" ..."),
            Some(answer) => {
                let status = match HvError::from_code(answer.status) {
                    None if answer.status == 0 => "EOK",
                    None => "?",
                    Some(error) => error.name(),
                };
                let _ = write!(line, " = {status}");
                for ret in &answer.rets[..answer.count] {
                    let _ = write!(line, " {ret:#x}");
                }
            }
        }
        self.lines.push((at, vcpu, line));
    }

    /// Notes a line of another kind, which begins with the time.
    pub fn note(&mut self, at: SimTime, vcpu: VcpuId, text: &str) {
        if self.on {
            self.lines.push((at, vcpu, format!("{:>17} {text}", at.0)));
        }
    }

    /// Takes the lines out, in order of time, then of virtual CPU, then of calling.
    pub fn take(&mut self) -> Vec<(SimTime, VcpuId, String)> {
        let mut lines = std::mem::take(&mut self.lines);
        lines.sort_by_key(|&(at, vcpu, _)| (at, vcpu));
        lines
    }

    /// True when there is nothing to take.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }
}
