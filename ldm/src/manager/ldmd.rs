//! Properties of the manager's own service: what may be migrated, and which version it
//! is of.
//!
//! **Source.** Oracle VM Server for SPARC, administration guides 2.0 and 2.1, `ldmd(1M)`.

/// Properties of `ldmd`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ldmd {
    /// Which release.
    pub version: Version,
    /// Domains may come.
    pub incoming_migration_enabled: bool,
    /// Domains may leave.
    pub outgoing_migration_enabled: bool,
    /// Managers may talk to each other at all.
    pub xmpp_enabled: bool,
}

impl Default for Ldmd {
    fn default() -> Self {
        Self {
            version: Version::V2_1,
            incoming_migration_enabled: true,
            outgoing_migration_enabled: true,
            xmpp_enabled: true,
        }
    }
}

/// A release of the manager: major and minor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version(pub u16, pub u16);

impl Version {
    /// The release before live migration: a domain that runs is suspended and copied.
    pub const V2_0: Self = Self(2, 0);
    /// The first with live migration.
    pub const V2_1: Self = Self(2, 1);

    /// Can it move a domain that runs on?
    #[must_use]
    pub fn is_live(self) -> bool {
        self >= Self::V2_1
    }

    /// May domains move between these two: one release, or two that follow each other?
    #[must_use]
    pub const fn meets(self, other: Self) -> bool {
        self.0 == other.0 && self.1.abs_diff(other.1) <= 1
    }
}

impl std::fmt::Display for Version {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.0, self.1)
    }
}

/// Why nothing may leave, or come.
pub(super) fn refusals(ldmd: &Ldmd, incoming: bool) -> Vec<String> {
    let (side, what, allowed) = if incoming {
        ("target", "Incoming", ldmd.incoming_migration_enabled)
    } else {
        ("source", "Outgoing", ldmd.outgoing_migration_enabled)
    };
    let mut refused = Vec::new();
    if !allowed {
        refused.push(format!("{what} migrations are disabled on the {side} system"));
    }
    if !ldmd.xmpp_enabled {
        refused.push(format!("The XMPP interface is disabled on the {side} system"));
    }
    refused
}
