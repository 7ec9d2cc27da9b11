//! The instruction table: one row an instruction, and what is read off it.
//!
//! A row says which bits identify an instruction, how its operands are laid out
//! and which of its other bits are reserved. T2 checks reserved bits: a word that
//! no row accepts is an illegal instruction, whatever mode it is executed in.
//!
//! **Source.** The SPARC Architecture Manual version 9, appendix A (`V9`);
//! UltraSPARC Architecture 2007 (`UA2007`); the VIS instruction set manual; which
//! words are legal is read out of OpenSPARC T2.

use super::word::Word;

/// How operands are written, in the assembler's order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// `[address]`.
    Address,
    /// `rs1, rs2 or simm13, rd`.
    Arith,
    /// nothing.
    Bare,
    /// `cc, target`, 19 bits.
    BranchCc19,
    /// `target`, 22 bits.
    BranchCc22,
    /// `fcc, target`, 19 bits.
    BranchFcc19,
    /// `target` on fcc0, 22 bits.
    BranchFcc22,
    /// `rs1, target`, 16 bits.
    BranchReg,
    /// `target`, 30 bits.
    Call,
    /// `[rs1] asi, rs2, rd`.
    Cas,
    /// `fcc, rs1, rs2`, doubles.
    FcmpD,
    /// `fcc, rs1, rs2`, singles.
    FcmpS,
    /// `cc, rs2, rd`, doubles.
    FmovCcD,
    /// `cc, rs2, rd`, singles.
    FmovCcS,
    /// `rs1, rs2, rd`, doubles.
    FmovRD,
    /// `rs1, rs2, rd`, singles.
    FmovRS,
    /// `rs2, rd`: double to double.
    FpDD,
    /// `rs1, rs2, rd`: doubles.
    FpDDD,
    /// `rs2, rd`: double to single.
    FpDS,
    /// `rs2, rd`: single to double.
    FpSD,
    /// `rs1, rs2, rd`: single and double to double.
    FpSDD,
    /// `rs2, rd`: single to single.
    FpSS,
    /// `rs1, rs2, rd`: singles to double.
    FpSSD,
    /// `rs1, rs2, rd`: singles.
    FpSSS,
    /// `address, rd`.
    Jmpl,
    /// `[address], rd`.
    Load,
    /// `[address] asi, rd`.
    LoadAsi,
    /// `[address], rd` double.
    LoadD,
    /// `[address] asi, rd` double.
    LoadDAsi,
    /// `[address], %fsr`.
    LoadFsr,
    /// `[address], rd` single.
    LoadS,
    /// `[address] asi, rd` single.
    LoadSAsi,
    /// mask.
    Membar,
    /// `cc, rs2 or simm11, rd`.
    MovCc,
    /// `rs1, rs2 or simm10, rd`.
    MovR,
    /// `rs2 or simm13, rd`.
    Popc,
    /// `[address], fcn`.
    Prefetch,
    /// `[address] asi, fcn`.
    PrefetchAsi,
    /// `asr, rd`.
    RdAsr,
    /// `privileged register, rd`.
    RdPr,
    /// `address`.
    Return,
    /// `%hi(imm22), rd`.
    Sethi,
    /// `rs1, rs2 or count, rd`.
    Shift,
    /// mode.
    Siam,
    /// `rd, [address]`.
    Store,
    /// `rd, [address] asi`.
    StoreAsi,
    /// `rd, [address]`, double.
    StoreD,
    /// `rd, [address] asi`, double.
    StoreDAsi,
    /// `%fsr, [address]`.
    StoreFsr,
    /// `rd, [address]`, single.
    StoreS,
    /// `rd, [address] asi`, single.
    StoreSAsi,
    /// `cc, rs1 + rs2 or number`.
    Trap,
    /// `rd`, double.
    Vis0D,
    /// `rd`, single.
    Vis0S,
    /// `rs1, rd`, doubles.
    Vis1D,
    /// `rs1, rd`, singles.
    Vis1S,
    /// `rs1, rs2`, doubles, `rd` integer.
    VisDDR,
    /// `rs1, rs2, rd`, integers.
    VisRRR,
    /// `rs1, rs2 or simm13, asr`.
    WrAsr,
    /// `rs1, rs2 or simm13, privileged register`.
    WrPr,
}

/// Which bits outside a row's mask are reserved or restricted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// None.
    Any,
    /// With `i` = 0, bits 12:5 are zero.
    Rs2OrImm,
    /// Shift counts: bits between the count and bit 12 are zero.
    Shift,
    /// With `i` = 1, bits 12:5 are zero (the ASI is in `%asi`).
    Cas,
    /// `rs1` names an ASR that can be read.
    RdAsr,
    /// `rd` names an ASR that can be written; operands as [`Rule::Rs2OrImm`].
    WrAsr,
    /// `rs1` names a privileged register.
    RdPr,
    /// `rd` names a privileged register; operands as [`Rule::Rs2OrImm`]. TICK is one:
    /// it cannot be written, but a user who tries gets privileged_opcode.
    WrPr,
    /// An integer condition code is icc or xcc; with `i` = 0, bits 10:5 are zero.
    MovCc,
    /// A condition on a register exists; with `i` = 0, bits 9:5 are zero.
    MovR,
    /// A condition on a register exists, bits 12:10.
    MovRcond,
    /// A condition on a register exists, bits 27:25.
    Rcond25,
    /// The condition code is fcc0 to fcc3, icc or xcc.
    FmovCc,
    /// Trap numbers: bits between the number and the condition code are zero.
    Trap,
    /// The function exists (`rd` not 5 to 15); operands as [`Rule::Rs2OrImm`].
    Prefetch,
    /// The function exists.
    PrefetchFcn,
}

const OP: u32 = 3 << 30;
const OP2: u32 = 7 << 22;
const F3: u32 = OP | 0x3f << 19;
const RD: u32 = 31 << 25;
const RS1: u32 = 31 << 14;
const RS2: u32 = 31;
const LOW13: u32 = 0x1fff;
const LOW14: u32 = 0x3fff;
const FP: u32 = F3 | 0x1ff << 5;

/// The fixed bits of a format-2 instruction.
const fn f2(op2: u32) -> u32 {
    op2 << 22
}

/// The fixed bits of a format-3 instruction.
const fn f3(op: u32, op3: u32) -> u32 {
    op << 30 | op3 << 19
}

/// The fixed bits of a floating-point or VIS instruction.
const fn fp(op3: u32, opf: u32) -> u32 {
    f3(2, op3) | opf << 5
}

/// One row as data.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// The instruction.
    pub op: Op,
    /// Mnemonic, or its stem.
    pub mnemonic: &'static str,
    /// Which bits identify it.
    pub mask: u32,
    /// Their value.
    pub bits: u32,
    /// How its operands are written.
    pub format: Format,
    /// What else must hold of its bits.
    pub rule: Rule,
    /// Where the manual defines it.
    pub source: &'static str,
}

/// Hands every instruction to `$visit`, one row each.
macro_rules! for_each_insn {
    ($visit:ident) => {
        $visit! {
            // name = { mnemonic, mask, bits, format, rule, source },
            Bpcc = { "b", OP | OP2 | 1 << 20, f2(1), BranchCc19, Any, "V9 A.7" },
            Bicc = { "b", OP | OP2, f2(2), BranchCc22, Any, "V9 A.6" },
            Bpr = { "br", OP | OP2 | 1 << 28, f2(3), BranchReg, Rcond25, "V9 A.3" },
            Sethi = { "sethi", OP | OP2, f2(4), Sethi, Any, "V9 A.48" },
            Fbpfcc = { "fb", OP | OP2, f2(5), BranchFcc19, Any, "V9 A.5" },
            Fbfcc = { "fb", OP | OP2, f2(6), BranchFcc22, Any, "V9 A.4" },
            Call = { "call", OP, 1 << 30, Call, Any, "V9 A.8" },
            Add = { "add", F3, f3(2, 0x00), Arith, Rs2OrImm, "V9 A.2" },
            And = { "and", F3, f3(2, 0x01), Arith, Rs2OrImm, "V9 A.31" },
            Or = { "or", F3, f3(2, 0x02), Arith, Rs2OrImm, "V9 A.31" },
            Xor = { "xor", F3, f3(2, 0x03), Arith, Rs2OrImm, "V9 A.31" },
            Sub = { "sub", F3, f3(2, 0x04), Arith, Rs2OrImm, "V9 A.56" },
            Andn = { "andn", F3, f3(2, 0x05), Arith, Rs2OrImm, "V9 A.31" },
            Orn = { "orn", F3, f3(2, 0x06), Arith, Rs2OrImm, "V9 A.31" },
            Xnor = { "xnor", F3, f3(2, 0x07), Arith, Rs2OrImm, "V9 A.31" },
            Addc = { "addc", F3, f3(2, 0x08), Arith, Rs2OrImm, "V9 A.2" },
            Mulx = { "mulx", F3, f3(2, 0x09), Arith, Rs2OrImm, "V9 A.36" },
            Umul = { "umul", F3, f3(2, 0x0a), Arith, Rs2OrImm, "V9 A.38" },
            Smul = { "smul", F3, f3(2, 0x0b), Arith, Rs2OrImm, "V9 A.38" },
            Subc = { "subc", F3, f3(2, 0x0c), Arith, Rs2OrImm, "V9 A.56" },
            Udivx = { "udivx", F3, f3(2, 0x0d), Arith, Rs2OrImm, "V9 A.36" },
            Udiv = { "udiv", F3, f3(2, 0x0e), Arith, Rs2OrImm, "V9 A.10" },
            Sdiv = { "sdiv", F3, f3(2, 0x0f), Arith, Rs2OrImm, "V9 A.10" },
            Addcc = { "addcc", F3, f3(2, 0x10), Arith, Rs2OrImm, "V9 A.2" },
            Andcc = { "andcc", F3, f3(2, 0x11), Arith, Rs2OrImm, "V9 A.31" },
            Orcc = { "orcc", F3, f3(2, 0x12), Arith, Rs2OrImm, "V9 A.31" },
            Xorcc = { "xorcc", F3, f3(2, 0x13), Arith, Rs2OrImm, "V9 A.31" },
            Subcc = { "subcc", F3, f3(2, 0x14), Arith, Rs2OrImm, "V9 A.56" },
            Andncc = { "andncc", F3, f3(2, 0x15), Arith, Rs2OrImm, "V9 A.31" },
            Orncc = { "orncc", F3, f3(2, 0x16), Arith, Rs2OrImm, "V9 A.31" },
            Xnorcc = { "xnorcc", F3, f3(2, 0x17), Arith, Rs2OrImm, "V9 A.31" },
            Addccc = { "addccc", F3, f3(2, 0x18), Arith, Rs2OrImm, "V9 A.2" },
            Umulcc = { "umulcc", F3, f3(2, 0x1a), Arith, Rs2OrImm, "V9 A.38" },
            Smulcc = { "smulcc", F3, f3(2, 0x1b), Arith, Rs2OrImm, "V9 A.38" },
            Subccc = { "subccc", F3, f3(2, 0x1c), Arith, Rs2OrImm, "V9 A.56" },
            Udivcc = { "udivcc", F3, f3(2, 0x1e), Arith, Rs2OrImm, "V9 A.10" },
            Sdivcc = { "sdivcc", F3, f3(2, 0x1f), Arith, Rs2OrImm, "V9 A.10" },
            TaddCc = { "taddcc", F3, f3(2, 0x20), Arith, Rs2OrImm, "V9 A.59" },
            TsubCc = { "tsubcc", F3, f3(2, 0x21), Arith, Rs2OrImm, "V9 A.60" },
            TaddCcTv = { "taddcctv", F3, f3(2, 0x22), Arith, Rs2OrImm, "V9 A.59" },
            TsubCcTv = { "tsubcctv", F3, f3(2, 0x23), Arith, Rs2OrImm, "V9 A.60" },
            MulsCc = { "mulscc", F3, f3(2, 0x24), Arith, Rs2OrImm, "V9 A.39" },
            Sll = { "sll", F3, f3(2, 0x25), Shift, Shift, "V9 A.49" },
            Srl = { "srl", F3, f3(2, 0x26), Shift, Shift, "V9 A.49" },
            Sra = { "sra", F3, f3(2, 0x27), Shift, Shift, "V9 A.49" },
            RdAsr = { "rd", F3 | 1 << 13 | LOW13, f3(2, 0x28), RdAsr, RdAsr, "V9 A.44" },
            Stbar = { "stbar", !0, f3(2, 0x28) | 15 << 14, Bare, Any, "V9 A.51" },
            Membar = { "membar", F3 | RD | RS1 | 1 << 13 | 0x1f80, f3(2, 0x28) | 15 << 14 | 1 << 13, Membar, Any, "V9 A.32" },
            RdPr = { "rdpr", F3 | LOW14, f3(2, 0x2a), RdPr, RdPr, "V9 A.43" },
            Flushw = { "flushw", !0, f3(2, 0x2b), Bare, Any, "V9 A.21" },
            MovCc = { "mov", F3, f3(2, 0x2c), MovCc, MovCc, "V9 A.35" },
            Sdivx = { "sdivx", F3, f3(2, 0x2d), Arith, Rs2OrImm, "V9 A.36" },
            Popc = { "popc", F3 | RS1, f3(2, 0x2e), Popc, Rs2OrImm, "V9 A.41" },
            MovR = { "movr", F3, f3(2, 0x2f), MovR, MovR, "V9 A.34" },
            WrAsr = { "wr", F3, f3(2, 0x30), WrAsr, WrAsr, "V9 A.62" },
            Saved = { "saved", !0, f3(2, 0x31) | 0 << 25, Bare, Any, "UA2007 7" },
            Restored = { "restored", !0, f3(2, 0x31) | 1 << 25, Bare, Any, "UA2007 7" },
            Allclean = { "allclean", !0, f3(2, 0x31) | 2 << 25, Bare, Any, "UA2007 7" },
            Otherw = { "otherw", !0, f3(2, 0x31) | 3 << 25, Bare, Any, "UA2007 7" },
            Normalw = { "normalw", !0, f3(2, 0x31) | 4 << 25, Bare, Any, "UA2007 7" },
            Invalw = { "invalw", !0, f3(2, 0x31) | 5 << 25, Bare, Any, "UA2007 7" },
            WrPr = { "wrpr", F3, f3(2, 0x32), WrPr, WrPr, "V9 A.61" },
            FmovS = { "fmovs", FP | RS1, fp(0x34, 0x001), FpSS, Any, "V9 A.33" },
            FmovD = { "fmovd", FP | RS1, fp(0x34, 0x002), FpDD, Any, "V9 A.33" },
            FnegS = { "fnegs", FP | RS1, fp(0x34, 0x005), FpSS, Any, "V9 A.33" },
            FnegD = { "fnegd", FP | RS1, fp(0x34, 0x006), FpDD, Any, "V9 A.33" },
            FabsS = { "fabss", FP | RS1, fp(0x34, 0x009), FpSS, Any, "V9 A.33" },
            FabsD = { "fabsd", FP | RS1, fp(0x34, 0x00a), FpDD, Any, "V9 A.33" },
            FsqrtS = { "fsqrts", FP | RS1, fp(0x34, 0x029), FpSS, Any, "V9 A.19" },
            FsqrtD = { "fsqrtd", FP | RS1, fp(0x34, 0x02a), FpDD, Any, "V9 A.19" },
            FaddS = { "fadds", FP, fp(0x34, 0x041), FpSSS, Any, "V9 A.12" },
            FaddD = { "faddd", FP, fp(0x34, 0x042), FpDDD, Any, "V9 A.12" },
            FsubS = { "fsubs", FP, fp(0x34, 0x045), FpSSS, Any, "V9 A.12" },
            FsubD = { "fsubd", FP, fp(0x34, 0x046), FpDDD, Any, "V9 A.12" },
            FmulS = { "fmuls", FP, fp(0x34, 0x049), FpSSS, Any, "V9 A.18" },
            FmulD = { "fmuld", FP, fp(0x34, 0x04a), FpDDD, Any, "V9 A.18" },
            FdivS = { "fdivs", FP, fp(0x34, 0x04d), FpSSS, Any, "V9 A.18" },
            FdivD = { "fdivd", FP, fp(0x34, 0x04e), FpDDD, Any, "V9 A.18" },
            FsMulD = { "fsmuld", FP, fp(0x34, 0x069), FpSSD, Any, "V9 A.18" },
            FsToX = { "fstox", FP | RS1, fp(0x34, 0x081), FpSD, Any, "V9 A.14" },
            FdToX = { "fdtox", FP | RS1, fp(0x34, 0x082), FpDD, Any, "V9 A.14" },
            FxToS = { "fxtos", FP | RS1, fp(0x34, 0x084), FpDS, Any, "V9 A.16" },
            FxToD = { "fxtod", FP | RS1, fp(0x34, 0x088), FpDD, Any, "V9 A.16" },
            FiToS = { "fitos", FP | RS1, fp(0x34, 0x0c4), FpSS, Any, "V9 A.16" },
            FdToS = { "fdtos", FP | RS1, fp(0x34, 0x0c6), FpDS, Any, "V9 A.15" },
            FiToD = { "fitod", FP | RS1, fp(0x34, 0x0c8), FpSD, Any, "V9 A.16" },
            FsToD = { "fstod", FP | RS1, fp(0x34, 0x0c9), FpSD, Any, "V9 A.15" },
            FsToI = { "fstoi", FP | RS1, fp(0x34, 0x0d1), FpSS, Any, "V9 A.14" },
            FdToI = { "fdtoi", FP | RS1, fp(0x34, 0x0d2), FpDS, Any, "V9 A.14" },
            FcmpS = { "fcmps", FP | 0x1c << 25, fp(0x35, 0x051), FcmpS, Any, "V9 A.13" },
            FcmpD = { "fcmpd", FP | 0x1c << 25, fp(0x35, 0x052), FcmpD, Any, "V9 A.13" },
            FcmpeS = { "fcmpes", FP | 0x1c << 25, fp(0x35, 0x055), FcmpS, Any, "V9 A.13" },
            FcmpeD = { "fcmped", FP | 0x1c << 25, fp(0x35, 0x056), FcmpD, Any, "V9 A.13" },
            FmovSCc = { "fmovs", F3 | 1 << 18 | 0x3f << 5, f3(2, 0x35) | 1 << 5, FmovCcS, FmovCc, "V9 A.33" },
            FmovDCc = { "fmovd", F3 | 1 << 18 | 0x3f << 5, f3(2, 0x35) | 2 << 5, FmovCcD, FmovCc, "V9 A.33" },
            FmovSR = { "fmovrs", F3 | 1 << 13 | 0x1f << 5, f3(2, 0x35) | 5 << 5, FmovRS, MovRcond, "V9 A.33" },
            FmovDR = { "fmovrd", F3 | 1 << 13 | 0x1f << 5, f3(2, 0x35) | 6 << 5, FmovRD, MovRcond, "V9 A.33" },
            Edge8 = { "edge8cc", FP, fp(0x36, 0x000), VisRRR, Any, "VIS 1" },
            Edge8n = { "edge8n", FP, fp(0x36, 0x001), VisRRR, Any, "VIS 2" },
            Edge8l = { "edge8lcc", FP, fp(0x36, 0x002), VisRRR, Any, "VIS 1" },
            Edge8ln = { "edge8ln", FP, fp(0x36, 0x003), VisRRR, Any, "VIS 2" },
            Edge16 = { "edge16cc", FP, fp(0x36, 0x004), VisRRR, Any, "VIS 1" },
            Edge16n = { "edge16n", FP, fp(0x36, 0x005), VisRRR, Any, "VIS 2" },
            Edge16l = { "edge16lcc", FP, fp(0x36, 0x006), VisRRR, Any, "VIS 1" },
            Edge16ln = { "edge16ln", FP, fp(0x36, 0x007), VisRRR, Any, "VIS 2" },
            Edge32 = { "edge32cc", FP, fp(0x36, 0x008), VisRRR, Any, "VIS 1" },
            Edge32n = { "edge32n", FP, fp(0x36, 0x009), VisRRR, Any, "VIS 2" },
            Edge32l = { "edge32lcc", FP, fp(0x36, 0x00a), VisRRR, Any, "VIS 1" },
            Edge32ln = { "edge32ln", FP, fp(0x36, 0x00b), VisRRR, Any, "VIS 2" },
            Array8 = { "array8", FP, fp(0x36, 0x010), VisRRR, Any, "VIS 1" },
            Array16 = { "array16", FP, fp(0x36, 0x012), VisRRR, Any, "VIS 1" },
            Array32 = { "array32", FP, fp(0x36, 0x014), VisRRR, Any, "VIS 1" },
            AlignAddress = { "alignaddr", FP, fp(0x36, 0x018), VisRRR, Any, "VIS 1" },
            Bmask = { "bmask", FP, fp(0x36, 0x019), VisRRR, Any, "VIS 2" },
            AlignAddressLittle = { "alignaddrl", FP, fp(0x36, 0x01a), VisRRR, Any, "VIS 1" },
            Fcmple16 = { "fpcmple16", FP, fp(0x36, 0x020), VisDDR, Any, "VIS 1" },
            Fcmpne16 = { "fpcmpne16", FP, fp(0x36, 0x022), VisDDR, Any, "VIS 1" },
            Fcmple32 = { "fpcmple32", FP, fp(0x36, 0x024), VisDDR, Any, "VIS 1" },
            Fcmpne32 = { "fpcmpne32", FP, fp(0x36, 0x026), VisDDR, Any, "VIS 1" },
            Fcmpgt16 = { "fpcmpgt16", FP, fp(0x36, 0x028), VisDDR, Any, "VIS 1" },
            Fcmpeq16 = { "fpcmpeq16", FP, fp(0x36, 0x02a), VisDDR, Any, "VIS 1" },
            Fcmpgt32 = { "fpcmpgt32", FP, fp(0x36, 0x02c), VisDDR, Any, "VIS 1" },
            Fcmpeq32 = { "fpcmpeq32", FP, fp(0x36, 0x02e), VisDDR, Any, "VIS 1" },
            Fmul8x16 = { "fmul8x16", FP, fp(0x36, 0x031), FpSDD, Any, "VIS 1" },
            Fmul8x16au = { "fmul8x16au", FP, fp(0x36, 0x033), FpSSD, Any, "VIS 1" },
            Fmul8x16al = { "fmul8x16al", FP, fp(0x36, 0x035), FpSSD, Any, "VIS 1" },
            Fmul8sux16 = { "fmul8sux16", FP, fp(0x36, 0x036), FpDDD, Any, "VIS 1" },
            Fmul8ulx16 = { "fmul8ulx16", FP, fp(0x36, 0x037), FpDDD, Any, "VIS 1" },
            Fmuld8sux16 = { "fmuld8sux16", FP, fp(0x36, 0x038), FpSSD, Any, "VIS 1" },
            Fmuld8ulx16 = { "fmuld8ulx16", FP, fp(0x36, 0x039), FpSSD, Any, "VIS 1" },
            Fpack32 = { "fpack32", FP, fp(0x36, 0x03a), FpDDD, Any, "VIS 1" },
            Fpack16 = { "fpack16", FP | RS1, fp(0x36, 0x03b), FpDS, Any, "VIS 1" },
            Fpackfix = { "fpackfix", FP | RS1, fp(0x36, 0x03d), FpDS, Any, "VIS 1" },
            Pdist = { "pdist", FP, fp(0x36, 0x03e), FpDDD, Any, "VIS 1" },
            FalignData = { "faligndata", FP, fp(0x36, 0x048), FpDDD, Any, "VIS 1" },
            Fpmerge = { "fpmerge", FP, fp(0x36, 0x04b), FpSSD, Any, "VIS 1" },
            Bshuffle = { "bshuffle", FP, fp(0x36, 0x04c), FpDDD, Any, "VIS 2" },
            Fexpand = { "fexpand", FP | RS1, fp(0x36, 0x04d), FpSD, Any, "VIS 1" },
            Fpadd16 = { "fpadd16", FP, fp(0x36, 0x050), FpDDD, Any, "VIS 1" },
            Fpadd16s = { "fpadd16s", FP, fp(0x36, 0x051), FpSSS, Any, "VIS 1" },
            Fpadd32 = { "fpadd32", FP, fp(0x36, 0x052), FpDDD, Any, "VIS 1" },
            Fpadd32s = { "fpadd32s", FP, fp(0x36, 0x053), FpSSS, Any, "VIS 1" },
            Fpsub16 = { "fpsub16", FP, fp(0x36, 0x054), FpDDD, Any, "VIS 1" },
            Fpsub16s = { "fpsub16s", FP, fp(0x36, 0x055), FpSSS, Any, "VIS 1" },
            Fpsub32 = { "fpsub32", FP, fp(0x36, 0x056), FpDDD, Any, "VIS 1" },
            Fpsub32s = { "fpsub32s", FP, fp(0x36, 0x057), FpSSS, Any, "VIS 1" },
            FzeroD = { "fzerod", FP | RS1 | RS2, fp(0x36, 0x060), Vis0D, Any, "VIS 1" },
            FzeroS = { "fzeros", FP | RS1 | RS2, fp(0x36, 0x061), Vis0S, Any, "VIS 1" },
            FnorD = { "fnord", FP, fp(0x36, 0x062), FpDDD, Any, "VIS 1" },
            FnorS = { "fnors", FP, fp(0x36, 0x063), FpSSS, Any, "VIS 1" },
            Fandnot2D = { "fandnot2d", FP, fp(0x36, 0x064), FpDDD, Any, "VIS 1" },
            Fandnot2S = { "fandnot2s", FP, fp(0x36, 0x065), FpSSS, Any, "VIS 1" },
            Fnot2D = { "fnot2d", FP | RS1, fp(0x36, 0x066), FpDD, Any, "VIS 1" },
            Fnot2S = { "fnot2s", FP | RS1, fp(0x36, 0x067), FpSS, Any, "VIS 1" },
            Fandnot1D = { "fandnot1d", FP, fp(0x36, 0x068), FpDDD, Any, "VIS 1" },
            Fandnot1S = { "fandnot1s", FP, fp(0x36, 0x069), FpSSS, Any, "VIS 1" },
            Fnot1D = { "fnot1d", FP | RS2, fp(0x36, 0x06a), Vis1D, Any, "VIS 1" },
            Fnot1S = { "fnot1s", FP | RS2, fp(0x36, 0x06b), Vis1S, Any, "VIS 1" },
            FxorD = { "fxord", FP, fp(0x36, 0x06c), FpDDD, Any, "VIS 1" },
            FxorS = { "fxors", FP, fp(0x36, 0x06d), FpSSS, Any, "VIS 1" },
            FnandD = { "fnandd", FP, fp(0x36, 0x06e), FpDDD, Any, "VIS 1" },
            FnandS = { "fnands", FP, fp(0x36, 0x06f), FpSSS, Any, "VIS 1" },
            FandD = { "fandd", FP, fp(0x36, 0x070), FpDDD, Any, "VIS 1" },
            FandS = { "fands", FP, fp(0x36, 0x071), FpSSS, Any, "VIS 1" },
            FxnorD = { "fxnord", FP, fp(0x36, 0x072), FpDDD, Any, "VIS 1" },
            FxnorS = { "fxnors", FP, fp(0x36, 0x073), FpSSS, Any, "VIS 1" },
            Fsrc1D = { "fsrc1d", FP | RS2, fp(0x36, 0x074), Vis1D, Any, "VIS 1" },
            Fsrc1S = { "fsrc1s", FP | RS2, fp(0x36, 0x075), Vis1S, Any, "VIS 1" },
            Fornot2D = { "fornot2d", FP, fp(0x36, 0x076), FpDDD, Any, "VIS 1" },
            Fornot2S = { "fornot2s", FP, fp(0x36, 0x077), FpSSS, Any, "VIS 1" },
            Fsrc2D = { "fsrc2d", FP | RS1, fp(0x36, 0x078), FpDD, Any, "VIS 1" },
            Fsrc2S = { "fsrc2s", FP | RS1, fp(0x36, 0x079), FpSS, Any, "VIS 1" },
            Fornot1D = { "fornot1d", FP, fp(0x36, 0x07a), FpDDD, Any, "VIS 1" },
            Fornot1S = { "fornot1s", FP, fp(0x36, 0x07b), FpSSS, Any, "VIS 1" },
            ForD = { "ford", FP, fp(0x36, 0x07c), FpDDD, Any, "VIS 1" },
            ForS = { "fors", FP, fp(0x36, 0x07d), FpSSS, Any, "VIS 1" },
            FoneD = { "foned", FP | RS1 | RS2, fp(0x36, 0x07e), Vis0D, Any, "VIS 1" },
            FoneS = { "fones", FP | RS1 | RS2, fp(0x36, 0x07f), Vis0S, Any, "VIS 1" },
            Siam = { "siam", FP | RD | RS1 | 0x18, fp(0x36, 0x081), Siam, Any, "VIS 2" },
            Jmpl = { "jmpl", F3, f3(2, 0x38), Jmpl, Rs2OrImm, "V9 A.24" },
            Return = { "return", F3 | RD, f3(2, 0x39), Return, Rs2OrImm, "V9 A.45" },
            Tcc = { "t", F3 | 1 << 29 | 1 << 11, f3(2, 0x3a), Trap, Trap, "V9 A.63" },
            Flush = { "flush", F3 | RD, f3(2, 0x3b), Address, Rs2OrImm, "V9 A.20" },
            Save = { "save", F3, f3(2, 0x3c), Arith, Rs2OrImm, "V9 A.46" },
            Restore = { "restore", F3, f3(2, 0x3d), Arith, Rs2OrImm, "V9 A.46" },
            Done = { "done", !0, f3(2, 0x3e), Bare, Any, "V9 A.11" },
            Retry = { "retry", !0, f3(2, 0x3e) | 1 << 25, Bare, Any, "V9 A.11" },
            Lduw = { "ld", F3, f3(3, 0x00), Load, Rs2OrImm, "V9 A.28" },
            LduwA = { "lda", F3, f3(3, 0x10), LoadAsi, Any, "V9 A.28" },
            Ldub = { "ldub", F3, f3(3, 0x01), Load, Rs2OrImm, "V9 A.28" },
            LdubA = { "lduba", F3, f3(3, 0x11), LoadAsi, Any, "V9 A.28" },
            Lduh = { "lduh", F3, f3(3, 0x02), Load, Rs2OrImm, "V9 A.28" },
            LduhA = { "lduha", F3, f3(3, 0x12), LoadAsi, Any, "V9 A.28" },
            Ldtw = { "ldtw", F3 | 1 << 25, f3(3, 0x03), Load, Rs2OrImm, "V9 A.28" },
            LdtwA = { "ldtwa", F3 | 1 << 25, f3(3, 0x13), LoadAsi, Any, "V9 A.28" },
            Stw = { "st", F3, f3(3, 0x04), Store, Rs2OrImm, "V9 A.54" },
            StwA = { "sta", F3, f3(3, 0x14), StoreAsi, Any, "V9 A.54" },
            Stb = { "stb", F3, f3(3, 0x05), Store, Rs2OrImm, "V9 A.54" },
            StbA = { "stba", F3, f3(3, 0x15), StoreAsi, Any, "V9 A.54" },
            Sth = { "sth", F3, f3(3, 0x06), Store, Rs2OrImm, "V9 A.54" },
            SthA = { "stha", F3, f3(3, 0x16), StoreAsi, Any, "V9 A.54" },
            Sttw = { "sttw", F3 | 1 << 25, f3(3, 0x07), Store, Rs2OrImm, "V9 A.54" },
            SttwA = { "sttwa", F3 | 1 << 25, f3(3, 0x17), StoreAsi, Any, "V9 A.54" },
            Ldsw = { "ldsw", F3, f3(3, 0x08), Load, Rs2OrImm, "V9 A.28" },
            LdswA = { "ldswa", F3, f3(3, 0x18), LoadAsi, Any, "V9 A.28" },
            Ldsb = { "ldsb", F3, f3(3, 0x09), Load, Rs2OrImm, "V9 A.28" },
            LdsbA = { "ldsba", F3, f3(3, 0x19), LoadAsi, Any, "V9 A.28" },
            Ldsh = { "ldsh", F3, f3(3, 0x0a), Load, Rs2OrImm, "V9 A.28" },
            LdshA = { "ldsha", F3, f3(3, 0x1a), LoadAsi, Any, "V9 A.28" },
            Ldx = { "ldx", F3, f3(3, 0x0b), Load, Rs2OrImm, "V9 A.28" },
            LdxA = { "ldxa", F3, f3(3, 0x1b), LoadAsi, Any, "V9 A.28" },
            Ldstub = { "ldstub", F3, f3(3, 0x0d), Load, Rs2OrImm, "V9 A.29" },
            LdstubA = { "ldstuba", F3, f3(3, 0x1d), LoadAsi, Any, "V9 A.29" },
            Stx = { "stx", F3, f3(3, 0x0e), Store, Rs2OrImm, "V9 A.54" },
            StxA = { "stxa", F3, f3(3, 0x1e), StoreAsi, Any, "V9 A.54" },
            Swap = { "swap", F3, f3(3, 0x0f), Load, Rs2OrImm, "V9 A.57" },
            SwapA = { "swapa", F3, f3(3, 0x1f), LoadAsi, Any, "V9 A.57" },
            Ldf = { "ld", F3, f3(3, 0x20), LoadS, Rs2OrImm, "V9 A.25" },
            LdfA = { "lda", F3, f3(3, 0x30), LoadSAsi, Any, "V9 A.25" },
            Lddf = { "ldd", F3, f3(3, 0x23), LoadD, Rs2OrImm, "V9 A.25" },
            LddfA = { "ldda", F3, f3(3, 0x33), LoadDAsi, Any, "V9 A.25" },
            Stf = { "st", F3, f3(3, 0x24), StoreS, Rs2OrImm, "V9 A.52" },
            StfA = { "sta", F3, f3(3, 0x34), StoreSAsi, Any, "V9 A.52" },
            Stdf = { "std", F3, f3(3, 0x27), StoreD, Rs2OrImm, "V9 A.52" },
            StdfA = { "stda", F3, f3(3, 0x37), StoreDAsi, Any, "V9 A.52" },
            Ldfsr = { "ld", F3 | RD, f3(3, 0x21), LoadFsr, Rs2OrImm, "V9 A.25" },
            Ldxfsr = { "ldx", F3 | RD, f3(3, 0x21) | 1 << 25, LoadFsr, Rs2OrImm, "V9 A.25" },
            Stfsr = { "st", F3 | RD, f3(3, 0x25), StoreFsr, Rs2OrImm, "V9 A.52" },
            Stxfsr = { "stx", F3 | RD, f3(3, 0x25) | 1 << 25, StoreFsr, Rs2OrImm, "V9 A.52" },
            Prefetch = { "prefetch", F3, f3(3, 0x2d), Prefetch, Prefetch, "V9 A.42" },
            PrefetchA = { "prefetcha", F3, f3(3, 0x3d), PrefetchAsi, PrefetchFcn, "V9 A.42" },
            CasA = { "casa", F3, f3(3, 0x3c), Cas, Cas, "V9 A.9" },
            CasxA = { "casxa", F3, f3(3, 0x3e), Cas, Cas, "V9 A.9" },
        }
    };
}

macro_rules! define_rows {
    ($($name:ident = {
        $mnemonic:literal, $mask:expr, $bits:expr, $format:ident, $rule:ident, $source:literal
    },)*) => {
        /// An instruction of the table.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        #[repr(u8)]
        pub enum Op {
            $(#[doc = concat!("`", $mnemonic, "`, ", $source, ".")] $name,)*
        }

        /// Every instruction, in table order: `ROWS[op as usize].op == op`.
        pub const ROWS: &[Row] = &[$(Row {
            op: Op::$name,
            mnemonic: $mnemonic,
            mask: $mask,
            bits: $bits,
            format: Format::$format,
            rule: Rule::$rule,
            source: $source,
        }),*];
    };
}
for_each_insn!(define_rows);

impl Op {
    /// Its row.
    #[must_use]
    pub const fn row(self) -> &'static Row {
        &ROWS[self as usize]
    }
}

/// Words that may be the same instruction have the same key.
const fn key(word: u32) -> usize {
    let (op3, opf) = ((word >> 19 & 0x3f) as usize, (word >> 5 & 0x1ff) as usize);
    match word >> 30 {
        0 => (word >> 22 & 7) as usize,
        1 => 8,
        2 => match op3 {
            0x34 => 256 + opf,
            0x35 => 144 + (opf & 0x1f),
            0x36 => 768 + opf,
            _ => 16 + op3,
        },
        _ => 80 + op3,
    }
}

const KEYS: usize = 1280;
const NONE: u8 = u8::MAX;

/// For each key its first row, and for each row the next one of its key.
const INDEX: ([u8; KEYS], [u8; ROWS.len()]) = {
    let (mut first, mut next) = ([NONE; KEYS], [NONE; ROWS.len()]);
    let mut row = ROWS.len();
    while row > 0 {
        row -= 1;
        let key = key(ROWS[row].bits);
        next[row] = first[key];
        first[key] = row as u8;
    }
    (first, next)
};
static FIRST: [u8; KEYS] = INDEX.0;
static NEXT: [u8; ROWS.len()] = INDEX.1;
const _: () = assert!(ROWS.len() < NONE as usize);

/// The instruction that a word is; `None` is an illegal instruction.
#[must_use]
pub fn decode(word: u32) -> Option<Op> {
    let mut index = FIRST[key(word)];
    while index != NONE {
        let row = &ROWS[usize::from(index)];
        if word & row.mask == row.bits && row.rule.accepts(Word(word)) {
            return Some(row.op);
        }
        index = NEXT[usize::from(index)];
    }
    None
}

impl Rule {
    /// Do the bits outside the row's mask keep the rule?
    #[must_use]
    pub fn accepts(self, w: Word) -> bool {
        let rs2_or_imm = w.i() || w.0 & 0x1fe0 == 0;
        let rcond = |code: u8| code & 3 != 0;
        match self {
            Self::Any => true,
            Self::Rs2OrImm => rs2_or_imm,
            Self::Shift if w.i() && w.shift_x() => w.0 & 0xfc0 == 0,
            Self::Shift => w.0 & 0xfe0 == 0,
            Self::Cas => !w.i() || w.0 & 0x1fe0 == 0,
            Self::RdAsr => matches!(w.rs1(), 0 | 2..=6 | 16 | 17 | 19 | 22..=25),
            Self::WrAsr => rs2_or_imm && matches!(w.rd(), 0 | 2 | 3 | 6 | 16 | 17 | 19..=23 | 25),
            Self::RdPr => matches!(w.rs1(), 0..=14 | 16),
            Self::WrPr => rs2_or_imm && matches!(w.rd(), 0..=14 | 16),
            Self::MovCc => w.move_cc() & 5 != 5 && (w.i() || w.0 & 0x7e0 == 0),
            Self::MovR => rcond(w.move_rcond()) && (w.i() || w.0 & 0x3e0 == 0),
            Self::MovRcond => rcond(w.move_rcond()),
            Self::Rcond25 => rcond(w.branch_rcond()),
            Self::FmovCc => w.fmove_cc() & 5 != 5,
            Self::Trap => w.0 & if w.i() { 0x700 } else { 0x7e0 } == 0,
            Self::Prefetch => rs2_or_imm && !matches!(w.rd(), 5..=15),
            Self::PrefetchFcn => !matches!(w.rd(), 5..=15),
        }
    }
}

#[cfg(test)]
mod test {
    use super::{Op, ROWS, decode, key};

    #[test]
    fn no_word_matches_two_rows() {
        for (i, a) in ROWS.iter().enumerate() {
            assert_eq!(a.op as usize, i);
            assert_eq!(a.bits & !a.mask, 0, "{:?}: bits outside its mask", a.op);
            for b in &ROWS[i + 1..] {
                let shared = a.mask & b.mask;
                let word = super::Word(a.bits | b.bits);
                let both = a.bits & shared == b.bits & shared
                    && a.rule.accepts(word)
                    && b.rule.accepts(word);
                assert!(!both, "{:?} and {:?} both match {:08x}", a.op, b.op, word.0);
            }
        }
    }

    #[test]
    fn the_index_finds_what_a_search_of_the_table_finds() {
        let mut word = 0x1234_5678u32;
        for round in 0..400_000 {
            word = word.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let row = &ROWS[round % ROWS.len()];
            for word in [word, word & !row.mask | row.bits, (word & 0x1f) & !row.mask | row.bits] {
                let mut found = ROWS.iter().filter(|row| {
                    word & row.mask == row.bits && row.rule.accepts(super::Word(word))
                });
                assert_eq!(decode(word), found.next().map(|row| row.op), "{word:08x}");
                assert!(found.next().is_none(), "{word:08x} is two instructions");
            }
        }
        assert!(ROWS.iter().all(|row| key(row.bits) < super::KEYS));
    }

    #[test]
    fn words_of_the_manual_are_what_they_should_be() {
        for (word, op) in [
            (0x0100_0000, Some(Op::Sethi)),
            (0x91d0_2080, Some(Op::Tcc)),
            (0x8158_0000, Some(Op::Flushw)),
            (0x8b88_0000, Some(Op::Invalw)),
            (0x81f0_0000, Some(Op::Done)),
            (0x83f0_0000, Some(Op::Retry)),
            (0x8354_0000, Some(Op::RdPr)),
            (0x8d90_0001, Some(Op::WrPr)),
            (0x8990_0001, Some(Op::WrPr)),
            (0x9f90_0001, None),
            (0x8341_0000, Some(Op::RdAsr)),
            (0xb380_0001, Some(Op::WrAsr)),
            (0x8143_e040, Some(Op::Membar)),
            (0x8143_c000, Some(Op::Stbar)),
            (0xc7e0_5002, Some(Op::CasA)),
            (0xc7f0_5002, Some(Op::CasxA)),
            (0xc498_0480, Some(Op::LdtwA)),
            (0xc198_1e00, Some(Op::LddfA)),
            (0x8570_0001, Some(Op::Popc)),
            (0x81b0_1024, Some(Op::Siam)),
            (0x81cf_e008, Some(Op::Return)),
            (0x9f80_2001, None),
            (0x0000_0000, None),
            (0x8000_1fe0, None),
            (0x837c_c000, None),
        ] {
            assert_eq!(decode(word), op, "{word:08x}");
        }
    }
}
