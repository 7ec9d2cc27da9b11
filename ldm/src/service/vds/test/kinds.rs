//! What volumes may be: files, disks of the machine, CDs; who may use them.

use super::super::access::Access;
use super::super::media::Media;
use super::{Attr, Completion, DONE, Errno, Found, Operation, Request, VolumeId, World, file, vio};
use sun4v::native::Ports;
use sun4v::vio::vdisk::MediaType;

/// A disk of the machine.
fn device(size: u64) -> Found {
    Found { device: true, ..file(size) }
}

fn of(found: Found) -> World {
    let mut world = World::unopened("/dev/dsk/c0t1d0s2", false);
    world.found(Ok(found));
    world
}

#[test]
fn a_file_system_of_a_cd_is_a_cd_that_takes_no_writes() {
    let mut world = World::new(1 << 20);
    world.memory.disk[32_768..32_775].copy_from_slice(b"\x01CD001\x01");
    let attr = world.handshake();
    assert_eq!((attr.media_type, attr.size.get()), (MediaType::Cd.code(), 2048));
    assert_eq!(attr.operations.get(), 0x1952 | Operation::GetCapacity.bit());
    assert_eq!(world.at_once(Operation::Bwrite, 512), (DONE, Errno::RoFs.code()));
    // Above 1 GB a DVD; as a slice it is no CD at all.
    let mut front = vec![0; 34_816];
    front[32_768..32_775].copy_from_slice(b"\x01CD001\x01");
    let kind = |size, slice| Media::new(&file(size), slice, false, front.clone()).kind();
    let kinds = [kind((1 << 30) - 512, false), kind(1 << 30, false), kind(1 << 20, true)];
    assert_eq!(kinds, [MediaType::Cd, MediaType::Dvd, MediaType::Fixed]);
}

#[test]
fn a_read_only_volume_refuses_all_that_would_change_it() {
    let mut world = of(Found { read_only: true, ..device(1 << 20) });
    let attr = world.handshake();
    assert_eq!(attr.operations.get(), 0x1952 | 0x3_c000);
    use Operation::{Bwrite, Flush, SetDiskGeom, SetEfi, SetVtoc, SetWce};
    for operation in [Bwrite, Flush, SetWce, SetVtoc, SetDiskGeom, SetEfi] {
        let status = world.at_once(operation, 512);
        assert_eq!(status, (DONE, Errno::RoFs.code()), "{operation:?}");
    }
    assert_eq!(world.at_once(Operation::GetWce, 4), (DONE, 0));
    assert!(world.memory.waiting.is_empty());
}

#[test]
fn a_disk_of_the_machine_can_be_reset_and_kept() {
    let mut world = of(device(1 << 20));
    world.handshake();
    // A reset is answered behind what came before.
    world.fill(0, Operation::Bwrite, 0, 512, 0);
    world.fill(1, Operation::Reset, 0, 0, 0);
    world.submit(0, 1);
    assert_eq!(world.acks(), []);
    world.volume_does(0);
    assert_eq!((world.acks(), world.status(1)), (vec![(0, 1)], (DONE, 0)));
    assert_eq!(world.at_once(Operation::GetAccess, 8), (DONE, 0));
    assert_eq!(world.buffer(0, 8), 1_u64.to_be_bytes());
    let at = world.client.buffers.at(0);
    world.board.ports(1).write(at, &1_u64.to_be_bytes());
    assert_eq!(world.at_once(Operation::SetAccess, 8), (DONE, 0));
    assert_eq!(world.at_once(Operation::GetCapacity, 16), (DONE, 0));
    assert_eq!(world.at_once(Operation::ScsiCmd, 512), (DONE, Errno::NotSup.code()));
}

#[test]
fn a_reservation_keeps_others_out_until_it_is_given_up_taken_or_the_session_ends() {
    const DISK: &str = "t5120:c0t1d0";
    let mut access = Access::default();
    assert!(access.set(1, DISK, 1));
    assert!(access.allowed(1, DISK) && !access.allowed(2, DISK) && access.allowed(2, "/other"));
    // Neither takes it nor clears it.
    assert!(!access.set(2, DISK, 1));
    assert!(access.set(2, DISK, 0) && !access.allowed(2, DISK));
    assert!(access.set(2, DISK, 3) && !access.allowed(1, DISK));
    access.session_ended(2);
    assert!(access.allowed(1, DISK));
    assert!(access.set(1, DISK, 5));
    access.session_ended(1);
    assert!(!access.allowed(2, DISK), "preserved");
    access.forget(1);
    assert!(access.allowed(2, DISK));
}

#[test]
fn a_write_that_fails_says_so_and_what_is_at_the_front_is_known_no_longer() {
    let mut world = World::new(3 << 20);
    world.handshake();
    world.fill(0, Operation::Bwrite, 0, 512, 0);
    world.submit(0, 0);
    let (token, request) = world.memory.waiting.remove(0);
    assert!(matches!(request, Request::Write { offset: 0, .. }));
    let completion = Completion::Done { token, result: Err(Errno::Io) };
    world.serve(|server, host, memory| server.complete(host, memory, completion));
    world.run();
    assert_eq!((world.acks(), world.status(0)), (vec![(0, 0)], (DONE, Errno::Io.code())));
    assert_eq!(world.at_once(Operation::GetCapacity, 16), (DONE, 0));
}

#[test]
fn a_disk_whose_label_cannot_be_read_is_served_without() {
    let mut world = World::unopened("/net/nas/export/a.img", false);
    // The client is there first; the reading of the front is taken by hand.
    let volume = VolumeId(1);
    world.serve(|server, host, memory| {
        server.complete(host, memory, Completion::Opened { volume, found: Ok(file(1 << 20)) });
    });
    let sid = world.client.sid;
    assert!(world.agreed(zerocopy::IntoBytes::as_bytes(&super::control(sid, super::V1_1))));
    world.say(zerocopy::IntoBytes::as_bytes(&Attr::ask(sid, 3, 64)));
    let (token, _) = world.memory.waiting.remove(0);
    let completion = Completion::Done { token, result: Err(Errno::Io) };
    world.serve(|server, host, memory| server.complete(host, memory, completion));
    world.run();
    let attr: Attr = vio::read(&world.client.got.remove(0)).unwrap();
    assert_eq!((attr.tag.stype, attr.size.get(), attr.media_type), (2, 2048, 1));
    let lines = &world.board.domains[0].lines;
    let said = "vds-port 0: /net/nas/export/a.img: its label cannot be read: Io";
    assert!(lines.iter().any(|line| line == said), "{lines:?}");
}
