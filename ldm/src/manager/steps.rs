//! Commands, taken apart into the steps of a job.

use super::domain::Domain;
use super::model::Refused;
use super::work::{Step, refuse, state_of};
use super::{Manager, devices};
use crate::cli::verb::{Verb, Which};
use crate::cli::{output, synopsis};
use std::collections::VecDeque;

impl Manager {
    /// Takes a command apart.
    pub(super) fn steps(&self, verb: Verb) -> Result<VecDeque<Step>, Refused> {
        let model = self.draft_ref()?;
        let named = |which: Which, all: &dyn Fn(&Domain) -> bool| match which {
            Which::All => {
                let guests = model.domains.iter().filter(|domain| !domain.is_primary());
                Ok(guests.filter(|own| all(own)).map(|own| own.name.clone()).collect())
            }
            Which::Named(names) => {
                let unknown = names.iter().find_map(|name| model.domain(name).err());
                unknown.map_or(Ok(names), Err)
            }
        };
        let is_active =
            |domain: &Domain| domain.guest().is_some_and(|guest| self.active().contains(&guest));
        let mut steps = VecDeque::new();
        match verb {
            Verb::Version => {
                steps.push_back(Step::Print(output::version(self.settings.ldmd.version)))
            }
            Verb::Help(verb) => {
                steps.push_back(Step::Print(synopsis::help(verb.as_deref()).unwrap_or_default()));
            }
            Verb::List(list) => {
                for name in &list.domains {
                    model.domain(name)?;
                }
                steps.push_back(Step::Look(self.figures(&list)));
                steps.push_back(Step::Show(list));
            }
            Verb::ListDevices { all, parseable, kinds } => {
                let text = output::devices(&devices::devices(model), all, parseable, &kinds);
                steps.push_back(Step::Print(text));
            }
            Verb::ListVariable { names, domain } => {
                let own = &model.domain(&domain)?.wish.variables;
                let mut text = String::new();
                for name in if names.is_empty() { own.keys().cloned().collect() } else { names } {
                    let Some(value) = own.get(&name) else {
                        return refuse(format!("Variable {name} was not found in LDom {domain}"));
                    };
                    text.push_str(&format!("{name}={value}\n"));
                }
                steps.push_back(Step::Print(text));
            }
            Verb::Edit(edit) => steps.push_back(Step::Edit(edit)),
            Verb::Bind(name) => steps.push_back(Step::Bind(name)),
            Verb::Unbind(name) => steps.push_back(Step::Unbind(name)),
            Verb::Start(which) => {
                let names: Vec<String> =
                    named(which, &|own| own.given.is_some() && !own.shell && !is_active(own))?;
                for name in names {
                    steps.push_back(Step::Refresh(name.clone()));
                    let said = format!("LDom {name} started\n");
                    steps.extend([Step::Start(name), Step::Print(said)]);
                }
            }
            Verb::Stop { force, which } => {
                for name in named(which, &is_active)? {
                    let said = format!("LDom {name} stopped\n");
                    if force {
                        steps.push_back(Step::Stop(name));
                    } else {
                        steps.extend(self.shut_down(&name)?);
                    }
                    steps.push_back(Step::Print(said));
                }
            }
            Verb::Panic(name) => steps.push_back(Step::Panic(name)),
            Verb::Migrate(migrate) => {
                if let Some(guest) = model.domain(&migrate.domain)?.guest() {
                    steps.push_back(Step::Look(state_of(guest)));
                }
                steps.push_back(Step::Migrate(migrate));
            }
            Verb::CancelMigration(name) => steps.push_back(Step::Cancel(name)),
            Verb::CompleteMigration { force: true, domain } => {
                steps.push_back(Step::TakeOver(domain));
            }
            Verb::CompleteMigration { force: false, domain } => {
                return Err(self.risks(&domain)?);
            }
        }
        Ok(steps)
    }
}
