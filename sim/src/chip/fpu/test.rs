//! The operations against an arithmetic of other hands, and against tables.

use super::soft::{DOUBLE, Format, SINGLE};
use super::t2::fpop;
use super::{
    Exc, Round, add_d, add_s, cmp_d, cmp_s, d_to_i, d_to_s, d_to_x, deliver, div_d, div_s, i_to_d,
    i_to_s, mul_d, mul_s, mul_sd, s_to_d, s_to_i, s_to_x, sqrt_d, sqrt_s, sub_d, sub_s, x_to_d,
    x_to_s,
};
use proptest::prelude::{
    Just, ProptestConfig, Strategy, any, prop_assert, prop_assert_eq, prop_oneof, proptest,
};
use proptest::test_runner::TestCaseError;
use rustc_apfloat::ieee::{Double, Quad, Single};
use rustc_apfloat::{Float, FloatConvert, Round as ApRound, Status, StatusAnd};
use sun4v::isa::Op;

/// Numbers as they come, near each other, near the ends, and the special ones.
fn numbers(format: Format) -> impl Strategy<Value = u64> {
    let (frac, sign) = (format.frac, format.sign());
    let ones = (1u64 << format.exp) - 1;
    let middle = ones / 2;
    let with = move |exp: u64, bits: u64| {
        // Few bits set make exact results and ties.
        let part = match bits & 7 {
            0 => 0,
            1 => bits >> 3 & 0x3f,
            2 => (bits >> 3 & 0x3f) << (frac - 6),
            3 => (1 << frac) - 1 - (bits >> 3 & 3),
            4 => 1 << (bits >> 3 & 0x3f).min(u64::from(frac) - 1),
            _ => bits >> 3 & ((1 << frac) - 1),
        };
        (exp << frac | part) | if bits >> 63 != 0 { sign } else { 0 }
    };
    prop_oneof![
        3 => any::<u64>().prop_map(move |bits| bits & (sign | (sign - 1))),
        6 => (middle - 60..middle + 60, any::<u64>()).prop_map(move |(e, b)| with(e, b)),
        3 => (0..4u64, any::<u64>()).prop_map(move |(e, b)| with(e, b)),
        3 => (ones - 3..ones, any::<u64>()).prop_map(move |(e, b)| with(e, b)),
        2 => (middle / 2 - 40..middle / 2 + 40, any::<u64>()).prop_map(move |(e, b)| with(e, b)),
        2 => (middle / 2 * 3 - 40..middle / 2 * 3 + 40, any::<u64>())
            .prop_map(move |(e, b)| with(e, b)),
        1 => proptest::sample::select(vec![0, sign, format.inf(), format.inf() | sign]),
    ]
}

fn doubles() -> impl Strategy<Value = u64> {
    numbers(DOUBLE)
}

fn singles() -> impl Strategy<Value = u32> {
    numbers(SINGLE).prop_map(|bits| bits as u32)
}

fn rounds() -> impl Strategy<Value = Round> {
    prop_oneof![
        3 => Just(Round::Nearest), 1 => Just(Round::Zero),
        1 => Just(Round::Up), 1 => Just(Round::Down),
    ]
}

fn theirs(round: Round) -> ApRound {
    match round {
        Round::Nearest => ApRound::NearestTiesToEven,
        Round::Zero => ApRound::TowardZero,
        Round::Up => ApRound::TowardPositive,
        Round::Down => ApRound::TowardNegative,
    }
}

/// What `op` should give; `None` when it is a NaN, which has its own tests. The
/// other arithmetic looks for tininess after rounding, and does not call it
/// overflow when the result is the greatest number; rounding toward zero tells the
/// one, and `exact`, cut to quadruple precision, the other.
fn expect<F: Float>(
    round: Round,
    exact: Quad,
    op: impl Fn(ApRound) -> StatusAnd<F>,
) -> Option<(u64, Exc)> {
    let StatusAnd { status, value } = op(theirs(round));
    if value.is_nan() {
        return None;
    }
    let mut exc = 0;
    for (theirs, ours) in [(Status::DIV_BY_ZERO, Exc::DZ), (Status::INEXACT, Exc::NX)] {
        exc |= if status.contains(theirs) { ours } else { 0 };
    }
    let cut = op(ApRound::TowardZero).value;
    let inexact = exc & Exc::NX != 0;
    let above = exact.is_finite() && exact.ilogb() > F::largest().ilogb();
    if inexact && (value.is_infinite() || above) {
        exc |= Exc::OF;
    }
    let tiny = cut.is_denormal() || cut.is_zero() && inexact;
    exc |= match (tiny, inexact) {
        (false, _) => 0,
        (true, false) => Exc::TINY,
        (true, true) => Exc::UF,
    };
    Some((value.to_bits() as u64, Exc(exc)))
}

/// The four operations of arithmetic.
#[derive(Clone, Copy)]
enum Basic {
    Add,
    Sub,
    Mul,
    Div,
}

fn apply<F: Float>(op: Basic, x: F, y: F, round: ApRound) -> StatusAnd<F> {
    match op {
        Basic::Add => x.add_r(y, round),
        Basic::Sub => x.sub_r(y, round),
        Basic::Mul => x.mul_r(y, round),
        Basic::Div => x.div_r(y, round),
    }
}

fn quad(x: impl FloatConvert<Quad>) -> Quad {
    x.convert_r(ApRound::TowardZero, &mut false).value
}

fn basic<F: FloatConvert<Quad>>(op: Basic, round: Round, x: F, y: F) -> Option<(u64, Exc)> {
    let exact = apply(op, quad(x), quad(y), ApRound::TowardZero).value;
    expect(round, exact, |round| apply(op, x, y, round))
}

fn same(got: (u64, Exc), expected: Option<(u64, Exc)>, nan: Format) -> Result<(), TestCaseError> {
    match expected {
        Some(expected) => prop_assert_eq!(got, expected, "{:#x} {:#x}", got.0, expected.0),
        None => prop_assert!(nan.is_nan(got.0)),
    }
    Ok(())
}

fn wide((bits, exc): (u32, Exc)) -> (u64, Exc) {
    (bits.into(), exc)
}

fn ap_d(bits: u64) -> Double {
    Double::from_bits(bits.into())
}

fn ap_s(bits: u32) -> Single {
    Single::from_bits(bits.into())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20_000))]

    #[test]
    fn doubles_are_added_subtracted_multiplied_and_divided_to_the_bit(
        round in rounds(), a in doubles(), b in doubles(),
    ) {
        let (x, y) = (ap_d(a), ap_d(b));
        let d = DOUBLE;
        same(add_d(round, a, b), basic(Basic::Add, round, x, y), d)?;
        same(sub_d(round, a, b), basic(Basic::Sub, round, x, y), d)?;
        same(mul_d(round, a, b), basic(Basic::Mul, round, x, y), d)?;
        same(div_d(round, a, b), basic(Basic::Div, round, x, y), d)?;
    }

    #[test]
    fn singles_are_added_subtracted_multiplied_and_divided_to_the_bit(
        round in rounds(), a in singles(), b in singles(),
    ) {
        let (x, y) = (ap_s(a), ap_s(b));
        let s = SINGLE;
        same(wide(add_s(round, a, b)), basic(Basic::Add, round, x, y), s)?;
        same(wide(sub_s(round, a, b)), basic(Basic::Sub, round, x, y), s)?;
        same(wide(mul_s(round, a, b)), basic(Basic::Mul, round, x, y), s)?;
        same(wide(div_s(round, a, b)), basic(Basic::Div, round, x, y), s)?;
        let wider = |z: Single| -> Double { z.convert_r(ApRound::TowardZero, &mut false).value };
        let (x, y) = (wider(x), wider(y));
        same(mul_sd(round, a, b), basic(Basic::Mul, round, x, y), DOUBLE)?;
    }

    #[test]
    fn the_fast_path_and_the_soft_path_are_one(a in doubles(), b in doubles()) {
        let near = Round::Nearest;
        prop_assert_eq!(add_d(near, a, b), DOUBLE.add(near, a, b));
        prop_assert_eq!(sub_d(near, a, b), DOUBLE.sub(near, a, b));
        prop_assert_eq!(mul_d(near, a, b), DOUBLE.mul(DOUBLE, near, a, b));
        prop_assert_eq!(div_d(near, a, b), DOUBLE.div(near, a, b));
        prop_assert_eq!(sqrt_d(near, a), DOUBLE.sqrt(near, a));
        prop_assert_eq!(wide(d_to_s(near, a)), DOUBLE.convert(SINGLE, near, a));
        let (s, t) = ((a >> 32) as u32, (b >> 32) as u32);
        prop_assert_eq!(wide(add_s(near, s, t)), SINGLE.add(near, s.into(), t.into()));
        prop_assert_eq!(wide(sub_s(near, s, t)), SINGLE.sub(near, s.into(), t.into()));
        prop_assert_eq!(wide(mul_s(near, s, t)), SINGLE.mul(SINGLE, near, s.into(), t.into()));
        prop_assert_eq!(wide(div_s(near, s, t)), SINGLE.div(near, s.into(), t.into()));
        prop_assert_eq!(wide(sqrt_s(near, s)), SINGLE.sqrt(near, s.into()));
        prop_assert_eq!(mul_sd(near, s, t), SINGLE.mul(DOUBLE, near, s.into(), t.into()));
        prop_assert_eq!(s_to_d(s), SINGLE.convert(DOUBLE, near, s.into()));
        prop_assert_eq!(wide(x_to_s(near, a as i64)), SINGLE.of_integer(near, a as i64));
        prop_assert_eq!(x_to_d(near, a as i64), DOUBLE.of_integer(near, a as i64));
        prop_assert_eq!(i_to_d(s as i32), DOUBLE.of_integer(near, (s as i32).into()).0);
    }

    #[test]
    fn the_square_of_a_root_is_on_the_right_side(round in rounds(), a in doubles()) {
        let a = a & !DOUBLE.sign();
        if a >= DOUBLE.inf() || a == 0 {
            return Ok(());
        }
        let (root, exc) = sqrt_d(round, a);
        // The sign of root² - a, of which one rounding takes nothing away.
        let side = |root: u64| {
            let (r, minus) = (ap_d(root), ap_d(a ^ DOUBLE.sign()));
            // Scaled, so that the residual of small numbers is not below all.
            let (r, minus) = (r.scalbn(300), minus.scalbn(600));
            let off = r.mul_add_r(r, minus, ApRound::TowardZero).value;
            if off.is_zero() { 0 } else if off.is_negative() { -1 } else { 1 }
        };
        if a < 1000 << 52 {
            prop_assert_eq!(exc.0 & Exc::NX != 0, side(root) != 0);
            match round {
                _ if side(root) == 0 => {}
                Round::Zero | Round::Down => prop_assert!(side(root) < 0 && side(root + 1) > 0),
                Round::Up => prop_assert!(side(root) > 0 && side(root - 1) < 0),
                Round::Nearest => prop_assert_eq!(root, f64::from_bits(a).sqrt().to_bits()),
            }
        }
        prop_assert_eq!(exc.0 & !Exc::NX, 0);
    }

    #[test]
    fn single_roots_are_the_rounded_double_ones(round in rounds(), a in singles()) {
        let a = a & 0x7fff_ffff;
        if a >= 0x7f80_0000 || a == 0 {
            return Ok(());
        }
        // A root is never so near a single, or the middle of two, that a double
        // hides on which side it is, unless it is exact.
        let root = f64::from(f32::from_bits(a)).sqrt().to_bits();
        let exact = f64::from_bits(root) * f64::from_bits(root) == f64::from(f32::from_bits(a));
        let (expected, exc) = d_to_s(round, root);
        let inexact = exc.0 & Exc::NX != 0 || !exact;
        prop_assert_eq!(sqrt_s(round, a), (expected, Exc::inexact_if(inexact)));
    }

    #[test]
    fn conversions_agree(round in rounds(), a in doubles(), s in singles(), x in any::<i64>()) {
        let to_single = |r| FloatConvert::<Single>::convert_r(ap_d(a), r, &mut false);
        same(wide(d_to_s(round, a)), expect(round, quad(ap_d(a)), to_single), SINGLE)?;
        for x in [x, x >> 11, x >> 40, x >> 63] {
            let double = |r| Double::from_i128_r(x.into(), r);
            same(x_to_d(round, x), expect(round, Quad::ZERO, double), DOUBLE)?;
            let single = |r| Single::from_i128_r(x.into(), r);
            same(wide(x_to_s(round, x)), expect(round, Quad::ZERO, single), SINGLE)?;
            let single = |r| Single::from_i128_r((x as i32).into(), r);
            same(wide(i_to_s(round, x as i32)), expect(round, Quad::ZERO, single), SINGLE)?;
        }
        let value = f64::from_bits(a);
        let exact = value.trunc() == value;
        let (got, exc) = d_to_x(a);
        // In range the host's conversion is exact truncation; out of it, saturation.
        let fits = value > -9.3e18 && value >= i64::MIN as f64 && value < -(i64::MIN as f64);
        let end = |negative: bool| if negative { i64::MIN } else { i64::MAX };
        if fits {
            prop_assert_eq!((got as i64, exc), (value as i64, Exc::inexact_if(!exact)));
        } else {
            prop_assert_eq!((got as i64, exc), (end(a >> 63 != 0), Exc(Exc::NV)));
        }
        let (got, exc) = d_to_i(a);
        if value > -2_147_483_649.0 && value < 2_147_483_648.0 {
            prop_assert_eq!((got as i32, exc), (value as i32, Exc::inexact_if(!exact)));
        } else {
            let end = if a >> 63 != 0 { i32::MIN } else { i32::MAX };
            prop_assert_eq!((got as i32, exc), (end, Exc(Exc::NV)));
        }
        if !f32::from_bits(s).is_nan() {
            let double = s_to_d(s).0;
            prop_assert_eq!(f64::from_bits(double), f64::from(f32::from_bits(s)));
            prop_assert_eq!(s_to_i(s), d_to_i(double));
            prop_assert_eq!(s_to_x(s), d_to_x(double));
        }
    }

    #[test]
    fn what_t2_finishes_is_ieee_and_never_subnormal(
        fsr in 0u64..4, ufm: bool, a in doubles(), b in doubles(),
    ) {
        let fsr = fsr << 30 | u64::from(ufm) << 25;
        for op in DOUBLES {
            let got = fpop(op, fsr, 0, true, a, b).unwrap();
            let exact = fpop(op, fsr, 0, false, a, b).unwrap();
            let single = op == Op::FdToS;
            let format = if single { SINGLE } else { DOUBLE };
            if got.1 != Exc(Exc::UNFINISHED) {
                prop_assert_eq!(got, exact);
                prop_assert!(!format.is_subnormal(got.0), "{:?}", op);
            }
            let plain = |bits: u64| !DOUBLE.is_subnormal(bits);
            if plain(a) && plain(b) && exact.1.0 & (Exc::UF | Exc::TINY) == 0 {
                prop_assert_eq!(got, exact);
            }
            let (bits, exc) = fpop(op, fsr | NS, 0, false, a, b).unwrap();
            prop_assert!(!format.is_subnormal(bits), "{:?}", op);
            prop_assert_eq!(exc.0 & (Exc::TINY | Exc::UNFINISHED), 0);
            if got.1.0 & (Exc::UNFINISHED | Exc::UF) == 0 && plain(a) && plain(b) {
                prop_assert_eq!((bits, exc), got);
            }
            prop_assert_eq!(fpop(op, fsr | NS, 1 << 27, false, a, b).unwrap().1,
                fpop(op, 0, 1 << 27, false, a, b).unwrap().1);
        }
    }

    #[test]
    fn comparisons_are_the_hosts(a in doubles(), b in doubles(), s in singles(), t in singles()) {
        let code = |order: Option<std::cmp::Ordering>| match order {
            Some(std::cmp::Ordering::Equal) => 0,
            Some(std::cmp::Ordering::Less) => 1,
            Some(std::cmp::Ordering::Greater) => 2,
            None => 3,
        };
        for (a, b) in [(a, b), (a, a), (a, a ^ DOUBLE.sign())] {
            let order = f64::from_bits(a).partial_cmp(&f64::from_bits(b));
            prop_assert_eq!(cmp_d(a, b, false).0, code(order));
        }
        for (s, t) in [(s, t), (s, s), (s, s ^ 1 << 31)] {
            let order = f32::from_bits(s).partial_cmp(&f32::from_bits(t));
            prop_assert_eq!(cmp_s(s, t, true).0, code(order));
        }
    }
}

const DOUBLES: [Op; 6] = [Op::FaddD, Op::FsubD, Op::FmulD, Op::FdivD, Op::FsqrtD, Op::FdToS];
const NS: u64 = 1 << 22;
const INF: u64 = 0x7ff << 52;
const MINUS: u64 = 1 << 63;
const ONE: u64 = 0x3ff << 52;
const NAN: u64 = u64::MAX >> 1;

#[test]
fn signalling_goes_before_quiet_and_rs2_before_rs1() {
    let quiet = |n: u64| INF | 1 << 51 | n;
    let signal = |n: u64| MINUS | INF | n;
    let nv = Exc(Exc::NV);
    for op in [add_d, sub_d, mul_d, div_d] {
        let op = |a, b| op(Round::Nearest, a, b);
        assert_eq!(op(quiet(1), quiet(2)), (quiet(2), Exc::NONE));
        assert_eq!(op(quiet(1), ONE), (quiet(1), Exc::NONE));
        assert_eq!(op(signal(1), quiet(2)), (signal(1) | 1 << 51, nv));
        assert_eq!(op(quiet(1), signal(2)), (signal(2) | 1 << 51, nv));
        assert_eq!(op(signal(1), signal(2)), (signal(2) | 1 << 51, nv));
        assert_eq!(op(signal(1), INF), (signal(1) | 1 << 51, nv));
    }
    assert_eq!(mul_sd(Round::Up, 0xff80_0001, 0x7fc0_0001), (0xfff8_0000_2000_0000, nv));
    assert_eq!(s_to_d(0xff80_0003), (0xfff8_0000_6000_0000, nv));
    assert_eq!(s_to_d(0x7fc0_0003), (0x7ff8_0000_6000_0000, Exc::NONE));
    assert_eq!(d_to_s(Round::Up, 0xfff0_0000_6000_0001), (0xffc0_0003, nv));
    assert_eq!(sqrt_d(Round::Up, signal(9)), (signal(9) | 1 << 51, nv));
}

#[test]
fn what_has_no_value_is_the_positive_nan_of_all_ones() {
    let nv = Exc(Exc::NV);
    for round in Round::ALL {
        assert_eq!(add_d(round, INF, INF | MINUS), (NAN, nv));
        assert_eq!(sub_d(round, INF, INF), (NAN, nv));
        assert_eq!(mul_d(round, 0, INF | MINUS), (NAN, nv));
        assert_eq!(div_d(round, 0, MINUS), (NAN, nv));
        assert_eq!(div_d(round, INF, INF), (NAN, nv));
        assert_eq!(sqrt_d(round, ONE | MINUS), (NAN, nv));
        assert_eq!(sqrt_d(round, 1 | MINUS), (NAN, nv));
        assert_eq!(sqrt_d(round, INF | MINUS), (NAN, nv));
        assert_eq!(sqrt_d(round, MINUS), (MINUS, Exc::NONE));
        assert_eq!(mul_sd(round, 0, 0x7f80_0000), (NAN, nv));
        assert_eq!(sqrt_s(round, 0xbf80_0000), (0x7fff_ffff, nv));
        assert_eq!(div_d(round, ONE, MINUS), (INF | MINUS, Exc(Exc::DZ)));
        assert_eq!(div_d(round, INF, 0), (INF, Exc::NONE));
        assert_eq!(div_d(round, 1, 0), (INF, Exc(Exc::DZ)));
    }
}

#[test]
fn nan_becomes_the_integer_of_its_sign() {
    let nv = Exc(Exc::NV);
    assert_eq!(d_to_x(NAN), (i64::MAX as u64, nv));
    assert_eq!(d_to_x(NAN | MINUS), (1 << 63, nv));
    assert_eq!(d_to_i(NAN | MINUS), (1 << 31, nv));
    assert_eq!(s_to_i(0x7f80_0001), (i32::MAX as u32, nv));
    assert_eq!(s_to_x(0xff80_0000), (1 << 63, nv));
    assert_eq!(d_to_i((-2_147_483_648.9f64).to_bits()), (1 << 31, Exc(Exc::NX)));
    assert_eq!(d_to_i((-2_147_483_649.0f64).to_bits()), (1 << 31, nv));
    assert_eq!(d_to_x((i64::MIN as f64).to_bits()), (1 << 63, Exc::NONE));
}

#[test]
fn the_greatest_integers_round_to_a_power_of_two_inexactly() {
    let (near, nx) = (Round::Nearest, Exc(Exc::NX));
    assert_eq!(x_to_d(near, i64::MAX), (0x43e << 52, nx));
    assert_eq!(x_to_s(near, i64::MAX - 1), (0xbe << 23, nx));
    assert_eq!(x_to_d(near, i64::MIN), (0xc3e << 52, Exc::NONE));
    assert_eq!(i_to_s(near, i32::MAX), (0x9e << 23, nx));
}

#[test]
fn only_a_signalling_comparison_minds_a_quiet_nan() {
    assert_eq!(cmp_d(NAN, ONE, false), (3, Exc::NONE));
    assert_eq!(cmp_d(NAN, ONE, true), (3, Exc(Exc::NV)));
    assert_eq!(cmp_s(0x7f80_0001, 0, false), (3, Exc(Exc::NV)));
}

#[test]
fn a_number_that_rounds_up_to_the_least_normal_one_was_tiny() {
    let least = 1u64 << 52;
    // The least normal number less a little.
    let (bits, exc) = mul_d(Round::Up, least, ONE - 1);
    assert_eq!((bits, exc), (least, Exc(Exc::UF | Exc::NX)));
    assert_eq!(add_d(Round::Nearest, 3, 4), (7, Exc(Exc::TINY)));
}

#[test]
fn fsr_after_an_operation_has_its_exceptions_and_all_since_cleared() {
    assert_eq!(deliver(0x4000 | 5 << 5 | 2, Exc::NONE), Ok(5 << 5));
    assert_eq!(deliver(1 << 5, Exc(Exc::UF | Exc::NX)), Ok(5 << 5 | 5));
    assert_eq!(deliver(0, Exc(Exc::TINY)), Ok(0));
}

#[test]
fn fsr_of_a_trap_has_one_exception_and_the_old_accrued_ones() {
    let tem = |bits: u8| u64::from(bits) << 23;
    let all = tem(31) | 1 << 5;
    let trap = |exc: u8| Err(all | 1 << 14 | u64::from(exc));
    assert_eq!(deliver(all, Exc(Exc::OF | Exc::NX)), trap(Exc::OF));
    assert_eq!(deliver(all, Exc(Exc::UF | Exc::NX)), trap(Exc::UF));
    assert_eq!(deliver(all, Exc(Exc::TINY)), trap(Exc::UF));
    assert_eq!(deliver(all, Exc(Exc::DZ)), trap(Exc::DZ));
    let inexact = tem(Exc::NX);
    assert_eq!(deliver(inexact, Exc(Exc::OF | Exc::NX)), Err(inexact | 1 << 14 | 1));
    let others = tem(31 & !Exc::NX & !Exc::UF);
    assert_eq!(deliver(others, Exc(Exc::UF | Exc::NX)), Ok(others | 5 << 5 | 5));
}

#[test]
fn t2_leaves_subnormal_numbers_to_software_row_by_row() {
    const LEAST: u64 = 1 << 52;
    const UFM: u64 = 1 << 25;
    let (near, up, down) = (0, 2 << 30, 3 << 30);
    // Operation, rs1, rs2, FSR, left to software?
    let rows = [
        // Sums: any subnormal operand but beside an infinity or a NaN; a tiny result.
        (Op::FaddD, 1, ONE, near, true),
        (Op::FaddD, ONE, 1, near, true),
        (Op::FaddD, 1, 0, near, true),
        (Op::FaddD, 1, INF, near, false),
        (Op::FsubD, INF | 1, 1, near, false),
        (Op::FsubD, 3 << 51, LEAST, near, true),
        (Op::FsubD, LEAST, LEAST, near, false),
        (Op::FaddS, 1, 0x3f80_0000, near, true),
        // Products: not beside a zero either, nor far below everything.
        (Op::FmulD, 1, ONE, near, true),
        (Op::FmulD, 1, 0, near, false),
        (Op::FmulD, INF, 1, near, false),
        (Op::FmulD, 1, NAN, near, false),
        (Op::FmulD, 1, 1, near, false),
        (Op::FmulD, 1, 1, UFM, false),
        (Op::FmulD, 1, 1, up, true),
        (Op::FmulD, 1, 1, down, false),
        (Op::FmulD, 1 | MINUS, 1, down, true),
        (Op::FmulD, LEAST, ONE - LEAST, near, true),
        (Op::FmulD, LEAST, ONE - 1, up, false),
        (Op::FsMulD, 1, 0x3f80_0000, near, true),
        (Op::FsMulD, 1, 1, near, true),
        (Op::FsMulD, 1, 0, near, false),
        // Quotients: nor far above.
        (Op::FdivD, 1, ONE, near, true),
        (Op::FdivD, ONE, 1, near, true),
        (Op::FdivD, 0x400 << 52, 1, near, true),
        (Op::FdivD, 0x401 << 52, 1, near, false),
        (Op::FdivS, 0x80 << 23, 1, near, true),
        (Op::FdivS, 0x81 << 23, 1, near, false),
        (Op::FdivD, 1, 0, near, false),
        (Op::FdivD, 0, 1, near, false),
        (Op::FdivD, 1, INF, near, false),
        (Op::FdivD, 1, 0x7fe << 52, near, false),
        (Op::FdivD, LEAST, 0x400 << 52, near, true),
        // Roots: the positive ones.
        (Op::FsqrtD, 0, 1, near, true),
        (Op::FsqrtD, 0, 1 | MINUS, near, false),
        (Op::FsqrtS, 0, 0x7f_ffff, near, true),
        // Conversions: the operand; or the result, unless far below everything.
        (Op::FsToD, 0, 1, near, true),
        (Op::FsToI, 0, 1, near, true),
        (Op::FdToI, 0, 1, near, true),
        (Op::FsToX, 0, 1, near, true),
        (Op::FdToX, 0, 1 | MINUS, near, true),
        (Op::FdToS, 0, 1, near, false),
        (Op::FdToS, 0, 1, UFM, false),
        (Op::FdToS, 0, 1, up, true),
        (Op::FdToS, 0, 871 << 52, near, false),
        (Op::FdToS, 0, 872 << 52, near, true),
        (Op::FdToS, 0, 896 << 52, near, true),
        (Op::FdToS, 0, 897 << 52, near, false),
        // Integers are never subnormal.
        (Op::FxToD, 0, 1, near, false),
        (Op::FiToS, 0, 1, near, false),
    ];
    for (op, a, b, fsr, left) in rows {
        let gives_up = |fsr, gsr| fpop(op, fsr, gsr, true, a, b).unwrap().1.0 == Exc::UNFINISHED;
        assert_eq!(gives_up(fsr, 0), left, "{op:?} {a:#x} {b:#x} {fsr:#x}");
        assert!(!gives_up(fsr | NS, 0), "{op:?}");
        // GSR.IM has its own direction, and NS is off.
        assert_eq!(gives_up(NS, 1 << 27 | (fsr >> 30) << 25), left, "{op:?} by GSR");
    }
    // Comparisons and moves take any number.
    assert_eq!(fpop(Op::FcmpD, 0, 0, true, 1, 1), None);
    assert_eq!(fpop(Op::FnegD, 0, 0, true, 1, 1), None);
    let (bits, exc) = fpop(Op::FmulD, UFM, 0, true, 1, 1 | MINUS).unwrap();
    assert_eq!((bits, deliver(UFM, exc)), (MINUS, Err(UFM | 1 << 14 | 4)));
    assert_eq!(deliver(0x4000_0021, Exc(Exc::UNFINISHED)), Err(0x4000_8021));
}

#[test]
fn with_ns_a_subnormal_number_is_a_zero_and_inexact() {
    let ns = |op, a, b| fpop(op, NS, 0, true, a, b).unwrap();
    let nx = Exc(Exc::NX);
    assert_eq!(ns(Op::FaddD, 1, ONE), (ONE, nx));
    assert_eq!(ns(Op::FaddD, 1, INF), (INF, Exc::NONE));
    assert_eq!(ns(Op::FsubD, 3 << 51, 1 << 52), (0, Exc(Exc::UF | Exc::NX)));
    assert_eq!(ns(Op::FmulD, 1 | MINUS, ONE), (MINUS, nx));
    assert_eq!(ns(Op::FmulD, 1, 0), (0, Exc::NONE));
    assert_eq!(ns(Op::FmulD, 1, INF), (NAN, Exc(Exc::NV)));
    assert_eq!(ns(Op::FdivD, 1, ONE), (0, nx));
    assert_eq!(ns(Op::FdivD, ONE, 1), (INF, Exc(Exc::DZ)));
    assert_eq!(ns(Op::FdivD, 1, 1), (NAN, Exc(Exc::NV)));
    assert_eq!(ns(Op::FsqrtD, 0, 1 | MINUS), (MINUS, nx));
    assert_eq!(ns(Op::FsToD, 0, 1), (0, nx));
    assert_eq!(ns(Op::FdToI, 0, 1), (0, nx));
    assert_eq!(ns(Op::FxToD, 0, 1), (ONE, Exc::NONE));
}
