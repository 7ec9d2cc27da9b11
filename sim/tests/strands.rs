//! Virtual CPUs of one guest under the hypervisor: whose state is whose, that no
//! interrupt is lost, and that time goes on. By both engines.

use sim::chassis::bare::{Bare, End};
use sim::chassis::server::HV_BYTES;
use sim::engine::{Choice, Which};
use sun4v::addr::Pa;
use sun4v::time::SimTime;

const BASE: u64 = 0x800_0000;
/// Where guests put what is looked at.
const SLOTS: u64 = BASE + 0x4000;

const G1: u32 = 1;
const G2: u32 = 2;
const G3: u32 = 3;
const O0: u32 = 8;
const O1: u32 = 9;
const O2: u32 = 10;
const O3: u32 = 11;
const O5: u32 = 13;
const L0: u32 = 16;
const L1: u32 = 17;
const L2: u32 = 18;
const L3: u32 = 19;
const L4: u32 = 20;
const NOP: u32 = 0x0100_0000;
const RETRY: u32 = 0x83f0_0000;
/// `rd %ccr, %g0`: three in a row give the turn up.
const PAUSE: u32 = 0x8140_8000;

fn immediate(op: u32, op3: u32, rd: u32, rs1: u32, imm: i32) -> u32 {
    op << 30 | rd << 25 | op3 << 19 | rs1 << 14 | 1 << 13 | imm as u32 & 0x1fff
}
fn register(op: u32, op3: u32, rd: u32, rs1: u32, rs2: u32) -> u32 {
    op << 30 | rd << 25 | op3 << 19 | rs1 << 14 | rs2
}
fn mov(rd: u32, imm: i32) -> u32 {
    immediate(2, 2, rd, 0, imm)
}
fn copy(rd: u32, rs: u32) -> u32 {
    register(2, 2, rd, 0, rs)
}
fn add(rd: u32, rs1: u32, imm: i32) -> u32 {
    immediate(2, 0, rd, rs1, imm)
}
fn cmp(rs1: u32, rs2: u32) -> u32 {
    register(2, 0x14, 0, rs1, rs2)
}
fn sethi(rd: u32, value: u64) -> u32 {
    assert_eq!(value & 0x3ff, 0);
    rd << 25 | 4 << 22 | (value >> 10) as u32
}
fn ldx(rd: u32, rs1: u32, imm: i32) -> u32 {
    immediate(3, 0x0b, rd, rs1, imm)
}
fn stx(rd: u32, rs1: u32, imm: i32) -> u32 {
    immediate(3, 0x0e, rd, rs1, imm)
}
/// `ldxa [rs1]asi, rd`, and the store.
fn ldxa(rd: u32, rs1: u32, asi: u32) -> u32 {
    register(3, 0x1b, rd, rs1, 0) | asi << 5
}
fn stxa(rd: u32, rs1: u32, asi: u32) -> u32 {
    register(3, 0x1e, rd, rs1, 0) | asi << 5
}
/// `wrpr imm, which`.
fn wrpr(which: u32, imm: i32) -> u32 {
    immediate(2, 0x32, which, 0, imm)
}
fn rd(which: u32, to: u32) -> u32 {
    register(2, 0x28, to, which, 0)
}
/// A branch on xcc by `disp` instructions: `bpcc,pn %xcc`. 8 is always, 9 not equal.
fn branch(cond: u32, disp: i32) -> u32 {
    cond << 25 | 1 << 22 | 2 << 20 | disp as u32 & 0x7_ffff
}
/// A fast hypercall.
fn call(number: i32) -> [u32; 2] {
    [mov(O5, number), 0x91d0_2080]
}

/// A program, as it grows.
#[derive(Default)]
struct Program(Vec<u32>);

impl Program {
    fn put(&mut self, words: &[u32]) -> &mut Self {
        self.0.extend(words);
        self
    }
    /// Where the next instruction goes.
    fn here(&self) -> usize {
        self.0.len()
    }
    /// Back to `to` while `cond` holds.
    fn back(&mut self, cond: u32, to: usize) -> &mut Self {
        let disp = to as i32 - self.here() as i32;
        self.put(&[branch(cond, disp), NOP])
    }
    /// The turn is given up.
    fn pause(&mut self) -> &mut Self {
        self.put(&[PAUSE, PAUSE, PAUSE])
    }
}

/// Puts words into a boot image.
fn place(image: &mut Vec<u8>, at: u64, words: &[u32]) {
    let (at, bytes): (_, Vec<u8>) =
        (at as usize, words.iter().flat_map(|word| word.to_be_bytes()).collect());
    if image.len() < at + bytes.len() {
        image.resize(at + bytes.len(), 0);
    }
    image[at..at + bytes.len()].copy_from_slice(&bytes);
}

/// The image of a guest whose first virtual CPU executes `first`, and whose others
/// may start at [`SECOND`].
fn image(first: &Program, second: &Program) -> Vec<u8> {
    let mut image = Vec::new();
    let open = [mov(O0, 1), mov(O1, 1), mov(O2, 1), mov(O5, 0), 0x91d0_20ff];
    place(&mut image, 0x20, &open);
    place(&mut image, 0x20 + 20, &first.0);
    place(&mut image, SECOND - BASE, &second.0);
    image
}

const SECOND: u64 = BASE + 0x2000;

fn by_each_engine(vcpus: usize, image: &[u8], look: impl Fn(Which, End, &Bare)) {
    for engine in Which::ALL {
        let mut bare = Bare::boot_rom(vcpus, BASE, 1 << 20, image).expect("a guest");
        bare.board.set_choice(Choice { engine, ..Choice::default() });
        let (end, _) = bare.finish(SimTime::ms(200));
        look(engine, end, &bare);
    }
}

fn slot(bare: &Bare, at: u64) -> u64 {
    bare.board.ram().load(Pa(HV_BYTES + SLOTS - BASE + at))
}

/// `cpu_start(%l4, SECOND, BASE, argument)`, the argument being in `%o3`.
fn start(program: &mut Program) {
    program.put(&[copy(O0, L4), sethi(O1, SECOND), sethi(O2, BASE)]).put(&call(0x10));
}

#[test]
fn each_virtual_cpu_learns_its_own_id_and_keeps_it_in_registers_of_its_own() {
    // Sixteen of them, on two cores. Each asks for its id, keeps it in a scratchpad, a
    // context register and a register, gives the turn up, and says what it finds.
    const VCPUS: u64 = 16;
    let mut second = Program::default();
    second.put(&[copy(L0, O0)]).put(&call(0x16)).put(&[copy(L1, O1)]);
    second.put(&[mov(G1, 8), stxa(L1, 0, 0x20), stxa(L1, G1, 0x21)]);
    second.put(&[mov(L4, 3)]);
    let round = second.here();
    second.pause().put(&[immediate(2, 0x14, L4, L4, 1)]).back(9, round);
    second.put(&[ldxa(L2, 0, 0x20), ldxa(L3, G1, 0x21)]);
    // %g1 = SLOTS + 64 * id
    second.put(&[immediate(2, 0x25, G2, L1, 0x1006), sethi(G1, SLOTS), register(2, 0, G1, G1, G2)]);
    second.put(&[stx(L0, G1, 0), stx(L1, G1, 8), stx(L2, G1, 16), stx(L3, G1, 24)]);
    second.put(&call(0x16)).put(&[stx(O1, G1, 32), mov(G2, 1), stx(G2, G1, 40)]);
    second.put(&call(0x12)).put(&[branch(8, -2), NOP]);
    let mut first = Program::default();
    first.put(&[mov(L4, 1), mov(L1, VCPUS as i32)]);
    let next = first.here();
    first.put(&[add(O3, L4, 0x100)]);
    start(&mut first);
    first.put(&[add(L4, L4, 1), cmp(L4, L1)]).back(9, next);
    // Until each has said so.
    first.put(&[mov(L4, 1), sethi(G1, SLOTS)]);
    let wait = first.here();
    first.put(&[add(G1, G1, 64)]);
    let again = first.here();
    first.pause().put(&[ldx(G2, G1, 40), cmp(G2, 0)]).back(1, again);
    first.put(&[add(L4, L4, 1), cmp(L4, L1)]).back(9, wait);
    first.put(&[mov(O0, 7)]).put(&call(0));
    by_each_engine(VCPUS as usize, &image(&first, &second), |engine, end, bare| {
        assert_eq!(end, End::Exited(7), "{engine}");
        for id in 1..VCPUS {
            let said: Vec<u64> = (0..5).map(|n| slot(bare, id * 64 + n * 8)).collect();
            assert_eq!(said, [0x100 + id, id, id, id, id], "{engine}");
        }
    });
}

#[test]
fn a_softint_set_for_a_mondo_is_never_lost_however_its_target_yields() {
    // The first sends mondos one after the other, at ever other distances, and waits
    // until the last one was counted. The second yields with interrupts open, with
    // levels shut, with everything shut. Its mondo handler sets SOFTINT 1, and the
    // handler of that level counts.
    const MONDOS: u32 = 400;
    const TBA: u64 = BASE + 0x8000;
    let mut second = Program::default();
    second.put(&[wrpr(16, 0), wrpr(7, 0), sethi(G1, TBA), register(2, 0x32, 5, G1, 0)]);
    second.put(&[mov(O0, 0x3c), sethi(O1, BASE + 0x6000), mov(O2, 4)]).put(&call(0x14));
    let round = second.here();
    second.put(&[wrpr(8, 0), wrpr(6, 6)]).put(&call(0x12));
    second.put(&[wrpr(8, 15)]).put(&call(0x12));
    second.put(&[wrpr(6, 4), NOP]).put(&call(0x12));
    second.put(&[wrpr(6, 6)]).put(&call(0x12)).put(&[wrpr(8, 0), NOP]);
    // Now and then it counts a little and does not yield at all.
    let spin = second.here();
    second.put(&[add(L1, L1, 1), immediate(2, 0x11, 0, L1, 3)]).back(1, spin);
    second.back(8, round);
    let handler = [
        mov(G1, 0x3c0),
        ldxa(G2, G1, 0x25),
        add(G2, G2, 64),
        immediate(2, 1, G2, G2, 0xff),
        stxa(G2, G1, 0x25),
        immediate(2, 0x30, 20, 0, 2), // SOFTINT_SET
        RETRY,
    ];
    let level = [
        immediate(2, 0x30, 21, 0, 2), // SOFTINT_CLR
        sethi(G1, SLOTS),
        ldx(G2, G1, 0),
        add(G2, G2, 1),
        stx(G2, G1, 0),
        RETRY,
    ];
    let mut first = Program::default();
    first.put(&[mov(L4, 1), mov(O3, 0)]);
    start(&mut first);
    first.put(&[mov(L1, 0), mov(L3, MONDOS as i32)]);
    // Until the second has its queue.
    first.put(&[mov(L2, 100)]);
    let wait = first.here();
    first.pause().put(&[immediate(2, 0x14, L2, L2, 1)]).back(9, wait);
    let next = first.here();
    // 7 * n modulo 128 rounds of nothing.
    first.put(&[immediate(2, 9, L2, L1, 7), immediate(2, 1, L2, L2, 127), add(L2, L2, 1)]);
    let delay = first.here();
    first.put(&[immediate(2, 0x14, L2, L2, 1)]).back(9, delay);
    first.put(&[sethi(O1, SLOTS + 0x400), mov(G2, 1), immediate(3, 6, G2, O1, 0)]);
    first.put(&[mov(O0, 1), sethi(O2, SLOTS + 0x800)]).put(&call(0x42));
    first.put(&[add(L1, L1, 1), sethi(G1, SLOTS)]);
    let poll = first.here();
    // Every other time it polls to the end of its turn.
    first.put(&[immediate(2, 0x11, 0, L1, 1), branch(1, 5), NOP]).pause();
    first.put(&[ldx(G2, G1, 0), cmp(G2, L1)]).back(9, poll);
    first.put(&[cmp(L1, L3)]).back(9, next);
    first.put(&[copy(O0, G2)]).put(&call(0));
    let mut image = image(&first, &second);
    place(&mut image, TBA - BASE + 0x7c * 32, &handler);
    place(&mut image, TBA - BASE + 0x41 * 32, &level);
    by_each_engine(2, &image, |engine, end, bare| {
        let count = slot(bare, 0);
        assert_eq!(end, End::Exited(MONDOS.into()), "{engine}: {count} counted");
    });
}

#[test]
fn tick_and_stick_go_on_over_a_stop_and_a_new_start_and_compares_begin_anew() {
    let mut second = Program::default();
    // Its slot is its argument.
    second.put(&[copy(G1, O0), rd(4, L0), rd(24, L1), rd(25, L2), rd(22, L3)]);
    second.put(&[stx(L0, G1, 0), stx(L1, G1, 8), stx(L2, G1, 16), stx(L3, G1, 24)]);
    // stick_cmpr = tick + 0x4000, and until it has matched.
    second.put(&[sethi(G2, 0x4000), register(2, 0, G2, G2, L0), register(2, 0x30, 25, G2, 0)]);
    second.put(&[mov(G3, 1), stx(G3, G1, 32)]);
    let wait = second.here();
    second.put(&[rd(22, G3), cmp(G3, 0)]).back(1, wait);
    second.put(&[stx(G3, G1, 40), rd(4, G3), stx(G3, G1, 48)]).put(&[branch(8, 0), NOP]);
    let mut first = Program::default();
    first.put(&[mov(L4, 1), sethi(G1, SLOTS), sethi(O3, SLOTS)]);
    start(&mut first);
    let wait = first.here();
    first.pause().put(&[ldx(G2, G1, 32), cmp(G2, 0)]).back(1, wait);
    first.put(&[mov(O0, 1)]).put(&call(0x11)).put(&[rd(4, L0), stx(L0, G1, 56)]);
    // For longer than what was armed.
    first.put(&[sethi(L2, 0x4000)]);
    let delay = first.here();
    first.put(&[immediate(2, 0x14, L2, L2, 1)]).back(9, delay);
    first.put(&[sethi(G1, SLOTS + 0x400), sethi(O3, SLOTS + 0x400)]);
    first.put(&[rd(4, L0), stx(L0, G1, 56)]);
    start(&mut first);
    let wait = first.here();
    first.pause().put(&[ldx(G2, G1, 48), cmp(G2, 0)]).back(1, wait);
    first.put(&[mov(O0, 9)]).put(&call(0));
    by_each_engine(2, &image(&first, &second), |engine, end, bare| {
        assert_eq!(end, End::Exited(9), "{engine}");
        let [before, after] = [0, 0x400].map(|at| {
            let words: [u64; 8] = std::array::from_fn(|n| slot(bare, at + n as u64 * 8));
            words
        });
        for [tick, stick, compare, softint, ..] in [before, after] {
            assert_eq!(stick & 0x7f, 0x7f, "{engine}");
            assert!(stick >> 7 >= tick >> 7 && stick - tick < 0x200, "{engine}");
            assert_eq!((compare, softint), (0, 0), "{engine}: nothing is armed at a start");
        }
        assert_eq!(before[5], 0, "{engine}: it was stopped before its compare matched");
        // Stop after its reading; start again, later by what passed meanwhile; its reading.
        assert!(before[0] <= before[7], "{engine}");
        assert!(after[7] - before[7] >= 3 * 0x4000, "{engine}");
        assert!(after[0] >= after[7] && after[0] - after[7] < 20_000, "{engine}");
        assert_eq!(after[5], 1 << 16, "{engine}");
        let due = (after[0] + 0x4000) & !0x7f;
        assert!((due..due + 20).contains(&after[6]), "{engine}: {:#x} for {due:#x}", after[6]);
    });
}
