//! A debugger's view of guests: the server side of GDB's remote protocol.
//!
//! A virtual CPU is a thread. Breakpoints and watchpoints are addresses beside the
//! guest ([`Points`]), so its memory stays as it is; a domain that has any is run one
//! instruction at a time by the reference interpreter, any other at full speed. While
//! the debugger thinks, simulated time stands still, and where a run was stopped it goes
//! on exactly: who only looks changes nothing.
//!
//! **Shapes.** [`Session`] answers packets on a [`Link`] and moves a [`Machine`], which
//! the commands provide. Registers are numbered as GDB's `sparc:v9` numbers them
//! ([`regs`]). Memory is that of the thread, by its translations ([`View`]); the save
//! areas of frames whose registers are still in their windows show those registers.
//!
//! **Errors.** What a debugger asks for and cannot have is answered with an error
//! number, what nobody knows with an empty answer, as the protocol wants; neither ends
//! the session.
//!
//! **Source.** GDB manual, appendix E (remote protocol); GDB's `sparc64-tdep.c` by its
//! behaviour.

pub mod access;
pub mod link;
pub mod packet;
pub mod points;
pub mod regs;
pub mod session;
pub mod view;

pub use link::Link;
pub use points::{Bell, Debug, Points, Reason};
pub use session::{Left, Session, serve};
pub use view::{Permanent, View};

use std::sync::Arc;
use sun4v::id::{GuestId, VcpuId};

/// A virtual CPU among all of them: server, guest, virtual CPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Thread {
    /// Number of its server.
    pub server: u8,
    /// Its guest.
    pub guest: GuestId,
    /// Its number in the guest.
    pub vcpu: VcpuId,
}

impl Thread {
    /// The number by which a debugger knows it; never zero.
    #[must_use]
    pub const fn number(self) -> u64 {
        1 + ((self.server as u64) << 16 | (self.guest.0 as u64) << 8 | self.vcpu.0 as u64)
    }

    /// The thread of a number.
    #[must_use]
    pub const fn of(number: u64) -> Option<Self> {
        let Some(bits) = number.checked_sub(1) else { return None };
        if bits >> 24 != 0 {
            return None;
        }
        let [_, server, guest, vcpu] = (bits as u32).to_be_bytes();
        Some(Self { server, guest: GuestId(guest), vcpu: VcpuId(vcpu) })
    }
}

/// Why a machine has come to a stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Halt {
    /// A virtual CPU has met with something.
    At(Thread, Reason),
    /// The bell was rung.
    Interrupted,
    /// No virtual CPU will ever execute again.
    Idle,
    /// It is over, with this code.
    Exited(u8),
}

/// How a machine is set going.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Go {
    /// Stop when this one has executed an instruction.
    pub step: Option<Thread>,
    /// The others are not needed: as long as this one can go on they wait.
    pub alone: Option<Thread>,
}

/// What a session moves.
pub trait Machine {
    /// Every virtual CPU and its name.
    fn threads(&self) -> Vec<(Thread, String)>;
    /// Registers and memory of one.
    fn view(&mut self, thread: Thread) -> Option<View<'_>>;
    /// Where it stops from now on.
    fn arm(&mut self, points: Arc<Points>);
    /// Moves on until there is a reason to stop.
    fn go(&mut self, go: Go) -> Halt;
    /// Simulated seconds.
    fn seconds(&self) -> f64;
    /// The name and the bytes of the program that it runs.
    fn image(&self) -> (&str, &[u8]);
}

#[cfg(test)]
mod test {
    use super::Thread;
    use sun4v::id::{GuestId, VcpuId};

    #[test]
    fn a_thread_has_a_number_that_leads_back_to_it() {
        for (server, guest, vcpu) in [(0, 0, 0), (1, 0, 63), (0, 7, 1), (255, 63, 63)] {
            let thread = Thread { server, guest: GuestId(guest), vcpu: VcpuId(vcpu) };
            assert_eq!(Thread::of(thread.number()), Some(thread));
        }
        assert_eq!(Thread::of(0), None);
        assert_eq!(Thread::of(1 << 25), None);
    }
}
