//! Integer registers: eight windows, three sets of globals, and the condition
//! codes.
//!
//! **Shapes.** All windows lie in one flat file, and a window is a base into it that
//! slides: sixteen registers down for `save`, sixteen up for `restore`, so the outs of
//! window n *are* the ins of window n + 1. Windows lie from the file's end to its
//! start; only the outs of window 7, which are the ins of window 0, have two places,
//! and are copied when window 7 is entered or left. The globals in force are beside
//! the file; the other sets wait in theirs.
//!
//! **Source.** T2: window state is three bits a register, unchecked.

/// Register windows.
pub const WINDOWS: u8 = 8;
/// Levels of globals that a guest has: GL 0 to 2.
pub const GLOBAL_SETS: usize = 3;
/// Index among the globals of the register that takes writes to `%g0`.
pub const SINK: usize = 8;

/// Registers from one window's outs to the next one's.
const STRIDE: usize = 16;
/// Outs, locals and ins.
const VIEW: usize = 24;
/// Registers of the flat file: eight windows, and the ins of window 0.
const FILE: usize = STRIDE * WINDOWS as usize + 8;
/// The last window, whose outs have two places.
const LAST: u8 = WINDOWS - 1;
/// Where the ins of window 0 lie.
const FIRST_INS: usize = FILE - 8;

/// The integer registers of one strand.
#[derive(Clone)]
#[repr(C)]
pub struct Regs {
    /// `%g0` to `%g7` in force, and the [`SINK`].
    pub(crate) globals: [u64; 9],
    /// Outs, locals and ins of every window.
    pub(crate) file: [u64; FILE],
    sets: [[u64; 8]; GLOBAL_SETS],
    gl: u8,
    cwp: u8,
    /// Windows that `save` may take before it spills.
    pub cansave: u8,
    /// Windows that `restore` may take before it fills.
    pub canrestore: u8,
    /// Windows that hold nothing of another program.
    pub cleanwin: u8,
    /// Windows of another address space.
    pub otherwin: u8,
    /// Spill and fill vectors: NORMAL in bits 2:0, OTHER in 5:3.
    pub wstate: u8,
}

impl Default for Regs {
    fn default() -> Self {
        Self {
            globals: [0; 9],
            file: [0; FILE],
            sets: [[0; 8]; GLOBAL_SETS],
            gl: 0,
            cwp: 0,
            cansave: WINDOWS - 2,
            canrestore: 0,
            cleanwin: WINDOWS - 2,
            otherwin: 0,
            wstate: 0,
        }
    }
}

/// Where the outs of a window lie.
const fn base(window: u8) -> usize {
    STRIDE * (LAST - window % WINDOWS) as usize
}

impl Regs {
    /// Reads register `n`, 0 to 31.
    #[inline(always)]
    pub fn get(&self, n: u8) -> u64 {
        match usize::from(n & 31) {
            n @ 0..8 => self.globals[n],
            n => self.file[self.base() + n - 8],
        }
    }

    /// Writes register `n`; `%g0` stays zero.
    #[inline(always)]
    pub fn set(&mut self, n: u8, value: u64) {
        match usize::from(n & 31) {
            0 => {}
            n @ 1..8 => self.globals[n] = value,
            n => {
                let base = self.base();
                self.file[base + n - 8] = value;
            }
        }
    }

    /// Where the outs of the current window lie in the file; locals and ins follow.
    #[inline(always)]
    pub(crate) fn base(&self) -> usize {
        base(self.cwp)
    }

    /// Global level.
    #[inline]
    pub fn gl(&self) -> u8 {
        self.gl
    }

    /// Changes the global level; above 2 is 2.
    pub fn set_gl(&mut self, gl: u8) {
        let gl = gl.min(GLOBAL_SETS as u8 - 1);
        if gl != self.gl {
            self.sets[usize::from(self.gl)].copy_from_slice(&self.globals[..8]);
            self.globals[..8].copy_from_slice(&self.sets[usize::from(gl)]);
            self.gl = gl;
        }
    }

    /// Current window.
    #[inline]
    pub fn cwp(&self) -> u8 {
        self.cwp
    }

    /// Changes the current window, modulo 8.
    #[inline]
    pub fn set_cwp(&mut self, cwp: u8) {
        let new = cwp % WINDOWS;
        if self.cwp == LAST || new == LAST {
            self.around(new);
        }
        self.cwp = new;
    }

    /// Enters or leaves the last window.
    #[cold]
    fn around(&mut self, new: u8) {
        if self.cwp == LAST {
            self.file.copy_within(..8, FIRST_INS);
        }
        if new == LAST {
            self.file.copy_within(FIRST_INS.., 0);
        }
    }

    /// To the next window: outs become ins. Counters are the caller's.
    #[inline]
    pub fn to_next(&mut self) {
        self.set_cwp(self.cwp + 1);
    }

    /// To the previous window: ins become outs. Counters are the caller's.
    #[inline]
    pub fn to_previous(&mut self) {
        self.set_cwp(self.cwp.wrapping_sub(1));
    }

    /// What SAVE does: a window taken, and the next one in view.
    #[inline(always)]
    pub fn save_window(&mut self) {
        self.cansave = self.cansave.wrapping_sub(1) & 7;
        self.canrestore = (self.canrestore + 1) & 7;
        self.to_next();
    }

    /// What RESTORE and RETURN do: the previous window in view again.
    #[inline(always)]
    pub fn restore_window(&mut self) {
        self.cansave = (self.cansave + 1) & 7;
        self.canrestore = self.canrestore.wrapping_sub(1) & 7;
        self.to_previous();
    }

    /// The ASR-like view of WSTATE and the counters, for records: CWP, CANSAVE,
    /// CANRESTORE, CLEANWIN, OTHERWIN, WSTATE.
    pub fn window_state(&self) -> [u8; 6] {
        [self.cwp, self.cansave, self.canrestore, self.cleanwin, self.otherwin, self.wstate]
    }

    /// All globals, set by set, and all windows (locals, then ins).
    pub fn save(&self) -> (Vec<u64>, Vec<u64>) {
        let mut all = self.clone();
        all.set_cwp(0);
        all.sets[usize::from(all.gl)].copy_from_slice(&all.globals[..8]);
        let window = |n: u8| &all.file[base(n) + 8..base(n) + VIEW];
        (all.sets.concat(), (0..WINDOWS).flat_map(window).copied().collect())
    }

    /// Puts them back; `None` when a count or a value is not as [`Regs::save`]
    /// makes it.
    pub fn load(globals: &[u64], windows: &[u64], state: [u8; 6], gl: u8) -> Option<Self> {
        let [cwp, cansave, canrestore, cleanwin, otherwin, wstate] = state;
        let counters = [cwp, cansave, canrestore, cleanwin, otherwin];
        let sound = globals.len() == 8 * GLOBAL_SETS
            && windows.len() == 16 * usize::from(WINDOWS)
            && globals.iter().step_by(8).all(|&zero| zero == 0)
            && counters.iter().all(|&counter| counter < WINDOWS)
            && wstate < 64
            && usize::from(gl) < GLOBAL_SETS;
        if !sound {
            return None;
        }
        let mut regs =
            Self { cansave, canrestore, cleanwin, otherwin, wstate, gl, ..Self::default() };
        for (set, from) in regs.sets.iter_mut().zip(globals.chunks_exact(8)) {
            set.copy_from_slice(from);
        }
        for (n, from) in (0..WINDOWS).zip(windows.chunks_exact(16)) {
            regs.file[base(n) + 8..base(n) + VIEW].copy_from_slice(from);
        }
        regs.globals[..8].copy_from_slice(&regs.sets[usize::from(gl)]);
        regs.set_cwp(cwp);
        Some(regs)
    }
}

/// Condition codes, in the form in which they come: the bits are taken out when
/// somebody asks. Bits 63 of `n`, `v` and `c` are `xcc`'s, bits 31 `icc`'s.
#[derive(Clone, Copy, Debug, Default)]
pub struct Cc {
    /// Negative.
    pub n: u64,
    /// `xcc.Z` is set when this is zero.
    pub zx: u64,
    /// `icc.Z` is set when this is zero.
    pub zi: u32,
    /// Overflow.
    pub v: u64,
    /// Carry.
    pub c: u64,
}

/// Bits of a four-bit code.
pub const N: u8 = 8;
/// Zero.
pub const Z: u8 = 4;
/// Overflow.
pub const V: u8 = 2;
/// Carry.
pub const C: u8 = 1;

impl Cc {
    /// Of a logical result: V and C clear.
    #[inline(always)]
    pub fn logic(result: u64) -> Self {
        Self { n: result, zx: result, zi: result as u32, v: 0, c: 0 }
    }
    /// Of `a + b (+ carry) = result`.
    #[inline(always)]
    pub fn add(a: u64, b: u64, result: u64) -> Self {
        let v = (a ^ result) & (b ^ result);
        let c = (a & b) | ((a | b) & !result);
        Self { n: result, zx: result, zi: result as u32, v, c }
    }
    /// Of `a - b (- carry) = result`.
    #[inline(always)]
    pub fn sub(a: u64, b: u64, result: u64) -> Self {
        let v = (a ^ b) & (a ^ result);
        let c = (!a & b) | (!(a ^ b) & result);
        Self { n: result, zx: result, zi: result as u32, v, c }
    }
    /// `icc` as N Z V C.
    #[inline]
    pub fn icc(&self) -> u8 {
        let bit = |word: u64, to: u8| (word >> 31 & 1) as u8 * to;
        bit(self.n, N) | (u8::from(self.zi == 0) << 2) | bit(self.v, V) | bit(self.c, C)
    }
    /// `xcc` as N Z V C.
    #[inline]
    pub fn xcc(&self) -> u8 {
        let bit = |word: u64, to: u8| (word >> 63) as u8 * to;
        bit(self.n, N) | (u8::from(self.zx == 0) << 2) | bit(self.v, V) | bit(self.c, C)
    }
    /// `icc.C` as 0 or 1.
    #[inline(always)]
    pub fn carry(&self) -> u64 {
        self.c >> 31 & 1
    }
    /// The CCR.
    #[inline]
    pub fn ccr(&self) -> u8 {
        self.xcc() << 4 | self.icc()
    }
    /// Of a CCR.
    pub fn from_ccr(ccr: u8) -> Self {
        let both = |bit: u8| u64::from(ccr >> 4 & bit != 0) << 63 | u64::from(ccr & bit != 0) << 31;
        Self {
            n: both(N),
            zx: u64::from(ccr >> 4 & Z == 0),
            zi: u32::from(ccr & Z == 0),
            v: both(V),
            c: both(C),
        }
    }
}

/// Does a four-bit code meet an integer condition (T2 reference: `Bicc` cond)?
#[inline]
pub const fn meets(code: u8, cond: u8) -> bool {
    let (n, z) = (code & N != 0, code & Z != 0);
    let (v, c) = (code & V != 0, code & C != 0);
    let base = match cond & 7 {
        0 => false,
        1 => z,
        2 => z | (n != v),
        3 => n != v,
        4 => c | z,
        5 => c,
        6 => n,
        _ => v,
    };
    base != (cond & 8 != 0)
}

#[cfg(test)]
mod test {
    use super::{Cc, Regs, meets};
    use proptest::prelude::{any, prop_assert_eq, proptest};

    fn view(regs: &Regs) -> Vec<u64> {
        (0..32).map(|n| regs.get(n)).collect()
    }

    #[test]
    fn the_callers_outs_are_the_callees_ins() {
        let mut regs = Regs::default();
        for round in 0..3u64 {
            for step in 0..8u64 {
                regs.set(8, round * 8 + step);
                regs.set(17, 100 + step);
                regs.to_next();
                assert_eq!(regs.get(24), round * 8 + step);
            }
        }
        for step in (0..8u64).rev() {
            regs.set(24, regs.get(24) + 1000);
            regs.to_previous();
            assert_eq!((regs.get(8), regs.get(17)), (1000 + 16 + step, 100 + step));
        }
    }

    #[test]
    fn each_global_level_has_its_own_seven() {
        let mut regs = Regs::default();
        for gl in 0..3 {
            regs.set_gl(gl);
            regs.set(1, u64::from(gl) + 1);
        }
        regs.set_gl(7);
        assert_eq!((regs.gl(), regs.get(1)), (2, 3));
        regs.set_gl(0);
        assert_eq!((regs.get(0), regs.get(1)), (0, 1));
    }

    #[test]
    fn a_far_jump_of_windows_is_the_same_as_steps() {
        let mut stepped = Regs::default();
        for n in 0..8u64 {
            for at in 8..24 {
                stepped.set(at, n * 100 + u64::from(at));
            }
            stepped.to_next();
        }
        let mut jumped = stepped.clone();
        for _ in 0..5 {
            stepped.to_next();
        }
        jumped.set_cwp(5);
        assert_eq!(view(&stepped), view(&jumped));
        assert_eq!(stepped.save(), jumped.save());
    }

    #[test]
    fn a_saved_file_loads_and_one_with_a_value_in_g0_does_not() {
        let mut regs = Regs::default();
        regs.set(9, 9);
        regs.to_next();
        regs.set_gl(1);
        regs.set(3, 3);
        let (mut globals, windows) = regs.save();
        let back = Regs::load(&globals, &windows, regs.window_state(), 1).unwrap();
        assert_eq!(view(&back), view(&regs));
        assert_eq!(back.save(), (globals.clone(), windows.clone()));
        globals[8] = 1;
        assert!(Regs::load(&globals, &windows, regs.window_state(), 1).is_none());
        assert!(Regs::load(&windows, &windows, regs.window_state(), 1).is_none());
    }

    proptest! {
        #[test]
        fn any_ccr_is_kept(ccr: u8) {
            prop_assert_eq!(Cc::from_ccr(ccr).ccr(), ccr);
        }

        #[test]
        fn codes_of_a_sum_and_a_difference_are_those_of_wider_arithmetic(a: u64, b: u64) {
            for (a, b) in [(a, b), (a, a), (a as u32 as u64, b as u32 as u64), (a, !a)] {
                let sum = a.wrapping_add(b);
                let flags = |wide: bool, v: bool, c: bool, r: u64| {
                    let (n, z) = if wide { ((r as i64) < 0, r == 0) }
                        else { ((r as i32) < 0, r as u32 == 0) };
                    u8::from(n) << 3 | u8::from(z) << 2 | u8::from(v) << 1 | u8::from(c)
                };
                let (ai, bi) = (a as i32, b as i32);
                let got = Cc::add(a, b, sum);
                prop_assert_eq!(got.xcc(), flags(true,
                    (a as i64).overflowing_add(b as i64).1, a.overflowing_add(b).1, sum));
                prop_assert_eq!(got.icc(), flags(false,
                    ai.overflowing_add(bi).1, (a as u32).overflowing_add(b as u32).1, sum));
                let difference = a.wrapping_sub(b);
                let got = Cc::sub(a, b, difference);
                prop_assert_eq!(got.xcc(), flags(true,
                    (a as i64).overflowing_sub(b as i64).1, a < b, difference));
                prop_assert_eq!(got.icc(), flags(false,
                    ai.overflowing_sub(bi).1, (a as u32) < (b as u32), difference));
            }
        }

        #[test]
        fn opposite_conditions_are_opposite(code in 0u8..16, cond in 0u8..8) {
            prop_assert_eq!(meets(code, cond), !meets(code, cond | 8));
        }

        #[test]
        fn conditions_are_comparisons(a in any::<i64>(), b in any::<i64>()) {
            let code = Cc::sub(a as u64, b as u64, (a as u64).wrapping_sub(b as u64)).xcc();
            prop_assert_eq!(meets(code, 3), a < b);
            prop_assert_eq!(meets(code, 2), a <= b);
            prop_assert_eq!(meets(code, 5), (a as u64) < (b as u64));
            prop_assert_eq!(meets(code, 4), (a as u64) <= (b as u64));
            prop_assert_eq!(meets(code, 1), a == b);
        }
    }
}
