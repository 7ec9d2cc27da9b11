//! The chassis's random number generator: who owns it, how it is set up, when it is ready.
//!
//! **Shape.** One for all guests, so a call waits for the boundary, where no two meet: it is
//! never found busy. Times are ticks of the machine; a call that has to wait says for how
//! many. That a read itself waits for the delay of its control word is not modelled.
//!
//! **States.** At power-on it is in error and nobody's. Whoever has the privilege takes it,
//! writes control words and the state that follows: *health check*, in which the owner alone
//! reads; *configured*, in which everybody does; *unconfigured* or *error*, to give it up.
//!
//! **Source.** sun4v hypervisor API, RNG group 1.0; the OpenSPARC hypervisor's `rng.s`.

use crate::Hypervisor;
use crate::platform::Machine;
use crate::trap::{Answer, Failure};
use sun4v::addr::{Pa, Ra};
use sun4v::hcall::HvError;
use sun4v::id::GuestId;
use sun4v::rng::{CONTROL_BITS, CONTROL_WORDS, Control, RngState};
use sun4v::time::{SimTime, T2_HZ};

/// The generator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rng {
    state: RngState,
    owner: Option<GuestId>,
    control: [u64; CONTROL_WORDS],
    /// The tick from which on it is ready.
    ready: u64,
    /// What a read gives without noise.
    quiet: u64,
}

impl Default for Rng {
    fn default() -> Self {
        let control = [0; CONTROL_WORDS];
        Self { state: RngState::Error, owner: None, control, ready: 0, quiet: 0 }
    }
}

/// What a guest wants of it; its privileges and its addresses were looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request {
    /// To own it.
    Take,
    /// State, ticks until ready, and the control words into a buffer.
    Look {
        /// The buffer, if it wants them.
        buffer: Option<Ra>,
    },
    /// New control words and a new state.
    Set {
        /// Where the words are.
        buffer: Ra,
        /// The state.
        state: u64,
        /// Ticks from now until it is ready.
        timeout: u64,
    },
    /// Data for its owner's tests.
    Test {
        /// Where to.
        buffer: Ra,
        /// How many bytes.
        bytes: u64,
    },
    /// A doubleword of data.
    Read {
        /// Where to.
        buffer: Ra,
    },
}

/// Bytes of the control words in memory.
pub const CONTROL_BYTES: u64 = 8 * CONTROL_WORDS as u64;

impl Rng {
    /// Ticks until it is ready.
    const fn delta(&self, tick: u64) -> u64 {
        self.ready.saturating_sub(tick)
    }

    /// Refuses while it is not ready, and says for how long.
    fn check_ready(&self, tick: u64) -> Result<(), Failure> {
        match self.delta(tick) {
            0 => Ok(()),
            delta => Err(Failure::with(HvError::WouldBlock, &[delta])),
        }
    }

    fn check_owner(&self, guest: GuestId) -> Result<(), Failure> {
        if self.owner == Some(guest) { Ok(()) } else { Err(HvError::Io.into()) }
    }

    /// New control words and state.
    fn set(
        &mut self,
        guest: GuestId,
        words: [u64; CONTROL_WORDS],
        (state, timeout): (u64, u64),
        tick: u64,
    ) -> Result<Answer, Failure> {
        self.check_owner(guest)?;
        let state = RngState::from_code(state).ok_or(HvError::Inval)?;
        if matches!(state, RngState::Unconfigured | RngState::Error) {
            self.state = state;
            return Ok(Answer::ok(&[self.delta(tick)]));
        }
        self.check_ready(tick)?;
        if words.iter().any(|word| word & !CONTROL_BITS != 0) {
            return Err(HvError::Inval.into());
        }
        // A negative time is none.
        let timeout = if timeout.cast_signed() < 0 { 0 } else { timeout };
        let quiet = Control(words[CONTROL_WORDS - 1]).quiet();
        let ready = tick.saturating_add(timeout);
        *self = Self { state, control: words, ready, quiet, owner: self.owner };
        Ok(Answer::ok(&[timeout]))
    }

    /// A doubleword, as the last control word says.
    fn data(&self, machine: &mut dyn Machine) -> u64 {
        let noisy = Control(self.control[CONTROL_WORDS - 1]).cells() != 0;
        self.quiet ^ if noisy { machine.entropy() } else { 0 }
    }
}

impl Hypervisor {
    /// Serves a call of `id` that was made at `at`.
    pub(crate) fn rng_call(
        &mut self,
        id: GuestId,
        request: Request,
        at: SimTime,
        machine: &mut dyn Machine,
    ) -> Result<Answer, Failure> {
        let tick = at.ticks(T2_HZ);
        // It was there when the call was made; memory may have moved since.
        let place = |hv: &Self, ra: Ra, bytes: u64| -> Result<Pa, Failure> {
            let guest = hv.guest(id).ok_or(HvError::NoAccess)?;
            Ok(guest.resolve(ra, bytes)?)
        };
        match request {
            Request::Take => {
                self.rng.owner = Some(id);
                Ok(Answer::default())
            }
            Request::Look { buffer } => {
                if let Some(buffer) = buffer {
                    let pa = place(self, buffer, CONTROL_BYTES)?;
                    let words = (0..).step_by(8).zip(self.rng.control);
                    words.for_each(|(at, word)| machine.memory().write_u64(pa.offset(at), word));
                }
                Ok(Answer::ok(&[self.rng.state.code(), self.rng.delta(tick)]))
            }
            Request::Set { buffer, state, timeout } => {
                let pa = place(self, buffer, CONTROL_BYTES)?;
                let word = |index| machine.memory().read_u64(pa.offset(8 * index as u64));
                let words = std::array::from_fn(word);
                self.rng.set(id, words, (state, timeout), tick)
            }
            Request::Test { buffer, bytes } => {
                let pa = place(self, buffer, bytes)?;
                self.rng.check_owner(id)?;
                self.rng.check_ready(tick)?;
                for offset in (0..bytes).step_by(8) {
                    let word = self.rng.data(machine);
                    machine.memory().write_u64(pa.offset(offset), word);
                }
                Ok(Answer::ok(&[0]))
            }
            Request::Read { buffer } => {
                let pa = place(self, buffer, 8)?;
                match self.rng.state {
                    RngState::Configured => self.rng.check_ready(tick)?,
                    RngState::Error => return Err(Failure::with(HvError::NoAccess, &[0])),
                    RngState::Unconfigured | RngState::HealthCheck => {
                        return Err(Failure::with(HvError::Io, &[0]));
                    }
                }
                let word = self.rng.data(machine);
                machine.memory().write_u64(pa, word);
                Ok(Answer::ok(&[0]))
            }
        }
    }
}
