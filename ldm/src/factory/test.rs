//! What a chassis has at power-on.

use super::{CONGRUENCE, Factory, FactoryError, GUEST_RA, MdSlots, Primary, congruent};
use crate::mdgen::CONSOLE_INO;
use crate::testing::inventory;
use std::collections::BTreeSet;
use sun4v::addr::{Pa, Ra};
use sun4v::hvmd::{CryptoKind, HvConfig, Inventory};
use sun4v::id::{GuestId, StrandId};
use sun4v::md::Md;

#[test]
fn the_hypervisor_md_says_what_was_configured() {
    let factory = Factory::new(&inventory(), &Primary::default()).unwrap();
    let bytes = |pa: Pa| &factory.writes.iter().find(|(at, _)| *at == pa).unwrap().1;
    let read = HvConfig::from_md(&Md::parse(bytes(factory.hvmd)).unwrap()).unwrap();
    assert_eq!(read, factory.config);
    assert_eq!(bytes(read.guests[0].md_pa), &factory.primary.to_md());
    assert_eq!(read.guests[0].rom_bytes, 0);
}

#[test]
fn the_control_domain_has_the_first_strands_and_a_congruent_block() {
    let factory = Factory::new(&inventory(), &Primary::default()).unwrap();
    let strands: Vec<_> = factory.config.vcpus.iter().map(|vcpu| vcpu.strand).collect();
    assert_eq!(strands, (0..16).map(StrandId).collect::<Vec<_>>());
    let range = factory.config.mblocks[0].range;
    assert_eq!((range.ra, range.pa, range.size), (GUEST_RA, Pa(0x800_0000), 4 << 30));
    let larger = Inventory { hv_bytes: 0x900_0000, ..inventory() };
    let moved = Factory::new(&larger, &Primary::default()).unwrap();
    assert_eq!(moved.config.mblocks[0].range.pa, Pa(0x1800_0000));
}

#[test]
fn interrupts_under_one_handle_are_all_different() {
    let primary = Primary { vcpus: 64, crypto: 8, ..Primary::default() };
    let factory = Factory::new(&inventory(), &primary).unwrap();
    let inos: BTreeSet<_> = factory.config.crypto.iter().map(|unit| unit.ino).collect();
    assert_eq!((factory.config.crypto.len(), inos.len()), (16, 16));
    assert!(!inos.contains(&CONSOLE_INO) && inos.iter().all(|&ino| ino < 64));
    let cwqs = factory.config.crypto.iter().filter(|unit| unit.kind == CryptoKind::Cwq);
    assert_eq!(cwqs.count(), 8);
}

#[test]
fn what_does_not_fit_the_machine_is_refused() {
    let with = |primary| Factory::new(&inventory(), &primary).unwrap_err().to_string();
    let usual = Primary::default;
    let said = [
        with(Primary { vcpus: 0, ..usual() }),
        with(Primary { vcpus: 65, ..usual() }),
        with(Primary { vcpus: 9, crypto: 3, ..usual() }),
        with(Primary { memory_bytes: 4097, ..usual() }),
        with(Primary { memory_bytes: 0, ..usual() }),
        with(Primary { memory_bytes: 16 << 30, ..usual() }),
    ];
    insta::assert_snapshot!(said.join("\n"), @r"
    primary has 0 virtual CPUs; the machine offers 1 to 64
    primary has 65 virtual CPUs; the machine offers 1 to 64
    primary has 3 crypto units; its virtual CPUs are on 2 cores
    primary has 4097 bytes of memory, which is no multiple of 8 KB
    primary has 0 bytes of memory, which is no multiple of 8 KB
    primary has 17179869184 bytes of memory; 17045651456 are left behind the hypervisor's
    ");
}

#[test]
fn a_stretch_for_mds_that_cannot_be_is_refused() {
    let reason = |pa, bytes| {
        let inventory = Inventory { md_pa: Pa(pa), md_bytes: bytes, ..inventory() };
        match MdSlots::new(&inventory) {
            Err(FactoryError::Slots { reason, .. }) => reason,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(reason(0x100_0000, MdSlots::BYTES_MIN - 1), "too few");
    assert_eq!(reason(0x100_1000, 32 << 20), "not at the start of a page");
    for (pa, bytes) in [(0x700_0000, 32 << 20), (0x800_2000, 0), (!0, !0), (0, !0)] {
        assert_eq!(reason(pa, bytes), "not in the hypervisor's memory");
    }
}

#[test]
fn slots_are_apart_and_come_in_pairs() {
    let inventory = inventory();
    let slots = MdSlots::new(&inventory).unwrap();
    let guests = (0..64).flat_map(|guest| slots.guest(GuestId(guest)));
    let all: Vec<_> = slots.hypervisor().into_iter().chain(guests).collect();
    assert_eq!(all.len() as u64, 2 * MdSlots::PAIRS);
    for pair in all.windows(2) {
        assert_eq!(pair[1].0 - pair[0].0, slots.slot_bytes());
    }
    let end = all.last().unwrap().0 + slots.slot_bytes();
    assert!(end <= inventory.md_pa.0 + inventory.md_bytes);
    let [first, second] = slots.guest(GuestId(63));
    assert_eq!((slots.other(first), slots.other(second)), (Some(second), Some(first)));
    for nowhere in [Pa(0), first.offset(8), Pa(end), Pa(!0)] {
        assert_eq!(slots.other(nowhere), None);
    }
}

#[test]
fn a_congruent_address_is_the_next_one() {
    assert_eq!(congruent(Ra(0x800_0000), Pa(0)), Some(Pa(0x800_0000)));
    assert_eq!(congruent(Ra(0x800_0000), Pa(0x800_0001)), Some(Pa(0x800_0000 + CONGRUENCE)));
    assert_eq!(congruent(Ra(0x2_3000_0000), Pa(0x1000_0000)), Some(Pa(0x1000_0000)));
    assert_eq!(congruent(Ra(0), Pa(!0)), None);
}
