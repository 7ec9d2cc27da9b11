//! What the manager tells the rest of its domain.

use crate::channel::ChannelConf;
use crate::service::ds::DsConf;
use crate::service::vds::DiskConf;
use crate::service::vsw::{SwitchConf, SwitchPortConf};
use sun4v::id::LdcId;

/// A change of the services, whose ports are named by their endpoint, or of what the
/// domain itself has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// A virtual switch begins.
    AddSwitch {
        /// Its name.
        name: String,
        /// The physical interface (`e1000g0`), or nothing.
        net_dev: String,
        /// What it is to be.
        conf: SwitchConf,
    },
    /// A virtual switch without ports ends.
    RemoveSwitch {
        /// Its name.
        name: String,
    },
    /// A disk gets a client.
    AttachDisk(DiskConf),
    /// The domain of a disk's client is at another epoch now.
    ClaimDisk {
        /// The port's endpoint.
        channel: LdcId,
        /// The epoch.
        epoch: u64,
    },
    /// A switch gets a client.
    AttachNet {
        /// Which switch.
        switch: String,
        /// The port.
        port: SwitchPortConf,
    },
    /// A console gets a client.
    AttachConsole {
        /// Whose console it is.
        domain: String,
        /// The channel to it.
        channel: ChannelConf,
        /// The group's TCP port.
        tcp_port: u16,
    },
    /// A domain's system or firmware gets a session with the manager.
    AttachServices(DsConf),
    /// The port at this endpoint ends.
    Detach(LdcId),
    /// The domain's vCPUs or crypto units are about to change: its units are to be
    /// closed, and [`super::Manager::units_closed`] is to be told. Nothing changes
    /// before.
    CloseUnits,
    /// That is over, well or not: the units that there are now may be opened.
    OpenUnits,
}
