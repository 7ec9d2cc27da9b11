//! What a port is configured to be, and what it counts.

use crate::channel::ChannelConf;
use crate::service::vsw::frame::Mac;
use crate::service::vsw::vlan::Vlans;

/// A port, from the control domain's machine description.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SwitchPortConf {
    /// What to call it in the log, such as `vsw-port 0`.
    pub name: String,
    /// The channel to the guest.
    pub channel: ChannelConf,
    /// The guest's address (`remote-mac-address`).
    pub mac: Mac,
    /// The longest IP packet.
    pub mtu: u64,
    /// Its VLANs.
    pub vlans: Vlans,
}

/// Frames of a port since it was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Taken from the guest.
    pub received: u64,
    /// Put where the guest takes them, segments one by one.
    pub sent: u64,
    /// Lost, either way: of a VLAN that the port is no member of.
    pub foreign_vlan: u64,
    /// Lost, either way: too long, and not to be cut.
    pub too_long: u64,
    /// Lost from the guest: too short, or not to be read.
    pub unreadable: u64,
    /// Lost to the guest: it does not take what it has.
    pub no_room: u64,
}
