//! What comes in from a strand, and what goes back to it.

use sun4v::hcall::HvError;

/// Why a strand stopped for the hypervisor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trap {
    /// `ta number`, 0x80..=0xff, by privileged code; `%o0..=%o5`.
    Hypercall {
        /// Software trap number.
        number: u8,
        /// `%o0..=%o5`.
        args: [u64; 6],
    },
    /// No translation was found, in a TLB or by the hardware walk.
    Miss {
        /// For a fetch; otherwise for data.
        instruction: bool,
        /// The address that missed.
        va: u64,
        /// The context in which it missed.
        context: u16,
    },
    /// A store to a page that is not writable.
    Protection {
        /// The address.
        va: u64,
        /// The context.
        context: u16,
    },
    /// Any other trap that writes a fault area.
    Fault {
        /// What the guest sees: 0x08, 0x30, 0x34..=0x37.
        tt: u16,
        /// For a fetch; otherwise for data.
        instruction: bool,
        /// Fault type of the fault area.
        kind: u64,
        /// Fault address.
        address: u64,
        /// Fault context.
        context: u16,
    },
    /// A trap that is only reflected, such as illegal_instruction.
    Plain {
        /// What the guest sees.
        tt: u16,
    },
    /// A trap for the guest at its highest trap level.
    Watchdog,
}

/// Types that the hypervisor writes to a fault area.
///
/// **Source.** sun4v hypervisor API, "MMU fault status area".
pub mod fault {
    /// A miss although TSBs are configured.
    pub const MISS: u64 = 3;
    /// The real address does not exist.
    pub const INVALID_RA: u64 = 4;
    /// Unprivileged access to a privileged page.
    pub const PRIVILEGE: u64 = 5;
    /// A fetch from a page that is not executable.
    pub const PROTECTION: u64 = 6;
    /// Access other than no-fault to a no-fault page.
    pub const NFO: u64 = 7;
    /// No-fault access to a page with side effects.
    pub const SIDE_EFFECT: u64 = 8;
    /// The address is in the hole.
    pub const VA_RANGE: u64 = 9;
    /// The ASI does not exist, or not for this access.
    pub const ILLEGAL_ASI: u64 = 0xa;
    /// Atomic access to a page that is not cacheable.
    pub const NONCACHEABLE_ATOMIC: u64 = 0xb;
    /// Misaligned.
    pub const ALIGNMENT: u64 = 0xe;
    /// A page size that T2 lacks.
    pub const PAGE_SIZE: u64 = 0xf;
}

/// The answer to a hypercall.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// For `%o0`: zero is success.
    pub status: u64,
    /// For `%o1..=%o5`.
    pub rets: [u64; 5],
    /// How many of `rets` are written; the registers after them stay.
    pub count: usize,
}

impl Answer {
    /// Success with these results.
    #[must_use]
    pub fn ok(values: &[u64]) -> Self {
        let mut answer = Self::default();
        answer.fill(values);
        answer
    }

    /// A status without results.
    #[must_use]
    pub fn error(status: HvError) -> Self {
        Self { status: status.code(), ..Self::default() }
    }

    fn fill(&mut self, values: &[u64]) {
        for (ret, &value) in self.rets.iter_mut().zip(values) {
            *ret = value;
        }
        self.count = values.len().min(5);
    }
}

/// Why a call fails: a status, and results where the call has some all the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Failure(pub Answer);

impl Failure {
    /// A status with results.
    #[must_use]
    pub fn with(status: HvError, values: &[u64]) -> Self {
        let mut answer = Answer::error(status);
        answer.fill(values);
        Self(answer)
    }
}

impl From<HvError> for Failure {
    fn from(status: HvError) -> Self {
        Self(Answer::error(status))
    }
}

/// What a strand does after a trap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Writes the answer and goes on after the trap instruction.
    Done(Answer),
    /// As [`Outcome::Done`], parked.
    Parked(Answer),
    /// Goes on as the hypervisor left it: program counter and all.
    Resumed,
    /// Waits for the slice boundary, which completes the call.
    Blocked,
}
