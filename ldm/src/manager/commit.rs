//! Putting a [`Model`] in force.
//!
//! Machine descriptions that are new go beside those in force, the hypervisor MD
//! that names them too, then the hypervisor is told. It takes all or nothing, and so
//! does the manager: until its answer is good, everything is as it was.

use super::model::{Model, Refused};
use crate::hvctl::Hvctl;
use std::collections::BTreeMap;
use sun4v::addr::Pa;
use sun4v::hvctl::{Body, Detail, INVALID_GUEST, RcFail, Reply, Request, ResKind, Status};
use sun4v::hvmd::HvConfig;
use sun4v::id::GuestId;
use sun4v::native::Ports;

/// Machine descriptions in force, by guest: where, and what.
pub type Mds = BTreeMap<GuestId, (Pa, Vec<u8>)>;

/// What the hypervisor has taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InForce {
    /// Domains and services.
    pub model: Model,
    /// The hypervisor's configuration.
    pub config: HvConfig,
    /// Where its MD lies.
    pub hvmd: Pa,
    /// Guests' descriptions.
    pub mds: Mds,
}

impl InForce {
    /// Writes what follows from `next`: a guest that runs gets its new description too,
    /// for the next time that it reads it. What comes back is in force once the hypervisor has taken it; with
    /// it comes the request, unless nothing changes for the hypervisor.
    ///
    /// # Errors
    /// A description that is too large, or hypervisor memory that cannot be written.
    pub fn prepare(
        &self,
        next: Model,
        ports: &mut dyn Ports,
        hv: &mut dyn Hvctl,
    ) -> Result<(Self, Option<Request>), Refused> {
        let mut mds = Mds::new();
        for (domain, given) in next.bound() {
            let guest = given.guest;
            let had = self.mds.get(&guest);
            let bytes = next.description(domain, given).to_md();
            let pa = match had {
                Some((pa, same)) if *same == bytes => *pa,
                Some((pa, _)) => write(&next, next.slots.other(*pa), &bytes, ports, hv)?,
                None => write(&next, Some(next.slots.guest(guest)[0]), &bytes, ports, hv)?,
            };
            mds.insert(guest, (pa, bytes));
        }
        let places = mds.iter().map(|(&guest, (pa, _))| (guest, *pa)).collect();
        let config = next.configuration(&places);
        if config == self.config {
            return Ok((Self { model: next, config, hvmd: self.hvmd, mds }, None));
        }
        let bytes = config.to_md().to_bytes();
        let hvmd = write(&next, next.slots.other(self.hvmd), &bytes, ports, hv)?;
        let request = Request::Reconfigure { md: hvmd, guest: INVALID_GUEST };
        Ok((Self { model: next, config, hvmd, mds }, Some(request)))
    }
}

fn write(
    model: &Model,
    slot: Option<Pa>,
    bytes: &[u8],
    ports: &mut dyn Ports,
    hv: &mut dyn Hvctl,
) -> Result<Pa, Refused> {
    let Some(pa) = slot else {
        return Err(vec!["A machine description lies where no slot is".into()]);
    };
    if bytes.len() as u64 > model.slots.slot_bytes() {
        return Err(vec![format!(
            "A machine description of {} bytes is larger than its slot of {}",
            bytes.len(),
            model.slots.slot_bytes()
        )]);
    }
    match hv.write(ports, pa, bytes) {
        Ok(()) => Ok(pa),
        Err(error) => Err(vec![format!("The hypervisor's memory cannot be written: {error}")]),
    }
}

/// What an answer of the hypervisor means.
///
/// # Errors
/// Why it refused.
pub fn verdict(reply: &Reply) -> Result<(), Refused> {
    if reply.status == Status::Ok {
        return Ok(());
    }
    let detail = |code| Detail::from_code(code).map_or(format!("{code}"), |own| format!("{own:?}"));
    let why = match reply.body {
        Body::RcFail(RcFail { res, code, id, .. }) => {
            let res = ResKind::from_code(res).map_or("resource".into(), |own| own.to_string());
            format!("{}: {res} {id}: {}", reply.status, detail(code))
        }
        Body::Code(code) | Body::ResStat { code, .. } if code != 0 => {
            format!("{}: {}", reply.status, detail(code))
        }
        _ => reply.status.to_string(),
    };
    Err(vec![format!("The hypervisor refuses the request ({why})")])
}
