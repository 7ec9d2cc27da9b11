//! Translations.

use crate::case::{Case, End, Never, bad, change, good, never, order};
use hv::testing::{BASE, BYTES, Lab};
use sun4v::hcall::HvError::{
    BadAlign, BadPgsz, BadTsb, Inval, NoMap, NoRaddr, NotSupported, TooMany,
};
use sun4v::hcall::nr;
use sun4v::id::{GuestId, StrandId, VcpuId};

const END: u64 = BASE + BYTES;
/// Where descriptors lie, and a TSB of 512 entries.
const LIST: u64 = BASE + 0x1000;
const TSB: u64 = BASE + 0x4000;
/// A virtual address, and one in the hole.
const VA: u64 = 0x40_0000;
const HOLE: u64 = 1 << 47;
/// A valid page at the beginning of memory: of 4 MiB, and of 8 KiB.
const M4: u64 = 1 << 63 | BASE | 0x4c0 | 3;
const K8: u64 = 1 << 63 | BASE | 0x4c0;

/// A TSB descriptor, field by field.
#[derive(Clone, Copy)]
struct Descriptor {
    index: u16,
    ways: u16,
    entries: u32,
    context: u32,
    mask: u32,
    base: u64,
    reserved: u64,
}

const GOOD: Descriptor =
    Descriptor { index: 0, ways: 1, entries: 512, context: 0, mask: 1, base: TSB, reserved: 0 };

fn put(lab: &mut Lab, descriptors: &[Descriptor]) {
    let mut bytes = Vec::new();
    for d in descriptors {
        bytes.extend(d.index.to_be_bytes());
        bytes.extend(d.ways.to_be_bytes());
        bytes.extend([d.entries, d.context, d.mask].iter().flat_map(|word| word.to_be_bytes()));
        bytes.extend([d.base, d.reserved].iter().flat_map(|word| word.to_be_bytes()));
    }
    lab.poke(LIST, &bytes);
}

/// Sets one TSB of context 0.
fn set(lab: &mut Lab) {
    put(lab, &[GOOD]);
    assert_eq!(lab.call(nr::mmu_tsb_ctx0, [1, LIST, 0, 0, 0]).status, 0);
}

/// Sets two of the other contexts.
fn set_two(lab: &mut Lab) {
    put(lab, &[GOOD, Descriptor { index: 3, mask: 0x28, context: 1, entries: 1024, ..GOOD }]);
    assert_eq!(lab.call(nr::mmu_tsb_ctxnon0, [2, LIST, 0, 0, 0]).status, 0);
}

/// Maps permanently, for both TLBs.
fn map(lab: &mut Lab, va: u64, tte: u64) {
    assert_eq!(lab.call(nr::mmu_map_perm_addr, [va, 0, tte, 3, 0]).status, 0);
}

/// The same as the second virtual CPU.
fn map_by_other(lab: &mut Lab, va: u64, tte: u64) {
    lab.caller.1 = VcpuId(1);
    map(lab, va, tte);
    lab.caller.1 = VcpuId(0);
}

/// Fills the guest's table.
fn fill(lab: &mut Lab) {
    (0..8).for_each(|page| map(lab, VA + (page << 13), K8));
}

/// A case that sets one TSB of context 0 which is wrong in some way.
macro_rules! tsb {
    ($error:ident, $about:literal, $($field:ident: $value:expr),+) => {
        bad("mmu_tsb_ctx0", $error, $about, |lab| {
            put(lab, &[Descriptor { $($field: $value,)+ ..GOOD }]);
            lab.show("mmu_tsb_ctx0", &[1, LIST])
        })
    };
    ($first:ident, $second:ident, $about:literal, $($field:ident: $value:expr),+) => {
        order("mmu_tsb_ctx0", $first, $second, $about, |lab| {
            put(lab, &[Descriptor { $($field: $value,)+ ..GOOD }]);
            lab.show("mmu_tsb_ctx0", &[1, LIST])
        })
    };
}

pub const CASES: &[Case] = &[
    good("mmu_tsb_ctx0", "one TSB; the second argument is cleared", |lab| {
        put(lab, &[GOOD]);
        lab.show("mmu_tsb_ctx0", &[1, LIST])
    }),
    good("mmu_tsb_ctx0", "four TSBs, of every page size, of both context registers", |lab| {
        let of = |index, context| Descriptor { index, mask: 1 << index, context, ..GOOD };
        put(lab, &[of(0, 0), of(1, 1), of(3, 0), of(5, 1)]);
        lab.show("mmu_tsb_ctx0", &[4, LIST])
    }),
    good("mmu_tsb_ctx0", "none: the one that was there goes", |lab| {
        set(lab);
        lab.show("mmu_tsb_ctx0", &[0, END + 1])
    }),
    good(
        "mmu_tsb_ctx0",
        "the smallest page size makes the index, larger ones may be there",
        |lab| {
            put(lab, &[Descriptor { index: 1, mask: 0x2a, ..GOOD }]);
            lab.show("mmu_tsb_ctx0", &[1, LIST])
        },
    ),
    bad("mmu_tsb_ctx0", Inval, "five; and the one that was there goes", |lab| {
        set(lab);
        lab.show("mmu_tsb_ctx0", &[5, LIST])
    }),
    bad("mmu_tsb_ctx0", BadAlign, "descriptors at 4 bytes", |lab| {
        lab.show("mmu_tsb_ctx0", &[1, LIST + 4])
    }),
    bad("mmu_tsb_ctx0", NoRaddr, "descriptors half behind memory", |lab| {
        lab.show("mmu_tsb_ctx0", &[2, END - 32])
    }),
    tsb!(BadPgsz, "an index by pages of 512 KiB", index: 2, mask: 4),
    tsb!(BadPgsz, "an index by pages of no size", index: 8, mask: 0x100),
    tsb!(Inval, "a mask without the size of the index", mask: 2),
    tsb!(Inval, "a mask with a smaller size than the index's", index: 1, mask: 3),
    tsb!(BadTsb, "two ways", ways: 2),
    tsb!(BadTsb, "256 entries", entries: 256),
    tsb!(BadTsb, "513 entries", entries: 513),
    tsb!(BadTsb, "32 Mi entries", entries: 1 << 25),
    tsb!(Inval, "contexts compared, which is -1", context: u32::MAX),
    tsb!(Inval, "a third context register", context: 2),
    tsb!(Inval, "something reserved", reserved: 1),
    tsb!(NoRaddr, "a TSB behind memory", base: END),
    tsb!(NoRaddr, "a TSB half behind memory", base: END - 0x2000, entries: 1024),
    tsb!(BadAlign, "a TSB at half its size", base: TSB + 0x1000),
    bad("mmu_tsb_ctx0", BadTsb, "the second of two is wrong: neither is set", |lab| {
        put(lab, &[GOOD, Descriptor { ways: 0, ..GOOD }]);
        lab.show("mmu_tsb_ctx0", &[2, LIST])
    }),
    order("mmu_tsb_ctx0", Inval, BadAlign, "the count first", |lab| {
        lab.show("mmu_tsb_ctx0", &[5, LIST + 4])
    }),
    order("mmu_tsb_ctx0", BadAlign, NoRaddr, "alignment before range", |lab| {
        lab.show("mmu_tsb_ctx0", &[1, END + 4])
    }),
    tsb!(BadPgsz, Inval, "page size before mask", index: 2, mask: 1),
    tsb!(BadPgsz, BadTsb, "page size before ways", index: 2, mask: 4, ways: 2),
    tsb!(Inval, BadTsb, "mask before ways", mask: 2, ways: 2),
    tsb!(BadTsb, Inval, "entries before context", entries: 0, context: 2),
    tsb!(Inval, NoRaddr, "what is reserved before range", reserved: 1, base: END),
    tsb!(NoRaddr, BadAlign, "a TSB's range before its alignment", base: END + 0x1000),
    good("mmu_tsb_ctxnon0", "the other class of contexts", |lab| {
        put(lab, &[GOOD]);
        lab.show("mmu_tsb_ctxnon0", &[1, LIST])
    }),
    bad("mmu_tsb_ctxnon0", Inval, "five; and those that were there go", |lab| {
        set_two(lab);
        lab.show("mmu_tsb_ctxnon0", &[5, LIST])
    }),
    bad("mmu_tsb_ctxnon0", BadAlign, "descriptors at 4 bytes", |lab| {
        lab.show("mmu_tsb_ctxnon0", &[1, LIST + 4])
    }),
    bad("mmu_tsb_ctxnon0", NoRaddr, "descriptors behind memory", |lab| {
        lab.show("mmu_tsb_ctxnon0", &[1, END])
    }),
    bad("mmu_tsb_ctxnon0", BadPgsz, "an index by pages of 16 GiB", |lab| {
        put(lab, &[Descriptor { index: 7, mask: 0x80, ..GOOD }]);
        lab.show("mmu_tsb_ctxnon0", &[1, LIST])
    }),
    bad("mmu_tsb_ctxnon0", BadTsb, "no entries", |lab| {
        put(lab, &[Descriptor { entries: 0, ..GOOD }]);
        lab.show("mmu_tsb_ctxnon0", &[1, LIST])
    }),
    order("mmu_tsb_ctxnon0", Inval, BadAlign, "the count first", |lab| {
        lab.show("mmu_tsb_ctxnon0", &[5, LIST + 4])
    }),
    order("mmu_tsb_ctxnon0", BadAlign, NoRaddr, "alignment before range", |lab| {
        lab.show("mmu_tsb_ctxnon0", &[1, END + 4])
    }),
    order("mmu_tsb_ctxnon0", BadPgsz, BadTsb, "page size before ways", |lab| {
        put(lab, &[Descriptor { index: 2, mask: 4, ways: 2, ..GOOD }]);
        lab.show("mmu_tsb_ctxnon0", &[1, LIST])
    }),
    good("mmu_demap_page", "of the data TLB, whatever its low bits", |lab| {
        lab.show("mmu_demap_page", &[0, 0, VA + 0x1fff, 5, 1])
    }),
    good("mmu_demap_page", "of both TLBs, at a high address", |lab| {
        lab.show("mmu_demap_page", &[0, 0, HOLE.wrapping_neg(), 8191, 3])
    }),
    bad("mmu_demap_page", NotSupported, "a list of CPUs", |lab| {
        lab.show("mmu_demap_page", &[LIST, 0, VA, 5, 1])
    }),
    bad("mmu_demap_page", NotSupported, "a number of CPUs", |lab| {
        lab.show("mmu_demap_page", &[0, 1, VA, 5, 1])
    }),
    bad("mmu_demap_page", Inval, "an address in the hole", |lab| {
        lab.show("mmu_demap_page", &[0, 0, HOLE, 5, 1])
    }),
    bad("mmu_demap_page", Inval, "a context that T2 lacks", |lab| {
        lab.show("mmu_demap_page", &[0, 0, VA, 8192, 1])
    }),
    bad("mmu_demap_page", Inval, "in no TLB", |lab| lab.show("mmu_demap_page", &[0, 0, VA, 5, 0])),
    bad("mmu_demap_page", Inval, "in a third TLB", |lab| {
        lab.show("mmu_demap_page", &[0, 0, VA, 5, 4])
    }),
    order("mmu_demap_page", NotSupported, Inval, "the list first", |lab| {
        lab.show("mmu_demap_page", &[LIST, 1, HOLE, 8192, 0])
    }),
    good("mmu_demap_ctx", "of the instruction TLB", |lab| lab.show("mmu_demap_ctx", &[0, 0, 5, 2])),
    good("mmu_demap_ctx", "permanent mappings stay in the table", |lab| {
        map(lab, VA, M4);
        lab.show("mmu_demap_ctx", &[0, 0, 0, 3])
    }),
    bad("mmu_demap_ctx", NotSupported, "a list of CPUs", |lab| {
        lab.show("mmu_demap_ctx", &[LIST, 1, 5, 2])
    }),
    bad("mmu_demap_ctx", Inval, "a context that T2 lacks", |lab| {
        lab.show("mmu_demap_ctx", &[0, 0, 8192, 2])
    }),
    bad("mmu_demap_ctx", Inval, "in no TLB", |lab| lab.show("mmu_demap_ctx", &[0, 0, 5, 0])),
    order("mmu_demap_ctx", NotSupported, Inval, "the list first", |lab| {
        lab.show("mmu_demap_ctx", &[0, 1, 8192, 0])
    }),
    good("mmu_demap_all", "of both TLBs", |lab| lab.show("mmu_demap_all", &[0, 0, 3])),
    bad("mmu_demap_all", NotSupported, "a number of CPUs", |lab| {
        lab.show("mmu_demap_all", &[0, 1, 3])
    }),
    bad("mmu_demap_all", Inval, "in no TLB", |lab| lab.show("mmu_demap_all", &[0, 0, 0])),
    bad("mmu_demap_all", Inval, "in TLBs beyond the two", |lab| {
        lab.show("mmu_demap_all", &[0, 0, 7])
    }),
    order("mmu_demap_all", NotSupported, Inval, "the list first", |lab| {
        lab.show("mmu_demap_all", &[LIST, 0, 0])
    }),
    good("mmu_map_perm_addr", "context 0 is emptied first, then both TLBs have it", |lab| {
        lab.show("mmu_map_perm_addr", &[VA, 0, M4, 1])
    }),
    good("mmu_map_perm_addr", "address bits inside the page count for nothing", |lab| {
        lab.show("mmu_map_perm_addr", &[VA, 0, M4 | 0x6000, 3])
    }),
    good("mmu_map_perm_addr", "the caller's other TLB joins; nothing is loaded", |lab| {
        assert_eq!(lab.call(nr::mmu_map_perm_addr, [VA, 0, M4, 1, 0]).status, 0);
        lab.show("mmu_map_perm_addr", &[VA, 0, M4 | 0x2000, 2])
    }),
    good("mmu_map_perm_addr", "another CPU of the core joins; nothing is loaded", |lab| {
        map_by_other(lab, VA, M4);
        lab.show("mmu_map_perm_addr", &[VA, 0, M4, 3])
    }),
    good("mmu_map_perm_addr", "the eighth", |lab| {
        (0..7).for_each(|page| map(lab, VA + (page << 13), K8));
        lab.show("mmu_map_perm_addr", &[VA + 0xe000, 0, K8, 3])
    }),
    bad("mmu_map_perm_addr", Inval, "another context than 0", |lab| {
        lab.show("mmu_map_perm_addr", &[VA, 1, M4, 3])
    }),
    bad("mmu_map_perm_addr", Inval, "an address in the hole", |lab| {
        lab.show("mmu_map_perm_addr", &[HOLE, 0, M4, 3])
    }),
    bad("mmu_map_perm_addr", Inval, "for no TLB", |lab| {
        lab.show("mmu_map_perm_addr", &[VA, 0, M4, 0])
    }),
    bad("mmu_map_perm_addr", Inval, "not valid", |lab| {
        lab.show("mmu_map_perm_addr", &[VA, 0, M4 & !(1 << 63), 3])
    }),
    bad("mmu_map_perm_addr", Inval, "not at the beginning of a page of its size", |lab| {
        lab.show("mmu_map_perm_addr", &[VA + 0x2000, 0, M4, 3])
    }),
    bad("mmu_map_perm_addr", Inval, "another page at the same place, after the demap", |lab| {
        map(lab, VA, M4);
        lab.show("mmu_map_perm_addr", &[VA, 0, M4 & !0x40, 3])
    }),
    bad("mmu_map_perm_addr", Inval, "for a TLB that the caller has registered", |lab| {
        assert_eq!(lab.call(nr::mmu_map_perm_addr, [VA, 0, M4, 1, 0]).status, 0);
        lab.show("mmu_map_perm_addr", &[VA, 0, M4, 3])
    }),
    bad("mmu_map_perm_addr", BadPgsz, "a page of 512 KiB", |lab| {
        lab.show("mmu_map_perm_addr", &[VA, 0, M4 & !3 | 2, 3])
    }),
    bad("mmu_map_perm_addr", NoRaddr, "a page behind memory", |lab| {
        lab.show("mmu_map_perm_addr", &[VA, 0, 1 << 63 | END, 3])
    }),
    bad("mmu_map_perm_addr", NoRaddr, "a page larger than memory", |lab| {
        lab.show("mmu_map_perm_addr", &[0x1000_0000, 0, 1 << 63 | BASE | 5, 3])
    }),
    bad("mmu_map_perm_addr", NoRaddr, "a page of I/O", |lab| {
        lab.show("mmu_map_perm_addr", &[VA, 0, 1 << 63 | 1 << 39, 3])
    }),
    bad("mmu_map_perm_addr", TooMany, "a ninth, after the demap", |lab| {
        fill(lab);
        lab.show("mmu_map_perm_addr", &[VA + 0x1_0000, 0, K8, 3])
    }),
    order("mmu_map_perm_addr", Inval, BadPgsz, "validity before size", |lab| {
        lab.show("mmu_map_perm_addr", &[VA, 0, M4 & !(1 << 63 | 3) | 2, 3])
    }),
    order("mmu_map_perm_addr", BadPgsz, NoRaddr, "size before range", |lab| {
        lab.show("mmu_map_perm_addr", &[VA, 0, 1 << 63 | END | 4, 3])
    }),
    order("mmu_map_perm_addr", Inval, NoRaddr, "the virtual address before the real one", |lab| {
        lab.show("mmu_map_perm_addr", &[VA + 0x2000, 0, 1 << 63 | END | 3, 3])
    }),
    order("mmu_map_perm_addr", NoRaddr, TooMany, "range before the table", |lab| {
        fill(lab);
        lab.show("mmu_map_perm_addr", &[VA + 0x1_0000, 0, 1 << 63 | END, 3])
    }),
    good("mmu_fault_area_conf", "the old one is given back", |lab| {
        assert_eq!(lab.call(nr::mmu_fault_area_conf, [LIST, 0, 0, 0, 0]).status, 0);
        lab.show("mmu_fault_area_conf", &[LIST + 0x80])
    }),
    good("mmu_fault_area_conf", "none", |lab| {
        assert_eq!(lab.call(nr::mmu_fault_area_conf, [LIST, 0, 0, 0, 0]).status, 0);
        lab.show("mmu_fault_area_conf", &[0])
    }),
    bad("mmu_fault_area_conf", BadAlign, "at 32 bytes", |lab| {
        lab.show("mmu_fault_area_conf", &[LIST + 32])
    }),
    bad("mmu_fault_area_conf", NoRaddr, "half behind memory", |lab| {
        lab.show("mmu_fault_area_conf", &[END - 64])
    }),
    order("mmu_fault_area_conf", BadAlign, NoRaddr, "alignment before range", |lab| {
        lab.show("mmu_fault_area_conf", &[END + 32])
    }),
    good("mmu_enable", "on, wherever the program goes on", |lab| {
        lab.show("mmu_enable", &[1, HOLE])
    }),
    good("mmu_enable", "off", |lab| {
        lab.call(nr::mmu_enable, [1, VA, 0, 0, 0]);
        lab.show("mmu_enable", &[0, LIST])
    }),
    bad("mmu_enable", BadAlign, "at two bytes", |lab| lab.show("mmu_enable", &[1, VA + 2])),
    bad("mmu_enable", Inval, "off when it is off", |lab| lab.show("mmu_enable", &[0, LIST])),
    bad("mmu_enable", Inval, "on when it is on", |lab| {
        lab.call(nr::mmu_enable, [1, VA, 0, 0, 0]);
        lab.show("mmu_enable", &[5, VA])
    }),
    bad("mmu_enable", NoRaddr, "off, and on at a place that is no memory", |lab| {
        lab.call(nr::mmu_enable, [1, VA, 0, 0, 0]);
        lab.show("mmu_enable", &[0, VA])
    }),
    order("mmu_enable", BadAlign, Inval, "alignment before the state", |lab| {
        lab.show("mmu_enable", &[0, LIST + 2])
    }),
    order("mmu_enable", Inval, NoRaddr, "the state before range", |lab| {
        lab.show("mmu_enable", &[0, VA])
    }),
    good("mmu_unmap_perm_addr", "the last user of the core: a demap, and a free slot", |lab| {
        map(lab, VA, M4);
        lab.show("mmu_unmap_perm_addr", &[VA, 0, 3])
    }),
    good("mmu_unmap_perm_addr", "of one TLB: the core still uses it", |lab| {
        map(lab, VA, M4);
        lab.show("mmu_unmap_perm_addr", &[VA, 0, 1])
    }),
    good("mmu_unmap_perm_addr", "another CPU of the core still uses it", |lab| {
        map_by_other(lab, VA, M4);
        map(lab, VA, M4);
        lab.show("mmu_unmap_perm_addr", &[VA, 0, 3])
    }),
    good("mmu_unmap_perm_addr", "a CPU of another core uses it: a demap here", |lab| {
        change(lab, GuestId(0), |guest| {
            guest.vcpus.entry(VcpuId(1)).or_default().strand = StrandId(9);
        });
        map_by_other(lab, VA, M4);
        map(lab, VA, M4);
        lab.show("mmu_unmap_perm_addr", &[VA, 0, 3])
    }),
    good("mmu_unmap_perm_addr", "one that only another CPU has", |lab| {
        map_by_other(lab, VA, M4);
        lab.show("mmu_unmap_perm_addr", &[VA, 0, 3])
    }),
    bad("mmu_unmap_perm_addr", Inval, "another context than 0", |lab| {
        lab.show("mmu_unmap_perm_addr", &[VA, 1, 3])
    }),
    bad("mmu_unmap_perm_addr", Inval, "an address in the hole", |lab| {
        lab.show("mmu_unmap_perm_addr", &[HOLE, 0, 3])
    }),
    bad("mmu_unmap_perm_addr", Inval, "of no TLB", |lab| {
        lab.show("mmu_unmap_perm_addr", &[VA, 0, 0])
    }),
    bad("mmu_unmap_perm_addr", NoMap, "nothing is mapped", |lab| {
        lab.show("mmu_unmap_perm_addr", &[VA, 0, 3])
    }),
    bad("mmu_unmap_perm_addr", NoMap, "an address within a mapped page", |lab| {
        map(lab, VA, M4);
        lab.show("mmu_unmap_perm_addr", &[VA + 0x2000, 0, 3])
    }),
    order("mmu_unmap_perm_addr", Inval, NoMap, "arguments before the table", |lab| {
        lab.show("mmu_unmap_perm_addr", &[VA, 0, 4])
    }),
    good("mmu_tsb_ctx0_info", "as it was set", |lab| {
        set(lab);
        lab.show("mmu_tsb_ctx0_info", &[1, BASE + 0x2000])
    }),
    good("mmu_tsb_ctx0_info", "none, wherever they would go", |lab| {
        lab.show("mmu_tsb_ctx0_info", &[0, END + 1])
    }),
    bad("mmu_tsb_ctx0_info", Inval, "room for none", |lab| {
        set(lab);
        lab.show("mmu_tsb_ctx0_info", &[0, BASE + 0x2000])
    }),
    bad("mmu_tsb_ctx0_info", BadAlign, "a buffer at 4 bytes; the count is given", |lab| {
        set(lab);
        lab.show("mmu_tsb_ctx0_info", &[1, BASE + 0x2004])
    }),
    bad("mmu_tsb_ctx0_info", NoRaddr, "a buffer behind memory; the count is given", |lab| {
        set(lab);
        lab.show("mmu_tsb_ctx0_info", &[1, END])
    }),
    order("mmu_tsb_ctx0_info", Inval, BadAlign, "the count first", |lab| {
        set(lab);
        lab.show("mmu_tsb_ctx0_info", &[0, BASE + 0x2004])
    }),
    order("mmu_tsb_ctx0_info", BadAlign, NoRaddr, "alignment before range", |lab| {
        set(lab);
        lab.show("mmu_tsb_ctx0_info", &[1, END + 4])
    }),
    good("mmu_tsb_ctxnon0_info", "as they were set", |lab| {
        set_two(lab);
        lab.show("mmu_tsb_ctxnon0_info", &[4, BASE + 0x2000])
    }),
    bad("mmu_tsb_ctxnon0_info", Inval, "room for one of two", |lab| {
        set_two(lab);
        lab.show("mmu_tsb_ctxnon0_info", &[1, BASE + 0x2000])
    }),
    bad("mmu_tsb_ctxnon0_info", BadAlign, "a buffer at 4 bytes", |lab| {
        set_two(lab);
        lab.show("mmu_tsb_ctxnon0_info", &[2, BASE + 0x2004])
    }),
    bad("mmu_tsb_ctxnon0_info", NoRaddr, "a buffer half behind memory", |lab| {
        set_two(lab);
        lab.show("mmu_tsb_ctxnon0_info", &[2, END - 32])
    }),
    order("mmu_tsb_ctxnon0_info", Inval, BadAlign, "the count first", |lab| {
        set_two(lab);
        lab.show("mmu_tsb_ctxnon0_info", &[1, BASE + 0x2004])
    }),
    order("mmu_tsb_ctxnon0_info", BadAlign, NoRaddr, "alignment before range", |lab| {
        set_two(lab);
        lab.show("mmu_tsb_ctxnon0_info", &[2, END + 4])
    }),
    good("mmu_fault_area_info", "none", |lab| lab.show("mmu_fault_area_info", &[])),
    good("mmu_fault_area_info", "as it was set", |lab| {
        assert_eq!(lab.call(nr::mmu_fault_area_conf, [LIST, 0, 0, 0, 0]).status, 0);
        lab.show("mmu_fault_area_info", &[])
    }),
    good("mmu_map_addr", "into the data TLB, and not remembered", |lab| {
        lab.show("mmu_map_addr", &[VA, 5, K8, 1])
    }),
    good("mmu_map_addr", "into both; neither validity nor bits inside the page count", |lab| {
        lab.show("mmu_map_addr", &[VA + 0x2_4000, 5, M4 & !(1 << 63) | 0x6000, 3])
    }),
    bad("mmu_map_addr", Inval, "an address in the hole", |lab| {
        lab.show("mmu_map_addr", &[HOLE, 5, K8, 1])
    }),
    bad("mmu_map_addr", Inval, "a context that T2 lacks", |lab| {
        lab.show("mmu_map_addr", &[VA, 8192, K8, 1])
    }),
    bad("mmu_map_addr", Inval, "into no TLB", |lab| lab.show("mmu_map_addr", &[VA, 5, K8, 0])),
    bad("mmu_map_addr", BadPgsz, "a page of 16 GiB", |lab| {
        lab.show("mmu_map_addr", &[VA, 5, K8 | 7, 1])
    }),
    bad("mmu_map_addr", NoRaddr, "a page behind memory", |lab| {
        lab.show("mmu_map_addr", &[VA, 5, 1 << 63 | END, 1])
    }),
    bad("mmu_map_addr", NoRaddr, "a page of I/O, of which the guest has none", |lab| {
        lab.show("mmu_map_addr", &[VA, 5, 1 << 63 | 1 << 39, 1])
    }),
    bad("mmu_map_addr", NoRaddr, "address bits above 39", |lab| {
        lab.show("mmu_map_addr", &[VA, 5, 1 << 40 | K8, 1])
    }),
    order("mmu_map_addr", Inval, BadPgsz, "flags before size", |lab| {
        lab.show("mmu_map_addr", &[VA, 5, K8 | 7, 0])
    }),
    order("mmu_map_addr", BadPgsz, NoRaddr, "size before range", |lab| {
        lab.show("mmu_map_addr", &[VA, 5, 1 << 63 | END | 6, 1])
    }),
    good("mmu_unmap_addr", "from both TLBs", |lab| lab.show("mmu_unmap_addr", &[VA, 5, 3])),
    bad("mmu_unmap_addr", Inval, "an address in the hole", |lab| {
        lab.show("mmu_unmap_addr", &[HOLE, 5, 3])
    }),
    bad("mmu_unmap_addr", Inval, "a context that T2 lacks", |lab| {
        lab.show("mmu_unmap_addr", &[VA, 8192, 3])
    }),
    bad("mmu_unmap_addr", Inval, "from TLBs beyond the two", |lab| {
        lab.show("mmu_unmap_addr", &[VA, 5, 8])
    }),
];

const UNREAD: &str = "descriptors that cannot be read have no page size";

pub const NEVERS: &[Never] = &[
    never("mmu_tsb_ctx0", End::Order(NoRaddr, BadPgsz), UNREAD),
    never("mmu_tsb_ctxnon0", End::Order(NoRaddr, BadPgsz), UNREAD),
];
