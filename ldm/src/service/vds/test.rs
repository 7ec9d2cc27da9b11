//! The server against a client that is scripted, message by message, and a
//! backend that answers when it is told to.

mod fuzz;
mod in_band;
mod kinds;
mod labels;

use super::label::FRONT_BYTES;
use super::{DiskConf, DiskServer};
use crate::channel::{Channel, ChannelConf, Copier, LinkEvent};
use crate::cost::Cost;
use crate::memory::{Arena, Block};
use crate::service::host::Host;
use crate::service::volume::{
    Backend, Completion, Found, Kept, KeptWrite, Owner, Request, VolumeId,
};
use crate::testing::{BASE, Board};
use proptest::prelude::{any, proptest};
use sun4v::addr::Ra;
use sun4v::id::LdcId;
use sun4v::ldc::map::{MapEntry, MapPerms};
use sun4v::ldc::{Cookie, CookieAddr, LDC_SET_MAP_TABLE, Mte, Stype, Version};
use sun4v::native::Ports;
use sun4v::time::SimTime;
use sun4v::vio::dring::XFER_DRING;
use sun4v::vio::vdisk::{Attr, Capacity, Descriptor, Errno, Geometry, NO_SLICE, Operation, Vtoc};
use sun4v::vio::{
    self, DescriptorState, DeviceClass, DringData, DringReg, Envelope, Rdx, Tag, Type, Ver,
};
use zerocopy::IntoBytes;

const DESCRIPTORS: u32 = 16;
/// A descriptor with room for two cookies.
const DESC_SIZE: u32 = 80;
const KEY: u64 = 0xd15c;
/// Bytes of a disk for most tests.
const DISK_BYTES: usize = 1 << 20;

/// A volume of bytes whose requests end when the test says so.
#[derive(Default)]
struct Memory {
    disk: Vec<u8>,
    durable: Vec<u8>,
    opened: Vec<String>,
    closed: Vec<VolumeId>,
    waiting: Vec<(u64, Request)>,
    kept: Kept,
    /// Epochs at which it was opened and claimed.
    claims: Vec<u64>,
}

const UUID: &str = "0c0ffee0-0000-4000-8000-000000000001";

impl Backend for Memory {
    fn open(&mut self, path: &str, owner: &Owner) -> VolumeId {
        assert_eq!(owner.uuid, UUID);
        self.opened.push(path.to_owned());
        self.claims.push(owner.epoch);
        VolumeId(self.opened.len() as u32)
    }
    fn claim(&mut self, _: VolumeId, epoch: u64) {
        self.claims.push(epoch);
    }
    fn close(&mut self, volume: VolumeId) {
        self.closed.push(volume);
    }
    fn submit(&mut self, _: VolumeId, token: u64, request: Request) {
        self.waiting.push((token, request));
    }
    fn kept(&self, _: VolumeId) -> Result<Kept, String> {
        Ok(self.kept.clone())
    }
    fn keep(&mut self, _: VolumeId, kept: Kept) {
        self.kept = kept;
    }
}

impl Memory {
    /// Carries out the request that has waited for the `n`th longest time.
    fn run(&mut self, n: usize) -> Completion {
        let (token, request) = self.waiting.remove(n);
        let result = match request {
            Request::Read { offset, bytes } => {
                self.disk[offset as usize..][..bytes as usize].to_vec()
            }
            Request::Write { offset, data, durable } => {
                self.disk[offset as usize..][..data.len()].copy_from_slice(&data);
                if durable {
                    self.durable = self.disk.clone();
                }
                Vec::new()
            }
            Request::Flush => {
                self.durable = self.disk.clone();
                Vec::new()
            }
        };
        Completion::Done { token, result: Ok(result) }
    }
}

struct World {
    board: Board,
    arena: Arena,
    copier: Copier,
    cost: Cost,
    server: DiskServer,
    memory: Memory,
    client: Client,
    /// The volume is shown as a slice.
    sliced: bool,
}

/// A client: domain 1, endpoint 1. Page 0 of what it lends is the ring, the next
/// eight are buffers, one after the other.
struct Client {
    channel: Channel,
    ring: Block,
    buffers: Block,
    got: Vec<Vec<u8>>,
    downs: usize,
    sid: u32,
    seq: u64,
    ident: u64,
}

impl Client {
    fn new(board: &mut Board) -> Self {
        let mut arena = Arena::new(Ra(BASE), 0x10_0000);
        let table = arena.alloc(16 * 16).unwrap();
        let ring = arena.alloc(0x2000).unwrap();
        let buffers = arena.alloc(8 * 0x2000).unwrap();
        let ports = &mut board.ports(1);
        for n in 0..9_u64 {
            let page = if n == 0 { ring.ra } else { buffers.at((n - 1) * 0x2000) };
            let mte = Mte::page(page, MapPerms::CR | MapPerms::CW);
            let entry = MapEntry { mte: mte.0.into(), revoke: 0.into() };
            ports.write(table.at(16 * n), entry.as_bytes());
        }
        ports.hcall(LDC_SET_MAP_TABLE, [1, table.ra.0, 16, 0, 0]).unwrap();
        let conf = ChannelConf { id: LdcId(1), tx_ino: 2, rx_ino: 3 };
        let channel = Channel::connect(ports, &mut arena, conf, 1).unwrap();
        let got = Vec::new();
        Self { channel, ring, buffers, got, downs: 0, sid: 0x5eed, seq: 5, ident: 0 }
    }
}

/// The port that tests are about.
fn conf() -> DiskConf {
    DiskConf {
        name: "vds-port 0".into(),
        path: "/net/nas/export/a.img".into(),
        read_only: false,
        slice: false,
        exclusive: false,
        channel: ChannelConf { id: LdcId(4), tx_ino: 8, rx_ino: 9 },
        owner: Owner { uuid: UUID.into(), epoch: 1 },
    }
}

/// A file of so many bytes.
fn file(size: u64) -> Found {
    Found { size, read_only: false, device: false, identity: "nas:/export/a.img".into() }
}

fn control(sid: u32, version: Version) -> Ver {
    Ver::new(Stype::Info, sid, version, DeviceClass::Disk)
}

const V1_1: Version = Version { major: 1, minor: 1 };

impl World {
    /// A server with one port, link up, volume of `bytes` open.
    fn new(bytes: usize) -> Self {
        let mut world = Self::unopened("/net/nas/export/a.img", false);
        let disk: Vec<u8> = (0..bytes).map(|n| (n / 512) as u8 ^ n as u8).collect();
        world.memory.durable = disk.clone();
        world.memory.disk = disk;
        world.opened(Ok(bytes as u64));
        world
    }

    fn unopened(path: &str, read_only: bool) -> Self {
        Self::with(DiskConf { path: path.into(), read_only, ..conf() })
    }

    fn with(conf: DiskConf) -> Self {
        let mut board = Board::new(2, 0x10_0000);
        board.join((0, 4), (1, 1));
        let mut arena = Arena::new(Ra(BASE), 0x10_0000);
        let copier = Copier::new(&mut arena).unwrap();
        let client = Client::new(&mut board);
        let mut world = Self {
            board,
            arena,
            copier,
            cost: Cost::default(),
            server: DiskServer::default(),
            memory: Memory::default(),
            client,
            sliced: conf.slice,
        };
        world.serve(|server, host, memory| server.attach(host, memory, KEY, conf).unwrap());
        world.run();
        world
    }

    fn serve<R>(
        &mut self,
        act: impl FnOnce(&mut DiskServer, &mut Host<'_>, &mut Memory) -> R,
    ) -> R {
        let mut host = Host {
            ports: &mut self.board.ports(0),
            arena: &mut self.arena,
            copier: &self.copier,
            cost: &self.cost,
        };
        act(&mut self.server, &mut host, &mut self.memory)
    }

    fn run(&mut self) {
        loop {
            if let Some(mondo) = self.board.domains[0].mondos.pop_front() {
                self.serve(|server, host, memory| server.mondo(host, memory, mondo[0]));
            } else if self.board.domains[1].mondos.pop_front().is_some() {
                for event in self.client.channel.service(&mut self.board.ports(1)) {
                    match event {
                        LinkEvent::Up => {}
                        LinkEvent::Down => self.client.downs += 1,
                        LinkEvent::Message(bytes) => self.client.got.push(bytes),
                    }
                }
            } else if let Some(n) = self.front_wanted() {
                let completion = self.memory.run(n);
                self.serve(|server, host, memory| server.complete(host, memory, completion));
            } else {
                break;
            }
        }
    }

    /// The reading of the volume's front, which it does at once.
    fn front_wanted(&self) -> Option<usize> {
        let front = self.memory.disk.len().min(FRONT_BYTES) as u32;
        let wanted = Request::Read { offset: 0, bytes: front };
        self.memory.waiting.iter().position(|(_, request)| *request == wanted)
    }

    fn opened(&mut self, size: Result<u64, Errno>) {
        self.found(size.map(file));
    }

    fn found(&mut self, found: Result<Found, Errno>) {
        if let Ok(found) = &found {
            self.memory.disk.resize(found.size as usize, 0);
        }
        let volume = VolumeId(self.memory.opened.len() as u32);
        self.serve(|server, host, memory| {
            server.complete(host, memory, Completion::Opened { volume, found });
        });
        self.run();
    }

    /// Lets the volume do the `n`th oldest request.
    fn volume_does(&mut self, n: usize) {
        let completion = self.memory.run(n);
        self.serve(|server, host, memory| server.complete(host, memory, completion));
        self.run();
    }

    fn say(&mut self, bytes: &[u8]) {
        assert!(self.client.channel.send(&mut self.board.ports(1), bytes));
        self.run();
    }

    /// Says something and takes the one answer.
    fn ask(&mut self, bytes: &[u8]) -> Vec<u8> {
        self.say(bytes);
        assert_eq!(self.client.got.len(), 1, "{:x?}", self.client.got);
        self.client.got.remove(0)
    }

    /// Says something and reads of the answer whether it was an ACK.
    fn agreed(&mut self, bytes: &[u8]) -> bool {
        self.ask(bytes)[1] == Stype::Ack.code()
    }

    fn handshake(&mut self) -> Attr {
        let sid = self.client.sid;
        assert!(self.agreed(control(sid, V1_1).as_bytes()));
        let attr = self.ask(Attr::ask(sid, XFER_DRING, 64).as_bytes());
        self.register();
        vio::read(&attr).unwrap()
    }

    fn register(&mut self) {
        let sid = self.client.sid;
        let reg = DringReg::new(sid, DESCRIPTORS, DESC_SIZE, 0, CookieAddr::new(0, 0));
        let ack: DringReg = vio::read(&self.ask(reg.as_bytes())).unwrap();
        assert_eq!(ack.tag.stype, Stype::Ack.code());
        self.client.ident = ack.ident.get();
        assert!(self.agreed(Rdx::new(Stype::Info, sid).as_bytes()));
    }

    /// Fills descriptor `index`; its buffer is page `page` of the client's.
    fn fill(&mut self, index: u32, operation: Operation, addr: u64, nbytes: u64, page: u64) {
        let descriptor = Descriptor {
            state: DescriptorState::Ready.code(),
            ack: 1,
            header_resv: [0; 6],
            req_id: u64::from(index).into(),
            operation: operation.code(),
            slice: NO_SLICE,
            resv: 0.into(),
            status: 0xffff_ffff.into(),
            addr: addr.into(),
            nbytes: nbytes.into(),
            ncookies: u32::from(nbytes > 0).into(),
            resv2: 0.into(),
        };
        let at = self.client.ring.at(u64::from(index * DESC_SIZE));
        let cookie = Cookie::new(CookieAddr::new(1 + page, 0), nbytes.next_multiple_of(8));
        let ports = &mut self.board.ports(1);
        ports.write(at, descriptor.as_bytes());
        ports.write(at.offset(48), cookie.as_bytes());
    }

    fn info(&mut self, start: u32, end: i32) -> DringData {
        let Client { sid, seq, ident, .. } = self.client;
        self.client.seq += 1;
        DringData::info(sid, seq, ident, start, end)
    }

    fn submit(&mut self, start: u32, end: u32) {
        let info = self.info(start, end as i32);
        self.say(info.as_bytes());
    }

    /// State and status of descriptor `index`.
    fn status(&mut self, index: u32) -> (u8, u32) {
        let mut bytes = [0; 48];
        let at = self.client.ring.at(u64::from(index * DESC_SIZE));
        self.board.ports(1).read(at, &mut bytes);
        let descriptor: Descriptor = vio::read(&bytes).unwrap();
        assert_eq!(descriptor.req_id.get(), u64::from(index));
        (descriptor.state, descriptor.status.get())
    }

    fn buffer(&mut self, page: u64, bytes: usize) -> Vec<u8> {
        let mut data = vec![0; bytes];
        let at = self.client.buffers.at(page * 0x2000);
        self.board.ports(1).read(at, &mut data);
        data
    }

    /// Takes the acknowledgements that came: start and end of each.
    fn acks(&mut self) -> Vec<(u32, i32)> {
        let got = std::mem::take(&mut self.client.got);
        let ack = |bytes: Vec<u8>| {
            let ack: DringData = vio::read(&bytes).unwrap();
            assert_eq!(
                ack.tag.parts(),
                Some((Type::Data, Stype::Ack, Envelope::Dring)),
                "{bytes:x?}"
            );
            (ack.start.get(), ack.end.get())
        };
        got.into_iter().map(ack).collect()
    }

    /// One request of which the volume knows nothing.
    fn at_once(&mut self, operation: Operation, nbytes: u64) -> (u8, u32) {
        self.fill(0, operation, 0, nbytes, 0);
        self.submit(0, 0);
        assert_eq!(self.acks(), [(0, 0)]);
        self.status(0)
    }
}

/// Makes a ring message with something wrong.
type Wrong = fn(&mut World) -> DringData;

const DONE: u8 = DescriptorState::Done as u8;

#[test]
fn a_client_is_told_what_the_disk_is() {
    let mut world = World::new(1 << 20);
    let attr = world.handshake();
    assert_eq!((attr.xfer_mode, attr.disk_type, attr.media_type), (3, 2, 1));
    assert_eq!((attr.block_size.get(), attr.size.get()), (512, 2048));
    assert_eq!((attr.max_xfer.get(), attr.operations.get()), (64, 0x2_3bfe));
    assert_eq!(world.memory.opened, ["/net/nas/export/a.img"]);
}

#[test]
fn a_client_is_told_what_its_version_has() {
    let mut world = World::new(1 << 20);
    let ver = |minor| control(9, Version { major: 1, minor });
    let answer: Ver = vio::read(&world.ask(ver(0).as_bytes())).unwrap();
    assert_eq!((answer.minor.get(), answer.class, answer.tag.sid.get()), (0, 4, 9));
    let attr: Attr = vio::read(&world.ask(Attr::ask(9, XFER_DRING, 0).as_bytes())).unwrap();
    assert_eq!((attr.size.get(), attr.media_type, attr.max_xfer.get()), (0, 0, 2048));
    assert_eq!(attr.operations.get(), 0x1952 | 0x22ac);
    for minor in 2..9 {
        let answer: Ver = vio::read(&world.ask(ver(minor).as_bytes())).unwrap();
        assert_eq!((answer.tag.stype, answer.minor.get()), (Stype::Ack.code(), 2));
        let attr: Attr = vio::read(&world.ask(Attr::ask(9, XFER_DRING, 512).as_bytes())).unwrap();
        let told = (attr.size.get(), attr.phys_block_size.get(), attr.max_xfer.get());
        assert_eq!(told, (2048, 512, 512));
    }
    let answer: Ver = vio::read(&world.ask(ver(1).as_bytes())).unwrap();
    assert_eq!(answer.minor.get(), 1);
    let attr: Attr = vio::read(&world.ask(Attr::ask(9, XFER_DRING, 0).as_bytes())).unwrap();
    assert_eq!((attr.size.get(), attr.phys_block_size.get()), (2048, 0));
    let foreign = control(9, Version { major: 2, minor: 0 });
    let answer: Ver = vio::read(&world.ask(foreign.as_bytes())).unwrap();
    assert_eq!(
        (answer.tag.stype, answer.version()),
        (Stype::Nack.code(), Version { major: 1, minor: 2 })
    );
}

#[test]
fn blocks_are_read_and_written() {
    let mut world = World::new(1 << 20);
    world.handshake();
    world.fill(3, Operation::Bread, 7, 1024, 2);
    world.submit(3, 3);
    assert_eq!(world.status(3).0, DescriptorState::Accepted.code());
    world.volume_does(0);
    assert_eq!((world.status(3), world.acks()), ((DONE, 0), vec![(3, 3)]));
    assert_eq!(world.buffer(2, 1024), world.memory.disk[7 * 512..9 * 512]);

    let data: Vec<u8> = (0..4096).map(|n| n as u8 | 1).collect();
    let at = world.client.buffers.at(0);
    world.board.ports(1).write(at, &data);
    world.fill(4, Operation::Bwrite, 100, 4096, 0);
    world.fill(5, Operation::Flush, 0, 0, 0);
    world.submit(4, 4);
    world.submit(5, 5);
    world.volume_does(0);
    assert_eq!(world.acks(), [(4, 4)]);
    assert_ne!(world.memory.durable[51_200..55_296], data);
    world.volume_does(0);
    assert_eq!((world.status(5), world.acks()), ((DONE, 0), vec![(5, 5)]));
    assert_eq!(world.memory.durable[51_200..55_296], data);
}

impl World {
    /// Another server in place of this one, in memory that is given out anew; what was
    /// asked of the volume and is not answered is gone.
    fn restart(&mut self) {
        let [saved] = self.server.save(&self.memory).unwrap().try_into().unwrap();
        self.server = DiskServer::default();
        self.arena = Arena::new(Ra(BASE), 0x10_0000);
        self.copier = Copier::new(&mut self.arena).unwrap();
        self.memory.waiting.clear();
        self.memory.kept = Kept::default();
        let conf = conf();
        let (channel, disk) = saved.clone().load().unwrap();
        assert_eq!(channel, LdcId(4));
        self.serve(|server, host, memory| {
            server.attach_again(host, memory, KEY, conf, disk).unwrap();
            assert_eq!(server.save(memory), Ok(vec![saved]));
        });
        self.run();
        let size = self.memory.disk.len() as u64;
        self.opened(Ok(size));
    }
}

#[test]
fn a_client_of_a_server_that_begins_again_loses_nothing() {
    // The volume has carried out neither, one, or both of the writes.
    for done in 0..3 {
        let mut world = World::new(1 << 20);
        world.memory.kept.writes.push(KeptWrite { offset: 0, data: vec![7; 512], life: 9 });
        world.handshake();
        let at = world.client.buffers.at(0);
        world.board.ports(1).write(at, &[[1; 512], [2; 512]].concat());
        world.fill(4, Operation::Bwrite, 100, 1024, 0);
        world.fill(5, Operation::Bread, 3, 512, 2);
        world.fill(6, Operation::Bwrite, 101, 512, 3);
        world.submit(4, 4);
        world.submit(5, 6);
        for _ in 0..done {
            // Answered by the volume, not yet told.
            let _ = world.memory.run(0);
        }
        let kept = world.memory.kept.clone();
        world.restart();
        assert_eq!((world.client.downs, &world.memory.kept), (1, &kept));
        assert_ne!(world.status(4).0, DONE);
        // The driver begins a session and asks again for what was not answered.
        world.handshake();
        world.fill(4, Operation::Bwrite, 100, 1024, 0);
        world.fill(5, Operation::Bread, 3, 512, 2);
        world.fill(6, Operation::Bwrite, 101, 512, 3);
        world.submit(4, 6);
        for _ in 0..3 {
            world.volume_does(0);
        }
        assert_eq!(world.acks(), [(4, 6)]);
        assert_eq!(world.memory.disk[100 * 512..101 * 512], [1; 512]);
        assert_eq!(world.memory.disk[101 * 512..102 * 512], [0; 512]);
        assert_eq!(world.buffer(2, 512), world.memory.disk[3 * 512..4 * 512]);
        assert!(world.memory.waiting.is_empty());
    }
}

#[test]
fn a_write_cache_that_was_switched_off_stays_off() {
    let mut world = World::new(1 << 20);
    world.handshake();
    world.fill(0, Operation::SetWce, 0, 4, 1);
    world.submit(0, 0);
    world.volume_does(0);
    assert_eq!(world.acks(), [(0, 0)]);
    world.restart();
    world.handshake();
    world.fill(0, Operation::Bwrite, 0, 512, 0);
    world.submit(0, 0);
    assert!(matches!(world.memory.waiting[0].1, Request::Write { durable: true, .. }));
}

#[test]
fn a_server_that_closes_or_holds_a_disk_cannot_be_saved() {
    let mut world = World::new(1 << 20);
    world.serve(|server, _, memory| {
        server.hold(memory, KEY);
        let why = server.save(memory).unwrap_err();
        assert_eq!(why, "vds-port 0 is held for a migration");
    });
    world.volume_does(0);
    world.serve(|server, host, memory| {
        assert!(server.save(memory).is_err());
        server.release(host, memory, KEY);
        assert_eq!(server.save(memory).unwrap().len(), 1);
        server.detach(host, memory, KEY);
        assert_eq!(server.save(memory).unwrap_err(), "a virtual disk is being closed");
    });
    world.volume_does(0);
    assert_eq!(world.server.save(&world.memory), Ok(Vec::new()));
}

#[test]
fn requests_run_side_by_side_and_end_in_the_order_they_came() {
    let mut world = World::new(1 << 20);
    world.handshake();
    for index in 0..5 {
        world.fill(index, Operation::Bread, u64::from(index), 512, u64::from(index));
    }
    world.submit(0, 0);
    world.submit(1, 3);
    world.submit(4, 4);
    assert_eq!(world.memory.waiting.len(), 5);
    for n in [4, 3, 2, 1] {
        world.volume_does(n);
        assert_eq!(world.acks(), []);
    }
    assert_eq!(world.status(4).0, DescriptorState::Accepted.code());
    world.volume_does(0);
    assert_eq!(world.acks(), [(0, 0), (1, 3), (4, 4)]);
    assert!((0..5).all(|index| world.status(index) == (DONE, 0)));
}

#[test]
fn a_run_may_go_round_the_end_of_the_ring() {
    let mut world = World::new(1 << 20);
    world.handshake();
    world.fill(15, Operation::Bread, 1, 512, 0);
    world.fill(0, Operation::Bread, 2, 512, 1);
    world.submit(15, 0);
    world.volume_does(0);
    world.volume_does(0);
    assert_eq!(world.acks(), [(15, 0)]);
    assert_eq!(world.buffer(1, 512), world.memory.disk[1024..1536]);
}

#[test]
fn what_cannot_be_done_ends_with_an_error_number() {
    let mut world = World::new(1 << 20);
    world.handshake();
    let cases = [
        (Operation::Bread, 2048, 512, Errno::Io),
        (Operation::Bread, 2047, 1024, Errno::Io),
        (Operation::Bread, u64::MAX, 512, Errno::Inval),
        (Operation::Bread, 0, 513, Errno::Inval),
        (Operation::Bread, 0, 0, Errno::Inval),
        (Operation::Bwrite, 0, 65 * 512, Errno::Inval),
        (Operation::SetAccess, 0, 8, Errno::NotSup),
        (Operation::GetAccess, 0, 8, Errno::NotSup),
        (Operation::ScsiCmd, 0, 8, Errno::NotSup),
        (Operation::Reset, 0, 0, Errno::NotSup),
    ];
    for (operation, addr, nbytes, error) in cases {
        world.fill(0, operation, addr, nbytes, 0);
        world.submit(0, 0);
        assert_eq!(world.acks(), [(0, 0)]);
        assert_eq!(world.status(0), (DONE, error.code()), "{operation:?} {addr} {nbytes}");
    }
    assert!(world.memory.waiting.is_empty());
}

#[test]
fn a_read_only_disk_takes_no_writes() {
    let mut world = World::unopened("/net/nas/export/cd.img", true);
    world.opened(Ok(1 << 20));
    let attr = world.handshake();
    assert_eq!(attr.operations.get() & Operation::Bwrite.bit(), 0);
    assert_eq!(world.at_once(Operation::Bwrite, 512), (DONE, Errno::RoFs.code()));
}

#[test]
fn a_disk_tells_its_size_geometry_and_label() {
    let mut world = World::new(3 << 20);
    world.handshake();
    assert_eq!(world.at_once(Operation::GetCapacity, 16), (DONE, 0));
    let capacity: Capacity = vio::read(&world.buffer(0, 16)).unwrap();
    assert_eq!((capacity.block_size.get(), capacity.size.get()), (512, 6144));
    assert_eq!(world.at_once(Operation::GetDiskGeom, 22), (DONE, 0));
    let geometry: Geometry = vio::read(&world.buffer(0, 24)).unwrap();
    assert_eq!((geometry.nhead.get(), geometry.nsect.get(), geometry.pcyl.get()), (1, 600, 10));
    assert_eq!(world.at_once(Operation::GetVtoc, 336), (DONE, 0));
    let vtoc: Vtoc = vio::read(&world.buffer(0, 336)).unwrap();
    // Eight cylinders and two alternates.
    assert_eq!((vtoc.partitions[2].nblocks.get(), vtoc.sector_size.get()), (8 * 600, 512));
}

#[test]
fn with_the_write_cache_off_every_write_is_durable() {
    let mut world = World::new(1 << 20);
    world.handshake();
    assert_eq!(world.at_once(Operation::GetWce, 4), (DONE, 0));
    assert_eq!(world.buffer(0, 4), [0, 0, 0, 1]);
    let at = world.client.buffers.at(0);
    world.board.ports(1).write(at, &[0; 4]);
    world.fill(0, Operation::SetWce, 0, 4, 0);
    world.submit(0, 0);
    world.volume_does(0);
    assert_eq!(world.acks(), [(0, 0)]);
    assert_eq!(world.at_once(Operation::GetWce, 4), (DONE, 0));
    assert_eq!(world.buffer(0, 4), [0, 0, 0, 0]);
    world.fill(1, Operation::Bwrite, 0, 512, 0);
    world.submit(1, 1);
    world.volume_does(0);
    assert_eq!(world.memory.durable[..512], [0; 512]);
}

#[test]
fn a_client_waits_while_its_volume_cannot_be_opened() {
    let mut world = World::unopened("/net/nas/export/late.img", false);
    world.opened(Err(Errno::Nxio));
    let sid = world.client.sid;
    assert!(world.agreed(control(sid, V1_1).as_bytes()));
    world.say(Attr::ask(sid, XFER_DRING, 64).as_bytes());
    assert!(world.client.got.is_empty());
    world.board.now = world.server.next_tick(SimTime::ZERO);
    world.serve(|server, host, memory| server.tick(host, memory));
    assert_eq!((world.memory.opened.len(), world.memory.closed.len()), (2, 1));
    world.opened(Ok(4096));
    let attr: Attr = vio::read(&world.client.got.remove(0)).unwrap();
    assert_eq!((attr.tag.stype, attr.size.get()), (Stype::Ack.code(), 8));
    world.register();
}

#[test]
fn a_volume_that_never_opens_is_refused_in_the_end() {
    let mut world = World::unopened("/net/nas/export/never.img", false);
    let sid = world.client.sid;
    assert!(world.agreed(control(sid, V1_1).as_bytes()));
    world.say(Attr::ask(sid, XFER_DRING, 64).as_bytes());
    while world.client.got.is_empty() {
        world.opened(Err(Errno::Nxio));
        world.board.now = world.server.next_tick(world.board.now);
        world.serve(|server, host, memory| server.tick(host, memory));
        world.run();
    }
    assert_eq!(world.client.got[0][1], Stype::Nack.code());
    assert_eq!(world.memory.opened.len(), 52);
}

#[test]
fn a_new_session_waits_until_the_old_ones_requests_have_run_out() {
    let mut world = World::new(1 << 20);
    world.handshake();
    world.fill(0, Operation::Bwrite, 0, 512, 0);
    world.submit(0, 0);
    world.client.channel.reset(&mut world.board.ports(1));
    world.run();
    world.client.sid = 0x5eee;
    let sid = world.client.sid;
    assert!(world.agreed(control(sid, V1_1).as_bytes()));
    world.say(Attr::ask(sid, XFER_DRING, 64).as_bytes());
    assert!(world.client.got.is_empty());
    world.volume_does(0);
    assert_eq!(world.client.got.remove(0)[1], Stype::Ack.code());
    world.register();
    // Nothing was said of the old session's request.
    assert_eq!(world.status(0).0, DescriptorState::Accepted.code());
    assert_eq!(world.acks(), []);
}

#[test]
fn a_held_port_leaves_its_guest_alone_and_says_when_all_is_durable() {
    let mut world = World::new(1 << 20);
    world.handshake();
    world.fill(0, Operation::Bwrite, 0, 512, 0);
    world.fill(1, Operation::Bread, 0, 512, 1);
    world.submit(0, 0);
    world.serve(|server, _, memory| server.hold(memory, KEY));
    world.submit(1, 1);
    assert!(!world.server.is_quiet(KEY));
    let before = world.board.domains[1].memory.clone();
    world.volume_does(0);
    assert!(!world.server.is_quiet(KEY));
    world.volume_does(0);
    assert!(world.server.is_quiet(KEY));
    assert_eq!(world.memory.durable[..512], [0; 512]);
    assert!(world.board.domains[1].memory == before);
    // The move failed: the guest goes on where it was.
    world.serve(|server, host, memory| server.release(host, memory, KEY));
    world.run();
    assert_eq!(world.acks(), [(0, 0)]);
    world.volume_does(0);
    assert_eq!((world.acks(), world.status(1)), (vec![(1, 1)], (DONE, 0)));
}

#[test]
fn a_port_that_goes_has_its_volume_flushed_and_closed() {
    let mut world = World::new(1 << 20);
    world.handshake();
    world.serve(|server, host, memory| server.detach(host, memory, KEY));
    world.run();
    assert_eq!(world.client.downs, 1);
    assert_eq!(world.memory.waiting, [(1, Request::Flush)]);
    world.volume_does(0);
    assert_eq!(world.memory.closed, [VolumeId(1)]);
}

#[test]
fn violations_are_refused_and_the_next_session_is_sound() {
    let full: [(&str, Wrong); 5] = [
        ("unknown ring", |world| {
            let mut info = world.info(0, 0);
            info.ident = 999.into();
            info
        }),
        ("start outside the ring", |world| world.info(DESCRIPTORS, 0)),
        ("end outside the ring", |world| world.info(0, DESCRIPTORS as i32)),
        ("open end", |world| world.info(0, -1)),
        ("descriptor that is not ready", |world| world.info(9, 9)),
    ];
    for (what, make) in full {
        let mut world = World::new(1 << 20);
        world.handshake();
        let info = make(&mut world);
        world.say(info.as_bytes());
        assert_eq!(world.client.downs, 1, "{what}");
        world.client.got.clear();
        world.handshake();
        assert_eq!(world.at_once(Operation::GetCapacity, 16), (DONE, 0), "{what}");
    }
}

#[test]
fn a_wrong_number_or_session_ends_the_session_and_not_the_link() {
    let wrong: [Wrong; 2] = [
        |world| {
            world.client.seq += 1;
            world.info(0, 0)
        },
        |world| DringData::info(1, world.client.seq, world.client.ident, 0, 0),
    ];
    for make in wrong {
        let mut world = World::new(1 << 20);
        world.handshake();
        assert_eq!(world.at_once(Operation::GetCapacity, 16), (DONE, 0));
        world.fill(0, Operation::GetCapacity, 0, 16, 0);
        let info = make(&mut world);
        assert!(!world.agreed(info.as_bytes()));
        assert_eq!(world.client.downs, 0);
        world.client.sid += 1;
        world.handshake();
        assert_eq!(world.at_once(Operation::GetCapacity, 16), (DONE, 0));
    }
}

#[test]
fn a_ring_that_cannot_be_served_is_refused() {
    let reg = |num, size, bytes: u64, ncookies: u32| {
        let mut reg = DringReg::new(0x5eed, num, size, 0, CookieAddr::new(0, 0));
        reg.cookie.size = bytes.into();
        reg.ncookies = ncookies.into();
        reg
    };
    let bad = [
        reg(0, 80, 8192, 1),
        reg(16, 40, 8192, 1),
        reg(16, 81, 8192, 1),
        reg(u32::MAX, 80, u64::MAX, 1),
        reg(16, 80, 1279, 1),
        reg(16, 80, 8192, 2),
        reg(16, 80, 8192, 0),
    ];
    for reg in bad {
        let mut world = World::new(1 << 20);
        assert!(world.agreed(control(0x5eed, V1_1).as_bytes()));
        assert!(world.agreed(Attr::ask(0x5eed, XFER_DRING, 64).as_bytes()));
        assert!(!world.agreed(reg.as_bytes()), "{reg:?}");
    }
}

proptest! {
    #[test]
    fn no_message_and_no_descriptor_brings_the_server_down(
        messages in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..80), 1..6),
        descriptor in any::<[[u8; 32]; 3]>(),
        shaped in any::<bool>(),
    ) {
        let mut world = World::new(1 << 16);
        world.handshake();
        let at = world.client.ring.at(0);
        let mut bytes = descriptor.concat();
        if shaped {
            bytes[0] = DescriptorState::Ready.code();
            bytes[16] %= 0x12;
            bytes[40..43].copy_from_slice(&[0; 3]);
        }
        world.board.ports(1).write(at, &bytes);
        world.submit(0, 0);
        for mut message in messages {
            if shaped && message.len() >= 8 {
                let tag = Tag::new(Type::Ctrl, Stype::Info, Envelope::Attr, 0x5eed);
                message[..8].copy_from_slice(tag.as_bytes());
                message[3] = message[message.len() - 1] % 6;
            }
            if !message.is_empty() && world.client.channel.is_up() {
                world.say(&message);
            }
        }
        world.client.got.clear();
        if !world.client.channel.is_up() {
            world.client.channel.reset(&mut world.board.ports(1));
            world.run();
        }
        while !world.memory.waiting.is_empty() {
            world.volume_does(0);
        }
        world.client.got.clear();
        world.client.sid = 0xabcd;
        world.handshake();
        assert_eq!(world.at_once(Operation::GetCapacity, 16), (DONE, 0));
    }
}

impl World {
    fn claim(&mut self, epoch: u64) {
        self.serve(|server, host, memory| server.claim(host, memory, KEY, epoch));
    }

    fn claimed(&mut self, result: Result<(), Errno>) {
        let volume = VolumeId(self.memory.opened.len() as u32);
        self.serve(|server, host, memory| {
            server.complete(host, memory, Completion::Claimed { volume, result });
        });
    }
}

#[test]
fn a_volume_is_claimed_again_when_its_domain_comes_at_a_newer_epoch() {
    let mut world = World::unopened("/net/nas/export/a.img", false);
    assert_eq!(world.server.is_claimed(KEY), None, "it is not open yet");
    world.opened(Ok(1 << 20));
    assert_eq!(world.server.is_claimed(KEY), Some(Ok(())));
    world.claim(1);
    world.claim(2);
    assert_eq!(world.server.is_claimed(KEY), None, "under way");
    world.claim(3);
    world.claimed(Ok(()));
    assert_eq!(world.server.is_claimed(KEY), None, "the next one is");
    world.claimed(Ok(()));
    assert_eq!(world.server.is_claimed(KEY), Some(Ok(())));
    assert_eq!(world.memory.claims, [1, 2, 3]);
    // A port that is gone keeps nobody waiting, nor does a volume that is not there.
    assert_eq!(world.server.is_claimed(KEY + 1), Some(Ok(())));
    let mut world = World::unopened("/net/nas/export/a.img", false);
    world.opened(Err(Errno::Nxio));
    assert_eq!(world.server.is_claimed(KEY), Some(Ok(())));
    // One that is being opened is claimed once it is open; one that was refused is opened
    // again at once.
    let mut world = World::unopened("/net/nas/export/a.img", false);
    world.claim(2);
    world.opened(Ok(1 << 20));
    assert_eq!((world.server.is_claimed(KEY), &*world.memory.claims), (None, &[1, 2][..]));
    let mut world = World::unopened("/net/nas/export/a.img", false);
    world.opened(Err(Errno::Stale));
    let refusal =
        "vds-port 0: /net/nas/export/a.img: refused at epoch 1: its domain has a newer one";
    assert_eq!(world.server.is_claimed(KEY), Some(Err(refusal.to_owned())));
    world.claim(2);
    world.opened(Ok(1 << 20));
    assert_eq!(world.server.is_claimed(KEY), Some(Ok(())));
    assert_eq!(world.memory.claims, [1, 2]);
}

#[test]
fn a_client_of_an_older_epoch_gets_an_error_and_the_log_a_line() {
    let mut world = World::new(1 << 20);
    world.handshake();
    let lines = world.board.domains[0].lines.len();
    for (index, operation) in (0..).zip([Operation::Bwrite, Operation::Bread, Operation::Bwrite]) {
        world.fill(index, operation, 7, 512, 0);
        world.submit(index, index);
        let (token, _) = world.memory.waiting.remove(0);
        world.serve(|server, host, memory| {
            let result = Err(Errno::Stale);
            server.complete(host, memory, Completion::Done { token, result });
        });
        world.run();
        assert_eq!(world.status(index), (DONE, Errno::Io.code()));
        assert_eq!(world.acks(), [(index, index as i32)]);
    }
    let lines = &world.board.domains[0].lines[lines..];
    let refusal =
        "vds-port 0: /net/nas/export/a.img: refused at epoch 1: its domain has a newer one";
    assert_eq!(lines, [refusal]);
    world.claim(2);
    world.claimed(Ok(()));
    world.fill(4, Operation::Bwrite, 7, 512, 0);
    world.submit(4, 4);
    world.volume_does(0);
    assert_eq!(world.status(4), (DONE, 0));
}

#[test]
fn a_client_whose_domain_was_given_away_is_refused_here() {
    let mut world = World::new(1 << 20);
    world.handshake();
    world.server.shut(KEY, true);
    for index in 0..3 {
        world.fill(index, Operation::Bwrite, 7, 512, 0);
        world.submit(index, index);
        assert_eq!(world.status(index), (DONE, Errno::Io.code()));
    }
    assert!(world.memory.waiting.is_empty(), "the volume is asked");
    let lines = &world.board.domains[0].lines;
    assert_eq!(
        lines.last().map(String::as_str),
        Some("vds-port 0: refused: its domain was given away")
    );
    assert_eq!(lines.iter().filter(|line| line.contains("given away")).count(), 1);
    world.server.shut(KEY, false);
    world.fill(4, Operation::Bwrite, 7, 512, 0);
    world.submit(4, 4);
    assert_eq!(world.memory.waiting.len(), 1);
}
