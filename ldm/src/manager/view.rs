//! What is shown of domains.

use super::domain::Domain;
use super::model::Refused;
use super::{Manager, Run};
use crate::cli::output::{self, Activity, Live, Motion, View};
use crate::cli::verb::{Format, List, ListKind};
use crate::factory::PRIMARY_ID;
use std::collections::BTreeMap;
use sun4v::hvctl::{GuestState, ResInfo};
use sun4v::native::Ports;

/// What a control domain's system says of itself.
const PRIMARY_SOFT: &str = "Solaris running";

impl Manager {
    /// Figures that a list shows.
    pub(super) fn figures(&self, list: &List) -> Vec<(ResInfo, u32)> {
        let Some(model) = self.model() else { return Vec::new() };
        if !matches!(list.kind, ListKind::Domain | ListKind::Bindings) {
            return Vec::new();
        }
        let strands =
            list.long || list.kind == ListKind::Bindings || list.formats.contains(&Format::Cpu);
        let mut figures = Vec::new();
        for (domain, given) in model.bound() {
            let asked = list.domains.is_empty() || list.domains.contains(&domain.name);
            if !asked || given.guest == PRIMARY_ID {
                continue;
            }
            let id = given.guest.0.into();
            figures.extend([ResInfo::GuestState, ResInfo::SoftState].map(|info| (info, id)));
            if self.runs.get(&given.guest).is_some_and(Run::is_active) {
                figures.push((ResInfo::Utilisation, id));
                if strands {
                    let own = given.strands.iter();
                    figures.extend(own.map(|strand| (ResInfo::VcpuState, strand.0.into())));
                }
            }
        }
        figures
    }

    /// A list.
    pub(super) fn show(&mut self, ports: &mut dyn Ports, list: &List) -> Result<String, Refused> {
        self.meter.look(ports.now(), ports.busy());
        let now = ports.now();
        let Some(model) = self.model() else { return Ok(String::new()) };
        let domains: Vec<&Domain> = if list.domains.is_empty() {
            model.domains.iter().collect()
        } else {
            list.domains.iter().map(|name| model.domain(name)).collect::<Result<_, _>>()?
        };
        let views: Vec<View<'_>> = domains
            .into_iter()
            .map(|domain| {
                let run = domain.guest().and_then(|guest| self.runs.get(&guest));
                let status = self.migrating.status(&domain.name);
                let (state, activity) = match run.map(|run| run.state) {
                    None => ("inactive", Activity::None),
                    Some(GuestState::Stopped | GuestState::Unconfigured) => {
                        ("bound", Activity::None)
                    }
                    Some(GuestState::Resetting) => ("starting", Activity::Starting),
                    Some(GuestState::Normal) => ("active", Activity::None),
                    Some(GuestState::Suspended) => ("suspended", Activity::None),
                    Some(GuestState::Exiting) => ("stopping", Activity::Stopping),
                };
                // What arrives is a shell until it is here, whatever fills it.
                let state = if domain.shell && run.is_some() { "bound" } else { state };
                let active = run.filter(|run| run.is_active() && !domain.shell);
                let live = active.map(|run| self.live(domain, run, now));
                let normal = domain.is_primary() || run.is_some_and(Run::is_normal);
                View {
                    model,
                    domain,
                    state,
                    activity: if domain.shell { Activity::None } else { activity },
                    normal: (live.is_some() || domain.shell).then_some(normal && !domain.shell),
                    motion: match status {
                        Some(status) if status.doubtful => Motion::Error,
                        Some(status) if status.source => Motion::Source,
                        Some(_) => Motion::Target,
                        None if domain.shell => Motion::Target,
                        None => Motion::None,
                    },
                    status,
                    live,
                }
            })
            .collect();
        Ok(output::list(list, &views))
    }

    fn live(&self, domain: &Domain, run: &Run, now: sun4v::time::SimTime) -> Live {
        let uptime = run.uptime(now).0 / sun4v::time::SimTime::secs(1).0;
        if !domain.is_primary() {
            let soft = run.soft.as_ref().map(|(_, text)| text.clone());
            let strands = run.strands.clone();
            return Live {
                util: run.util,
                strands,
                uptime,
                soft: soft.filter(|own| !own.is_empty()),
            };
        }
        let strands = domain.given.iter().flat_map(|given| given.strands.iter().copied());
        let strands: BTreeMap<_, _> = strands.zip(self.meter.vcpus.iter().copied()).collect();
        Live { util: Some(self.meter.util()), strands, uptime, soft: Some(PRIMARY_SOFT.into()) }
    }
}
