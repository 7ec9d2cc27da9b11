//! A cipher in software, for a control domain without crypto units.

use super::Refusal;
use super::cost::Cost;
use super::port::{Cipher, Ticket, Used};
use super::seal::{self, Keys, Text};
use std::collections::BTreeMap;
use sun4v::addr::Ra;
use sun4v::native::{JobId, Ports};

/// Seals and opens records as jobs on the control domain's own strands.
#[derive(Debug, Default)]
pub struct SoftCipher {
    cost: Cost,
    next: u64,
    jobs: BTreeMap<JobId, Ticket>,
    done: BTreeMap<Ticket, Result<Vec<u8>, Refusal>>,
}

impl SoftCipher {
    /// One that charges `cost`.
    #[must_use]
    pub fn new(cost: Cost) -> Self {
        Self { cost, ..Self::default() }
    }

    /// Is no job under way?
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.jobs.is_empty()
    }

    /// A job has ended: true when it was one of these, whose output is taken.
    pub fn job_done(&mut self, job: JobId, output: &mut Vec<u8>) -> bool {
        let Some(ticket) = self.jobs.remove(&job) else { return false };
        let mut bytes = std::mem::take(output);
        let result = match bytes.pop() {
            Some(0) => Ok(bytes),
            Some(1) => Err(Refusal::OutOfOrder),
            Some(2) => Err(Refusal::Forged),
            _ => Err(Refusal::Malformed),
        };
        self.done.insert(ticket, result);
        true
    }

    fn begin(
        &mut self,
        ports: &mut dyn Ports,
        bytes: usize,
        work: impl FnOnce() -> Result<Vec<u8>, Refusal> + Send + 'static,
    ) -> Ticket {
        let cycles = self.cost.piece + bytes as u64 * (self.cost.aes + self.cost.sha256);
        let job = ports.job(
            cycles,
            Box::new(move || match work() {
                Ok(mut bytes) => {
                    bytes.push(0);
                    bytes
                }
                Err(Refusal::OutOfOrder) => vec![1],
                Err(Refusal::Forged) => vec![2],
                Err(_) => vec![3],
            }),
        );
        let ticket = Ticket(self.next);
        self.next += 1;
        self.jobs.insert(job, ticket);
        ticket
    }
}

impl Cipher for SoftCipher {
    fn seal(&mut self, ports: &mut dyn Ports, keys: &Keys, sequence: u64, text: Text) -> Ticket {
        let keys = keys.clone();
        self.begin(ports, text.plain().len(), move || Ok(seal::seal(&keys, sequence, text)))
    }

    fn open(
        &mut self,
        ports: &mut dyn Ports,
        keys: &Keys,
        sequence: u64,
        record: Vec<u8>,
    ) -> Ticket {
        let (keys, bytes) = (keys.clone(), record.len());
        let open = move || seal::open(&keys, sequence, record).map(Text::into_bytes);
        self.begin(ports, bytes, open)
    }

    fn hash_pages(&mut self, _: &mut dyn Ports, _: &[Ra]) -> Option<Ticket> {
        None
    }

    fn take(&mut self, ticket: Ticket) -> Option<Result<Vec<u8>, Refusal>> {
        self.done.remove(&ticket)
    }

    fn forget(&mut self, ticket: Ticket) {
        self.done.remove(&ticket);
        self.jobs.retain(|_, held| *held != ticket);
    }

    fn used(&self) -> Used {
        Used::default()
    }
}
