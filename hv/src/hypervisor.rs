//! The hypervisor of one chassis: all its guests, seen at a slice boundary.

use crate::console::Console;
use crate::crypto::CryptoQueue;
use crate::guest::{Deferred, Guest, GuestState, Pending};
use crate::intr::Interrupt;
use crate::ldc::Endpoint;
use crate::platform::{Machine, Queue, StartState};
use crate::trap::{Answer, Outcome, Trap};
use crate::vcpu::{Vcpu, VcpuState};
use std::collections::BTreeMap;
use sun4v::addr::{Ra, RealMap};
use sun4v::hcall::HvError;
use sun4v::hvmd::{CryptoKind, HvConfig};
use sun4v::id::{CoreId, GuestId, StrandId, VcpuId};
use sun4v::native::Rets;
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
    config: HvConfig,
    /// `None` only while a guest is away with its strands.
    pub(crate) guests: BTreeMap<GuestId, Option<Box<Guest>>>,
    traced: bool,
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

    /// Turns the hypercall trace on or off, for all guests.
    pub fn set_trace(&mut self, on: bool) {
        self.traced = on;
        self.guests.values_mut().flatten().for_each(|guest| guest.trace.on = on);
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

    /// Applies a configuration that was checked: guests that it lacks go, guests that
    /// it adds are made, the others get and lose resources.
    pub fn apply(&mut self, config: HvConfig, machine: &mut dyn Machine) {
        let gone: Vec<_> = self
            .guests
            .keys()
            .copied()
            .filter(|id| !config.guests.iter().any(|guest| guest.id == *id))
            .collect();
        for id in gone {
            self.guests.remove(&id);
            machine.unassign(id);
        }
        for conf in &config.guests {
            let id = conf.id;
            let slot = self.guests.entry(id).or_default();
            let guest = slot.get_or_insert_with(Box::default);
            guest.id = id;
            guest.tod_offset = match &guest.conf {
                Some(_) => guest.tod_offset,
                None => conf.tod_offset,
            };
            guest.conf = Some(conf.clone());
            guest.trace.on = self.traced;
            let before = (guest.map.clone(), strands(guest));
            guest.configure(&config);
            guest.tod = (machine.time_of_day(), machine.now());
            let after = strands(guest);
            if before != (guest.map.clone(), after.clone()) {
                machine.assign(id, &after, &guest.map);
            }
        }
        self.config = config;
    }

    /// Starts a stopped guest from its boot image: its memory is zeroed, the image
    /// copied to its start, and its first virtual CPU enters at the image's power-on
    /// vector. A guest without an image is a native program, which is told.
    pub fn start(&mut self, id: GuestId, machine: &mut dyn Machine) -> Result<(), StartError> {
        let guest = self.guest_mut(id).ok_or(StartError::Missing(id))?;
        let conf = guest.conf.clone().ok_or(StartError::Missing(id))?;
        let base = guest.map.ranges().first().copied().ok_or(StartError::Memory(id))?;
        if conf.rom_bytes + POWER_ON_VECTOR > base.size {
            return Err(StartError::Memory(id));
        }
        guest.check_startable()?;
        for range in guest.map.ranges() {
            machine.memory().zero(range.pa, range.size);
        }
        if conf.rom_bytes != 0 {
            machine.memory().copy(conf.rom_pa, base.pa, conf.rom_bytes);
        }
        let pc = base.ra.0 + POWER_ON_VECTOR;
        guest.enter(pc, base.ra.0, conf.rom_bytes != 0, machine)
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
        guest.enter(pc.0, base.ra.0, true, machine)
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
        let mut deferred: Vec<(GuestId, Deferred)> = Vec::new();
        for guest in self.guests.values_mut().flatten() {
            let id = guest.id;
            guest.tod = (machine.time_of_day(), machine.now());
            deferred.extend(guest.deferred.drain(..).map(|work| (id, work)));
            if guest.vcpus.values().any(|vcpu| vcpu.mailbox.is_some()) {
                guest.drain_mailboxes(machine.cpus(id));
            }
        }
        deferred.sort_by_key(|(id, work)| (work.at, *id, work.vcpu, work.sequence));
        for (id, work) in deferred {
            if let Some(answer) = self.complete(id, work, machine) {
                let rets = &answer.rets[..usize::from(answer.count)];
                machine.cpus(id).answer(work.vcpu, answer.status, rets);
            }
        }
        self.move_packets(machine);
        self.move_consoles(machine);
        for guest in self.guests.values_mut().flatten() {
            for (core, words) in guest.crypto_words.drain(..) {
                machine.cwq_submit(core, &words);
            }
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
            Pending::Exit { code } => {
                self.stop(id, machine);
                machine.guest_exited(id, code);
                None
            }
            Pending::Reset => {
                self.stop(id, machine);
                // It was running a moment ago, so it has all that a start needs.
                let _ = self.start(id, machine);
                None
            }
        }
    }

    /// Ends a guest: every virtual CPU stops, its channels go down, its units forget
    /// its queues. Versions that it negotiated stay.
    pub fn stop(&mut self, id: GuestId, machine: &mut dyn Machine) {
        let Some(guest) = self.guest_mut(id) else { return };
        let vcpus: Vec<_> = guest.vcpus.keys().copied().collect();
        for vcpu in vcpus {
            machine.cpus(id).stop(vcpu);
            if let Some(vcpu) = guest.vcpus.get_mut(&vcpu) {
                vcpu.reset();
            }
        }
        guest.permanent = Default::default();
        guest.deferred.clear();
        guest.crypto_words.clear();
        for endpoint in guest.endpoints.values_mut().filter(|end| !end.conf.private_console) {
            endpoint.close();
        }
        guest.stirred = guest.endpoints.keys().copied().collect();
        for unit in guest.crypto.values_mut() {
            *unit = CryptoQueue::new(unit.core, unit.ino);
        }
        guest.interrupts.values_mut().for_each(|intr| *intr = Interrupt::default());
        guest.soft_state = Default::default();
        guest.state = GuestState::Stopped;
        guest.news = true;
    }

    /// Control words of `core`'s unit were done: `ok` says of each how it ended.
    pub fn cwq_done(&mut self, core: CoreId, ok: &[bool], machine: &mut dyn Machine) {
        let handle = CryptoQueue::handle(core);
        let owner = self
            .guests
            .values_mut()
            .flatten()
            .find(|guest| guest.crypto.get(&handle).is_some_and(|unit| unit.entries != 0));
        let Some(guest) = owner else { return };
        let id = guest.id;
        let mut wants_interrupt = false;
        let Some(unit) = guest.crypto.get_mut(&handle) else { return };
        for &ok in ok {
            let place = unit.pa.offset(unit.head);
            let word = machine.memory().read_u64(place);
            let end = if ok { 1 << 50 } else { 1 << 50 | 1 << 51 };
            machine.memory().write_u64(place, word | end);
            wants_interrupt |= word >> 48 & 1 != 0;
            unit.head = (unit.head + crate::crypto::WORD_BYTES) & (unit.bytes() - 1);
        }
        let ino = unit.ino;
        if wants_interrupt {
            guest.raise_device(machine.cpus(id), ino);
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
                self.complete(id, work, machine).unwrap_or_default()
            }
        };
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

/// The strands of a guest, by virtual CPU.
fn strands(guest: &Guest) -> Vec<(VcpuId, StrandId)> {
    guest.vcpus.iter().map(|(&id, vcpu)| (id, vcpu.strand)).collect()
}

impl Guest {
    /// Takes over what a configuration gives this guest.
    fn configure(&mut self, config: &HvConfig) {
        let id = self.id;
        let mine = config.mblocks.iter().filter(|block| block.guest == id);
        self.map = RealMap::new(mine.map(|block| block.range).collect());
        let wanted: BTreeMap<_, _> = config
            .vcpus
            .iter()
            .filter(|vcpu| vcpu.guest == id)
            .map(|vcpu| (vcpu.vid, vcpu.strand))
            .collect();
        self.vcpus.retain(|vid, vcpu| wanted.get(vid) == Some(&vcpu.strand));
        for (vid, strand) in wanted {
            self.vcpus.entry(vid).or_insert_with(|| Vcpu { strand, ..Vcpu::default() });
        }
        let mine = || config.ldc_endpoints.iter().filter(|end| end.guest == id);
        self.endpoints.retain(|_, end| mine().any(|conf| *conf == end.conf));
        for conf in mine() {
            self.endpoints.entry(conf.channel).or_insert_with(|| Endpoint::new(*conf));
        }
        let mut sources = Vec::new();
        match config.consoles.iter().find(|console| console.guest == id) {
            Some(conf) if self.console.as_ref().is_some_and(|console| console.conf == *conf) => {
                sources.push(conf.ino);
            }
            Some(conf) => {
                sources.push(conf.ino);
                self.console = Some(Console::new(*conf));
            }
            None => self.console = None,
        }
        let units = config.crypto.iter();
        let units = units.filter(|unit| unit.guest == id && unit.kind == CryptoKind::Cwq);
        let mut handles = Vec::new();
        for unit in units {
            sources.push(unit.ino);
            let handle = CryptoQueue::handle(unit.core);
            handles.push(handle);
            self.crypto.entry(handle).or_insert_with(|| CryptoQueue::new(unit.core, unit.ino));
        }
        self.crypto.retain(|handle, _| handles.contains(handle));
        self.interrupts.retain(|ino, _| sources.contains(ino));
        for ino in sources {
            self.interrupts.entry(ino).or_default();
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
        let (&first, vcpu) = self.vcpus.iter_mut().next().ok_or(StartError::NoCpus(id))?;
        let base = self.map.ranges().first().copied().ok_or(StartError::Memory(id))?;
        vcpu.state = VcpuState::Running;
        vcpu.rtba = rtba;
        self.state = GuestState::Normal;
        self.news = true;
        if executes {
            let state =
                StartState { pc, argument: 0, memory_base: base.ra.0, memory_bytes: base.size };
            machine.cpus(id).start(first, state);
        }
        machine.guest_started(id);
        Ok(())
    }

    /// Has the boundary something to do for this guest?
    fn has_work(&self) -> bool {
        !self.deferred.is_empty()
            || !self.stirred.is_empty()
            || self.console_stirred
            || !self.crypto_words.is_empty()
            || !self.trace.is_empty()
    }
}
