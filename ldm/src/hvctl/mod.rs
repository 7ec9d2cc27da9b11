//! The manager's session with the hypervisor: commands, replies, and the
//! hypervisor's own memory, in which machine descriptions lie.
//!
//! **Order.** One command is under way at a time; replies come in the order of the
//! commands.
//!
//! [`Session`] reaches it over the channel; [`Calls`] is what a migration asks
//! through it.

mod migrate;
mod session;

pub use migrate::{Calls, MigrateHv};
pub use session::Session;

use sun4v::addr::Pa;
use sun4v::hcall::HvError;
use sun4v::hvctl::{Reply, Request};
use sun4v::native::Ports;

/// Names a command until it is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Command(pub u64);

/// What comes from the hypervisor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// The session stands: commands are carried out from now on.
    Up,
    /// The answer to a command.
    Reply(Command, Reply),
    /// Unasked: the state or the soft state of a guest has changed.
    Notice(Reply),
}

/// The hypervisor, as the manager reaches it.
pub trait Hvctl {
    /// Sends a command, once those before it were answered.
    fn request(&mut self, ports: &mut dyn Ports, request: Request) -> Command;
    /// Reads the hypervisor's memory.
    ///
    /// # Errors
    /// As `ldc_copy` on the hvctl channel.
    fn read(&mut self, ports: &mut dyn Ports, pa: Pa, bytes: u64) -> Result<Vec<u8>, HvError>;
    /// Writes the hypervisor's memory.
    ///
    /// # Errors
    /// As `ldc_copy` on the hvctl channel.
    fn write(&mut self, ports: &mut dyn Ports, pa: Pa, bytes: &[u8]) -> Result<(), HvError>;
}

#[cfg(test)]
mod test;
