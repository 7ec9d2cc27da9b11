//! Saving and loading a guest: everything of it that must survive.
//!
//! **Shape.** The record [`GuestV1`], then one [`StrandV1`] a virtual CPU. Saving takes
//! everything apart by name, so that a new field cannot be forgotten.
//!
//! **Errors.** Loading makes a whole new state first and looks at every rule while it
//! does; a record that breaks one, or that is of another shape than the guest (other
//! virtual CPUs, channels, devices), is refused and the guest stays as it was.
//!
//! **Clocks.** Both chassis live in the lab's time. `%stick` goes on counting through
//! the pause: what the guest reads after it is what it read before plus the length of
//! the pause. A record from a lab whose time is ahead goes on without the pause. A
//! compare value that was reached in the pause is noted in SOFTINT, as the compare
//! would have done. The time of day goes on likewise, corrected when the two machines'
//! clocks differ. Neither ever goes backwards.
//!
//! **Channels.** Queues, tables and interrupts stay; peers do not. See
//! `hvctl/migrate.rs` for what the guest sees when it goes on.

mod chassis;
mod record;
mod rule;

pub use chassis::Unsaved;
pub use record::{
    ClockV1, ConsoleV1, CryptoV1, EndpointV1, FiguresV1, GuestV1, HeldV1, HypervisorV1,
    InterruptV1, NetworkV1, PacketQueueV1, PciV1, PermanentV1, RngV1, TrapTraceV1, VcpuV1,
};

use crate::console::{Console, Input};
use crate::crypto::{CryptoQueue, queue_type};
use crate::guest::{DumpBuffer, Guest, SoftState};
use crate::intr::Interrupt;
use crate::ldc::{Endpoint, PacketQueue};
use crate::mmu::Permanent;
use crate::niu::{NetworkUnit, Page, PageId};
use crate::pci::{PciBus, Route};
use crate::platform::Cpus;
use crate::ttrace::TrapBuffer;
use crate::vcpu::{Vcpu, VcpuState};
use crate::watchdog::Watchdog;
use rule::Shape;
use std::collections::BTreeMap;
use sun4v::id::VcpuId;
use sun4v::record::{LoadError, Schema, StrandV1, decode, encode};
use sun4v::time::{SimTime, T2_HZ};

/// INT_DIS of a compare register.
const INT_DIS: u64 = 1 << 63;
/// SOFTINT bits of the two compares.
const SOFTINT_TICK: u32 = 1;
const SOFTINT_STICK: u32 = 1 << 16;

/// A rule that a record breaks.
fn broken(why: &'static str) -> LoadError {
    LoadError::Inconsistent { kind: GuestV1::KIND, why }
}

/// Refuses unless `sound`.
fn check(sound: bool, why: &'static str) -> Result<(), LoadError> {
    if sound { Ok(()) } else { Err(broken(why)) }
}

impl Guest {
    /// The records of a suspended guest.
    pub(crate) fn save(&self, cpus: &dyn Cpus) -> Vec<u8> {
        let mut bytes = Vec::new();
        encode(&self.record(), &mut bytes);
        for &id in self.vcpus.keys() {
            encode(&cpus.save(id), &mut bytes);
        }
        bytes
    }

    /// Its own record, without those of its strands: what would be saved of it now. Clocks
    /// stand where it was suspended, at zero if it was not.
    #[must_use]
    pub fn record(&self) -> GuestV1 {
        let Self {
            // The chassis's: the new one has its own.
            id: _,
            conf: _,
            map: _,
            md_room: _,
            figures: _,
            logging: _,
            held: _,
            trace: _,
            tod: _,
            // Suspended, or it would not be saved; nothing is left for the boundary.
            state: _,
            deferred: _,
            crypto_words: _,
            mau_work: _,
            stirred: _,
            console_stirred: _,
            console_held: _,
            state_news: _,
            soft_news: _,
            tod_news: _,
            tod_set: _,
            forgotten: _,
            vcpus,
            api,
            permanent,
            endpoints,
            console,
            interrupts,
            crypto,
            pci,
            network,
            soft_state: SoftState { state: soft_state, text: soft_text },
            tod_offset,
            watchdog,
            trace_frozen,
            dump,
            suspended,
            stick_offset,
            sequence,
        } = self;
        let (at, tod) = suspended.unwrap_or_default();
        let stick = at.ticks(T2_HZ).wrapping_add_signed(*stick_offset);
        GuestV1 {
            clock: ClockV1 { at: at.0, stick, tod, tod_offset: *tod_offset },
            api: api.save(),
            soft_state: *soft_state,
            soft_text: *soft_text,
            vcpus: vcpus.iter().map(|(&id, vcpu)| save_vcpu(id, vcpu)).collect(),
            permanent: permanent.slots.iter().map(save_permanent).collect(),
            interrupts: save_intrs(interrupts),
            endpoints: endpoints
                .values()
                .filter(|end| !end.conf.private_console)
                .map(save_endpoint)
                .collect(),
            console: console.as_ref().map(save_console),
            crypto: crypto.values().filter(|unit| unit.entries != 0).map(save_crypto).collect(),
            sequence: *sequence,
            // Nobody but the control domain has a watchdog that runs, and it does not move.
            watchdog: watchdog.left(at, false),
            trace_frozen: *trace_frozen,
            dump: dump.map(|DumpBuffer { ra, bytes }| (ra, bytes)),
            pci: pci.as_deref().map(save_pci),
            network: network.as_deref().map(save_network),
        }
    }

    /// Loads records into a stopped guest, whose clocks read `now` and `tod`. Its state
    /// stays stopped; the virtual CPUs wait for it to change.
    pub(crate) fn load(
        &mut self,
        mut bytes: &[u8],
        (now, tod): (SimTime, u64),
        cpus: &mut dyn Cpus,
    ) -> Result<(), LoadError> {
        let record: GuestV1 = decode(&mut bytes)?;
        let mut strands = Vec::new();
        for _ in &record.vcpus {
            strands.push(decode::<StrandV1>(&mut bytes)?);
        }
        check(bytes.is_empty(), "bytes follow the records")?;
        let clocks = Clocks::of(record.clock, now, tod);
        let mut new = Shape(self).state(record, &strands)?;
        cpus.set_stick_offset(clocks.stick_offset);
        let ids: Vec<VcpuId> = new.vcpus.keys().copied().collect();
        for (at, (&id, strand)) in ids.iter().zip(&strands).enumerate() {
            if let Err(error) = cpus.load(id, strand) {
                ids[..at].iter().for_each(|&id| cpus.stop(id));
                cpus.set_stick_offset(self.stick_offset);
                return Err(error);
            }
        }
        for (class, nonzero) in [(0, false), (1, true)] {
            for (&id, vcpu) in &new.vcpus {
                cpus.set_tsbs(id, nonzero, &vcpu.tsbs[class]);
            }
        }
        let Loaded { api, soft_state, vcpus, permanent, sequence, .. } = &mut new;
        self.api = std::mem::take(api);
        self.soft_state = *soft_state;
        self.vcpus = std::mem::take(vcpus);
        self.permanent.slots = std::mem::take(permanent);
        self.sequence = *sequence;
        self.forgotten = *sequence;
        self.watchdog = Watchdog::new(new.watchdog, now);
        self.trace_frozen = new.trace_frozen;
        self.dump = new.dump;
        self.note_trap_traces();
        self.interrupts = new.interrupts;
        self.endpoints.extend(new.endpoints);
        self.crypto.extend(new.crypto);
        self.pci = new.pci.map(Box::new);
        self.network = new.network.map(Box::new);
        self.console_stirred = new.console.is_some();
        self.console = new.console;
        self.stick_offset = clocks.stick_offset;
        self.tod_offset = clocks.tod_offset;
        self.suspended = Some((clocks.at, clocks.tod));
        Ok(())
    }
}

impl Guest {
    /// Lets the strands go on at `now` after a pause that began at `at`. A strand's own
    /// clock stands where it executed last; put back, it goes on from now and does not
    /// execute the pause.
    pub(crate) fn go_on(&self, at: SimTime, now: SimTime, cpus: &mut dyn Cpus) {
        let stick = |time: SimTime| time.ticks(T2_HZ).wrapping_add_signed(self.stick_offset);
        for (&id, vcpu) in &self.vcpus {
            if vcpu.state != VcpuState::Running {
                continue;
            }
            let mut strand = cpus.save(id);
            note_compares(&mut strand, stick(at), stick(now));
            // What was saved a moment ago is sound; a native domain has no strands.
            let _ = cpus.load(id, &strand);
        }
    }
}

/// What a record becomes.
#[derive(Debug)]
struct Loaded {
    api: crate::api::Api,
    soft_state: SoftState,
    vcpus: BTreeMap<VcpuId, Vcpu>,
    permanent: Vec<Permanent>,
    interrupts: BTreeMap<u16, Interrupt>,
    endpoints: BTreeMap<sun4v::id::LdcId, Endpoint>,
    console: Option<Console>,
    crypto: BTreeMap<u64, CryptoQueue>,
    sequence: u64,
    watchdog: u64,
    trace_frozen: bool,
    dump: Option<DumpBuffer>,
    pci: Option<PciBus>,
    network: Option<NetworkUnit>,
}

/// How the clocks of a guest go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Clocks {
    /// When it was suspended, in this lab's time, and this machine's time of day then.
    at: SimTime,
    tod: u64,
    stick_offset: i64,
    tod_offset: i64,
}

impl Clocks {
    fn of(clock: ClockV1, now: SimTime, tod: u64) -> Self {
        let at = SimTime(clock.at).min(now);
        let stick_offset = clock.stick.wrapping_sub(at.ticks(T2_HZ)).cast_signed();
        // Whole seconds of the pause; the true ones may be one more.
        let elapsed = now.since(at).0 / SimTime::secs(1).0;
        let expected = clock.tod.saturating_add(elapsed);
        let same_clock = tod.checked_sub(expected).is_some_and(|ahead| ahead <= 1);
        let (tod_then, tod_offset) = if same_clock {
            (clock.tod, clock.tod_offset)
        } else {
            let behind = expected.wrapping_sub(tod).cast_signed();
            (tod.saturating_sub(elapsed), clock.tod_offset.wrapping_add(behind))
        };
        Self { at, tod: tod_then, stick_offset, tod_offset }
    }
}

/// Notes in SOFTINT the compare values that `%stick` reached after `from`, up to `to`.
fn note_compares(strand: &mut StrandV1, from: u64, to: u64) {
    let reached = |compare: u64| {
        let window = compare & !0x7f;
        compare & INT_DIS == 0 && window > from && window <= to
    };
    if reached(strand.stick_cmpr) {
        strand.softint |= SOFTINT_STICK;
    }
    if reached(strand.tick_cmpr) {
        strand.softint |= SOFTINT_TICK;
    }
}

fn save_vcpu(id: VcpuId, vcpu: &Vcpu) -> VcpuV1 {
    // The TSBs are in the strand's record; the strand and the figures are the chassis's.
    let Vcpu {
        strand: _,
        tsbs: _,
        figures: _,
        state,
        rtba,
        fault_area,
        queues,
        mailbox,
        trap_trace,
    } = vcpu;
    VcpuV1 {
        id: id.0,
        state: *state as u8,
        rtba: *rtba,
        fault_area: fault_area.map(|(ra, _)| ra),
        queues: queues.map(|queue| queue.map(|queue| (queue.ra, queue.entries))),
        mailbox: mailbox.map(|entry| {
            std::array::from_fn(|word| {
                let bytes = &entry[word * 8..word * 8 + 8];
                bytes.iter().fold(0, |word, &byte| word << 8 | u64::from(byte))
            })
        }),
        trap_trace: trap_trace.map(|TrapBuffer { ra, pa: _, entries, next, on }| TrapTraceV1 {
            ra,
            entries,
            next,
            on,
        }),
    }
}

fn save_permanent(slot: &Permanent) -> PermanentV1 {
    let Permanent { va, tte, pa: _, instruction, data } = slot;
    PermanentV1 {
        va: *va,
        tte: tte.0,
        instruction: instruction.iter().map(|vcpu| vcpu.0).collect(),
        data: data.iter().map(|vcpu| vcpu.0).collect(),
    }
}

fn save_intr(intr: &Interrupt) -> InterruptV1 {
    let Interrupt { cookie, valid, state, target } = *intr;
    InterruptV1 { cookie, valid, state: state as u8, target: target.map(|vcpu| vcpu.0) }
}

fn save_intrs(all: &BTreeMap<u16, Interrupt>) -> Vec<(u16, InterruptV1)> {
    all.iter().map(|(&ino, intr)| (ino, save_intr(intr))).collect()
}

fn save_queue(queue: &PacketQueue) -> PacketQueueV1 {
    let PacketQueue { ra, pa: _, entries, head, tail } = *queue;
    PacketQueueV1 { ra, entries, head, tail }
}

fn save_endpoint(end: &Endpoint) -> EndpointV1 {
    let Endpoint { conf, tx, rx, table, tx_intr, rx_intr, peer: _, rx_reset: _, rx_changed: _ } =
        end;
    EndpointV1 {
        channel: conf.channel.0,
        inos: (conf.tx_ino, conf.rx_ino),
        tx: save_queue(tx),
        rx: save_queue(rx),
        table: table.map(|table| (table.ra, table.entries)),
        tx_intr: save_intr(tx_intr),
        rx_intr: save_intr(rx_intr),
    }
}

fn save_console(console: &Console) -> ConsoleV1 {
    let Console { conf, output, input, connected: _, blocked, full: _ } = console;
    let number = |input: &Input| match *input {
        Input::Char(byte) => u16::from(byte),
        Input::Break => 0x100,
        Input::HangUp => 0x101,
    };
    ConsoleV1 {
        ino: conf.ino,
        output: output.iter().cloned().collect(),
        input: input.iter().map(number).collect(),
        blocked: *blocked,
    }
}

fn save_crypto(unit: &CryptoQueue) -> CryptoV1 {
    // Idle, so nobody waits and nothing is given; and its numbers stay behind.
    let CryptoQueue { kind, core, ino, ra, pa: _, entries, head, tail: _, marker, vcpu, .. } =
        *unit;
    let kind = queue_type(kind) as u8;
    CryptoV1 { kind, core: core.0, ino, ra, entries, head, marker, vcpu: vcpu.0 }
}

fn save_pci(bus: &PciBus) -> PciV1 {
    let PciBus { conf, pages, queues, msis, messages, perf, interrupts } = bus;
    let routes = |all: &BTreeMap<u8, Route>| {
        all.iter().map(|(&number, route)| (number, route.valid, route.queue)).collect()
    };
    PciV1 {
        handle: conf.handle,
        pages: pages.iter().map(|(&place, page)| (place, page.ra, page.attributes)).collect(),
        queues: queues
            .iter()
            .map(|(&number, queue)| (number, queue.base, queue.state as u8, queue.head))
            .collect(),
        msis: routes(msis),
        messages: routes(messages),
        perf: *perf,
        interrupts: save_intrs(interrupts),
    }
}

fn save_network(unit: &NetworkUnit) -> NetworkV1 {
    let NetworkUnit { conf, pages, interrupts } = unit;
    let page =
        |(id, page): (&PageId, &Page)| ((id.transmit, id.channel, id.page), page.ra, page.bytes);
    NetworkV1 {
        handle: conf.handle,
        pages: pages.iter().map(page).collect(),
        interrupts: save_intrs(interrupts),
    }
}
