//! A guest: everything that its own calls may see and change inside a slice.
//!
//! A `Guest` goes with its strands to whichever host thread runs them. What
//! crosses to another domain is noted here and done at the slice boundary
//! ([`crate::Hypervisor::boundary`]).

use crate::api::Api;
use crate::console::Console;
use crate::crypto::{CryptoQueue, MauWork};
use crate::figures::Figures;
use crate::intr::Interrupt;
use crate::ldc::{Copy, Endpoint};
use crate::mmu::PermanentMap;
use crate::niu::NetworkUnit;
use crate::pci::PciBus;
use crate::platform::{Cpus, Queue};
use crate::trace::Trace;
use crate::trap::{Answer, Failure};
use crate::vcpu::Vcpu;
use crate::watchdog::Watchdog;
use std::collections::{BTreeMap, BTreeSet};
use sun4v::addr::{Pa, Ra, RealMap};
use sun4v::hcall::HvError;
use sun4v::hvmd::{GuestConf, LdcTarget};
use sun4v::id::{GuestId, LdcId, VcpuId};
use sun4v::time::SimTime;

/// States of a guest, numbered as hvctl reports them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum GuestState {
    /// Not started.
    #[default]
    Stopped = 0,
    /// Starts at the next boundary.
    Resetting = 1,
    /// Runs.
    Normal = 2,
    /// Held: none of its virtual CPUs executes.
    Suspended = 3,
    /// Ends at the next boundary.
    Exiting = 4,
}

impl GuestState {
    /// The state with this number.
    #[must_use]
    pub const fn from_number(number: u8) -> Option<Self> {
        match number {
            0 => Some(Self::Stopped),
            1 => Some(Self::Resetting),
            2 => Some(Self::Normal),
            3 => Some(Self::Suspended),
            4 => Some(Self::Exiting),
            _ => None,
        }
    }
}

/// What a guest says about itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SoftState {
    /// 1 normal, 2 transition.
    pub state: u8,
    /// A description, ended by a zero byte.
    pub text: [u8; 32],
}

impl Default for SoftState {
    fn default() -> Self {
        Self { state: 2, text: [0; 32] }
    }
}

/// Work of a guest's virtual CPU that the boundary does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pending {
    /// `ldc_copy`, checked as far as the caller's own state goes.
    LdcCopy {
        /// The caller's endpoint.
        channel: LdcId,
        /// What to copy.
        wanted: Copy,
    },
    /// `ncs_request`: a new tail, and the caller waits until the unit has come to it.
    NcsTail {
        /// The unit's handle.
        unit: u64,
        /// In bytes.
        tail: u64,
    },
    /// `mach_exit`.
    Exit {
        /// The guest's code.
        code: u64,
    },
    /// `mach_sir`: the guest starts again.
    Reset,
    /// A call about the chassis's random number generator.
    Rng(crate::rng::Request),
    /// A performance register of a DRAM controller.
    Dram {
        /// Its number, 1 to 8.
        register: u64,
        /// What to write; `None` reads.
        value: Option<u64>,
    },
}

/// The smallest place for a dump.
pub const DUMP_BYTES_MIN: u64 = 8192;

/// Where a guest would have its dump; nothing is written there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DumpBuffer {
    /// Where it is.
    pub ra: Ra,
    /// How long it is.
    pub bytes: u64,
}

/// A piece of pending work and who waits for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deferred {
    /// When it was asked for.
    pub at: SimTime,
    /// By whom.
    pub vcpu: VcpuId,
    /// In which order.
    pub sequence: u64,
    /// What.
    pub work: Pending,
}

/// A guest.
#[derive(Debug, Default)]
pub struct Guest {
    /// Its number.
    pub id: GuestId,
    /// Its configuration.
    pub conf: Option<GuestConf>,
    /// Its state.
    pub state: GuestState,
    /// Its real memory.
    pub map: RealMap,
    /// Its virtual CPUs.
    pub vcpus: BTreeMap<VcpuId, Vcpu>,
    /// The API groups it has negotiated.
    pub api: Api,
    /// Mappings that outlive demaps.
    pub permanent: PermanentMap,
    /// Its LDC endpoints.
    pub endpoints: BTreeMap<LdcId, Endpoint>,
    /// Its console.
    pub console: Option<Console>,
    /// Interrupts under cfg handle 0x100, by number: console and crypto units.
    pub interrupts: BTreeMap<u16, Interrupt>,
    /// Queues on crypto units, by handle.
    pub crypto: BTreeMap<u64, CryptoQueue>,
    /// The PCI Express bus, when it is this guest's.
    pub pci: Option<Box<PciBus>>,
    /// The network unit, when it is this guest's.
    pub network: Option<Box<NetworkUnit>>,
    /// What it says about itself.
    pub soft_state: SoftState,
    /// The manager has not been told of `state`.
    pub state_news: bool,
    /// The manager has not been told of `soft_state`.
    pub soft_news: bool,
    /// The manager has not been told of `tod_offset`.
    pub tod_news: bool,
    /// It has set its clock since the last boundary.
    pub tod_set: bool,
    /// Its watchdog.
    pub watchdog: Watchdog,
    /// Its trap trace buffers are frozen.
    pub trace_frozen: bool,
    /// Where it would have its dump.
    pub dump: Option<DumpBuffer>,
    /// When it was suspended, and the machine's time of day then.
    pub suspended: Option<(SimTime, u64)>,
    /// Its `%tick` and `%stick` are the machine's plus this: a migration sets it.
    pub stick_offset: i64,
    /// Stores to its memory are logged.
    pub logging: bool,
    /// The share of time in which its virtual CPUs are held, in percent.
    pub held: u8,
    /// Bytes from its machine description to the end of the hypervisor's memory.
    pub md_room: u64,
    /// How long it has run, and how busy its virtual CPUs were.
    pub figures: Figures,
    /// Seconds added to the machine's time of day.
    pub tod_offset: i64,
    /// The machine's time of day at some boundary, and that boundary, if the machine has a
    /// clock: see [`Guest::set_tod`].
    pub tod: Option<(u64, SimTime)>,
    /// Work for the boundary.
    pub deferred: Vec<Deferred>,
    /// Endpoints that the boundary must look at.
    pub stirred: BTreeSet<LdcId>,
    /// Its console has something for the boundary.
    pub console_stirred: bool,
    /// What it has written waits until it goes on: its state was given away, or came from
    /// elsewhere, and only one of the two may write it.
    pub console_held: bool,
    /// Control words for crypto units: core and words.
    pub crypto_words: Vec<(sun4v::id::CoreId, Vec<crate::platform::ControlWord>)>,
    /// Operations for modular arithmetic units.
    pub mau_work: Vec<MauWork>,
    /// Lines of the hypercall trace since the last boundary.
    pub trace: Trace,
    /// Counts deferred work.
    pub sequence: u64,
    /// Deferred work up to this number was asked for before the guest stopped.
    pub forgotten: u64,
}

impl Guest {
    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.conf.as_ref().map_or("", |conf| conf.name.as_str())
    }

    /// The physical address of a buffer that the guest names.
    pub fn resolve(&self, ra: Ra, bytes: u64) -> Result<Pa, HvError> {
        self.map.resolve(ra, bytes).ok_or(HvError::NoRaddr)
    }

    /// The virtual CPU that `raw` names.
    pub fn vcpu_id(&self, raw: u64) -> Result<VcpuId, HvError> {
        let id = u8::try_from(raw).map(VcpuId).map_err(|_| HvError::NoCpu)?;
        if self.vcpus.contains_key(&id) { Ok(id) } else { Err(HvError::NoCpu) }
    }

    /// Notes work for the boundary.
    pub fn defer(&mut self, at: SimTime, vcpu: VcpuId, work: Pending) {
        self.sequence += 1;
        self.deferred.push(Deferred { at, vcpu, sequence: self.sequence, work });
    }

    /// Puts 64 bytes into a queue of `vcpu` and wakes it; false when the queue is
    /// full or absent.
    pub fn enqueue(&self, cpus: &mut dyn Cpus, vcpu: VcpuId, queue: Queue, entry: &[u8]) -> bool {
        let Some(place) = self.vcpus.get(&vcpu).and_then(|v| v.queue(queue)) else { return false };
        let mask = place.bytes() - 1;
        let (head, tail) = cpus.queue(vcpu, queue);
        let (head, tail) = (head & mask & !63, tail & mask & !63);
        let next = (tail + 64) & mask;
        if next == head {
            return false;
        }
        cpus.memory().write(place.pa.offset(tail), entry);
        cpus.set_queue(vcpu, queue, head, next);
        cpus.wake(vcpu);
        true
    }

    /// Sends a device mondo whose word 0 is `word`, to a vCPU that may not exist.
    pub fn device_mondo(&self, cpus: &mut dyn Cpus, vcpu: VcpuId, word: u64) {
        let mut entry = [0; 64];
        entry[..8].copy_from_slice(&word.to_be_bytes());
        // A full queue is a guest that sized it too small: the mondo is lost.
        self.enqueue(cpus, vcpu, Queue::DevMondo, &entry);
    }

    /// Moves mondos from mailboxes to queues that have room again.
    pub fn drain_mailboxes(&mut self, cpus: &mut dyn Cpus) {
        let waiting: Vec<_> = self
            .vcpus
            .iter()
            .filter_map(|(&id, vcpu)| vcpu.mailbox.map(|entry| (id, entry)))
            .collect();
        for (id, entry) in waiting {
            if self.enqueue(cpus, id, Queue::CpuMondo, &entry)
                && let Some(vcpu) = self.vcpus.get_mut(&id)
            {
                vcpu.mailbox = None;
            }
        }
    }

    /// The machine's time of day is `seconds` at `now`. What was noted before stays when
    /// it says the same: it knows better when that second began.
    pub fn set_tod(&mut self, seconds: Option<u64>, now: SimTime) {
        let says =
            |(noted, at): (u64, SimTime)| noted.wrapping_add(now.since(at).0 / SimTime::secs(1).0);
        if self.tod.map(says) != seconds {
            self.tod = seconds.map(|seconds| (seconds, now));
        }
    }

    /// Seconds since 1970, UTC, as the guest sees them; `None` on a machine without a clock.
    #[must_use]
    pub fn time_of_day(&self, now: SimTime) -> Option<u64> {
        let (seconds, at) = self.tod?;
        let whole = |time: SimTime| time.0 / SimTime::secs(1).0;
        let since = whole(now).saturating_sub(whole(at));
        Some((seconds + since).wrapping_add_signed(self.tod_offset))
    }

    /// Does it hold the hypervisor's own channel?
    #[must_use]
    pub fn is_control(&self) -> bool {
        self.endpoints.values().any(|end| end.conf.target == LdcTarget::Hypervisor)
    }
}

/// A call being served: who calls, and on what machine.
pub struct Call<'a> {
    /// The guest.
    pub guest: &'a mut Guest,
    /// Its virtual CPU.
    pub vcpu: VcpuId,
    /// Its strands.
    pub cpus: &'a mut dyn Cpus,
}

/// What a call function gives.
pub type CallResult = Result<Answer, Failure>;

impl Call<'_> {
    /// The calling virtual CPU. It exists: it calls.
    pub fn me(&mut self) -> &mut Vcpu {
        self.guest.vcpus.entry(self.vcpu).or_default()
    }
}
