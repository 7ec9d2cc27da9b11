//! The record of a guest: what is saved of it, as plain values.
//!
//! Addresses are the guest's own; where they lie is the chassis's business.

use serde::{Deserialize, Serialize};
use sun4v::addr::{Pa, Ra};
use sun4v::record::Schema;

/// A guest, version 1. On the wire the strand records of its virtual CPUs follow, in
/// their order.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GuestV1 {
    /// Its clocks.
    pub clock: ClockV1,
    /// API groups it has negotiated: group, major, minor.
    pub api: Vec<(u16, u16, u16)>,
    /// What it says about itself: 1 normal, 2 transition.
    pub soft_state: u8,
    /// And a text.
    pub soft_text: [u8; 32],
    /// Its virtual CPUs, in ascending order.
    pub vcpus: Vec<VcpuV1>,
    /// Mappings that outlive demaps.
    pub permanent: Vec<PermanentV1>,
    /// Interrupts under cfg handle 0x100, by number.
    pub interrupts: Vec<(u16, InterruptV1)>,
    /// Its channels, without the private ones.
    pub endpoints: Vec<EndpointV1>,
    /// Its console.
    pub console: Option<ConsoleV1>,
    /// Its queues on crypto units; none has work outstanding.
    pub crypto: Vec<CryptoV1>,
    /// How often it has asked for something across domains.
    pub sequence: u64,
    /// Beats that its watchdog was set to.
    pub watchdog: u64,
    /// Its trap trace buffers are frozen.
    pub trace_frozen: bool,
    /// Where it would have its dump: address and bytes.
    pub dump: Option<(Ra, u64)>,
    /// The PCI Express bus, when it is this guest's.
    pub pci: Option<PciV1>,
    /// The network unit, when it is this guest's.
    pub network: Option<NetworkV1>,
}

impl Schema for GuestV1 {
    const KIND: &'static str = "hv/guest";
    const VERSION: u32 = 1;
}

/// The clocks of a guest at the moment at which it was suspended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClockV1 {
    /// That moment, in picoseconds of the lab's time.
    pub at: u64,
    /// What `%stick` counted for the guest.
    pub stick: u64,
    /// The machine's time of day.
    pub tod: u64,
    /// Seconds that the guest adds to it.
    pub tod_offset: i64,
}

/// A virtual CPU, but for its registers and TSBs, which are in its strand's record.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct VcpuV1 {
    /// Its number.
    pub id: u8,
    /// 1 stopped, 2 running, 3 in error.
    pub state: u8,
    /// Real-mode trap base address.
    pub rtba: u64,
    /// Its fault area.
    pub fault_area: Option<Ra>,
    /// Its four queues: address and entries.
    pub queues: [Option<(Ra, u64)>; 4],
    /// A mondo that found the queue full.
    pub mailbox: Option<[u64; 8]>,
    /// Its trap trace buffer.
    pub trap_trace: Option<TrapTraceV1>,
}

/// A trap trace buffer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrapTraceV1 {
    /// Where it is.
    pub ra: Ra,
    /// Slots, the header among them.
    pub entries: u64,
    /// Offset of the next record.
    pub next: u64,
    /// Traps are recorded.
    pub on: bool,
}

/// A permanent mapping.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PermanentV1 {
    /// Virtual address of the page.
    pub va: u64,
    /// Data word of its translation.
    pub tte: u64,
    /// Who registered it for fetches, ascending.
    pub instruction: Vec<u8>,
    /// Who registered it for data, ascending.
    pub data: Vec<u8>,
}

/// An interrupt source.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct InterruptV1 {
    /// Word 0 of its mondo.
    pub cookie: u64,
    /// Valid or enabled.
    pub valid: bool,
    /// 0 idle, 1 received, 2 delivered.
    pub state: u8,
    /// Its virtual CPU.
    pub target: Option<u8>,
}

/// A packet queue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PacketQueueV1 {
    /// Where it is.
    pub ra: Ra,
    /// Entries; zero when it has no memory.
    pub entries: u64,
    /// In bytes.
    pub head: u64,
    /// In bytes.
    pub tail: u64,
}

/// A channel's endpoint. What it knew of its peer is not kept: it gets another.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndpointV1 {
    /// Its number.
    pub channel: u16,
    /// Interrupt numbers, by which the guest knows it.
    pub inos: (u16, u16),
    /// Packets to the peer.
    pub tx: PacketQueueV1,
    /// Packets from the peer.
    pub rx: PacketQueueV1,
    /// Lent memory: table and entries.
    pub table: Option<(Ra, u64)>,
    /// The transmit interrupt.
    pub tx_intr: InterruptV1,
    /// The receive interrupt.
    pub rx_intr: InterruptV1,
}

/// A console: characters under way.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConsoleV1 {
    /// Its interrupt number.
    pub ino: u16,
    /// For the other end, in pieces of a packet.
    pub output: Vec<Vec<u8>>,
    /// For the guest: characters, 0x100 a break, 0x101 a hang-up.
    pub input: Vec<u16>,
    /// The guest was refused and wants to know.
    pub blocked: bool,
}

/// A queue on a crypto unit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CryptoV1 {
    /// 1 descriptors of modular arithmetic, 2 control words.
    pub kind: u8,
    /// The core, which the guest knows by its handle.
    pub core: u8,
    /// Its interrupt number.
    pub ino: u16,
    /// Where it is.
    pub ra: Ra,
    /// Entries.
    pub entries: u64,
    /// In bytes; the tail is there too.
    pub head: u64,
    /// Consumed up to here, in bytes.
    pub marker: u64,
    /// Whose interrupts it raises.
    pub vcpu: u8,
}

/// The PCI Express bus. Of queues, MSIs and messages, those that a reset would change.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PciV1 {
    /// Its cfg handle.
    pub handle: u16,
    /// Mapped pages: place in the table, real address, attributes.
    pub pages: Vec<(u32, Ra, u8)>,
    /// Event queues: number, memory, state (0 idle, 1 active, 2 error), head in bytes.
    pub queues: Vec<(u8, Option<Ra>, u8, u64)>,
    /// MSIs: number, valid, queue.
    pub msis: Vec<(u8, bool, u8)>,
    /// Messages: code, valid, queue.
    pub messages: Vec<(u8, bool, u8)>,
    /// Performance registers.
    pub perf: [u64; 12],
    /// Interrupts, by number.
    pub interrupts: Vec<(u16, InterruptV1)>,
}

/// The network unit.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NetworkV1 {
    /// Its cfg handle.
    pub handle: u16,
    /// Logical pages: transmit, channel, page; real address, bytes.
    pub pages: Vec<((bool, u8, u8), Ra, u64)>,
    /// Interrupts, by number.
    pub interrupts: Vec<(u16, InterruptV1)>,
}

/// The hypervisor of a chassis, version 1.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HypervisorV1 {
    /// Where the MD in force lies.
    pub md: Pa,
    /// A reconfiguration that waits: for the exit of which guest, and where its MD lies.
    pub delayed: Option<(u8, Pa)>,
    /// The random number generator.
    pub rng: RngV1,
    /// Control and count of each DRAM controller.
    pub dram: [u64; 8],
    /// All guests, in ascending order.
    pub guests: Vec<HeldV1>,
}

impl Schema for HypervisorV1 {
    const KIND: &'static str = "hv/hypervisor";
    const VERSION: u32 = 1;
}

/// The random number generator of a chassis, without its noise.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RngV1 {
    /// As the API numbers it.
    pub state: u64,
    /// The guest whose it is.
    pub owner: Option<u8>,
    /// Control words.
    pub control: [u64; 4],
    /// The tick from which on it is ready.
    pub ready: u64,
    /// What a read gives without noise.
    pub quiet: u64,
}

/// A guest where it is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldV1 {
    /// Its number.
    pub id: u8,
    /// Its state, as hvctl numbers it.
    pub state: u8,
    /// How long it has run and how busy it was.
    pub figures: FiguresV1,
    /// The same of its virtual CPUs, in ascending order.
    pub vcpus: Vec<(u8, FiguresV1)>,
    /// Its records ([`GuestV1`] and those of its strands); none of the control domain,
    /// whose software begins again.
    pub record: Option<Vec<u8>>,
}

/// Marks from which figures count: time and busy time, in picoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FiguresV1 {
    /// When it began.
    pub begun: (u64, u64),
    /// When it was read last.
    pub read: (u64, u64),
}
