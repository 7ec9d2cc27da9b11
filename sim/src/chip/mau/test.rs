use super::{Mau, Operation, Status};
use crate::chip::cwq::Dma;
use num_bigint::BigUint;
use proptest::prelude::{Strategy, any, prop, prop_oneof, proptest};
use std::cell::RefCell;
use sun4v::addr::{Pa, Ra};
use sun4v::ncs::{Descriptor, MA_WORDS, MaControl, MaOffsets, MaOp};
use sun4v::time::{SimTime, T2_HZ};

/// Memory that notes how far it was written.
struct Memory {
    bytes: RefCell<Vec<u8>>,
}

impl Dma for Memory {
    fn read(&self, pa: Pa, bytes: &mut [u8]) {
        let at = pa.0 as usize;
        bytes.copy_from_slice(&self.bytes.borrow()[at..at + bytes.len()]);
    }
    fn write(&self, pa: Pa, bytes: &[u8]) {
        let at = pa.0 as usize;
        self.bytes.borrow_mut()[at..at + bytes.len()].copy_from_slice(bytes);
    }
}

/// A unit, and memory in which real addresses are physical.
struct Bench {
    unit: Mau,
    memory: Memory,
    now: SimTime,
}

/// Where numbers are loaded from and stored to.
const IN: u64 = 0x1000;
const OUT: u64 = 0x2000;

fn load(at: u8, words: usize) -> Descriptor {
    let control = MaControl::new(MaOp::Load, words);
    let offsets = MaOffsets::new([at, 0, 0, 0, 0, 0]);
    Descriptor { control, memory: Ra(IN), offsets, ..Default::default() }
}

fn store(at: u8, words: usize) -> Descriptor {
    let control = MaControl::new(MaOp::Store, words);
    Descriptor { control, memory: Ra(OUT), ..load(at, words) }
}

fn compute(op: MaOp, words: usize, offsets: [u8; 6], n_prime: u64) -> Descriptor {
    let control = MaControl::new(op, words);
    Descriptor { control, offsets: MaOffsets::new(offsets), n_prime, ..Default::default() }
}

impl Bench {
    fn new() -> Self {
        let memory = Memory { bytes: RefCell::new(vec![0; 0x4000]) };
        Self { unit: Mau::new(T2_HZ), memory, now: SimTime::ZERO }
    }

    fn poke(&self, words: &[u64]) {
        let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_be_bytes()).collect();
        self.memory.write(Pa(IN), &bytes);
    }

    fn peek(&self, words: usize) -> Vec<u64> {
        let mut bytes = vec![0; words * 8];
        self.memory.read(Pa(OUT), &mut bytes);
        bytes.as_chunks::<8>().0.iter().map(|word| u64::from_be_bytes(*word)).collect()
    }

    /// Does one job, from descriptors as they lie in a queue; how long it took.
    fn job(&mut self, job: &[Descriptor]) -> (Vec<Status>, SimTime) {
        let last = job.len() - 1;
        let operation = |(at, descriptor): (usize, &Descriptor)| {
            let Descriptor { control, memory, offsets, n_prime, .. } =
                Descriptor::from_bytes(&descriptor.to_bytes());
            let (void, last) = (false, at == last);
            Operation { control, memory: Pa(memory.0), offsets, n_prime, void, last }
        };
        let operations: Vec<_> = job.iter().enumerate().map(operation).collect();
        let begun = self.now;
        self.unit.submit(begun, &operations);
        let mut ends = Vec::new();
        while let Some(due) = self.unit.next_due() {
            assert!(due >= self.now, "time goes forward");
            self.now = due;
            ends.extend(self.unit.advance(due, &self.memory));
        }
        assert_eq!(ends.len(), job.len());
        (ends, SimTime(self.now.0 - begun.0))
    }

    fn good(&mut self, job: &[Descriptor]) -> SimTime {
        let (ends, span) = self.job(job);
        assert!(ends.iter().all(|&end| end == Status::Done), "{ends:?}");
        span
    }

    /// A^E mod N as a driver has it: Montgomery's form in and out; then by a product with
    /// one the plain number.
    fn power(&mut self, a: &BigUint, e: &BigUint, n: &BigUint, words: usize) -> (BigUint, SimTime) {
        let w = words as u8;
        let r = BigUint::from(1u8) << (64 * words);
        let n_prime = n_prime(n);
        let exponent_words = (e.bits().div_ceil(64) as usize).max(1);
        let a = limbs(&(a * &r % n), words);
        let mut all = a.clone();
        all.extend(vec![0; words]);
        all.extend(limbs(n, words));
        all.extend(a);
        all.extend(limbs(e, exponent_words));
        self.poke(&all);
        let exponent_bytes = (exponent_words * 8 - 1) as u8;
        let offsets = [0, w, 2 * w, 3 * w, 4 * w, exponent_bytes];
        let exponentiate = compute(MaOp::Exponentiate, words, offsets, n_prime);
        let whole = [load(0, all.len()), exponentiate, store(3 * w, words)];
        let span = self.good(&whole);
        let result = number(&self.peek(words));
        self.poke(&limbs(&BigUint::from(1u8), words));
        let leave = compute(MaOp::Multiply, words, [3 * w, 0, 2 * w, w, 4 * w, 0], n_prime);
        self.good(&[load(0, words), leave, store(4 * w, words)]);
        let plain = number(&self.peek(words));
        assert_eq!(&plain * &r % n, result, "both forms say the same");
        (plain, span)
    }
}

fn limbs(number: &BigUint, words: usize) -> Vec<u64> {
    let mut limbs = number.to_u64_digits();
    assert!(limbs.len() <= words);
    limbs.resize(words, 0);
    limbs
}

fn number(limbs: &[u64]) -> BigUint {
    let halves = limbs.iter().flat_map(|&limb| [limb as u32, (limb >> 32) as u32]);
    BigUint::new(halves.collect())
}

fn hex(text: &str) -> BigUint {
    BigUint::parse_bytes(text.as_bytes(), 16).unwrap()
}

/// −1/N modulo 2^64, by Newton's iteration.
fn n_prime(n: &BigUint) -> u64 {
    let n = n.to_u64_digits()[0];
    let mut inverse = n; // right in three bits
    for _ in 0..5 {
        inverse = inverse.wrapping_mul(2u64.wrapping_sub(n.wrapping_mul(inverse)));
    }
    assert_eq!(n.wrapping_mul(inverse), 1);
    inverse.wrapping_neg()
}

/// A generator of test numbers (splitmix64).
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }
    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }
    fn bits(&mut self, bits: usize) -> BigUint {
        let limbs: Vec<u64> = (0..bits.div_ceil(64)).map(|_| self.next()).collect();
        number(&limbs) & ((BigUint::from(1u8) << bits) - 1u8)
    }
}

#[test]
fn products_are_those_of_the_diagnostics_of_t1() {
    // A, B, N, N', X of three words each, from OpenSPARC T1, spu_mamul.s.
    let b = [0x5a75_c6f9_4143_432c, 0x771c_2f2c_d244_c515, 0xb390_005c_4ad0_5215];
    let n = [0x0563_db9e_1234_4321, 0xdc15_fdf3_776a_798b, 0xd663_acd9_9426_505f];
    let a = [0x017c_07f1_49c5_fbe7, 0x1d3f_a02f_8c96_68dc, 0x045a_16f7_3049_ccde];
    let n_prime = 0x3c53_382c_f10e_ff1f;
    let (x, square) = (
        [0xc617_0e73_f554_0f61, 0xa1ab_c5e6_438c_f9d4, 0xb15d_eb10_2bb0_02a1],
        [0x7b9b_3b0e_4ef1_6881, 0xe72c_0fb7_9f5c_72b8, 0x326d_5eee_a6ec_8c1f],
    );
    let cases: [([[u64; 3]; 4], u64); 3] = [
        ([[1, 2, 0], [0, 4, 0], [!0, !0, 0], [4, 8, 0]], 1),
        ([a, b, n, x], n_prime),
        // One whose sum has a bit above the highest word.
        ([b, b, n, square], n_prime),
    ];
    for ([a, b, n, x], n_prime) in cases {
        let mut bench = Bench::new();
        bench.poke(&[a, b, n].concat());
        let multiply = compute(MaOp::Multiply, 3, [0, 3, 6, 9, 12, 0], n_prime);
        bench.good(&[load(0, 9), multiply, store(12, 3)]);
        assert_eq!(bench.peek(3), x);
    }
}

#[test]
fn reductions_are_those_of_the_diagnostics_of_t1() {
    // A, N, X of three words each, from OpenSPARC T1, spu_mared.s.
    let same = [0x1234_5678, 0xabcd_ef12_3456, 0x87_6563_1abc];
    let cases: [[[u64; 3]; 3]; 7] = [
        [
            [0x2342_3423_eadb, 0x0234_23ef_d234, 0xabc],
            [0xaaaa_aaaa_aaaa, 0x0234_23df_fffe, 0xabc],
            [0xffff_7897_8979_4031, 0xf_d235, 0],
        ],
        [[1 << 60; 3], [!0, !0, !0 >> 4], [(1 << 60) + 1, 1 << 60, 0]],
        [
            [0x0def_a123, 0x34_53de_fbca, 0x39_4399_eabd_c949],
            [0x0aef_a123, 0x34_53de_fbca, 0x39_4399_eabd_c949],
            [0x0300_0000, 0, 0],
        ],
        [
            [0x0def_a123, 0x34_53de_fbca, 0x39_4399_eabd_c949],
            [!0, 0xff_dead_beef, 0x49_4399_0342_3432],
            [0x0def_a123, 0x34_53de_fbca, 0x39_4399_eabd_c949],
        ],
        [same, [same[0], 0x1_abcd_ef12_3456, same[2]], same],
        [
            [0xa_aaaa_aaaa, 0x222_2222_2222, 0x1_1111],
            [0xb_bbbb_bbbb, 0x222_2222_2222, 0x1_1111],
            [0xa_aaaa_aaaa, 0x222_2222_2222, 0x1_1111],
        ],
        [same, same, [0; 3]],
    ];
    for [a, n, x] in cases {
        let mut bench = Bench::new();
        bench.poke(&[a, n].concat());
        let reduce = compute(MaOp::Reduce, 3, [0, 3, 42, 0, 0, 0], 0);
        bench.good(&[load(0, 6), reduce, store(42, 3)]);
        assert_eq!(bench.peek(3), x);
    }
}

#[test]
fn the_exponentiation_of_t1s_diagnostics_comes_out() {
    // spu_maexp.s, laid out for T2: the exponent's low word first, X as A.
    let a = [0x527e_c5ea_2d71_d114, 0x11fd_b246_22dc_c39e, 0x32];
    let n = [0x0987_6543_1234_5671, 0x1234_9876_21ab_cdef, 0x54];
    let n_prime = 0xce67_0a1f_9fcb_556f;
    let mut bench = Bench::new();
    bench.poke(&[&a[..], &[0; 3], &n, &a, &[0x9876_5432_1234_5678, 0x01ab_cdef]].concat());
    let exponentiate = compute(MaOp::Exponentiate, 3, [0, 3, 6, 9, 12, 15], n_prime);
    bench.good(&[load(0, 14), exponentiate, store(9, 3)]);
    assert_eq!(bench.peek(3), [0xeba6_5086_aab9_2aad, 0x357d_cdff_43df_d7e7, 0x22]);
    // Times one: out of Montgomery's form.
    bench.poke(&[1, 0, 0]);
    let leave = compute(MaOp::Multiply, 3, [9, 0, 6, 12, 3, 0], n_prime);
    bench.good(&[load(0, 3), leave, store(3, 3)]);
    assert_eq!(bench.peek(3), [0x328d_4716_12b8_c616, 0xade9_8695_8bda_583e, 0x1c]);
}

/// RSA Laboratories' key of 1024 bits, and the signature of message 1.1
/// (pkcs1v15sign-vectors.txt): modulus, exponent, two primes, padded digest, signature.
fn rsa_1024() -> [BigUint; 6] {
    let padded = format!(
        "0001{}003021300906052b0e03021a05000414cd8b6538cb8e8de566b68bd067569dbf1ee2718e",
        "ff".repeat(90)
    );
    [
        "a56e4a0e701017589a5187dc7ea841d156f2ec0e36ad52a44dfeb1e61f7ad991d8c51056ffedb162b4c0f283\
         a12a88a394dff526ab7291cbb307ceabfce0b1dfd5cd9508096d5b2b8b6df5d671ef6377c0921cb23c270a70\
         e2598e6ff89d19f105acc2d3f0cb35f29280e1386b6f64c4ef22e1e1f20d0ce8cffb2249bd9a2137",
        "33a5042a90b27d4f5451ca9bbbd0b44771a101af884340aef9885f2a4bbe92e894a724ac3c568c8f97853ad0\
         7c0266c8c6a3ca0929f1e8f11231884429fc4d9ae55fee896a10ce707c3ed7e734e44727a39574501a532683\
         109c2abacaba283c31b4bd2f53c3ee37e352cee34f9e503bd80c0622ad79c6dcee883547c6a3b325",
        "e7e8942720a877517273a356053ea2a1bc0c94aa72d55c6e86296b2dfc967948c0a72cbccca7eacb35706e09\
         a1df55a1535bd9b3cc34160b3b6dcd3eda8e6443",
        "b69dca1cf7d4d7ec81e75b90fcca874abcde123fd2700180aa90479b6e48de8d67ed24f9f19d85ba275874f5\
         42cd20dc723e6963364a1f9425452b269a6799fd",
        &padded,
        "6bc3a06656842930a247e30d5864b4d819236ba7c68965862ad7dbc4e24af28e86bb531f03358be5fb74777c\
         6086f850caef893f0d6fcc2d0c91ec013693b4ea00b80cd49aac4ecb5f8911afe539ada4a8f3823d1d13e472\
         d1490547c659c7617f3d24087ddb6f2b72096167fc097cab18e9a458fcb634cdce8ee35894c484d7",
    ]
    .map(hex)
}

#[test]
fn a_published_rsa_signature_comes_out_whole_and_by_its_two_primes() {
    let [n, d, p, q, padded, signature] = rsa_1024();
    assert_eq!(&p * &q, n);
    let mut bench = Bench::new();
    assert_eq!(bench.power(&padded, &d, &n, 16).0, signature);
    assert_eq!(bench.power(&signature, &BigUint::from(65537u32), &n, 16).0, padded);
    let half = |bench: &mut Bench, prime: &BigUint| {
        bench.power(&(&padded % prime), &(&d % (prime - 1u8)), prime, 8)
    };
    let ((sp, span_p), (sq, span_q)) = (half(&mut bench, &p), half(&mut bench, &q));
    let q_inverse = q.modpow(&(&p - 2u8), &p);
    let h = (&sp + &p - &sq % &p) * q_inverse % &p;
    assert_eq!(sq + h * q, signature);

    // How often a chip of eight would sign, at the clock for which Sun gave 37,000.
    let seconds = (span_p.0 + span_q.0) as f64 / 1e12 * T2_HZ as f64 / 1.4e9;
    let ratio = 8.0 / seconds / 37_000.0;
    println!("RSA-1024: {:.0} signatures a second, {ratio:.2} times 37,000", 8.0 / seconds);
    assert!((1.0..1.5).contains(&ratio), "{ratio}");
}

/// Ten thousand exponentiations against an arithmetic that shares nothing with the unit's.
#[test]
fn ten_thousand_exponentiations_are_those_of_another_arithmetic() {
    let mut numbers = Numbers(1165);
    let mut bench = Bench::new();
    let one = BigUint::from(1u8);
    let mut sizes = [0; 33];
    for round in 0..10_000 {
        // Every size in turn; most exponents short where numbers are long, for time.
        let words = 1 + round % 32;
        sizes[words] += 1;
        let top = 64 * words;
        let n = match numbers.below(8) {
            0 => (&one << top) - 1u8,        // all ones
            1 => (&one << (top - 1)) + &one, // two bits
            2 => numbers.bits(top - numbers_gap(words)) | &one,
            _ => numbers.bits(top) | &one << (top - 1) | &one,
        };
        if n == one {
            continue;
        }
        let a = match numbers.below(10) {
            0 => BigUint::ZERO,
            1 => one.clone(),
            2 => &n - 1u8,
            _ => numbers.bits(top) % &n,
        };
        let longest = if round % 97 == 0 { top } else { (2048 / (words * words)).clamp(8, top) };
        let e = match numbers.below(10) {
            0 => one.clone(),
            1 => BigUint::from(65537u32),
            2 => &one << numbers.below(longest),
            3 => (&one << longest) - 1u8,
            _ => {
                let bits = 1 + numbers.below(longest);
                numbers.bits(bits) | &one
            }
        };
        if e.bits() as usize > top {
            continue;
        }
        let (power, _) = bench.power(&a, &e, &n, words);
        assert_eq!(power, a.modpow(&e, &n), "round {round}: {a:x}^{e:x} mod {n:x}");
    }
    assert!(sizes[1..].iter().all(|&count| count > 300));
    assert!(bench.unit.counters().exponentiations > 9_900);
}

/// Leading zero bits of a modulus that does not fill its words.
fn numbers_gap(words: usize) -> usize {
    if words > 1 { 65 } else { 7 }
}

#[test]
fn an_exponent_of_zero_leaves_x_alone() {
    let mut bench = Bench::new();
    bench.poke(&[5, 0, 7, 6, 0]);
    let exponentiate = compute(MaOp::Exponentiate, 1, [0, 1, 2, 3, 4, 7], 1);
    let span = bench.good(&[load(0, 5), exponentiate, store(3, 1)]);
    assert_eq!(bench.peek(1), [6]);
    assert_eq!(span, SimTime::of_ticks(5, T2_HZ).plus(SimTime::of_ticks(1, T2_HZ)));
}

#[test]
fn an_exponent_is_as_long_as_its_bytes_say() {
    let n = BigUint::from(0xffff_ffff_ffff_ffc5u64);
    let (r, a): (BigUint, _) = (BigUint::from(1u8) << 64, BigUint::from(3u8));
    let form = limbs(&(&a * &r % &n), 1)[0];
    for (bytes, exponent) in [(1u8, 0x0du64), (2, 0xf00d), (8, 0xdead_beef_1234_f00d)] {
        let mut bench = Bench::new();
        bench.poke(&[form, 0, n.to_u64_digits()[0], form, 0xdead_beef_1234_f00d]);
        let offsets = [0, 1, 2, 3, 4, bytes - 1];
        let exponentiate = compute(MaOp::Exponentiate, 1, offsets, n_prime(&n));
        bench.good(&[load(0, 5), exponentiate, store(3, 1)]);
        let power = a.modpow(&BigUint::from(exponent), &n) * &r % &n;
        assert_eq!(number(&bench.peek(1)), power, "{bytes} bytes");
    }
}

#[test]
fn a_job_that_fails_is_skipped_to_its_end_in_no_time() {
    let invalid = [
        // Past the end of the unit's memory, by a word.
        load(60, 101),
        store(160, 1),
        compute(MaOp::Multiply, 40, [0, 0, 0, 0, 121, 0], 1),
        compute(MaOp::Reduce, 81, [0, 80, 0, 0, 0, 0], 1),
        compute(MaOp::Exponentiate, 1, [0, 1, 2, 3, 159, 8], 1),
        compute(MaOp::Exponentiate, 2, [0, 0, 0, 159, 0, 0], 1),
        // A code without a published meaning.
        Descriptor { control: MaControl(5 << 8), ..Default::default() },
        Descriptor { control: MaControl(31 << 8), ..Default::default() },
    ];
    for bad in invalid {
        let mut bench = Bench::new();
        bench.poke(&[7; 160]);
        bench.good(&[load(0, 160)]);
        bench.poke(&[8; 160]);
        let (ends, span) = bench.job(&[bad, load(0, 160), store(0, 1)]);
        assert_eq!(ends, [Status::InvalidOperation, Status::Skipped, Status::Skipped], "{bad:?}");
        assert_eq!(span, SimTime::ZERO);
        // Memory is as it was, and the unit goes on.
        bench.good(&[store(0, 160)]);
        assert_eq!(bench.peek(160), [7; 160]);
    }
    let counters = {
        let mut bench = Bench::new();
        bench.job(&[load(160, 1), store(0, 1)]);
        bench.good(&[store(0, 4)]);
        bench.unit.counters()
    };
    assert_eq!((counters.operations, counters.failed, counters.moved_words), (1, 2, 4));
}

#[test]
fn jobs_behind_one_another_take_their_times_together() {
    let multiply = |words: usize| compute(MaOp::Multiply, words, [0, 32, 64, 96, 128, 0], 1);
    let square = compute(MaOp::Multiply, 32, [0, 0, 64, 96, 128, 0], 1);
    let mut bench = Bench::new();
    // 2 n² + n multiplications and 4 n for the subtraction.
    let span = bench.good(&[multiply(32)]);
    assert_eq!(span, SimTime::of_ticks(2 * 1024 + 32 + 128, T2_HZ));
    assert_eq!(bench.good(&[square]), SimTime::of_ticks(528 + 1024 + 32 + 128, T2_HZ));
    let begun = bench.now;
    let both = bench.good(&[multiply(32), multiply(16)]);
    assert_eq!(bench.now.0 - begun.0, both.0);
    assert_eq!(both, span.plus(SimTime::of_ticks(2 * 256 + 16 + 64, T2_HZ)));
    let total = span.0 * 2 + both.0 - span.0;
    assert_eq!(bench.unit.counters().busy.0, total + SimTime::of_ticks(1712, T2_HZ).0);
}

#[test]
fn a_reset_forgets_work_and_numbers() {
    let mut bench = Bench::new();
    bench.poke(&[7; 160]);
    bench.good(&[load(0, 160)]);
    let waiting = Operation { control: MaControl::new(MaOp::Store, 1), ..Default::default() };
    bench.unit.submit(bench.now, &[waiting]);
    bench.unit.reset();
    assert_eq!(bench.unit.next_due(), None);
    assert_eq!(bench.unit.advance(SimTime::NEVER, &bench.memory), []);
    bench.good(&[store(0, 160)]);
    assert_eq!(bench.peek(160), [0; 160]);
}

/// Any operation, most of them plausible.
fn operation() -> impl Strategy<Value = Operation> {
    let offsets = prop_oneof![
        any::<u64>(),
        [0u8..40, 0u8..40, 0u8..40, 0u8..40, 0u8..40, 0u8..16]
            .prop_map(|all| MaOffsets::new(all).0),
    ];
    let control =
        prop_oneof![any::<u64>(), (0u64..6, 0u64..24).prop_map(|(op, length)| op << 8 | length),];
    (control, offsets, any::<u64>(), any::<bool>(), 0u8..16).prop_map(
        |(control, offsets, n_prime, last, void)| Operation {
            control: MaControl(control),
            memory: Pa(IN),
            offsets: MaOffsets(offsets),
            n_prime,
            void: void == 0,
            last,
        },
    )
}

proptest! {
    #[test]
    fn any_operations_end_and_touch_nothing_but_what_they_name(
        operations in prop::collection::vec(operation(), 1..12),
        numbers in prop::collection::vec(any::<u64>(), MA_WORDS),
    ) {
        let mut bench = Bench::new();
        bench.poke(&numbers);
        bench.good(&[load(0, 160)]);
        bench.unit.submit(bench.now, &operations);
        let mut ends = Vec::new();
        while let Some(due) = bench.unit.next_due() {
            ends.extend(bench.unit.advance(due, &bench.memory));
        }
        assert_eq!(ends.len(), operations.len());
        let bytes = bench.memory.bytes.borrow();
        let (before, after) = (&bytes[..IN as usize], &bytes[IN as usize + 8 * MA_WORDS..]);
        assert!(before.iter().chain(after).all(|&byte| byte == 0));
        drop(bytes);
        // And it still multiplies.
        bench.now = SimTime::secs(1);
        bench.poke(&[1, 2, 0, 0, 4, 0, !0, !0, 0]);
        let multiply = compute(MaOp::Multiply, 3, [0, 3, 6, 9, 12, 0], 1);
        bench.good(&[load(0, 9), multiply, store(12, 3)]);
        assert_eq!(bench.peek(3), [4, 8, 0]);
    }
}
