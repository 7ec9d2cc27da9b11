//! Rows of services and devices, and who is at the other end.

use super::View;
use crate::manager::domain::{Disk, Net};
use crate::manager::identity;
use crate::manager::model::Model;
use crate::manager::offered::Switch;

pub(super) const VSW: &str = "NAME             MAC               NET-DEV   ID   DEVICE     LINKPROP   \
                              DEFAULT-VLAN-ID PVID VID                  MTU   MODE   \
                              INTER-VNET-LINK";
pub(super) const NETWORK: &str = "NAME             SERVICE                     ID   DEVICE     \
                                  MAC               MODE   PVID VID                  MTU   \
                                  LINKPROP";
pub(super) const DISK: &str =
    "NAME             VOLUME                      TOUT ID   DEVICE  SERVER         MPGROUP";
pub(super) const PEER: &str =
    "PEER                        MAC               MODE   PVID VID                  MTU";

/// Does it offer services?
pub(super) fn offers(view: &View<'_>) -> bool {
    view.domain.is_primary() && !view.model.services.is_empty()
}

pub(super) fn vids(vids: &[u64]) -> String {
    let texts: Vec<String> = vids.iter().map(u64::to_string).collect();
    texts.join(",")
}

pub(super) fn switch(switch: &Switch) -> [String; 12] {
    [
        switch.name.clone(),
        identity::show(switch.mac),
        switch.net_dev.clone(),
        switch.id.to_string(),
        format!("switch@{}", switch.id),
        String::new(),
        switch.default_vlan.to_string(),
        switch.pvid.to_string(),
        vids(&switch.vids),
        switch.mtu.to_string(),
        String::new(),
        "on".into(),
    ]
}

pub(super) fn network(net: &Net) -> [String; 10] {
    [
        net.name.clone(),
        format!("{}@primary", net.switch),
        net.id.to_string(),
        format!("network@{}", net.id),
        identity::show(net.mac),
        String::new(),
        net.pvid.to_string(),
        vids(&net.vids),
        net.mtu.to_string(),
        String::new(),
    ]
}

pub(super) fn disk(model: &Model, disk: &Disk) -> [String; 7] {
    let volume = model.services.volume(&disk.volume, &disk.server);
    let timeout = if disk.timeout == 0 { String::new() } else { disk.timeout.to_string() };
    [
        disk.name.clone(),
        format!("{}@{}", disk.volume, disk.server),
        timeout,
        disk.id.to_string(),
        format!("disk@{}", disk.id),
        "primary".into(),
        volume.map_or(String::new(), |volume| volume.mpgroup.clone()),
    ]
}

pub(super) fn peer_switch(switch: &Switch) -> [String; 6] {
    [
        format!("{}@primary", switch.name),
        identity::show(switch.mac),
        String::new(),
        switch.pvid.to_string(),
        vids(&switch.vids),
        switch.mtu.to_string(),
    ]
}

/// Clients of services: devices of bound domains.
pub(super) struct Clients<'a>(&'a Model);

impl<'a> Clients<'a> {
    pub(super) fn of(model: &'a Model) -> Self {
        Self(model)
    }

    /// Client and port.
    pub(super) fn consoles(&self, concentrator: &str) -> Vec<[String; 2]> {
        let all = self.0.bound().filter_map(|(domain, given)| {
            let console = given.console.as_ref().filter(|own| own.service == concentrator)?;
            Some([format!("{}@{concentrator}", domain.name), console.port.to_string()])
        });
        all.collect()
    }

    /// Peer, address, mode, VLANs, MTU.
    pub(super) fn nets(&self, switch: &str) -> Vec<[String; 6]> {
        let nets = self.0.bound().flat_map(|(domain, _)| {
            let own = domain.wish.nets.iter().filter(|net| net.switch == switch);
            own.map(move |net| (domain, net))
        });
        let rows = nets.map(|(domain, net)| {
            [
                format!("{}@{}", net.name, domain.name),
                identity::show(net.mac),
                String::new(),
                net.pvid.to_string(),
                vids(&net.vids),
                net.mtu.to_string(),
            ]
        });
        rows.collect()
    }

    /// Client and volume.
    pub(super) fn disks(&self, server: &str) -> Vec<[String; 2]> {
        let disks = self.0.bound().flat_map(|(domain, _)| {
            let own = domain.wish.disks.iter().filter(|disk| disk.server == server);
            own.map(move |disk| [format!("{}@{}", disk.name, domain.name), disk.volume.clone()])
        });
        disks.collect()
    }
}
