//! Labels: a client's own, and those that are made up.

use super::super::label::{BLOCK, Label, gpt, sun};
use super::{DONE, DiskConf, Errno, Geometry, KEY, NO_SLICE, Operation, Vtoc, World, conf, vio};
use sun4v::native::Ports;
use sun4v::vio::vdisk::{DEVID_FABRICATED, Descriptor, DevidHeader, EfiHeader};
use zerocopy::{FromBytes, IntoBytes};

impl World {
    /// One request to a slice, whose data are in page `page`; the volume does what it is
    /// asked for. Its status.
    fn slice(&mut self, operation: Operation, slice: u8, addr: u64, nbytes: u64, page: u64) -> u32 {
        self.fill(0, operation, addr, nbytes, page);
        let at = self.client.ring.at(0);
        let mut bytes = [0; 48];
        self.board.ports(1).read(at, &mut bytes);
        let mut descriptor = Descriptor::read_from_bytes(&bytes).unwrap();
        descriptor.slice = slice;
        self.board.ports(1).write(at, descriptor.as_bytes());
        self.submit(0, 0);
        while !self.memory.waiting.is_empty() {
            self.volume_does(0);
        }
        assert_eq!(self.acks(), [(0, 0)]);
        let (state, status) = self.status(0);
        assert_eq!(state, DONE);
        status
    }

    fn ask_for(&mut self, operation: Operation, nbytes: u64) -> (u32, Vec<u8>) {
        let status = self.slice(operation, NO_SLICE, 0, nbytes, 7);
        (status, self.buffer(7, nbytes as usize))
    }

    fn give(&mut self, operation: Operation, bytes: &[u8]) -> u32 {
        let at = self.client.buffers.at(6 * 0x2000);
        self.board.ports(1).write(at, bytes);
        self.slice(operation, NO_SLICE, 0, bytes.len() as u64, 6)
    }

    fn vtoc(&mut self) -> Result<Vtoc, u32> {
        match self.ask_for(Operation::GetVtoc, 336) {
            (0, bytes) => Ok(Vtoc::read_from_bytes(&bytes).unwrap()),
            (status, _) => Err(status),
        }
    }
}

const MB: u64 = 1 << 20;

#[test]
fn a_label_that_is_set_is_on_the_disk_and_its_slices_are_there() {
    let mut world = World::new(3 * MB as usize);
    world.handshake();
    assert_eq!(world.slice(Operation::Bread, 0, 0, 512, 0), Errno::Nxio.code(), "no label yet");
    let mut vtoc = world.vtoc().unwrap();
    vtoc.volume = *b"backpack";
    vtoc.partitions[0].start = 600.into();
    vtoc.partitions[0].nblocks = 1200.into();
    assert_eq!(world.give(Operation::SetVtoc, vtoc.as_bytes()), 0);
    // In the file: block 0, and five copies in the last track of ten cylinders.
    let label = world.memory.disk[..512].to_vec();
    assert!(matches!(Label::read(&label), Label::Sun(_)));
    for block in [5401, 5403, 5405, 5407, 5409_usize] {
        assert!(world.memory.disk[block * 512..][..512] == label, "block {block}");
    }
    assert_eq!(world.vtoc(), Ok(vtoc));
    // Slice 0 begins at block 600 and ends before block 1800.
    assert_eq!(world.slice(Operation::Bread, 0, 3, 512, 0), 0);
    assert_eq!(world.buffer(0, 512), world.memory.disk[603 * 512..604 * 512]);
    assert_eq!(world.slice(Operation::Bread, 0, 1199, 512, 0), 0);
    assert_eq!(world.slice(Operation::Bread, 0, 1199, 1024, 0), Errno::Io.code());
    assert_eq!(world.slice(Operation::Bread, 2, 4799, 512, 0), 0);
    assert_eq!(world.slice(Operation::Bread, 1, 0, 512, 0), Errno::Nxio.code(), "empty");
    assert_eq!(world.slice(Operation::Bread, 8, 0, 512, 0), Errno::Inval.code());
    let at = world.client.buffers.at(0);
    world.board.ports(1).write(at, &[0xa5; 512]);
    assert_eq!(world.slice(Operation::Bwrite, 0, 1, 512, 0), 0);
    assert_eq!(world.memory.disk[601 * 512..602 * 512], [0xa5; 512]);
}

#[test]
fn a_label_that_the_client_writes_by_itself_is_seen_at_once() {
    let mut world = World::new(3 * MB as usize);
    world.handshake();
    let geometry = Geometry::of(3 * MB / 512);
    let label = sun::SunLabel::new(&geometry, &sun::unlabelled(3 * MB / 512)).unwrap();
    let at = world.client.buffers.at(0);
    world.board.ports(1).write(at, label.as_bytes());
    assert_eq!(world.slice(Operation::Bwrite, NO_SLICE, 0, 512, 0), 0);
    assert_eq!(world.slice(Operation::Bread, 0, 1, 512, 1), 0);
    assert_eq!(world.buffer(1, 512), world.memory.disk[512..1024]);
    // And one that it wipes.
    world.board.ports(1).write(at, &[0; 512]);
    assert_eq!(world.slice(Operation::Bwrite, NO_SLICE, 0, 512, 0), 0);
    assert_eq!(world.slice(Operation::Bread, 0, 1, 512, 1), Errno::Nxio.code());
}

#[test]
fn a_geometry_that_is_set_is_the_next_labels() {
    let mut world = World::new(3 * MB as usize);
    world.handshake();
    let wanted = Geometry { nhead: 2.into(), nsect: 100.into(), ..Geometry::of(6144) };
    assert_eq!(world.give(Operation::SetDiskGeom, wanted.as_bytes()), 0);
    let (_, bytes) = world.ask_for(Operation::GetDiskGeom, 24);
    assert_eq!(Geometry::read_from_bytes(&bytes), Ok(wanted));
    let mut vtoc = world.vtoc().unwrap();
    vtoc.partitions[0].start = 400.into();
    assert_eq!(world.give(Operation::SetVtoc, vtoc.as_bytes()), 0);
    let Label::Sun(label) = Label::read(&world.memory.disk) else { panic!("no label") };
    assert_eq!((label.geometry(), label.extent(0).start), (wanted, 400));
    let none = Geometry { nhead: 0.into(), ..wanted };
    assert_eq!(world.give(Operation::SetDiskGeom, none.as_bytes()), Errno::Inval.code());
    vtoc.num_partitions = 16.into();
    assert_eq!(world.give(Operation::SetVtoc, vtoc.as_bytes()), Errno::Inval.code());
}

#[test]
fn a_gpt_has_seven_slices_and_the_whole_disk() {
    let mut world = World::new(9 * MB as usize);
    world.handshake();
    let made = gpt::of_slice(500, [1; 16]);
    // By SET_EFI, as Solaris does: header, then entries.
    for (lba, bytes) in [(1, &made.front[512..1024]), (2, &made.front[1024..1024 + 4096])] {
        let header = EfiHeader { lba: lba.into(), length: (bytes.len() as u64).into() };
        let all = [header.as_bytes(), bytes].concat();
        assert_eq!(world.give(Operation::SetEfi, &all), 0);
    }
    // The rest of the entries is as the sum wants it only when it is empty.
    world.memory.disk[1024 + 4096..34 * 512].fill(0);
    world.client.sid += 1;
    world.handshake();
    assert_eq!(world.vtoc(), Err(Errno::NotSup.code()));
    assert_eq!(world.ask_for(Operation::GetDiskGeom, 24).0, Errno::NotSup.code());
    for (slice, start, blocks) in [(0, 34, 500), (7, 0, 18_432)] {
        assert_eq!(world.slice(Operation::Bread, slice, 5, 512, 0), 0);
        let at = (start + 5) * 512;
        assert_eq!(world.buffer(0, 512), world.memory.disk[at..at + 512]);
        assert_eq!(world.slice(Operation::Bread, slice, blocks - 1, 512, 0), 0);
        assert_eq!(world.slice(Operation::Bread, slice, blocks, 512, 0), Errno::Io.code());
    }
    // What is read by GET_EFI is behind its header.
    let header = EfiHeader { lba: 1.into(), length: 512.into() };
    let at = world.client.buffers.at(7 * 0x2000);
    world.board.ports(1).write(at, header.as_bytes());
    let (status, bytes) = world.ask_for(Operation::GetEfi, 528);
    assert_eq!(
        (status, &bytes[..16], &bytes[16..24]),
        (0, header.as_bytes(), b"EFI PART".as_slice())
    );
    world.board.ports(1).write(at, header.as_bytes());
    assert_eq!(world.ask_for(Operation::GetEfi, 520).0, Errno::Inval.code(), "no room");
    let beyond = EfiHeader { lba: 18_432.into(), length: 512.into() };
    world.board.ports(1).write(at, beyond.as_bytes());
    assert_eq!(world.ask_for(Operation::GetEfi, 528).0, Errno::Io.code());
}

#[test]
fn a_device_id_is_the_volumes() {
    let mut ids = Vec::new();
    for _ in 0..2 {
        let mut world = World::new(MB as usize);
        world.handshake();
        let (status, bytes) = world.ask_for(Operation::GetDevid, 136);
        assert_eq!(status, 0);
        let header: DevidHeader = vio::read(&bytes).unwrap();
        assert_eq!((header.kind.get(), header.length.get()), (DEVID_FABRICATED, 12));
        assert_eq!(bytes[20..], [0; 116]);
        // Room for less gets less, and is told how much there is.
        let (status, short) = world.ask_for(Operation::GetDevid, 16);
        assert_eq!((status, &short[..16]), (0, &bytes[..16]));
        ids.push(bytes);
    }
    assert_eq!(ids[0], ids[1]);
}

fn sliced(bytes: u64) -> World {
    let mut world = World::with(DiskConf { slice: true, ..conf() });
    world.opened(Ok(bytes));
    for (n, byte) in world.memory.disk.iter_mut().enumerate() {
        *byte = (n / 512) as u8 | 1;
    }
    world
}

#[test]
fn a_slice_is_a_disk_of_one_partition_behind_a_label() {
    let mut world = sliced(3 * MB);
    let attr = world.handshake();
    // Cylinders of 600 blocks; the first is the label's.
    assert_eq!((attr.disk_type, attr.size.get()), (2, 600 + 6144));
    let vtoc = world.vtoc().unwrap();
    assert_eq!((vtoc.partitions[0].start.get(), vtoc.partitions[0].nblocks.get()), (600, 6144));
    assert_eq!(world.slice(Operation::Bread, 0, 0, 512, 0), 0);
    assert_eq!(world.buffer(0, 512), world.memory.disk[..512]);
    assert_eq!(world.slice(Operation::Bread, 0, 6143, 512, 0), 0);
    assert_eq!(world.slice(Operation::Bread, 0, 6144, 512, 0), Errno::Io.code());
    // The label is there to be read, and so is what lies across its end.
    assert_eq!(world.slice(Operation::Bread, NO_SLICE, 0, 512, 0), 0);
    assert!(matches!(Label::read(&world.buffer(0, 512)), Label::Sun(_)));
    assert_eq!(world.slice(Operation::Bread, NO_SLICE, 599, 1024, 0), 0);
    let across = [[0; 512].as_slice(), &world.memory.disk[..512]].concat();
    assert_eq!(world.buffer(0, 1024), across);
    // It stays as it is.
    let before = world.memory.disk.clone();
    assert_eq!(world.slice(Operation::Bwrite, NO_SLICE, 0, 512, 0), Errno::Io.code());
    assert_eq!(world.slice(Operation::Bwrite, NO_SLICE, 599, 1024, 0), Errno::Io.code());
    let vtoc = world.vtoc().unwrap();
    assert_eq!(world.give(Operation::SetVtoc, vtoc.as_bytes()), Errno::NotSup.code());
    assert!(world.memory.disk == before);
    assert_eq!(world.slice(Operation::Bwrite, 0, 2, 512, 1), 0);
    let written = world.buffer(1, 512);
    assert_eq!(world.memory.disk[1024..1536], written);
    assert_eq!(world.ask_for(Operation::GetDevid, 136).0, Errno::NoEnt.code());
    world.serve(|server, host, memory| server.detach(host, memory, KEY));
}

#[test]
fn a_large_slice_lies_between_the_tables_of_a_gpt() {
    use super::super::media::Media;
    let bytes = 3 << 40;
    let found = super::file(bytes);
    let media = Media::new(&found, true, false, Vec::new());
    let blocks = bytes / BLOCK;
    assert_eq!(media.blocks(), 34 + blocks + 16_384 + 33);
    assert_eq!(media.vtoc(), Err(Errno::NotSup));
    // Its first and last blocks, and the table behind it.
    assert_eq!(media.place(0, 0, 512, 1), Ok((34 * BLOCK, 512)));
    let (offset, count) = media.place(0, blocks - 1, 512, 1).unwrap();
    let reading = media.read(offset, count);
    assert_eq!(reading.volume, Some((bytes - 512, 512)));
    assert!(reading.before.is_empty() && reading.after.is_empty());
    let (offset, count) = media.place(NO_SLICE, media.blocks() - 1, 512, 1).unwrap();
    let reading = media.read(offset, count);
    assert_eq!((reading.volume, &reading.after[..8]), (None, b"EFI PART".as_slice()));
    let (offset, count) = media.place(NO_SLICE, 33, 1024, 2).unwrap();
    let reading = media.read(offset, count);
    assert_eq!((reading.before, reading.volume), (vec![0; 512], Some((0, 512))));
}

#[test]
fn three_terabytes_are_told_whole() {
    use super::super::media::Media;
    let bytes = 3 << 40;
    let media = Media::new(&super::file(bytes), false, false, vec![0; 1024]);
    assert_eq!(media.capacity().size.get(), bytes / 512);
    assert_eq!(media.place(NO_SLICE, bytes / 512 - 1, 512, 1), Ok((bytes - 512, 512)));
    assert_eq!(media.place(NO_SLICE, bytes / 512, 512, 1), Err(Errno::Io));
    assert_eq!(media.place(NO_SLICE, u64::MAX, 512, 1), Err(Errno::Inval));
    // Too large for a Sun label: a disk for a GPT.
    assert_eq!(media.vtoc(), Err(Errno::NotSup));
    assert!(media.geometry(1).is_ok());
}
