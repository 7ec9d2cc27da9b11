//! The record of a native program's host: what its strands have done.
//!
//! Timers, frames and mondos are the software's, which begins again.
//!
//! **Errors.** While jobs are under way there is no record, nor with a local disk that
//! takes writes; a record that breaks a rule
//! is refused with its rule in words.

use super::{Desktop, NativeHost, Strand};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use sun4v::id::{GuestId, STRANDS, VcpuId};
use sun4v::native::{Event, Program};
use sun4v::time::SimTime;

/// A native program's strands, version 1; part of a chassis' record.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NativeV1 {
    /// Virtual CPUs in ascending order: when they will be free, and all they were given.
    pub strands: Vec<(u8, SimTime, SimTime)>,
    /// Number of the next job.
    pub next_job: u64,
}

impl NativeHost {
    /// Its record, and what its program saves.
    ///
    /// # Errors
    /// What is under way, for a person.
    pub fn save(&self) -> Result<(NativeV1, Vec<u8>), String> {
        let Self { program, desktop, unfinished: _ } = self;
        let Desktop {
            guest: _,
            place: _,
            strands,
            timers: _,
            jobs,
            next_job,
            // The scenario's; none of them takes writes or is at work.
            drives,
            // All but commands, which are somebody's open questions, are the software's.
            inbox: _,
            // Taken at the end of every turn.
            frames: _,
            replies: _,
            facts: _,
            consoles: _,
        } = desktop;
        if !jobs.is_empty() {
            return Err("work for the strands of the control domain is under way".to_owned());
        }
        drives.check_save()?;
        let strand =
            |(vcpu, Strand { free_at, given }): (&VcpuId, &Strand)| (vcpu.0, *free_at, *given);
        let strands = strands.iter().map(strand).collect();
        Ok((NativeV1 { strands, next_job: *next_job }, program.save()?))
    }

    /// Hosts a program that was made from what it had saved, in `guest`.
    ///
    /// # Errors
    /// The rule that the record breaks.
    pub fn loaded(
        guest: GuestId,
        place: &str,
        program: Box<dyn Program>,
        record: NativeV1,
    ) -> Result<Self, &'static str> {
        let NativeV1 { strands, next_job } = record;
        let known = |&(vcpu, ..): &(u8, SimTime, SimTime)| usize::from(vcpu) < STRANDS;
        if !strands.is_sorted_by(|a, b| a.0 < b.0) || !strands.iter().all(known) {
            return Err("strands of a native program out of order");
        }
        let mut host = Self::new(guest, place, program);
        let strands = strands.into_iter();
        let strands =
            strands.map(|(vcpu, free_at, given)| (VcpuId(vcpu), Strand { free_at, given }));
        host.desktop.strands = strands.collect::<BTreeMap<_, _>>();
        host.desktop.next_job = next_job;
        Ok(host)
    }

    /// Tells the program that it begins again.
    pub fn restart(&mut self) {
        self.put(Event::Restarted);
    }
}
