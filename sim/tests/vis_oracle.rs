//! VIS against `qemu-sparc64`: every instruction on some hundred operands.
//!
//! QEMU 7.2 has faults in VIS, of which some are in QEMU 10 still. [`fault`] has
//! each of them, with what the manual says and, where it can be said in a formula,
//! the formula: then the results are compared all the same. What passing entitles us
//! to believe: the instructions without a fault are right; of those with a formula,
//! lanes and widths are; the rest stands on the worked examples of `chip/vis`.
//! `siam` QEMU does not have at all.

mod oracle;

use sim::chip::vis::{compare, int, op32, op64};
use std::collections::{BTreeMap, BTreeSet};
use sun4v::isa::{Op, ROWS};

/// GSR, rs1, rs2, rd.
type Operands = [u64; 4];
/// rd, CCR, GSR.
type Results = [u64; 3];

/// How QEMU 7.2 departs from the manual.
enum Fault {
    /// It computes the instruction as if the operands had been these.
    Operands(fn(Operands) -> Operands),
    /// It gives this instead of the right result.
    Result(fn(Results) -> Results),
    /// It is wrong on operands like these, in some way.
    Wrong(fn(Operands) -> bool),
}

fn fault(op: Op) -> Option<Fault> {
    let always = Fault::Wrong(|_| true);
    Some(match op {
        // rd = rs1 - rs2. QEMU subtracts the other way round.
        Op::Fpsub16 | Op::Fpsub16s | Op::Fpsub32 => {
            Fault::Operands(|[gsr, a, b, d]| [gsr, b, a, d])
        }
        // Lanes are signed. QEMU compares them unsigned.
        Op::Fcmpgt16 | Op::Fcmple16 => {
            let flip = |[gsr, a, b, d]: Operands| {
                let signs = 0x8000_8000_8000_8000;
                [gsr, a ^ signs, b ^ signs, d]
            };
            Fault::Operands(flip)
        }
        Op::Fcmpgt32 | Op::Fcmple32 => {
            let flip = |[gsr, a, b, d]: Operands| {
                let signs = 0x8000_0000_8000_0000;
                [gsr, a ^ signs, b ^ signs, d]
            };
            Fault::Operands(flip)
        }
        // The most significant nibble of the mask makes the most significant byte
        // (gcc's own masks rely on it). QEMU fills from the other end.
        Op::Bshuffle => Fault::Result(|[rd, ccr, gsr]| [rd.swap_bytes(), ccr, gsr]),
        // Upper parts of rs2 bits each, at most five. QEMU shifts them wrongly.
        Op::Array8 | Op::Array16 | Op::Array32 => Fault::Wrong(|[_, _, b, _]| b != 0),
        // The right edge counts when both addresses are in the same eight bytes. QEMU
        // has that test, and its tables, the wrong way round.
        Op::Edge8 | Op::Edge8n | Op::Edge8l | Op::Edge8ln => always,
        Op::Edge16 | Op::Edge16n | Op::Edge16l | Op::Edge16ln => always,
        Op::Edge32 | Op::Edge32n | Op::Edge32l | Op::Edge32ln => always,
        // Each byte alone, four bits up. QEMU takes halves for bytes.
        Op::Fexpand => always,
        // The multiplier is the upper or lower half of the single rs2. QEMU takes
        // it, and the bytes, out of the lanes of a double.
        Op::Fmul8x16au | Op::Fmul8x16al => always,
        // The upper 16 of 32 bits of the product, rounded. QEMU takes the middle ones.
        Op::Fmul8ulx16 => always,
        // The whole product; SU has it eight bits up. QEMU rounds, and does not shift.
        Op::Fmuld8sux16 | Op::Fmuld8ulx16 => always,
        _ => return None,
    })
}

fn ours(op: Op, [gsr, a, b, d]: Operands) -> Option<Results> {
    if let Some(int) = int(op, gsr, a, b, false) {
        let ccr = int.cc.map_or(0, |cc| cc.ccr());
        return Some([int.rd, ccr.into(), int.gsr]);
    }
    let rd = op64(op, gsr, a, b, d)
        .or_else(|| op32(op, gsr, a, b).map(u64::from))
        .or_else(|| compare(op, a, b))?;
    Some([rd, 0, gsr])
}

/// Is QEMU's result what its fault makes of ours?
fn as_faulty(op: Op, operands: Operands, right: Results, qemu: Results) -> bool {
    match fault(op) {
        None => false,
        Some(Fault::Operands(change)) => ours(op, change(operands)) == Some(qemu),
        Some(Fault::Result(change)) => change(right) == qemu,
        // Codes and GSR are right even so, but for the codes of equal addresses: an
        // edge instruction subtracts them, and QEMU does not find zero.
        Some(Fault::Wrong(when)) => {
            let [_, a, b, _] = operands;
            when(operands) && (right[1] == qemu[1] || a == b) && right[2] == qemu[2]
        }
    }
}

#[test]
fn visual_instructions_are_qemus_where_qemu_is_right() {
    let Some(lines) = oracle::lines("vis") else { return };
    let mut seen = BTreeSet::new();
    let mut differ: BTreeMap<&str, String> = BTreeMap::new();
    for line in &lines {
        let (left, right) = line.split_once(" -> ").unwrap();
        let (name, operands) = left.split_once(' ').unwrap();
        let hex = |text: &str| -> Vec<u64> {
            text.split(' ').map(|word| u64::from_str_radix(word, 16).unwrap()).collect()
        };
        let op = ROWS.iter().find(|row| row.mnemonic == name).unwrap().op;
        let (operands, qemu) = (hex(operands).try_into().unwrap(), hex(right).try_into().unwrap());
        let right = ours(op, operands).unwrap();
        seen.insert(name);
        if right != qemu && !as_faulty(op, operands, right, qemu) {
            differ.entry(name).or_insert_with(|| format!("{line}; ours {right:x?}"));
        }
    }
    let visual = ROWS.iter().filter(|row| row.source.starts_with("VIS") && row.op != Op::Siam);
    assert_eq!(seen.len(), visual.count());
    assert!(differ.is_empty(), "{differ:#?}");
}
