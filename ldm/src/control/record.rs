//! What a control domain remembers when its software begins again.
//!
//! **Shape.** [`ControlV1`], a record of kind `ldm/control`, then the SHA-256 of its
//! bytes: nothing that was damaged is believed. Addresses of the domain's own memory
//! are not in it: memory is given out anew, and queues are set up again.
//!
//! **Lost.** TCP connections, sessions of virtual disks, switches and consoles, the
//! session with the hypervisor, frames and requests under way. They come back by
//! themselves, as after a service is restarted.
//!
//! **Errors.** [`load`] refuses bytes that are damaged or of another domain, and
//! records that break a rule of those who use them.

use super::services::Remembered;
use super::{ControlConf, running};
use crate::manager::Manager;
use crate::manager::domain::Device;
use crate::manager::recall::{COUNT_MAX, check};
use crate::manager::record::{ManagerV1, ModelV1};
use crate::service::vcc::record::ConsolePortV1;
use crate::service::vds::record::DiskV1;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::BTreeSet;
use sun4v::id::LdcId;
use sun4v::record::{LoadError, Schema, decode, encode};

/// Bytes of a digest.
const DIGEST_BYTES: usize = 32;
/// Bytes of a journal.
const JOURNAL_BYTES_MAX: usize = 64 << 20;

/// A control domain, version 1.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ControlV1 {
    /// Host name of its chassis.
    pub host: String,
    /// How often its software has begun again.
    pub restarts: u64,
    /// How often migrations have drawn randomness.
    pub migrations: u64,
    /// The journal of its migrations, as it lies on the chassis.
    pub journal: Vec<u8>,
    /// Its manager.
    pub manager: ManagerV1,
    /// Ports of virtual disks, by channel.
    pub disks: Vec<DiskV1>,
    /// Ports of consoles, by channel.
    pub consoles: Vec<ConsolePortV1>,
}

impl Schema for ControlV1 {
    const KIND: &'static str = "ldm/control";
    const VERSION: u32 = 1;
}

/// What a record becomes.
pub struct Recalled {
    /// How often the software has begun again, not counting what comes.
    pub restarts: u64,
    /// See [`ControlV1::migrations`].
    pub migrations: u64,
    /// See [`ControlV1::journal`]. Whoever uses it reads it: one that is damaged is kept.
    pub journal: Vec<u8>,
    /// The manager, which waits for its session.
    pub manager: Manager,
    /// For ports of services.
    pub remembered: Remembered,
}

impl Recalled {
    /// The record again.
    ///
    /// # Errors
    /// As [`Manager::keep`].
    pub fn save(&self, host: &str) -> Result<ControlV1, String> {
        let Self { restarts, migrations, journal, manager, remembered } = self;
        let (disks, consoles) = remembered.save();
        let (host, manager) = (host.to_owned(), manager.keep()?);
        let (restarts, migrations, journal) = (*restarts, *migrations, journal.clone());
        Ok(ControlV1 { host, restarts, migrations, journal, manager, disks, consoles })
    }
}

/// The bytes of a record, after a look whether they could be loaded.
///
/// # Errors
/// The rule that they break.
pub fn save(conf: &ControlConf, record: ControlV1) -> Result<Vec<u8>, String> {
    let bytes = seal(&record);
    match recall(conf, record) {
        Ok(_) => Ok(bytes),
        Err(why) => Err(format!("it cannot be remembered: {why}")),
    }
}

pub(super) fn seal(record: &ControlV1) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode(record, &mut bytes);
    let digest = Sha256::digest(&bytes);
    bytes.extend_from_slice(&digest);
    bytes
}

/// What bytes become.
///
/// # Errors
/// See the module.
pub fn load(conf: &ControlConf, bytes: &[u8]) -> Result<Recalled, LoadError> {
    let kind = ControlV1::KIND;
    let damaged = |why| LoadError::Damaged { kind, why };
    let body = bytes.len().checked_sub(DIGEST_BYTES).ok_or(damaged("it ends too early"))?;
    let (body, digest) = bytes.split_at(body);
    let mut rest = body;
    let record: ControlV1 = decode(&mut rest)?;
    if !rest.is_empty() {
        return Err(damaged("bytes follow it"));
    }
    if Sha256::digest(body)[..] != *digest {
        return Err(damaged("its digest is another"));
    }
    recall(conf, record).map_err(|why| LoadError::Inconsistent { kind, why })
}

fn recall(conf: &ControlConf, record: ControlV1) -> Result<Recalled, &'static str> {
    let ControlV1 { host, restarts, migrations, journal, manager, disks, consoles } = record;
    check(journal.len() <= JOURNAL_BYTES_MAX, "a journal that is too long")?;
    check(host == conf.inventory.host, "the control domain of another chassis")?;
    let counts = restarts <= COUNT_MAX && migrations <= COUNT_MAX;
    check(counts, "a count near its end")?;
    let is_disk = |device: &Device| matches!(device, Device::Disk(_));
    let known = channels(&manager.model, is_disk);
    check(disks.is_sorted_by(|a, b| a.channel < b.channel), "disks out of order")?;
    let all = disks.iter().all(|disk| known.contains(&disk.channel));
    check(all, "a disk at a channel of no disk")?;
    let known = channels(&manager.model, |device| *device == Device::Console);
    check(consoles.is_sorted_by(|a, b| a.channel < b.channel), "consoles out of order")?;
    let all = consoles.iter().all(|console| known.contains(&console.channel));
    check(all, "a console at a channel of no console")?;
    let disks = disks.into_iter().map(DiskV1::load).collect::<Result<_, _>>()?;
    let consoles = consoles.into_iter().map(ConsolePortV1::load).collect::<Result<_, _>>()?;
    let remembered = Remembered { disks, consoles };
    let manager = Manager::recall(conf.inventory.clone(), running::settings(conf), manager)?;
    Ok(Recalled { restarts, migrations, journal, manager, remembered })
}

/// The control domain's endpoints of such devices.
fn channels(model: &ModelV1, is: impl Fn(&Device) -> bool) -> BTreeSet<LdcId> {
    let given = model.domains.iter().filter_map(|domain| domain.given.as_ref());
    let links = given.flat_map(|given| &given.links).filter(|link| is(&link.device));
    links.map(|link| link.service).collect()
}

#[cfg(test)]
mod journal_test;
#[cfg(test)]
mod test;
