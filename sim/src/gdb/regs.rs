//! Registers as GDB numbers them, and the target description that says so.
//!
//! **Shapes.** 0 to 85 are those of `sparc:v9`: integer registers, `%f0` to `%f31` as
//! singles, `%f32` to `%f62` as doubles, `pc`, `npc`, `state` (CCR, ASI, PSTATE and CWP as
//! TSTATE has them), `fsr`, `fprs`, `y`. What follows is for privileged code. All are
//! big-endian, of 8 bytes, the singles of 4. `tt` to `tstate` are those of the trap level.
//!
//! **Errors.** `None` for a number that is no register, a value of another size, a
//! register that cannot be written.

use crate::chip::regs::{Cc, WINDOWS};
use crate::chip::strand::{FSR_BITS, GSR_BITS, MAXPTL, SOFTINT_ALL, Strand, TrapLevel, pstate};
use std::fmt::Write as _;

const F0: usize = 32;
const F32: usize = 64;
/// The number of `pc`; `npc` follows.
pub const PC: usize = 80;
const STATE: usize = 82;
const FSR: usize = 83;
const FPRS: usize = 84;
const Y: usize = 85;
const SYSTEM: usize = 86;
/// Bits that TSTATE has.
const TSTATE: u64 = 3 << 40 | 0xffff << 24 | (pstate::ALL as u64) << 8 | 7;

/// Registers of privileged code, from [`SYSTEM`] on.
const SYSTEM_NAMES: [&str; 15] = [
    "tl",
    "gl",
    "pil",
    "tba",
    "tt",
    "tpc",
    "tnpc",
    "tstate",
    "gsr",
    "softint",
    "cansave",
    "canrestore",
    "cleanwin",
    "otherwin",
    "wstate",
];

/// How many there are.
pub const COUNT: usize = SYSTEM + SYSTEM_NAMES.len();

/// Bytes of register `n`.
#[must_use]
pub const fn size(n: usize) -> usize {
    if n >= F0 && n < F32 { 4 } else { 8 }
}

fn level(strand: &mut Strand) -> Option<&mut TrapLevel> {
    strand.traps.get_mut(usize::from(strand.tl).checked_sub(1)?)
}

/// Reads register `n`.
#[must_use]
pub fn read(strand: &Strand, n: usize) -> Option<Vec<u8>> {
    let level = usize::from(strand.tl).checked_sub(1).and_then(|at| strand.traps.get(at));
    let level = level.copied().unwrap_or_default();
    let [cwp, ..] = strand.regs.window_state();
    let value = match n {
        0..F0 => strand.regs.get(n as u8),
        F0..F32 => return Some(strand.single((n - F0) as u8).to_be_bytes().to_vec()),
        F32..PC => strand.double((32 + 2 * (n - F32)) as u8),
        PC => strand.pc,
        81 => strand.npc,
        // TSTATE as a trap would save it, without GL.
        STATE => strand.tstate() & 0xff_ffff_ffff & !0xff | u64::from(cwp),
        FSR => strand.fsr,
        FPRS => u64::from(strand.fprs),
        Y => u64::from(strand.y),
        _ => match *SYSTEM_NAMES.get(n - SYSTEM)? {
            "tl" => u64::from(strand.tl),
            "gl" => u64::from(strand.regs.gl()),
            "pil" => u64::from(strand.pil),
            "tba" => strand.tba,
            "tt" => u64::from(level.tt),
            "tpc" => level.tpc,
            "tnpc" => level.tnpc,
            "tstate" => level.tstate,
            "gsr" => strand.gsr,
            "softint" => u64::from(strand.softint),
            "cansave" => u64::from(strand.regs.cansave),
            "canrestore" => u64::from(strand.regs.canrestore),
            "cleanwin" => u64::from(strand.regs.cleanwin),
            "otherwin" => u64::from(strand.regs.otherwin),
            _ => u64::from(strand.regs.wstate),
        },
    };
    Some(value.to_be_bytes().to_vec())
}

/// Writes register `n`: bits that it does not have are left out.
#[must_use]
pub fn write(strand: &mut Strand, n: usize, bytes: &[u8]) -> Option<()> {
    if let F0..F32 = n {
        let fprs = strand.fprs;
        strand.set_single((n - F0) as u8, u32::from_be_bytes(bytes.try_into().ok()?));
        strand.fprs = fprs;
        return Some(());
    }
    let value = u64::from_be_bytes(bytes.try_into().ok()?);
    let window = value as u8 % WINDOWS;
    match n {
        0..F0 => strand.regs.set(n as u8, value),
        F32..PC => strand.fp[16 + n - F32] = value,
        PC => strand.pc = value & !3,
        81 => strand.npc = value & !3,
        STATE => {
            strand.cc = Cc::from_ccr((value >> 32) as u8);
            strand.asi = (value >> 24) as u8;
            strand.set_pstate(value >> 8 & 0xffff);
            strand.regs.set_cwp(value as u8 & 31);
        }
        FSR => strand.fsr = value & FSR_BITS,
        FPRS => strand.fprs = value as u8 & 7,
        Y => strand.y = value as u32,
        _ => match *SYSTEM_NAMES.get(n - SYSTEM)? {
            "tl" => strand.tl = (value.min(u64::from(MAXPTL))) as u8,
            "gl" => strand.regs.set_gl(value.min(u64::from(MAXPTL)) as u8),
            "pil" => strand.pil = value as u8 & 15,
            "tba" => strand.set_tba(value),
            "tt" => level(strand)?.tt = value as u16 & 511,
            "tpc" => level(strand)?.tpc = value & !3,
            "tnpc" => level(strand)?.tnpc = value & !3,
            "tstate" => level(strand)?.tstate = value & TSTATE,
            "gsr" => strand.gsr = value & GSR_BITS,
            "softint" => strand.softint = value as u32 & SOFTINT_ALL,
            "cansave" => strand.regs.cansave = window,
            "canrestore" => strand.regs.canrestore = window,
            "cleanwin" => strand.regs.cleanwin = window,
            "otherwin" => strand.regs.otherwin = window,
            _ => strand.regs.wstate = value as u8 & 63,
        },
    }
    strand.attention = true;
    Some(())
}

/// The target description.
#[must_use]
pub fn description() -> String {
    let mut xml = String::from(
        "<?xml version=\"1.0\"?>\n<!DOCTYPE target SYSTEM \"gdb-target.dtd\">\n\
         <target version=\"1.0\">\n<architecture>sparc:v9</architecture>\n",
    );
    let mut n = 0;
    let mut reg = |xml: &mut String, name: &str, kind: &str, more: &str| {
        let bits = 8 * size(n);
        // Writing to a string cannot fail.
        let _ = writeln!(
            xml,
            "<reg name=\"{name}\" bitsize=\"{bits}\" type=\"{kind}\" regnum=\"{n}\"{more}/>"
        );
        n += 1;
    };
    xml += "<feature name=\"org.gnu.gdb.sparc.cpu\">\n";
    for set in ["g", "o", "l", "i"] {
        for index in 0..8 {
            let name = match (set, index) {
                ("o", 6) => "sp".to_owned(),
                ("i", 6) => "fp".to_owned(),
                _ => format!("{set}{index}"),
            };
            let kind = if index == 6 && matches!(set, "o" | "i") { "data_ptr" } else { "uint64" };
            reg(&mut xml, &name, kind, "");
        }
    }
    xml += "</feature>\n<feature name=\"org.gnu.gdb.sparc.fpu\">\n";
    (0..32).for_each(|index| reg(&mut xml, &format!("f{index}"), "ieee_single", ""));
    (16..32).for_each(|index| reg(&mut xml, &format!("f{}", 2 * index), "ieee_double", ""));
    xml += "</feature>\n<feature name=\"org.gnu.gdb.sparc.cp0\">\n";
    reg(&mut xml, "pc", "code_ptr", "");
    reg(&mut xml, "npc", "code_ptr", "");
    ["state", "fsr", "fprs", "y"].iter().for_each(|name| reg(&mut xml, name, "uint64", ""));
    xml += "</feature>\n<feature name=\"org.ldomlab.sparc.privileged\">\n";
    SYSTEM_NAMES.iter().for_each(|name| reg(&mut xml, name, "uint64", " group=\"system\""));
    xml + "</feature>\n</target>\n"
}

#[cfg(test)]
mod test {
    use super::{COUNT, SYSTEM, SYSTEM_NAMES, description, read, size, write};
    use crate::chip::strand::Strand;

    #[test]
    fn what_is_written_is_read_where_a_register_has_the_bits() {
        let mut strand = Strand { tl: 1, ..Strand::default() };
        for n in 0..COUNT {
            let mut value = vec![0; size(n)];
            *value.last_mut().unwrap() = 4;
            assert_eq!(write(&mut strand, n, &value), Some(()), "{n}");
            let expected = match n {
                0 => 0,
                // A trap table is 32 KB long.
                _ if n >= SYSTEM && SYSTEM_NAMES[n - SYSTEM] == "tba" => 0,
                // TL and GL end at 2.
                _ if n >= SYSTEM && ["tl", "gl"].contains(&SYSTEM_NAMES[n - SYSTEM]) => 2,
                _ => 4,
            };
            assert_eq!(read(&strand, n).unwrap().last(), Some(&expected), "{n}");
            assert_eq!(write(&mut strand, n, &[1, 2]), None, "{n}");
        }
        assert_eq!(read(&strand, COUNT), None);
        assert_eq!(write(&mut strand, COUNT, &[0; 8]), None);
        let all = [0xff; 8];
        (0..COUNT).for_each(|n| assert_eq!(write(&mut strand, n, &all[..size(n)]), Some(())));
        assert_eq!(strand.tl, 2);
        strand.load(&strand.clone().save(), 0).expect("a state that can be");
        strand.tl = 0;
        let tpc = SYSTEM + 5;
        assert_eq!((write(&mut strand, tpc, &all), read(&strand, tpc)), (None, Some(vec![0; 8])));
    }

    #[test]
    fn the_description_has_every_register_once() {
        let xml = description();
        assert_eq!(xml.matches("<reg ").count(), COUNT);
        for n in 0..COUNT {
            assert_eq!(xml.matches(&format!("regnum=\"{n}\"")).count(), 1, "{n}");
        }
    }
}
