//! room
mod moves;
mod network;
pub use network::NicConf;
use crate::channel::Copier;
use crate::cost::Cost;
use crate::memory::Arena;
use crate::service::host::Host;
use sun4v::native::Ports;
/// What services share.
pub struct Kit {
    pub(crate) arena: Arena,
    pub(crate) copier: Copier,
    pub(crate) cost: Cost,
}

impl Kit {
    /// For one call.
    pub fn host<'a>(&'a mut self, ports: &'a mut dyn Ports) -> Host<'a> {
        Host { ports, arena: &mut self.arena, copier: &self.copier, cost: &self.cost }
    }
}
