//! The hypervisor of one chassis: all its guests, seen at a slice boundary.

use crate::figures::Figures;
use crate::guest::{Deferred, Guest, GuestState, Pending, SoftState};
use crate::hvctl::{HvMemory, Service};
use crate::intr::Interrupt;
use crate::niu::NetworkUnit;
use crate::pci::PciBus;
use crate::perf::DramCounters;
use crate::platform::{Cpus, Machine, Queue, SpMessage, StartState};
use crate::rng::Rng;
use crate::trap::{Answer, Failure, Outcome, Trap};
use crate::vcpu::VcpuState;
use crate::watchdog::Watchdog;
use std::collections::BTreeMap;
use sun4v::addr::{Pa, Ra};
use sun4v::hcall::HvError;
use sun4v::hvmd::HvConfig;
use sun4v::id::{GuestId, LdcId, VcpuId};
use sun4v::native::Rets;
use sun4v::time::SimTime;
use thiserror::Error;

/// Offset of the power-on vector in a boot image.
const POWER_ON_VECTOR: u64 = 0x20;

/// Why a guest could not be started.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum StartError {
    /// No such guest.
    #[error("guest {0} does not exist")]
    Missing(GuestId),
    /// It runs already, or is ending.
    #[error("guest {0} is not stopped")]
    Active(GuestId),
    /// It has no virtual CPU.
    #[error("guest {0} has no virtual CPU")]
    NoCpus(GuestId),
    /// Its boot image does not fit into the block at the start of its memory.
    #[error("guest {0}: the boot image does not fit into its memory")]
    Memory(GuestId),
}

/// The hypervisor of one chassis.
#[derive(Default)]
pub struct Hypervisor {
    pub(crate) config: HvConfig,
    /// Its own memory, once it was powered on with some.
    pub(crate) memory: Option<HvMemory>,
    /// The MD in force.
    pub(crate) md: Pa,
    /// The endpoint whose other end is the hypervisor: its guest is the control domain.
    pub(crate) control: Option<(GuestId, LdcId)>,
    pub(crate) service: Service,
    /// `None` only while a guest is away with its strands.
    pub(crate) guests: BTreeMap<GuestId, Option<Box<Guest>>>,
    pub(crate) traced: bool,
    /// The chassis's random number generator.
    pub(crate) rng: Rng,
    /// Performance registers of the chassis's DRAM controllers.
    pub(crate) dram: DramCounters,
    /// Guests are held to be saved, or were loaded: what each is in truth.
    pub(crate) held: Option<BTreeMap<GuestId, GuestState>>,
}

impl Hypervisor {
    /// A hypervisor without any guest.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The configuration in force.
    #[must_use]
    pub const fn config(&self) -> &HvConfig {
        &self.config
    }

    /// Its own memory; empty when it has none.
    #[must_use]
    pub fn memory(&self) -> HvMemory {
        self.memory.unwrap_or_default()
    }

    /// The guest that holds the hypervisor's own channel.
    #[must_use]
    pub fn control_domain(&self) -> Option<GuestId> {
        self.control.map(|(guest, _)| guest)
    }

    /// May the virtual CPUs of this guest execute? Whoever gives slices asks first.
    #[must_use]
    pub fn runs(&self, id: GuestId) -> bool {
        self.guest(id).is_some_and(|guest| guest.state == GuestState::Normal)
    }

    /// Turns the hypercall trace on or off, for all guests.
    pub fn set_trace(&mut self, on: bool) {
        self.traced = on;
        self.guests.values_mut().flatten().for_each(|guest| guest.trace.set_text(on));
    }

    /// A guest that is not away.
    #[must_use]
    pub fn guest(&self, id: GuestId) -> Option<&Guest> {
        self.guests.get(&id)?.as_deref()
    }

    /// A guest that is not away.
    pub(crate) fn guest_mut(&mut self, id: GuestId) -> Option<&mut Guest> {
        self.guests.get_mut(&id)?.as_deref_mut()
    }

    /// Takes a guest out, for a slice.
    pub fn take(&mut self, id: GuestId) -> Option<Box<Guest>> {
        self.guests.get_mut(&id)?.take()
    }

    /// Puts it back.
    pub fn put(&mut self, guest: Box<Guest>) {
        self.guests.insert(guest.id, Some(guest));
    }

    /// Starts a stopped guest from its boot image, as at power-on: its memory is zeroed, the
    /// image copied to its start, and its first virtual CPU enters at the image's power-on
    /// vector. A guest without an image is a native program, which is told.
    pub fn start(&mut self, id: GuestId, machine: &mut dyn Machine) -> Result<(), StartError> {
        self.check_start(id)?;
        let guest = self.guest_mut(id).ok_or(StartError::Missing(id))?;
        for range in guest.map.ranges() {
            machine.memory().zero(range.pa, range.size);
        }
        guest.heal();
        self.restart(id, machine)
    }

    /// The same after a reset that the guest has asked for: its memory stays as it is but for
    /// the image, and virtual CPUs in error stay out.
    fn restart(&mut self, id: GuestId, machine: &mut dyn Machine) -> Result<(), StartError> {
        self.check_start(id)?;
        let guest = self.guest_mut(id).ok_or(StartError::Missing(id))?;
        let conf = guest.conf.clone().ok_or(StartError::Missing(id))?;
        let base = guest.map.ranges().first().copied().ok_or(StartError::Memory(id))?;
        if conf.rom_bytes != 0 {
            machine.memory().copy(conf.rom_pa, base.pa, conf.rom_bytes);
        }
        let pc = base.ra.0 + POWER_ON_VECTOR;
        guest.enter(pc, base.ra.0, conf.rom_bytes != 0, machine)
    }

    /// Could [`Hypervisor::start`] start it now?
    pub(crate) fn check_start(&self, id: GuestId) -> Result<(), StartError> {
        let guest = self.guest(id).ok_or(StartError::Missing(id))?;
        let conf = guest.conf.as_ref().ok_or(StartError::Missing(id))?;
        guest.check_startable()?;
        let base = guest.map.ranges().first().ok_or(StartError::Memory(id))?;
        let needed = conf.rom_bytes.checked_add(POWER_ON_VECTOR);
        match needed.is_some_and(|needed| needed <= base.size) {
            true => Ok(()),
            false => Err(StartError::Memory(id)),
        }
    }

    /// Starts a stopped guest whose memory is filled already, at `pc`.
    pub fn boot(
        &mut self,
        id: GuestId,
        pc: Ra,
        machine: &mut dyn Machine,
    ) -> Result<(), StartError> {
        let guest = self.guest_mut(id).ok_or(StartError::Missing(id))?;
        let base = guest.map.ranges().first().copied().ok_or(StartError::Memory(id))?;
        guest.check_startable()?;
        guest.heal();
        guest.enter(pc.0, base.ra.0, true, machine)
    }

    /// When the next boundary must be at the latest: when the control domain's watchdog
    /// ends. [`SimTime::NEVER`] if it has none.
    #[must_use]
    pub fn due(&self) -> SimTime {
        let control = self.control_domain().and_then(|id| self.guest(id));
        control.and_then(|guest| guest.watchdog.ends()).unwrap_or(SimTime::NEVER)
    }

    /// True when the next boundary has something to do.
    #[must_use]
    pub fn has_work(&self) -> bool {
        self.guests.values().flatten().any(|guest| guest.has_work())
    }

    /// The slice boundary: what crosses domains, in the order of time, guest, virtual
    /// CPU and sequence; then channels, consoles and crypto units.
    pub fn boundary(&mut self, machine: &mut dyn Machine) {
        self.publish_trace(machine);
        self.heartbeat(machine);
        let control = self.control_domain();
        let mut deferred: Vec<(GuestId, Deferred)> = Vec::new();
        let mut changing: Vec<GuestId> = Vec::new();
        for guest in self.guests.values_mut().flatten() {
            let id = guest.id;
            guest.set_tod(machine.time_of_day(), machine.now());
            if std::mem::take(&mut guest.tod_set) && control == Some(id) {
                machine.sp_message(SpMessage::TodOffset(guest.tod_offset));
            }
            deferred.extend(guest.deferred.drain(..).map(|work| (id, work)));
            match guest.state {
                GuestState::Resetting | GuestState::Exiting => changing.push(id),
                GuestState::Suspended => continue, // its memory stays as it is
                GuestState::Normal | GuestState::Stopped => {}
            }
            if guest.vcpus.values().any(|vcpu| vcpu.mailbox.is_some()) {
                guest.drain_mailboxes(machine.cpus(id));
            }
        }
        deferred.sort_by_key(|(id, work)| (work.at, *id, work.vcpu, work.sequence));
        for (id, work) in deferred {
            // A guest that has ended meanwhile, and perhaps begun anew, waits for nothing.
            if self.guest(id).is_some_and(|guest| work.sequence > guest.forgotten) {
                self.complete_and_answer(id, work, machine);
            }
        }
        for id in changing {
            self.change(id, machine);
        }
        self.move_packets(machine);
        self.notify(machine);
        self.move_consoles(machine);
        self.guests.values_mut().flatten().for_each(|guest| guest.feed_units(machine));
    }

    /// The heart beats once a second: the control domain's watchdog ends when it was not set
    /// again in time. What follows is for the service processor to say.
    fn heartbeat(&mut self, machine: &mut dyn Machine) {
        if self.due() > machine.now() {
            return;
        }
        let control = self.control_domain().and_then(|id| self.guest_mut(id));
        if let Some(guest) = control {
            guest.watchdog = Watchdog::default();
            machine.sp_message(SpMessage::WatchdogExpired);
        }
    }

    /// Does one piece of deferred work and answers whoever waits for it.
    pub(crate) fn complete_and_answer(
        &mut self,
        id: GuestId,
        work: Deferred,
        machine: &mut dyn Machine,
    ) {
        if let Some(answer) = self.complete(id, work, machine) {
            let rets = &answer.rets[..answer.count];
            machine.cpus(id).answer(work.vcpu, answer.status, rets);
        }
    }

    /// Carries out what the manager asked of a guest's life.
    fn change(&mut self, id: GuestId, machine: &mut dyn Machine) {
        let Some(guest) = self.guest_mut(id) else { return };
        match guest.state {
            GuestState::Resetting => {
                guest.state = GuestState::Stopped;
                guest.state_news = true;
                // The command was refused if it lacked what a start needs.
                let _ = self.start(id, machine);
            }
            GuestState::Exiting => {
                self.stop(id, machine);
                self.reconfigure_delayed(id, machine);
            }
            _ => {}
        }
    }

    fn publish_trace(&mut self, machine: &mut dyn Machine) {
        if !self.traced {
            return;
        }
        let mut lines = Vec::new();
        for guest in self.guests.values_mut().flatten() {
            let id = guest.id;
            lines.extend(guest.trace.take().into_iter().map(|(at, v, text)| (at, id, v, text)));
        }
        lines.sort_by_key(|&(at, id, vcpu, _)| (at, id, vcpu));
        lines.iter().for_each(|(.., text)| machine.trace(text));
    }

    /// Does one piece of deferred work; `None` when nobody is left to answer.
    fn complete(
        &mut self,
        id: GuestId,
        deferred: Deferred,
        machine: &mut dyn Machine,
    ) -> Option<Answer> {
        match deferred.work {
            Pending::LdcCopy { channel, wanted } => {
                let copied = self.ldc_copy(id, channel, wanted, machine);
                Some(match copied {
                    Ok(bytes) => Answer::ok(&[bytes, 0, 0, 0]),
                    Err(status) => Answer::error(status),
                })
            }
            Pending::NcsTail { unit, tail } => {
                let guest = self.guest_mut(id)?;
                let waits = guest.run_request(deferred.vcpu, unit, tail, machine.memory());
                match waits {
                    Ok(true) => None,
                    Ok(false) => Some(Answer::default()),
                    Err(status) => Some(Answer::error(status)),
                }
            }
            Pending::Exit { code } => {
                self.exit(id, code, machine);
                None
            }
            Pending::Reset => {
                self.reset(id, machine);
                None
            }
            Pending::Rng(request) => {
                let answer = self.rng_call(id, request, deferred.at, machine);
                Some(answer.unwrap_or_else(|Failure(answer)| answer))
            }
            Pending::Dram { register, value: None } => Some(Answer::ok(&[self.dram.get(register)])),
            Pending::Dram { register, value: Some(value) } => {
                self.dram.set(register, value);
                Some(Answer::default())
            }
        }
    }

    /// A guest has asked to end. One that is ending or starting already has nothing to ask:
    /// its virtual CPU waits for what comes. The last guest takes the power with it, unless
    /// a reconfiguration waits for its end; the control domain starts again.
    fn exit(&mut self, id: GuestId, code: u64, machine: &mut dyn Machine) {
        if !self.runs(id) {
            return;
        }
        let delayed = self.service.delayed.as_ref().is_some_and(|delayed| delayed.guest == id);
        let last = self.guests.len() == 1 && !delayed;
        if self.control_domain() == Some(id) && !last {
            self.reset(id, machine);
            return;
        }
        self.stop(id, machine);
        machine.guest_exited(id, code);
        if last {
            machine.sp_message(SpMessage::PowerOff);
        }
        self.reconfigure_delayed(id, machine);
    }

    /// A guest has asked to start again, or somebody for it.
    pub(crate) fn reset(&mut self, id: GuestId, machine: &mut dyn Machine) {
        if !self.runs(id) {
            return;
        }
        self.stop(id, machine);
        self.reconfigure_delayed(id, machine);
        if let Err(why) = self.restart(id, machine) {
            machine.trace(&format!("{why}: it does not start again"));
        }
    }

    /// Ends a guest: every virtual CPU stops, its channels go down, its units forget
    /// its queues, its bus and its network unit are reset. Versions that it negotiated stay.
    pub fn stop(&mut self, id: GuestId, machine: &mut dyn Machine) {
        let Some(guest) = self.guest_mut(id) else { return };
        let vcpus: Vec<_> = guest.vcpus.keys().copied().collect();
        for vcpu in vcpus {
            machine.cpus(id).stop(vcpu);
            if let Some(vcpu) = guest.vcpus.get_mut(&vcpu) {
                let failed = vcpu.state == VcpuState::Error;
                vcpu.reset();
                if failed {
                    vcpu.state = VcpuState::Error;
                }
            }
        }
        guest.note_trap_traces();
        guest.trace_frozen = false;
        guest.dump = None;
        guest.forgotten = guest.sequence;
        guest.permanent = Default::default();
        guest.deferred.clear();
        for endpoint in guest.endpoints.values_mut().filter(|end| !end.conf.private_console) {
            endpoint.close();
        }
        guest.stirred = guest.endpoints.keys().copied().collect();
        guest.stop_units(machine);
        guest.interrupts.values_mut().for_each(|intr| *intr = Interrupt::default());
        if let Some(bus) = &mut guest.pci {
            **bus = PciBus::new(bus.conf);
        }
        if let Some(unit) = &mut guest.network {
            **unit = NetworkUnit::new(unit.conf);
        }
        guest.soft_news |= guest.soft_state != SoftState::default();
        guest.soft_state = SoftState::default();
        if std::mem::take(&mut guest.console_held)
            && let Some(console) = &mut guest.console
        {
            // It goes on elsewhere and writes it there.
            (console.blocked, guest.console_stirred) = (false, true);
            console.output.clear();
        }
        guest.state = GuestState::Stopped;
        guest.suspended = None;
        guest.state_news = true;
        if self.control_domain() == Some(id) {
            self.service.restart();
        }
    }

    /// A unit of this guest has ended something: a suspend may have waited for it.
    pub(crate) fn look_at_drained(&mut self, id: GuestId, machine: &mut dyn Machine) {
        if self.service.suspending == Some(id) {
            self.serve(machine);
        }
    }

    /// A call by a native program on virtual CPU `vcpu`: trap 0x80 or 0xff, function
    /// `nr`. What would wait for the boundary is done at once; this is one.
    pub fn native_call(
        &mut self,
        id: GuestId,
        vcpu: VcpuId,
        number: u8,
        nr: u64,
        [a0, a1, a2, a3, a4]: [u64; 5],
        machine: &mut dyn Machine,
    ) -> Result<Rets, HvError> {
        let guest = self.guest_mut(id).ok_or(HvError::NoAccess)?;
        let trap = Trap::Hypercall { number, args: [a0, a1, a2, a3, a4, nr] };
        let answer = match guest.htrap(vcpu, trap, machine.cpus(id)) {
            Outcome::Done(answer) | Outcome::Parked(answer) => answer,
            Outcome::Resumed => Answer::default(),
            Outcome::Blocked => {
                let work = guest.deferred.pop();
                let work = work.ok_or(HvError::NotSupported)?;
                if let Pending::NcsTail { .. } = work.work {
                    return Err(HvError::NotSupported); // there is no strand that could wait
                }
                self.complete(id, work, machine).unwrap_or_default()
            }
        };
        // The hypervisor's own end of a channel answers at once.
        if let Some((control, channel)) = self.control
            && control == id
            && self.guest_mut(id).is_some_and(|guest| guest.stirred.remove(&channel))
        {
            self.serve(machine);
        }
        match HvError::from_code(answer.status) {
            None => Ok(answer.rets),
            Some(error) => Err(error),
        }
    }

    /// The next device mondo of a native program, from its queue in memory.
    pub fn next_mondo(&mut self, id: GuestId, machine: &mut dyn Machine) -> Option<[u64; 8]> {
        let guest = self.guests.get(&id)?.as_deref()?;
        let queues = guest.vcpus.iter();
        let queues: Vec<_> =
            queues.filter_map(|(&v, vcpu)| Some((v, vcpu.queue(Queue::DevMondo)?))).collect();
        for (vcpu, place) in queues {
            let (head, tail) = machine.cpus(id).queue(vcpu, Queue::DevMondo);
            if head == tail {
                continue;
            }
            let words = std::array::from_fn(|index| {
                machine.memory().read_u64(place.pa.offset(head + 8 * index as u64))
            });
            let head = (head + 64) & (place.bytes() - 1);
            machine.cpus(id).set_queue(vcpu, Queue::DevMondo, head, tail);
            return Some(words);
        }
        None
    }

    /// Characters for a guest's service processor console.
    pub fn sp_input(&mut self, id: GuestId, bytes: &[u8], machine: &mut dyn Machine) {
        let Some(guest) = self.guest_mut(id) else { return };
        let Some(console) = &mut guest.console else { return };
        bytes.iter().for_each(|&byte| console.arrive(crate::console::Input::Char(byte)));
        let ino = console.conf.ino;
        guest.raise_device(machine.cpus(id), ino);
    }
}

impl Guest {
    /// Virtual CPUs in error are sound again: their strands never were anything else.
    fn heal(&mut self) {
        for vcpu in self.vcpus.values_mut().filter(|vcpu| vcpu.state == VcpuState::Error) {
            vcpu.state = VcpuState::Stopped;
        }
    }

    fn check_startable(&self) -> Result<(), StartError> {
        match (self.state, self.vcpus.is_empty()) {
            (GuestState::Stopped, false) => Ok(()),
            (GuestState::Stopped, true) => Err(StartError::NoCpus(self.id)),
            _ => Err(StartError::Active(self.id)),
        }
    }

    /// Lets the first virtual CPU begin.
    fn enter(
        &mut self,
        pc: u64,
        rtba: u64,
        executes: bool,
        machine: &mut dyn Machine,
    ) -> Result<(), StartError> {
        let id = self.id;
        let mut vcpus = self.vcpus.iter_mut();
        let first = vcpus.find(|(_, vcpu)| vcpu.state != VcpuState::Error);
        let (&first, vcpu) = first.ok_or(StartError::NoCpus(id))?;
        let base = self.map.ranges().first().copied().ok_or(StartError::Memory(id))?;
        vcpu.state = VcpuState::Running;
        vcpu.rtba = rtba;
        self.state = GuestState::Normal;
        self.state_news = true;
        self.begin_figures(machine);
        if executes {
            let state =
                StartState { pc, argument: 0, memory_base: base.ra.0, memory_bytes: base.size };
            machine.cpus(id).start(first, state);
        }
        machine.guest_started(id);
        Ok(())
    }

    /// Lets the figures of the guest and of its virtual CPUs count from now.
    pub(crate) fn begin_figures(&mut self, machine: &mut dyn Machine) {
        let (now, cpus) = (machine.now(), machine.cpus(self.id));
        for (&id, vcpu) in &mut self.vcpus {
            vcpu.figures = Figures::begin(now, cpus.busy(id));
        }
        self.figures = Figures::begin(now, self.busy(cpus));
    }

    /// Busy time of all its virtual CPUs together.
    pub(crate) fn busy(&self, cpus: &dyn Cpus) -> SimTime {
        self.vcpus.keys().fold(SimTime::ZERO, |sum, &id| sum.plus(cpus.busy(id)))
    }

    /// Has the boundary something to do for this guest?
    fn has_work(&self) -> bool {
        !self.deferred.is_empty()
            || !self.stirred.is_empty()
            || (self.console_stirred && !self.console_held)
            || self.state_news
            || self.soft_news
            || self.tod_news
            || self.tod_set
            || matches!(self.state, GuestState::Resetting | GuestState::Exiting)
            || !self.crypto_words.is_empty()
            || !self.mau_work.is_empty()
            || !self.trace.is_empty()
    }
}
