//! Random integer instructions leave what `qemu-sparc64` leaves.
//!
//! Register to register only: result, condition codes and `%y`. Without the cross
//! assembler or `qemu-sparc64` the test says so and passes.

use sim::chip::regs::Cc;
use sim::chip::strand::Strand;
use sim::chip::tlb::Core;
use sim::engine::{Clock, Code, Costs, Counts, Engine, Exit, Interp, Place};
use sim::mem::Ram;
use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;
use sun4v::addr::{Pa, Ra, RealMap, RealRange};
use sun4v::isa::{decode, disas::Insn};

const CASES: usize = 4000;
/// Bytes of a case's results: result, condition codes, `%y`.
const RESULT_BYTES: usize = 24;
/// Operations on integer registers that cannot trap with the operands given here.
const OPERATIONS: [u32; 36] = [
    0x00, 0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0x08, 0x09, 0x0a, 0x0b, 0x0c, 0x0d, 0x0e, 0x0f,
    0x10, 0x11, 0x12, 0x13, 0x14, 0x15, 0x16, 0x17, 0x18, 0x1a, 0x1b, 0x1c, 0x1e, 0x1f, 0x20, 0x21,
    0x24, 0x2d, 0x2e, 0x2f,
];
const SHIFTS: [u32; 3] = [0x25, 0x26, 0x27];
const MOVCC: u32 = 0x2c;

struct Case {
    word: u32,
    a: u64,
    b: u64,
    old: u64,
    ccr: u64,
    y: u64,
}

struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        self.0 ^ self.0 >> 29
    }
    /// A value of which the interesting ones are frequent.
    fn value(&mut self) -> u64 {
        let (kind, value) = (self.next() >> 40, self.next());
        match kind % 8 {
            0 => value % 8,
            1 => (value % 8).wrapping_neg(),
            2 => value & 0xffff_ffff,
            3 => i64::from(value as i32) as u64,
            4 => [1 << 31, 1 << 63, 0x7fff_ffff, u64::MAX >> 1, 0xffff_ffff][(value % 5) as usize],
            _ => value,
        }
    }
}

/// %o0 and %o1 in, %o2 out.
fn cases() -> Vec<Case> {
    let mut random = Random(7);
    let mut cases = Vec::new();
    while cases.len() < CASES {
        let bits = (random.next() >> 20) as u32;
        let op3 = match cases.len() % 6 {
            0 => SHIFTS[bits as usize % 3],
            1 => MOVCC,
            _ => OPERATIONS[bits as usize % OPERATIONS.len()],
        };
        let low = (random.next() >> 20) as u32;
        let immediate = low & 1 << 13;
        let operand = if immediate != 0 { low & 0x1fff | 1 } else { low & 0x1fe0 | 9 };
        let mut word = 2 << 30 | 10 << 25 | op3 << 19 | 8 << 14 | immediate | operand;
        if op3 == MOVCC {
            word = word & !(31 << 14) | 1 << 18 | (low >> 14 & 15) << 14 | low & 0x1000;
        }
        if op3 == 0x2e {
            word &= !(31 << 14);
        }
        if decode(word).is_none() {
            word &= !0x1fe0 | immediate.wrapping_neg() & 0x1c00;
        }
        if decode(word).is_none() {
            continue;
        }
        // A divisor is never zero, not even its low half.
        let b = random.value();
        let b = if b as u32 == 0 { b | 1 } else { b };
        cases.push(Case {
            word,
            a: random.value(),
            b,
            old: random.value(),
            ccr: random.next() >> 30 & 0xff,
            y: random.value() & 0xffff_ffff,
        });
    }
    cases
}

fn assembly(cases: &[Case]) -> String {
    let mut text = String::from(
        "\t.register %g2, #scratch\n\t.text\n\t.global _start\n_start:\n\
         \tsethi %hi(results), %l0\n\tor %l0, %lo(results), %l0\n\
         \tsethi %hi(inputs), %l1\n\tor %l1, %lo(inputs), %l1\n",
    );
    for case in cases {
        let _ = write!(
            text,
            "\tldx [%l1], %o0\n\tldx [%l1+8], %o1\n\tldx [%l1+16], %o2\n\
             \tldx [%l1+24], %o3\n\tldx [%l1+32], %o4\n\
             \twr %g0, %o4, %y\n\twr %g0, %o3, %ccr\n\t.word {:#x}\n\
             \trd %ccr, %o3\n\trd %y, %o4\n\
             \tstx %o2, [%l0]\n\tstx %o3, [%l0+8]\n\tstx %o4, [%l0+16]\n\
             \tadd %l0, 24, %l0\n\tadd %l1, 40, %l1\n",
            case.word
        );
    }
    let bytes = cases.len() * RESULT_BYTES;
    let _ = write!(
        text,
        "\tmov 1, %o0\n\tsethi %hi(results), %o1\n\tor %o1, %lo(results), %o1\n\
         \tsethi %hi({bytes}), %o2\n\tor %o2, %lo({bytes}), %o2\n\tmov 4, %g1\n\tta 0x6d\n\
         \tmov 0, %o0\n\tmov 1, %g1\n\tta 0x6d\n\
         \t.data\n\t.align 8\ninputs:\n"
    );
    for Case { a, b, old, ccr, y, .. } in cases {
        let _ = writeln!(text, "\t.xword {a:#x}, {b:#x}, {old:#x}, {ccr:#x}, {y:#x}");
    }
    let _ = write!(text, "\t.bss\n\t.align 8\nresults:\t.skip {bytes}\n");
    text
}

/// What QEMU leaves; `None`, said aloud, when it is not there.
fn oracle(cases: &[Case]) -> Option<Vec<[u64; 3]>> {
    let present = |tool: &str| Command::new(tool).arg("--version").output().is_ok();
    if !present("sparc64-linux-gnu-gcc") || !present("qemu-sparc64") {
        eprintln!("SKIPPED: no sparc64-linux-gnu-gcc or no qemu-sparc64");
        return None;
    }
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let (source, program) = (folder.join("random.s"), folder.join("random"));
    std::fs::write(&source, assembly(cases)).expect("the source is written");
    let built = Command::new("sparc64-linux-gnu-gcc")
        .args(["-nostdlib", "-static", "-no-pie", "-fno-pie", "-mcpu=niagara2", "-o"])
        .args([&program, &source])
        .output()
        .expect("the compiler runs");
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    let run =
        Command::new("qemu-sparc64").args(["-cpu", "Sun UltraSparc T2"]).arg(program).output();
    let run = run.expect("qemu runs");
    assert!(run.status.success(), "{:?} {}", run.status, String::from_utf8_lossy(&run.stderr));
    let word = |bytes: &[u8]| bytes.iter().fold(0u64, |word, &byte| word << 8 | u64::from(byte));
    let result = |bytes: &[u8]| [word(&bytes[..8]), word(&bytes[8..16]), word(&bytes[16..])];
    Some(run.stdout.chunks_exact(RESULT_BYTES).map(result).collect())
}

/// What the interpreter leaves.
fn ours(case: &Case) -> [u64; 3] {
    let ram = Ram::new(0x4000).expect("memory");
    let map = RealMap::new(vec![RealRange { ra: Ra(0), pa: Pa(0), size: 0x4000 }]);
    let mut strand = Strand { pc: 0x2000, npc: 0x2004, y: case.y as u32, ..Strand::default() };
    strand.cc = Cc::from_ccr(case.ccr as u8);
    for (n, value) in (8..).zip([case.a, case.b, case.old]) {
        strand.regs.set(n, value);
    }
    ram.store(Pa(0x2000), case.word);
    let place = Place {
        strand: &mut strand,
        core: &mut Core::default(),
        ram: &ram,
        map: &map,
        code: &mut Code::default(),
        clock: &mut Clock::default(),
        counts: &mut Counts::default(),
        costs: &Costs::default(),
        sharing: 1,
    };
    assert_eq!(Interp.run(place, 1), Exit::Budget, "{:08x}", case.word);
    assert_eq!(strand.pc, 0x2004, "{:08x} traps", case.word);
    [strand.regs.get(10), u64::from(strand.cc.ccr()), u64::from(strand.y)]
}

#[test]
fn random_integer_instructions_leave_what_qemu_leaves() {
    let cases = cases();
    let Some(expected) = oracle(&cases) else { return };
    assert_eq!(expected.len(), cases.len());
    let mut wrong = String::new();
    for (case, expected) in cases.iter().zip(expected) {
        let got = ours(case);
        if got != expected {
            let Case { word, a, b, old, ccr, y } = case;
            let insn = Insn::new(0, *word);
            let _ = writeln!(
                wrong,
                "{insn}: {a:#x} {b:#x} {old:#x} ccr {ccr:#x} y {y:#x}\n  \
                 got {got:#x?}\n  not {expected:#x?}"
            );
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}
