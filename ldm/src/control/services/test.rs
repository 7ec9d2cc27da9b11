//! Disks of the machine, offered to guests, from the command line to the blocks.

use crate::control::testing::World;
use crate::manager::domain::Device;
use crate::manager::record::ManagerV1;
use sun4v::ldc::{Stype, Version};
use sun4v::native::LocalDisk;
use sun4v::record::decode;
use sun4v::time::SimTime;
use sun4v::vio::dring::XFER_DESC;
use sun4v::vio::vdisk::{Attr, Operation};
use sun4v::vio::{self, DeviceClass, Ver};
use zerocopy::IntoBytes;

/// A server with one disk and the domain `rover`, bound.
fn lab(lines: &[&str]) -> World {
    let mut world = World::new();
    let disk = LocalDisk { name: "c0t1d0".into(), bytes: 1 << 20, read_only: false };
    world.board.domains[0].disks.push((disk, vec![3; 1 << 20]));
    world.out(&["ldm add-vds primary-vds0 primary", "ldm add-domain rover"]);
    world.out(&["ldm add-vcc port-range=5000-5100 primary-vcc0 primary"]);
    world.out(&["ldm add-vcpu 8 rover", "ldm add-memory 512M rover"]);
    world.out(lines);
    world
}

/// Number of the guest's endpoint of a disk.
fn end(world: &World, disk: &str) -> u16 {
    let bytes = crate::control::Program::save(&world.program).unwrap();
    let record: super::super::record::ControlV1 = decode(&mut bytes.as_slice()).unwrap();
    let manager: ManagerV1 = record.manager;
    let given = manager.model.domains[1].given.clone().unwrap();
    let device = Device::Disk(disk.into());
    given.links.iter().find(|link| link.device == device).unwrap().guest.0
}

/// What a client at this end is told of its disk.
fn attributes(world: &mut World, far: usize, sid: u32) -> Option<Attr> {
    let version = Version { major: 1, minor: 2 };
    let ver = Ver::new(Stype::Info, sid, version, DeviceClass::Disk);
    assert_eq!(world.ask(far, ver.as_bytes())[0][1], Stype::Ack.code());
    let answers = world.ask(far, Attr::ask(sid, XFER_DESC, 64).as_bytes());
    answers.first().and_then(|answer| vio::read(answer))
}

#[test]
fn a_disk_of_the_machine_is_served_and_more_are_added_to_a_bound_domain() {
    let mut world = lab(&[
        "ldm add-vdsdev /dev/dsk/c0t1d0s2 vol@primary-vds0",
        "ldm add-vdisk vdisk0 vol@primary-vds0 rover",
        "ldm bind rover",
    ]);
    let channel = end(&world, "vdisk0");
    let far = world.opens(1, channel);
    let attr = attributes(&mut world, far, 5).unwrap();
    assert_eq!((attr.tag.stype, attr.size.get()), (Stype::Ack.code(), 2048));
    assert_ne!(attr.operations.get() & Operation::Reset.bit(), 0, "it is a disk, not a file");

    // Another, read-only, while the domain is bound; the first goes.
    world.out(&[
        "ldm add-vdsdev -f options=ro /dev/dsk/c0t1d0 again@primary-vds0",
        "ldm add-vdisk vdisk1 again@primary-vds0 rover",
    ]);
    let channel = end(&world, "vdisk1");
    let far = world.opens(1, channel);
    let attr = attributes(&mut world, far, 6).unwrap();
    assert_eq!((attr.tag.stype, attr.operations.get() & Operation::Bwrite.bit()), (2, 0));
    world.out(&["ldm rm-vdisk vdisk0 rover", "ldm rm-vdsdev vol@primary-vds0"]);
    assert_eq!(attributes(&mut world, far, 7).unwrap().size.get(), 2048);
}

#[test]
fn a_disk_that_is_not_there_is_waited_for_and_then_refused() {
    let mut world = lab(&[
        "ldm add-vdsdev /dev/dsk/c9t9d9s2 vol@primary-vds0",
        "ldm add-vdisk vdisk0 vol@primary-vds0 rover",
        "ldm bind rover",
    ]);
    let lines = &world.board.domains[0].lines;
    let said = "vdisk0@rover: /dev/dsk/c9t9d9s2: cannot be opened: Nxio";
    assert!(lines.iter().any(|line| line == said), "{lines:?}");
    let channel = end(&world, "vdisk0");
    let far = world.opens(1, channel);
    assert_eq!(attributes(&mut world, far, 5), None);
    for second in 1..=60 {
        world.board.now = SimTime::secs(second);
        world.event(sun4v::native::Event::Timer(super::super::timer::WORK));
        world.run();
    }
    let got = std::mem::take(&mut world.far[far].got);
    assert_eq!(got.iter().map(|answer| answer[1]).collect::<Vec<_>>(), [Stype::Nack.code()]);
    // The disk is put in: the next client finds it.
    let disk = LocalDisk { name: "c9t9d9".into(), bytes: 1 << 20, read_only: true };
    world.board.domains[0].disks.push((disk, vec![0; 1 << 20]));
    world.board.now = SimTime::secs(70);
    world.event(sun4v::native::Event::Timer(super::super::timer::WORK));
    world.run();
    let attr = attributes(&mut world, far, 6).unwrap();
    assert_eq!((attr.tag.stype, attr.size.get()), (Stype::Ack.code(), 2048));
    assert_eq!(attr.operations.get() & Operation::Bwrite.bit(), 0);
}

#[test]
fn a_volume_with_excl_is_open_once() {
    let mut world = lab(&[
        "ldm add-vdsdev options=excl /dev/dsk/c0t1d0s2 one@primary-vds0",
        "ldm add-vdsdev /dev/dsk/c0t1d0 two@primary-vds0",
        "ldm add-vdisk vdisk0 one@primary-vds0 rover",
        "ldm add-vdisk vdisk1 two@primary-vds0 rover",
        "ldm bind rover",
    ]);
    let (one, two) = (end(&world, "vdisk0"), end(&world, "vdisk1"));
    let (one, two) = (world.opens(1, one), world.opens(1, two));
    let open = [attributes(&mut world, one, 5).is_some(), attributes(&mut world, two, 6).is_some()];
    assert_eq!(open, [true, false]);
    let lines = &world.board.domains[0].lines;
    assert!(lines.iter().any(|line| line.ends_with("cannot be opened: Busy")), "{lines:?}");
    // The first goes: the second comes in.
    world.out(&["ldm rm-vdisk vdisk0 rover"]);
    world.board.now = SimTime::secs(2);
    world.event(sun4v::native::Event::Timer(super::super::timer::WORK));
    world.run();
    let answer = world.far[two].got.pop().unwrap();
    assert_eq!(answer[1], Stype::Ack.code());
}
