//! `ldm list-devices`.

use super::VERSION;
use super::table::table;
use crate::cli::size;
use crate::cli::verb::DeviceKind;
use crate::manager::devices::Devices;
use sun4v::id::{CoreId, StrandId};

/// Lists what is free, or everything; of some kinds, or all.
#[must_use]
pub fn devices(devices: &Devices, all: bool, parseable: bool, kinds: &[DeviceKind]) -> String {
    let shows = |kind| kinds.is_empty() || kinds.contains(&kind);
    let shown = Shown { devices, all };
    let mut out = if parseable { VERSION.to_owned() } else { String::new() };
    if shows(DeviceKind::Core) {
        shown.cores(&mut out, parseable);
    }
    if shows(DeviceKind::Cpu) {
        shown.strands(&mut out, parseable);
    }
    if shows(DeviceKind::Crypto) {
        shown.crypto(&mut out, parseable);
    }
    if shows(DeviceKind::Memory) {
        shown.memory(&mut out, parseable);
    }
    if shows(DeviceKind::Io) {
        shown.io(&mut out, parseable);
    }
    out
}

struct Shown<'a> {
    devices: &'a Devices,
    all: bool,
}

impl Shown<'_> {
    fn is_shown(&self, owner: &Option<String>) -> bool {
        self.all || owner.is_none()
    }

    /// Strands of a core that are listed.
    fn on(&self, core: CoreId) -> Vec<String> {
        let own = self.devices.strands.iter().filter(|(strand, _)| strand.core() == core);
        own.map(|(strand, _)| StrandId::to_string(strand)).collect()
    }

    fn cores(&self, out: &mut String, parseable: bool) {
        let rows = self.devices.crypto.iter().filter_map(|&(core, _)| {
            let own = self.devices.strands.iter().filter(|(strand, _)| strand.core() == core);
            let (mut strands, mut free) = (0, 0);
            for (_, owner) in own {
                strands += 1;
                free += usize::from(owner.is_none());
            }
            let percent = free * 100 / strands.max(1);
            (self.all || free > 0).then(|| (core, percent, self.on(core)))
        });
        if parseable {
            out.push_str("CORE\n");
            for (core, free, own) in rows {
                out.push_str(&format!("|cid={core}|free={free}|cpuset={}\n", own.join(",")));
            }
        } else {
            out.push_str("CORE\n");
            let rows = rows.map(|(core, free, own)| {
                [core.to_string(), free.to_string(), format!("({})", own.join(", "))]
            });
            table(out, 4, "ID      %FREE   CPUSET", rows);
        }
    }

    fn strands(&self, out: &mut String, parseable: bool) {
        let rows = self.devices.strands.iter().filter(|(_, owner)| self.is_shown(owner));
        out.push_str("VCPU\n");
        if parseable {
            for (strand, owner) in rows {
                let (free, pm) = if owner.is_none() { (100, "") } else { (0, "no") };
                out.push_str(&format!("|pid={strand}|free={free}|pm={pm}\n"));
            }
        } else {
            let rows = rows.map(|(strand, owner)| {
                let (free, pm) = if owner.is_none() { ("100", "---") } else { ("0", "no") };
                [strand.to_string(), free.to_owned(), pm.to_owned()]
            });
            table(out, 4, "PID     %FREE   PM", rows);
        }
    }

    fn crypto(&self, out: &mut String, parseable: bool) {
        let rows = self.devices.crypto.iter().filter(|(_, owner)| self.is_shown(owner));
        out.push_str("MAU\n");
        if parseable {
            for (core, owner) in rows {
                let bound = owner.as_ref().map_or(String::new(), |own| format!("|bound={own}"));
                out.push_str(&format!("|id={core}|cpuset={}{bound}\n", self.on(*core).join(",")));
            }
        } else {
            let rows = rows.map(|(core, owner)| {
                let cpuset = format!("({})", self.on(*core).join(", "));
                [core.to_string(), cpuset, owner.clone().unwrap_or_default()]
            });
            let header = "ID      CPUSET                                  BOUND";
            table(out, 4, self.header(header), rows);
        }
    }

    fn memory(&self, out: &mut String, parseable: bool) {
        let rows = self.devices.memory.iter().filter(|(.., owner)| self.is_shown(owner));
        out.push_str("MEMORY\n");
        if parseable {
            for (pa, bytes, owner) in rows {
                let bound = owner.as_ref().map_or(String::new(), |own| format!("|bound={own}"));
                out.push_str(&format!("|pa={pa:#x}|size={bytes}{bound}\n"));
            }
        } else {
            let rows = rows.map(|(pa, bytes, owner)| {
                [format!("{pa:#x}"), size::show(*bytes), owner.clone().unwrap_or_default()]
            });
            let header = "PA                   SIZE            BOUND";
            table(out, 4, self.header(header), rows);
        }
    }

    fn io(&self, out: &mut String, parseable: bool) {
        let rows = self.devices.io.iter().filter(|_| self.all);
        if !self.all {
            return;
        }
        out.push_str("IO\n");
        if parseable {
            for (device, pseudonym, owner) in rows {
                out.push_str(&format!("|dev={device}|alias={pseudonym}|bound={owner}\n"));
            }
        } else {
            let rows = rows.map(|(device, pseudonym, _)| {
                [(*device).to_owned(), (*pseudonym).to_owned(), "yes".to_owned()]
            });
            table(out, 4, "DEVICE           PSEUDONYM        BOUND   OPTIONS", rows);
        }
    }

    /// Without what is bound, nobody is named.
    fn header<'h>(&self, header: &'h str) -> &'h str {
        if self.all { header } else { header.trim_end_matches("BOUND").trim_end() }
    }
}
