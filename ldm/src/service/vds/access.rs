//! Who may use a volume: the option `excl`, and reservations of disks.
//!
//! **excl.** A volume with this option is open once: whoever comes second, by whatever
//! path, finds it busy until the first has gone.
//!
//! **Reservations.** A client may keep a disk of the machine to itself (SET_ACCESS). It
//! loses it when it clears it, when another preempts it, and, unless it asked to preserve
//! it, when its session ends.
//!
//! **Source.** illumos `vdsk_mailbox.h` for the flags; `vds` and `mhd(4I)` for what they
//! mean.

use super::PortKey;
use std::collections::BTreeMap;

/// SET_ACCESS: exclusive.
const EXCLUSIVE: u64 = 1;
/// SET_ACCESS: also when somebody else has it.
const PREEMPT: u64 = 2;
/// SET_ACCESS: beyond the session.
const PRESERVE: u64 = 4;

/// A port's use of a volume.
#[derive(Debug)]
struct Claim {
    identity: String,
    exclusive: bool,
}

/// A client's reservation.
#[derive(Debug)]
struct Holder {
    key: PortKey,
    preserve: bool,
}

/// All claims and reservations of a server, by what volumes are ([`Found::identity`]).
///
/// [`Found::identity`]: crate::service::volume::Found::identity
#[derive(Debug, Default)]
pub(super) struct Access {
    claims: BTreeMap<PortKey, Claim>,
    holders: BTreeMap<String, Holder>,
}

impl Access {
    /// Port `key` is to use the volume that is this; false when others do, and one of them alone.
    pub(super) fn claim(&mut self, key: PortKey, identity: &str, exclusive: bool) -> bool {
        let free = |(&other, claim): (&PortKey, &Claim)| {
            other == key || claim.identity != identity || !(exclusive || claim.exclusive)
        };
        let free = self.claims.iter().all(free);
        if free {
            self.claims.insert(key, Claim { identity: identity.to_owned(), exclusive });
        }
        free
    }

    /// Port `key` is gone.
    pub(super) fn forget(&mut self, key: PortKey) {
        self.claims.remove(&key);
        self.holders.retain(|_, holder| holder.key != key);
    }

    /// The session of port `key` has ended.
    pub(super) fn session_ended(&mut self, key: PortKey) {
        self.holders.retain(|_, holder| holder.key != key || holder.preserve);
    }

    /// May port `key` use the disk that is this?
    pub(super) fn allowed(&self, key: PortKey, identity: &str) -> bool {
        self.holders.get(identity).is_none_or(|holder| holder.key == key)
    }

    /// Sets it as `flags` say; false when somebody else has it.
    pub(super) fn set(&mut self, key: PortKey, identity: &str, flags: u64) -> bool {
        let allowed = self.allowed(key, identity);
        if flags & EXCLUSIVE == 0 {
            if allowed {
                self.holders.remove(identity);
            }
            return true;
        }
        if allowed || flags & PREEMPT != 0 {
            let holder = Holder { key, preserve: flags & PRESERVE != 0 };
            self.holders.insert(identity.to_owned(), holder);
            return true;
        }
        false
    }
}
