//! How fast domains talk: packets from queue to queue over boundaries, and `ldc_copy`.
//!
//! Two domains on a chassis's own board and memory, whose virtual CPUs never begin: the
//! calls are made for them, so what is shown is the hypervisor's share of host time.

use criterion::{Criterion, Throughput};
use hv::platform::Machine as _;
use hv::{Hypervisor, Outcome, Trap};
use sim::chassis::board::Board;
use sim::mem::Ram;
use std::hint::black_box;
use std::sync::Arc;
use sun4v::addr::{Pa, Ra, RealRange};
use sun4v::hcall::{Group, nr};
use sun4v::hvmd::{GuestConf, HvConfig, LdcConf, LdcTarget, MblockConf, Privileges, VcpuConf};
use sun4v::id::{GuestId, LdcId, StrandId, VcpuId};
use sun4v::ldc::map::MapPerms;
use sun4v::ldc::{COPY_IN, COPY_OUT, Mte, PACKET_BYTES};

/// Real memory of each domain, and where its queues and its lent pages begin.
const BASE: u64 = 0x800_0000;
const BYTES: u64 = 16 << 20;
const TX: u64 = BASE + 0x1_0000;
const RX: u64 = BASE + 0x2_0000;
const TABLE: u64 = BASE + 0x3_0000;
const LENT: u64 = BASE + 0x10_0000;
const PLACE: u64 = BASE + 0x80_0000;
/// Packets of a queue; one less are sent at a time, so that all cross at one boundary.
const ENTRIES: u64 = 128;
/// Pages that are lent.
const PAGES: u64 = 256;
const PAGE: u64 = 8192;

const SENDER: GuestId = GuestId(0);
const RECEIVER: GuestId = GuestId(1);

/// Where a domain's memory lies.
const fn pa(guest: GuestId, ra: u64) -> Pa {
    Pa(0x20_0000 + guest.0 as u64 * BYTES + (ra - BASE))
}

struct World {
    hv: Hypervisor,
    board: Board,
}

impl World {
    fn new() -> Self {
        let mut config = HvConfig::default();
        for guest in [SENDER, RECEIVER] {
            let other = GuestId(1 - guest.0);
            config.guests.push(GuestConf {
                id: guest,
                name: format!("guest{}", guest.0),
                md_pa: Pa(0x1000),
                rom_pa: Pa(0),
                rom_bytes: 0,
                tod_offset: 0,
                privileges: Privileges::default(),
            });
            let strand = StrandId(guest.0 * 8);
            config.vcpus.push(VcpuConf { strand, guest, vid: VcpuId(0) });
            let range = RealRange { ra: Ra(BASE), pa: pa(guest, BASE), size: BYTES };
            config.mblocks.push(MblockConf { guest, range });
            config.ldc_endpoints.push(LdcConf {
                guest,
                channel: LdcId(0),
                target: LdcTarget::Guest { guest: other, channel: LdcId(0) },
                tx_ino: 0,
                rx_ino: 1,
                private_console: false,
                leads: false,
            });
        }
        let ram = Ram::new(0x20_0000 + 2 * BYTES).expect("memory");
        let mut world = Self { hv: Hypervisor::new(), board: Board::new(Arc::new(ram)) };
        world.hv.apply(config, &mut world.board);
        for guest in [SENDER, RECEIVER] {
            world.hv.boot(guest, Ra(BASE), &mut world.board).expect("it starts");
            if let Some(mut guest) = world.hv.take(guest) {
                for group in [Group::Core, Group::Intr, Group::Ldc] {
                    guest.api.set(group as u64, 1, 1).expect("the firmware has it");
                }
                world.hv.put(guest);
            }
            world.call(guest, nr::ldc_tx_qconf, [0, TX, ENTRIES, 0, 0]);
            world.call(guest, nr::ldc_rx_qconf, [0, RX, ENTRIES, 0, 0]);
            world.call(guest, nr::cpu_qconf, [0x3d, BASE + 0x4_0000, 128, 0, 0]);
            world.call(guest, nr::vintr_settarget, [0x200, 1, 0, 0, 0]);
            world.call(guest, nr::vintr_setvalid, [0x200, 1, 1, 0, 0]);
            world.call(guest, nr::ldc_set_map_table, [0, TABLE, PAGES, 0, 0]);
            for index in 0..PAGES {
                let entry = Mte::page(Ra(LENT + index * PAGE), MapPerms::CR | MapPerms::CW);
                world.board.ram().store(pa(guest, TABLE + index * 16), entry.0);
            }
        }
        world.hv.boundary(&mut world.board);
        world
    }

    /// A call of a domain inside a slice: `%o1` to `%o3`, or `None` where it waits for the
    /// boundary.
    fn call(&mut self, guest: GuestId, nr: u64, [a, b, c, d, e]: [u64; 5]) -> Option<[u64; 3]> {
        let mut taken = self.hv.take(guest).expect("the guest is here");
        let trap = Trap::Hypercall { number: 0x80, args: [a, b, c, d, e, nr] };
        let outcome = taken.htrap(VcpuId(0), trap, self.board.cpus(guest));
        self.hv.put(taken);
        match outcome {
            Outcome::Done(answer) => {
                assert_eq!(answer.status, 0, "{nr:#x}");
                Some([answer.rets[0], answer.rets[1], answer.rets[2]])
            }
            Outcome::Blocked => None,
            other => panic!("{nr:#x}: {other:?}"),
        }
    }

    /// Fills `packets` packets of the sender's queue, lets them cross, and takes them; and
    /// the interrupt.
    fn packets(&mut self, packets: u64) {
        let offset = |at: u64| (at % ENTRIES) * PACKET_BYTES as u64;
        let state = self.call(SENDER, nr::ldc_tx_get_state, [0; 5]).expect("an answer");
        let tail = state[1] / PACKET_BYTES as u64;
        for at in 0..packets {
            self.board.ram().write(pa(SENDER, TX + offset(tail + at)), &[at as u8; PACKET_BYTES]);
        }
        self.call(SENDER, nr::ldc_tx_set_qtail, [0, offset(tail + packets), 0, 0, 0]);
        self.hv.boundary(&mut self.board);
        while self.hv.next_mondo(RECEIVER, &mut self.board).is_some() {}
        let state = self.call(RECEIVER, nr::ldc_rx_get_state, [0; 5]).expect("an answer");
        let [head, tail, up] = state;
        let bytes = tail.wrapping_sub(head) & (ENTRIES * PACKET_BYTES as u64 - 1);
        assert_eq!((bytes, up), (packets * PACKET_BYTES as u64, 1));
        let mut packet = [0; PACKET_BYTES];
        for at in 0..packets {
            let place = RX + offset(head / PACKET_BYTES as u64 + at);
            self.board.ram().read(pa(RECEIVER, place), &mut packet);
            assert_eq!(black_box(packet)[63], at as u8);
        }
        self.call(RECEIVER, nr::ldc_rx_set_qhead, [0, tail, 0, 0, 0]);
        self.call(RECEIVER, nr::vintr_setstate, [0x200, 1, 0, 0, 0]);
    }

    /// Copies the page that entry `index` lends, as a domain does: the call waits for the
    /// boundary.
    fn copy_at_boundary(&mut self, direction: u64, index: u64) {
        let args = [0, direction, index * PAGE, PLACE + index * PAGE, PAGE];
        assert_eq!(self.call(RECEIVER, nr::ldc_copy, args), None);
        self.hv.boundary(&mut self.board);
    }

    /// The same as a native program does: at once.
    fn copy_at_once(&mut self, direction: u64, index: u64) {
        let args = [0, direction, index * PAGE, PLACE + index * PAGE, PAGE];
        let copied =
            self.hv.native_call(RECEIVER, VcpuId(0), 0x80, nr::ldc_copy, args, &mut self.board);
        assert_eq!(copied.map(|rets| rets[0]), Ok(PAGE));
    }
}

fn bench(c: &mut Criterion) {
    let mut world = World::new();
    let mut group = c.benchmark_group("packets a boundary");
    for packets in [1, ENTRIES - 1] {
        group.throughput(Throughput::Elements(packets));
        group.bench_function(packets.to_string(), |b| b.iter(|| world.packets(packets)));
    }
    group.finish();
    let mut group = c.benchmark_group("copy of a page");
    group.throughput(Throughput::Bytes(PAGE));
    for (name, direction) in [("in", COPY_IN), ("out", COPY_OUT)] {
        let mut index = 0;
        let mut next = || {
            index = (index + 1) % PAGES;
            index
        };
        group.bench_function(format!("{name}, a domain's"), |b| {
            b.iter(|| world.copy_at_boundary(direction, next()));
        });
        group.bench_function(format!("{name}, a native program's"), |b| {
            b.iter(|| world.copy_at_once(direction, next()));
        });
    }
    group.finish();
}

/// All of them.
fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    bench(&mut criterion);
    criterion.final_summary();
}
