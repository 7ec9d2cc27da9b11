//! Interrupt sources of virtual devices: one-shot, with a target and a cookie.
//!
//! A source that becomes active sends a device mondo when it is valid (or
//! enabled), IDLE and has a target; then it is DELIVERED until the guest writes
//! IDLE, which looks at the source again.
//!
//! **Source.** sun4v hypervisor API, interrupt services.

use sun4v::id::VcpuId;

/// Interrupt states.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum IntrState {
    /// Ready to be sent.
    #[default]
    Idle = 0,
    /// Seen, not sent.
    Received = 1,
    /// Sent, not yet acknowledged.
    Delivered = 2,
}

impl IntrState {
    /// The state with this number.
    #[must_use]
    pub const fn from_number(number: u64) -> Option<Self> {
        match number {
            0 => Some(Self::Idle),
            1 => Some(Self::Received),
            2 => Some(Self::Delivered),
            _ => None,
        }
    }
}

/// One interrupt source.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Interrupt {
    /// Word 0 of its mondo: the guest's cookie, or the sysino.
    pub cookie: u64,
    /// Valid (cookie interface) or enabled (sysino interface).
    pub valid: bool,
    /// Its state.
    pub state: IntrState,
    /// The vCPU it goes to.
    pub target: Option<VcpuId>,
}

impl Interrupt {
    /// The source is active: who gets a mondo now, with which word.
    pub fn fire(&mut self) -> Option<(VcpuId, u64)> {
        let target = self.target?;
        if !self.valid || self.state != IntrState::Idle {
            return None;
        }
        self.state = IntrState::Delivered;
        Some((target, self.cookie))
    }
}
