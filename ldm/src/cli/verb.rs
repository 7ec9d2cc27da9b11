//! What an operator can ask for, parsed.

use std::collections::BTreeMap;

/// Properties, `name=value`. An empty value clears one.
pub type Props = BTreeMap<String, String>;

/// A command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verb {
    /// `ldm -V`.
    Version,
    /// `ldm`, `ldm --help [subcommand]`.
    Help(Option<String>),
    /// `list-domain` and its kin.
    List(List),
    /// `list-devices`.
    ListDevices {
        /// `-a`: what is bound too.
        all: bool,
        /// `-p`.
        parseable: bool,
        /// Which kinds; all when empty.
        kinds: Vec<DeviceKind>,
    },
    /// `list-variable`.
    ListVariable {
        /// Which; all when empty.
        names: Vec<String>,
        /// Of which domain.
        domain: String,
    },
    /// A change of what was asked for.
    Edit(Edit),
    /// `bind-domain`.
    Bind(String),
    /// `unbind-domain`.
    Unbind(String),
    /// `start-domain`.
    Start(Which),
    /// `stop-domain`.
    Stop {
        /// `-f`: at once.
        force: bool,
        /// Which domains.
        which: Which,
    },
    /// `panic-domain`.
    Panic(String),
    /// `migrate-domain`.
    Migrate(Migrate),
    /// `cancel-operation migration`.
    CancelMigration(String),
    /// `complete-operation migration`.
    CompleteMigration {
        /// `-f`.
        force: bool,
        /// Which domain.
        domain: String,
    },
}

/// Which domains a command is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Which {
    /// `-a`.
    All,
    /// Those named.
    Named(Vec<String>),
}

/// Which list, and how.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct List {
    /// Which list.
    pub kind: ListKind,
    /// `-l`, or all that it implies.
    pub long: bool,
    /// `-p`.
    pub parseable: bool,
    /// `-o`: these sections only.
    pub formats: Vec<Format>,
    /// Which domains; all when empty.
    pub domains: Vec<String>,
}

/// The lists that go by domain.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ListKind {
    /// `list-domain`.
    #[default]
    Domain,
    /// `list-bindings`.
    Bindings,
    /// `list-services`.
    Services,
    /// `list-constraints`.
    Constraints,
}

/// A format of `list-domain -o`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Format {
    /// `domain`: softstate, UUID, MAC, host id, control, variables.
    Domain,
    /// `core`.
    Core,
    /// `cpu`.
    Cpu,
    /// `crypto`, `mau`.
    Crypto,
    /// `memory`.
    Memory,
    /// `physio`.
    Physio,
    /// `resmgmt`.
    Resmgmt,
    /// `network`, `net`.
    Network,
    /// `disk`.
    Disk,
    /// `serial`: services for consoles.
    Serial,
    /// `console`.
    Console,
    /// `stats`.
    Stats,
    /// `status`.
    Status,
}

/// A kind of device in `list-devices`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum DeviceKind {
    /// Cores.
    Core,
    /// Strands.
    Cpu,
    /// Crypto units.
    Crypto,
    /// Memory.
    Memory,
    /// Buses.
    Io,
}

/// Add, set or remove an amount.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// More.
    Add,
    /// Exactly.
    Set,
    /// Less.
    Remove,
}

/// A change of what was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Edit {
    /// `add-domain`.
    AddDomain {
        /// Their names; properties only with one.
        names: Vec<String>,
        /// `mac-addr`, `hostid`, `failure-policy`, `master`, `uuid`.
        props: Props,
    },
    /// `set-domain`.
    SetDomain {
        /// Which.
        name: String,
        /// As `add-domain`, without `uuid`.
        props: Props,
    },
    /// `remove-domain`.
    RemoveDomain(Which),
    /// `add-vcpu`, `set-vcpu`, `remove-vcpu`.
    Vcpu(How, u64, String),
    /// `add-memory`, `set-memory`, `remove-memory`: bytes.
    Memory(How, u64, String),
    /// `add-crypto`, `set-crypto`, `remove-crypto`.
    Crypto(How, u64, String),
    /// `add-vds`.
    AddServer {
        /// Its name.
        name: String,
        /// In which domain.
        domain: String,
    },
    /// `remove-vds`.
    RemoveServer {
        /// `-f`.
        force: bool,
        /// Which.
        name: String,
    },
    /// `add-vdsdev`.
    AddVolume {
        /// `-f`: though the backend is exported already.
        force: bool,
        /// `options`, `mpgroup`.
        props: Props,
        /// File or device.
        backend: String,
        /// The volume's name.
        volume: String,
        /// Its server.
        server: String,
    },
    /// `set-vdsdev`.
    SetVolume {
        /// `options`, `mpgroup`.
        props: Props,
        /// The volume.
        volume: String,
        /// Its server.
        server: String,
    },
    /// `remove-vdsdev`.
    RemoveVolume {
        /// `-f`.
        force: bool,
        /// The volume.
        volume: String,
        /// Its server.
        server: String,
    },
    /// `add-vdisk`.
    AddDisk {
        /// `timeout`, `id`.
        props: Props,
        /// The disk's name.
        name: String,
        /// Its volume.
        volume: String,
        /// The server.
        server: String,
        /// Whose it is.
        domain: String,
    },
    /// `set-vdisk`.
    SetDisk {
        /// `timeout`, `volume`.
        props: Props,
        /// Which.
        name: String,
        /// Whose.
        domain: String,
    },
    /// `remove-vdisk`.
    RemoveDisk {
        /// Which.
        name: String,
        /// Whose.
        domain: String,
    },
    /// `add-vsw`.
    AddSwitch {
        /// `mac-addr`, `net-dev`, `mtu`, `id`, `pvid`, `vid`, `default-vlan-id`.
        props: Props,
        /// Its name.
        name: String,
        /// In which domain.
        domain: String,
    },
    /// `remove-vsw`.
    RemoveSwitch {
        /// `-f`.
        force: bool,
        /// Which.
        name: String,
    },
    /// `add-vnet`.
    AddNet {
        /// `mac-addr`, `mtu`, `id`, `pvid`, `vid`.
        props: Props,
        /// The interface's name.
        name: String,
        /// Its switch.
        switch: String,
        /// Whose it is.
        domain: String,
    },
    /// `set-vnet`.
    SetNet {
        /// As `add-vnet`, and `vswitch`.
        props: Props,
        /// Which.
        name: String,
        /// Whose.
        domain: String,
    },
    /// `remove-vnet`.
    RemoveNet {
        /// Which.
        name: String,
        /// Whose.
        domain: String,
    },
    /// `add-vcc`.
    AddConcentrator {
        /// `port-range`.
        props: Props,
        /// Its name.
        name: String,
        /// In which domain.
        domain: String,
    },
    /// `set-vcc`.
    SetConcentrator {
        /// `port-range`.
        props: Props,
        /// Which.
        name: String,
    },
    /// `remove-vcc`.
    RemoveConcentrator {
        /// `-f`.
        force: bool,
        /// Which.
        name: String,
    },
    /// `set-vcons`.
    SetConsole {
        /// `port`, `group`, `service`.
        props: Props,
        /// Whose.
        domain: String,
    },
    /// `add-variable`, `set-variable`.
    SetVariables {
        /// Names and values.
        variables: Vec<(String, String)>,
        /// Whose.
        domain: String,
    },
    /// `remove-variable`.
    RemoveVariables {
        /// Which.
        names: Vec<String>,
        /// Whose.
        domain: String,
    },
}

/// `migrate-domain`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Migrate {
    /// `-f`: past checks that are not fatal.
    pub force: bool,
    /// `-n`: check, and change nothing.
    pub check_only: bool,
    /// `-p`: where the password is.
    pub password_file: Option<String>,
    /// Which domain.
    pub domain: String,
    /// As whom.
    pub user: Option<String>,
    /// Where to.
    pub host: String,
    /// What it is called there.
    pub new_name: Option<String>,
}
