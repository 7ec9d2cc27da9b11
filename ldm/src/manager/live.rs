//! Virtual CPUs of a guest that runs come and go, and it is shut down in an orderly way:
//! with the help of its system.
//!
//! **Rules.** Virtual CPUs have the numbers 0 to n-1; the last ones go first. To add some,
//! the hypervisor gives the guest strands, which stand still; the system reads its new
//! machine description and takes them into use. To remove some, the system takes them out
//! of use, and then the hypervisor takes the strands; it takes none that runs. What a system
//! has done of what it was asked is what is done: a virtual CPU that it keeps stays, and so
//! do all with lower numbers, which it is asked to use again. One that it did not take into
//! use is taken back, unless it uses one with a higher number.
//!
//! **Errors.** What was not done is said, one line for each virtual CPU, and is a failure of
//! the command though something was done.
//!
//! **Source.** Linux `arch/sparc/kernel/ds.c` and illumos `dr_cpu.c` for the order that
//! systems expect. Times are ours.

use super::Manager;
use super::edit::primary;
use super::model::Refused;
use super::work::{Job, Step, Wait, refuse};
use crate::cli::verb::{Edit, How};
use crate::factory::PRIMARY_ID;
use crate::hvctl::Hvctl;
use crate::service::ds::{Answer, Ask};
use std::ops::Range;
use sun4v::ds::{CpuOp, CpuRecord, CpuResult, Service};
use sun4v::id::GuestId;
use sun4v::native::Ports;
use sun4v::time::SimTime;

/// How long a domain has to stop after it was told to.
pub const STOP_TIME: SimTime = SimTime::secs(180);
/// How long it is to wait before it begins with that.
const STOP_DELAY_MS: u32 = 0;

/// What an answer of a domain is for.
#[derive(Clone, Debug)]
pub(super) enum Heard {
    /// Its virtual CPUs, `had` before and `has` now, are in its new description.
    Described { name: String, had: usize, has: usize },
    /// It was to use them.
    Added { name: String, had: usize, has: usize },
    /// It was to give up those from `left` on.
    Removed { name: String, had: usize, left: usize },
    /// It was to use some again.
    Restored { name: String },
    /// It was told that they have gone.
    Gone { name: String },
    /// It was told to stop.
    Stops { name: String },
}

/// What a system says of one virtual CPU that it did not do.
fn complaint(record: &CpuRecord) -> String {
    let why = match (record.reason.as_str(), record.result) {
        ("", CpuResult::Ok | CpuResult::Failure) => "it could not be done",
        ("", CpuResult::Blocked) => "something is bound to it",
        ("", CpuResult::NotResponding) => "it does not respond",
        ("", CpuResult::NotInMd) => "the machine description does not have it",
        (reason, _) => reason,
    };
    format!("Virtual CPU {}: {why}", record.cpu)
}

/// Which of `cpus` an answer says are done, and why the others are not.
fn outcome(answer: Result<Answer, String>, cpus: Range<usize>) -> (Vec<usize>, Vec<String>) {
    let records = match answer {
        Err(why) => return (Vec::new(), vec![why]),
        Ok(Answer::Done) => Vec::new(),
        Ok(Answer::Cpus(records)) => records,
    };
    let of = |cpu: usize| records.iter().find(|own| own.cpu as usize == cpu);
    let is_done = |cpu: &usize| of(*cpu).is_some_and(|own| own.result == CpuResult::Ok);
    let (done, not): (Vec<_>, Vec<_>) = cpus.partition(is_done);
    let said = not.into_iter().map(|cpu| match of(cpu) {
        Some(record) => complaint(record),
        None => format!("Virtual CPU {cpu}: nothing was said of it"),
    });
    (done, said.collect())
}

/// What is said when fewer were added or removed than were asked for.
fn partial(
    (count, asked): (usize, usize),
    done_to: &str,
    name: &str,
    said: Vec<String>,
) -> Vec<String> {
    let first = match count {
        0 => format!("No virtual CPU could be {done_to} LDom {name}"),
        some if some < asked => {
            format!("Only {some} of {asked} virtual CPUs could be {done_to} LDom {name}")
        }
        _ => return Vec::new(),
    };
    [vec![first], said].concat()
}

impl Manager {
    /// Takes a change of a guest's virtual CPUs apart if its system has to help: the guest,
    /// how many it has, and how many it is to have.
    pub(super) fn live_vcpus(&self, edit: &Edit) -> Result<Option<(GuestId, usize, u64)>, Refused> {
        let Edit::Vcpu(how, by, name) = edit else { return Ok(None) };
        let domain = self.draft_ref()?.domain(name)?;
        let Some(given) = &domain.given else { return Ok(None) };
        let guest = given.guest;
        let runs = self.active().contains(&guest);
        if guest == PRIMARY_ID || !runs || !self.serves(guest, Service::DrCpu) {
            return Ok(None);
        }
        let had = given.strands.len();
        let has = match how {
            How::Add => (had as u64).saturating_add(*by),
            How::Set => *by,
            How::Remove => match (had as u64).checked_sub(*by) {
                Some(left) => left,
                None => return refuse(format!("LDom {name} has only {had} virtual CPUs")),
            },
        };
        Ok(Some((guest, had, has)))
    }

    /// Begins to change a guest's virtual CPUs.
    pub(super) fn change_vcpus(
        &mut self,
        ports: &mut dyn Ports,
        hv: &mut dyn Hvctl,
        job: &mut Job,
        name: &str,
        (guest, had, has): (GuestId, usize, u64),
    ) -> Result<Option<Wait>, Refused> {
        let mut next = self.draft()?;
        primary::set_vcpus(&mut next, name, has)?;
        let units = |model: &super::model::Model| {
            model.by_guest(guest).and_then(|own| own.given.as_ref()).map(|own| own.crypto.clone())
        };
        if self.model().and_then(units) != units(&next) {
            return Err(vec![
                format!("LDom {name} has a crypto unit of a core that would be left"),
                format!("Remove crypto units of LDom {name} while it is stopped"),
            ]);
        }
        self.moves_nothing(&next)?;
        let (name, has) = (name.to_owned(), has as usize);
        if has > had {
            job.steps.push_front(Step::Heard(Heard::Described { name, had, has }));
            job.steps.push_front(Step::Ask(guest, Ask::MdUpdate));
            return self.commit(ports, hv, next);
        }
        if has < had {
            let cpus = (has as u32..had as u32).collect();
            job.steps.push_front(Step::Heard(Heard::Removed { name, had, left: has }));
            let ask = Ask::Cpus { op: CpuOp::Unconfigure, cpus };
            job.steps.push_front(Step::Ask(guest, ask));
        }
        Ok(Some(Wait::Nothing))
    }

    /// Leaves a guest so many of the virtual CPUs that it has, and tells its system.
    pub(super) fn keep_vcpus(
        &mut self,
        ports: &mut dyn Ports,
        hv: &mut dyn Hvctl,
        job: &mut Job,
        name: String,
        count: usize,
    ) -> Result<Option<Wait>, Refused> {
        let mut next = self.draft()?;
        primary::set_vcpus(&mut next, &name, count as u64)?;
        let guest = self.guest(&name)?;
        job.steps.push_front(Step::Heard(Heard::Gone { name }));
        job.steps.push_front(Step::Ask(guest, Ask::MdUpdate));
        self.commit(ports, hv, next)
    }

    /// A domain has answered, or it has not.
    pub(super) fn hear(
        &mut self,
        ports: &mut dyn Ports,
        hv: &mut dyn Hvctl,
        job: &mut Job,
        heard: Heard,
    ) -> Result<Option<Wait>, Refused> {
        let answer = job.answer.take().unwrap_or_else(|| Err("it was not asked".to_owned()));
        match (heard, answer) {
            (Heard::Described { name, had, has }, Ok(_)) => {
                let guest = self.guest(&name)?;
                let cpus = (had as u32..has as u32).collect();
                job.steps.push_front(Step::Heard(Heard::Added { name, had, has }));
                let ask = Ask::Cpus { op: CpuOp::Configure, cpus };
                job.steps.push_front(Step::Ask(guest, ask));
                Ok(Some(Wait::Nothing))
            }
            (Heard::Described { name, had, .. }, Err(why)) => {
                job.complaints.push(format!("LDom {name} does not read its description: {why}"));
                self.keep_vcpus(ports, hv, job, name, had)
            }
            (Heard::Added { name, had, has }, answer) => {
                let (done, said) = outcome(answer, had..has);
                let kept = done.iter().max().map_or(had, |last| last + 1);
                let count = (done.len(), has - had);
                job.complaints.extend(partial(count, "added to", &name, said));
                if kept == has {
                    return Ok(Some(Wait::Nothing));
                }
                self.keep_vcpus(ports, hv, job, name, kept)
            }
            (Heard::Removed { name, had, left }, answer) => {
                let (done, said) = outcome(answer, left..had);
                let stays = (left..had).filter(|cpu| !done.contains(cpu));
                let kept = stays.max().map_or(left, |last| last + 1);
                let count = (had - kept, had - left);
                job.complaints.extend(partial(count, "removed from", &name, said));
                let back: Vec<u32> =
                    done.iter().filter(|cpu| **cpu < kept).map(|&cpu| cpu as u32).collect();
                if kept < had {
                    job.steps.push_front(Step::Keep(name.clone(), kept));
                }
                if !back.is_empty() {
                    let guest = self.guest(&name)?;
                    job.steps.push_front(Step::Heard(Heard::Restored { name }));
                    let ask = Ask::Cpus { op: CpuOp::Configure, cpus: back };
                    job.steps.push_front(Step::Ask(guest, ask));
                }
                Ok(Some(Wait::Nothing))
            }
            (Heard::Restored { name }, answer) => {
                match answer {
                    Ok(Answer::Cpus(records)) => {
                        let bad = records.iter().filter(|own| own.result != CpuResult::Ok);
                        job.complaints.extend(bad.map(complaint));
                    }
                    Ok(Answer::Done) => {}
                    Err(why) => job.complaints.push(format!(
                        "LDom {name} may not use all of its virtual CPUs again: {why}"
                    )),
                }
                Ok(Some(Wait::Nothing))
            }
            (Heard::Gone { .. }, Ok(_)) => Ok(Some(Wait::Nothing)),
            (Heard::Gone { name }, Err(why)) => {
                ports.log(format!("ldmd: LDom {name} does not read its description: {why}"));
                Ok(Some(Wait::Nothing))
            }
            (Heard::Stops { name }, Ok(_)) => {
                let guest = self.guest(&name)?;
                Ok(Some(Wait::Ends(guest, ports.now().plus(STOP_TIME))))
            }
            (Heard::Stops { name }, Err(why)) => {
                Err(vec![format!("LDom {name} stop notification failed: {why}")])
            }
        }
    }

    /// A domain that was to stop has not.
    pub(super) fn does_not_stop(&self, guest: GuestId) -> Refused {
        let domain = self.model().and_then(|model| model.by_guest(guest));
        let name = domain.map_or("", |domain| domain.name.as_str());
        let seconds = STOP_TIME.0 / SimTime::secs(1).0;
        vec![
            format!("LDom {name} has not stopped within {seconds} seconds"),
            format!("Use \"ldm stop-domain -f {name}\" to stop it at once"),
        ]
    }

    /// The steps that stop a domain in an orderly way.
    ///
    /// # Errors
    /// It does not run, or its system cannot.
    pub(super) fn shut_down(&self, name: &str) -> Result<[Step; 2], Refused> {
        self.nothing_moves()?;
        let guest = self.active_guest(name)?;
        if !self.serves(guest, Service::Shutdown) {
            return Err(vec![
                format!("Remote graceful shutdown or reboot capability is not available on {name}"),
                format!("Use \"ldm stop-domain -f {name}\" to stop it at once"),
            ]);
        }
        let ask = Ask::Shutdown { delay_ms: STOP_DELAY_MS };
        Ok([Step::Ask(guest, ask), Step::Heard(Heard::Stops { name: name.to_owned() })])
    }
}

#[cfg(test)]
mod test;
