//! A call as readable text: who called with what, the answer, and what changed.
//!
//! **Shape.** One line for the call and its arguments by name, one for the status and the
//! results by name, then a line for each value that is another one than before: of the
//! guests' records and states, of what was done to their virtual CPUs, of the machine, and of
//! memory (a doubleword a line, by the real address of the guest whose it is). `+` is new,
//! `-` is gone. All numbers are hexadecimal.

use super::{Board, Lab};
use crate::Hypervisor;
use std::collections::BTreeMap;
use std::fmt::{self, Write as _};
use sun4v::addr::Pa;
use sun4v::hcall::{HvError, all};
use sun4v::id::GuestId;

/// Lines about memory that one call shows at most; the rest is counted.
const MEMORY_LINES_MAX: usize = 16;

/// A call that was made, as text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown {
    /// Its status; `None` where the call did not return.
    pub status: Option<u64>,
    /// The text.
    pub text: String,
}

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Lab {
    /// Makes a call by its name, with a boundary after it, and says what it did. Arguments
    /// that are not given are zero.
    ///
    /// # Panics
    /// There is no call of this name, or it takes fewer arguments.
    pub fn show(&mut self, name: &str, args: &[u64]) -> Shown {
        let Some(row) = all().find(|row| row.name == name) else { panic!("no call {name}") };
        assert!(args.len() <= row.args.len(), "{name} takes {:?}", row.args);
        let mut regs = [0; 5];
        regs[..args.len()].copy_from_slice(args);
        let before = Everything::of(&self.hv, &self.board);
        let (guest, vcpu) = self.caller;
        let answer = self.make(row.trap, row.nr, regs);
        self.hv.boundary(&mut self.board);
        let after = Everything::of(&self.hv, &self.board);
        let mut text = format!("{name}(");
        for (at, (name, value)) in row.args.iter().zip(regs).enumerate() {
            let comma = if at == 0 { "" } else { ", " };
            // Writing to a string cannot fail.
            let _ = write!(text, "{comma}{name} {value:#x}");
        }
        let _ = writeln!(text, ") by guest{} v{vcpu}", guest.0);
        match &answer {
            None => text.push_str("does not return"),
            Some(answer) => {
                let status = HvError::from_code(answer.status);
                let _ = write!(text, "= {}", status.map_or("EOK", HvError::name));
                for at in 0..answer.count {
                    let name = row.rets.get(at).copied().unwrap_or("cleared");
                    let _ = write!(text, " {name} {:#x}", answer.rets[at]);
                }
            }
        }
        text.push('\n');
        text.push_str(&after.changes(&before));
        Shown { status: answer.map(|answer| answer.status), text }
    }
}

/// All that a call may change, as text by path; and memory.
struct Everything {
    values: BTreeMap<String, String>,
    memory: super::Pages,
    /// Where guests' memory lies: guest, real and physical address, bytes.
    maps: Vec<(GuestId, u64, u64, u64)>,
}

impl Everything {
    fn of(hv: &Hypervisor, board: &Board) -> Self {
        let (mut values, mut maps) = (BTreeMap::new(), Vec::new());
        let mut note = |path: String, debug: &str| flatten(&path, debug, &mut values);
        for guest in hv.guests.values().flatten() {
            let name = format!("guest{}", guest.id.0);
            note(format!("{name}.state"), &format!("{:?}", guest.state));
            note(name, &format!("{:#x?}", guest.record()));
            maps.extend(guest.map.ranges().iter().map(|r| (guest.id, r.ra.0, r.pa.0, r.size)));
        }
        for (guest, seats) in &board.seats {
            for (vcpu, seen) in &seats.seen {
                note(format!("guest{} v{vcpu}", guest.0), &format!("{seen:#x?}"));
            }
        }
        note("console".to_owned(), &format!("{:?}", board.console));
        note("started".to_owned(), &format!("{:#x?}", board.started));
        note("exited".to_owned(), &format!("{:#x?}", board.exited));
        note("submitted".to_owned(), &format!("{:#x?}", board.words));
        Self { values, memory: board.memory.snapshot(), maps }
    }

    fn changes(&self, before: &Self) -> String {
        let mut text = String::new();
        let paths = before.values.keys().chain(self.values.keys());
        let paths: std::collections::BTreeSet<_> = paths.collect();
        for path in paths {
            let _ = match (before.values.get(path), self.values.get(path)) {
                (was, is) if was == is => Ok(()),
                (Some(was), Some(is)) => writeln!(text, "  {path}: {was} -> {is}"),
                (None, Some(is)) => writeln!(text, "+ {path}: {is}"),
                (Some(was), None) => writeln!(text, "- {path}: {was}"),
                (None, None) => Ok(()),
            };
        }
        let words = self.memory.differences(&before.memory);
        for (at, was, is) in words.iter().take(MEMORY_LINES_MAX) {
            let _ = writeln!(text, "  {}: {was:#x} -> {is:#x}", self.place(*at));
        }
        if words.len() > MEMORY_LINES_MAX {
            let _ = writeln!(text, "  and {} doublewords more", words.len() - MEMORY_LINES_MAX);
        }
        text
    }

    fn place(&self, pa: Pa) -> String {
        let owner = self.maps.iter().find(|(_, _, base, size)| pa.0.wrapping_sub(*base) < *size);
        match owner {
            Some((guest, ra, base, _)) => {
                format!("guest{} memory {:#x}", guest.0, pa.0 - base + ra)
            }
            None => format!("memory {:#x}", pa.0),
        }
    }
}

/// An open bracket in pretty debug text.
struct Bracket {
    path: String,
    children: usize,
    /// A wrapper such as `Some(`, which is no step of a path.
    wrapper: bool,
    /// The values of a list that has nothing but values; taken out of it when it ends.
    leaves: Vec<String>,
}

impl Bracket {
    fn new(path: String, wrapper: bool) -> Self {
        Self { path, children: 0, wrapper, leaves: Vec::new() }
    }

    /// A list of numbers on one line; bytes are joined to one number.
    fn joined(&self) -> Option<String> {
        if self.wrapper || self.children < 3 || self.leaves.len() != self.children {
            return None;
        }
        let digits: Option<Vec<&str>> =
            self.leaves.iter().map(|leaf| leaf.strip_prefix("0x")).collect();
        let digits = digits?;
        if self.children >= 8 && digits.iter().all(|digits| digits.len() <= 2) {
            return Some(digits.iter().map(|digits| format!("{digits:0>2}")).collect());
        }
        Some(format!("[{}]", self.leaves.join(", ")))
    }
}

/// Takes pretty debug text apart: a path and a value for each leaf.
fn flatten(path: &str, debug: &str, out: &mut BTreeMap<String, String>) {
    let mut open = vec![Bracket::new(path.to_owned(), true)];
    for line in debug.lines() {
        let line = line.trim().trim_end_matches(',');
        if matches!(line, "}" | "]" | ")") {
            let closed = open.pop();
            if let Some((list, joined)) = closed.and_then(|list| Some((list.joined()?, list))) {
                (0..joined.children)
                    .for_each(|at| drop(out.remove(&format!("{}[{at}]", joined.path))));
                out.insert(joined.path, list);
            }
            continue;
        }
        let Some(parent) = open.last_mut() else { return };
        let named = line.split_once(": ").filter(|(name, _)| !name.starts_with('"'));
        let (child, value) = match named {
            Some((name, value)) => (format!("{}.{name}", parent.path), value),
            None => {
                parent.children += 1;
                let step = match (parent.wrapper, parent.children) {
                    (true, 1) => String::new(),
                    (_, count) => format!("[{}]", count - 1),
                };
                (format!("{}{step}", parent.path), line)
            }
        };
        if value.ends_with(['{', '[', '(']) {
            let wrapper = value.len() > 1 && value.ends_with('(');
            open.push(Bracket::new(child, wrapper));
        } else {
            if named.is_none() {
                parent.leaves.push(value.to_owned());
            }
            out.insert(child, value.to_owned());
        }
    }
}

#[cfg(test)]
mod test {
    use super::flatten;
    use std::collections::BTreeMap;

    #[test]
    fn debug_text_is_taken_apart_by_path() {
        #[derive(Debug)]
        #[expect(dead_code, reason = "it is only printed")]
        struct Outer {
            list: Vec<(u8, Option<u16>)>,
            none: Option<u8>,
            bytes: [u8; 9],
            numbers: [u16; 3],
            text: &'static str,
        }
        let outer = Outer {
            list: vec![(1, Some(0x20)), (3, None)],
            none: None,
            bytes: [7; 9],
            numbers: [1, 2, 300],
            text: "a: b",
        };
        let mut out = BTreeMap::new();
        flatten("x", &format!("{outer:#x?}"), &mut out);
        let lines: Vec<_> = out.iter().map(|(path, value)| format!("{path} = {value}")).collect();
        let expected = [
            "x.bytes = 070707070707070707",
            "x.list[0][0] = 0x1",
            "x.list[0][1] = 0x20",
            "x.list[1][0] = 0x3",
            "x.list[1][1] = None",
            "x.none = None",
            "x.numbers = [0x1, 0x2, 0x12c]",
            "x.text = \"a: b\"",
        ];
        assert_eq!(lines, expected);
    }
}
