//! Examples worked by hand after the architecture manual. `tests/vis_oracle.rs`
//! holds the whole set against QEMU.

use super::{compare, int, op32, op64, siam};
use crate::chip::regs::{Cc, Z};
use sun4v::isa::{Format, Op, ROWS};

#[test]
fn every_visual_instruction_of_the_table_has_one_dispatcher() {
    for row in ROWS.iter().filter(|row| row.source.starts_with("VIS")) {
        let has = [
            op64(row.op, 0, 1, 2, 3).is_some(),
            op32(row.op, 0, 1, 2).is_some(),
            compare(row.op, 1, 2).is_some(),
            int(row.op, 0, 1, 2, false).is_some(),
            row.format == Format::Siam,
        ];
        let expected = match row.format {
            Format::FpDDD | Format::FpDD | Format::FpSDD | Format::FpSSD | Format::FpSD => 0,
            Format::Vis0D | Format::Vis1D => 0,
            Format::FpSSS | Format::FpSS | Format::FpDS | Format::Vis0S | Format::Vis1S => 1,
            Format::VisDDR => 2,
            Format::VisRRR => 3,
            Format::Siam => 4,
            other => panic!("{}: {other:?}", row.mnemonic),
        };
        for (at, has) in has.into_iter().enumerate() {
            assert_eq!(has, at == expected, "{} in dispatcher {at}", row.mnemonic);
        }
    }
    assert!(op64(Op::FaddD, 0, 0, 0, 0).is_none());
}

#[test]
fn an_edge_keeps_the_pixels_between_two_addresses() {
    let edge = |op, a, b| int(op, 0, a, b, false).unwrap().rd;
    assert_eq!(edge(Op::Edge8, 0x1003, 0x2000), 0b0001_1111);
    assert_eq!(edge(Op::Edge8, 0x1003, 0x1005), 0b0001_1100);
    assert_eq!(edge(Op::Edge8l, 0x1003, 0x1005), 0b0011_1000);
    assert_eq!(edge(Op::Edge8l, 0x1003, 0x2005), 0b1111_1000);
    assert_eq!(edge(Op::Edge8, 0x1005, 0x1003), 0);
    assert_eq!(edge(Op::Edge16, 0x1002, 0x1005), 0b0110);
    assert_eq!(edge(Op::Edge16l, 0x1003, 0x1004), 0b0110);
    assert_eq!(edge(Op::Edge16l, 0x1004, 0x1006), 0b1100);
    assert_eq!(edge(Op::Edge32, 0x1004, 0x2000), 0b01);
    assert_eq!(edge(Op::Edge32, 0x1000, 0x1000), 0b10);
    assert_eq!(edge(Op::Edge32l, 0x1000, 0x1003), 0b01);
    assert_eq!(edge(Op::Edge32ln, 0x1004, 0x1003), 0);
}

#[test]
fn with_addresses_masked_only_the_low_half_makes_the_same_eight_bytes() {
    let (a, b) = (0x1_0000_1003, 0x2_0000_1005);
    assert_eq!(int(Op::Edge8n, 0, a, b, false).unwrap().rd, 0b0001_1111);
    assert_eq!(int(Op::Edge8n, 0, a, b, true).unwrap().rd, 0b0001_1100);
}

#[test]
fn an_edge_without_n_compares() {
    let codes = |op| int(op, 0, 7, 7, false).unwrap().cc.as_ref().map(Cc::ccr);
    assert_eq!(codes(Op::Edge8), Some(Z << 4 | Z));
    assert_eq!(codes(Op::Edge8n), None);
}

#[test]
fn a_blocked_address_takes_its_bits_in_the_order_of_the_manual() {
    let array = |op, a, b| int(op, 0, a, b, false).unwrap().rd;
    for (bit, at) in [(11, 0), (12, 1), (33, 2), (34, 3), (55, 4), (13, 5), (16, 8), (35, 9)] {
        assert_eq!(array(Op::Array8, 1 << bit, 5), 1 << at);
    }
    for (bit, at) in [(38, 12), (56, 13), (59, 16), (17, 17), (21, 21), (39, 22), (43, 26)] {
        assert_eq!(array(Op::Array8, 1 << bit, 5), 1 << at);
        assert_eq!(array(Op::Array32, 1 << bit, 5), 4 << at);
    }
    assert_eq!(array(Op::Array8, 1 << 60, 5), 1 << 27);
    assert_eq!(array(Op::Array16, 1 << 60, 0), 2 << 17);
    assert_eq!(array(Op::Array8, 1 << 18, 1), 0, "one bit of x is above the blocks");
    assert_eq!(array(Op::Array8, u64::MAX, 7), array(Op::Array8, u64::MAX, 5));
    assert_eq!(array(Op::Array8, u64::MAX, 8), array(Op::Array8, u64::MAX, 0));
    assert_eq!(array(Op::Array8, 0x7ff | 0x7ff << 22 | 0x7ff << 44, 5), 0, "fractions");
}

#[test]
fn an_aligned_address_leaves_its_offset_in_gsr() {
    let gsr = 0x1234_5678_0e00_00ff;
    let got = int(Op::AlignAddress, gsr, 0x1003, 2, true).unwrap();
    assert_eq!((got.rd, got.gsr), (0x1000, gsr & !7 | 5));
    let got = int(Op::AlignAddressLittle, gsr, 0x1003, 2, true).unwrap();
    assert_eq!((got.rd, got.gsr), (0x1000, gsr & !7 | 3));
    let got = int(Op::Bmask, gsr, u64::MAX, 0x8000_0002, true).unwrap();
    assert_eq!((got.rd, got.gsr), (0x8000_0001, 0x8000_0001_0e00_00ff));
    assert_eq!(siam(gsr, 5), 0x1234_5678_0a00_00ff);
}

#[test]
fn bytes_are_picked_out_of_two_registers() {
    let (a, b) = (0x0001_0203_0405_0607, 0x0809_0a0b_0c0d_0e0f);
    assert_eq!(op64(Op::FalignData, 0, a, b, 0), Some(a));
    assert_eq!(op64(Op::FalignData, 3, a, b, 0), Some(0x0304_0506_0708_090a));
    let mask = 0xf0e1_d2c3u64 << 32;
    assert_eq!(op64(Op::Bshuffle, mask, a, b, 0), Some(0x0f00_0e01_0d02_0c03));
    assert_eq!(op64(Op::Fpmerge, 0, 0x1122_3344, 0xaabb_ccdd, 0), Some(0x11aa_22bb_33cc_44dd));
    assert_eq!(op64(Op::Fexpand, 0, 0, 0x1122_33ff, 0), Some(0x0110_0220_0330_0ff0));
}

#[test]
fn packing_scales_then_clips() {
    let lanes = 0x7fff_8000_0080_007f;
    assert_eq!(op32(Op::Fpack16, 0, 0, lanes), Some(0xff00_0100));
    assert_eq!(op32(Op::Fpack16, 0x1f << 3, 0, lanes), Some(0xff00_ffff), "four bits of scale");
    assert_eq!(op32(Op::Fpackfix, 16 << 3, 0, 0x0000_1234_ffff_8000), Some(0x1234_8000));
    assert_eq!(op32(Op::Fpackfix, 31 << 3, 0, 0x0000_0001_ffff_ffff), Some(0x7fff_8000));
    let got = op64(Op::Fpack32, 0, 0x1122_3344_5566_7788, 0x0080_0000_8000_0000, 0);
    assert_eq!(got, Some(0x2233_4401_6677_8800));
}

#[test]
fn products_are_rounded_half_up() {
    let lanes = 0x0001_ffff_7fff_8000;
    assert_eq!(op64(Op::Fmul8x16, 0, 0x8080_ffff, lanes, 0), Some(0x0001_0000_7f7f_8080));
    assert_eq!(op64(Op::Fmul8x16au, 0, 0x8001_0203, 0x0100_7777, 0), Some(0x0080_0001_0002_0003));
    assert_eq!(op64(Op::Fmul8x16al, 0, 0x8001_0203, 0x7777_0100, 0), Some(0x0080_0001_0002_0003));
    assert_eq!(
        op64(Op::Fmul8sux16, 0, 0x80ff_7f00_0100_ff00, lanes, 0),
        Some(0x0000_0000_0080_0080)
    );
    assert_eq!(
        op64(Op::Fmul8ulx16, 0, 0x00ff_00ff_00ff_0180, lanes, 0),
        Some(0x0000_0000_007f_ffc0)
    );
    assert_eq!(op64(Op::Fmuld8sux16, 0, 0xff00_8000, 0x0002_8000, 0), Some(0xffff_fe00_4000_0000));
    assert_eq!(op64(Op::Fmuld8ulx16, 0, 0xffff_ff01, 0x0002_8000, 0), Some(0x0000_01fe_ffff_8000));
}

#[test]
fn lanes_are_compared_signed_and_the_least_is_bit_0() {
    let (a, b) = (0x0001_8000_0000_7fff, 0x0000_0001_0000_8000);
    assert_eq!(compare(Op::Fcmpgt16, a, b), Some(0b1001));
    assert_eq!(compare(Op::Fcmple16, a, b), Some(0b0110));
    assert_eq!(compare(Op::Fcmpeq16, a, b), Some(0b0010));
    assert_eq!(compare(Op::Fcmpne32, a, b), Some(0b11));
    assert_eq!(compare(Op::Fcmpgt32, 0x0000_0001_8000_0000, 0), Some(0b10));
}

#[test]
fn a_distance_is_added_to_what_is_there() {
    assert_eq!(op64(Op::Pdist, 0, 0xff00_0000_0000_0001, 0x00ff_0000_0000_0003, 10), Some(522));
    assert_eq!(op64(Op::Pdist, 0, 1, 0, u64::MAX), Some(0));
}

/// The table of the manual: masks at the left and the right edge for each offset.
const EDGE8: [(u64, u64); 8] = [
    (0b1111_1111, 0b1000_0000),
    (0b0111_1111, 0b1100_0000),
    (0b0011_1111, 0b1110_0000),
    (0b0001_1111, 0b1111_0000),
    (0b0000_1111, 0b1111_1000),
    (0b0000_0111, 0b1111_1100),
    (0b0000_0011, 0b1111_1110),
    (0b0000_0001, 0b1111_1111),
];
const EDGE16: [(u64, u64); 4] =
    [(0b1111, 0b1000), (0b0111, 0b1100), (0b0011, 0b1110), (0b0001, 0b1111)];
const EDGE32: [(u64, u64); 2] = [(0b11, 0b10), (0b01, 0b11)];

#[test]
fn edges_are_the_table_of_the_manual() {
    check_edges(Op::Edge8n, Op::Edge8ln, &EDGE8);
    check_edges(Op::Edge16n, Op::Edge16ln, &EDGE16);
    check_edges(Op::Edge32n, Op::Edge32ln, &EDGE32);
}

fn check_edges(big: Op, little: Op, table: &[(u64, u64)]) {
    let bytes = 8 / table.len();
    let mirror = |mask: u64| mask.reverse_bits() >> (64 - table.len());
    for (a, b) in (0..8).flat_map(|a| (0..8).map(move |b| (a, b))) {
        let left = table[a / bytes].0;
        let both = left & table[b / bytes].1;
        for (far, expected) in [(0, both), (8, left)] {
            let (a, b) = (0x4000 + a as u64, 0x4000 + b as u64 + far);
            assert_eq!(int(big, 0, a, b, false).unwrap().rd, expected);
            assert_eq!(int(little, 0, a, b, false).unwrap().rd, mirror(expected));
        }
    }
}
