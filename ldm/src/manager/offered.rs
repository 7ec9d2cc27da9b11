//! Services that the control domain offers to guests.

/// All services.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Services {
    /// Virtual disk servers.
    pub servers: Vec<Server>,
    /// Virtual switches.
    pub switches: Vec<Switch>,
    /// Console concentrators.
    pub concentrators: Vec<Concentrator>,
}

impl Services {
    /// Is there none?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.servers.is_empty() && self.switches.is_empty() && self.concentrators.is_empty()
    }

    /// A volume of a server.
    #[must_use]
    pub fn volume(&self, volume: &str, server: &str) -> Option<&Volume> {
        let server = self.servers.iter().find(|own| own.name == server)?;
        server.volumes.iter().find(|own| own.name == volume)
    }

    /// A switch.
    #[must_use]
    pub fn switch(&self, name: &str) -> Option<&Switch> {
        self.switches.iter().find(|own| own.name == name)
    }

    /// Names of all services, which the machine has once.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        let servers = self.servers.iter().map(|own| own.name.as_str());
        let switches = self.switches.iter().map(|own| own.name.as_str());
        let concentrators = self.concentrators.iter().map(|own| own.name.as_str());
        servers.chain(switches).chain(concentrators)
    }
}

/// A virtual disk server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// Its name.
    pub name: String,
    /// Its volumes.
    pub volumes: Vec<Volume>,
}

/// A volume.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Volume {
    /// Its name.
    pub name: String,
    /// File or device.
    pub backend: String,
    /// `ro`, `slice`, `excl`, in this order.
    pub options: Vec<&'static str>,
    /// Its multipath group, or nothing.
    pub mpgroup: String,
}

impl Volume {
    /// All options, in order.
    pub const OPTIONS: [&'static str; 3] = ["ro", "slice", "excl"];
}

/// A virtual switch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Switch {
    /// Its name.
    pub name: String,
    /// Its number: `switch@N`.
    pub id: u64,
    /// Its MAC address.
    pub mac: [u8; 6],
    /// The physical interface, or nothing.
    pub net_dev: String,
    /// The VLAN of frames without one.
    pub default_vlan: u64,
    /// The VLAN of its own untagged frames.
    pub pvid: u64,
    /// VLANs of its own tagged frames.
    pub vids: Vec<u64>,
    /// Longest IP packet.
    pub mtu: u64,
}

/// A console concentrator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Concentrator {
    /// Its name.
    pub name: String,
    /// First and last TCP port.
    pub ports: (u16, u16),
}
