//! Modular arithmetic from a guest's instructions to the unit and back: both versions of the
//! interface sign a published message, and who waits or is interrupted goes on in time.

use num_bigint::BigUint;
use sim::chassis::bare::{Bare, End, GUEST};
use sim::chassis::server::HV_BYTES;
use sun4v::addr::{Pa, Ra};
use sun4v::hvmd::{CryptoConf, CryptoKind};
use sun4v::id::CoreId;
use sun4v::ncs::{Descriptor, MaControl, MaOffsets, MaOp};
use sun4v::time::{SimTime, T2_HZ};

const BASE: u64 = 0x800_0000;
/// Where things lie, in the guest's memory.
const MONDOS: u64 = BASE + 0x1000;
const ARGUMENT: u64 = BASE + 0x2000;
const QUEUE: u64 = BASE + 0x4000;
const IN: u64 = BASE + 0x8000;
const ONE: u64 = BASE + 0x9000;
const OUT: u64 = BASE + 0xa000;
/// Of the unit of core 0.
const HANDLE: i32 = 0x864;
const INO: u16 = 0x28;
const SYSINO: i32 = 0x128;

/// RSA Laboratories' key of 1024 bits, and the signature of message 1.1
/// (pkcs1v15sign-vectors.txt).
const MODULUS: &str = "a56e4a0e701017589a5187dc7ea841d156f2ec0e36ad52a44dfeb1e61f7ad991d8c51056ffed\
     b162b4c0f283a12a88a394dff526ab7291cbb307ceabfce0b1dfd5cd9508096d5b2b8b6df5d671ef6377c0921cb23c\
     270a70e2598e6ff89d19f105acc2d3f0cb35f29280e1386b6f64c4ef22e1e1f20d0ce8cffb2249bd9a2137";
const EXPONENT: &str = "33a5042a90b27d4f5451ca9bbbd0b44771a101af884340aef9885f2a4bbe92e894a724ac3c56\
     8c8f97853ad07c0266c8c6a3ca0929f1e8f11231884429fc4d9ae55fee896a10ce707c3ed7e734e44727a39574501a\
     532683109c2abacaba283c31b4bd2f53c3ee37e352cee34f9e503bd80c0622ad79c6dcee883547c6a3b325";
const DIGEST: &str = "3021300906052b0e03021a05000414cd8b6538cb8e8de566b68bd067569dbf1ee2718e";
const SIGNATURE: &str = "6bc3a06656842930a247e30d5864b4d819236ba7c68965862ad7dbc4e24af28e86bb531f033\
     58be5fb74777c6086f850caef893f0d6fcc2d0c91ec013693b4ea00b80cd49aac4ecb5f8911afe539ada4a8f3823d1\
     d13e472d1490547c659c7617f3d24087ddb6f2b72096167fc097cab18e9a458fcb634cdce8ee35894c484d7";
/// Words of its numbers.
const WORDS: usize = 16;

fn hex(text: &str) -> BigUint {
    BigUint::parse_bytes(text.as_bytes(), 16).expect("it is hexadecimal")
}

fn limbs(number: &BigUint) -> Vec<u64> {
    let mut limbs = number.to_u64_digits();
    limbs.resize(WORDS, 0);
    limbs
}

const O0: u32 = 8;
const O1: u32 = 9;
const O2: u32 = 10;
const O5: u32 = 13;
const G1: u32 = 1;
/// `or %g0, imm, rd`.
fn mov(rd: u32, imm: i32) -> u32 {
    2 << 30 | rd << 25 | 2 << 19 | 1 << 13 | imm as u32 & 0x1fff
}
fn copy(rd: u32, rs: u32) -> u32 {
    2 << 30 | rd << 25 | 2 << 19 | rs
}
fn sethi(rd: u32, value: u64) -> u32 {
    assert_eq!(value & 0x3ff, 0);
    rd << 25 | 4 << 22 | (value >> 10) as u32
}
fn ta(number: u32) -> u32 {
    0x91d0_2000 | number
}

/// Opens a group at a major version.
fn open(group: i32, major: i32) -> [u32; 5] {
    [mov(O0, group), mov(O1, major), mov(O2, 0), mov(O5, 0), ta(0xff)]
}

/// A call whose second argument may be an address.
fn call(nr: i32, a0: i32, a1: u64, a2: i32) -> [u32; 5] {
    let second = if a1 < 0x1000 { mov(O1, a1 as i32) } else { sethi(O1, a1) };
    [mov(O0, a0), second, mov(O2, a2), mov(O5, nr), ta(0x80)]
}

/// Ends with the value of a register as code.
fn exit(register: u32) -> [u32; 3] {
    [copy(O0, register), mov(O5, 0), ta(0x80)]
}

/// A guest with the units of core 0, which executes `program`. Its queue holds the job of a
/// signature: numbers in, power, one in, out of Montgomery's form, the result out.
fn signer(program: &[u32]) -> Bare {
    let begin = [open(1, 1), open(2, 1)].concat();
    let words = [0; 8].iter().chain(&begin).chain(program);
    let image: Vec<u8> = words.flat_map(|word| word.to_be_bytes()).collect();
    let mut bare = Bare::new(2, BASE, 1 << 20, &image).expect("it fits");
    let mut config = bare.hv.config().clone();
    for (kind, ino) in [(CryptoKind::Mau, INO), (CryptoKind::Cwq, 0x20)] {
        config.crypto.push(CryptoConf { core: CoreId(0), kind, guest: GUEST, ino });
    }
    bare.hv.apply(config, &mut bare.board);
    bare.hv.start(GUEST, &mut bare.board).expect("it starts");

    let n = hex(MODULUS);
    let padded = hex(&format!("0001{}00{DIGEST}", "ff".repeat(90)));
    let r: BigUint = BigUint::from(1u8) << (64 * WORDS);
    let low = n.to_u64_digits()[0];
    let inverse = (0..6)
        .fold(low, |inverse, _| inverse.wrapping_mul(2u64.wrapping_sub(low.wrapping_mul(inverse))));
    let n_prime = inverse.wrapping_neg();
    let a = limbs(&(&padded * &r % &n));
    let numbers = [&a[..], &[0; WORDS], &limbs(&n), &a, &limbs(&hex(EXPONENT))].concat();
    poke(&bare, IN, &numbers);
    poke(&bare, ONE, &limbs(&BigUint::from(1u8)));
    let w = WORDS as u8;
    let descriptor = |op, words, memory, offsets| Descriptor {
        state: Descriptor::PENDING,
        kind: Descriptor::CONTINUE,
        control: MaControl::new(op, words),
        memory: Ra(memory),
        offsets: MaOffsets::new(offsets),
        n_prime,
        ..Default::default()
    };
    let mut job = [
        descriptor(MaOp::Load, 5 * WORDS, IN, [0; 6]),
        descriptor(MaOp::Exponentiate, WORDS, 0, [0, w, 2 * w, 3 * w, 4 * w, 127]),
        descriptor(MaOp::Load, WORDS, ONE, [0; 6]),
        descriptor(MaOp::Multiply, WORDS, 0, [3 * w, 0, 2 * w, w, 4 * w, 0]),
        descriptor(MaOp::Store, WORDS, OUT, [4 * w, 0, 0, 0, 0, 0]),
    ];
    job[0].kind = Descriptor::START;
    job[4].kind = Descriptor::END;
    for (at, descriptor) in (0..).zip(job) {
        bare.board.ram().write(pa(QUEUE + at * 64), &descriptor.to_bytes());
    }
    bare
}

fn pa(ra: u64) -> Pa {
    Pa(HV_BYTES + ra - BASE)
}

fn poke(bare: &Bare, ra: u64, words: &[u64]) {
    let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_be_bytes()).collect();
    bare.board.ram().write(pa(ra), &bytes);
}

fn peek(bare: &Bare, ra: u64) -> u64 {
    let mut bytes = [0; 8];
    bare.board.ram().read(pa(ra), &mut bytes);
    u64::from_be_bytes(bytes)
}

fn result(bare: &Bare) -> BigUint {
    let mut bytes = [0; WORDS * 8];
    bare.board.ram().read(pa(OUT), &mut bytes);
    let limbs = bytes.as_chunks::<8>().0.iter().map(|word| u64::from_be_bytes(*word));
    limbs.rev().fold(BigUint::ZERO, |number, limb| (number << 64) + limb)
}

/// How long the unit takes for the job: 1022 squares or so, half as many products.
fn least() -> SimTime {
    let words = WORDS as u64;
    let exponent = hex(EXPONENT);
    let squares = exponent.bits() - 1;
    let products = exponent.count_ones() - 1;
    let square = words * (words + 1) / 2 + words * words + words + 4 * words;
    let product = 2 * words * words + words + 4 * words;
    let moved = 5 * words + words + words;
    SimTime::of_ticks(squares * square + (products + 1) * product + moved, T2_HZ)
}

#[test]
fn version_2_signs_and_the_interrupt_comes_when_it_is_done() {
    let program = [
        &open(0x103, 2)[..],
        &call(0x14, 0x3d, MONDOS, 8),    // cpu_qconf
        &call(0x111, 1, QUEUE, 8),       // ncs_qconf
        &call(0xa6, SYSINO, 0, 0),       // intr_settarget
        &call(0xa2, SYSINO, 1, 0),       // intr_setenabled
        &call(0x115, HANDLE, 5 * 64, 0), // ncs_settail
        &[mov(O5, 0x12), ta(0x80)],      // cpu_yield
        &call(0x113, HANDLE, 0, 0),      // ncs_gethead
        &[copy(G1, O1)],
        &exit(G1),
    ]
    .concat();
    let mut bare = signer(&program);
    let (end, _) = bare.finish(SimTime::ms(20));
    assert_eq!(end, End::Exited(5 * 64));
    assert_eq!(result(&bare), hex(SIGNATURE));
    assert_eq!(peek(&bare, MONDOS), SYSINO as u64);
    for at in 0..5 {
        assert_eq!(peek(&bare, QUEUE + at * 64 + Descriptor::STATE_AT), Descriptor::DONE);
        assert_eq!(peek(&bare, QUEUE + at * 64 + Descriptor::ERROR_AT), 0);
    }
    let took = bare.now();
    let most = least().plus(SimTime::us(60)); // a slice here and there
    assert!((least()..most).contains(&took), "{took:?} against {:?}", least());
    assert_eq!(bare.board.mau_counters(CoreId(0)).operations, 5);
}

#[test]
fn version_1_signs_before_the_call_returns() {
    let program = [
        &open(0x103, 1)[..],
        &call(0x110, 1, ARGUMENT, 32),
        &call(0x110, 2, ARGUMENT + 0x400, 24),
        // The first descriptor's state, as the call returns.
        &[copy(G1, O0), sethi(O1, QUEUE)],
        &[3 << 30 | O2 << 25 | 0x0b << 19 | O1 << 14 | 1 << 13], // ldx [%o1], %o2
        &[2 << 30 | G1 << 25 | G1 << 14 | O2],                   // add %g1, %o2, %g1
        &exit(G1),
    ]
    .concat();
    let mut bare = signer(&program);
    poke(&bare, ARGUMENT, &[0, QUEUE, QUEUE + 512, 8]);
    poke(&bare, ARGUMENT + 0x400, &[0, 5, 0]);
    let (end, _) = bare.finish(SimTime::ms(20));
    assert_eq!(end, End::Exited(Descriptor::DONE));
    assert_eq!(result(&bare), hex(SIGNATURE));
    let took = bare.now();
    let most = least().plus(SimTime::us(60));
    assert!((least()..most).contains(&took), "{took:?} against {:?}", least());
}

#[test]
fn a_refused_operation_is_told_to_who_waits() {
    let program = [
        &open(0x103, 1)[..],
        &call(0x110, 1, ARGUMENT, 32),
        &call(0x110, 2, ARGUMENT + 0x400, 24),
        &[copy(G1, O0)],
        &exit(G1),
    ]
    .concat();
    let mut bare = signer(&program);
    poke(&bare, ARGUMENT, &[0, QUEUE, QUEUE + 512, 8]);
    poke(&bare, ARGUMENT + 0x400, &[0, 5, 0]);
    poke(&bare, QUEUE + 64 + 0x10, &[9 << 8]);
    let (end, _) = bare.finish(SimTime::ms(20));
    assert_eq!(end, End::Exited(11), "EIO");
    let states = (0..5).map(|at| peek(&bare, QUEUE + at * 64));
    assert_eq!(states.collect::<Vec<_>>(), [3, 4, 1, 1, 1]);
    assert_eq!(result(&bare), BigUint::ZERO);
}

#[test]
fn the_unit_of_a_guest_that_ends_writes_nothing_more() {
    // Long enough to load, not for the power: 1: subcc %g1, 1, %g1; bne %xcc, 1b; nop.
    let wait = [sethi(G1, 0x1_0000), 0x82a0_6001, 0x126f_ffff, 0x0100_0000];
    let program = [
        &open(0x103, 2)[..],
        &call(0x111, 1, QUEUE, 8),
        &call(0x115, HANDLE, 5 * 64, 0),
        &wait,
        &exit(O0),
    ]
    .concat();
    let mut bare = signer(&program);
    let (end, _) = bare.finish(SimTime::ms(20));
    assert_eq!(end, End::Exited(0));
    assert_eq!(bare.board.crypto_due(), SimTime::NEVER);
    assert_eq!(bare.board.mau_counters(CoreId(0)).operations, 1);
    bare.board.set_now(SimTime::secs(1));
    bare.board.end_crypto(&mut bare.hv);
    assert_eq!(result(&bare), BigUint::ZERO);
}
