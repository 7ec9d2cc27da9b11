//! Map tables and cookies of any content: a copy is what a model of it says, byte for
//! byte, and leaves neither the exported page nor the caller's range.

use crate::drive::{Dice, fuzz};
use hv::ldc::{Copy, MapTable, copy};
use hv::platform::Memory as _;
use hv::testing::Pages;
use sun4v::addr::{Pa, Ra, RealMap, RealRange};
use sun4v::hcall::HvError;

const PAGE: u64 = 0x2000;
/// Both guests' real memory: two blocks, with a hole between.
const BASE: u64 = 0x800_0000;
const PAGES: u64 = 3;
const FAR: u64 = 0x4000_0000;
/// Where they lie: own, their two blocks. Between them is other people's memory.
const OWN: u64 = 0x1_0000;
const THEIR: [u64; 2] = [0x2_0000, 0x3_0000];
/// All of it.
const END: u64 = 0x4_0000;

fn map(blocks: &[(u64, u64)]) -> RealMap {
    let range = |&(ra, pa): &(u64, u64)| RealRange { ra: Ra(ra), pa: Pa(pa), size: PAGES * PAGE };
    RealMap::new(blocks.iter().map(range).collect())
}

fn entry(dice: &mut Dice) -> u64 {
    let page = match dice.below(8) {
        0 => dice.bits() & 0x00ff_ffff_ffff_e000,
        1 => BASE + PAGES * PAGE,
        2 => BASE - PAGE,
        3 => FAR + dice.below(PAGES) * PAGE,
        _ => BASE + dice.below(PAGES) * PAGE,
    };
    let bits = if dice.hit(3) { dice.bits() & 0x1fff } else { dice.one(&[0x200, 0x400, 0x600]) };
    page | bits | if dice.hit(8) { dice.bits() << 56 } else { 0 }
}

#[test]
fn map_tables() {
    let own = map(&[(BASE, OWN)]);
    let theirs = map(&[(BASE, THEIR[0]), (FAR, THEIR[1])]);
    let filled = Pages::default();
    for pa in (0..END).step_by(8) {
        filled.write_u64(Pa(pa), Dice::new(pa).bits());
    }
    fuzz("map_tables", &[], |dice| {
        let memory = filled.snapshot();
        let entries = 2 << dice.below(6);
        let table = MapTable { ra: Ra(BASE), pa: Pa(THEIR[0]), entries };
        for index in 0..entries {
            memory.write(Pa(THEIR[0] + 16 * index), &entry(dice).to_be_bytes());
        }
        for _ in 0..16 {
            let index = dice.below(entries + 1);
            let offset = dice.one(&[0, 8, 64, PAGE - 8, PAGE / 2]);
            let ra = BASE + dice.below(PAGES * PAGE / 8) * 8;
            let room = BASE + PAGES * PAGE - ra;
            let wanted = Copy {
                out: dice.hit(2),
                cookie: if dice.hit(16) { dice.bits() & !7 } else { index << 13 | offset },
                ra: Ra(ra),
                bytes: (8 + dice.below(room / 8) * 8).min(room),
            };
            let before = memory.snapshot();
            let given = memory.read_u64(Pa(THEIR[0] + 16 * index));
            let result = copy(&memory, &own, &theirs, Some(table), wanted);
            check(&before, &memory, wanted, given, entries, result);
        }
    });
}

/// What must have happened, told from the bytes before.
fn check(
    before: &Pages,
    after: &Pages,
    wanted: Copy,
    entry: u64,
    entries: u64,
    result: Result<u64, HvError>,
) {
    let Copy { out, cookie, ra, bytes } = wanted;
    let count = match result {
        Ok(count) => count,
        Err(_) => {
            assert_eq!(after.differences(before), [], "a refused copy changed memory: {wanted:x?}");
            return;
        }
    };
    let (index, offset) = (cookie >> 13, cookie & (PAGE - 1));
    assert!(cookie >> 60 == 0 && index < entries, "{wanted:x?}");
    let needed = if out { 0x400 } else { 0x200 };
    assert_ne!(entry & needed, 0, "without permission: {wanted:x?} through {entry:#x}");
    assert_eq!(count, bytes.min(PAGE - offset).min(PAGE - ra.0 % PAGE), "{wanted:x?}");
    let page = entry & 0x00ff_ffff_ffff_e000;
    let remote = match page {
        ra if (BASE..BASE + PAGES * PAGE).contains(&ra) => THEIR[0] + ra - BASE,
        ra if (FAR..FAR + PAGES * PAGE).contains(&ra) => THEIR[1] + ra - FAR,
        _ => panic!("page {page:#x} is nobody's"),
    };
    let (remote, local) = (remote + offset, OWN + ra.0 - BASE);
    let (from, to) = if out { (local, remote) } else { (remote, local) };
    for at in (0..count).step_by(8) {
        let (is, was) = (after.read_u64(Pa(to + at)), before.read_u64(Pa(from + at)));
        assert_eq!(is, was, "{wanted:x?}, {at:#x} bytes on");
    }
    for (pa, ..) in after.differences(before) {
        assert!((to..to + count).contains(&pa.0), "{pa} was written: {wanted:x?}");
    }
}
