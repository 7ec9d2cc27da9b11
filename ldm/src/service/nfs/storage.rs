//! Volumes by path: which server has them.
//!
//! **Shapes.** `/net/HOST/PATH` is the file `/PATH` of host HOST, as the
//! automounter's `/net` has it.
//!
//! **Errors.** Any other path, and a host that is not in the table, is ENXIO.

use super::{Effort, FileId, NfsClient, NfsConf, NfsEvent};
use crate::service::volume::{Backend, Completion, Found, Kept, Owner, Request, VolumeId};
use crate::stack::Stack;
use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use sun4v::time::SimTime;
use sun4v::vio::vdisk::Errno;

/// A file, open or about to be.
#[derive(Debug)]
struct Opened {
    host: String,
    addr: Ipv4Addr,
    path: String,
}

impl Opened {
    /// A server's address is no other's, whatever it is called.
    fn identity(&self) -> String {
        format!("{}:{}", self.addr, self.path)
    }
}

/// Every volume of a control domain that lies on a server.
#[derive(Debug)]
pub struct Storage {
    hosts: BTreeMap<String, Ipv4Addr>,
    machine: String,
    clients: BTreeMap<String, NfsClient>,
    /// Which client has a volume; the file's number is the volume's.
    volumes: BTreeMap<VolumeId, Opened>,
    next: u32,
    completions: Vec<Completion>,
}

impl Storage {
    /// Volumes of these hosts, used in the name of `machine`.
    #[must_use]
    pub fn new(hosts: BTreeMap<String, Ipv4Addr>, machine: &str) -> Self {
        Self {
            hosts,
            machine: machine.to_owned(),
            clients: BTreeMap::new(),
            volumes: BTreeMap::new(),
            next: 0,
            completions: Vec::new(),
        }
    }

    fn client_of(&mut self, volume: VolumeId) -> Option<&mut NfsClient> {
        let host = &self.volumes.get(&volume)?.host;
        self.clients.get_mut(host)
    }

    /// Moves bytes and requests; call it before and after the stack's poll.
    pub fn poll(&mut self, stack: &mut Stack, now: SimTime) {
        let Self { clients, volumes, completions, .. } = self;
        for client in clients.values_mut() {
            client.poll(stack, now);
            completions.extend(client.take_events().into_iter().map(|event| match event {
                NfsEvent::Opened(FileId(id), size) => {
                    let volume = VolumeId(id);
                    let found = size.map(|size| Found {
                        size,
                        read_only: false,
                        device: false,
                        identity: volumes.get(&volume).map_or_else(String::new, Opened::identity),
                    });
                    Completion::Opened { volume, found }
                }
                NfsEvent::Claimed(FileId(id), result) => {
                    Completion::Claimed { volume: VolumeId(id), result }
                }
                NfsEvent::Done(token, result) => Completion::Done { token, result },
            }));
        }
    }

    /// When to poll again, besides when the stack says so.
    #[must_use]
    pub fn next_poll(&self, now: SimTime) -> SimTime {
        let times = self.clients.values().map(|client| client.next_poll(now));
        times.min().unwrap_or(SimTime::NEVER)
    }

    /// What was completed since the last call.
    pub fn take_completions(&mut self) -> Vec<Completion> {
        std::mem::take(&mut self.completions)
    }

    /// What was done since the last call.
    pub fn take_effort(&mut self) -> Effort {
        self.clients.values_mut().map(NfsClient::take_effort).fold(
            Effort::default(),
            |sum, effort| Effort {
                calls: sum.calls + effort.calls,
                bytes: sum.bytes + effort.bytes,
            },
        )
    }
}

/// Host and path of `/net/HOST/PATH`.
fn split(path: &str) -> Option<(&str, &str)> {
    let rest = path.strip_prefix("/net/")?;
    let slash = rest.find('/')?;
    let (host, path) = rest.split_at(slash);
    (!host.is_empty() && path.len() > 1 && !path.ends_with('/')).then_some((host, path))
}

impl Backend for Storage {
    fn open(&mut self, path: &str, owner: &Owner) -> VolumeId {
        let volume = VolumeId(self.next);
        self.next += 1;
        let found = split(path).and_then(|(host, path)| Some((host, self.hosts.get(host)?, path)));
        let Some((host, addr, path)) = found else {
            self.completions.push(Completion::Opened { volume, found: Err(Errno::Nxio) });
            return volume;
        };
        let client = self
            .clients
            .entry(host.to_owned())
            .or_insert_with(|| NfsClient::new(NfsConf::new(*addr, &self.machine)));
        client.open(FileId(volume.0), path, Some(owner.clone()));
        let (host, path) = (host.to_owned(), path.to_owned());
        self.volumes.insert(volume, Opened { host, addr: *addr, path });
        volume
    }

    fn claim(&mut self, volume: VolumeId, epoch: u64) {
        match self.client_of(volume) {
            Some(client) => client.claim(FileId(volume.0), epoch),
            None => {
                self.completions.push(Completion::Claimed { volume, result: Err(Errno::Nxio) });
            }
        }
    }

    fn close(&mut self, volume: VolumeId) {
        if let Some(opened) = self.volumes.remove(&volume)
            && let Some(client) = self.clients.get_mut(&opened.host)
        {
            client.close(FileId(volume.0));
        }
    }

    fn submit(&mut self, volume: VolumeId, token: u64, request: Request) {
        match self.client_of(volume) {
            Some(client) => client.submit(FileId(volume.0), token, request),
            None => self.completions.push(Completion::Done { token, result: Err(Errno::Nxio) }),
        }
    }

    fn kept(&self, volume: VolumeId) -> Result<Kept, String> {
        let opened = self.volumes.get(&volume);
        let client = opened.and_then(|opened| self.clients.get(&opened.host));
        client.map_or_else(|| Ok(Kept::default()), |client| client.kept(FileId(volume.0)))
    }

    fn keep(&mut self, volume: VolumeId, kept: Kept) {
        if let Some(client) = self.client_of(volume) {
            client.keep(FileId(volume.0), kept);
        }
    }
}

#[cfg(test)]
mod test {
    use super::split;

    #[test]
    fn a_path_names_its_host() {
        assert_eq!(split("/net/nas/export/a.img"), Some(("nas", "/export/a.img")));
        for path in ["/net/nas", "/net/nas/", "/net//a", "/export/a", "net/nas/a", "/net/nas/a/"] {
            assert_eq!(split(path), None, "{path}");
        }
    }
}
