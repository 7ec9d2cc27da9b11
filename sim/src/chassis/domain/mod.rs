//! A domain whose software is SPARC instructions: its strands, and how they run
//! for a slice.
//!
//! **Order.** Inside a slice the virtual CPUs run one after the other, in the order
//! of their numbers, each to the slice's end or until it parks. One that another
//! woke meanwhile goes on from the waker's time, in a further round of the same
//! slice; so a slice ends when none that runs has time left. A virtual CPU that only
//! spins gives the rest of its slice up.
//!
//! **Time.** A strand's own time is its count of machine ticks. What `%tick` and
//! `%stick` read never goes back in the order of execution, although virtual CPUs
//! take turns ([`Clock`]). A parked strand wakes at the exact tick of its compare
//! registers.
//!
//! **Held.** A domain that the hypervisor holds executes at the front of each interval
//! only; its strands' clocks go on.
//!
//! **Debugger.** A domain with breakpoints, watchpoints or a step is run one instruction
//! at a time and may stop anywhere in a slice; [`Domain::run`] then goes on from there
//! exactly.

mod cpus;
mod record;
mod watch;

use self::cpus::complete;
pub use self::record::{DomainV1, SeatV1};
use super::figures::{Figures, Meter, Stopwatch};
use super::groups::Groups;
use crate::chip::stick::time_of;
use crate::chip::strand::{RunState, Strand};
use crate::chip::tlb::Core;
use crate::engine::{Choice, Clock, Code, Costs, Counts, Engine, Exit, Interp, Place};
use crate::gdb::view::locate;
use crate::gdb::{Debug, Reason};
use crate::mem::Ram;
use hv::{Guest, Outcome, Trap};
use std::collections::BTreeMap;
use std::sync::Arc;
use sun4v::addr::{Pa, RealMap};
use sun4v::hvctl::migrate::HOLD_INTERVAL_US;
use sun4v::id::{CoreId, StrandId, VcpuId};
use sun4v::isa::tt;
use sun4v::time::{SimTime, T2_HZ};

/// Ticks of the interval of which a held domain has a share.
const HOLD_TICKS: u64 = T2_HZ * HOLD_INTERVAL_US / 1_000_000;

/// A virtual CPU and the strand that it is.
struct Seat {
    vcpu: VcpuId,
    id: StrandId,
    strand: Strand,
}

/// An instruction that was executed, for a trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// Machine tick before it.
    pub tick: u64,
    /// Who executed it.
    pub vcpu: VcpuId,
    /// Where it is.
    pub pc: u64,
    /// The instruction, when its page is mapped.
    pub word: Option<u32>,
}

/// The strands of one guest.
pub struct Domain {
    ram: Arc<Ram>,
    now: SimTime,
    map: RealMap,
    seats: Vec<Seat>,
    cores: BTreeMap<CoreId, Core>,
    code: Code,
    clock: Clock,
    counts: Counts,
    meter: Meter,
    engine: Box<dyn Engine + Send>,
    costs: Costs,
    /// Strands of other domains that run, and its own when the slice began.
    others: Groups,
    running: Groups,
    /// The share of each interval in which none of its strands executes, in percent.
    held: u8,
    /// Whose trap is being served.
    current: Option<usize>,
    steps: Option<Vec<Step>>,
    debug: Option<Debug>,
    /// Whose turn it was when a debugger's stop ended [`Domain::run`], and whether
    /// somebody had run in that round.
    paused: Option<(usize, bool)>,
}

/// The TLBs of a core, empty if it had none.
fn core_of(cores: &mut BTreeMap<CoreId, Core>, id: CoreId) -> &mut Core {
    cores.entry(id).or_insert_with(|| Core::new(u64::from(id.0)))
}

/// How a turn has ended.
enum Turn {
    /// It could not begin.
    None,
    /// At the slice's end, or parked.
    Done,
    /// In the middle.
    Stopped(Reason),
}

impl Domain {
    /// A domain without strands, whose instructions are executed as `choice` says.
    #[must_use]
    pub fn new(ram: Arc<Ram>, choice: Choice) -> Self {
        Self {
            ram,
            now: SimTime::ZERO,
            map: RealMap::default(),
            seats: Vec::new(),
            cores: BTreeMap::new(),
            code: Code::default(),
            clock: Clock::default(),
            counts: Counts::default(),
            meter: Meter::default(),
            engine: choice.engine.engine(),
            costs: choice.timing.costs(),
            others: Groups::default(),
            running: Groups::default(),
            held: 0,
            current: None,
            steps: None,
            debug: None,
            paused: None,
        }
    }

    /// Gives it strands and memory. Strands that stay keep their state.
    pub fn assign(&mut self, strands: &[(VcpuId, StrandId)], memory: &RealMap) {
        let tick = self.now.ticks(T2_HZ);
        let mut before = std::mem::take(&mut self.seats);
        self.seats = strands
            .iter()
            .map(|&(vcpu, id)| {
                let kept = before.iter().position(|seat| (seat.vcpu, seat.id) == (vcpu, id));
                kept.map_or_else(
                    || Seat { vcpu, id, strand: Strand { tick, ..Strand::default() } },
                    |index| before.swap_remove(index),
                )
            })
            .collect();
        self.seats.sort_by_key(|seat| seat.vcpu);
        self.cores.retain(|&core, _| self.seats.iter().any(|seat| seat.id.core() == core));
        for seat in &self.seats {
            core_of(&mut self.cores, seat.id.core());
        }
        if self.map != *memory {
            self.map = memory.clone();
            // What was translated or decoded may lie in memory that is somebody
            // else's now.
            self.code.clear(&self.ram);
            self.cores.values_mut().for_each(|core| core.demap_all(true, true));
        }
    }

    /// Changes the engine and the timing model, between slices.
    pub fn set_choice(&mut self, choice: Choice) {
        self.engine.pending(&mut self.counts);
        self.engine = choice.engine.engine();
        self.costs = choice.timing.costs();
    }

    /// Its strands that have something to execute.
    #[must_use]
    pub fn running(&self) -> Groups {
        let mut groups = Groups::default();
        let runs = |seat: &&Seat| seat.strand.state == RunState::Running;
        self.seats.iter().filter(runs).for_each(|seat| groups.add(seat.id));
        groups
    }

    /// Strands of other domains that run, as it was told.
    #[must_use]
    pub fn others(&self) -> Groups {
        self.others
    }

    /// Says which strands of other domains run beside it until it is told again.
    pub fn set_others(&mut self, others: Groups) {
        self.others = others;
    }

    /// Changes the engine to one that has no name, between slices.
    pub fn set_engine(&mut self, engine: Box<dyn Engine + Send>) {
        self.engine.pending(&mut self.counts);
        self.engine = engine;
    }

    /// Moves its clock to a boundary.
    pub fn set_now(&mut self, now: SimTime) {
        self.now = now;
    }

    /// When a virtual CPU can execute next: its clock when one runs, the earliest
    /// timer of the parked ones otherwise, [`SimTime::NEVER`] if only the boundary
    /// can wake one.
    #[must_use]
    pub fn next_time(&self) -> SimTime {
        let times = self.seats.iter().map(|Seat { strand, .. }| match strand.state {
            RunState::Running => time_of(strand.tick),
            RunState::Parked => time_of(strand.due()),
            RunState::Stopped | RunState::Blocked => SimTime::NEVER,
        });
        times.min().unwrap_or(SimTime::NEVER)
    }

    /// Runs every virtual CPU from its clock up to `until`, serving its traps by
    /// `guest`. When a debugger stops it before that, says who stopped and why; the
    /// next call, with the same `until`, goes on.
    pub fn run(&mut self, guest: &mut Guest, until: SimTime) -> Option<(VcpuId, Reason)> {
        if self.paused.is_none() {
            self.running = self.running();
        }
        let start = self.meter.start();
        let stop = self.turns(guest, until.ticks(T2_HZ));
        self.meter.stop(start);
        stop
    }

    fn turns(&mut self, guest: &mut Guest, end: u64) -> Option<(VcpuId, Reason)> {
        let mut resumed = self.paused.take();
        let rings = self.debug.as_ref().is_some_and(|debug| debug.bell.rings());
        if rings && resumed.is_none() && !self.seats.is_empty() {
            self.paused = Some((self.seats.len(), true));
            return Some((self.seats[0].vcpu, Reason::Bell));
        }
        loop {
            let (first, mut ran) = resumed.unwrap_or((0, false));
            for index in first..self.seats.len() {
                match self.turn(index, guest, end, resumed.take().is_some()) {
                    Turn::None => {}
                    Turn::Done => ran = true,
                    Turn::Stopped(reason) => {
                        self.paused = Some((index, true));
                        return Some((self.seats[index].vcpu, reason));
                    }
                }
            }
            resumed = None;
            if !ran {
                return None;
            }
        }
    }

    /// Instructions executed so far.
    #[must_use]
    pub fn instructions(&self) -> u64 {
        self.counts().instructions
    }

    /// Instructions, and traps that the guest served, so far.
    #[must_use]
    pub fn counts(&self) -> Counts {
        let mut counts = self.counts.clone();
        self.engine.pending(&mut counts);
        counts
    }

    /// Hypercalls so far, by trap number and function.
    #[must_use]
    pub fn hypercalls(&self) -> &BTreeMap<(u8, u64), u64> {
        &self.meter.hypercalls
    }

    /// All figures so far.
    #[must_use]
    pub fn figures(&self) -> Figures {
        self.meter.figures(&self.counts())
    }

    /// Lends a stopwatch for the host's time, or takes it away.
    pub fn set_stopwatch(&mut self, stopwatch: Option<Stopwatch>) {
        self.meter.stopwatch = stopwatch;
    }

    /// Turns the trace of instructions on or off.
    pub fn set_trace(&mut self, on: bool) {
        self.steps = on.then(Vec::new);
    }

    /// What was executed since the last call, if the trace is on.
    pub fn take_steps(&mut self) -> Vec<Step> {
        self.steps.as_mut().map(std::mem::take).unwrap_or_default()
    }

    /// Lets one virtual CPU run, or go on with its turn.
    fn turn(&mut self, index: usize, guest: &mut Guest, end: u64, resumed: bool) -> Turn {
        let strand = &mut self.seats[index].strand;
        if !resumed {
            if strand.state == RunState::Parked && strand.due() <= end {
                strand.tick = strand.tick.max(strand.due());
                strand.match_compares();
                strand.state = RunState::Running;
            }
            if strand.state != RunState::Running || strand.tick >= end {
                return Turn::None;
            }
        }
        let slice_end = end;
        while self.seats[index].strand.state == RunState::Running {
            let end = self.until(index, slice_end);
            if self.seats[index].strand.tick >= end {
                break;
            }
            let single = self.is_watched(index) && self.seats[index].strand.tick < end;
            let mut watched = None;
            let mut pc = 0;
            if single {
                self.deliver(index);
                pc = self.seats[index].strand.pc;
                if let Some(reason) = self.debug.as_ref().and_then(|debug| debug.points.at(pc)) {
                    return Turn::Stopped(reason);
                }
                watched = self.watched(index, guest);
            }
            let exit = self.execute(index, end, single);
            let met = self.met(index, watched);
            let strand = &mut self.seats[index].strand;
            match exit {
                Exit::Budget => {
                    if strand.tick >= slice_end {
                        break;
                    }
                }
                Exit::Spin => {
                    let to = end.min(strand.due()).max(strand.tick);
                    strand.busy += to - strand.tick;
                    self.meter.cycles += to - strand.tick;
                    strand.tick = to;
                }
                exit => self.serve(index, exit, guest),
            }
            if let Some(reason) = met.or_else(|| self.stepped(index, single.then_some(pc)?)) {
                return Turn::Stopped(reason);
            }
        }
        Turn::Done
    }

    /// The tick up to which a strand may execute now, in a slice that ends at `end`. One
    /// that is held goes on behind that; what it should have noticed it notices then.
    fn until(&mut self, index: usize, end: u64) -> u64 {
        if self.held == 0 {
            return end;
        }
        let strand = &mut self.seats[index].strand;
        let runs = HOLD_TICKS * u64::from(100 - self.held.min(100)) / 100;
        let begun = strand.tick / HOLD_TICKS * HOLD_TICKS;
        if strand.tick < begun + runs {
            return end.min(begun + runs);
        }
        strand.tick = end.min(begun + HOLD_TICKS);
        strand.match_compares();
        end.min(begun + HOLD_TICKS + runs)
    }

    /// Runs the engine; one instruction at a time when they are traced, or when `single`
    /// says so.
    fn execute(&mut self, index: usize, end: u64, single: bool) -> Exit {
        let Some(mut steps) = self.steps.take() else {
            let until = if single { end.min(self.seats[index].strand.tick + 1) } else { end };
            return self.run_engine(index, until, single);
        };
        let strand = &self.seats[index].strand;
        let (tick, pc, vcpu) = (strand.tick, strand.pc, self.seats[index].vcpu);
        let before = self.peek(index, pc);
        let exit = self.run_engine(index, end.min(tick + 1), true);
        let word = before.or_else(|| self.peek(index, pc));
        steps.push(Step { tick, vcpu, pc, word });
        self.steps = Some(steps);
        exit
    }

    fn run_engine(&mut self, index: usize, until: u64, single: bool) -> Exit {
        let Seat { id, strand, .. } = &mut self.seats[index];
        let sharing = self.running.sharing(&self.others, *id);
        let core = core_of(&mut self.cores, id.core());
        let before = strand.tick;
        let place = Place {
            strand,
            core,
            ram: &self.ram,
            map: &self.map,
            code: &mut self.code,
            clock: &mut self.clock,
            counts: &mut self.counts,
            costs: &self.costs,
            sharing,
        };
        let exit = match single {
            true => Interp.run(place, until),
            false => self.engine.run(place, until),
        };
        let strand = &mut self.seats[index].strand;
        strand.busy += strand.tick - before;
        self.meter.cycles += strand.tick - before;
        exit
    }

    /// Where an instruction of a virtual CPU lies, as far as its translations go.
    fn locate(&self, index: usize, pc: u64) -> Option<Pa> {
        let Seat { id, strand, .. } = &self.seats[index];
        locate(strand, self.cores.get(&id.core())?, &self.ram, &self.map, pc, true)
    }

    /// The instruction at `pc`, likewise.
    fn peek(&self, index: usize, pc: u64) -> Option<u32> {
        Some(self.ram.load(self.locate(index, pc)?))
    }

    /// Hands what stopped a strand to the hypervisor.
    fn serve(&mut self, index: usize, exit: Exit, guest: &mut Guest) {
        let Seat { vcpu, strand, .. } = &self.seats[index];
        let vcpu = *vcpu;
        self.meter.exit(exit);
        let trap = match exit {
            Exit::Budget | Exit::Spin => return,
            Exit::Hypercall { number } => {
                let args = std::array::from_fn(|arg| strand.regs.get(8 + arg as u8));
                *self.meter.hypercalls.entry((number, args[5])).or_default() += 1;
                Trap::Hypercall { number, args }
            }
            Exit::Miss { instruction, va, context } => Trap::Miss { instruction, va, context },
            Exit::Protection { va, context } => Trap::Protection { va, context },
            Exit::Fault { tt, instruction, kind, address, context } => {
                Trap::Fault { tt, instruction, kind, address, context }
            }
            Exit::Plain { tt } => Trap::Plain { tt },
            // Nobody turns the switch on here: it is no instruction for a guest.
            Exit::Hyperprivileged { .. } => Trap::Plain { tt: tt::ILLEGAL_INSTRUCTION },
            Exit::Watchdog => Trap::Watchdog,
        };
        self.current = Some(index);
        let outcome = guest.htrap(vcpu, trap, self);
        self.current = None;
        let strand = &mut self.seats[index].strand;
        match &outcome {
            Outcome::Done(answer) => complete(strand, answer),
            Outcome::Parked(answer) => {
                complete(strand, answer);
                // An interrupt that is pending already would have ended the wait.
                if strand.softint == 0 {
                    strand.state = RunState::Parked;
                }
            }
            Outcome::Resumed => {}
            Outcome::Blocked => strand.state = RunState::Blocked,
        }
    }
}
