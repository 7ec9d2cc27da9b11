//! How fast a virtual disk is: requests of a scripted client through rings, channels, the
//! disk server and a local disk, in bytes of the disk a second of host time.
//!
//! Two native programs on a board of their own: the server's domain has the disk in
//! memory or in a file; the client keeps sixteen requests under way, as Linux does one a
//! message, and does nothing with the data.

use criterion::{Criterion, Throughput};
use hv::Hypervisor;
use ldm::channel::{Channel, ChannelConf, Copier, LinkEvent};
use ldm::cost::Cost;
use ldm::memory::{Arena, Block};
use ldm::service::host::Host;
use ldm::service::vds::{DiskConf, DiskServer};
use ldm::service::volume::Owner;
use ldm::service::volumes::Volumes;
use sim::chassis::board::Board;
use sim::chassis::disks::{Drive, Drives, FileStore, MemoryStore, Store};
use sim::chassis::native::NativeHost;
use sim::chassis::pool::Pool;
use sim::chassis::slice::DomainSlice;
use sim::lab::nas::Disks;
use sim::mem::Ram;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use sun4v::addr::{Pa, Ra, RealRange};
use sun4v::hcall::nr;
use sun4v::hvmd::{GuestConf, HvConfig, LdcConf, LdcTarget, MblockConf, Privileges, VcpuConf};
use sun4v::id::{GuestId, LdcId, StrandId, VcpuId};
use sun4v::ldc::map::{MapEntry, MapPerms};
use sun4v::ldc::{Cookie, CookieAddr, Mte, Stype, Version};
use sun4v::native::{Event, Ports, Program};
use sun4v::time::SimTime;
use sun4v::vio::dring::XFER_DRING;
use sun4v::vio::vdisk::{Attr, Descriptor, NO_SLICE, Operation};
use sun4v::vio::{
    self, DescriptorState, DeviceClass, DringData, DringReg, Envelope, Rdx, Tag, Ver,
};
use zerocopy::IntoBytes;

/// Real memory of each domain.
const BASE: u64 = 0x800_0000;
const BYTES: u64 = 32 << 20;
const PAGE: u64 = 8192;
/// Requests under way, and bytes of each.
const SLOTS: u64 = 16;
const REQUEST: u64 = 128 << 10;
const DISK: u64 = 64 << 20;
const DESC_SIZE: u32 = 336;
const SLICE: SimTime = SimTime::us(10);

const SERVER: GuestId = GuestId(0);
const CLIENT: GuestId = GuestId(1);
const CONF: ChannelConf = ChannelConf { id: LdcId(0), tx_ino: 0, rx_ino: 1 };

/// What every program begins with: API groups, and a queue for mondos.
fn set_up(ports: &mut dyn Ports) -> Arena {
    for group in [0x001, 0x002, 0x101] {
        ports.core_call(0, [group, 1, 0, 0, 0]).expect("the group");
    }
    let (ra, bytes) = ports.memory();
    let mut arena = Arena::new(ra, bytes);
    let queue = arena.alloc(128 * 64).expect("memory");
    ports.hcall(nr::cpu_qconf, [0x3d, queue.ra.0, 128, 0, 0]).expect("a queue");
    arena
}

/// The server's domain.
#[derive(Default)]
struct ServerProgram {
    kit: Option<(Arena, Copier)>,
    server: DiskServer,
    volumes: Option<Volumes>,
}

impl Program for ServerProgram {
    fn event(&mut self, event: Event, ports: &mut dyn Ports) {
        if event == Event::Start {
            let mut arena = set_up(ports);
            let copier = Copier::new(&mut arena).expect("memory");
            self.kit = Some((arena, copier));
            self.volumes = Some(Volumes::new(BTreeMap::new(), "bench"));
        }
        let (Some((arena, copier)), Some(volumes)) = (&mut self.kit, &mut self.volumes) else {
            return;
        };
        let cost = Cost::default();
        let mut host = Host { ports, arena, copier, cost: &cost };
        match event {
            Event::Start => {
                let conf = DiskConf {
                    name: "bench".to_owned(),
                    path: "/dev/dsk/c0t0d0s2".to_owned(),
                    read_only: false,
                    slice: false,
                    exclusive: false,
                    channel: CONF,
                    owner: Owner::default(),
                };
                self.server.attach(&mut host, volumes, 1, conf).expect("a port");
            }
            Event::Mondo([cookie, ..]) => self.server.mondo(&mut host, volumes, cookie),
            Event::DiskDone { token, result } => volumes.disk_done(token, result),
            _ => {}
        }
        loop {
            volumes.poll(host.ports, None);
            let completions = volumes.take_completions();
            if completions.is_empty() {
                break;
            }
            for completion in completions {
                self.server.complete(&mut host, volumes, completion);
            }
        }
    }
}

/// The client's domain.
struct ClientProgram {
    operation: Operation,
    done: Arc<AtomicU64>,
    own: Option<Own>,
}

struct Own {
    channel: Channel,
    ring: Block,
    ident: u64,
    seq: u64,
    at: u64,
}

impl ClientProgram {
    fn begin(&mut self, ports: &mut dyn Ports) {
        let mut arena = set_up(ports);
        let pages = 1 + SLOTS * REQUEST / PAGE;
        let table = arena.alloc(512 * 16).expect("memory");
        let ring = arena.alloc(PAGE).expect("memory");
        let buffers = arena.alloc(SLOTS * REQUEST).expect("memory");
        for n in 0..pages {
            let page = if n == 0 { ring.ra } else { buffers.at((n - 1) * PAGE) };
            let mte = Mte::page(page, MapPerms::CR | MapPerms::CW);
            let entry = MapEntry { mte: mte.0.into(), revoke: 0.into() };
            ports.write(table.at(16 * n), entry.as_bytes());
        }
        ports.hcall(nr::ldc_set_map_table, [0, table.ra.0, 512, 0, 0]).expect("a table");
        let channel = Channel::connect(ports, &mut arena, CONF, 1).expect("a channel");
        self.own = Some(Own { channel, ring, ident: 0, seq: 0, at: 0 });
    }

    /// Asks for the next stretch of the disk, in this slot.
    fn ask(&mut self, ports: &mut dyn Ports, slot: u64) {
        let Some(own) = &mut self.own else { return };
        let descriptor = Descriptor {
            state: DescriptorState::Ready.code(),
            ack: 1,
            header_resv: [0; 6],
            req_id: slot.into(),
            operation: self.operation.code(),
            slice: NO_SLICE,
            resv: 0.into(),
            status: 0.into(),
            addr: (own.at / 512).into(),
            nbytes: REQUEST.into(),
            ncookies: 1.into(),
            resv2: 0.into(),
        };
        own.at = (own.at + REQUEST) % DISK;
        let place = own.ring.at(slot * u64::from(DESC_SIZE));
        let first = 1 + slot * REQUEST / PAGE;
        ports.write(place, descriptor.as_bytes());
        ports.write(place.offset(48), Cookie::new(CookieAddr::new(first, 0), REQUEST).as_bytes());
        let info = DringData::info(7, own.seq, own.ident, slot as u32, slot as i32);
        own.seq += 1;
        own.channel.send(ports, info.as_bytes());
    }

    fn message(&mut self, ports: &mut dyn Ports, bytes: &[u8]) {
        let tag: Tag = vio::read(bytes).expect("a tag");
        let (_, stype, envelope) = tag.parts().expect("a known message");
        assert_eq!(stype, Stype::Ack);
        let Some(own) = &mut self.own else { return };
        match envelope {
            Envelope::Ver => {
                own.channel.send(ports, Attr::ask(7, XFER_DRING, 256).as_bytes());
            }
            Envelope::Attr => {
                let at = CookieAddr::new(0, 0);
                let reg = DringReg::new(7, SLOTS as u32, DESC_SIZE, 1, at);
                own.channel.send(ports, reg.as_bytes());
            }
            Envelope::DringReg => {
                own.ident = vio::read::<DringReg>(bytes).expect("a ring").ident.get();
                own.channel.send(ports, Rdx::new(Stype::Info, 7).as_bytes());
            }
            Envelope::Rdx => (0..SLOTS).for_each(|slot| self.ask(ports, slot)),
            _ => {
                let ack: DringData = vio::read(bytes).expect("an acknowledgement");
                let slot = u64::from(ack.start.get());
                let mut head = [0; 24];
                ports.read(own.ring.at(slot * u64::from(DESC_SIZE)), &mut head);
                assert_eq!((head[0], &head[20..]), (4, [0; 4].as_slice()));
                self.done.fetch_add(1, Ordering::Relaxed);
                self.ask(ports, slot);
            }
        }
    }
}

impl Program for ClientProgram {
    fn event(&mut self, event: Event, ports: &mut dyn Ports) {
        match event {
            Event::Start => self.begin(ports),
            Event::Mondo(_) => {
                let events = self.own.as_mut().map(|own| own.channel.service(ports));
                for event in events.into_iter().flatten() {
                    match event {
                        LinkEvent::Up => {
                            let version = Version { major: 1, minor: 2 };
                            let ver = Ver::new(Stype::Info, 7, version, DeviceClass::Disk);
                            if let Some(own) = &mut self.own {
                                own.channel.send(ports, ver.as_bytes());
                            }
                        }
                        LinkEvent::Message(bytes) => self.message(ports, &bytes),
                        LinkEvent::Down => panic!("the session has ended"),
                    }
                }
            }
            _ => {}
        }
    }
}

struct World {
    hv: Hypervisor,
    board: Board,
    hosts: [NativeHost; 2],
    pool: Pool<DomainSlice>,
    done: Arc<AtomicU64>,
    now: SimTime,
}

impl World {
    fn new(store: Box<dyn Store>, operation: Operation, threads: usize) -> Self {
        let mut config = HvConfig::default();
        let mut board = Board::new(Arc::new(Ram::new(0x20_0000 + 2 * BYTES).expect("memory")));
        for guest in [SERVER, CLIENT] {
            config.guests.push(GuestConf {
                id: guest,
                name: format!("guest{}", guest.0),
                md_pa: Pa(0x1000),
                rom_pa: Pa(0),
                rom_bytes: 0,
                tod_offset: 0,
                privileges: Privileges::default(),
            });
            for n in 0..8 {
                let strand = StrandId(guest.0 * 8 + n);
                config.vcpus.push(VcpuConf { strand, guest, vid: VcpuId(n) });
            }
            let pa = Pa(0x20_0000 + u64::from(guest.0) * BYTES);
            config
                .mblocks
                .push(MblockConf { guest, range: RealRange { ra: Ra(BASE), pa, size: BYTES } });
            config.ldc_endpoints.push(LdcConf {
                guest,
                channel: LdcId(0),
                target: LdcTarget::Guest { guest: GuestId(1 - guest.0), channel: LdcId(0) },
                tx_ino: 0,
                rx_ino: 1,
                private_console: false,
                leads: false,
            });
            board.declare_native(guest);
        }
        let mut hv = Hypervisor::new();
        hv.apply(config, &mut board);
        for guest in [SERVER, CLIENT] {
            hv.boot(guest, Ra(BASE), &mut board).expect("it starts");
        }
        let done = Arc::new(AtomicU64::new(0));
        let client = ClientProgram { operation, done: Arc::clone(&done), own: None };
        let mut server = NativeHost::new(SERVER, "bench", Box::new(ServerProgram::default()));
        let mut drives = Drives::default();
        drives.add(Drive::new("c0t0d0", "bench", store, false, Disks::default()));
        server.set_drives(drives);
        let mut hosts = [server, NativeHost::new(CLIENT, "bench", Box::new(client))];
        hosts.iter_mut().for_each(|host| host.put(Event::Start));
        let pool = Pool::new(threads);
        let mut world = Self { hv, board, hosts, pool, done, now: SimTime::ZERO };
        world.requests(SLOTS);
        world
    }

    /// Lets so many more requests end.
    fn requests(&mut self, count: u64) {
        let target = self.done.load(Ordering::Relaxed) + count;
        while self.done.load(Ordering::Relaxed) < target {
            self.now = self.now.plus(SLICE);
            assert!(self.now < SimTime::secs(3600), "nothing moves");
            self.board.set_now(self.now);
            self.hv.boundary(&mut self.board);
            for host in &mut self.hosts {
                host.run(&mut self.hv, &mut self.board, &self.pool);
                drop(host.take_facts());
            }
        }
    }
}

fn bench(c: &mut Criterion) {
    let mut group = c.benchmark_group("virtual disk");
    group.throughput(Throughput::Bytes(64 * REQUEST)).sample_size(20);
    let path = std::env::temp_dir().join(format!("ldomlab-bench-{}", std::process::id()));
    std::fs::write(&path, vec![1; DISK as usize]).expect("a file");
    for threads in [1, 2] {
        for operation in [Operation::Bread, Operation::Bwrite] {
            let mut world =
                World::new(Box::new(MemoryStore::new(vec![1; DISK as usize])), operation, threads);
            group.bench_function(format!("{operation:?}, memory, {threads}"), |b| {
                b.iter(|| world.requests(64));
            });
            drop(world);
            let store = FileStore::open(&path, false).expect("the file");
            let mut world = World::new(Box::new(store), operation, threads);
            group.bench_function(format!("{operation:?}, file, {threads}"), |b| {
                b.iter(|| world.requests(64));
            });
        }
    }
    group.finish();
    std::fs::remove_file(&path).expect("it was there");
}

/// All of them.
fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    bench(&mut criterion);
    criterion.final_summary();
}
