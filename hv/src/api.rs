//! Which calls a guest has opened: groups and versions, by `api_set_version`.
//!
//! **Source.** sun4v hypervisor API, "API versioning". State is a guest's, not a
//! virtual CPU's, and outlives a reboot.

use std::collections::BTreeMap;
use sun4v::hcall::{FAST_NUMBERS, Group, HvError, ROWS, VERSIONS};

/// The versions that a guest has negotiated.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Api {
    held: BTreeMap<Group, (u16, u16)>,
    /// A bit a function number of the fast trap: what `held` opens.
    open: [u64; FAST_NUMBERS.div_ceil(64)],
}

impl Api {
    /// True when the guest may make this call by the fast trap.
    #[must_use]
    #[inline]
    pub fn opens(&self, nr: u64) -> bool {
        self.open.get((nr >> 6) as usize).is_some_and(|word| word >> (nr & 63) & 1 != 0)
    }

    fn reopen(&mut self) {
        self.open = Default::default();
        for row in ROWS {
            let held = self.held.get(&row.group);
            if held.is_some_and(|(major, minor)| row.majors.contains(major) && row.minor <= *minor)
            {
                self.open[(row.nr >> 6) as usize] |= 1 << (row.nr & 63);
            }
        }
    }

    /// `api_set_version`: gives the minor version that is now in force.
    ///
    /// An unknown group is EINVAL, an unsupported major ENOTSUPPORTED; major 0
    /// closes the group; a minor that is too high is clamped down.
    pub fn set(&mut self, group: u64, major: u64, minor: u64) -> Result<u64, HvError> {
        if group == Group::Sun4v as u64 {
            return if major == 1 { Ok(0) } else { Err(HvError::NotSupported) };
        }
        let group = Group::from_number(group).ok_or(HvError::Inval)?;
        if major == 0 {
            self.held.remove(&group);
            self.reopen();
            return Ok(0);
        }
        let version = VERSIONS
            .iter()
            .find(|v| v.group == group && u64::from(v.major) == major)
            .ok_or(HvError::NotSupported)?;
        let minor = minor.min(u64::from(version.minor)) as u16;
        self.held.insert(group, (version.major, minor));
        self.reopen();
        Ok(u64::from(minor))
    }

    /// `api_get_version`: major and minor, zero when closed.
    pub fn get(&self, group: u64) -> Result<(u64, u64), HvError> {
        let group = Group::from_number(group).ok_or(HvError::Inval)?;
        let (major, minor) = match group {
            Group::Sun4v => (1, 0),
            _ => self.held.get(&group).copied().unwrap_or((0, 0)),
        };
        Ok((u64::from(major), u64::from(minor)))
    }

    /// Group numbers with the versions held, for a record.
    #[must_use]
    pub fn save(&self) -> Vec<(u16, u16, u16)> {
        self.held.iter().map(|(&group, &(major, minor))| (group as u16, major, minor)).collect()
    }

    /// From a record; `None` when it names what the firmware does not have, or does not
    /// name groups once each in ascending order.
    #[must_use]
    pub fn load(record: &[(u16, u16, u16)]) -> Option<Self> {
        let mut api = Self::default();
        if !record.is_sorted_by(|(a, ..), (b, ..)| a < b) {
            return None;
        }
        for &(group, major, minor) in record {
            let (major, wanted) = (u64::from(major), u64::from(minor));
            if major == 0 || api.set(u64::from(group), major, wanted) != Ok(wanted) {
                return None;
            }
        }
        Some(api)
    }
}

#[cfg(test)]
mod test {
    use super::Api;
    use sun4v::hcall::{HvError, nr};

    #[test]
    fn minors_are_clamped_and_majors_refused() {
        let mut api = Api::default();
        assert_eq!(api.set(1, 1, 6), Ok(1));
        assert_eq!(api.set(2, 3, 0), Err(HvError::NotSupported));
        assert_eq!(api.set(0x999, 1, 0), Err(HvError::Inval));
        assert_eq!(api.get(1), Ok((1, 1)));
        assert_eq!(api.get(2), Ok((0, 0)));
    }

    #[test]
    fn a_lower_minor_closes_calls_again_and_major_zero_closes_all() {
        let mut api = Api::default();
        let (stop, start) = (nr::cpu_stop, nr::cpu_start);
        assert!(!api.opens(start));
        api.set(1, 1, 1).unwrap();
        assert!(api.opens(start) && api.opens(stop));
        api.set(1, 1, 0).unwrap();
        assert!(api.opens(start) && !api.opens(stop));
        api.set(1, 0, 0).unwrap();
        assert!(!api.opens(start));
    }

    #[test]
    fn interrupts_by_sysino_go_with_major_two() {
        let mut api = Api::default();
        let (sysino, cookie) = (nr::intr_devino2sysino, nr::vintr_setcookie);
        api.set(2, 1, 0).unwrap();
        assert!(api.opens(sysino) && api.opens(cookie));
        api.set(2, 2, 0).unwrap();
        assert!(!api.opens(sysino) && api.opens(cookie));
    }
}
