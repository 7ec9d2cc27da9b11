//! Our extension: what a migration asks of the hypervisor.
//!
//! Everything is checked before anything is done: the guest is not the caller, list
//! and buffer are the caller's own memory, every page is the guest's, a message names
//! [`PAGES_MAX`] pages at most.
//!
//! **A suspended guest** executes nothing, and nobody stores into its memory: packets
//! and interrupts wait, copies by its peers fail, its channels read DOWN at the other
//! end. What it had asked of the hypervisor is done before the suspend is answered,
//! and so is what its crypto units were doing, which is why that reply may come later
//! than the command. When it goes on, on either chassis, every channel of it reads
//! RESET once, at both ends, and rings: drivers begin anew. What it has written to its
//! console comes out while it is suspended, but only until its state is given away: from then
//! on it is for whoever lets the guest go on. Packets that it had not
//! got rid of are dropped, as a reset drops them; those that it had received stay.
//! The virtual CPUs that take the interrupts of its disks (`leads` in the hypervisor MD) go on
//! first, the others [`LEAD_US`] later: a request that one of them makes before the driver
//! has noticed the reset would be lost. To the others it is as if they had waited.
//!
//! **A held guest** runs for a part of each interval only. To the guest it is as if the
//! hypervisor had taken that time from its strands: `%stick` goes on, a timer that ends
//! while it is held comes late. It ends with the log, whichever way that ends.

use super::Message;
use crate::crypto::CryptoQueue;
use crate::guest::{Guest, GuestState};
use crate::hypervisor::Hypervisor;
use crate::platform::{Machine, Memory, Mode};
use crate::vcpu::VcpuState;
use std::collections::BTreeSet;
use sun4v::addr::{PAGE_BYTES, Pa, Ra, RealMap};
use sun4v::hvctl::migrate::{Buffer, HELD_MAX, LEAD_US, PAGES_MAX, Pages, Request};
use sun4v::hvctl::{Body, Detail, Op, Status};
use sun4v::id::{GuestId, VcpuId};
use sun4v::time::SimTime;

/// More bytes than the records of any guest have.
const STATE_MAX: u64 = 16 << 20;

/// How long before the others those virtual CPUs go on that channels with `leads` ring.
const LEAD: SimTime = SimTime::us(LEAD_US);

/// The value of a reply, or why there is none, with a value too.
type Done = Result<u64, (Status, Detail, u64)>;

const fn invalid(detail: Detail) -> (Status, Detail, u64) {
    (Status::Invalid, detail, 0)
}

const fn illegal(detail: Detail) -> (Status, Detail, u64) {
    (Status::Illegal, detail, 0)
}

/// Where page `index` of a guest lies.
fn page(map: &RealMap, index: u32) -> Option<Pa> {
    let mut rest = u64::from(index);
    for range in map.ranges() {
        let pages = range.size / PAGE_BYTES;
        if rest < pages {
            return Some(range.pa.offset(rest * PAGE_BYTES));
        }
        rest -= pages;
    }
    None
}

/// Where pages `first..` lie, to the last.
fn pages_from(map: &RealMap, first: u64) -> impl Iterator<Item = Pa> {
    let all = map.ranges().iter().flat_map(|range| {
        (0..range.size / PAGE_BYTES).map(|index| range.pa.offset(index * PAGE_BYTES))
    });
    all.skip(first as usize)
}

impl Guest {
    /// The virtual CPUs that channels with `leads` ring.
    fn leaders(&self) -> BTreeSet<VcpuId> {
        let leads = self.endpoints.values().filter(|end| end.conf.leads && end.rx.is_configured());
        let rung = leads.filter(|end| end.rx_intr.valid).filter_map(|end| end.rx_intr.target);
        let runs = |vcpu: &VcpuId| {
            self.vcpus.get(vcpu).is_some_and(|vcpu| vcpu.state == VcpuState::Running)
        };
        rung.filter(runs).collect()
    }
}

impl Hypervisor {
    /// Serves a command of the extension; `None` when its reply comes later.
    pub(super) fn migrate(
        &mut self,
        request: Request,
        machine: &mut dyn Machine,
    ) -> Option<(Status, Body)> {
        let done = match self.other(request.guest()) {
            Ok(id) => self.migrate_guest(id, request, machine)?,
            Err(error) => Err(error),
        };
        Some(match done {
            Ok(value) => (Status::Ok, Body::Migrate { code: 0, value }),
            Err((status, detail, value)) => (status, Body::Migrate { code: detail.code(), value }),
        })
    }

    /// A guest that is not the caller.
    fn other(&self, guest: u32) -> Result<GuestId, (Status, Detail, u64)> {
        match self.named(guest) {
            Ok(id) if self.control_domain() != Some(id) => Ok(id),
            _ => Err(invalid(Detail::GuestInvalidId)),
        }
    }

    fn migrate_guest(
        &mut self,
        id: GuestId,
        request: Request,
        machine: &mut dyn Machine,
    ) -> Option<Done> {
        Some(match request {
            Request::LogStart(_) => self.set_log(id, true, machine.memory()),
            Request::LogStop(_) => {
                self.set_held(id, 0, machine);
                self.set_log(id, false, machine.memory())
            }
            Request::Hold { percent, .. } => self.slow(id, percent, machine),
            Request::DirtyRead { first, map } => self.dirty_read(id, first, map, machine.memory()),
            Request::PagesOut(pages) => self.pages_out(id, pages, machine.memory()),
            Request::PagesIn(pages) => self.pages_in(id, pages, machine.memory()),
            Request::PagesZero(pages) => self.pages_zero(id, pages, machine.memory()),
            Request::Suspend(_) => match self.suspend(id, machine) {
                Ok(()) if self.is_drained(id) => Ok(0),
                Ok(()) => {
                    self.service.suspending = Some(id);
                    return None;
                }
                Err(error) => Err(error),
            },
            Request::Resume(_) => self.resume(id, machine),
            Request::StateOut(buffer) => self.state_out(id, buffer, machine),
            Request::StateIn(buffer) => self.state_in(id, buffer, machine),
        })
    }

    /// Where a buffer of the control domain lies.
    fn own(&self, ra: Ra, bytes: u64) -> Result<Pa, (Status, Detail, u64)> {
        let control = self.control_domain().and_then(|id| self.guest(id));
        let place = control.and_then(|guest| guest.map.resolve(ra, bytes));
        place.ok_or(invalid(Detail::BadBuffer))
    }

    fn set_log(&mut self, id: GuestId, on: bool, memory: &dyn Memory) -> Done {
        let guest = self.guest_mut(id).ok_or(invalid(Detail::GuestInvalidId))?;
        for range in guest.map.ranges() {
            match on {
                true => memory.log_start(range.pa, range.size),
                false => memory.log_stop(range.pa, range.size),
            }
        }
        guest.logging = on;
        Ok(0)
    }

    /// Slows a guest whose pages are logged.
    fn slow(&mut self, id: GuestId, percent: u32, machine: &mut dyn Machine) -> Done {
        let guest = self.guest(id).ok_or(invalid(Detail::GuestInvalidId))?;
        let share = u8::try_from(percent).ok().filter(|_| percent <= HELD_MAX);
        let share = share.ok_or(invalid(Detail::BadShare))?;
        if !guest.logging {
            return Err(illegal(Detail::NotLogging));
        }
        self.set_held(id, share, machine);
        Ok(self.inside(id, machine))
    }

    /// How many virtual CPUs of a guest are where a suspend, and so the reset of channels that
    /// lead, is not to find them: those that take their interrupts in the supervisor, the
    /// others where interrupts wait.
    fn inside(&self, id: GuestId, machine: &mut dyn Machine) -> u64 {
        let Some(guest) = self.guest(id) else { return 0 };
        let (leaders, cpus) = (guest.leaders(), machine.cpus(id));
        if leaders.is_empty() {
            return 0;
        }
        let most = |vcpu| if leaders.contains(vcpu) { Mode::User } else { Mode::Supervisor };
        let running = guest.vcpus.iter().filter(|(_, vcpu)| vcpu.state == VcpuState::Running);
        running.filter(|&(vcpu, _)| cpus.mode(*vcpu) > most(vcpu)).count() as u64
    }

    fn set_held(&mut self, id: GuestId, percent: u8, machine: &mut dyn Machine) {
        if let Some(guest) = self.guest_mut(id)
            && std::mem::replace(&mut guest.held, percent) != percent
        {
            machine.cpus(id).hold(percent);
        }
    }

    fn dirty_read(&self, id: GuestId, first: u32, map: Buffer, memory: &dyn Memory) -> Done {
        let guest = self.guest(id).ok_or(invalid(Detail::GuestInvalidId))?;
        if !guest.logging {
            return Err(illegal(Detail::NotLogging));
        }
        let (first, total) = (u64::from(first), guest.map.bytes() / PAGE_BYTES);
        if !first.is_multiple_of(8) || first > total {
            return Err(invalid(Detail::BadPage));
        }
        let to = self.own(map.buffer, map.bytes)?;
        let covered = (total - first).div_ceil(8).min(map.bytes);
        let mut bits = vec![0u8; covered as usize];
        let mut dirty = 0;
        let limit = bits.len() * 8;
        for (index, pa) in pages_from(&guest.map, first).take(limit).enumerate() {
            if memory.log_is_dirty(pa) {
                bits[index / 8] |= 1 << (index % 8);
                dirty += 1;
            }
        }
        if covered < map.bytes {
            memory.zero(to.offset(covered), map.bytes - covered);
        }
        memory.write(to, &bits);
        Ok(dirty)
    }

    /// The pages of a list, each of which is the guest's.
    fn listed(
        &self,
        id: GuestId,
        pages: Pages,
        memory: &dyn Memory,
    ) -> Result<Vec<Pa>, (Status, Detail, u64)> {
        let guest = self.guest(id).ok_or(invalid(Detail::GuestInvalidId))?;
        if pages.count > PAGES_MAX {
            return Err(invalid(Detail::TooMany));
        }
        if pages.count == 0 {
            return Ok(Vec::new());
        }
        let mut list = vec![0; pages.count as usize * 4];
        memory.read(self.own(pages.list, list.len() as u64)?, &mut list);
        list.chunks_exact(4)
            .map(|four| {
                let index = four.iter().fold(0u32, |n, &byte| n << 8 | u32::from(byte));
                page(&guest.map, index).ok_or(invalid(Detail::BadPage))
            })
            .collect()
    }

    /// The buffer for the contents of `count` pages.
    fn contents(&self, pages: Pages, count: usize) -> Result<Pa, (Status, Detail, u64)> {
        match count {
            0 => Ok(Pa(0)),
            _ => self.own(pages.buffer, count as u64 * PAGE_BYTES),
        }
    }

    fn pages_out(&self, id: GuestId, pages: Pages, memory: &dyn Memory) -> Done {
        let list = self.listed(id, pages, memory)?;
        let mut to = self.contents(pages, list.len())?;
        for pa in list {
            memory.copy(pa, to, PAGE_BYTES);
            memory.log_clean(pa);
            to = to.offset(PAGE_BYTES);
        }
        Ok(0)
    }

    /// Contents from elsewhere are for guests that do not run.
    fn check_still(&self, id: GuestId) -> Result<(), (Status, Detail, u64)> {
        match self.guest(id).map(|guest| guest.state) {
            Some(GuestState::Stopped | GuestState::Suspended) => Ok(()),
            _ => Err(illegal(Detail::NotInState)),
        }
    }

    fn pages_in(&self, id: GuestId, pages: Pages, memory: &dyn Memory) -> Done {
        self.check_still(id)?;
        let list = self.listed(id, pages, memory)?;
        let mut from = self.contents(pages, list.len())?;
        for pa in list {
            memory.copy(from, pa, PAGE_BYTES);
            from = from.offset(PAGE_BYTES);
        }
        Ok(0)
    }

    fn pages_zero(&self, id: GuestId, pages: Pages, memory: &dyn Memory) -> Done {
        self.check_still(id)?;
        for pa in self.listed(id, pages, memory)? {
            memory.zero(pa, PAGE_BYTES);
        }
        Ok(0)
    }

    /// Stops the guest where it is, once what it waits for is done.
    fn suspend(
        &mut self,
        id: GuestId,
        machine: &mut dyn Machine,
    ) -> Result<(), (Status, Detail, u64)> {
        if !self.runs(id) {
            return Err(illegal(Detail::NotInState));
        }
        let waits = self.guest_mut(id).map(|guest| std::mem::take(&mut guest.deferred));
        for work in waits.unwrap_or_default() {
            self.complete_and_answer(id, work, machine);
        }
        // It may have exited by that.
        if !self.runs(id) {
            return Err(illegal(Detail::NotInState));
        }
        let Some(guest) = self.guest_mut(id) else { return Ok(()) };
        guest.feed_units(machine);
        guest.state = GuestState::Suspended;
        guest.state_news = true;
        guest.suspended = Some((machine.now(), machine.time_of_day().unwrap_or_default()));
        self.republish(id, machine);
        Ok(())
    }

    /// Has every crypto unit finished what it was given?
    fn is_drained(&self, id: GuestId) -> bool {
        let Some(guest) = self.guest(id) else { return true };
        !guest.crypto.values().any(CryptoQueue::is_busy)
    }

    /// Answers a suspend that waited for crypto units, when they are done.
    pub(super) fn finish_suspend(&mut self) {
        let Some(id) = self.service.suspending else { return };
        if self.is_drained(id) {
            self.service.suspending = None;
            let body = Body::Migrate { code: 0, value: 0 };
            let reply: Message = self.answer(Op::Suspend, Status::Ok, body);
            self.service.waiting.push_back(reply);
        }
    }

    /// Lets a suspended guest go on, or one whose state was loaded begin.
    fn resume(&mut self, id: GuestId, machine: &mut dyn Machine) -> Done {
        let guest = self.guest_mut(id).ok_or(invalid(Detail::GuestInvalidId))?;
        if guest.state != GuestState::Suspended {
            return Err(illegal(Detail::NotInState));
        }
        self.go_on(id, machine);
        Ok(0)
    }

    /// Lets a suspended guest go on.
    pub(crate) fn go_on(&mut self, id: GuestId, machine: &mut dyn Machine) {
        let Some(guest) = self.guest_mut(id) else { return };
        guest.state = GuestState::Normal;
        guest.state_news = true;
        let (now, at) = (machine.now(), guest.suspended.take());
        guest.go_on(at.map_or(now, |(at, _)| at), now, machine.cpus(id));
        guest.set_tod(machine.time_of_day(), now);
        for endpoint in guest.endpoints.values_mut() {
            endpoint.tx.head = endpoint.tx.tail;
        }
        guest.console_stirred |= guest.console.is_some();
        guest.console_held = false;
        self.republish(id, machine);
        self.reconnect(id, machine);
        let Some(guest) = self.guest_mut(id) else { return };
        let sources: Vec<u16> = guest.interrupts.keys().copied().collect();
        for ino in sources {
            guest.raise_device(machine.cpus(id), ino);
        }
        guest.drain_mailboxes(machine.cpus(id));
        let leaders = guest.leaders();
        for (&vcpu, state) in &guest.vcpus {
            if state.state != VcpuState::Running {
                continue;
            }
            if !leaders.is_empty() && !leaders.contains(&vcpu) {
                machine.cpus(id).delay(vcpu, now.plus(LEAD));
            }
            // A wait ends early now and then; one that missed its end never would.
            machine.cpus(id).wake(vcpu);
        }
    }

    fn state_out(&mut self, id: GuestId, to: Buffer, machine: &mut dyn Machine) -> Done {
        let guest = self.guest(id).ok_or(invalid(Detail::GuestInvalidId))?;
        if guest.state != GuestState::Suspended {
            return Err(illegal(Detail::NotInState));
        }
        let bytes = guest.save(machine.cpus(id));
        let needed = bytes.len() as u64;
        let place = self.own(to.buffer, to.bytes)?;
        if needed > to.bytes {
            return Err((Status::Invalid, Detail::BufferTooSmall, needed));
        }
        machine.memory().write(place, &bytes);
        if let Some(guest) = self.guest_mut(id) {
            guest.console_held = true;
        }
        Ok(needed)
    }

    fn state_in(&mut self, id: GuestId, from: Buffer, machine: &mut dyn Machine) -> Done {
        let place = self.own(from.buffer, from.bytes)?;
        if from.bytes > STATE_MAX {
            return Err(invalid(Detail::BadBuffer));
        }
        let guest = self.guest_mut(id).ok_or(invalid(Detail::GuestInvalidId))?;
        if guest.state != GuestState::Stopped {
            return Err(illegal(Detail::NotInState));
        }
        let mut bytes = vec![0; from.bytes as usize];
        machine.memory().read(place, &mut bytes);
        let clock = (machine.now(), machine.time_of_day().unwrap_or_default());
        if let Err(error) = guest.load(&bytes, clock, machine.cpus(id)) {
            // It may quote the bytes.
            let why = error.to_string();
            machine.trace(&format!("guest {id}: its state was refused: {}", why.escape_debug()));
            return Err(invalid(Detail::StateRefused));
        }
        guest.begin_figures(machine);
        guest.console_held = true;
        guest.state = GuestState::Suspended;
        guest.state_news = true;
        Ok(0)
    }
}
