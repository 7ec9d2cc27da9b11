//! The machine under a hypervisor: memory, the strands of each guest, eight crypto
//! units, and the service processor's ears.
//!
//! A guest's software is SPARC instructions ([`Domain`]) or native
//! ([`Desk`]); a native guest is declared before the hypervisor gives it anything.
//! For a slice the world takes a domain out and puts it back; between, at a
//! boundary, the board is the hypervisor's [`Machine`].
//!
//! **Shapes.** Crypto units are numbered by core. Their control words count as
//! those of the guest in whose memory the source lies: when that guest starts anew
//! or is taken apart, its words are forgotten.
//!
//! **Errors.** To ask for a guest that is away in a slice is a mistake of ours and
//! panics.

use super::desk::Desk;
use super::domain::{Domain, DomainV1};
use super::figures::{Figures, Stopwatch};
use super::groups::Groups;
use crate::chip::cwq::{self, Cwq, Dma, Status, UnitV1};
use crate::chip::mau::{self, Mau};
use crate::chip::noise::Noise;
use crate::engine::{Choice, Engine};
use crate::mem::Ram;
use hv::Hypervisor;
use hv::platform::{ControlWord, Cpus, Machine, MauEnd, MauOperation, Memory, SpMessage};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use sun4v::addr::{PAGE_BYTES, Pa, RealMap};
use sun4v::hvmd::CryptoKind;
use sun4v::id::{CORES, CoreId, GuestId, StrandId, VcpuId};
use sun4v::ncs::{Control, MaControl, MaOffsets};
use sun4v::time::{SimTime, T2_HZ};

/// The service processor's clock when the lab is powered on: 2011-06-16 10:00 UTC.
pub const TOD_AT_ZERO: u64 = 1_308_218_400;

/// The memory of a chassis, shared.
#[derive(Clone, Debug)]
pub struct SharedRam(pub Arc<Ram>);

impl Memory for SharedRam {
    fn end(&self) -> Pa {
        Pa(self.0.bytes())
    }
    fn read(&self, pa: Pa, bytes: &mut [u8]) {
        self.0.read(pa, bytes);
    }
    fn write(&self, pa: Pa, bytes: &[u8]) {
        self.0.write(pa, bytes);
    }
    fn zero(&self, pa: Pa, bytes: u64) {
        self.0.zero(pa, bytes);
    }
    fn copy(&self, from: Pa, to: Pa, bytes: u64) {
        let places = (0..bytes).step_by(PAGE_BYTES as usize);
        if [from.0, to.0, bytes].iter().all(|place| place.is_multiple_of(PAGE_BYTES)) {
            return places.for_each(|at| self.0.copy_page(from.offset(at), to.offset(at)));
        }
        let mut page = [0; PAGE_BYTES as usize];
        for at in places {
            let part = &mut page[..(bytes - at).min(PAGE_BYTES) as usize];
            self.0.read(from.offset(at), part);
            self.0.write(to.offset(at), part);
        }
    }
    fn log_start(&self, pa: Pa, bytes: u64) {
        self.0.log().start(pa, bytes);
    }
    fn log_stop(&self, pa: Pa, bytes: u64) {
        self.0.log().stop(pa, bytes);
    }
    fn log_is_dirty(&self, pa: Pa) -> bool {
        self.0.log().is_dirty(pa)
    }
    fn log_clean(&self, pa: Pa) {
        self.0.log().clean(pa);
    }
    fn log_dirty(&self, pa: Pa) {
        self.0.log().mark(pa);
    }
}

/// The units' way to memory.
struct Port<'a>(&'a Ram);

impl Dma for Port<'_> {
    fn read(&self, pa: Pa, bytes: &mut [u8]) {
        self.0.read(pa, bytes);
    }
    fn write(&self, pa: Pa, bytes: &[u8]) {
        self.0.write(pa, bytes);
    }
}

/// The strands of a guest.
enum Seat {
    Sparc(Box<Domain>),
    Native(Desk<SharedRam>),
    Away,
}

/// Something that the hypervisor told the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notice {
    /// A guest was started.
    Started(GuestId),
    /// A guest ended by itself with this code.
    Exited(GuestId, u64),
    /// Something for the service processor.
    Sp(SpMessage),
}

/// The two crypto units of a core, and whose control words one has.
struct Unit {
    cwq: Cwq,
    user: Option<GuestId>,
    mau: Mau,
}

/// What is on the board of one chassis.
pub struct Board {
    ram: Arc<Ram>,
    now: SimTime,
    seats: BTreeMap<GuestId, Seat>,
    maps: BTreeMap<GuestId, RealMap>,
    native: BTreeSet<GuestId>,
    units: Vec<Unit>,
    notices: Vec<Notice>,
    trace: Vec<String>,
    noise: Noise,
    console: BTreeMap<GuestId, Vec<u8>>,
    choice: Choice,
    next_engine: Option<Box<dyn Engine + Send>>,
    shares: bool,
    stopwatch: Option<Stopwatch>,
    retired: Vec<(GuestId, Figures)>,
}

impl Board {
    /// A board with this memory, and nobody on it.
    #[must_use]
    pub fn new(ram: Arc<Ram>) -> Self {
        let unit = |_| Unit { cwq: Cwq::new(T2_HZ), user: None, mau: Mau::new(T2_HZ) };
        Self {
            ram,
            now: SimTime::ZERO,
            seats: BTreeMap::new(),
            maps: BTreeMap::new(),
            native: BTreeSet::new(),
            units: (0..CORES).map(unit).collect(),
            notices: Vec::new(),
            trace: Vec::new(),
            noise: Noise::default(),
            console: BTreeMap::new(),
            choice: Choice::default(),
            next_engine: None,
            shares: Choice::default().timing.costs().shared,
            stopwatch: None,
            retired: Vec::new(),
        }
    }

    /// The random number generator's noise.
    #[must_use]
    pub const fn noise(&self) -> &Noise {
        &self.noise
    }

    /// Gives the random number generator its noise.
    pub fn set_noise(&mut self, noise: Noise) {
        self.noise = noise;
    }

    /// Says by which engine and timing model guests are run, those to come too.
    pub fn set_choice(&mut self, choice: Choice) {
        self.choice = choice;
        self.shares = choice.timing.costs().shared;
        for seat in self.seats.values_mut() {
            if let Seat::Sparc(domain) = seat {
                domain.set_choice(choice);
            }
        }
    }

    /// Gives the next guest that comes an engine that has no name.
    pub fn set_next_engine(&mut self, engine: Box<dyn Engine + Send>) {
        self.next_engine = Some(engine);
    }

    /// Lends domains a stopwatch, those to come too.
    pub fn set_stopwatch(&mut self, stopwatch: Option<Stopwatch>) {
        self.stopwatch = stopwatch;
        for seat in self.seats.values_mut() {
            if let Seat::Sparc(domain) = seat {
                domain.set_stopwatch(stopwatch);
            }
        }
    }

    /// Figures of domains that were taken off the board since the last call.
    pub fn take_retired(&mut self) -> Vec<(GuestId, Figures)> {
        std::mem::take(&mut self.retired)
    }

    /// Tells every domain which strands of others run, when a slice begins: those of
    /// domains that `runs` says, and the `native` ones.
    pub fn publish_groups(&mut self, native: Groups, runs: impl Fn(GuestId) -> bool) {
        let domains = self.domains().filter(|(guest, _)| runs(*guest));
        let all = domains.fold(native, |all, (_, domain)| all.with(&domain.running()));
        for (&guest, seat) in &mut self.seats {
            if let Seat::Sparc(domain) = seat {
                let own = if runs(guest) { domain.running() } else { Groups::default() };
                domain.set_others(all.without(&own));
            }
        }
    }

    /// Does the timing model care who shares a thread group?
    #[must_use]
    pub fn shares_issue(&self) -> bool {
        self.shares
    }

    /// Says that the software of `guest` is native. Comes before it is assigned.
    pub fn declare_native(&mut self, guest: GuestId) {
        self.native.insert(guest);
    }

    /// The memory.
    #[must_use]
    pub fn ram(&self) -> &Arc<Ram> {
        &self.ram
    }

    /// Moves the board, and every domain on it, to a boundary.
    pub fn set_now(&mut self, now: SimTime) {
        self.now = now;
        for seat in self.seats.values_mut() {
            match seat {
                Seat::Sparc(domain) => domain.set_now(now),
                Seat::Native(desk) => desk.set_now(now),
                Seat::Away => {}
            }
        }
    }

    /// The domains that execute instructions.
    pub fn domains(&self) -> impl Iterator<Item = (GuestId, &Domain)> {
        self.seats.iter().filter_map(|(&id, seat)| match seat {
            Seat::Sparc(domain) => Some((id, domain.as_ref())),
            Seat::Native(_) | Seat::Away => None,
        })
    }

    /// A domain that executes instructions, if it is one and here.
    #[must_use]
    pub fn domain(&self, guest: GuestId) -> Option<&Domain> {
        match self.seats.get(&guest)? {
            Seat::Sparc(domain) => Some(domain),
            Seat::Native(_) | Seat::Away => None,
        }
    }

    /// The same, to look at it as a debugger does.
    pub fn domain_mut(&mut self, guest: GuestId) -> Option<&mut Domain> {
        match self.seats.get_mut(&guest)? {
            Seat::Sparc(domain) => Some(domain),
            Seat::Native(_) | Seat::Away => None,
        }
    }

    /// Takes a domain out, for a slice; `None` if its software is native.
    pub fn take_domain(&mut self, guest: GuestId) -> Option<Box<Domain>> {
        let seat = self.seats.get_mut(&guest)?;
        match std::mem::replace(seat, Seat::Away) {
            Seat::Sparc(domain) => Some(domain),
            other => {
                *seat = other;
                None
            }
        }
    }

    /// Puts it back.
    pub fn put_domain(&mut self, guest: GuestId, domain: Box<Domain>) {
        self.seats.insert(guest, Seat::Sparc(domain));
    }

    /// The desk of a native guest.
    pub fn desk(&mut self, guest: GuestId) -> Option<&mut Desk<SharedRam>> {
        match self.seats.get_mut(&guest)? {
            Seat::Native(desk) => Some(desk),
            Seat::Sparc(_) | Seat::Away => None,
        }
    }

    /// Busy times of the first `vcpus` virtual CPUs of a guest.
    #[must_use]
    pub fn busy(&self, guest: GuestId, vcpus: impl Iterator<Item = VcpuId>) -> Vec<SimTime> {
        match self.seats.get(&guest) {
            Some(Seat::Sparc(domain)) => vcpus.map(|vcpu| domain.busy(vcpu)).collect(),
            Some(Seat::Native(desk)) => vcpus.map(|vcpu| desk.busy(vcpu)).collect(),
            Some(Seat::Away) | None => Vec::new(),
        }
    }

    /// When the next operation of a crypto unit ends; [`SimTime::NEVER`] if none
    /// is under way.
    #[must_use]
    pub fn crypto_due(&self) -> SimTime {
        let due = |unit: &Unit| [unit.cwq.next_due(), unit.mau.next_due()];
        self.units.iter().flat_map(due).flatten().min().unwrap_or(SimTime::NEVER)
    }

    /// Does what the crypto units have ended by now, and tells the hypervisor.
    pub fn end_crypto(&mut self, hv: &mut Hypervisor) {
        for core in (0..CORES).map(|core| CoreId(core as u8)) {
            let (ram, now) = (Arc::clone(&self.ram), self.now);
            let unit = &mut self.units[usize::from(core.0)];
            let words = unit.cwq.advance(now, &Port(&ram));
            let operations = unit.mau.advance(now, &Port(&ram));
            if !words.is_empty() {
                let ok: Vec<_> = words.into_iter().map(|end| end == Status::Done).collect();
                hv.cwq_done(core, &ok, self);
            }
            if !operations.is_empty() {
                let ends: Vec<_> = operations.into_iter().map(end).collect();
                hv.mau_done(core, &ends, self);
            }
        }
    }

    /// What a core's modular arithmetic unit has done.
    #[must_use]
    pub fn mau_counters(&self, core: CoreId) -> mau::Counters {
        self.units[usize::from(core.0)].mau.counters()
    }

    /// What a core's cipher and hash unit has done.
    #[must_use]
    pub fn crypto_counters(&self, core: CoreId) -> cwq::Counters {
        self.units[usize::from(core.0)].cwq.counters()
    }

    /// Has no crypto unit anything to do?
    #[must_use]
    pub fn crypto_idle(&self) -> bool {
        self.units.iter().all(|unit| unit.cwq.is_idle() && unit.mau.is_idle())
    }

    /// Brings the strands of all domains to the boundary.
    pub fn settle(&mut self) {
        for seat in self.seats.values_mut() {
            if let Seat::Sparc(domain) = seat {
                domain.settle();
            }
        }
    }

    /// Records of the crypto units, which are idle, and of the domains.
    #[must_use]
    pub fn save(&self) -> (Vec<UnitV1>, Vec<(u8, DomainV1)>) {
        let units = self.units.iter().map(|unit| unit.cwq.save()).collect();
        (units, self.domains().map(|(guest, domain)| (guest.0, domain.save())).collect())
    }

    /// Loads them into a board whose domains were given their strands.
    ///
    /// # Errors
    /// The rule that a record breaks.
    pub fn load(
        &mut self,
        units: &[UnitV1],
        domains: Vec<(u8, DomainV1)>,
    ) -> Result<(), &'static str> {
        if units.len() != self.units.len() {
            return Err("not as many crypto units as there are cores");
        }
        if !domains.iter().map(|(id, _)| GuestId(*id)).eq(self.domains().map(|(id, _)| id)) {
            return Err("other domains than the hypervisor has");
        }
        for (unit, record) in self.units.iter_mut().zip(units) {
            *unit = Unit { cwq: Cwq::loaded(T2_HZ, *record), mau: Mau::new(T2_HZ), user: None };
        }
        for (id, record) in domains {
            let domain = self.domain_mut(GuestId(id)).ok_or("a domain that is not there")?;
            domain.load(record)?;
        }
        Ok(())
    }

    /// What the hypervisor told since the last call.
    pub fn take_notices(&mut self) -> Vec<Notice> {
        std::mem::take(&mut self.notices)
    }

    /// Lines of the hypercall trace since the last call.
    pub fn take_trace(&mut self) -> Vec<String> {
        std::mem::take(&mut self.trace)
    }

    /// Characters for the service processor's consoles since the last call.
    pub fn take_console(&mut self) -> BTreeMap<GuestId, Vec<u8>> {
        std::mem::take(&mut self.console)
    }

    /// Forgets the control words of `guest`.
    fn forget_words(&mut self, guest: GuestId) {
        for unit in self.units.iter_mut().filter(|unit| unit.user == Some(guest)) {
            unit.cwq.reset(self.now);
            unit.user = None;
        }
    }

    /// In whose memory `pa` lies.
    fn owner(&self, pa: Pa) -> Option<GuestId> {
        let owns = |map: &RealMap| {
            map.ranges().iter().any(|range| pa.0.wrapping_sub(range.pa.0) < range.size)
        };
        self.maps.iter().find(|(_, map)| owns(map)).map(|(&guest, _)| guest)
    }

    fn seat(&mut self, guest: GuestId) -> &mut Seat {
        let (ram, now, native) = (&self.ram, self.now, self.native.contains(&guest));
        let (choice, stopwatch, next_engine) = (self.choice, self.stopwatch, &mut self.next_engine);
        self.seats.entry(guest).or_insert_with(|| {
            if native {
                let mut desk = Desk::new(SharedRam(Arc::clone(ram)));
                desk.set_now(now);
                Seat::Native(desk)
            } else {
                let mut domain = Domain::new(Arc::clone(ram), choice);
                domain.set_now(now);
                if let Some(engine) = next_engine.take() {
                    domain.set_engine(engine);
                }
                domain.set_stopwatch(stopwatch);
                Seat::Sparc(Box::new(domain))
            }
        })
    }
}

impl Machine for Board {
    fn now(&self) -> SimTime {
        self.now
    }
    fn time_of_day(&self) -> Option<u64> {
        Some(TOD_AT_ZERO + self.now.0 / SimTime::secs(1).0)
    }
    fn memory(&self) -> &dyn Memory {
        &*self.ram
    }
    fn cpus(&mut self, guest: GuestId) -> &mut dyn Cpus {
        match self.seat(guest) {
            Seat::Sparc(domain) => domain.as_mut(),
            Seat::Native(desk) => desk,
            Seat::Away => panic!("guest {guest} is away in a slice"),
        }
    }
    fn assign(&mut self, guest: GuestId, strands: &[(VcpuId, StrandId)], memory: &RealMap) {
        self.maps.insert(guest, memory.clone());
        if let Seat::Sparc(domain) = self.seat(guest) {
            domain.assign(strands, memory);
        }
    }
    fn unassign(&mut self, guest: GuestId) {
        self.forget_words(guest);
        if let Some(Seat::Sparc(domain)) = self.seats.remove(&guest)
            && domain.instructions() != 0
        {
            self.retired.push((guest, domain.figures()));
        }
        self.maps.remove(&guest);
        self.console.remove(&guest);
    }
    fn guest_started(&mut self, guest: GuestId) {
        self.forget_words(guest);
        self.notices.push(Notice::Started(guest));
    }
    fn guest_exited(&mut self, guest: GuestId, code: u64) {
        self.notices.push(Notice::Exited(guest, code));
    }
    fn cwq_submit(&mut self, core: CoreId, words: &[ControlWord]) {
        let Some(first) = words.first() else { return };
        let user = self.owner(first.source);
        let words: Vec<_> = words.iter().map(word).collect();
        let unit = &mut self.units[usize::from(core.0)];
        unit.user = user;
        unit.cwq.submit(self.now, &words);
    }
    fn mau_submit(&mut self, core: CoreId, operations: &[MauOperation]) {
        let operations: Vec<_> = operations.iter().map(operation).collect();
        self.units[usize::from(core.0)].mau.submit(self.now, &operations);
    }
    fn crypto_stop(&mut self, kind: CryptoKind, core: CoreId) {
        let unit = &mut self.units[usize::from(core.0)];
        match kind {
            CryptoKind::Mau => unit.mau.reset(),
            CryptoKind::Cwq => {
                unit.cwq.reset(self.now);
                unit.user = None;
            }
        }
    }
    fn sp_message(&mut self, message: SpMessage) {
        self.notices.push(Notice::Sp(message));
    }
    fn entropy(&mut self) -> u64 {
        self.noise.draw()
    }
    fn sp_console(&mut self, guest: GuestId, byte: u8) {
        self.console.entry(guest).or_default().push(byte);
    }
    fn trace(&mut self, line: &str) {
        self.trace.push(line.to_owned());
    }
}

/// A control word as the unit takes it.
pub(super) fn word(word: &ControlWord) -> cwq::ControlWord {
    cwq::ControlWord {
        control: Control(word.control),
        source: word.source,
        auth_key: word.auth_key,
        auth_iv: word.auth_iv,
        auth_state: word.auth_state,
        key: word.key,
        iv: word.iv,
        destination: word.destination,
    }
}

/// An operation as the unit takes it.
fn operation(operation: &MauOperation) -> mau::Operation {
    mau::Operation {
        control: MaControl(operation.control),
        memory: operation.memory,
        offsets: MaOffsets(operation.offsets),
        n_prime: operation.n_prime,
        void: operation.void,
        last: operation.last,
    }
}

/// How one ended, as the hypervisor hears it.
const fn end(status: mau::Status) -> MauEnd {
    match status {
        mau::Status::Done => MauEnd::Done,
        mau::Status::InvalidOperation => MauEnd::InvalidOperation,
        mau::Status::Void => MauEnd::Void,
        mau::Status::Skipped => MauEnd::Skipped,
    }
}

#[cfg(test)]
mod test {
    use super::{Board, Groups, Hypervisor, Notice, TOD_AT_ZERO};
    use crate::engine::{Choice, Model};
    use crate::mem::Ram;
    use hv::platform::{ControlWord, Machine, StartState};
    use std::sync::Arc;
    use sun4v::addr::{Pa, Ra, RealMap, RealRange};
    use sun4v::id::{CoreId, GuestId, StrandId, VcpuId};
    use sun4v::ncs::Control;
    use sun4v::time::SimTime;

    const ME: GuestId = GuestId(0);

    fn board() -> Board {
        let mut board = Board::new(Arc::new(Ram::new(1 << 20).unwrap()));
        board.declare_native(ME);
        let range = RealRange { ra: Ra(0), pa: Pa(0x8000), size: 0x8000 };
        board.assign(ME, &[], &RealMap::new(vec![range]));
        board
    }

    /// A copy of a kilobyte.
    fn copy() -> ControlWord {
        let control = 0x20 << 56 | Control::SOB | Control::EOB | 1023;
        ControlWord { control, source: Pa(0x8000), destination: Pa(0xa000), ..Default::default() }
    }

    #[test]
    fn the_clock_of_the_service_processor_counts_seconds() {
        let mut board = board();
        board.set_now(SimTime::ms(3_999));
        assert_eq!(board.time_of_day(), Some(TOD_AT_ZERO + 3));
        assert_eq!(board.cpus(ME).now(), SimTime::ms(3_999));
    }

    #[test]
    fn a_unit_ends_its_words_in_time_and_forgets_those_of_a_guest_that_goes() {
        let mut board = board();
        board.ram().write(Pa(0x8000), &[7; 1024]);
        board.cwq_submit(CoreId(3), &[copy()]);
        let due = board.crypto_due();
        assert!(due > SimTime::ZERO && due < SimTime::us(1), "{due:?}");
        let mut hv = Hypervisor::new();
        board.set_now(SimTime(due.0 - 1));
        board.end_crypto(&mut hv);
        assert_eq!(board.ram().load::<u8>(Pa(0xa3ff)), 0);
        board.set_now(due);
        board.end_crypto(&mut hv);
        assert_eq!(board.ram().load::<u8>(Pa(0xa3ff)), 7);
        board.cwq_submit(CoreId(3), &[copy()]);
        board.unassign(ME);
        assert_eq!(board.crypto_due(), SimTime::NEVER);
    }

    #[test]
    fn a_domain_is_told_of_the_strands_of_others_that_run() {
        let mut board = board();
        let groups = |strands: &[u8]| {
            let mut groups = Groups::default();
            strands.iter().for_each(|&strand| groups.add(StrandId(strand)));
            groups
        };
        let state = StartState { pc: 0, argument: 0, memory_base: 0, memory_bytes: 0 };
        for (guest, first) in [(GuestId(1), 1), (GuestId(2), 2), (GuestId(3), 3)] {
            let strands = [(VcpuId(0), StrandId(first)), (VcpuId(1), StrandId(first + 8))];
            board.assign(guest, &strands, &RealMap::default());
            board.cpus(guest).start(VcpuId(0), state);
        }
        // One of a native domain; and the third guest is suspended.
        board.publish_groups(groups(&[0]), |guest| guest != GuestId(3));
        let others = |guest| board.domain(GuestId(guest)).unwrap().others();
        assert_eq!(others(1), groups(&[0, 2]));
        assert_eq!(others(2), groups(&[0, 1]));
        assert_eq!(others(3), groups(&[0, 1, 2]));
        assert!(!board.shares_issue());
        board.set_choice(Choice { timing: Model::T2, ..Choice::default() });
        assert!(board.shares_issue());
    }

    #[test]
    fn what_the_hypervisor_says_is_handed_out_once() {
        let mut board = board();
        board.guest_started(ME);
        board.guest_exited(ME, 3);
        b"ok".iter().for_each(|&byte| board.sp_console(ME, byte));
        assert_eq!(board.take_notices(), [Notice::Started(ME), Notice::Exited(ME, 3)]);
        assert_eq!(board.take_console()[&ME], b"ok");
        assert!(board.take_notices().is_empty() && board.take_console().is_empty());
    }
}
