//! Lists as the manager prints them.
//!
//! **Shapes.** For people: sections with a title, columns indented by four. For
//! scripts (`-p`): `VERSION 1.6`, then records `KEY|name=value|...` and, below a key
//! that has rows, rows that begin with `|`. The order of fields is a contract:
//! scripts cut by position.
//!
//! **Source.** Administration Guide and `ldm(1M)` of 2.1; how far a spelling is
//! proven, is not repeated here.

mod bindings;
mod constraints;
mod devices;
mod long;
mod parseable;
mod short;
mod table;

pub use devices::devices;

use super::verb::{Format, List, ListKind};
use crate::manager::Version;
use crate::manager::domain::Domain;
use crate::manager::model::Model;
use crate::migrate::port::Status;
use std::collections::BTreeMap;
use sun4v::id::StrandId;

/// First line of parseable output.
const VERSION: &str = "VERSION 1.6\n";

/// A domain and how it is.
#[derive(Clone, Debug)]
pub struct View<'a> {
    /// The machine.
    pub model: &'a Model,
    /// The domain.
    pub domain: &'a Domain,
    /// `active`, `bound`, ...
    pub state: &'static str,
    /// Whether it is on its way up or down.
    pub activity: Activity,
    /// Its system runs, or is on its way; nothing of what does not run.
    pub normal: Option<bool>,
    /// Whether it moves.
    pub motion: Motion,
    /// How its migration goes.
    pub status: Option<&'a Status>,
    /// Figures of one that runs.
    pub live: Option<Live>,
}

/// On its way up or down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activity {
    /// Neither.
    None,
    /// Up.
    Starting,
    /// Down.
    Stopping,
}

/// Where a domain is in a migration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Motion {
    /// In none.
    None,
    /// It leaves.
    Source,
    /// It arrives.
    Target,
    /// Nobody knows where it is.
    Error,
}

/// Figures of a domain that runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Live {
    /// Busy tenths of a percent.
    pub util: Option<u64>,
    /// The same by strand.
    pub strands: BTreeMap<StrandId, u64>,
    /// Seconds.
    pub uptime: u64,
    /// What its system says of itself.
    pub soft: Option<String>,
}

impl View<'_> {
    /// Letters and words of the flags, by position.
    fn flags(&self) -> [Option<(char, &'static str)>; 6] {
        let primary = self.domain.is_primary();
        [
            match self.activity {
                Activity::None => None,
                Activity::Starting => Some(('s', "starting")),
                Activity::Stopping => Some(('s', "stopping")),
            },
            match self.normal {
                None => None,
                Some(true) => Some(('n', "normal")),
                Some(false) => Some(('t', "transition")),
            },
            None,
            primary.then_some(('c', "control")),
            (primary && !self.model.services.is_empty()).then_some(('v', "vio-service")),
            match self.motion {
                Motion::None => None,
                Motion::Source => Some(('s', "migration-source")),
                Motion::Target => Some(('t', "migration-target")),
                Motion::Error => Some(('e', "migration-error")),
            },
        ]
    }

    fn flag_letters(&self) -> String {
        self.flags().iter().map(|flag| flag.map_or('-', |(letter, _)| letter)).collect()
    }

    fn flag_words(&self) -> String {
        let words: Vec<&str> = self.flags().iter().flatten().map(|&(_, word)| word).collect();
        words.join(",")
    }

    fn cons(&self) -> String {
        if self.domain.is_primary() {
            return "SP".into();
        }
        let console = self.domain.given.as_ref().and_then(|given| given.console.as_ref());
        console.map_or(String::new(), |console| console.port.to_string())
    }

    /// Virtual CPUs, bound or asked for; nothing when none.
    fn vcpus(&self) -> String {
        let given = self.domain.given.as_ref().map(|given| given.strands.len() as u64);
        let count = given.unwrap_or(self.domain.wish.vcpus);
        if count == 0 { String::new() } else { count.to_string() }
    }

    /// Bytes, bound or asked for.
    fn memory(&self) -> u64 {
        let given = self.domain.given.as_ref();
        given.map_or(self.domain.wish.memory, crate::manager::domain::Given::memory_bytes)
    }
}

/// A list by domains.
#[must_use]
pub fn list(list: &List, views: &[View<'_>]) -> String {
    match (list.kind, list.parseable) {
        (ListKind::Domain, false) if list.formats.is_empty() && !list.long => short::table(views),
        (ListKind::Domain, true) if list.formats.is_empty() && !list.long => short::records(views),
        (ListKind::Domain, false) => long::list(views, &list.formats, false),
        (ListKind::Domain, true) => parseable::list(views, &list.formats, false),
        (ListKind::Bindings, false) => long::list(views, &[], true),
        (ListKind::Bindings, true) => parseable::list(views, &[], true),
        (ListKind::Services, false) => long::services(views),
        (ListKind::Services, true) => parseable::services(views),
        (ListKind::Constraints, false) => constraints::list(views),
        (ListKind::Constraints, true) => constraints::records(views),
    }
}

/// Is a section shown? Without formats, all are.
fn shows(formats: &[Format], format: Format) -> bool {
    formats.is_empty() || formats.contains(&format)
}

/// `0.5%`, `23%`.
fn percent(tenths: u64) -> String {
    if tenths < 100 {
        format!("{}.{}%", tenths / 10, tenths % 10)
    } else {
        format!("{}%", (tenths + 5) / 10)
    }
}

/// `3d 21h 7m`, `9m`, `0s`.
fn duration(seconds: u64) -> String {
    if seconds < 60 {
        return format!("{seconds}s");
    }
    let parts = [(seconds / 86400, 'd'), (seconds / 3600 % 24, 'h'), (seconds / 60 % 60, 'm')];
    let parts: Vec<String> =
        parts.iter().filter(|(n, _)| *n > 0).map(|(n, unit)| format!("{n}{unit}")).collect();
    parts.join(" ")
}

/// What `ldm -V` of this release prints. The other numbers are those of the lab's firmware, 7.4.0.
#[must_use]
pub fn version(version: Version) -> String {
    format!(
        "Logical Domains Manager (v {version})
        Hypervisor control protocol v 1.7
        Using Hypervisor MD v 1.3

System PROM:
        Hypervisor      v. 1.10.0.      @(#)Hypervisor 1.10.0 2011/04/27 16:19
        OpenBoot        v. 4.33.0.      @(#)OpenBoot 4.33.0 2011/05/16 10:26
"
    )
}

#[cfg(test)]
mod test {
    use super::{duration, percent};

    #[test]
    fn utilisation_changes_its_form_at_ten_percent() {
        let shown = [0, 5, 70, 99, 100, 234, 235, 1000].map(percent);
        assert_eq!(shown, ["0.0%", "0.5%", "7.0%", "9.9%", "10%", "23%", "24%", "100%"]);
    }

    #[test]
    fn seconds_are_shown_below_a_minute_only() {
        let shown = [0, 59, 60, 7620, 86_400, 86_460, 3_917_160].map(duration);
        assert_eq!(shown, ["0s", "59s", "1m", "2h 7m", "1d", "1d 1m", "45d 8h 6m"]);
    }
}
