//! The hypercall trace: one stable text line a call.
//!
//! `TIME GUEST VCPU NAME(args) = STATUS results`; time in picoseconds, numbers in
//! hexadecimal.

use crate::trap::Answer;
use std::fmt::Write as _;
use sun4v::hcall::{HvError, Row};
use sun4v::id::VcpuId;
use sun4v::time::SimTime;

/// Lines of one guest since the last boundary, and what is traced of it at all.
#[derive(Debug, Default)]
pub struct Trace {
    /// [`TEXT`] and [`TRAPS`]; zero is the usual case, which costs one look.
    kinds: u8,
    lines: Vec<(SimTime, VcpuId, String)>,
}

/// Lines are kept.
const TEXT: u8 = 1;
/// A virtual CPU's traps are recorded in the guest's memory.
const TRAPS: u8 = 2;

impl Trace {
    /// Is anything traced?
    #[must_use]
    #[inline]
    pub const fn any(&self) -> bool {
        self.kinds != 0
    }

    /// Are lines kept?
    #[must_use]
    #[inline]
    pub const fn text(&self) -> bool {
        self.kinds & TEXT != 0
    }

    /// Are traps recorded in the guest's memory?
    #[must_use]
    #[inline]
    pub const fn traps(&self) -> bool {
        self.kinds & TRAPS != 0
    }

    /// Turns the lines on or off.
    pub fn set_text(&mut self, on: bool) {
        self.kinds = self.kinds & !TEXT | if on { TEXT } else { 0 };
    }

    /// Says whether traps are recorded.
    pub fn set_traps(&mut self, on: bool) {
        self.kinds = self.kinds & !TRAPS | if on { TRAPS } else { 0 };
    }

    /// Notes a call; a `None` answer is one that waits for the boundary.
    pub fn call(
        &mut self,
        (at, guest, vcpu): (SimTime, &str, VcpuId),
        row: Option<&Row>,
        args: &[u64],
        answer: Option<&Answer>,
    ) {
        if !self.text() {
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
        if self.text() {
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
