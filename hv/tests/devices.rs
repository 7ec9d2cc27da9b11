//! The bus and the network unit in the record of their guest.
//!
//! A manager does not migrate a guest that has them; a checkpoint keeps them.

#![expect(clippy::unwrap_used, reason = "a test ends there")]

mod chassis;

use chassis::{BASE, BUFFER, Chassis, PRIMARY, ROVER, with_devices};
use hv::platform::Memory as _;
use hv::{GuestV1, PciV1};
use sun4v::addr::Ra;
use sun4v::hcall::nr;
use sun4v::hvctl::migrate::{Buffer, Request};
use sun4v::hvctl::{Detail, Status};
use sun4v::hvmd::PcieBusConf;
use sun4v::record::alter::altered;
use sun4v::record::{StrandV1, decode, encode};

const HERE: u64 = 0x2000_0000;
const THERE: u64 = 0x3000_0000;
const STATE: u64 = BUFFER + 0x10_0000;
const ROOM: Buffer = Buffer { guest: 1, buffer: Ra(STATE), bytes: 0x1_0000 };

/// A guest that has set up everything on its bus and its network unit.
fn busy() -> Chassis {
    let mut chassis = Chassis::open(&with_devices(HERE));
    chassis.start_rover();
    chassis.set_up_devices();
    chassis
}

/// The state of a guest that is held.
fn state(chassis: &mut Chassis) -> Vec<u8> {
    chassis.migrate(Request::Suspend(1)).unwrap();
    state_out(chassis)
}

fn state_out(chassis: &mut Chassis) -> Vec<u8> {
    let bytes = chassis.migrate(Request::StateOut(ROOM)).unwrap();
    let pa = chassis.lab.hv.guest(PRIMARY).unwrap().map.resolve(Ra(STATE), bytes).unwrap();
    let mut state = vec![0; bytes as usize];
    chassis.lab.board.memory.read(pa, &mut state);
    state
}

fn state_in(chassis: &mut Chassis, state: &[u8]) -> Result<u64, (Status, u32)> {
    chassis.poke(STATE, state);
    chassis.migrate(Request::StateIn(Buffer { bytes: state.len() as u64, ..ROOM }))
}

/// A record taken apart and put together with something changed.
fn changed(mut bytes: &[u8], change: impl Fn(&mut GuestV1)) -> Vec<u8> {
    let mut guest: GuestV1 = decode(&mut bytes).unwrap();
    change(&mut guest);
    let mut out = Vec::new();
    encode(&guest, &mut out);
    for _ in &guest.vcpus {
        encode(&decode::<StrandV1>(&mut bytes).unwrap(), &mut out);
    }
    out
}

#[test]
fn a_bus_and_a_network_unit_are_as_they_were() {
    let mut here = busy();
    let bytes = state(&mut here);
    let mut there = Chassis::open(&with_devices(THERE));
    assert!(state_in(&mut there, &bytes).is_ok());
    let parts = |chassis: &Chassis| {
        let guest = chassis.lab.hv.guest(ROVER).unwrap();
        (guest.pci.clone().unwrap(), guest.network.clone().unwrap())
    };
    assert_eq!(parts(&here), parts(&there));
    assert_eq!(there.migrate(Request::Resume(1)), Ok(0));
    let map = there.rover(0, nr::pci_iommu_getmap, [0, 0x102, 0, 0, 0]);
    assert_eq!(map[..2], [3, 0x4000_0000]);
    assert_eq!(there.rover(0, nr::pci_msiq_gethead, [0, 3, 0, 0, 0])[0], 0x1c0);
    assert_eq!(there.rover(0, nr::n2piu_get_perfreg, [0, 5, 0, 0, 0])[0], 77);
    assert_eq!(there.rover(0, nr::intr_gettarget, [27, 0, 0, 0, 0])[0], 1);
    assert_eq!(there.rover(0, nr::niu_tx_lp_get, [4, 0, 0, 0, 0])[..2], [0x4000_0000, 0x1_0000]);
    assert_eq!(there.rover(0, nr::intr_getstate, [0x93, 0, 0, 0, 0])[0], 2);
}

#[test]
fn a_record_that_breaks_a_rule_of_its_devices_is_refused_and_changes_nothing() {
    fn pci(guest: &mut GuestV1) -> &mut PciV1 {
        guest.pci.as_mut().unwrap()
    }
    let bytes = state(&mut busy());
    let mut there = Chassis::open(&with_devices(THERE));
    there.lab.hv.set_trace(true);
    let changes: &[fn(&mut GuestV1)] = &[
        |g| g.pci = None,
        |g| pci(g).handle = 0x40,
        |g| pci(g).pages[0].0 = 0x101,
        |g| pci(g).pages[2].0 = 0x4_0000,
        |g| pci(g).pages[0].1 = Ra(BASE + 8),
        |g| pci(g).pages[0].1 = Ra(0x5000_0000),
        |g| pci(g).pages[0].2 = 2,
        |g| pci(g).pages[0].2 = 7,
        |g| pci(g).queues.swap(0, 1),
        |g| pci(g).queues[1].0 = 36,
        |g| pci(g).queues[0].1 = Some(Ra(BASE + 0x1000)),
        |g| pci(g).queues[0].1 = Some(Ra(0x5000_0000)),
        |g| pci(g).queues[0].1 = None,
        |g| pci(g).queues[0].2 = 3,
        |g| pci(g).queues[0].3 = 32,
        |g| pci(g).queues[0].3 = 0x2000,
        |g| pci(g).msis.push((1, true, 0)),
        |g| pci(g).msis[0].2 = 36,
        |g| pci(g).queues[1] = (9, None, 0, 0),
        |g| pci(g).msis[0] = (200, false, 0),
        |g| pci(g).messages[0] = (0x30, false, 0),
        |g| pci(g).messages[0].0 = 0x32,
        |g| pci(g).messages[0].2 = 255,
        |g| pci(g).messages.push((0x18, true, 0)),
        |g| pci(g).perf[11] = 1,
        |g| pci(g).interrupts.clear(),
        |g| pci(g).interrupts[0].1.state = 3,
        |g| pci(g).interrupts[0].1.target = Some(2),
        |g| g.network = None,
        |g| g.network.as_mut().unwrap().handle = 0,
        |g| g.network.as_mut().unwrap().pages.swap(0, 1),
        |g| g.network.as_mut().unwrap().pages[0].0.1 = 16,
        |g| g.network.as_mut().unwrap().pages[0].0.2 = 2,
        |g| g.network.as_mut().unwrap().pages[0].2 = 512,
        |g| g.network.as_mut().unwrap().pages[0].2 = 0x6000,
        |g| g.network.as_mut().unwrap().pages[0].1 = Ra(BASE + 0x1000),
        |g| g.network.as_mut().unwrap().pages[0].1 = Ra(0x5000_0000),
        |g| g.network.as_mut().unwrap().interrupts[0].0 = 15,
    ];
    let guest = |there: &Chassis| format!("{:?}", there.lab.hv.guest(ROVER));
    let before = guest(&there);
    for (index, change) in changes.iter().enumerate() {
        let result = state_in(&mut there, &changed(&bytes, change));
        assert_eq!(result, Err((Status::Invalid, Detail::StateRefused.code())), "change {index}");
        assert!(guest(&there) == before, "change {index}");
    }
    let why: Vec<&str> = there.lab.board.trace.lines().filter(|l| l.contains("refused")).collect();
    assert_eq!(why.len(), changes.len());
    insta::assert_snapshot!(why.join("\n"));
    assert!(state_in(&mut there, &bytes).is_ok());
}

#[test]
fn a_record_is_for_a_guest_that_has_the_same() {
    let bytes = state(&mut busy());
    let mut config = with_devices(THERE);
    config.pcie_bus = Some(PcieBusConf { guest: PRIMARY, ..config.pcie_bus.unwrap() });
    assert!(state_in(&mut Chassis::open(&config), &bytes).is_err());
    let mut config = with_devices(THERE);
    config.network = None;
    assert!(state_in(&mut Chassis::open(&config), &bytes).is_err());
}

#[test]
fn every_field_that_is_altered_is_kept_as_altered_or_refused() {
    let bytes = state(&mut busy());
    let guest: GuestV1 = decode(&mut bytes.as_slice()).unwrap();
    let (mut kept, mut refused) = (0, 0);
    for (path, other) in altered(&guest) {
        if !path.starts_with(".pci") && !path.starts_with(".network") {
            continue;
        }
        let mut there = Chassis::open(&with_devices(THERE));
        if state_in(&mut there, &changed(&bytes, |guest| *guest = other.clone())).is_err() {
            refused += 1;
            continue;
        }
        kept += 1;
        let again: GuestV1 = decode(&mut state_out(&mut there).as_slice()).unwrap();
        assert_eq!((again.pci, again.network), (other.pci, other.network), "{path}");
    }
    assert!(kept > 100 && refused > 100, "{kept} kept, {refused} refused");
}

#[test]
fn a_record_with_any_byte_another_way_is_refused_or_one_that_could_be() {
    let bytes = state(&mut busy());
    let mut taken = 0;
    let mut there = Chassis::open(&with_devices(THERE));
    for at in 0..bytes.len() {
        let mut bytes = bytes.clone();
        bytes[at] ^= [0x01, 0x40, 0xff][at % 3];
        if state_in(&mut there, &bytes).is_ok() {
            // What was taken can be given, and is the same.
            let again = there.migrate(Request::StateOut(ROOM)).unwrap();
            assert!(again > 0);
            taken += 1;
            there = Chassis::open(&with_devices(THERE));
        }
        there.said.clear();
    }
    assert!(taken > 0 && taken < bytes.len(), "{taken} of {}", bytes.len());
}
