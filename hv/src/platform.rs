//! Everything the hypervisor asks of the machine under it.
//!
//! Two views, because a domain's own calls are served while other domains run on
//! other host threads:
//!
//! - [`Cpus`]: the strands of *one* guest, and memory. A guest's call inside a
//!   slice sees this and the guest's own state, nothing else.
//! - [`Machine`]: the whole chassis, at a slice boundary, when nothing runs.
//!
//! Memory ([`Memory`]) takes `&self`: a chassis's memory is one mapping that
//! domains share by partition, and a `Pa` comes from `RealMap::resolve` of the
//! guest that is served, so two threads never touch the same byte.

use sun4v::addr::{Pa, RealMap};
use sun4v::hvmd::CryptoKind;
use sun4v::id::{CoreId, GuestId, StrandId, VcpuId};
use sun4v::mmu::{Tsb, Tte};
use sun4v::record::{LoadError, StrandV1};
use sun4v::time::SimTime;

/// Physical memory of a chassis. All addresses were resolved before; one outside
/// the machine is a mistake of ours and panics.
pub trait Memory {
    /// The first address behind it; I/O space begins at bit 39.
    fn end(&self) -> Pa {
        Pa(1 << 39)
    }
    /// Copies bytes out.
    fn read(&self, pa: Pa, bytes: &mut [u8]);
    /// Copies bytes in, and marks their pages dirty where a log is on.
    fn write(&self, pa: Pa, bytes: &[u8]);
    /// Zeroes a stretch, likewise; whole pages may be given back to the host.
    fn zero(&self, pa: Pa, bytes: u64);
    /// Copies between two stretches that do not overlap.
    fn copy(&self, from: Pa, to: Pa, bytes: u64) {
        let mut page = [0; 8192];
        let mut done = 0;
        while done < bytes {
            let n = (bytes - done).min(8192) as usize;
            self.read(from.offset(done), &mut page[..n]);
            self.write(to.offset(done), &page[..n]);
            done += n as u64;
        }
    }
    /// Reads a big-endian doubleword.
    fn read_u64(&self, pa: Pa) -> u64 {
        let mut word = [0; 8];
        self.read(pa, &mut word);
        u64::from_be_bytes(word)
    }
    /// Writes a big-endian doubleword.
    fn write_u64(&self, pa: Pa, word: u64) {
        self.write(pa, &word.to_be_bytes());
    }
    /// Starts logging stores to `[pa, pa + bytes)`, 8 KiB aligned: all clean.
    fn log_start(&self, pa: Pa, bytes: u64);
    /// Ends it and forgets.
    fn log_stop(&self, pa: Pa, bytes: u64);
    /// Is the page that holds `pa` dirty? False where no log is on.
    fn log_is_dirty(&self, pa: Pa) -> bool;
    /// Marks the page that holds `pa` clean. Only at a slice boundary.
    fn log_clean(&self, pa: Pa);
    /// Marks it dirty again.
    fn log_dirty(&self, pa: Pa);
}

/// Which of the two TLBs; both may be meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tlbs {
    /// The data TLB.
    pub data: bool,
    /// The instruction TLB.
    pub instruction: bool,
}

/// What a vCPU executes; what a suspend disturbs more is more.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mode {
    /// Nothing: it is parked, or does not run.
    #[default]
    Waits,
    /// A program: PSTATE.PRIV is off.
    User,
    /// The supervisor.
    Supervisor,
    /// The supervisor, where interrupts wait: PSTATE.IE is off, or PIL is not zero.
    Masked,
}

/// How a strand begins to run a guest (hypervisor API, initial state): MMU off,
/// TL = GL = 2, PSTATE.PRIV, PIL 15, everything else zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StartState {
    /// Program counter, a real address.
    pub pc: u64,
    /// For `%o0`.
    pub argument: u64,
    /// For `%i0`: real address of the guest's first byte of memory.
    pub memory_base: u64,
    /// For `%i1`: bytes of the range that begins there.
    pub memory_bytes: u64,
}

/// The four interrupt queues of a vCPU, by number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Queue {
    /// CPU mondo, 0x3c.
    CpuMondo = 0,
    /// Device mondo, 0x3d.
    DevMondo = 1,
    /// Resumable error, 0x3e.
    Resumable = 2,
    /// Non-resumable error, 0x3f.
    NonResumable = 3,
}

/// The strands of one guest.
pub trait Cpus {
    /// Simulated time of the vCPU that calls, or of the boundary.
    fn now(&self) -> SimTime;
    /// The chassis's memory.
    fn memory(&self) -> &dyn Memory;
    /// Lets `vcpu` begin; it runs from the next turn on.
    fn start(&mut self, vcpu: VcpuId, state: StartState);
    /// Stops it; its translations go.
    fn stop(&mut self, vcpu: VcpuId);
    /// Parks it until [`Cpus::wake`] or an interrupt of its own (`cpu_yield`).
    fn park(&mut self, vcpu: VcpuId);
    /// Ends a park; harmless otherwise.
    fn wake(&mut self, vcpu: VcpuId);
    /// Delivers a trap that the hypervisor reflects: as t2 reference 2.4.
    fn reflect(&mut self, vcpu: VcpuId, tt: u16);
    /// Guest watchdog: MMU off, TL = GL = 2, at `pc` (RTBA + 0x40).
    fn watchdog(&mut self, vcpu: VcpuId, pc: u64);
    /// Turns the MMU on or off and goes on at `pc`.
    fn mmu_enable(&mut self, vcpu: VcpuId, on: bool, pc: u64);
    /// Is it on?
    fn mmu_is_on(&self, vcpu: VcpuId) -> bool;
    /// The answer to a call that waited for the boundary: `%o0` and `%o1..`; the
    /// vCPU goes on after its trap instruction.
    fn answer(&mut self, vcpu: VcpuId, status: u64, rets: &[u64]);
    /// TL and GL of the vCPU at its trap.
    fn levels(&self, vcpu: VcpuId) -> (u8, u8);
    /// Loads a translation whose page lies at `pa`.
    fn tlb_insert(&mut self, vcpu: VcpuId, tlbs: Tlbs, va: u64, context: u16, tte: Tte, pa: Pa);
    /// Removes the translations of `va` in `context` from the vCPU's core.
    fn demap_page(&mut self, vcpu: VcpuId, tlbs: Tlbs, va: u64, context: u16);
    /// Removes all translations of `context`.
    fn demap_context(&mut self, vcpu: VcpuId, tlbs: Tlbs, context: u16);
    /// Removes all translations of the guest.
    fn demap_all(&mut self, vcpu: VcpuId, tlbs: Tlbs);
    /// Sets the TSBs of the hardware walk: for context 0, or for the others.
    fn set_tsbs(&mut self, vcpu: VcpuId, nonzero_contexts: bool, tsbs: &[Tsb]);
    /// Head and tail registers of a queue, in bytes.
    fn queue(&self, vcpu: VcpuId, queue: Queue) -> (u64, u64);
    /// Sets both.
    fn set_queue(&mut self, vcpu: VcpuId, queue: Queue, head: u64, tail: u64);
    /// From now on no vCPU executes for this share of each interval
    /// ([`sun4v::hvctl::migrate::HOLD_INTERVAL_US`]), in percent. Clocks go on; what became
    /// due meanwhile is due behind it.
    fn hold(&mut self, percent: u8);
    /// The vCPU executes nothing before `until`. Its clock goes on; what became due
    /// meanwhile is due then.
    fn delay(&mut self, vcpu: VcpuId, until: SimTime);
    /// What it executes.
    fn mode(&self, vcpu: VcpuId) -> Mode;
    /// Time that the vCPU was not parked, for utilisation.
    fn busy(&self, vcpu: VcpuId) -> SimTime;
    /// The vCPU's architectural state.
    fn save(&self, vcpu: VcpuId) -> StrandV1;
    /// Puts it back; checks every field. `state.stick_cmpr` counts the guest's
    /// own `%stick`, whose offset is given by [`Cpus::set_stick_offset`].
    fn load(&mut self, vcpu: VcpuId, state: &StrandV1) -> Result<(), LoadError>;
    /// The guest's `%tick` and `%stick` are the machine's plus `ticks`.
    fn set_stick_offset(&mut self, ticks: i64);
    /// The guest's `%stick` now.
    fn stick(&self) -> u64;
    /// The performance control register of a strand.
    fn pcr(&self, vcpu: VcpuId) -> u64;
    /// Sets it, the hypervisor's own bit too; what T2 lacks is left out.
    fn set_pcr(&mut self, vcpu: VcpuId, value: u64);
}

/// A control word whose addresses were resolved, for a core's crypto unit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ControlWord {
    /// Word 0 as the guest wrote it: lengths, algorithms, marks.
    pub control: u64,
    /// Source.
    pub source: Pa,
    /// HMAC key.
    pub auth_key: Pa,
    /// Initial value of the hash.
    pub auth_iv: Pa,
    /// Where the hash goes.
    pub auth_state: Pa,
    /// Cipher key.
    pub key: Pa,
    /// Initial value of the cipher.
    pub iv: Pa,
    /// Destination.
    pub destination: Pa,
}

/// A descriptor whose address was resolved, for a core's modular arithmetic unit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MauOperation {
    /// Length and operation, as the guest wrote them.
    pub control: u64,
    /// Where a load reads and a store writes.
    pub memory: Pa,
    /// Offsets in the unit's memory.
    pub offsets: u64,
    /// N′.
    pub n_prime: u64,
    /// Its address leads nowhere: it fails when its turn comes.
    pub void: bool,
    /// It is the last of its job.
    pub last: bool,
}

/// How an operation of a modular arithmetic unit ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MauEnd {
    /// It was done.
    Done,
    /// The unit does not do this.
    InvalidOperation,
    /// The unit failed.
    HardwareError,
    /// It was void.
    Void,
    /// One before it in its job failed.
    Skipped,
}

/// What the hypervisor tells the service processor.
///
/// **Source.** The OpenSPARC hypervisor's `svc_vbsc.h`, guest state and time of day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SpMessage {
    /// The last guest has ended: power may go off.
    PowerOff,
    /// The control domain has not set its watchdog again in time.
    WatchdogExpired,
    /// The control domain has set its clock: seconds ahead of the machine's.
    TodOffset(i64),
}

impl SpMessage {
    /// The command word on the wire.
    #[must_use]
    pub const fn command(self) -> u64 {
        let (class, code) = match self {
            Self::PowerOff => (b'P', 0),
            Self::WatchdogExpired => (b'P', 4),
            Self::TodOffset(_) => (b'O', 0),
        };
        0x80 << 56 | (class as u64) << 8 | code
    }
}

/// The whole chassis, at a slice boundary.
pub trait Machine {
    /// Simulated time of the boundary.
    fn now(&self) -> SimTime;
    /// Seconds since 1970, UTC, of the service processor's clock; `None` if it has none.
    fn time_of_day(&self) -> Option<u64>;
    /// Physical memory.
    fn memory(&self) -> &dyn Memory;
    /// The strands of a guest.
    fn cpus(&mut self, guest: GuestId) -> &mut dyn Cpus;
    /// Gives a guest its strands (by vCPU number) and its memory, anew. Strands
    /// that stay keep their state.
    fn assign(&mut self, guest: GuestId, strands: &[(VcpuId, StrandId)], memory: &RealMap);
    /// Takes everything of a guest away.
    fn unassign(&mut self, guest: GuestId);
    /// A guest was started; for a native program, its `Event::Start`.
    fn guest_started(&mut self, guest: GuestId);
    /// A guest ended with this code (`mach_exit`).
    fn guest_exited(&mut self, guest: GuestId, code: u64);
    /// Gives control words to a core's CWQ, behind those it has. When the unit
    /// has done each, the machine calls `Hypervisor::cwq_done`.
    fn cwq_submit(&mut self, core: CoreId, words: &[ControlWord]);
    /// Gives operations to a core's MAU, behind those it has. When the unit has done each,
    /// the machine calls `Hypervisor::mau_done`; with one that fails it tells what is left
    /// of its job.
    fn mau_submit(&mut self, core: CoreId, operations: &[MauOperation]);
    /// A unit forgets what it was given and not yet done, and the numbers it keeps.
    fn crypto_stop(&mut self, kind: CryptoKind, core: CoreId);
    /// A message for the service processor, whose policy decides what follows.
    fn sp_message(&mut self, message: SpMessage);
    /// 64 bits of noise from the random number generator's cells.
    fn entropy(&mut self) -> u64;
    /// A character for the service processor's console of `guest`.
    fn sp_console(&mut self, guest: GuestId, byte: u8);
    /// One line of the hypercall trace.
    fn trace(&mut self, line: &str);
}
