//! An instruction word and its fields, named as in the manual.

/// One instruction word. Any bits are one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Word(pub u32);

/// Sign-extends the low `bits` of `value`.
const fn sign(value: u32, bits: u32) -> i64 {
    ((value << (32 - bits)) as i32 >> (32 - bits)) as i64
}

impl Word {
    /// Destination register, bits 29:25.
    #[must_use]
    pub const fn rd(self) -> u8 {
        (self.0 >> 25 & 31) as u8
    }
    /// First source register, bits 18:14.
    #[must_use]
    pub const fn rs1(self) -> u8 {
        (self.0 >> 14 & 31) as u8
    }
    /// Second source register, bits 4:0.
    #[must_use]
    pub const fn rs2(self) -> u8 {
        (self.0 & 31) as u8
    }
    /// The second operand is an immediate, bit 13.
    #[must_use]
    pub const fn i(self) -> bool {
        self.0 >> 13 & 1 != 0
    }
    /// Signed immediate, bits 12:0.
    #[must_use]
    pub const fn simm13(self) -> i64 {
        sign(self.0, 13)
    }
    /// Signed immediate of conditional moves, bits 10:0.
    #[must_use]
    pub const fn simm11(self) -> i64 {
        sign(self.0, 11)
    }
    /// Signed immediate of moves on a register, bits 9:0.
    #[must_use]
    pub const fn simm10(self) -> i64 {
        sign(self.0, 10)
    }
    /// Immediate ASI, bits 12:5.
    #[must_use]
    pub const fn imm_asi(self) -> u8 {
        (self.0 >> 5 & 0xff) as u8
    }
    /// Immediate of SETHI and ILLTRAP, bits 21:0.
    #[must_use]
    pub const fn imm22(self) -> u32 {
        self.0 & 0x3f_ffff
    }
    /// Displacement of Bicc and FBfcc, in bytes.
    #[must_use]
    pub const fn disp22(self) -> i64 {
        sign(self.0, 22) << 2
    }
    /// Displacement of BPcc and FBPfcc, in bytes.
    #[must_use]
    pub const fn disp19(self) -> i64 {
        sign(self.0, 19) << 2
    }
    /// Displacement of BPr, in bytes: bits 21:20 and 13:0.
    #[must_use]
    pub const fn disp16(self) -> i64 {
        sign(self.0 >> 20 << 14 & 0xc000 | self.0 & 0x3fff, 16) << 2
    }
    /// Displacement of CALL, in bytes.
    #[must_use]
    pub const fn disp30(self) -> i64 {
        sign(self.0, 30) << 2
    }
    /// Branch and trap condition, bits 28:25.
    #[must_use]
    pub const fn cond(self) -> u8 {
        (self.0 >> 25 & 15) as u8
    }
    /// Condition of a conditional move, bits 17:14.
    #[must_use]
    pub const fn move_cond(self) -> u8 {
        (self.0 >> 14 & 15) as u8
    }
    /// Register condition of BPr, bits 27:25.
    #[must_use]
    pub const fn branch_rcond(self) -> u8 {
        (self.0 >> 25 & 7) as u8
    }
    /// Register condition of moves, bits 12:10.
    #[must_use]
    pub const fn move_rcond(self) -> u8 {
        (self.0 >> 10 & 7) as u8
    }
    /// Annul bit, bit 29.
    #[must_use]
    pub const fn annul(self) -> bool {
        self.0 >> 29 & 1 != 0
    }
    /// Prediction bit, bit 19.
    #[must_use]
    pub const fn predict(self) -> bool {
        self.0 >> 19 & 1 != 0
    }
    /// Condition code field of BPcc and FBPfcc, bits 21:20.
    #[must_use]
    pub const fn branch_cc(self) -> u8 {
        (self.0 >> 20 & 3) as u8
    }
    /// Condition code field of Tcc, bits 12:11.
    #[must_use]
    pub const fn trap_cc(self) -> u8 {
        (self.0 >> 11 & 3) as u8
    }
    /// Condition code field of MOVcc: bit 18 above bits 12:11. 0 to 3 are fcc0 to
    /// fcc3, 4 is icc, 6 is xcc.
    #[must_use]
    pub const fn move_cc(self) -> u8 {
        (self.0 >> 16 & 4 | self.0 >> 11 & 3) as u8
    }
    /// Condition code field of FMOVcc, bits 13:11, numbered as [`Word::move_cc`].
    #[must_use]
    pub const fn fmove_cc(self) -> u8 {
        (self.0 >> 11 & 7) as u8
    }
    /// Floating-point opcode, bits 13:5.
    #[must_use]
    pub const fn opf(self) -> u16 {
        (self.0 >> 5 & 0x1ff) as u16
    }
    /// Shift by up to 63 (bit 12) or by up to 31.
    #[must_use]
    pub const fn shift_x(self) -> bool {
        self.0 >> 12 & 1 != 0
    }
    /// Software trap number when it is an immediate, bits 7:0.
    #[must_use]
    pub const fn imm_trap(self) -> u8 {
        self.0 as u8
    }
    /// `rd` as the number of a double, 0 to 62 even: bit 0 of the field is bit 5 of
    /// the number.
    #[must_use]
    pub const fn rd_double(self) -> u8 {
        double(self.rd())
    }
    /// `rs1` likewise.
    #[must_use]
    pub const fn rs1_double(self) -> u8 {
        double(self.rs1())
    }
    /// `rs2` likewise.
    #[must_use]
    pub const fn rs2_double(self) -> u8 {
        double(self.rs2())
    }
}

/// The number of the double that a five-bit field names.
#[must_use]
pub const fn double(field: u8) -> u8 {
    (field & 1) << 5 | field & 0x1e
}

#[cfg(test)]
mod test {
    use super::Word;

    #[test]
    fn displacements_are_signed_and_in_bytes() {
        assert_eq!(Word(0x7fff_ffff).disp30(), -4);
        assert_eq!(Word(0x10bf_fffe).disp22(), -8);
        assert_eq!(Word(0x106f_fffc).disp19(), -16);
        assert_eq!(Word(0x02f7_ffff).disp16(), -4);
        assert_eq!(Word(0x02c2_0001).disp16(), 4);
    }

    #[test]
    fn the_low_bit_of_a_double_is_its_bit_five() {
        assert_eq!(Word(31 << 25).rd_double(), 62);
        assert_eq!(Word(30 << 25).rd_double(), 30);
        assert_eq!(Word(1).rs2_double(), 32);
    }
}
