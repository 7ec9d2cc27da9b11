//! What a service may touch, for the time of one call.

use crate::channel::Copier;
use crate::cost::Cost;
use crate::memory::Arena;
use sun4v::native::Ports;

/// The domain that the services run in.
pub struct Host<'a> {
    /// Hypercalls, memory, time, the log.
    pub ports: &'a mut dyn Ports,
    /// Memory to give out.
    pub arena: &'a mut Arena,
    /// For copies to and from guests.
    pub copier: &'a Copier,
    /// What work costs.
    pub cost: &'a Cost,
}
