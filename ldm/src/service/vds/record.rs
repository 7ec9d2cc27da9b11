//! What a disk's port remembers when the server begins again.
//!
//! **Shape.** [`DiskV1`], by the control domain's endpoint. What was answered to the
//! guest is at the volume's server; what that may yet lose is here. Requests that were
//! not answered are not: the guest's driver asks again when its channel was reset, and
//! a write that was done and not answered is then done once more, with the same data.
//!
//! **Errors.** [`DiskV1::load`]: the rule that the record breaks.

use crate::service::volume::{Kept, KeptWrite};
use serde::{Deserialize, Serialize};
use sun4v::id::LdcId;
use sun4v::vio::vdisk::Errno;

/// A port, version 1.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DiskV1 {
    /// The control domain's endpoint.
    pub channel: LdcId,
    /// The guest has not switched the write cache off.
    pub write_cache: bool,
    /// Writes that are not durable, in their order.
    pub writes: Vec<WriteV1>,
    /// A Solaris error number: others are lost, and the next flush tells.
    pub lost: Option<u32>,
}

/// A write that is not durable.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WriteV1 {
    /// First byte.
    pub offset: u64,
    /// The life of the server that has it.
    pub life: u64,
    /// What.
    pub data: Vec<u8>,
}

/// The same, as a port takes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Disk {
    /// The guest has not switched the write cache off.
    pub write_cache: bool,
    /// What the volume is to be reminded of.
    pub kept: Kept,
}

impl Disk {
    /// The record of the port at this endpoint.
    #[must_use]
    pub fn save(&self, channel: LdcId) -> DiskV1 {
        let Self { write_cache, kept: Kept { writes, lost } } = self;
        let writes = writes.iter().map(|write| {
            let KeptWrite { offset, data, life } = write;
            WriteV1 { offset: *offset, life: *life, data: data.clone() }
        });
        let (write_cache, lost) = (*write_cache, lost.map(Errno::code));
        DiskV1 { channel, write_cache, writes: writes.collect(), lost }
    }
}

impl DiskV1 {
    /// The endpoint, and what its port is to go on from.
    ///
    /// # Errors
    /// See the module.
    pub fn load(self) -> Result<(LdcId, Disk), &'static str> {
        let Self { channel, write_cache, writes, lost } = self;
        let lost = lost.map(|code| Errno::from_code(code).ok_or("no such error number"));
        let writes = writes.into_iter().map(|write| {
            let WriteV1 { offset, life, data } = write;
            let end = offset.checked_add(data.len() as u64).filter(|_| !data.is_empty());
            end.ok_or("a write of no bytes, or behind the last one")?;
            Ok(KeptWrite { offset, data, life })
        });
        let kept =
            Kept { writes: writes.collect::<Result<_, &'static str>>()?, lost: lost.transpose()? };
        Ok((channel, Disk { write_cache, kept }))
    }
}
